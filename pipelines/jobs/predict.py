"""The work of ``wordless predict``: a line and a row for each recording, each window of one, or each event."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

import numpy as np

from lm.bodies.body import FrontEnd
from lm.bodies.clips import StoredClips
from lm.finetuned import CLIPS_AT_ONCE, FineTunedModel
from lm.heads import ClassificationTask, Row
from pipelines.commandline.annotation_files import (
    TABLES,
    Event,
    kind_of_output,
    seconds_of_recording,
    write_annotations,
)
from pipelines.commandline.outputs import new_file
from pipelines.commandline.overrides import command_line
from pipelines.detection import PredictConfig
from pipelines.jobs.answer_tables import noun, read_all
from pipelines.jobs.coding import ReadSound
from pipelines.jobs.events import ClassFigures, ScoredWindows, cells, judge, match, windows
from pipelines.pages.excerpts import Room
from pipelines.pages.predictions_page import Answer, write_predictions_page
from pipelines.stages.sound_probe import KeptProbes, SoundProbe, SoundView
from pipelines.store.run_folder import is_finetuned
from wordless.audio.audio_options import Channel
from wordless.audio.decoding import Recording
from wordless.audio.recordings.annotations import WITHOUT_PARTS
from wordless.audio.recordings.inspection import measure
from wordless.audio.recordings.manifest import Clip, Clips, Rejected
from wordless.audio.waveform import Waveform
from wordless.base.array_types import Array, DoubleArray, FloatArray
from wordless.base.arrays import write_table
from wordless.base.errors import InputError
from wordless.base.machine import choose_device
from wordless.base.progress import Terminal
from wordless.base.text import counted, escape

WINDOWS_AT_ONCE = 64
TOLERANCE = 0.25  # seconds by which an annotated part is longer at each side where events are judged
LONG = 10  # times the length of a training clip


def predict_recordings(settings: PredictConfig, recordings: Sequence[Clips], annotated: Sequence[Clips]) -> None:
    """Predict recordings, print a line for each of them or of their events, and write the output."""
    device = str(choose_device(settings.device))
    if is_finetuned(settings.model):
        model = FineTunedModel.from_pretrained(settings.model, device=device)
        opening, scorer = Opening.of_model(model, settings), Scorer(finetuned=settings.model, device=device)
        kept, told = None, ""
    else:
        probe, told = SoundProbe.of_run(settings.model, settings.method, device=device)
        kept, scorer = KeptProbes.of_run(settings.model), Scorer(probe=probe)
        opening = Opening.of_probe(probe, settings)
        if told:
            Terminal().say(f"method    {told}")
    if settings.window is not None:
        return predict_windows(settings, scorer, opening, recordings, annotated, told)
    if scorer.probe is None:
        found = finetuned_rows(settings, model, opening, recordings)
    else:
        work = partial(score_recording, scorer.probe, opening, kept.seconds if kept else np.inf)
        read = read_all(settings, recordings, work, "predicting")
        found = ((path, row_of(scorer.probe, scored.scores[0])) for path, scored in read)
    rows = list[Row]()
    for path, row in found:
        print(f"{next(iter(row.values()))}\t{escape(path)}", flush=True)
        rows.append({"path": path, **row})
    if settings.output is not None:
        clips = {str(place.root / clip.name): (place.root, clip) for place in recordings for clip in place.clips}
        own, kind = [clips[str(row["path"])] for row in rows], kind_of_output(settings.output, settings.format, *TABLES)
        events = [_event(row, *of) for row, of in zip(rows, own, strict=True) if kind is not None or of[1].label]
        if kind is None:
            write_table(settings.output, rows)
        else:
            write_annotations(settings.output, kind, [*dict.fromkeys(each.path for each in events)], events)
        known = [clip.label for _, clip in own if kind is not None or clip.label]
        answers = [_answer(each, label, each) for each, label in zip(events, known, strict=True) if label]
        if scorer.has_one_answer:
            write_page(settings, opening, answers, (), told, "Labels are those of annotations.")
    tell(settings, counted(len(rows), noun(recordings)))


def _event(row: Row, root: Path, clip: Clip) -> Event:
    """Return what is predicted for a recording or a part as an event; text and numbers are labels, too."""
    path, said = str(root / clip.path), [value for name, value in row.items() if name != "path"]
    start, end = clip.span or (0.0, seconds_of_recording(root / clip.path))
    score = next((value for value in said if isinstance(value, float)), 0.0)
    return Event(path=path, start=start, end=end, label=str(said[0]), score=score)


def tell(settings: PredictConfig, what: str) -> None:
    Terminal().say(f"{what}{f': {settings.output}' if settings.output else ''}")


# A row for each recording


def finetuned_rows(
    settings: PredictConfig, model: FineTunedModel, opening: "Opening", recordings: Sequence[Clips]
) -> Iterator[tuple[str, Row]]:
    """Give the path of each recording with its row; several are computed together."""
    work = partial(read_recording, model.front_end(), model.body.reading.least_samples, opening)
    read = read_all(settings, recordings, work, "predicting")
    while several := list(islice(read, CLIPS_AT_ONCE)):
        outputs = model.outputs(StoredClips.together([each.inputs for _, each in several]))
        yield from zip([path for path, _ in several], model.task.rows(outputs), strict=True)


def row_of(probe: SoundProbe, scores: FloatArray) -> Row:
    """Return the row of a sound's scores ``(classes,)``: the label, its score, and those of all classes."""
    word = Scorer(probe=probe).word
    answer = probe.answer(scores)
    several = ",".join(name for name, score in answer.items() if score > 0.5)
    label = several if probe.description.answer == "several" else next(iter(answer))
    return {"label": label, word: float(scores.max()), **{f"{word} of {name}": answer[name] for name in sorted(answer)}}


