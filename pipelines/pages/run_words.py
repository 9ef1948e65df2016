"""A run in words: what went in, what was learned, and how the methods compare."""

from collections import Counter
from collections.abc import Sequence

from pipelines.methods.table import shown_in
from pipelines.pages.phrasing import (
    bare_points,
    counted,
    duration,
    full_name,
    in_sentence,
    metric_of,
    number,
    percent,
    points,
    significance,
)
from pipelines.results.comparison_record import (
    ComparisonRecord,
    DifferenceRow,
    MethodRow,
    fold_noun,
    has_folds,
    method_of,
)
from pipelines.results.run_record import Results, value_of

MAX_NAMED = 8  # folds, or differences, in a sentence
MAX_LINES = 12  # methods in a terminal


def summary(results: Results) -> list[str]:
    """What a run prints at its end: its sentences, then how the methods compare, a line for each."""
    comparison = results.get("comparison")
    return [*opening(results), *(_compared(comparison) if comparison else [])]


def opening(results: Results) -> list[str]:
    """Three sentences: what went in, what the language model learned, and what can be read off and heard.

    Several folds have no codebook, no language model and no sound in common: of them, what went in and what was read.
    """
    comparison = results.get("comparison")
    if comparison and has_folds(comparison):
        return [f"{_sound(results)} were heard.", setting(comparison), _about_knowledge(results)]
    return [_about_codes(results), _about_language(results), _about_knowledge(results)]


def _sound(results: Results) -> str:
    corpus = results.get("corpus")
    if not corpus:
        return "Recordings"
    clips, seconds = sum(corpus["clips"].values()), sum(corpus["seconds"].values())
    recordings = corpus.get("recordings")  # only where they were cut
    heard = (
        f"{number(clips)} clips of {counted(recordings, 'recording')}" if recordings else f"{number(clips)} recordings"
    )
    return f"{heard}, {duration(seconds)} of sound,"


def _about_codes(results: Results) -> str:
    sound = _sound(results)
    perplexity = value_of(results, "tokenizer", "perplexity")
    size = len(results["codebook"]["counts"]) if "codebook" in results else None
    if perplexity is None or size is None:
        return f"{sound} went in; they were not turned into codes in this run."
    even = f"used as evenly as {number(perplexity)} codes of equal frequency would be"
    return f"{sound} became sequences of {number(size)} codes, {even}."


def _about_language(results: Results) -> str:
    perplexity = value_of(results, "lm", "perplexity")
    unigram = value_of(results, "lm", "unigram_perplexity")
    if perplexity is None or unigram is None:
        return "No language model was trained in this run."
    compared = "narrows" if perplexity < unigram else "does not narrow"
    return (
        f"The language model {compared} the next code down to {number(perplexity)} equally likely ones, where code "
        f"frequencies alone leave {number(unigram)}."
    )


def _about_knowledge(results: Results) -> str:
    comparison = results.get("comparison")
    read = (comparison and _about_reading(comparison)) or "Without probes, nothing is known of what it learned"
    if comparison and has_folds(comparison):
        return f"{read}."
    agreement = value_of(results, "vocoder", "code_agreement", "wavenet")
    recognised = value_of(results, "vocoder", "label_accuracy", "wavenet")
    heard = "no sound was generated"
    if agreement is not None:
        heard = f"WaveNet's sound gives back {percent(agreement)} of its codes"
    if recognised is not None:
        original = percent(value_of(results, "vocoder", "label_accuracy", "original"))
        judge = results.get("listening", {}).get("judge", "a classifier")
        heard = f"{judge} recognises {percent(recognised)} of WaveNet's clips, and {original} of the recordings"
    return f"{read}; {heard}."


def _about_reading(comparison: ComparisonRecord) -> str | None:
    """What a probe reads off the GPT, beside bare code counts; None without a GPT."""
    gpt, bag = method_of(comparison, "gpt"), method_of(comparison, "bag_of_codes")
    if gpt is None:
        return None
    told = f"A linear probe reads the right label off the GPT's states for {percent(gpt['value'])} of the test clips"
    if metric_of(comparison) != "accuracy":
        told = f"A linear probe on the GPT's states reaches a {metric_of(comparison)} of {percent(gpt['value'])}"
    return told + (f" ({percent(bag['value'])} off bare code counts)" if bag else "")


