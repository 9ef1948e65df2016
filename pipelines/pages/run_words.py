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
    number,
    percent,
    points,
    significance,
)
from pipelines.results.comparison import Comparison
from pipelines.results.figures import Figure
from pipelines.results.run_record import MachineRecord, Provenance, Results
from pipelines.store.stored_features import GPT
from wordless.base.text import listed, plural

MAX_FOLDS = 8  # that a sentence names
FEW_CLIPS = 50  # test clips; at 80 % accuracy the interval is then 11 points to each side
MAX_GROUPS = 3  # that a sentence names
MAX_LINES = 12  # methods, and differences of a reference, in a terminal


def summary(results: Results) -> list[str]:
    """List what a run prints at its end: two sentences, then a line for each method and each difference."""
    comparison, known = results.get("comparison"), language_lines(results)
    of_samples = sample_lines(results) if "next_sample" in results else ()
    return [*opening(results), *known, *of_samples, *(_method_lines(comparison) if comparison else [])]


def opening(results: Results) -> list[str]:
    """Write what the run learned from, and what the GPT knows: by pairs of recordings, or by a linear probe."""
    comparison, pairs = results.get("comparison"), results.get("zerospeech", {}).get("pairs")
    verb = f"learned {number(len(results['codebook']['counts']))} codes from" if "codebook" in results else "read"
    sentences = [f"This run {verb} {_recordings(results)}."]
    if comparison and comparison.has_folds:
        sentences.append(setting(comparison))
    if pairs:
        sentences.append(pair_test_sentence(results))
    elif comparison and (gpt := comparison.tested.get(GPT)):
        bag = comparison.tested.get(BAG_OF_CODES.name)
        reached = f"{percent(gpt.value)} test {full_name(comparison.metric)}"
        beside = f"; {percent(bag.value)} on counts of codes, without the order of codes" if bag else ""
        sentences.append(f"A linear probe on the GPT's states reaches {reached}{beside}.")
    if "next_sample" in results:
        sentences.append(sample_sentence(results))
    return sentences


def _recordings(results: Results) -> str:
    corpus = results.get("corpus")
    if not corpus:
        return "recordings"
    clips, whole = sum(corpus["clips"].values()), corpus.get("recordings")  # only where clips are their segments
    named = f"{counted(clips, 'clip')} of {counted(whole, 'recording')}" if whole else counted(clips, "recording")
    return f"{named} ({duration(sum(corpus['seconds'].values()))} of sound)"


def setting(comparison: Comparison) -> str:
    """Write under which conditions the methods were compared."""
    folds = comparison.folds
    named = f" ({', '.join(folds)})" if len(folds) <= MAX_FOLDS else ""
    parts = [
        *([f"{counted(len(folds), 'fold')}{named}"] if comparison.has_folds else []),
        counted(len(comparison.seeds), "seed"),
        counted(comparison.clips, "test clip"),
        counted(len(comparison.classes), "class", "classes"),
        f"{counted(comparison.layer_penalties, 'penalty', 'penalties')} per layer and pooling, "
        f"{comparison.penalties} for the chosen one",
    ]
    unlabelled = comparison.unlabelled
    left_out = f"; {counted(unlabelled, 'clip')} without a label left out" if unlabelled else ""
    return f"Protocol: {full_name(comparison.protocol)}; {', '.join(parts)}{left_out}."


def few_clips(comparison: Comparison) -> str | None:
    """Warn of too few test clips for a figure; None if there are enough."""
    clips = comparison.clips
    if not 0 < clips < FEW_CLIPS:
        return None
    return (
        f"{counted(clips, 'test clip')}: each clip is {number(round(100 / clips, 1))} points of accuracy, and an "
        f"interval from fewer than {FEW_CLIPS} clips is too narrow. Add recordings, or test all groups: "
        "compare.folds=group."
    )


def validation_and_test(of: str, comparison: Comparison) -> str:
    """Write a method's validation and test figure, with their clips and the groups of the clips."""
    validated, tested = comparison.validated[of], comparison.tested[of]
    judged = f"{percent(validated.value)} ({_clips(validated.count or 0, 'validation', comparison)})"
    interval = f"{percent(tested.low)} to {percent(tested.high)}"
    reached = f"{percent(tested.value)} ({interval}; {_clips(comparison.clips, 'test', comparison)})"
    return f"validation {judged}, test {reached}"


def _clips(count: int, split: str, comparison: Comparison) -> str:
    """Write the clips of a split, and their groups: "80 clips, group b"."""
    own = split == "test" or comparison.choose_by == "validation"  # else of training, too
    names = comparison.split_groups.get(split, []) if own else []
    several = f"{plural(len(names), 'group')} {listed(names)}" if len(names) <= MAX_GROUPS else f"{len(names)} groups"
    return f"{counted(count, 'clip')}, {several}" if names else counted(count, "clip")


