"""``wordless decode``: codes -> sound, one WAV file for each clip."""

from dataclasses import dataclass
from pathlib import Path

from audio.errors import InputError
from pipelines.command import command
from pipelines.configuration import build
from pipelines.run_folder import VocoderKind, part_of
from pipelines.work_folder import require_new


@dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """Options of the command.

    Raises:
        InputError: a value is out of range.
    """

    model: Path  # folder of a run
    input: Path  # codes: a Parquet file, a codes folder, or text units
    output: Path  # a folder, or a .wav file for a single clip
    vocoder: VocoderKind
    group: str | None  # voice; null: each clip's own where the codes name it, else the average
    temperature: float
    seed: int
    batch_size: int  # clips generated side by side

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"temperature is {self.temperature}; choose 0 (the most probable) or more, 1 as learned")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; it must be 0 or more")
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; at least 1 clip is generated at a time")

    @property
    def single(self) -> bool:
        """Whether the output is one file."""
        return self.output.suffix.lower() == ".wav"


def decode(config: dict[str, object]) -> None:
    """Decode clips; those whose file is there already are left as they are."""
    settings = build(DecodeConfig, config, name="")
    tokenizer_folder = part_of(settings.model, "tokenizer")
    if settings.vocoder == "wavenet":
        part_of(settings.model, "vocoder")
    if not settings.input.exists():
        raise InputError(f"input={settings.input} does not exist; name codes that wordless encode wrote, or text units")
    if settings.single:
        require_new(settings.output)
    from pipelines.decode_job import decode_codes  # seconds of imports, which a mistake need not wait for

    decode_codes(settings, tokenizer_folder)


main = command("decode", decode, paths=frozenset({"model", "input", "output"}))

if __name__ == "__main__":
    main()
