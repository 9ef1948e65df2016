"""Options of ``wordless decode`` and ``generate``: sound from codes, of recordings or of a language model."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from lm.gpt import CodeSampling
from pipelines.store.outputs import require_kind
from pipelines.store.shared_options import ModelOptions
from pipelines.store.store import StoreOptions
from vocoder.kinds import BY_KEY, CHOICES, SynthesisMethod
from vocoder.vocoder_options import TEMPERATURE, VOCODER_TEMPERATURE, Sampling, VoiceOptions
from wordless.base.options import REQUIRED, option

_NONE = "none"  # in place of a synthesis method: only codes


@dataclass(frozen=True, kw_only=True)
class SpeechOptions(ModelOptions, VoiceOptions):
    """Options of commands that write sounds into a folder, or a single one into a file."""

    output: Path

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind(self.output, (".wav",), possible="a folder, or for a single sound a file ending in .wav")

    @property
    def single(self) -> bool:
        return self.output.suffix.lower() == ".wav"


@dataclass(frozen=True, kw_only=True)
class DecodeConfig(SpeechOptions, Sampling, StoreOptions):
    """Options of ``wordless decode``.

    Clips of a minute or more are decoded one at a time. If you press Ctrl-C then, <output>.partial.wav keeps the
    finished part of the clip, and the same command decodes this clip again.
    example: wordless decode model=runs/x input=codes.parquet output=sounds
    """

    input: Path = option(
        REQUIRED,
        "codes: a .parquet file, a folder of codes, or text units of this run's tokenizer in a .km file",
    )
    codes_per_unit: int | None = option(
        None,
        "number of codes of each text unit; null: one, and units whose repeats were merged are refused, since the "
        "length of their sound is not known",
        least=1,
        most=1000,
    )
    output: Path = option(
        REQUIRED,
        "a folder, or a .wav file for a single clip; a command that was killed resumes after its finished clips",
    )
    synthesis: str = option("wavenet", "what turns codes into sound", choices=CHOICES)
    pitch: Literal["coded", "flat", "copied"] = option(
        "coded", "melody, of codes with a stream of pitch: as it is | one pitch for each clip | that of pitch_of"
    )
    pitch_of: Path | None = option(None, "recording whose melody pitch=copied gives each clip, stretched to its length")

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"input={self.input} holds codes, whose length is known: leave it out, or name text units"
        self.refuse_if(self.codes_per_unit is not None and self.holds_codes, "codes_per_unit", rule)
        rule = "pitch=copied takes the melody of the recording pitch_of: give both, or none of them"
        self.refuse_if((self.pitch == "copied") != (self.pitch_of is not None), "pitch_of", rule)

    @property
    def retuned(self) -> bool:
        """Whether the sound gets another pitch than that of its codes."""
        return self.pitch != "coded" or self.shift != 0

    @property
    def holds_codes(self) -> bool:
        """Whether the input is Parquet, and not text units."""
        return self.input.is_dir() or self.input.suffix == ".parquet"

    @property
    def kind(self) -> SynthesisMethod:
        return BY_KEY[self.synthesis]

    @property
    def sampling(self) -> Sampling:
        return Sampling(**{field.name: getattr(self, field.name) for field in fields(Sampling)})


@dataclass(frozen=True, kw_only=True)
class GenerateConfig(SpeechOptions, CodeSampling):
    """Options of ``wordless generate``.

    example: wordless generate model=runs/x prompt=a.wav seconds=5 output=more
    """

    output: Path = option(
        REQUIRED, "a new folder (sample_0.wav ..., codes.parquet), or a .wav file for a single sample"
    )
    prompt: Path | None = option(None, "a recording that is continued; null: the GPT also generates the beginning")
    include_prompt: bool = option(
        True, "whether the sounds begin with the prompt; WaveNet then continues the prompt without a click"
    )
    seconds: float = option(5.0, "seconds of new sound, after the prompt", above=0)
    num_samples: int = option(4, "number of sounds", least=1)
    temperature: float = 0.9
    top_k: int = 50
    synthesis: str = option("wavenet", "what turns codes into sound; none: codes only", choices=(*CHOICES, _NONE))
    vocoder_temperature: float = option(TEMPERATURE, VOCODER_TEMPERATURE, least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"it is one sound, and num_samples is {self.num_samples}: choose num_samples=1, or name a folder"
        self.refuse_if(self.single and self.num_samples > 1, "output", rule)
        choices = " or ".join(f"synthesis={key}" for key in CHOICES)
        rule = f"it is a sound, and synthesis=none makes codes alone: choose {choices}, or name a folder"
        self.refuse_if(self.single and self.kind is None, "output", rule)

    @property
    def kind(self) -> SynthesisMethod | None:
        """The chosen synthesis method; None: only codes."""
        return BY_KEY.get(self.synthesis)

    @property
    def sampling(self) -> Sampling:
        """Sampling options of the sound; the language model has its own."""
        return self.sampled(temperature=self.vocoder_temperature, seed=self.seed, group=self.group)
