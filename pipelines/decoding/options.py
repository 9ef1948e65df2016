"""Options of ``wordless decode`` and ``wordless generate``."""

import math
from dataclasses import dataclass
from pathlib import Path

from pipelines.commandline.outputs import require_kind
from vocoder.kinds import BY_KEY, CHOICES, Kind
from vocoder.sampling import EngineChoice, Sampling
from wordless.base.configuration import match_choice
from wordless.base.devices import Device
from wordless.base.errors import InputError
from wordless.base.ranges import require

MOST_CODES_PER_UNIT = 1000
NONE = "none"  # in place of a kind of sound: only codes


def sample_name(number: int) -> str:
    """Return the file name of a generated sound, from which the random numbers of its vocoder follow."""
    return f"sample_{number}.wav"


@dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """Options of ``wordless decode``."""

    model: Path  # folder of a run
    input: Path  # codes: a Parquet file, a codes folder, or text units
    output: Path  # a folder, or a .wav file for a single clip
    codes_per_unit: int | None  # codes that a unit stands for; None: durations, or one code where repeats are kept
    synthesis: str  # key of a kind of sound
    group: str | None  # voice; null: the clip's group in the codes, else the average
    temperature: float
    top_p: float
    postfilter: float  # strength of WaveNet's post-filter
    postfilter_passes: int
    seed: int
    device: Device
    engine: EngineChoice

    def __post_init__(self) -> None:
        match_choice(CHOICES, self.synthesis, option="synthesis")
        _ = self.sampling  # refuses values that are out of range
        require_kind(self.output, (".wav",), possible="a folder, or for a single clip a file ending in .wav")
        if self.codes_per_unit is not None:
            rule = f"choose 1 to {MOST_CODES_PER_UNIT} codes, or null"
            given = self.codes_per_unit
            require(1 <= given <= MOST_CODES_PER_UNIT, "codes_per_unit", given, rule)
            if self.holds_codes:
                raise InputError(
                    f"codes_per_unit={given}, and input={self.input} holds codes, whose length is known; leave "
                    "codes_per_unit out, or name text units"
                )

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
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            postfilter=self.postfilter,
            postfilter_passes=self.postfilter_passes,
            engine=self.engine,
            group=self.group,
        )


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """Options of ``wordless generate``."""

    model: Path  # folder of a run
    output: Path  # a new folder, or a .wav file for a single sample
    prompt: Path | None  # a recording to continue; null: start from nothing
    include_prompt: bool  # let the sounds begin with the prompt itself
    seconds: float  # of new sound
    num_samples: int
    temperature: float  # of the language model
    top_k: int
    top_p: float
    max_repeats: int
    seed: int
    synthesis: str  # key of a kind of sound, or none: codes only
    vocoder_temperature: float
    postfilter: float  # strength of WaveNet's post-filter
    postfilter_passes: int
    group: str | None  # voice; null: the average
    device: Device
    engine: EngineChoice

    def __post_init__(self) -> None:
        rule = "ask for more than 0 seconds of new sound"
        require(0 < self.seconds < math.inf, "seconds", self.seconds, rule)
        require(self.num_samples >= 1, "num_samples", self.num_samples, "ask for at least 1")
        match_choice((*CHOICES, NONE), self.synthesis, option="synthesis")
        temperature = self.vocoder_temperature
        require(0 <= temperature < math.inf, "vocoder_temperature", temperature, "choose 0 or more, 1 as learned")
        _ = self.sampling  # refuses values that are out of range
        require_kind(self.output, (".wav",), possible="a new folder, or for a single sample a file ending in .wav")
        if self.single and self.num_samples > 1:
            raise InputError(
                f"output={self.output} is one sound, but num_samples is {self.num_samples}; choose num_samples=1, or "
                "name a folder"
            )
        if self.single and self.kind is None:
            raise InputError(
                f"output={self.output} is a sound, but synthesis=none makes codes alone; choose "
                f"{' or '.join(f'synthesis={key}' for key in CHOICES)}, or name a folder"
            )
        if self.kind is None and self.group is not None:
            raise InputError(f"group={self.group}, but synthesis=none makes no sound; leave one of them out")

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
        return Sampling(
            temperature=self.vocoder_temperature,
            seed=self.seed,
            postfilter=self.postfilter,
            postfilter_passes=self.postfilter_passes,
            engine=self.engine,
            group=self.group,
        )
