"""``wordless bench``: speed and memory of a stage, beside libraries in the same run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.commandline.command import command
from pipelines.commandline.outputs import require_kind
from pipelines.store.run_folder import part_of
from pipelines.store.store import write_json
from wordless.audio.recordings.recording_paths import recordings_at
from wordless.base.configuration import build
from wordless.base.ranges import require

MILLION = 1_000_000
DEFAULT_RATE = "16000"  # Hz; of the voice that a default run begins with


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Options of the command."""

    what: Literal["encode", "kmeans", "memory", "vocoder"]
    input: Path | None  # real recordings beside the synthesised ones
    seconds: float  # length of the synthesised recordings
    hours: float  # length of the long recording that is encoded; a tenth of it is decoded
    clips: tuple[int, ...]  # that the vocoder makes side by side
    points: tuple[float, ...]  # millions that k-means clusters
    codes: int  # of k-means
    iterations: int  # of k-means
    repeats: int
    model: Path | None  # folder of a run; null: a tokenizer with random weights, or the voice that ships
    output: Path | None  # JSON file

    def __post_init__(self) -> None:
        require(1 <= self.seconds <= 36_000, "seconds", self.seconds, "choose 1 to 36000 seconds of sound")
        require(0.02 <= self.hours <= 36, "hours", self.hours, "choose 0.02 to 36 hours, which fit in one WAV file")
        possible = len(self.clips) > 0 and min(self.clips) >= 1
        require(possible, "clips", list(self.clips), "name one number of clips or more, each at least 1")
        least = self.codes / MILLION
        given = [f"{each:g}" for each in self.points]
        rule = f"name one number of millions or more, each at least {least:g}, so that every code has a point"
        require(len(self.points) > 0 and min(self.points) >= least, "points", f"[{', '.join(given)}]", rule)
        require(self.codes >= 2, "codes", self.codes, "one code tells nothing: choose 2 or more")
        require(self.iterations >= 1, "iterations", self.iterations, "k-means needs at least one")
        require(self.repeats >= 1, "repeats", self.repeats, "measure at least once")
        if self.output is not None:
            require_kind(self.output, (".json",), possible="a file ending in .json")


def bench(config: dict[str, object]) -> None:
    """Measure, print a table, write JSON."""
    settings = build(BenchConfig, config, name="")
    part: Literal["vocoder", "tokenizer"] = "vocoder" if settings.what == "vocoder" else "tokenizer"
    folder = None if settings.model is None else part_of(settings.model, part)
    if settings.output is not None:
        settings.output.parent.mkdir(parents=True, exist_ok=True)
    recordings = None if settings.input is None else recordings_at(settings.input)
    # Seconds of imports, which a mistake need not wait for.
    match settings.what:
        case "encode":
            from pipelines.benchmarks.encode import measure_encoding

            measured = measure_encoding(folder, recordings, seconds=settings.seconds, repeats=settings.repeats)
        case "kmeans":
            from pipelines.benchmarks.kmeans import measure_kmeans

            measured = measure_kmeans(
                folder,
                recordings,
                points=[round(each * MILLION) for each in settings.points],
                codes=settings.codes,
                iterations=settings.iterations,
                repeats=settings.repeats,
            )
        case "memory":
            from pipelines.benchmarks.memory import measure_memory

            measured = measure_memory(folder, hours=settings.hours)
        case "vocoder":
            from pipelines.benchmarks.vocoder import measure_vocoder
            from pipelines.stages.start import SHIPPED

            picture = None if settings.output is None else settings.output.with_suffix(".png")
            voice = SHIPPED / DEFAULT_RATE if folder is None else folder
            measured = measure_vocoder(voice, clips=settings.clips, repeats=settings.repeats, picture=picture)
    if settings.output is not None:
        write_json(settings.output, measured)


main = command("bench", bench, paths=frozenset({"input", "model", "output"}))

if __name__ == "__main__":
    main()
