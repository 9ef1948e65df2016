"""Options that the user typed and that change nothing beside the others: refused, since the user expects an effect.

Contradictions of values are refused where the values are used. Here are options that are merely not read. A preset may
set them as well, so only the typed words count.
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import yaml

from foundation.errors import InputError
from pipelines.commandline.option_index import index

PLACES = ("table", "root", "dataset", "shards")
OF_STAGES = ("zerospeech", "rates", "next_sample")  # groups of options that one stage alone reads
DIVISION = ("by", "train", "validation", "test", "validation_fraction", "test_fraction", "seed")
OF_WAVENET = ("temperature", "top_p", "vocoder_temperature", "postfilter", "engine")


def require_effect(command: str, config: Mapping[str, object], words: Sequence[str]) -> None:
    """Refuse typed options that the command does not read with this config, unless they have their default value."""
    typed = [word.partition("=")[0].lstrip("+") for word in words if "=" in word and not word.startswith("-")]
    for pattern, reason in idle(command, config):
        for option in typed:
            if fnmatchcase(option, pattern) and not _is_default(command, option, config):
                raise InputError(f"{option} has no effect: {reason}; leave it out")


def idle(command: str, config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Give options that have no effect, as patterns of their names, and why."""
    if isinstance(corpus := config.get("corpus"), Mapping):
        yield from _idle_in_corpus(corpus, config)
    if command == "run":
        stages = config.get("stages") or ()
        for stage in OF_STAGES:
            if isinstance(stages, Sequence) and stage not in stages:
                yield f"{stage}.*", f"stages does not have {stage}"
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


def _idle_in_corpus(corpus: Mapping[str, object], config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    place = next((f"corpus.{name}={corpus[name]}" for name in PLACES if corpus.get(name)), None)
    unlabelled, stages = config.get("unlabelled") or (), config.get("stages") or ()
    spoken = isinstance(unlabelled, Sequence) and "embedded" in unlabelled
    if place and not spoken and not (isinstance(stages, Sequence) and "zerospeech" in stages):
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
    """Return whether an option has the value that it has if nobody sets it."""
    value: object = config
    for name in option.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    known = index(command).options.get(option)
    return known is not None and bool(yaml.safe_load(known.value) == value)