def gap(comparison: Comparison) -> str | None:
    """Warn of validation and test figures that differ by more than chance; None if they do for no method."""
    gaps = comparison.gaps
    apart = sorted(
        (of for of in comparison.methods if of in gaps and gaps[of].excludes_zero), key=lambda of: -abs(gaps[of].value)
    )
    if not apart:
        return None
    of = next((of for of in comparison.known_references if of in apart), apart[0])
    shown = gaps[of]
    interval = f"{points(shown.low)} to {points(shown.high)}"
    tried = " The figure on validation is that of the best penalty, so it is a little too high by itself."
    return (
        f"Validation and test differ by more than chance for {len(apart)} of "
        f"{counted(len(comparison.methods), 'method')}. "
        f"{heading(of)}: {validation_and_test(of, comparison)}, a gap of {points(shown.value)} points "
        f"({interval}, for all methods at once).{tried if shown.value > 0 else ''}"
        f"{gap_remedy(comparison)}"
    )


def gap_remedy(comparison: Comparison) -> str:
    """Say what figures over single groups are worth, and how each group is tested; "" where folds do so already."""
    groups = comparison.split_groups
    if not all(groups.get(split) for split in ("validation", "test")) or {*groups["validation"]} & {*groups["test"]}:
        return ""
    alone = "one group each: " if all(len(names) == 1 for names in groups.values()) else ""
    return f" The clips come from other groups, {alone}wordless run with compare.folds=group holds out each."


def standing(comparison: Comparison) -> list[str]:
    """Write which methods are worse than the GPT, which are better, and which the test clips do not separate.

    Where the comparison has other references, they take the GPT's place, one after the other.
    """
    return [sentence for of in comparison.known_references for sentence in _standing(comparison, of)]


def _standing(comparison: Comparison, of: str) -> list[str]:
    rows = comparison.differences(of)
    name = "The GPT" if of == GPT else full_name(of)
    undecided = "The interval includes 0 for" if of == GPT else f"Between {name} and these, the interval includes 0:"
    better, worse = f"{name} is better than", f"{name} is worse than"
    known = {row.against: row for row in rows if row.against is not None}
    shown = [known[name] for name in shown_in("summary", known)] or rows[:MAX_FOLDS]
    sentences: dict[str, list[str]] = {better: [], worse: [], undecided: []}
    for row in shown:
        begin = undecided if not row.excludes_zero else better if (row.low or 0) > 0 else worse
        sentences[begin].append(f"{full_name(row.against or '')}: {difference(row, comparison)}")
    return [f"{begin} {'; '.join(several)}." for begin, several in sentences.items() if several]


def difference(row: Figure, comparison: Comparison) -> str:
    """Write a difference with its interval and p-value and, where there are several folds or seeds, their intervals."""
    over = [(row.fold_low, row.fold_high, f"{comparison.fold_noun}s"), (row.seed_low, row.seed_high, "seeds")]
    more = "".join(
        f"; {points(low)} to {points(high)} over {noun}"
        for low, high, noun in (over if comparison.has_folds else over[1:])
        if low is not None and high is not None
    )
    return f"{points(row.value)} points ({points(row.low)} to {points(row.high)}, {significance(row.p)}{more})"


def candidates(of: str, comparison: Comparison) -> str:
    """List what validation chose, the most frequent first, with the number of folds where they differ."""
    counts = Counter(comparison.chosen(of).values())
    return ", ".join(f"{name} ({count}×)" if len(counts) > 1 else name for name, count in counts.most_common()) or "–"


def _method_lines(comparison: Comparison) -> Iterator[str]:
    if not comparison.has_folds:
        yield setting(comparison)
    if warning := few_clips(comparison):
        yield f"Warning: {warning}"
    if found := gap(comparison):
        yield f"Warning: {found}"
    if comparison.few_groups:
        yield comparison.few_groups
    shown = comparison.methods[:MAX_LINES]
    width = max((len(full_name(of)) for of in shown), default=0)
    for of in shown:
        row, validated = comparison.tested[of], comparison.validated.get(of)
        value = f"{percent(row.value)} ({percent(row.low)} to {percent(row.high)})"
        judged = f"validation {percent(validated.value if validated else None)}"
        f1 = f"macro F1 {percent(comparison.value(of, 'macro_f1'))}"
        yield f"{full_name(of):{width}}  {value}  {f1}  {judged}  {candidates(of, comparison)}"
    for each in [row for of in comparison.known_references for row in comparison.differences(of)[:MAX_LINES]]:
        against = f"{full_name(each.of or '')} against {full_name(each.against or '')}"
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
