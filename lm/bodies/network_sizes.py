"""Options of the networks that read clips: batches, augmentations, targets, and sizes. PyTorch is not imported."""

from dataclasses import dataclass
from typing import Literal

from lm.lm_options import Means
from wordless.audio.audio_options import Convolutions
from wordless.base.options import CausalSizes, Options, TransformerSizes, option


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig(Options):
    """Strength of the augmentations; every amount is drawn anew for each clip. Zeros change nothing."""

    crop: float = option(0.6, "smallest share of a clip that is kept", above=0, most=1)
    speed: float = option(0.25, "largest change of speed: 0.25 is 25 % faster, or slower by the same factor", least=0)
    formant: float = option(
        0.25, "largest shift of the mel bands: 0.25 is 25 % higher, or lower by the same factor", least=0
    )
    gain_db: float = option(6.0, "largest change of level in dB", least=0)
    mix: float = option(0.3, "share of clips to which another clip is added", least=0, most=1)
    mix_db: float = 10.0  # smallest level difference in dB by which the added clip is softer
    noise: float = option(
        0.2, "largest standard deviation of the added noise, in standard deviations of each mel band", least=0
    )
    time_masks: int = option(1, "number of time masks", least=0)
    time_mask: float = 0.2  # longest time mask as a share of the clip
    mel_masks: int = option(1, "number of mel masks", least=0)
    mel_mask: float = 0.2  # widest mel mask as a share of the bands
    blocks: int = option(0, "number of removed rectangles of time and bands", least=0)
    block: float = option(0.3, "largest sides of a rectangle as shares of the clip and of the bands", least=0, most=1)
    blur: float = option(0.0, "largest standard deviation of a Gaussian blur, in frames and in mel bands", least=0)
    time_flip: float = option(0.0, "share of clips that are reversed in time", least=0, most=1)
    mel_flip: float = option(0.0, "share of clips whose mel bands are reversed", least=0, most=1)


@dataclass(frozen=True, kw_only=True)
class WaveformAugmentationConfig(Options):
    """Strength of the augmentations; every amount is drawn anew for each clip. Zeros change nothing."""

    crop: float = 0.9  # smallest share of a clip that is kept
    rate: float = option(
        0.25,
        "largest change of the playing rate: 0.25 is 25 % slower and lower, or faster and higher by the same factor",
        least=0,
        most=1,
    )
    mix: float = 0.2  # share of clips to which another clip is added
    mix_db: float = 10.0  # smallest level difference in dB by which the added clip is softer
    noise: float = option(0.1, "largest level of added white noise, relative to the level of the clip", least=0)
    time_masks: int = 1  # number of silenced passages
    time_mask: float = 0.1  # longest silenced passage as a share of the clip


@dataclass(frozen=True, kw_only=True)
class ClipsOfBatches(Options):
    """Options that training batches of all kinds have."""

    batch_size: int = option(32, "clips per step, over all processes", least=2)
    # number of batches whose clips are sorted by length together, which saves padding; 1: no sorting
    pool_batches: int = 4
    seed: int = 0  # seed of the order of clips


@dataclass(frozen=True, kw_only=True)
class ClipBatchConfig(ClipsOfBatches):
    """Options of training batches of spectrograms."""

    batch_size: int = 96
    max_frames: int = option(
        300, "longest piece of a clip in frames; a random piece is cut from a longer clip", least=1
    )

    def share(self, part: int, parts: int) -> slice:
        """Return part ``part`` of ``parts`` of a batch; refuse a batch that cannot be divided equally."""
        rule = f"{parts} (processes times accumulation steps) share it: choose a multiple of {parts}"
        self.refuse_if(self.batch_size % parts, "batch_size", rule)
        return slice(part, None, parts)


@dataclass(frozen=True, kw_only=True)
class WaveformBatchConfig(ClipsOfBatches):
    """Options of training batches of waveforms."""

    max_seconds: float = option(
        3.0, "longest piece of a clip in seconds; a random piece is cut from a longer clip", above=0
    )

    def at_rate(self, sample_rate: float) -> ClipBatchConfig:
        """Return the options of batches in which a frame is a sample."""
        samples = max(round(self.max_seconds * sample_rate), 1)
        return ClipBatchConfig(
            batch_size=self.batch_size, max_frames=samples, pool_batches=self.pool_batches, seed=self.seed
        )


@dataclass(frozen=True, kw_only=True)
class ConvEncoderConfig(Options):
    """Sizes of a convolutional encoder."""

    channels: tuple[int, ...] = option((32, 64, 128, 256), "channels of each block", least=1, filled=True)
    bands: int = 4  # number of parts of the mel axis that are pooled separately

    @property
    def hops(self) -> tuple[int, ...]:
        """Spectrogram frames between two frames of each block: the first three halve the rate. All halve the bands."""
        return tuple(2 ** min(number, 3) for number in range(1, 1 + len(self.channels)))

    @property
    def dim(self) -> int:
        """Features per frame of the last block: each channel in each band."""
        return self.bands * self.channels[-1]