# Windows


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A probe or a fine-tuned model that any process can load, for the windows of a recording."""

    probe: SoundProbe | None = None
    finetuned: Path = Path()  # if there is no probe
    device: str = "cpu"

    @property
    def classes(self) -> tuple[str, ...]:
        return self._task.classes if self.probe is None else self.probe.description.classes

    @property
    def exclusive(self) -> bool:
        return not self._task.multi_label if self.probe is None else self.probe.description.answer != "several"

    @property
    def has_one_answer(self) -> bool:
        """Whether a sound has one class, whose confusions a page can show."""
        if self.probe is not None:
            return self.exclusive
        task = _finetuned(self.finetuned, self.device).task
        return isinstance(task, ClassificationTask) and not task.multi_label

    @property
    def word(self) -> str:
        """What the scores are."""
        return "value" if self.probe is not None and self.probe.description.answer == "value" else "probability"

    @property
    def of(self) -> str:
        return str(self.finetuned) if self.probe is None else self.probe.description.of

    @property
    def _task(self) -> ClassificationTask:
        task = _finetuned(self.finetuned, self.device).task
        if not isinstance(task, ClassificationTask):
            rule = "its head predicts no classes, so windows have no events: leave it out"
            raise InputError(option="window", value=self.finetuned, rule=rule)
        return task

    @property
    def least_samples(self) -> int:
        """Samples of the shortest window."""
        if self.probe is None:
            return _finetuned(self.finetuned, self.device).body.reading.least_samples
        return self.probe.encoder.tokenizer.config.samples_per_code

    def scores(self, sounds: Sequence[Waveform]) -> FloatArray:
        """Compute ``(sounds, classes)``."""
        if self.probe is not None:
            return self.probe.scores_of([SoundView.of(sound) for sound in sounds])
        model, front_end = _finetuned(self.finetuned, self.device), _front_end(self.finetuned, self.device)
        rows = self._task.rows(model.outputs(StoredClips.together([front_end([sound.samples]) for sound in sounds])))
        return np.array([[row[f"probability of {name}"] for name in self.classes] for row in rows], np.float32)


@lru_cache(maxsize=1)
def _finetuned(folder: Path, device: str) -> FineTunedModel:
    return FineTunedModel.from_pretrained(folder, device=device)


@lru_cache(maxsize=1)
def _front_end(folder: Path, device: str) -> FrontEnd:
    return _finetuned(folder, device).front_end()


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """The scores of the windows of a recording, or of all of it at once, and what the user should know of it."""

    scores: FloatArray  # (windows, classes)
    starts: DoubleArray  # (windows,) seconds
    seconds: float
    notices: tuple[str, ...]


def score_windows(
    scorer: Scorer, opening: "Opening", window: float, hop: float, root: Path, clip: Clip
) -> Scored | Rejected:
    """Score the windows of a whole recording, of which `WINDOWS_AT_ONCE` are in memory, or set it aside."""
    opened = opening.without_trimming.open(root, clip)
    if isinstance(opened, Rejected):
        return opened
    (sound, _), rate = opened, opening.sample_rate
    starts, scores = list[float](), list[FloatArray]()
    read = windows(sound.blocks(root / clip.path), round(window * rate), max(round(hop * rate), 1))
    for some in iter(lambda: [*islice(read, WINDOWS_AT_ONCE)], []):
        if len(some[0][1]) < scorer.least_samples:
            return Rejected(path=clip.path, reason=f"shorter than {scorer.least_samples / rate:g} s")
        starts.extend(first / rate for first, _ in some)
        scores.append(scorer.scores([Waveform(samples=samples, sample_rate=rate) for _, samples in some]))
    if not scores:
        return Rejected(path=clip.path, reason="empty")
    seconds, joined = sound.num_samples / rate, np.concatenate(scores)
    return Scored(starts=np.array(starts), scores=joined, seconds=seconds, notices=sound.notices)


def predict_windows(
    settings: PredictConfig,
    scorer: Scorer,
    opening: "Opening",
    recordings: Sequence[Clips],
    annotated: Sequence[Clips],
    told: str,
) -> None:
    """Predict windows of recordings: a row for each, or events; judge the events of annotated recordings."""
    assert settings.window is not None, "called with a window alone"
    classes, least = scorer.classes, scorer.least_samples
    rule = f"the model needs {least / opening.sample_rate:g} s: choose about the length of a training clip"
    settings.refuse_if(round(settings.window * opening.sample_rate) < least, "window", rule)
    rule = f"{scorer.of} has values that are no probabilities (probe.classifier=ridge): choose null, or another method"
    settings.refuse_if(settings.threshold is not None and scorer.word == "value", "threshold", rule)
    hop = settings.hop or settings.window / 2
    work = partial(score_windows, scorer, opening, settings.window, hop)
    rows, found, scored = list[Row](), list[Event](), list[ScoredWindows]()
    parts = [(place.root, clip) for place in annotated for clip in place.clips if clip.label]
    judged = {str(root / clip.path) for root, clip in parts}
    for place in annotated:
        judged |= {str(place.root / each.path) for each in place.rejected if each.kind == WITHOUT_PARTS}
    paths = list[str]()
    for path, own in read_all(settings, recordings, work, "predicting"):
        paths.append(path)
        over_time = ScoredWindows(path=path, edges=cells(own.starts, settings.window, own.seconds), scores=own.scores)
        if settings.threshold is None:
            several = [*_window_rows(path, own, settings.window, classes, scorer.word)]
            for row in several if settings.output is None else ():
                print(f"{row['label']}\t{row['start']}\t{row['end']}\t{escape(path)}", flush=True)
            rows.extend(several)
            continue
        events = over_time.events(classes, settings.threshold, exclusive=scorer.exclusive)
        for each in events:
            print(f"{each.label}\t{each.score:.3f}\t{each.start:.2f}\t{each.end:.2f}\t{escape(path)}", flush=True)
        found.extend(events)
        scored += [over_time] if path in judged else []
    if settings.output is not None:
        if settings.threshold is None or (kind := kind_of_output(settings.output, settings.format, *TABLES)) is None:
            columns = [each.name for each in fields(Event)]
            write_table(settings.output, rows or [asdict(each) for each in found], columns=columns)
        else:
            write_annotations(settings.output, kind, paths, found)
    readable = {*paths}
    truth = [
        _event({"label": clip.label or "", "score": 1.0}, root, clip)
        for root, clip in parts
        if str(root / clip.path) in readable
    ]
    what = counted(len(rows), "window") if settings.threshold is None else counted(len(found), "event")
    tell(settings, f"{what} of {counted(len(paths), 'recording')}")
    if settings.threshold is not None and truth:
        strange = sorted({each.label for each in truth} - {*classes})
        if strange:
            Terminal().say(f"labels that the model did not learn, left out of the figures: {', '.join(strange):.400}")
        known = [each for each in truth if each.label in classes]
        exclusive = scorer.exclusive
        figures = judge(scored, known, classes, settings.threshold, exclusive=exclusive, tolerance=TOLERANCE)
        print_figures(figures)
        answers = answers_to(known, [each for each in found if each.path in judged], TOLERANCE)
        overlap = f"it overlaps an annotated part of its label that is {TOLERANCE:g} s longer at each side"
        rule = f"An event has a probability of at least {settings.threshold:g}. It is right if {overlap}."
        write_page(settings, opening, answers, figures, told, rule)


def answers_to(truth: Sequence[Event], found: Sequence[Event], tolerance: float) -> list[Answer]:
    """Pair each annotated part with the event that is right, or else with the surest other one that it overlaps."""
    right, answers, used = match(found, truth, tolerance), list[Answer](), set[int]()
    of_part = {place: number for number, place in right.items()}
    for place, part in enumerate(truth):
        near = [
            number
            for number, each in enumerate(found)
            if number not in right and each.path == part.path and each.start < part.end and each.end > part.start
        ]
        own = of_part.get(place, max(near, key=lambda number: found[number].score, default=None))
        used |= set() if own is None else {own}
        answers.append(_answer(part, part.label, None if own is None else found[own]))
    return [*answers, *(_answer(each, "", each) for number, each in enumerate(found) if number not in used)]


def _answer(place: Event, known: str, found: Event | None) -> Answer:
    label, score = ("", 0.0) if found is None else (found.label, found.score)
    return Answer(path=place.path, start=place.start, end=place.end, known=known, found=label, score=score)


def write_page(
    settings: PredictConfig,
    opening: "Opening",
    answers: Sequence[Answer],
    figures: Sequence[ClassFigures],
    method: str,
    rule: str,
) -> None:
    """Write the page beside the output, if any label is known."""
    if settings.output is None or not answers:
        return
    rows = [{**asdict(each), "precision": each.precision, "recall": each.recall} for each in figures]
    about = {"model": str(settings.model), "method": method, "rule": rule, "command": command_line("predict")}
    room, page = Room(sample_rate=opening.sample_rate, channel=opening.channel), settings.output.with_suffix(".html")
    with new_file(page) as beside:
        write_predictions_page(beside, answers, rows, room, about=about)
    Terminal().say(f"figures, confusions and mistakes: {page}")


def _window_rows(path: str, own: Scored, window: float, classes: Sequence[str], word: str) -> Iterator[Row]:
    for start, scores in zip(own.starts.tolist(), own.scores.tolist(), strict=True):
        best, end = max(scores), round(min(start + window, own.seconds), 6)
        each = {f"{word} of {name}": score for name, score in zip(classes, scores, strict=True)}
        about = {"path": path, "start": round(start, 6), "end": end}
        yield {**about, "label": classes[scores.index(best)], word: best, **each}


def print_figures(figures: Sequence[ClassFigures]) -> None:
    """Print how right the events of each class are, and those of all."""
    print(f"annotated\tevents\tprecision\trecall\taverage precision (tolerance {TOLERANCE:g} s)\tlabel")
    for each in figures:
        values = (each.precision, each.recall, each.average_precision)
        shown = ("–" if value is None else f"{value:.3f}" for value in values)
        print(each.annotated, each.found, *shown, each.label, sep="\t", flush=True)


# Reading


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a model reads recordings, as those that it was trained on."""

    sample_rate: int  # Hz, of the model
    highest: float  # Hz; what lies above is not read
    channel: Channel
    trim_db: float | None  # at which silent ends are cut off
    upsample: bool  # whether recordings of a lower rate are read

    @classmethod
    def of_probe(cls, probe: SoundProbe, settings: PredictConfig) -> "Opening":
        return cls(
            sample_rate=probe.audio.sample_rate,
            highest=probe.audio.highest,
            channel=probe.audio.channel,
            trim_db=probe.description.trim_db,
            upsample=settings.upsample,
        )

    @classmethod
    def of_model(cls, model: FineTunedModel, settings: PredictConfig) -> "Opening":
        rate = model.body.reading.sample_rate
        own = partial(cls, sample_rate=rate, highest=rate / 2, channel=model.channel, trim_db=model.trim_db)
        return own(upsample=settings.upsample)

    @property
    def without_trimming(self) -> "Opening":
        return replace(self, trim_db=None)

    def open(self, root: Path, clip: Clip, *, count: bool = False) -> tuple[ReadSound, Clip] | Rejected:
        """Return the sound of a recording or part, and the clip of what is used; or say why it is set aside.

        A recording whose ends are cut off, or whose samples must be ``count``ed, is decoded once more for it.
        """
        path, rate = clip.path, self.sample_rate
        with Recording(root / path) as recording:
            own_rate = recording.samplerate
        if own_rate < rate and not self.upsample:
            lower = "a lower sample rate than the model's, which upsample=true allows"
            return Rejected(path=path, reason=f"{lower}: {own_rate} Hz, and not {rate} Hz", kind=lower)
        sound = ReadSound(channel=self.channel, sample_rate=rate, highest=self.highest, own_rate=own_rate)
        if clip.segment is None and (count or self.trim_db is not None):
            # As the corpus was trimmed: by the levels of the whole recording at its own rate. Parts are never trimmed.
            found = measure(root, path, self.channel)
            if isinstance(found, Rejected):
                return found
            part, sound.louder = found.part(self.trim_db), found.louder
            used = partial(replace, clip, start=part.start, num_samples=part.num_samples, channel=part.channel)
            clip = used(sample_rate=own_rate)
        return sound, clip


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadRecording:
    """The inputs of a recording, and what the user should know of it."""

    inputs: Array
    notices: tuple[str, ...]


