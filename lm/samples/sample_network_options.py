"""Options of language models of samples."""

from dataclasses import asdict, dataclass
from math import prod

from vocoder.vocoder_options import LEVELS, WaveNetConfig, WaveNetSizes
from wordless.base.options import BatchSize, CausalSizes, Options, option

MOST_PAST = 1 << 20  # samples


@dataclass(frozen=True, kw_only=True)
class ContextConfig(Options):
    """Sizes of the network that reads the longer past."""

    strides: tuple[int, ...] = option(
        (4, 4, 4),
        "convolutions of samples to frames; their product is the number of samples per frame",
        least=2,
        filled=True,
    )
    channels: int = option(24, "channels of all convolutions", least=1)
    layers: int = option(7, "dilated convolutions over frames; each of them doubles the past", least=1, most=20)

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"the context would reach back more than {MOST_PAST} samples: choose fewer layers"
        self.refuse_if(self.past > MOST_PAST, "layers", rule)

    @property
    def frame_length(self) -> int:
        """Samples of a frame."""
        return prod(self.strides)

    @property
    def past(self) -> int:
        """Samples before a frame that its vector depends on; whole frames."""
        return self.frame_length << self.layers


@dataclass(frozen=True, kw_only=True)
class SampleCropsConfig(BatchSize):
    """Options of cutting clips into crops."""

    batch_size: int = 4
    samples: int = option(3200, "samples of a crop that are predicted; their past is read as well", least=1)
    seed: int = 0  # seed of the crops


POSITIONS = 1 << 16  # of one sequence; far positions round the rotary angles more coarsely
MOST_CONTEXT = POSITIONS // 4  # samples, so that a sequence has room for what follows


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(CausalSizes):
    """Sizes of a transformer over samples."""

    sample_rate: int = 16_000  # Hz; that of the front end
    context_ms: float = option(
        100.0, "milliseconds of sound that all layers together see; each layer sees an equal part", above=0
    )
    model_dim: int = 64
    layers: int = 4
    heads: int = 2
    ffn_dim: int = 184
    context: ContextConfig | None = option(None, "network that reads a longer past; null: none")

    def require_room(self) -> None:
        """Refuse a context of too few samples, or too many for the positions.

        A config alone may have such a context, because every run has a config, and its default context of 100 ms is too
        long at high sample rates, and too short below 100 Hz.
        """
        rule = f"each of {self.layers} layers sees {self.window} samples, and needs 2: choose a longer context"
        self.refuse_if(self.window < 2, "context_ms", rule)
        rule = f"these are {self.receptive_field} samples, and {MOST_CONTEXT} fit: choose a shorter context"
        self.refuse_if(self.receptive_field > MOST_CONTEXT, "context_ms", rule)

    @property
    def window(self) -> int:
        """Samples that each layer attends to."""
        return round(self.context_ms / 1000 * self.sample_rate) // self.layers

    @property
    def receptive_field(self) -> int:
        """Number of previous samples that the layers see."""
        return 1 + self.layers * (self.window - 1)

    @property
    def history(self) -> int:
        """Number of levels before the first target's own input that the model reads; whole frames of the context."""
        return self.receptive_field - 1 + (self.context.past if self.context else 0)


FRAME = 64  # samples for which the engines are called together


@dataclass(frozen=True, kw_only=True)
class SampleWaveNetConfig(WaveNetSizes):
    """Sizes of a WaveNet over samples."""

    residual_channels: int = 32
    gate_channels: int = 64
    cycles: int = 2  # number of cycles of dilations; each cycle begins at dilation 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.network  # refuses values that are out of range

    @property
    def network(self) -> WaveNetConfig:
        """The config of the vocoder's network, without a condition."""
        return WaveNetConfig(**asdict(self), levels=LEVELS, hop_length=FRAME, condition="none")

    @property
    def receptive_field(self) -> int:
        return self.network.receptive_field

    @property
    def history(self) -> int:
        return self.receptive_field - 1
