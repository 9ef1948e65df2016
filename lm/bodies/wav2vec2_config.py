"""Sizes of wav2vec 2.0, its masks and its targets, without PyTorch."""

from dataclasses import dataclass

from wordless.audio.audio_options import Convolutions
from wordless.base.options import Options, TransformerSizes, option


@dataclass(frozen=True, kw_only=True)
class MaskConfig(Options):
    """Options of masked spans of frames."""

    share: float = 0.65  # share of the frames that is masked, if spans did not overlap; 0: none
    length: int = 10  # frames of a span


MASKING = MaskConfig(share=0.1, length=5)  # of fine-tuning, a regularisation
LEAST_FRAMES = 2  # of a masked span: each frame is told from others


@dataclass(frozen=True, kw_only=True)
class TargetConfig(Options):
    """Options of masked frames and their targets."""

    masking: MaskConfig = MaskConfig(length=5)  # spans of masked frames
    negatives: int = 50  # negatives of the contrastive loss for each masked frame: other masked frames of the clip
    diversity_weight: float = 0.5  # weight of the penalty for codes that are not used
    temperature: float = 2.0  # temperature of the Gumbel softmax over codes at the first step
    final_temperature: float = 0.5  # temperature of the Gumbel softmax at the last step

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_if(self.masking.share == 0, "masking.share", "something must be masked")
        rule = f"choose {LEAST_FRAMES} or more, so that a masked frame has others beside it"
        self.refuse_if(self.masking.length < LEAST_FRAMES, "masking.length", rule)

    def temperature_at(self, progress: float) -> float:
        """Return the temperature of the Gumbel softmax after a share of the steps."""
        return float(self.temperature * (self.final_temperature / self.temperature) ** progress)


GROUPS = 2  # codebooks of the targets


@dataclass(frozen=True, kw_only=True)
class Wav2vec2Config(TransformerSizes):
    """Sizes of a model that is pre-trained here."""

    channels: int = option(128, "channels of each convolution", least=1)
    kernels: tuple[int, ...] = option((10, 3, 3, 3, 3, 2, 2), "kernel sizes of the convolutions", least=1)
    strides: tuple[int, ...] = option(
        (5, 2, 2, 2, 2, 2, 2), "strides of the convolutions: a frame for each 320 samples", least=1
    )
    width: int = option(192, "width of the transformer", least=1)
    layers: int = 4
    heads: int = 4
    ffn_dim: int = 768
    positions: int = 32  # frames that the convolution of positions sees
    codes: int = 64  # codes of each of the two codebooks of targets
    code_dim: int = 128  # width of a target
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"give as many numbers as kernels has, {len(self.kernels)}, and at least one"
        self.refuse_if(len(self.kernels) != len(self.strides) or not self.kernels, "strides", rule)
        for name, divisor in (("width", self.heads), ("code_dim", GROUPS)):
            self.refuse_if(getattr(self, name) % divisor, name, f"choose a multiple of {divisor}")

    @property
    def convolutions(self) -> Convolutions:
        """The frames of the model."""
        return Convolutions(kernels=self.kernels, strides=self.strides)
