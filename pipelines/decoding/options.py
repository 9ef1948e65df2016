"""Options of ``wordless decode`` and ``wordless generate``."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.commandline.inputs import DEVICE, MODEL
from pipelines.commandline.outputs import require_kind
from vocoder.kinds import BY_KEY, CHOICES, Kind
from vocoder.sampling import (
    MOST_PASSES,
    PASSES,
    POSTFILTER,
    POSTFILTER_PASSES,
    TEMPERATURE,
    VOCODER_TEMPERATURE,
    VOCODER_TOP_P,
    WAVENET_ENGINE,
    EngineChoice,
    Sampling,
)
from wordless.base.devices import Device
from wordless.base.errors import InputError
from wordless.base.options import REQUIRED, Options, option
from wordless.base.seeds import MAX_SEED

NONE = "none"  # in place of a kind of sound: only codes


def sample_name(number: int) -> str:
    """Return the file name of a generated sound, from which the random numbers of its vocoder follow."""
    return f"sample_{number}.wav"


@dataclass(frozen=True, kw_only=True)
class SoundOptions(Options):
    """Options of all commands that make sound."""

    postfilter: float = option(1.0, POSTFILTER, least=0, most=1)
    postfilter_passes: int = option(PASSES, POSTFILTER_PASSES, least=1, most=MOST_PASSES)
    device: Device = option("auto", DEVICE)
    engine: EngineChoice = option("auto", WAVENET_ENGINE)

    def sampled(self, *, temperature: float, top_p: float = 1.0, seed: int = 0, group: str | None = None) -> Sampling:
        """Return the sampling options of WaveNet."""
        return Sampling(
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            postfilter=self.postfilter,
            postfilter_passes=self.postfilter_passes,
            engine=self.engine,
            group=group,
        )


@dataclass(frozen=True, kw_only=True)
class DecodeConfig(SoundOptions):
    """Options of ``wordless decode``.

    Clips of a minute or more are decoded one at a time. If you press Ctrl-C then, NAME.partial.wav keeps the finished
    part of the clip, and the same command decodes this clip again.
    example: wordless decode model=runs/x input=codes.parquet output=sounds
    """

    model: Path = option(REQUIRED, MODEL)
    input: Path = option(
        REQUIRED,
        "codes: a .parquet file, a folder of codes, or text units of this run's tokenizer (name|1 2 3, JSON lines)",
    )
    codes_per_unit: int | None = option(
        None,
        "number of codes of each text unit without repeats and durations; null: such units are refused, since the "
        "length of their sound is not known",
        least=1,
        most=1000,
    )
    output: Path = option(
        REQUIRED,
        "a folder, or a .wav file for a single clip; a command that was killed resumes after its finished clips",
    )
    synthesis: str = option("wavenet", "what turns codes into sound", choices=CHOICES)
    group: str | None = option(
        None, "voice; null: the voice that the codes name for each clip, or else the average voice"
    )
    temperature: float = option(TEMPERATURE, VOCODER_TEMPERATURE, least=0)
    top_p: float = option(1.0, VOCODER_TOP_P, above=0, most=1)
    seed: int = option(
        0,
        "seed of the drawn sounds: with the name of a clip it decides the sound, whatever the other clips",
        least=0,
        most=MAX_SEED,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind(self.output, (".wav",), possible="a folder, or for a single clip a file ending in .wav")
        if self.codes_per_unit is not None and self.holds_codes:
            rule = f"input={self.input} holds codes, whose length is known"
            remedy = "leave codes_per_unit out, or name text units"
            raise InputError(option="codes_per_unit", value=self.codes_per_unit, rule=rule, remedy=remedy)

    @property
    def holds_codes(self) -> bool:
        """Whether the input is Parquet, and not text units."""
        return self.input.is_dir() or self.input.suffix == ".parquet"

    @property
    def single(self) -> bool:
        """Whether the output is one file."""
        return self.output.suffix.lower() == ".wav"

    @property
    def kind(self) -> Kind:
        """The kind of sound to make."""
        return BY_KEY[self.synthesis]

    @property
    def sampling(self) -> Sampling:
        """Sampling options of the sound."""
        return self.sampled(temperature=self.temperature, top_p=self.top_p, seed=self.seed, group=self.group)


@dataclass(frozen=True, kw_only=True)
class GenerateConfig(SoundOptions):
    """Options of ``wordless generate``.

    example: wordless generate model=runs/x prompt=a.wav seconds=5 output=more
    """

    model: Path = option(REQUIRED, MODEL)
    output: Path = option(
        REQUIRED, "a new folder (sample_0.wav ..., codes.parquet), or a .wav file for a single sample"
    )
    prompt: Path | None = option(None, "a recording that is continued; null: the GPT also generates the beginning")
    include_prompt: bool = option(
        True, "whether the sounds begin with the prompt; WaveNet then continues the prompt without a click"
    )
    seconds: float = option(5.0, "seconds of new sound, after the prompt", above=0)
    num_samples: int = option(4, "number of sounds", least=1)
    temperature: float = option(0.9, "temperature of the GPT; 0: always the most probable code", least=0)
    top_k: int = option(50, "the GPT draws from this number of most probable codes; 0: all codes", least=0)
    top_p: float = option(
        1.0, "the GPT draws from the most probable codes that together reach this probability", above=0, most=1
    )
    max_repeats: int = option(
        0, "largest number of repeats of a block of up to 16 codes in a row; 0: no limit", least=0
    )
    seed: int = option(0, "the same seed gives the same sounds", least=0, most=MAX_SEED)
    synthesis: str = option("wavenet", "what turns codes into sound; none: codes only", choices=(*CHOICES, NONE))
    vocoder_temperature: float = option(TEMPERATURE, VOCODER_TEMPERATURE, least=0)
    group: str | None = option(None, "voice; null: the average voice")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind(self.output, (".wav",), possible="a new folder, or for a single sample a file ending in .wav")
        if self.single and self.num_samples > 1:
            rule = f"it is one sound, and num_samples is {self.num_samples}"
            remedy = "choose num_samples=1, or name a folder"
            raise InputError(option="output", value=self.output, rule=rule, remedy=remedy)
        if self.single and self.kind is None:
            rule = "it is a sound, and synthesis=none makes codes alone"
            remedy = f"choose {' or '.join(f'synthesis={key}' for key in CHOICES)}, or name a folder"
            raise InputError(option="output", value=self.output, rule=rule, remedy=remedy)
        if self.kind is None and self.group is not None:
            rule = "synthesis=none makes no sound: leave one of them out"
            raise InputError(option="group", value=self.group, rule=rule)

    @property
    def single(self) -> bool:
        """Whether the output is one file."""
        return self.output.suffix.lower() == ".wav"

    @property
    def kind(self) -> Kind | None:
        """The kind of sound to make; None: only codes."""
        return BY_KEY.get(self.synthesis)

    @property
    def sampling(self) -> Sampling:
        """Sampling options of the sound; the language model has its own."""
        return self.sampled(temperature=self.vocoder_temperature, seed=self.seed, group=self.group)
