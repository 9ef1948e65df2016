"""The work of ``wordless predict``, once its options are checked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from lm.bodies.body import BodyReading, FrontEnd
from lm.bodies.clips import StoredClips
from lm.finetuned import CLIPS_AT_ONCE, FineTunedModel
from lm.heads import Row
from pipelines.jobs.recordings import ReadSound, read_all
from pipelines.predict import PredictConfig
from wordless.audio.decoding import Channel, Recording
from wordless.audio.recordings.inspection import measure
from wordless.audio.recordings.manifest import Clip, Clips, Rejected
from wordless.audio.waveform import FloatArray
from wordless.base.arrays import Array, write_table
from wordless.base.machine import choose_device
from wordless.base.progress import Terminal
from wordless.base.text import counted, escape


@dataclass(frozen=True, kw_only=True)
class InputReader:
    """What any process needs to convert recordings to inputs."""

    root: Path
    front_end: FrontEnd
    reading: BodyReading
    trim_db: float | None
    channel: Channel
    upsample: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadRecording:
    """The inputs of a recording, and what the user should know of it."""

    inputs: Array
    notices: tuple[str, ...]


def predict_recordings(settings: PredictConfig, recordings: Sequence[Clips]) -> None:
    """Predict all recordings, print a line for each, and write the table."""
    terminal = Terminal()
    model = FineTunedModel.from_pretrained(settings.model, device=str(choose_device(settings.device)))
    rows: list[Row] = []
    read = read_all(
        recordings,
        lambda place: partial(read_recording, _reader(model, place.root, upsample=settings.upsample)),
        option=f"input={settings.input}",
        workers=settings.workers,
        title="predicting",
        output=settings.output,
        terminal=terminal,
    )
    while several := list(islice(read, CLIPS_AT_ONCE)):
        rows += _predicted(model, several)
    if settings.output is not None:
        write_table(settings.output, rows)
    written = f": {settings.output}" if settings.output else ""
    terminal.say(f"{counted(len(rows), 'recording')}{written}")


def _predicted(model: FineTunedModel, read: Sequence[tuple[str, ReadRecording]]) -> Iterator[Row]:
    """Give a row for each recording, and print its path and its prediction."""
    outputs = model.outputs(StoredClips.together([each.inputs for _, each in read]))
    for (path, _), row in zip(read, model.task.rows(outputs), strict=True):
        print(f"{next(iter(row.values()))}\t{escape(path)}", flush=True)
        yield {"path": path, **row}


def _reader(model: FineTunedModel, root: Path, *, upsample: bool) -> InputReader:
    return InputReader(
        root=root,
        front_end=model.front_end(),
        reading=model.body.reading,
        trim_db=model.trim_db,
        channel=model.channel,
        upsample=upsample,
    )


def read_recording(reader: InputReader, clip: Clip) -> ReadRecording | Rejected:
    """Convert one recording or part of one to inputs, or say why it is set aside."""
    samples, path, part = [0], clip.path, clip.part
    with Recording(reader.root / path) as recording:
        own_rate = recording.samplerate
    if own_rate < reader.reading.sample_rate and not reader.upsample:
        lower = "a lower sample rate than the model's, which upsample=true allows"
        reason = f"{lower}: {own_rate} Hz, and not {reader.reading.sample_rate} Hz"
        return Rejected(path=path, reason=reason, kind=lower)
    rate = reader.reading.sample_rate
    sound = ReadSound(channel=reader.channel, sample_rate=rate, highest=rate / 2, own_rate=own_rate)
    if reader.trim_db is not None and clip.segment is None:
        # As the corpus was trimmed: by the levels of the whole recording at its own rate. Parts are never trimmed.
        found = measure(reader.root, path, reader.channel)
        if isinstance(found, Rejected):
            return found
        part, sound.louder = found.part(reader.trim_db), found.louder
    inputs = reader.front_end(_counted(sound.blocks(reader.root / path, part=part), samples))
    if samples[0] < reader.reading.least_samples:
        milliseconds = 1000 * reader.reading.least_samples / reader.reading.sample_rate
        return Rejected(path=path, reason=f"shorter than the {milliseconds:g} ms of a state")
    return ReadRecording(inputs=inputs, notices=sound.notices)


def _counted(blocks: Iterable[FloatArray], samples: list[int]) -> Iterator[FloatArray]:
    """Give the blocks, and add their samples to the only number of ``samples``."""
    for block in blocks:
        samples[0] += len(block)
        yield block