def read_recording(
    front_end: FrontEnd, least_samples: int, opening: Opening, root: Path, clip: Clip
) -> ReadRecording | Rejected:
    """Convert one recording or part of one to inputs, or say why it is set aside."""
    opened = opening.open(root, clip)
    if isinstance(opened, Rejected):
        return opened
    sound, used = opened
    inputs = front_end(sound.blocks(root / used.path, part=used.part))
    if sound.num_samples < least_samples:
        milliseconds = 1000 * least_samples / opening.sample_rate
        return Rejected(path=clip.path, reason=f"shorter than the {milliseconds:g} ms of a state")
    return ReadRecording(inputs=inputs, notices=sound.notices)


def score_recording(probe: SoundProbe, opening: Opening, usual: float, root: Path, clip: Clip) -> Scored | Rejected:
    """Ask a probe about one recording or part of one, which is read in constant memory, or set it aside.

    ``usual`` are the seconds of a training clip.
    """
    opened = opening.open(root, clip, count=True)
    if isinstance(opened, Rejected):
        return opened
    sound, used = opened
    if not used.num_samples:
        return Rejected(path=clip.path, reason="empty")

    def read(rate: int) -> Iterator[FloatArray]:
        sound.sample_rate = rate
        return sound.blocks(root / used.path, part=used.part)

    scores = probe.scores_of([SoundView(used, read=read)])
    sound.sample_rate = opening.sample_rate
    notices = sound.notices
    if used.seconds >= LONG * usual:
        notices += (f"{LONG} times as long as the training clips ({usual:.2g} s), or longer: try window={usual:.2g}",)
    return Scored(scores=scores, starts=np.zeros(1), seconds=used.seconds, notices=notices)
