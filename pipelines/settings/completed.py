"""Values of a composed config that follow from others: the embedded corpus, stages, and window and hop in samples."""

from collections.abc import Mapping
from dataclasses import asdict, replace

from pipelines.commandline.choices import LISTED, PACKED, is_embedded, with_choices
from wordless.audio.options import AudioSettings
from wordless.audio.recordings.corpus import CorpusConfig, find_recordings
from wordless.audio.recordings.embedded import PATTERN
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.errors import InputError, within
from wordless.base.values import build

EMBEDDED = "<embedded corpus>"  # stands for the root, which is known after the synthesis
EMBEDDED_SOURCE = "embedded"  # in `unlabelled`, for the embedded corpus


def with_embedded_corpus(config: Mapping[str, object]) -> dict[str, object]:
    """Return the config, with the embedded corpus if no recordings are named.

    Options for the user's own recordings are refused without their place, and so are two places.
    """
    config = with_choices(config)
    corpus = config.get("corpus")
    if isinstance(corpus, Mapping):  # a data set is unpacked into a folder with a table
        listed, packed = ([name for name in names if corpus.get(name)] for names in (LISTED, PACKED))
        if listed and packed:
            first, second = (f"corpus.{name}={corpus[name]}" for name in (packed[0], listed[0]))
            raise InputError(f"{first} has its own recordings, and {second} names others; leave one of them out")
    if isinstance(corpus, Mapping) and is_embedded(corpus):
        for name, plain in (("pattern", None), ("labels", "folder"), ("extensions", None)):
            if corpus.get(name, plain) != plain:
                raise InputError(
                    f"corpus.{name}={corpus[name]}, but neither corpus.root nor corpus.table says where the recordings "
                    f"are: add corpus.root=PATH; the built-in corpus takes no corpus.{name}"
                )
        columns = corpus.get("columns")
        for name, column in columns.items() if isinstance(columns, Mapping) else ():
            if column is not None:
                raise InputError(
                    f"corpus.columns.{name}={column}, but there is no corpus.table, corpus.dataset or corpus.shards: "
                    "name one of them, or leave the column out"
                )
        return {**config, "corpus": {**corpus, "root": EMBEDDED, "pattern": PATTERN, "labels": "pattern"}}
    return dict(config)


def with_samples(config: Mapping[str, object]) -> dict[str, object]:
    """Return the config with the front end's window and hop in samples, in ``audio`` and in ``vocoder.wavenet``."""
    values = dict(config)
    if isinstance(audio := values.get("audio"), Mapping):
        settings = build(AudioSettings, audio, name="audio")
        with within("audio"):
            spectrogram = settings.spectrogram()
        values["audio"] = asdict(spectrogram)
        match values.get("vocoder"):
            case {"wavenet": {"hop_length": None, **wavenet}, **vocoder}:
                values["vocoder"] = {**vocoder, "wavenet": {**wavenet, "hop_length": spectrogram.hop_length}}
    return values


def require_recordings(config: Mapping[str, object]) -> None:
    """Refuse a composed config whose folder or table of recordings cannot be used; nothing is decoded.

    The chain checks the same again, when its imports are done: they take seconds, and this check takes one. Data sets
    and shards must be unpacked first, and are left to the chain.

    Raises:
        InputError: the options of the corpus contradict each other, or `find_recordings` finds no recordings.
    """
    corpus = with_embedded_corpus(config).get("corpus")
    if not isinstance(corpus, Mapping):
        return
    options = build(CorpusConfig, corpus, name="corpus")
    if options.is_packed or options.root == EMBEDDED:
        return
    compare = config.get("compare")
    in_folds = isinstance(compare, Mapping) and compare.get("folds")
    with within("corpus"):
        find_recordings(replace(options, split=SplitConfig()) if in_folds else options)