@dataclass(frozen=True, kw_only=True)
class ContrastConfig(Options):
    """Options of the contrastive loss of SimCLR."""

    pooling: Means = "thirds"  # pooling over time before the projection head
    hidden: int = 256  # width of the projection head's hidden layer
    dim: int = 128  # width of the vectors that NT-Xent compares
    temperature: float = 0.1  # temperature of NT-Xent


AstSize = Literal["tiny", "small", "base"]  # the sizes of DeiT: 192, 384 and 768 wide
AST_HEADS: dict[AstSize, int] = {"tiny": 3, "small": 6, "base": 12}
AST_LAYERS = 12  # of every size


@dataclass(frozen=True, kw_only=True)
class AstConfig(Options):
    """Options of the transformer and its initial weights. All sizes have 12 layers, as those of DeiT have."""

    size: AstSize = option("tiny", "the sizes of AST and DeiT: 192, 384 or 768 channels, 12 layers each")
    weights: str | None = option(
        None, "Hugging Face folder or hf://user/name of an AST, DeiT or ViT model; null: random weights"
    )
    layers: tuple[int, ...] = (4, 8, 12)  # layers whose states are probed
    patches: int = option(
        101, "patches along time per input: 101 are 10.1 seconds; a longer clip is read in pieces", least=1
    )

    @property
    def width(self) -> int:
        """Dimensions of a token; each head is 64 wide."""
        return 64 * AST_HEADS[self.size]


@dataclass(frozen=True, kw_only=True)
class SoundGPTConfig(CausalSizes):
    """Sizes of the causal transformer that reads log-mel and predicts codes."""

    model_dim: int = 128
    layers: int = 4
    heads: int = 4
    ffn_dim: int = 336
    channels: tuple[int, ...] = option(
        (16, 32),
        "channels of each causal convolution over time and mel bands in front of the transformer",
        least=1,
        filled=True,
    )
    dropout: float = 0.1  # also on the inputs


Variant = Literal["plain", "pooling", "wavelet"]
MOST_LEVELS = 16  # windows of up to 32,768 patches, to which shorter clips are padded


@dataclass(frozen=True, kw_only=True)
class AudioTransformerConfig(TransformerSizes):
    """Sizes of the network, and what happens between its layers."""

    variant: Variant = option(
        "wavelet", "what happens between layers; pooling halves the rate, wavelet lowers that of half of the dimensions"
    )
    patch_ms: float = 25.0  # length of a patch of samples in milliseconds
    front_end: int = option(2048, "filters: width of the first layer of the front end", least=1)
    width: int = option(64, "dimensions of a state", least=1)
    layers: int = 6
    heads: int = 8
    ffn_dim: int = 256
    pool_every: int = 2  # layers between two halvings of the rate; only with variant=pooling
    wavelet_levels: int = option(
        6,
        "rates of the other half of the dimensions, such as 6 for windows of 2, 4, 8, 16 and 32 patches and of the "
        "whole clip",
        least=1,
        most=MOST_LEVELS,
    )
    patches: int = 400  # patches per input: 400 are 10 seconds; a longer clip is read in pieces
    dropout: float = 0.1  # of the network

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_if(self.width % (2 * self.heads), "width", f"choose a multiple of {2 * self.heads}, twice `heads`")
        most = self.width // 2
        self.refuse_if(self.wavelet_levels > most, "wavelet_levels", f"choose at most {most}, half of width")
        rule = f"choose a multiple of {self.reduction}, as the last layer has a state for {self.reduction} patches"
        self.refuse_if(self.patches % self.reduction, "patches", rule)

    def patch(self, sample_rate: int) -> int:
        """Count the samples of a patch."""
        return max(round(sample_rate * self.patch_ms / 1000), 1)

    @property
    def reductions(self) -> tuple[int, ...]:
        """Patches for each state of each layer."""
        halves = self.variant == "pooling"
        return tuple(2 ** (layer // self.pool_every) if halves else 1 for layer in range(self.layers))

    @property
    def reduction(self) -> int:
        """Patches for each state of the last layer."""
        return self.reductions[-1]


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


TARGET_CODEBOOKS = 2


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
        for name, divisor in (("width", self.heads), ("code_dim", TARGET_CODEBOOKS)):
            self.refuse_if(getattr(self, name) % divisor, name, f"choose a multiple of {divisor}")

    @property
    def convolutions(self) -> Convolutions:
        """The frames of the model."""
        return Convolutions(kernels=self.kernels, strides=self.strides)
