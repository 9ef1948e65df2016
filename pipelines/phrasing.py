"""Figures in words: numbers as people read them, names in full, and the summary of a run."""

import math
from collections import Counter
from collections.abc import Sequence

from pipelines.comparison_record import (
    ComparisonRecord,
    DifferenceRow,
    MethodRow,
    fold_noun,
    has_folds,
    method_of,
)
from pipelines.run_record import FigureRow, Results

NAMES = {
    "log_mel": "log-mel",
    "bottleneck": "bottleneck",
    "bag_of_codes": "bag of codes",
    "gpt": "GPT",
    "random_gpt": "GPT, untrained",
    "simclr": "SimCLR",
    "ast": "AST",
    "ast_head": "AST, own head",
    "random_ast": "AST, untrained",
    "supervised": "supervised CNN",
    "supervised_head": "supervised CNN, own head",
    "random_conv": "CNN, untrained",
    "griffin_lim": "Griffin-Lim",
    "wavenet": "WaveNet",
    "lm": "language model",
    "kmeans": "k-means",
    "macro_f1": "macro F1",
    "rms": "RMS",
    "dc": "DC offset",
    "log_mel_distance": "log-mel distance",
    "mel_cepstral_distortion": "mel-cepstral distortion",
    "stoi": "STOI",
    "pesq": "PESQ",
    "stoi_clips": "clips long enough for STOI",
    "pesq_clips": "clips long enough for PESQ",
    "pitch_error": "error of the pitch",
    "pitch_error_clips": "clips with a pitch in both",
    "voicing_error": "frames of wrong voicing",
    "runaway_clips": "clips with runaway noise",
    "recoded_perplexity": "perplexity of the codes heard again",
    "distinct_1": "different codes",
    "distinct_2": "different pairs",
    "distinct_3": "different triples",
    "unigram_perplexity": "perplexity of code frequencies alone",
    "reconstruction_mse": "squared error through the autoencoder",
    "quantised_mse": "squared error through the codebook",
    "code_agreement": "codes that agree",
    "stability": "codes that stay the same",
    "gain": "after a change of gain",
    "noise": "after a little noise",
    "shift": "after a small shift in time",
}
# Units that need fewer words beside the name of their figure.
UNITS = {
    "codes": "",
    "STOI": "",
    "clips": "",
    "full scale": "",
    "dB re full scale": "dBFS",
    "normalised log-mel squared": "",
}
# The methods that a reader asks for first, and how they are called in a sentence.
COMPARED = ("simclr", "ast", "bag_of_codes", "random_gpt", "supervised_head")
IN_SENTENCES = {
    "bag_of_codes": "the bag of codes",
    "random_gpt": "an untrained GPT",
    "supervised": "a probe of the supervised CNN",
    "supervised_head": "the supervised CNN",
}
MAX_NAMED = 8  # folds, or differences, in a sentence
MAX_LINES = 12  # methods in a terminal
NO_BREAK = "\N{NO-BREAK SPACE}"
COSTS = ("seconds", "peak_memory")  # the table of stages holds these


def full_name(name: str) -> str:
    """A name of ``results.json`` in words; a method's candidate after its method, a temperature after what it is of."""
    kind, _, temperature = name.partition("@")
    if temperature:
        return f"{full_name(kind)} at {temperature}"
    method, _, part = name.partition("/")
    if part and method in NAMES:
        return f"{NAMES[method]}, {part.replace('_', ' ')}"
    return NAMES.get(name) or name.replace("_", " ")


def in_sentence(method: str) -> str:
    """A method's name with the article that a sentence wants."""
    return IN_SENTENCES.get(method) or full_name(method)


def number(value: float | None) -> str:
    """Three significant digits, all those of whole numbers; a dash for what is not a number."""
    if value is None or not math.isfinite(value):
        return "–"
    whole = value == int(value) or abs(value) >= 1000
    return (f"{value:,.0f}" if whole else f"{value:#.3g}".removesuffix(".")).replace("-", "−")


def percent(ratio: float | None) -> str:
    """A ratio, in percent."""
    return "–" if ratio is None or not math.isfinite(ratio) else f"{100 * ratio:.1f}{NO_BREAK}%"


