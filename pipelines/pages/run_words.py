"""The sentences of a report, where its results come from, and the lines that a run prints at its end."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from pipelines.methods.codes import BAG_OF_CODES
from pipelines.methods.table import shown_in
from pipelines.pages.language_words import language_lines, pair_test_sentence
from pipelines.pages.next_sample_words import sample_lines, sample_sentence
from pipelines.pages.phrasing import (
    counted,
    duration,
    full_name,
    heading,
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
    few_groups,
    fold_noun,
    gap_shown,
    has_folds,
    method_of,
    references,
)
from pipelines.results.run_record import MachineRecord, Provenance, Results
from pipelines.store.stored_features import GPT
from wordless.base.text import listed, plural

MAX_FOLDS = 8  # that a sentence names
FEW_CLIPS = 50  # test clips; at 80 % accuracy the interval is then 11 points to each side
MAX_GROUPS = 3  # that a sentence names
MAX_LINES = 12  # methods, and differences of a reference, in a terminal


def summary(results: Results) -> list[str]:
    """List what a run prints at its end: two sentences, then a line for each method and each difference."""
    comparison, tests = results.get("comparison"), results.get("zerospeech", {})
    known = language_lines(tests) if tests else ()
    samples = results.get("next_sample")
    of_samples = sample_lines(samples) if samples else ()
    return [*opening(results), *known, *of_samples, *(_method_lines(comparison) if comparison else [])]


def opening(results: Results) -> list[str]:
    """Write what the run learned from, and what the GPT knows: by pairs of recordings, or by a linear probe."""
    comparison, pairs = results.get("comparison"), results.get("zerospeech", {}).get("pairs")
    verb = f"learned {number(len(results['codebook']['counts']))} codes from" if "codebook" in results else "read"
    sentences = [f"This run {verb} {_recordings(results)}."]
    if comparison and has_folds(comparison):
        sentences.append(setting(comparison))
    if pairs:
        sentences.append(pair_test_sentence(pairs))
    elif comparison and (gpt := method_of(comparison, GPT)):
        bag, reached = method_of(comparison, BAG_OF_CODES.name), f"{percent(gpt['value'])} test {metric_of(comparison)}"
        beside = f"; {percent(bag['value'])} on counts of codes, without the order of codes" if bag else ""
        sentences.append(f"A linear probe on the GPT's states reaches {reached}{beside}.")
    if samples := results.get("next_sample"):
        sentences.append(sample_sentence(samples))
    return sentences


def _recordings(results: Results) -> str:
    corpus = results.get("corpus")
    if not corpus:
        return "recordings"
    clips, whole = sum(corpus["clips"].values()), corpus.get("recordings")  # only where clips are their segments
    named = f"{counted(clips, 'clip')} of {counted(whole, 'recording')}" if whole else counted(clips, "recording")
    return f"{named} ({duration(sum(corpus['seconds'].values()))} of sound)"


def setting(comparison: ComparisonRecord) -> str:
    """Write under which conditions the methods were compared."""
    folds = comparison["folds"]
    named = f" ({', '.join(folds)})" if len(folds) <= MAX_FOLDS else ""
    parts = [
        *([f"{counted(len(folds), 'fold')}{named}"] if has_folds(comparison) else []),
        counted(len(comparison.get("seeds", [])), "seed"),
        counted(comparison.get("clips", 0), "test clip"),
        counted(len(comparison["classes"]), "class", "classes"),
        f"{counted(comparison.get('layer_penalties', 0), 'penalty', 'penalties')} per layer and pooling, "
        f"{comparison.get('penalties', 0)} for the chosen one",
    ]
    unlabelled = comparison.get("unlabelled", 0)
    left_out = f"; {counted(unlabelled, 'clip')} without a label left out" if unlabelled else ""
    return f"Protocol: {full_name(comparison.get('protocol', 'unknown'))}; {', '.join(parts)}{left_out}."


def few_clips(comparison: ComparisonRecord) -> str | None:
    """Warn of too few test clips for a figure; None if there are enough."""
    clips = comparison.get("clips", 0)
    if not 0 < clips < FEW_CLIPS:
        return None
    return (
        f"{counted(clips, 'test clip')}: each clip is {number(round(100 / clips, 1))} points of accuracy, and an "
        f"interval from fewer than {FEW_CLIPS} clips is too narrow. Add recordings, or test all groups: "
        "compare.folds=group."
    )


def validation_and_test(row: MethodRow, comparison: ComparisonRecord) -> str:
    """Write a method's validation and test figure, with their clips and the groups of the clips."""
    judged = f"{percent(row['validation'])} ({_clips(row['validation_clips'], 'validation', comparison)})"
    interval = f"{percent(row['low'])} to {percent(row['high'])}"
    tested = f"{percent(row['value'])} ({interval}; {_clips(comparison.get('clips', 0), 'test', comparison)})"
    return f"validation {judged}, test {tested}"


def _clips(count: int, split: str, comparison: ComparisonRecord) -> str:
    """Write the clips of a split, and their groups: "80 clips, group b"."""
    own = split == "test" or comparison.get("choose_by", "validation") == "validation"  # else of training, too
    names = comparison.get("split_groups", {}).get(split, []) if own else []
    several = f"{plural(len(names), 'group')} {listed(names)}" if len(names) <= MAX_GROUPS else f"{len(names)} groups"
    return f"{counted(count, 'clip')}, {several}" if names else counted(count, "clip")


