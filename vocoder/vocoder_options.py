"""Options of the vocoder: sizes of the network, and sampling, from a command's options to the engine.

They stand in a file of their own, because several files read them. The sizes are those of `vocoder.wavenet`, of its
inputs in `vocoder.frames` and of its crops; engines, `vocoder.generation`, `vocoder.filters`, `vocoder.synthesis` and
`vocoder.vocoder` read how sound is sampled.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from wordless.base.options import MOST_LAYERS, Options, option
from wordless.base.seeds import MAX_SEED

LEVELS = 256  # 8 bits
MAX_CYCLE = 24  # layers per cycle at most: the last dilation is 2 ** 23 samples
MAX_RECEPTIVE_FIELD = 1_000_000  # samples: a minute at 16 kHz
PITCH_INPUTS = 3  # per frame: voiced, unvoiced, height; see `vocoder.frames`
NUM_HARMONICS = 4  # of the voice, whose cosines and sines the network reads
VOICE_INPUTS = 2  # harmonics of the codes, in two bands of frequency
TAPS = 17  # samples that the network reads around that some periods back


@dataclass(frozen=True, kw_only=True)
class WaveNetSizes(Options):
    """Sizes of the dilated convolutions of a WaveNet."""

    sample_rate: int = 16_000  # Hz; that of the front end
    residual_channels: int = option(64, "channels of the residual path", least=1)
    gate_channels: int = option(128, "channels of the gates: half of them for tanh, half for sigmoid", least=2)
    skip_channels: int = option(128, "channels of the skip connections", least=1)
    layers: int = option(20, "number of dilated convolutions", least=1, most=MOST_LAYERS)
    kernel_size: int = 2  # taps of each dilated convolution


@dataclass(frozen=True, kw_only=True)
class WaveNetConfig(WaveNetSizes):
    """Sizes of a conditional WaveNet."""

    # These three are those of the tokenizer.
    hop_length: int = 160  # samples per frame
    n_mels: int = 80
    patch_frames: int = 2  # frames per code
    cycles: int = 2  # number of cycles of dilations; each cycle begins at dilation 1
    levels: int = LEVELS  # mu-law levels of a sample
    condition_channels: int = 128  # of the network that reads the codes
    condition_layers: int = 2  # layers of that network; each adds one frame of context on both sides
    condition: Literal["meaning", "none"] = "meaning"  # conditions on the codes' decoded log-mel, or on nothing
    groups: tuple[str, ...] = ()  # those of the training clips
    group_channels: int = 16  # width of each group's vector
    pitch: bool | None = option(
        None,
        "whether the network reads the pitch of the codes: F0, voicing, phase, and its own samples some periods back; "
        "null: if the weights that it begins with do, as those of vocoder.start=universal, which do not fit false",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        # A saved config may hold any number, and a network is made before its weights are compared with it.
        for name in ("cycles", "condition_layers"):
            self.refuse_if(not 1 <= getattr(self, name) <= MOST_LAYERS, name, f"choose 1 to {MOST_LAYERS}")
        rule = "tanh and sigmoid take half each: choose an even number"
        self.refuse_if(self.gate_channels % 2, "gate_channels", rule)
        rule = f"every cycle has the same layers: choose a multiple of `cycles`, {self.cycles}"
        self.refuse_if(self.layers % self.cycles, "layers", rule)
        far = self.layers // self.cycles > MAX_CYCLE or self.receptive_field > MAX_RECEPTIVE_FIELD
        rule = (
            f"with cycles={self.cycles} and kernel_size={self.kernel_size}, a sample would depend on more than "
            f"{MAX_RECEPTIVE_FIELD:,} samples before it, which are all kept: choose fewer layers or more cycles"
        )
        self.refuse_if(far, "layers", rule)
        rule = "groups or pitch would condition it: leave them out, or choose another condition"
        self.refuse_if(self.condition == "none" and (self.groups or self.pitch), "condition", rule)

    @property
    def samples_per_code(self) -> int:
        return self.patch_frames * self.hop_length

    @property
    def dilations(self) -> tuple[int, ...]:
        """Samples between the taps of each layer: 1, 2, 4, ... and again."""
        return tuple(2 ** (layer % (self.layers // self.cycles)) for layer in range(self.layers))

    @property
    def receptive_field(self) -> int:
        """Number of previous samples that a prediction depends on."""
        per_cycle = (1 << self.layers // self.cycles) - 1  # 1 + 2 + 4 + ...
        return 1 + (self.kernel_size - 1) * self.cycles * per_cycle

    @property
    def architecture(self) -> dict[str, object]:
        """The options in which a network must equal its start weights; groups and the front end's may differ."""
        free = {"sample_rate", "hop_length", "n_mels", "patch_frames", "groups", "group_channels"}
        return {name: value for name, value in asdict(self).items() if name not in free}

    @property
    def condition_inputs(self) -> int:
        """Number of condition values per frame, as of `vocoder.frames`."""
        if self.condition == "none":
            return 0
        return self.n_mels + (PITCH_INPUTS if self.pitch else 0)

    @property
    def look_ahead_frames(self) -> int:
        """Spectrogram frames before and after its own that a sample is conditioned on."""
        return 0 if self.condition == "none" else self.condition_layers


