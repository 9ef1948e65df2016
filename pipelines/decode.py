"""``wordless decode``: codes -> sound, one WAV file for each clip."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from pipelines.commandline.outputs import prepare_output, require_kind
from pipelines.settings.inputs import ModelOptions
from pipelines.store.run_folder import part_of, vocoder_of
from pipelines.store.store import StoreOptions
from vocoder.kinds import BY_KEY, CHOICES, Kind
from vocoder.options import Sampling
from wordless.base.errors import InputError
from wordless.base.options import REQUIRED, option


@dataclass(frozen=True, kw_only=True)
class DecodeConfig(ModelOptions, Sampling, StoreOptions):
    """Options of ``wordless decode``.

    Clips of a minute or more are decoded one at a time. If you press Ctrl-C then, <output>.partial.wav keeps the
    finished part of the clip, and the same command decodes this clip again.
    example: wordless decode model=runs/x input=codes.parquet output=sounds
    """

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
    pitch: Literal["coded", "flat", "copied"] = option(
        "coded", "melody, of codes with a stream of pitch: as it is | one pitch for each clip | that of pitch_of"
    )
    pitch_of: Path | None = option(None, "recording whose melody pitch=copied gives each clip, stretched to its length")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind(self.output, (".wav",), possible="a folder, or for a single clip a file ending in .wav")
        rule = f"input={self.input} holds codes, whose length is known: leave it out, or name text units"
        self.refuse_if(self.codes_per_unit is not None and self.holds_codes, "codes_per_unit", rule)
        rule = "pitch=copied takes the melody of the recording pitch_of: give both, or none of them"
        self.refuse_if((self.pitch == "copied") != (self.pitch_of is not None), "pitch_of", rule)
        rule = "pitch and shift are played by the pitch comb of the filter: choose pitch_comb=true, postfilter=1"
        self.refuse_if(self.retuned and not (self.postfilter and self.pitch_comb), "pitch_comb", rule)

    @property
    def retuned(self) -> bool:
        """Whether the sound gets another pitch than that of its codes."""
        return self.pitch != "coded" or self.shift != 0

    @property
    def holds_codes(self) -> bool:
        """Whether the input is Parquet, and not text units."""
        return self.input.is_dir() or self.input.suffix == ".parquet"

    @property
    def single(self) -> bool:
        return self.output.suffix.lower() == ".wav"

    @property
    def kind(self) -> Kind:
        return BY_KEY[self.synthesis]

    @property
    def sampling(self) -> Sampling:
        return Sampling(**{field.name: getattr(self, field.name) for field in fields(Sampling)})


def decode(settings: DecodeConfig) -> tuple[DecodeConfig, Path]:
    """Decode codes; a command that was killed goes on after its finished clips."""
    tokenizer_folder = part_of(settings.model, "tokenizer")
    vocoder_of(settings.model, settings.kind)
    if not settings.input.exists():
        raise InputError(f"input={settings.input} does not exist; name codes that wordless encode wrote, or text units")
    if settings.pitch_of is not None and not settings.pitch_of.is_file():
        raise InputError(f"pitch_of={settings.pitch_of} is no file; name a recording")
    prepare_output(settings.output)
    return settings, tokenizer_folder