def gap(comparison: ComparisonRecord) -> str | None:
    """Warn of validation and test figures that differ by more than chance; None if they do for no method."""
    methods = comparison["methods"]
    apart = sorted(filter(gap_shown, methods), key=lambda row: -abs(row["gap"]))
    if not apart:
        return None
    shown = next((row for of in references(comparison) for row in apart if row["of"] == of), apart[0])
    interval = f"{points(shown['gap_low'])} to {points(shown['gap_high'])}"
    tried = " The figure on validation is that of the best penalty, so it is a little too high by itself."
    return (
        f"Validation and test differ by more than chance for {len(apart)} of {counted(len(methods), 'method')}. "
        f"{heading(shown['of'])}: {validation_and_test(shown, comparison)}, a gap of {points(shown['gap'])} points "
        f"({interval}, for all methods at once).{tried if shown['gap'] > 0 else ''}"
        f"{gap_remedy(comparison)}"
    )


def gap_remedy(comparison: ComparisonRecord) -> str:
    """Say what figures over single groups are worth, and how each group is tested; "" where folds do so already."""
    groups = comparison.get("split_groups", {})
    if not all(groups.get(split) for split in ("validation", "test")):
        return ""
    alone = "one group each: " if all(len(names) == 1 for names in groups.values()) else ""
    return f" The clips come from other groups, {alone}wordless run with compare.folds=group holds out each."


def standing(comparison: ComparisonRecord) -> list[str]:
    """Write which methods are worse than the GPT, which are better, and which the test clips do not separate.

    Where the comparison has other references, they take the GPT's place, one after the other.
    """
    return [sentence for of in references(comparison) for sentence in _standing(comparison, of)]


def _standing(comparison: ComparisonRecord, of: str) -> list[str]:
    rows = [row for row in comparison.get("differences", []) if row["of"] == of]
    name = "The GPT" if of == GPT else full_name(of)
    undecided = "The interval includes 0 for" if of == GPT else f"Between {name} and these, the interval includes 0:"
    better, worse = f"{name} is better than", f"{name} is worse than"
    known = {row["against"]: row for row in rows}
    shown = [known[name] for name in shown_in("summary", known)] or rows[:MAX_FOLDS]
    sentences: dict[str, list[str]] = {better: [], worse: [], undecided: []}
    for row in shown:
        begin = better if row["low"] > 0 else worse if row["high"] < 0 else undecided
        sentences[begin].append(f"{full_name(row['against'])}: {difference(row, comparison)}")
    return [f"{begin} {'; '.join(several)}." for begin, several in sentences.items() if several]


def difference(row: DifferenceRow, comparison: ComparisonRecord) -> str:
    """Write a difference with its interval and p-value and, where there are several folds or seeds, their intervals."""
    over_clips = f"{points(row['low'])} to {points(row['high'])}, {significance(row.get('p'))}"
    low, high = row.get("fold_low"), row.get("fold_high")
    known = has_folds(comparison) and low is not None and high is not None
    over_folds = f"; {points(low)} to {points(high)} over {fold_noun(comparison)}s" if known else ""
    low, high = row.get("seed_low"), row.get("seed_high")
    over_seeds = "" if low is None or high is None else f"; {points(low)} to {points(high)} over seeds"
    return f"{points(row['value'])} points ({over_clips}{over_folds}{over_seeds})"


def candidates(row: MethodRow) -> str:
    """List what validation chose, the most frequent first, with the number of folds where they differ."""
    counts = Counter(row.get("chosen", {}).values())
    return ", ".join(f"{name} ({count}×)" if len(counts) > 1 else name for name, count in counts.most_common()) or "–"


def each_seed(row: MethodRow) -> str:
    """List what a method reaches with each seed; an older run does not know it."""
    return ", ".join(map(percent, row.get("seeds", {}).values())) or "–"


def _method_lines(comparison: ComparisonRecord) -> Iterator[str]:
    if not has_folds(comparison):
        yield setting(comparison)
    if warning := few_clips(comparison):
        yield f"Warning: {warning}"
    if found := gap(comparison):
        yield f"Warning: {found}"
    if few := few_groups(comparison):
        yield few
    shown = comparison["methods"][:MAX_LINES]
    width = max((len(full_name(row["of"])) for row in shown), default=0)
    for row in shown:
        value = f"{percent(row['value'])} ({percent(row['low'])} to {percent(row['high'])})"
        judged = f"validation {percent(row.get('validation'))}"
        others = f"macro F1 {percent(row.get('macro_f1'))}  {judged}  {candidates(row)}"
        yield f"{full_name(row['of']):{width}}  {value}  {others}"
    rows = comparison.get("differences", [])
    for each in [row for of in references(comparison) for row in [row for row in rows if row["of"] == of][:MAX_LINES]]:
        against = f"{full_name(each['of'])} against {full_name(each['against'])}"
        yield f"{against:{width + 12}}  {difference(each, comparison)}"


def provenance_rows(source: Provenance) -> Iterator[tuple[str, str]]:
    """List what the results were made with, a name and a value for each row."""
    yield "Wordless", source["version"]
    yield "commit", source["commit"] or "not a git checkout"
    yield "date", source["date"].replace("T", " ").replace("+00:00", " UTC")
    yield "machine", _machine(source["machine"])
    yield "operating system", source["system"]
    yield "Python", source["python"]
    yield "device", source["device"]
    yield "threads", number(source["threads"])
    yield "ranks", number(source["ranks"])
    for stage, count in source["parameters"].items():
        yield f"parameters, {full_name(stage)}", number(count)
    yield from source["libraries"].items()


def option_lines(config: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Write each option as the command line takes it: ``audio.n_mels=80``."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from option_lines(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


def _machine(machine: MachineRecord) -> str:
    size = "" if machine["memory"] is None else f", {machine['memory'] / 1e9:.0f} GB of memory"
    return f"{machine['cpu']}, {counted(machine['cores'], 'core')}{size}"
