"""Options of the bodies and heads of ``wordless finetune``, without PyTorch: an option is refused before its import."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, ClassVar, Final, Literal, cast

from lm.bodies.options import (
    MASKING,
    AstConfig,
    AudioTransformerConfig,
    AugmentationConfig,
    HeadConfig,
    MaskConfig,
    Wav2vec2Config,
    WaveformAugmentationConfig,
    WaveformBatchConfig,
)
from lm.options import LabelOptions, Means, label_names
from wordless.audio.recordings.description import LabelType
from wordless.audio.recordings.manifest import number_of
from wordless.base.errors import InputError
from wordless.base.options import Options, option
from wordless.base.text import counted
from wordless.training.options import FitConfig

FrozenLayers = int | Literal["inputs", "all"]
RunPart = Literal["tokenizer", "lm", "wav2vec2", "audio_transformer"]
RANDOM: Final = "none"  # body.weights: random weights, or those of the run
RUN: Final = "run"
BATCHES = "the batch of one training step; heads that read whole clips leave out clips of more than max_seconds"


@dataclass(frozen=True, kw_only=True)
class BodyOptions(Options):
    """Options that all bodies have."""

    name: ClassVar[str]  # in the table of bodies

    weights: str = option(
        RANDOM,
        "weights to begin with: random ones (none), those that the run trained (run; not of ast), or, but for gpt, "
        "those of a folder: a Hugging Face folder or hf://user/name of an AST, DeiT or ViT model (ast) or of a wav2vec "
        "2.0, HuBERT, WavLM or data2vec-audio model (wav2vec2), or the folder audio_transformer of a run",
    )
    frozen_layers: FrozenLayers = option(
        0,
        "number of layers, from the inputs on, whose weights stay as they are; inputs: only what embeds the inputs, "
        "such as convolutions; all: only the head is trained",
    )
    learning_rates: tuple[float, ...] | None = option(
        None,
        "such as [1e-5, 1e-4]: trains with each of them and keeps what is best on validation; null: body.fit.lr",
        above=0,
        filled=True,
        distinct=True,
    )
    batches: WaveformBatchConfig = option(WaveformBatchConfig(max_seconds=10.0), BATCHES)
    fit: FitConfig = option(
        FitConfig(), "training; with pre-trained weights use a smaller fit.lr, of large models 1e-5 to 3e-5"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "choose 0 (none), inputs, a number of layers, or all"
        self.refuse_if(isinstance(self.frozen_layers, int) and self.frozen_layers < 0, "frozen_layers", rule)
        augmentation = getattr(self, "augmentation", None)  # of most bodies
        if augmentation is not None and augmentation.crop != 1:
            rule = "the label may belong to the whole clip: choose 1"
            raise InputError(option="augmentation.crop", value=augmentation.crop, rule=rule)

    @property
    def rates(self) -> tuple[float, ...]:
        return self.learning_rates or (self.fit.lr,)

    @property
    def own(self) -> dict[str, Any]:
        common = {field.name for field in fields(BodyOptions)}
        return {name: value for name, value in asdict(self).items() if name not in common}

    @property
    def needs(self) -> tuple[RunPart, ...]:
        """Parts of a run that `lm.finetuned.open_body` reads: the model that it trained, if its weights are wanted."""
        return (cast(RunPart, self.name),) if self.weights == RUN else ()


@dataclass(frozen=True, kw_only=True)
class GptOptions(BodyOptions):
    """The GPT of the run, which reads codes."""

    name = "gpt"

    weights: Literal["run", "none"] = RUN
    dropout: float | None = option(
        None, "dropout of the GPT in this training; null: that of its own training", least=0, below=1
    )
    random_inputs: float = 0.1  # share of the training clips' codes that random codes replace
    fit: FitConfig = FitConfig(steps=400, warmup_steps=40, weight_decay=0.05, validate_every=50)

    @property
    def needs(self) -> tuple[RunPart, ...]:
        """The tokenizer and the GPT of the run, which gives its sizes even if its weights are not wanted."""
        return "tokenizer", "lm"


@dataclass(frozen=True, kw_only=True)
class AstOptions(BodyOptions):
    """The Audio Spectrogram Transformer, which reads filter banks at 16 kHz and needs no run."""

    name = "ast"

    model: AstConfig = option(AstConfig(), "the network")
    augmentation: AugmentationConfig = option(
        AugmentationConfig(crop=1.0, speed=0.1, formant=0.1, mix=0.0, noise=0.1, time_mask=0.1, mel_mask=0.15),
        "random changes of the training clips; crop is always 1: clips are kept whole",
    )
    batches: WaveformBatchConfig = WaveformBatchConfig(batch_size=16, max_seconds=10.0)
    fit: FitConfig = FitConfig(lr=1e-4, final_lr_ratio=0.02, weight_decay=0.05, validate_every=50)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_if(self.model.weights is not None, "model.weights", "body.weights names them: leave it out")

    @property
    def needs(self) -> tuple[RunPart, ...]:
        return ()


SIZES = "the network with body.weights=none; others have their own sizes"


@dataclass(frozen=True, kw_only=True)
class WaveformBodyOptions(BodyOptions):
    """Options of bodies that read samples."""

    sample_rate: int = option(16_000, "rate of the samples in Hz with body.weights=none", least=1)
    augmentation: WaveformAugmentationConfig = option(
        WaveformAugmentationConfig(crop=1.0, rate=0.0, mix=0.0),
        "random changes of the training clips; crop is always 1: clips are kept whole. rate=0.25 helps with few "
        "recordings, if labels do not depend on speed or pitch",
    )


@dataclass(frozen=True, kw_only=True)
class Wav2vec2Options(WaveformBodyOptions):
    """wav2vec 2.0, HuBERT, WavLM or data2vec-audio, which read samples."""

    name = "wav2vec2"

    weights: str = RUN
    model: Wav2vec2Config = option(Wav2vec2Config(), f"{SIZES}; codes and code_dim are of a pre-training alone")
    masking: MaskConfig = MASKING  # spans of masked frames in training
    augmentation: WaveformAugmentationConfig = WaveformAugmentationConfig(
        crop=1.0, rate=0.0, mix=0.0, noise=0.0, time_masks=0
    )
    batches: WaveformBatchConfig = WaveformBatchConfig(batch_size=16, max_seconds=10.0)
    fit: FitConfig = FitConfig(lr=2e-4, warmup_steps=30, final_lr_ratio=0.02, validate_every=50)


@dataclass(frozen=True, kw_only=True)
class AudioTransformerOptions(WaveformBodyOptions):
    """The Audio Transformer, which reads patches of samples."""

    name = "audio_transformer"

    model: AudioTransformerConfig = option(AudioTransformerConfig(), SIZES)
    fit: FitConfig = FitConfig(steps=600, final_lr_ratio=0.02, weight_decay=0.05, validate_every=50)


BODY_OPTIONS: dict[str, type[BodyOptions]] = {
    each.name: each for each in (GptOptions, AstOptions, Wav2vec2Options, AudioTransformerOptions)
}


@dataclass(frozen=True, kw_only=True)
class HeadOptions(Options, ABC):
    """Options of a head."""

    name: ClassVar[str]  # in the table of heads
    label_type: ClassVar[LabelType]
    reads_whole_clips: ClassVar[bool] = False  # the label is wrong for a part of the clip

    @abstractmethod
    def require(self, labels: Sequence[str]) -> None:
        """Refuse labels that the head cannot learn, before any recording is decoded."""

    def least_states(self, label: str, states_per_second: float) -> int:
        """Count the states that a clip needs for its label."""
        return 1


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions(HeadConfig, LabelOptions, HeadOptions):
    """One class for each clip, or several."""

    name = "classification"
    label_type = "class"

    def names(self, label: str) -> tuple[str, ...]:
        return label_names(label, self.label_separator)

    def require(self, labels: Sequence[str]) -> None:
        classes = {name for label in labels for name in self.names(label)}
        if len(classes) < 2:
            found = f"all {counted(len(labels), 'clip')} with a label have {min(classes)!r}" if classes else "none"
            raise InputError(
                f"head=classification needs at least 2 classes, and {found}: put each class into its own sub-folder, "
                "or name the labels in corpus.pattern or corpus.table"
            )


@dataclass(frozen=True, kw_only=True)
class RegressionOptions(HeadOptions):
    """A number for each clip (corpus.label_type=number)."""

    name = "regression"
    label_type = "number"

    pooling: Means = option("mean", "pooling of the states over time")
    dropout: float = 0.1  # dropout before the linear layer

    def require(self, labels: Sequence[str]) -> None:
        require_numbers(labels)
        if len({*map(number_of, labels)}) < 2:
            found = f"all labels are {labels[0]}" if labels else "no recording has a label"
            raise InputError(
                f"head=regression needs at least 2 different numbers, and {found}: name them in a column label of "
                "corpus.table"
            )


def require_numbers(labels: Sequence[str]) -> None:
    """Refuse labels that are no finite numbers."""
    for label in labels:
        if number_of(label) is None:
            problem = f"a label is {label!r:.40}, and head=regression learns finite numbers"
            raise InputError(f"{problem}; write one such as 3.5, or leave the recording unlabelled")


def require_decoder(*, otherwise: str = "") -> None:
    """Refuse a beam search if its library is not installed; ``otherwise`` is a remedy beside its installation."""
    if find_spec("flashlight") is None:
        problem = "head.beam_size asks for a beam search, and flashlight-text is not installed"
        raise InputError(problem, remedy=f"pip install 'wordless[ctc]'{otherwise}")


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(HeadOptions):
    """The text of each clip, character by character (corpus.label_type=text)."""

    name = "sequence"
    label_type = "text"
    reads_whole_clips = True

    dropout: float = 0.1  # dropout before the linear layer
    # least steps of the outputs per second; a body with fewer states gives several steps for each
    least_steps_per_second: float = 50.0
    beam_size: int = option(
        0,
        "number of hypotheses of a beam search beside the greedy decoding (needs the extra ctc); 0: no beam search",
        least=0,
    )

    def text(self, label: str) -> str:
        """Return the text that is learned: single spaces, and small letters."""
        return " ".join(label.split()).lower()

    def steps_per_state(self, states_per_second: float) -> int:
        return math.ceil(self.least_steps_per_second / states_per_second)

    def least_states(self, label: str, states_per_second: float) -> int:
        """Count the states that a text needs: by CTC a step for each character, and one between two that are equal."""
        text = self.text(label)
        steps = len(text) + sum(one == other for one, other in pairwise(text))
        return -(-steps // self.steps_per_state(states_per_second))

    def require(self, labels: Sequence[str]) -> None:
        without = [label for label in labels if not any(character.isalpha() for character in label)]
        if without or not labels:
            found = f"{len(without)} labels have none, such as {without[0]!r:.40}" if without else "there is no label"
            raise InputError(
                f"head=sequence spells texts by their letters, and {found}; write what is said, or give names: "
                "corpus.label_names={'7': seven}"
            )
        if self.beam_size:
            require_decoder(otherwise=", or decode greedily: head.beam_size=0")


HEAD_OPTIONS: dict[str, type[HeadOptions]] = {
    each.name: each for each in (ClassificationOptions, RegressionOptions, SequenceOptions)
}
