"""Options that the user typed and that change nothing beside the others: refused, since the user expects an effect.

Contradictions of values are refused where the values are used. Here are options that are merely not read. A preset may
set them as well, so only the typed words count.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import chain

from pipelines.commandline.options import index
from wordless.base.errors import InputError

PLACES = ("table", "root", "dataset", "shards")
OF_STAGES = ("zerospeech", "rates", "next_sample")  # groups of options that one stage alone reads
# Options of the comparison that only probes read, and those that also the probe reads that names decoded sounds.
OF_PROBES = ("features*", "references", "states", "input", "assignments")
OF_JUDGES = ("methods", "layers", "poolings", "hearings", "hearing_rates")
# Options of the training of a tokenizer. The sample of patches has the statistics of frames, which other networks read.
OF_TRAINED_TOKENS = ("fit.*", "kmeans_iterations", "batch_size", "max_formants", "dynamic_ranges")
OF_WORDS = ("words", "takes")  # of the built-in corpus
DIVISION = ("by", "train", "validation", "test", "validation_fraction", "test_fraction", "seed")
OF_WAVENET = (
    *("temperature", "top_p", "vocoder_temperature", "postfilter", "postfilter_passes", "engine"),
    *("pitch_comb", "pitch", "pitch_of", "shift"),
)


# From a config and the names of the typed options: patterns of options without effect, and why.
Idle = Callable[[Mapping[str, object], Sequence[str]], Iterable[tuple[str, str]]]


def require_effect(command: str, config: Mapping[str, object], words: Sequence[str], more: Idle | None = None) -> None:
    """Refuse typed options that the command does not read with this config, unless they have their default value.

    ``more`` names further ones, those of a command whose options must be resolved first.
    """
    typed = [word.partition("=")[0].lstrip("+") for word in words if "=" in word and not word.startswith("-")]
    if not typed:
        return
    for pattern, reason in chain(idle(command, config), more(config, typed) if more is not None else ()):
        for option in typed:
            if fnmatchcase(option, pattern) and not _is_default(command, option, config):
                raise InputError(f"{option} has no effect: {reason}; leave it out")


def idle(command: str, config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Give options that have no effect, as patterns of their names, and why."""
    from pipelines.commandline.choices import with_choices  # and NumPy, which --help does without

    config = with_choices(config)
    match config:
        case {"embedded": {"sentences": int(sentences)}} if sentences > 0:
            for name in OF_WORDS:
                yield f"embedded.{name}", f"embedded.sentences is {sentences}, and words are spoken without sentences"
    if isinstance(corpus := config.get("corpus"), Mapping):
        yield from _idle_in_corpus(corpus, config)
    if command == "run":
        yield from _idle_in_run(config)
    match config:
        case {"compare": {"hearings": 1}}:
            yield "compare.hearing_rates", "compare.hearings is 1, and one hearing has the rate of the recording"
    match config:
        case {"beside": [*beside], "probe": Mapping()} if "probe" not in beside:
            yield "probe.*", "beside does not have probe"
        case {"probe": {"classifier": "ridge"}}:
            yield "probe.max_iterations", "probe.classifier=ridge is solved without iterations"
    match config:
        case {"synthesis": str(synthesis)} if synthesis != "wavenet":
            for name in OF_WAVENET:
                if command == "decode" or name not in ("temperature", "top_p"):  # of the GPT
                    yield name, f"only synthesis=wavenet reads it, and synthesis is {synthesis}"
    match config:
        case {"prompt": None, "include_prompt": _}:
            yield "include_prompt", "there is no prompt"
    match config:
        case {"temperature": 0 | 0.0}:
            for name in ("top_k", "top_p"):
                yield name, "temperature=0 always takes the most probable one"
    match config:
        case {"postfilter": 0 | 0.0} | {"listening": {"postfilter": 0 | 0.0}}:
            for name in ("postfilter_passes", "pitch_comb"):
                for place in (name, f"listening.{name}"):
                    yield place, "with postfilter=0 there is no filter"


def _idle_in_run(config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    from pipelines.commandline.choices import without_test

    stages = _names(config.get("stages"))
    for stage in OF_STAGES:
        if stage not in stages:
            why = without_test(config) if stage == "zerospeech" else None
            yield f"{stage}.*", f"stages does not have {stage}{'' if why is None else f' ({why})'}"
    if "probe" not in stages:
        judges = "vocoder" in stages or "rates" in stages
        for name in OF_PROBES if judges else (*OF_PROBES, *OF_JUDGES):
            yield f"compare.{name}", "stages does not have probe"
    match config:
        case {"listening": {"judged_clips": 0}}:
            for name in ("judges", "grammar"):
                yield f"listening.{name}", "listening.judged_clips=0 judges no sounds"
        case {"listening": {"judges": judges}}:
            named = _names(judges)
            if "words" not in named:
                yield "listening.grammar", "listening.judges does not have words"
            if judges is not None and "recognised" not in named and "rates" not in stages:
                yield "listening.judge", "listening.judges does not have recognised"
    match config:
        case {"tokenizer": {"start": str(start)}}:
            for name in OF_TRAINED_TOKENS:
                yield f"tokenizer.{name}", f"the tokenizer of tokenizer.start={start} is used as it is"


def _names(value: object) -> Sequence[object]:
    """Return the names in a list; a single one needs no brackets."""
    return [value] if isinstance(value, str) else value if isinstance(value, Sequence) else []


def _idle_in_corpus(corpus: Mapping[str, object], config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    place = next((f"corpus.{name}={corpus[name]}" for name in PLACES if corpus.get(name)), None)
    unlabelled = _names(config.get("unlabelled"))
    if place and "embedded" not in unlabelled and "zerospeech" not in _names(config.get("stages")):
        yield "embedded.*", f"{place} names other recordings than the built-in corpus"
    if place and not place.startswith("corpus.root=") and not unlabelled:
        yield "corpus.extensions", f"{place} lists the recordings"
    match config:
        case {"compare": {"folds": str(folds)}}:
            for name in DIVISION:
                yield f"corpus.split.{name}", f"compare.folds={folds} divides the recordings"
    split = corpus.get("split")
    if not isinstance(split, Mapping):
        return
    named = [name for name in ("validation", "test") if split.get(name)]
    for name in named:
        yield f"corpus.split.{name}_fraction", f"corpus.split.{name} names its clips"
    if all(name in named or not split.get(f"{name}_fraction") for name in ("validation", "test")):
        yield "corpus.split.seed", "no split is drawn"


def _is_default(command: str, option: str, config: Mapping[str, object]) -> bool:
    """Return whether an option has its default value."""
    value: object = config
    for name in option.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    known = index(command).options.get(option)
    return known is not None and known.default == value