# Best on validation clips with filters; colder sampling hums: docs/log.md, "What makes a voice: older ablations".
TEMPERATURE = 1.0
# Passes of the post-filter: a WaveNet of minutes is recognised as often as its codes only from the second pass on; a
# voice of the network's own loses periodicity by the second. Keys of stored sounds do not hold these numbers, nor those
# of `vocoder.filters`: whoever changes them raises `WAVENET.version`.
PASSES, PASSES_OF_OWN_VOICE = 2, 1
MOST_PASSES = 8

VOCODER_TEMPERATURE = "temperature of WaveNet; 0: always the most probable sample; 1: the network's own probabilities"

EngineChoice = Literal["auto", "torch", "numba", "numba_bf16", "triton"]


@dataclass(frozen=True, kw_only=True)
class SoundOptions(Options):
    """Engine and filter of WaveNet's sound, wherever options of sound are given."""

    # Worth more than all else: docs/log.md, "What each part of the vocoder is worth". Two passes keep 80 % of the codes
    # where one keeps 36, and take a network's own voice away: docs/log.md, "Passes of the post-filter" and "A voice of
    # its own".
    postfilter: float = option(
        1.0, "strength of the filter that gives WaveNet's sound the spectrum of its codes; 0: none", least=0, most=1
    )
    postfilter_passes: int | None = option(
        None,
        "number of times that this filter is applied; null: twice, but once where no comb follows a network that reads "
        "the pitch of the codes; each pass delays a stream by 15 to 20 ms",
        least=1,
        most=MOST_PASSES,
    )
    pitch_comb: bool = option(
        True,
        "whether a comb filter makes voiced frames of WaveNet's sound more periodic; false: the network alone, for one "
        "that was trained on your voices for an hour",
    )
    engine: EngineChoice = option("auto", "the code that generates WaveNet's samples; auto: the fastest", decides=False)

    @property
    def chosen(self) -> dict[str, Any]:
        """The values of these options by their names."""
        return {field.name: getattr(self, field.name) for field in fields(SoundOptions)}

    def passes(self, *, own_voice: bool) -> int:
        """Return the passes of the filter; ``own_voice``: the network has a voice of its own, and no comb follows."""
        if self.postfilter_passes is not None:
            return self.postfilter_passes
        return PASSES_OF_OWN_VOICE if own_voice else PASSES

    def sampled(self, *, temperature: float, seed: int = 0, group: str | None = None, shift: float = 0.0) -> Sampling:
        return Sampling(temperature=temperature, seed=seed, group=group, shift=shift, **self.chosen)


@dataclass(frozen=True, kw_only=True)
class VoiceOptions(SoundOptions):
    """Voice and random numbers of a sound."""

    seed: int = option(
        0,
        "the same seed gives the same sounds: with the name of a clip it decides the sound, whatever the other clips",
        least=0,
        most=MAX_SEED,
    )
    group: str | None = option(
        None, "voice; null: the average voice; wordless decode: the voice that the codes name for each clip, if any"
    )


@dataclass(frozen=True, kw_only=True)
class Sampling(VoiceOptions):
    """Sampling options of a vocoder. Griffin-Lim and other kinds without learning use only the seed."""

    temperature: float = option(TEMPERATURE, VOCODER_TEMPERATURE, least=0)
    shift: float = option(0.0, "semitones by which codes with a stream of pitch sound higher", least=-24, most=24)