def setting(comparison: ComparisonRecord) -> str:
    """Under which conditions the methods were compared."""
    folds, seeds = comparison["folds"], comparison.get("seeds", [])
    named = f" ({', '.join(folds)})" if 1 < len(folds) <= MAX_NAMED else ""
    told = [
        *([f"{counted(len(folds), 'fold')}{named}"] if folds[1:] else []),
        counted(len(seeds), "seed"),
        counted(comparison.get("clips", 0), "test clip"),
        counted(len(comparison["classes"]), "class", "classes"),
        f"{counted(comparison.get('tries', 0), 'try', 'tries')} per method",
    ]
    unlabelled = comparison.get("unlabelled", 0)
    left_out = f"; {counted(unlabelled, 'clip')} without a label left out" if unlabelled else ""
    return f"Protocol: {full_name(comparison.get('protocol', 'unknown'))}; {', '.join(told)}{left_out}."


def standing(comparison: ComparisonRecord) -> str:
    """One sentence: what the GPT has over, or lacks against, the methods that a reader asks for first."""
    rows = {row["against"]: row for row in comparison.get("differences", []) if row["of"] == "gpt"}
    shown = [rows[name] for name in shown_in("summary", rows)] or list(rows.values())[:MAX_NAMED]
    better = [row for row in shown if row["low"] > 0]
    worse = [row for row in shown if row["high"] < 0]
    level = [row for row in shown if row not in better and row not in worse]
    clauses = [
        *_clause("beats", [_clause_end(row, comparison) for row in better]),
        *_clause("cannot be told from", [_clause_end(row, comparison) for row in level]),
        *_clause("falls short of", [_clause_end(_turned(row), comparison) for row in worse]),
    ]
    return f"The GPT {'; it '.join(clauses)}." if clauses else ""


def _clause(verb: str, objects: Sequence[str]) -> list[str]:
    return [f"{verb} {', '.join(objects[:-1])}{' and ' if objects[1:] else ''}{objects[-1]}"] if objects else []


def _clause_end(row: DifferenceRow, comparison: ComparisonRecord) -> str:
    """The other method, and by how much; a difference that may be none stands among its intervals instead."""
    name = in_sentence(row["against"])
    told = certainty(row, comparison)
    if row["low"] > 0:
        return f"{name} by {bare_points(row['value'])} points ({told})"
    return f"{name} ({bare_points(row['value'])} points, {told})"


def _turned(row: DifferenceRow) -> DifferenceRow:
    """What the other method has over the first."""
    turned: DifferenceRow = {**row, "value": -row["value"], "low": -row["high"], "high": -row["low"]}
    low, high = row.get("fold_low"), row.get("fold_high")
    if low is not None and high is not None:
        turned |= {"fold_low": -high, "fold_high": -low}
    return turned


def certainty(row: DifferenceRow, comparison: ComparisonRecord) -> str:
    """Interval and p-value of a difference; where there are folds, also the interval over them."""
    told = f"{bare_points(row['low'])} to {bare_points(row['high'])}, {significance(row.get('p'))}"
    low, high = row.get("fold_low"), row.get("fold_high")
    if not has_folds(comparison) or low is None or high is None:
        return told
    return f"{told}; between {bare_points(low)} and {bare_points(high)} over {fold_noun(comparison)}s"


def candidates(row: MethodRow) -> str:
    """What validation chose, the most frequent first, with the number of folds where they differ."""
    counts = Counter(row.get("chosen", {}).values())
    if len(counts) < 2:
        return next(iter(counts), "–")
    return ", ".join(f"{name} ({count}×)" for name, count in counts.most_common())


def _compared(comparison: ComparisonRecord) -> list[str]:
    """The best methods and the differences, in columns."""
    shown = comparison["methods"][:MAX_LINES]
    width = max((len(full_name(row["of"])) for row in shown), default=0)
    lines = [] if has_folds(comparison) else [setting(comparison)]
    for row in shown:
        interval = f"{percent(row['value'])} ({bare_points(row['low'])} to {bare_points(row['high'])})"
        f1 = f"macro F1 {percent(row.get('macro_f1'))}"
        lines.append(f"{full_name(row['of']):{width}}  {interval}  {f1}  {candidates(row)}")
    for difference in comparison.get("differences", [])[:MAX_LINES]:
        against = f"{full_name(difference['of'])} against {full_name(difference['against'])}"
        lines.append(
            f"{against:{width + 12}}  {points(difference['value']):>5} points ({certainty(difference, comparison)})"
        )
    return lines