def decibels(value: float | None) -> str:
    """A level or distance, in dB."""
    return f"{number(value)}{NO_BREAK}dB"


def points(difference: float | None) -> str:
    """A difference of two ratios in percentage points, with its sign."""
    if difference is None or not math.isfinite(difference):
        return "–"
    return f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", "−")  # + 0.0: no negative nought


def _points(ratio: float) -> str:
    """A ratio, or a difference of two, as a number of points in running text."""
    return points(ratio).removeprefix("+")


def significance(p: float | None) -> str:
    """A p-value, no finer than a bootstrap can tell."""
    if p is None or not math.isfinite(p):
        return "p unknown"
    told = "< 0.001" if p < 0.001 else f"= {p:.2g}"
    return f"p {told}".replace(" ", NO_BREAK)


def duration(seconds: float) -> str:
    """Seconds, as a person would say them."""
    if not math.isfinite(seconds):
        return "–"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def quantity(value: float | None, unit: str) -> str:
    """A value and its unit."""
    match unit:
        case "ratio":
            return percent(value)
        case "s":
            return duration(math.nan if value is None else value)
        case "bytes":
            return f"{number(None if value is None else value / 1e9)} GB"
        case _:
            return f"{number(value)} {UNITS.get(unit, unit)}".rstrip()


def rows(figures: Sequence[FigureRow], stage: str) -> list[FigureRow]:
    """The figures of a stage, without what it cost."""
    return [row for row in figures if row["stage"] == stage and row["name"] not in COSTS]


def value_of(results: Results, stage: str, name: str, of: str | None = None) -> float | None:
    """The value of the first figure of this name."""
    found = (row["value"] for row in results["figures"] if (row["stage"], row["name"], row["of"]) == (stage, name, of))
    return next(found, None)


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
    return f"{number(clips)} recordings, {duration(seconds)} of sound,"


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
        heard = f"a classifier recognises {percent(recognised)} of WaveNet's clips, and {original} of the recordings"
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


def metric_of(comparison: ComparisonRecord) -> str:
    """What the values of a comparison are, in words."""
    return full_name(comparison.get("metric", "accuracy"))


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


def counted(count: float, one: str, several: str | None = None) -> str:
    """A number of things, the noun in its number."""
    return f"{number(count)} {one if count == 1 else several or one + 's'}"


def standing(comparison: ComparisonRecord) -> str:
    """One sentence: what the GPT has over, or lacks against, the methods that a reader asks for first."""
    rows = {row["against"]: row for row in comparison.get("differences", []) if row["of"] == "gpt"}
    shown = [rows[name] for name in COMPARED if name in rows] or list(rows.values())[:MAX_NAMED]
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
        return f"{name} by {_points(row['value'])} points ({told})"
    return f"{name} ({_points(row['value'])} points, {told})"


def _turned(row: DifferenceRow) -> DifferenceRow:
    """What the other method has over the first."""
    turned: DifferenceRow = {**row, "value": -row["value"], "low": -row["high"], "high": -row["low"]}
    low, high = row.get("fold_low"), row.get("fold_high")
    if low is not None and high is not None:
        turned |= {"fold_low": -high, "fold_high": -low}
    return turned


def certainty(row: DifferenceRow, comparison: ComparisonRecord) -> str:
    """Interval and p-value of a difference; where there are folds, also the interval over them."""
    told = f"{_points(row['low'])} to {_points(row['high'])}, {significance(row.get('p'))}"
    low, high = row.get("fold_low"), row.get("fold_high")
    if not has_folds(comparison) or low is None or high is None:
        return told
    return f"{told}; between {_points(low)} and {_points(high)} over {fold_noun(comparison)}s"


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
        interval = f"{percent(row['value'])} ({_points(row['low'])} to {_points(row['high'])})"
        f1 = f"macro F1 {percent(row.get('macro_f1'))}"
        lines.append(f"{full_name(row['of']):{width}}  {interval}  {f1}  {candidates(row)}")
    for difference in comparison.get("differences", [])[:MAX_LINES]:
        against = f"{full_name(difference['of'])} against {full_name(difference['against'])}"
        lines.append(
            f"{against:{width + 12}}  {points(difference['value']):>5} points ({certainty(difference, comparison)})"
        )
    return lines
