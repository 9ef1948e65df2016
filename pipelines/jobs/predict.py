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
from wordless.audio.decoding import Recording
from wordless.audio.reading import Channel
from wordless.audio.recordings.inspection import measure
from wordless.audio.recordings.manifest import Clip, Clips, Rejected
from wordless.audio.waveform import FloatArray
from wordless.base.arrays import Array, write_table
from wordless.base.machine import choose_device
from wordless.base.progress import Terminal
from wordless.base.text import counted, escape


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
    own = (model.front_end(), model.body.reading, model.trim_db, model.channel, settings.upsample)
    read = read_all(
        settings,
        recordings,
        lambda place: partial(read_recording, place.root, *own),
        title="predicting",
        terminal=terminal,
    )
    while several := list(islice(read, CLIPS_AT_ONCE)):
        outputs = model.outputs(StoredClips.together([each.inputs for _, each in several]))
        for (path, _), row in zip(several, model.task.rows(outputs), strict=True):
            print(f"{next(iter(row.values()))}\t{escape(path)}", flush=True)
            rows.append({"path": path, **row})
    if settings.output is not None:
        write_table(settings.output, rows)
    written = f": {settings.output}" if settings.output else ""
    terminal.say(f"{counted(len(rows), 'recording')}{written}")


def read_recording(
    root: Path,
    front_end: FrontEnd,
    reading: BodyReading,
    trim_db: float | None,
    channel: Channel,
    upsample: bool,
    clip: Clip,
) -> ReadRecording | Rejected:
    """Convert one recording or part of one to inputs, or say why it is set aside."""
    samples, path, part, rate = [0], clip.path, clip.part, reading.sample_rate
    with Recording(root / path) as recording:
        own_rate = recording.samplerate
    if own_rate < rate and not upsample:
        lower = "a lower sample rate than the model's, which upsample=true allows"
        return Rejected(path=path, reason=f"{lower}: {own_rate} Hz, and not {rate} Hz", kind=lower)
    sound = ReadSound(channel=channel, sample_rate=rate, highest=rate / 2, own_rate=own_rate)
    if trim_db is not None and clip.segment is None:
        # As the corpus was trimmed: by the levels of the whole recording at its own rate. Parts are never trimmed.
        found = measure(root, path, channel)
        if isinstance(found, Rejected):
            return found
        part, sound.louder = found.part(trim_db), found.louder
    inputs = front_end(_counted(sound.blocks(root / path, part=part), samples))
    if samples[0] < reading.least_samples:
        milliseconds = 1000 * reading.least_samples / rate
        return Rejected(path=path, reason=f"shorter than the {milliseconds:g} ms of a state")
    return ReadRecording(inputs=inputs, notices=sound.notices)


def _counted(blocks: Iterable[FloatArray], samples: list[int]) -> Iterator[FloatArray]:
    """Give the blocks, and add their samples to the only number of ``samples``."""
    for block in blocks:
        samples[0] += len(block)
        yield block
