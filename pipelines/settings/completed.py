"""Values of a composed config that follow from other values: the embedded corpus, and window and hop in samples."""

from collections.abc import Mapping
from dataclasses import asdict

from audio.recordings.embedded import PATTERN
from audio.recordings.recording_paths import EXTENSIONS
from audio.settings import AudioSettings
from foundation.configuration import build
from foundation.errors import InputError

EMBEDDED = "<embedded corpus>"  # stands for the root, which is known after the synthesis


def with_embedded_corpus(config: Mapping[str, object]) -> dict[str, object]:
    """Return the config, with the embedded corpus if neither root nor table is given.

    Options for the user's own recordings are refused without their root.
    """
    corpus = config.get("corpus")
    if isinstance(corpus, Mapping) and corpus.get("root") is None and corpus.get("table") is None:
        for name, plain in (("pattern", None), ("labels", "folder"), ("extensions", list(EXTENSIONS))):
            if corpus.get(name, plain) != plain:
                raise InputError(
                    f"corpus.{name}={corpus[name]}, but neither corpus.root nor corpus.table says where the recordings "
                    f"are: add corpus.root=PATH; the built-in corpus takes no corpus.{name}"
                )
        return {**config, "corpus": {**corpus, "root": EMBEDDED, "pattern": PATTERN, "labels": "pattern"}}
    return dict(config)


def with_samples(config: Mapping[str, object]) -> dict[str, object]:
    """Return the config with the front end's window and hop in samples, in ``audio`` and in ``vocoder.wavenet``."""
    values = dict(config)
    if isinstance(audio := values.get("audio"), Mapping):
        spectrogram = build(AudioSettings, audio, name="audio").spectrogram()
        values["audio"] = asdict(spectrogram)
        match values.get("vocoder"):
            case {"wavenet": {"hop_length": None, **wavenet}, **vocoder}:
                values["vocoder"] = {**vocoder, "wavenet": {**wavenet, "hop_length": spectrogram.hop_length}}
    return values
