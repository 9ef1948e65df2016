"""``wordless bench``: speed, memory and quality of a stage, beside libraries or simpler methods in the same run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.commandline.command import command
from pipelines.commandline.outputs import require_kind
from pipelines.store.run_folder import part_of
from pipelines.store.store import write_json
from wordless.audio.recordings.corpus import recordings_at
from wordless.base.errors import InputError
from wordless.base.options import Options, option
from wordless.base.values import build

MILLION = 1_000_000
DEFAULT_RATE = "16000"  # Hz; of the voice that a default run begins with


@dataclass(frozen=True, kw_only=True)
class BenchConfig(Options):
    """Options of ``wordless bench``.

    encode: measures the speed on one core, the time of each part, and the speed of bare libraries in the same run
    steps: counts what a step of each training asks of a device: operators, waits of the host, copies
    kmeans: measures k-means over points on disk beside bare FAISS
    find: measures how well wordless find finds words that other people say, beside log-mel and MFCC
    memory: measures the peak memory of encoding a long recording and a minute, and of decoding a tenth of each
    vocoder: measures the samples per second of every engine for different numbers of clips, on one core and two, and
    those of wavenet_vocoder if it is installed (wordless[bench])

    examples: wordless bench encode input=recordings output=bench.json
              wordless bench steps trainings=[gpt,simclr]
              wordless bench find model=runs/x input=words.tsv
              wordless bench kmeans points=[1,4]
              wordless bench memory hours=10
              wordless bench vocoder output=vocoder.json
    """

    what: Literal["encode", "steps", "find", "kmeans", "memory", "vocoder"] = option("encode", "the benchmark")
    input: Path | None = option(
        None,
        "encode: a file or a folder of real recordings to measure as well; find: a table of single words with the "
        "columns path, label, group (the person) and split",
    )
    split: str = option("test", "find: people of this split say the queries and the recordings")
    seconds: float = option(
        300.0, "encode: length of the synthesised recordings in seconds", least=1, most=36_000, unit="seconds"
    )
    hours: float = option(
        10.0,
        "memory: length of the long recording in hours, which fits in one WAV file; a tenth of it is decoded",
        least=0.02,
        most=36,
        unit="hours",
    )
    clips: tuple[int, ...] = option(
        (1, 4, 16, 32, 64), "vocoder: numbers of clips that are generated together", least=1, filled=True, distinct=True
    )
    trainings: tuple[str, ...] | None = option(
        None, "steps: names of trainings, such as [gpt,simclr]; null: all", filled=True, distinct=True
    )
    compiled: bool = option(
        False, "steps: count the operators of compiled steps as well (fit.compile), which takes minutes to compile"
    )
    points: tuple[float, ...] = option((1.0, 4.0), "kmeans: millions of points", above=0, filled=True, distinct=True)
    codes: int = option(256, "kmeans: number of codes", least=2)
    iterations: int = option(10, "kmeans: number of iterations", least=1)
    repeats: int = option(
        3,
        "encode, steps, kmeans, vocoder: number of repeats; the fastest counts, because other processes can only slow "
        "a repeat down",
        least=1,
    )
    model: Path | None = option(
        None,
        "folder of a run, or hf://user/name; null: a tokenizer of the default size with random weights, or the voice "
        "that ships, of the default size",
    )
    output: Path | None = option(None, "JSON file of the figures; null: prints the table only")

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.points) < (least := self.codes / MILLION):
            rule = f"choose {least:g} or more for each, so that every code has a point"
            raise InputError(option="points", value=self.points, rule=rule)
        if self.what == "find" and (self.model is None or self.input is None or not self.input.is_file()):
            problem = f"what=find needs models and a table of words, and model={self.model} input={self.input}"
            raise InputError(f"{problem}; write model=runs/x input=words.tsv")
        if self.output is not None:
            require_kind(self.output, (".json",), possible="a file ending in .json")


def bench(config: dict[str, object]) -> None:
    """Measure, print a table, write JSON."""
    settings = build(BenchConfig, config, name="")
    part: Literal["vocoder", "tokenizer"] = "vocoder" if settings.what == "vocoder" else "tokenizer"
    folder = None if settings.model is None else part_of(settings.model, part)
    if settings.output is not None:
        settings.output.parent.mkdir(parents=True, exist_ok=True)
    recordings = None if settings.input is None or settings.what == "find" else recordings_at(settings.input)
    # Seconds of imports, which a mistake need not wait for.
    match settings.what:
        case "encode":
            from pipelines.benchmarks.encode import measure_encoding

            measured = measure_encoding(folder, recordings, seconds=settings.seconds, repeats=settings.repeats)
        case "steps":
            from pipelines.benchmarks.steps import measure_steps

            measured = measure_steps(settings.trainings, repeats=settings.repeats, compiled=settings.compiled)
        case "find":
            from pipelines.benchmarks.find import measure_finding

            assert settings.model is not None, "BenchConfig checks that"
            assert settings.input is not None, "BenchConfig checks that"
            measured = measure_finding(settings.model, settings.input, split=settings.split)
        case "kmeans":
            from pipelines.benchmarks.encode import measure_kmeans

            measured = measure_kmeans(
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

            voice = SHIPPED / DEFAULT_RATE if folder is None else folder
            measured = measure_vocoder(voice, clips=settings.clips, repeats=settings.repeats)
    if settings.output is not None:
        write_json(settings.output, measured)


main = command("bench", bench)

if __name__ == "__main__":
    main()
