"""A line for each recording, and a table of all: ``wordless score`` and ``wordless predict``."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from lm.bodies.body import BodyReading, FrontEnd
from lm.bodies.clips import StoredClips
from lm.finetuned import CLIPS_AT_ONCE, FineTunedModel
from lm.heads import Row
from lm.language_tests import Score, score
from lm.model import LanguageModel
from pipelines.jobs.recordings import R, ReadSound, Told, attempted, encode_recording, open_session
from pipelines.recordings import PredictConfig, ScoreConfig, TableOptions, submitted_name
from tokenizer.codes import require_same_codebook
from tokenizer.encoder import Encoder
from wordless.audio.decoding import Recording
from wordless.audio.reading import Channel
from wordless.audio.recordings.inspection import measure
from wordless.audio.recordings.manifest import Clip, Clips, Rejected
from wordless.base.array_types import Array
from wordless.base.arrays import write_table
from wordless.base.files import write_aside
from wordless.base.machine import choose_device
from wordless.base.progress import Terminal
from wordless.base.text import counted, escape

HEAD = f"{'log p, nats':>12} {'nats/code':>10} {'bits/s':>9} {'perplexity':>11}  recording"


def read_all(
    settings: TableOptions, places: Sequence[Clips], work: Callable[[Path, Clip], R | Rejected], title: str
) -> Iterator[tuple[str, R]]:
    """Give the path of each recording that can be read, as the user can open it, with what ``work`` makes of it."""
    told = Told()
    for place in places:
        session = open_session(settings, place)
        told.rejected.extend(replace(each, path=str(place.root / each.path)) for each in place.rejected)
        results = session.each(title, partial(attempted, partial(work, place.root)), place.clips)
        names = (str(place.root / clip.name) for clip in place.clips)
        yield from told.readable(zip(names, results, strict=True))
    told.tell(Terminal(), settings.output, option=f"input={settings.input}")


def score_recordings(settings: ScoreConfig, recordings: Sequence[Clips], tokenizer: Path, lm: Path) -> None:
    """Encode and score all recordings, print a line for each, and write the table."""
    device = str(choose_device(settings.device))
    model = LanguageModel.from_pretrained(lm, device=device)
    encoder = Encoder(folder=tokenizer, root=Path(), device=device)
    require_same_codebook(model.format, encoder.format, owner=model.name)
    scored: list[tuple[str, Score]] = []  # each with the path as the user can open it
    print(HEAD, flush=True)
    for path, clip in read_all(settings, recordings, partial(encode_recording, encoder), "scoring"):
        found = score(model, clip.codes)
        scored.append((path, found))
        line = f"{found.log_probability:>12.1f} {found.nats_per_code:>10.3f} {found.bits_per_second:>9.1f}"
        print(f"{line} {found.perplexity:>11.2f}  {escape(path)}", flush=True)
    if settings.output is not None:
        if settings.output.suffix.lower() == ".txt":  # as ZeroSpeech 2021 reads it
            # The log-probability is divided by the number of codes, so that long recordings are not less probable.
            lines = (f"{submitted_name(path)} {-each.nats_per_code}\n" for path, each in scored)
            write_aside(settings.output, "".join(lines))
        else:
            write_table(settings.output, [{"path": path, **asdict(each)} for path, each in scored])
    codes, seconds = sum(each.codes for _, each in scored), sum(each.seconds for _, each in scored)
    nats = -sum(each.log_probability for _, each in scored)
    written = f": {settings.output}" if settings.output else ""
    figures = f"{nats / codes:.3f} nats per code, {nats / seconds / math.log(2):.1f} bits per second"
    Terminal().say(f"{counted(len(scored), _noun(recordings))}, {seconds:.1f} s of sound, {figures}{written}")


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadRecording:
    """The inputs of a recording, and what the user should know of it."""

    inputs: Array
    notices: tuple[str, ...]


def predict_recordings(settings: PredictConfig, recordings: Sequence[Clips]) -> None:
    """Predict all recordings, print a line for each, and write the table."""
    model = FineTunedModel.from_pretrained(settings.model, device=str(choose_device(settings.device)))
    rows: list[Row] = []
    reading = (model.front_end(), model.body.reading, model.trim_db, model.channel)
    read = read_all(settings, recordings, partial(read_recording, *reading, settings.upsample), "predicting")
    while several := list(islice(read, CLIPS_AT_ONCE)):
        outputs = model.outputs(StoredClips.together([each.inputs for _, each in several]))
        for (path, _), row in zip(several, model.task.rows(outputs), strict=True):
            print(f"{next(iter(row.values()))}\t{escape(path)}", flush=True)
            rows.append({"path": path, **row})
    if settings.output is not None:
        write_table(settings.output, rows)
    written = f": {settings.output}" if settings.output else ""
    Terminal().say(f"{counted(len(rows), _noun(recordings))}{written}")


def _noun(recordings: Sequence[Clips]) -> str:
    return "part" if any(place.has_segments for place in recordings) else "recording"


def read_recording(
    front_end: FrontEnd,
    reading: BodyReading,
    trim_db: float | None,
    channel: Channel,
    upsample: bool,
    root: Path,
    clip: Clip,
) -> ReadRecording | Rejected:
    """Convert one recording or part of one to inputs, or say why it is set aside."""
    path, part, rate = clip.path, clip.part, reading.sample_rate
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
    inputs = front_end(sound.blocks(root / path, part=part))
    if sound.num_samples < reading.least_samples:
        milliseconds = 1000 * reading.least_samples / rate
        return Rejected(path=path, reason=f"shorter than the {milliseconds:g} ms of a state")
    return ReadRecording(inputs=inputs, notices=sound.notices)
