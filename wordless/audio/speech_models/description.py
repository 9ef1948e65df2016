"""The description of a speech model in a local Hugging Face folder. It is read from JSON files; no weights are read.

The frames of its stack of strided convolutions over samples::

    samples   |<- stride ->|            |            |            |
    frame 0   [  receptive field  ]
    frame 1                [  receptive field  ]
    frame 2                             [  receptive field  ]        a frame needs all of its samples
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wordless.audio.options import Convolutions
from wordless.base.errors import InputError, require, written
from wordless.base.saved_models import CONFIG, INDEX, PREPROCESSOR, WEIGHTS, weight_files
from wordless.base.values import read_json

NAMES = {"wav2vec2": "wav2vec 2.0", "hubert": "HuBERT", "wavlm": "WavLM", "data2vec-audio": "data2vec"}
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
REMEDY = "give a local folder of a Hugging Face wav2vec 2.0, HuBERT, WavLM or data2vec-audio model"
LEAST_BYTES = 8  # of weights for each layer and square of its width: four matrices of attention, in 16 bits
MOST_LAYERS = 1000
MOST_WIDTH = 100_000


@dataclass(frozen=True, kw_only=True)
class SpeechModel:
    """A self-supervised model of waveforms, as its folder describes it."""

    folder: Path
    name: str  # such as HuBERT
    sample_rate: int  # Hz, of its training
    normalises: bool  # whether it takes samples of mean 0 and variance 1
    layers: int
    width: int  # dimensions of a state
    convolutions: Convolutions

    def require_rate(self, sample_rate: int, *, option: str) -> None:
        """Refuse a run at another sample rate; ``option`` names the folder."""
        if sample_rate != self.sample_rate:
            raise InputError(
                f"{option}={self.folder} was trained at {self.sample_rate} Hz, and audio.sample_rate is {sample_rate}; "
                f"set audio.sample_rate={self.sample_rate}, to which recordings are resampled"
            )


def describe_speech_model(folder: Path, *, option: str) -> SpeechModel:
    """Read and check the description of a model; ``option`` names the folder in messages.

    Without a preprocessor_config.json, the rate is 16 kHz and samples are normalised, as transformers has it.

    Raises:
        InputError: the folder has no config.json, one of another kind of model, or no weights in safetensors.
    """
    given = f"{option}={folder}"
    config = _values(folder / CONFIG, given)
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in NAMES:
        raise InputError(f"{given} holds a model of type {written(kind)}; give one of type {', '.join(NAMES)}")
    size = _require_weights(folder, given)
    inputs = _values(folder / PREPROCESSOR, given) if (folder / PREPROCESSOR).is_file() else {}
    try:
        found = describe_values(config, inputs, folder=folder)
    except InputError as error:
        raise InputError(f"{given} holds a damaged description ({error}); {REMEDY}") from error
    if size < LEAST_BYTES * found.layers * found.width**2:
        problem = f"{given} describes {found.layers} layers of {found.width} dimensions, and {WEIGHTS} has {size} bytes"
        raise InputError(f"{problem}, which are too few; {REMEDY}")
    return found


def describe_values(config: Mapping[str, object], inputs: Mapping[str, object], *, folder: Path) -> SpeechModel:
    """Describe a model by the values of its config.json and of its preprocessor_config.json."""
    kind = str(config.get("model_type"))
    require(kind in NAMES, "model_type", kind, f"choose one of {', '.join(NAMES)}")
    return SpeechModel(
        folder=folder,
        name=NAMES[kind],
        sample_rate=_whole(inputs, "sampling_rate", 16_000, most=1_000_000),
        normalises=inputs.get("do_normalize", True) is not False,
        layers=_whole(config, "num_hidden_layers", 12, most=MOST_LAYERS),
        width=_whole(config, "hidden_size", 768, most=MOST_WIDTH),
        convolutions=Convolutions(
            kernels=_list(config, "conv_kernel", (10, 3, 3, 3, 3, 2, 2)),
            strides=_list(config, "conv_stride", (5, 2, 2, 2, 2, 2, 2)),
        ),
    )


def _values(file: Path, given: str) -> dict[str, object]:
    try:
        return read_json(file)
    except InputError as error:
        problem = f"{given} has no {file.name} that can be read ({error.problem})"
        raise InputError(f"{problem}; {REMEDY}: nothing is downloaded") from error


def _require_weights(folder: Path, given: str) -> int:
    """Return how many bytes the weights have; refuse a folder without weights in safetensors."""
    try:
        files = weight_files(folder)
    except InputError as error:
        raise InputError(f"{given} holds weights that cannot be used: {error}") from error
    if files:
        return sum(path.stat().st_size for path in files)
    pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
    if pickled:
        raise InputError(
            f"{given} holds pickled weights alone ({pickled[0]}), which could run code when they are read; save them "
            "as safetensors, with AutoModel.from_pretrained(FOLDER).save_pretrained(OTHER_FOLDER) of transformers"
        )
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    listed = f" that lists {others[0]}" if others else ""
    raise InputError(f"{given} holds no weights (there is no {WEIGHTS}, and no {INDEX}{listed}); {REMEDY}")


def _whole(values: Mapping[str, object], name: str, otherwise: int, *, most: int) -> int:
    value = values.get(name, otherwise)
    if type(value) is not int or not 1 <= value <= most:
        raise InputError(f"{name} is {written(value)}, and not a whole number of 1 to {most}")
    return value


def _list(values: Mapping[str, object], name: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    value = values.get(name, otherwise)
    if not isinstance(value, list | tuple) or not all(type(each) is int for each in value):
        raise InputError(f"{name} is {written(value)}, and not a list of whole numbers")
    return tuple(value)
