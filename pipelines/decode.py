"""``wordless decode``: codes -> sound, one WAV file for each clip."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.commandline.command import command
from pipelines.commandline.outputs import require_kind
from pipelines.store.run_folder import part_of, vocoder_of
from pipelines.store.work_folder import require_new
from vocoder.kinds.kind import Kind
from vocoder.kinds.table import BY_KEY, CHOICES
from vocoder.sampling import EngineChoice, Sampling
from wordless.base.configuration import build, match_choice
from wordless.base.devices import Device
from wordless.base.errors import InputError
from wordless.base.ranges import require

MOST_CODES_PER_UNIT = 1000


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


def decode(config: dict[str, object]) -> None:
    """Decode clips; those whose file is there already are left as they are."""
    settings = build(DecodeConfig, config, name="")
    tokenizer_folder = part_of(settings.model, "tokenizer")
    vocoder_of(settings.model, settings.kind)
    if not settings.input.exists():
        raise InputError(f"input={settings.input} does not exist; name codes that wordless encode wrote, or text units")
    if settings.single:
        require_new(settings.output)
    from pipelines.jobs.decode import decode_codes  # seconds of imports, which a mistake need not wait for

    decode_codes(settings, tokenizer_folder)


main = command("decode", decode, paths=frozenset({"model", "input", "output"}))

if __name__ == "__main__":
    main()
