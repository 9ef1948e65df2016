"""The work of ``wordless predict``: a line and a row for each recording, each window of one, or each event."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache, partial
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import TypedDict

import numpy as np

from lm.backbones.backbone import FrontEnd
from lm.backbones.clips import StoredClips
from lm.finetuned import CLIPS_AT_ONCE, FineTunedModel
from lm.heads import ClassificationTask, PredictionRow
from pipelines.commandline.command_words import command_line
from pipelines.commandline.recording_options import seconds_of_recording, write_annotations
from pipelines.jobs.coding import ReadSound, noun, read_all
from pipelines.jobs.events import ClassFigures, Overlaps, ScoredWindows, event_windows, figures_of_events, match
from pipelines.jobs.seen_recordings import ALL_RECORDINGS, SeenRecordings, seen_among
from pipelines.jobs.sound_probe import KeptProbes, SoundProbe, SoundView
from pipelines.pages.page_of_places import Answer, AudioBudget, write_predictions_page
from pipelines.recordings import PredictConfig
from pipelines.store.outputs import new_file
from pipelines.store.run_parts import is_finetuned
from wordless.audio.audio_options import Channel
from wordless.audio.decoding import Recording
from wordless.audio.recordings.annotation_formats import Event
from wordless.audio.recordings.annotations import WITHOUT_PARTS
from wordless.audio.recordings.inspection import measure_recording
from wordless.audio.recordings.manifest import Clip, Clips, Rejected
from wordless.audio.waveform import Waveform
from wordless.base.arrays import Array, FloatArray, write_table
from wordless.base.devices import choose_device
from wordless.base.messages import counted, escape
from wordless.base.progress import Terminal

WINDOWS_AT_ONCE = 64
_TOLERANCE = 0.25  # seconds by which an annotated part is longer at each side where events are judged
_LONG = 10  # times the length of a training clip


def predict_recordings(settings: PredictConfig, recordings: Sequence[Clips], annotated: Sequence[Clips]) -> None:
    """Predict recordings, print a line for each of them or of their events, and write the output."""
    device = str(choose_device(settings.device))
    if is_finetuned(settings.model):
        scorer, method = _Scorer.of_model(settings, device), ""
    else:
        probe, method = SoundProbe.of_run(settings.model, settings.method, device=device)
        scorer = _Scorer.of_probe(probe, settings)
        Terminal().say(f"method    {method}")
    if settings.window is not None:
        return predict_windows(settings, scorer, recordings, annotated, method)
    rows = list[PredictionRow]()
    for path, row in scorer.rows_of(settings, recordings):
        print(f"{next(iter(row.values()))}\t{escape(path)}", flush=True)
        rows.append({"path": path, **row})
    clips = {str(place.root / clip.name): (place.root, clip) for place in recordings for clip in place.clips}
    known = {str(row["path"]): clips[str(row["path"])] for row in rows if clips[str(row["path"])][1].label}
    seen = seen_among(known if scorer.one_label and settings.output is not None else {}, settings.model, scorer.channel)
    answers, events, kind = list[Answer](), list[Event](), settings.kind
    for row, (root, clip) in ((row, clips[str(row["path"])]) for row in rows if settings.output is not None):
        if kind is not None or clip.label:
            events.append(event := _event(row, root, clip))
            if clip.label:
                part = replace(event, label=clip.label)
                answers.append(Answer(part=part, found=event, seen=str(row["path"]) in seen.names))
    about = {"method": method, "rule": "Labels are those of annotations."}
    with new_page(settings, scorer, answers if scorer.one_label else [], {}, about, seen.notices):
        write_found(settings, rows, [*dict.fromkeys(each.path for each in events)], events)
    tell(settings, counted(len(rows), noun(recordings)))


def _event(row: PredictionRow, root: Path, clip: Clip) -> Event:
    """Return what is predicted for a recording or a part as an event; text and numbers are labels, too."""
    path, values = str(root / clip.path), [value for name, value in row.items() if name != "path"]
    start, end = clip.span or (0.0, seconds_of_recording(root / clip.path))
    score = next((value for value in values if isinstance(value, float)), 0.0)
    return Event(path=path, start=start, end=end, label=str(values[0]), score=score)


def tell(settings: PredictConfig, what: str) -> None:
    Terminal().say(f"{what}{f': {settings.output}' if settings.output else ''}")


def write_found(
    settings: PredictConfig, rows: Iterable[Mapping[str, object]], paths: Sequence[str], events: Sequence[Event]
) -> None:
    """Write the rows as a table, or the events of the recordings ``paths`` in the files of another program."""
    if settings.output is not None and settings.kind is None:
        write_table(settings.output, rows, columns=[each.name for each in fields(Event)])
    elif settings.output is not None and settings.kind is not None:
        write_annotations(settings.output, settings.kind, paths, events)


# Models


@dataclass(frozen=True, kw_only=True)
class _Scorer:
    """A probe or a fine-tuned model that any process can load, and what it says of a sound."""

    of: str  # names it in messages
    sample_rate: int  # Hz
    highest: float  # Hz; what lies above is not read
    channel: Channel
    trim_db: float | None  # at which silent ends of recordings are cut off, as those of the training clips were
    upsample: bool  # whether recordings of a lower rate are read
    classes: tuple[str, ...]  # none: its head predicts numbers or text
    one_label: bool  # whether a sound has one of the classes
    word: str  # for scores
    least_samples: int
    probe: SoundProbe | None = None
    usual: float = np.inf  # seconds of a training clip
    finetuned: Path = Path()  # if there is no probe
    device: str = "cpu"

    @classmethod
    def of_probe(cls, probe: SoundProbe, settings: PredictConfig) -> "_Scorer":
        about, audio, kept = probe.description, probe.audio, KeptProbes.of_run(settings.model)
        return cls(
            of=about.of,
            sample_rate=audio.sample_rate,
            highest=audio.highest,
            channel=audio.channel,
            trim_db=about.trim_db,
            upsample=settings.upsample,
            classes=about.classes,
            one_label=about.answer != "several",
            word="value" if about.answer == "value" else "probability",
            least_samples=probe.encoder.tokenizer.config.samples_per_code,
            probe=probe,
            usual=kept.seconds,
        )

    @classmethod
    def of_model(cls, settings: PredictConfig, device: str) -> "_Scorer":
        model = _finetuned(settings.model, device)
        reading, task = model.backbone.reading, model.task
        classes = task.classes if isinstance(task, ClassificationTask) else ()
        return cls(
            of=str(settings.model),
            sample_rate=reading.sample_rate,
            highest=reading.sample_rate / 2,
            channel=model.channel,
            trim_db=model.trim_db,
            upsample=settings.upsample,
            classes=classes,
            one_label=isinstance(task, ClassificationTask) and not task.multi_label,
            word="probability",
            least_samples=reading.least_samples,
            finetuned=settings.model,
            device=device,
        )

    def rows_of(self, settings: PredictConfig, recordings: Sequence[Clips]) -> Iterator[tuple[str, PredictionRow]]:
        """Give the path of each recording with its row."""
        if self.probe is not None:
            for path, scored in read_all(settings, recordings, partial(score_recording, self), "predicting"):
                yield path, self.row(scored.values)
            return
        model = _finetuned(self.finetuned, self.device)
        read = read_all(settings, recordings, partial(read_recording, self, model.front_end()), "predicting")
        while several := list(islice(read, CLIPS_AT_ONCE)):
            outputs = model.outputs(StoredClips.together([each.values for _, each in several]))
            yield from zip([path for path, _ in several], model.task.rows(outputs), strict=True)

    def row(self, scores: FloatArray) -> PredictionRow:
        """Return the row of a sound's scores ``(classes,)``: the label, its score, and those of all classes."""
        ranked = [(self.classes[number], float(scores[number])) for number in np.argsort(-scores, kind="stable")]
        label = ranked[0][0] if self.one_label else ",".join(name for name, score in ranked if score > 0.5)
        return {"label": label, self.word: ranked[0][1], **{f"{self.word} of {name}": s for name, s in sorted(ranked)}}

    def scores(self, sounds: Sequence[Waveform]) -> FloatArray:
        """Compute ``(sounds, classes)``."""
        if self.probe is not None:
            return self.probe.scores_of([SoundView.of(sound) for sound in sounds])
        model, front_end = _finetuned(self.finetuned, self.device), _front_end(self.finetuned, self.device)
        rows = model.task.rows(model.outputs(StoredClips.together([front_end([sound.samples]) for sound in sounds])))
        return np.array([[row[f"probability of {name}"] for name in self.classes] for row in rows], np.float32)

    def open(
        self, root: Path, clip: Clip, *, trim: bool = True, count: bool = False
    ) -> tuple[ReadSound, Clip] | Rejected:
        """Return the sound of a recording or part, and the clip of what is used; or say why it is set aside.

        A recording whose ends are cut off, or whose samples must be ``count``ed, is decoded once more for it.
        """
        path, rate, trim_db = clip.path, self.sample_rate, self.trim_db if trim else None
        with Recording(root / path) as recording:
            own_rate = recording.samplerate
        if own_rate < rate and not self.upsample:
            lower = "a lower sample rate than the model's, which upsample=true allows"
            return Rejected(path=path, reason=f"{lower}: {own_rate} Hz, and not {rate} Hz", kind=lower)
        sound = ReadSound(channel=self.channel, sample_rate=rate, highest=self.highest, own_rate=own_rate)
        if clip.segment is None and (count or trim_db is not None):
            # As the corpus was trimmed: by the levels of the whole recording at its own rate. Parts are never trimmed.
            found = measure_recording(root, path, self.channel)
            if isinstance(found, Rejected):
                return found
            part, sound.louder = found.part(trim_db), found.louder
            used = partial(replace, clip, start=part.start, num_samples=part.num_samples, channel=part.channel)
            clip = used(sample_rate=own_rate, stamp=part.stamp, sha256=part.sha256)
        return sound, clip


@lru_cache(maxsize=1)
def _finetuned(folder: Path, device: str) -> FineTunedModel:
    return FineTunedModel.from_pretrained(folder, device=device)


@lru_cache(maxsize=1)
def _front_end(folder: Path, device: str) -> FrontEnd:
    return _finetuned(folder, device).front_end()


# Windows


class _OfScorer(TypedDict):
    """What events of windows depend on beside scores and threshold."""

    exclusive: bool


def predict_windows(
    settings: PredictConfig, scorer: _Scorer, recordings: Sequence[Clips], annotated: Sequence[Clips], method: str
) -> None:
    """Predict windows of recordings: a row for each, or events; judge the events of annotated recordings."""
    assert settings.window is not None, "called with a window alone"
    least, rate, classes = scorer.least_samples, scorer.sample_rate, scorer.classes
    rule = f"the head of {scorer.of} predicts no classes, so windows have no events: leave it out"
    settings.refuse_if(not classes, "window", rule)
    rule = f"the model needs {least / rate:g} s: choose about the length of a training clip"
    settings.refuse_if(round(settings.window * rate) < least, "window", rule)
    rule = f"{scorer.of} has values that are no probabilities (probe.classifier=ridge): choose null, or another method"
    settings.refuse_if(settings.threshold is not None and scorer.word == "value", "threshold", rule)
    work = partial(score_windows, scorer, settings.window, settings.hop or settings.window / 2)
    read = read_all(settings, recordings, work, "predicting")
    if settings.threshold is None:
        return write_windows(settings, scorer, read)
    parts = [(str(place.root / clip.path), place.root, clip) for place in annotated for clip in place.clips]
    empty = ((place.root, each) for place in annotated for each in place.rejected if each.kind == WITHOUT_PARTS)
    judged = {path for path, _, clip in parts if clip.label} | {str(root / each.path) for root, each in empty}
    found, scored = dict[str, list[Event]](), list[ScoredWindows]()
    of_scorer: _OfScorer = {"exclusive": scorer.one_label}
    for path, own in read:
        found[path] = own.events(classes, settings.threshold, **of_scorer)
        for each in found[path]:
            print(f"{each.label}\t{each.score:.3f}\t{each.start:.2f}\t{each.end:.2f}\t{escape(path)}", flush=True)
        scored += [own] if path in judged else []
    events = [each for own in found.values() for each in own]
    truth = [
        _event({"label": clip.label, "score": 1.0}, root, clip)
        for path, root, clip in parts
        if clip.label and path in found
    ]
    known = [each for each in truth if each.label in classes]
    if strange := sorted({each.label for each in truth} - {*classes}):
        Terminal().say(f"labels that the model did not learn, left out of the figures: {', '.join(strange):.400}")
    answers, figures, seen = list[Answer](), dict[str, list[ClassFigures]](), SeenRecordings()
    if truth:
        places = {str(place.root / clip.path): (place.root, clip) for place in recordings for clip in place.clips}
        seen = seen_among({each.path: places[each.path] for each in scored}, settings.model, scorer.channel)
        about_class = partial(figures_of_events, classes=classes, threshold=settings.threshold, **of_scorer)
        for title, names in seen.tables({each.path for each in scored}).items():
            of_table = [each for each in scored if each.path in names]
            parts_of_table = [each for each in known if each.path in names]
            figures[title] = about_class(of_table, parts_of_table, tolerance=_TOLERANCE)
        found_there = [each for each in events if each.path in judged]
        answers = [
            replace(each, seen=each.place.path in seen.names) for each in answers_to(known, found_there, _TOLERANCE)
        ]
    overlap = f"it overlaps an annotated part of its label that is {_TOLERANCE:g} s longer at each side"
    rule = f"An event has a probability of at least {settings.threshold:g}. It is right if {overlap}."
    with new_page(settings, scorer, answers, figures, {"method": method, "rule": rule}, seen.notices):
        write_found(settings, map(asdict, events), [*found], events)
    print_figures(figures)
    tell(settings, f"{counted(len(events), 'event')} of {counted(len(found), 'recording')}")


def score_windows(scorer: _Scorer, window: float, hop: float, root: Path, clip: Clip) -> ScoredWindows | Rejected:
    """Score the windows of a whole recording, of which `WINDOWS_AT_ONCE` are in memory, or set it aside."""
    opened = scorer.open(root, clip, trim=False)
    if isinstance(opened, Rejected):
        return opened
    (sound, _), rate = opened, scorer.sample_rate
    starts, scores = list[float](), list[FloatArray]()
    read = event_windows(sound.blocks(root / clip.path), round(window * rate), max(round(hop * rate), 1))
    for some in iter(lambda: [*islice(read, WINDOWS_AT_ONCE)], []):
        if len(some[0][1]) < scorer.least_samples:
            return Rejected(path=clip.path, reason=f"shorter than {scorer.least_samples / rate:g} s")
        starts.extend(first / rate for first, _ in some)
        scores.append(scorer.scores([Waveform(samples=samples, sample_rate=rate) for _, samples in some]))
    if not scores:
        return Rejected(path=clip.path, reason="empty")
    seconds = sound.num_samples / rate
    return ScoredWindows(
        path=str(root / clip.path),
        starts=np.array(starts),
        window=window,
        seconds=seconds,
        scores=np.concatenate(scores),
        notices=sound.notices if seconds >= window else (*sound.notices, f"shorter than window={window:g}: one window"),
    )


def write_windows(settings: PredictConfig, scorer: _Scorer, read: Iterable[tuple[str, ScoredWindows]]) -> None:
    """Write a row for each window, of which some are in memory."""
    counts = list[int]()  # of windows

    def rows() -> Iterator[dict[str, object]]:
        for path, own in read:
            counts.append(len(own.starts))
            for start, scores in zip(own.starts.tolist(), own.scores, strict=True):
                end = round(min(start + own.window, own.seconds), 6)
                yield {"path": path, "start": round(start, 6), "end": end, **scorer.row(scores)}

    if settings.output is not None:
        write_table(settings.output, rows())
    for row in rows() if settings.output is None else ():
        print(f"{row['label']}\t{row['start']}\t{row['end']}\t{escape(str(row['path']))}", flush=True)
    tell(settings, f"{counted(sum(counts), 'window')} of {counted(len(counts), 'recording')}")


def answers_to(truth: Sequence[Event], found: Sequence[Event], tolerance: float) -> list[Answer]:
    """Pair each annotated part with the event that is right, or else with the surest other one that it overlaps."""
    right, beside, used = match(found, truth, tolerance), Overlaps(found, attrgetter("path")), set[int]()
    of_part, answers = {place: number for number, place in right.items()}, list[Answer]()
    for place, part in enumerate(truth):
        near = [number for number in beside.of(part) if number not in right]
        own = of_part.get(place, max(near, key=lambda number: (found[number].score, -number), default=None))
        used |= set() if own is None else {own}
        answers.append(Answer(part=part, found=None if own is None else found[own]))
    return [*answers, *(Answer(found=each) for number, each in enumerate(found) if number not in used)]


@contextmanager
def new_page(
    settings: PredictConfig,
    scorer: _Scorer,
    answers: Sequence[Answer],
    figures: Mapping[str, Sequence[ClassFigures]],
    about: Mapping[str, str],
    notices: Sequence[str],
) -> Iterator[None]:
    """Write the page, if any label is known; it gets its name beside the output when the block has written that."""
    if settings.output is None or not answers:
        yield
        return
    page = settings.output.with_suffix(".html")
    budget = AudioBudget(sample_rate=scorer.sample_rate, channel=scorer.channel)
    about = {"model": str(settings.model), "command": command_line("predict"), **about}
    with new_file(page) as beside:
        yield
        # it reads recordings, which may fail
        write_predictions_page(beside, answers, figures, budget, about=about, notices=notices)
    Terminal().say(f"figures, confusions and mistakes: {page}")


def print_figures(figures: Mapping[str, Sequence[ClassFigures]]) -> None:
    """Print how right the events of each class are, and those of all; of several tables each with its title."""
    for title, rows in figures.items():
        if title != ALL_RECORDINGS:
            print(title)
        print(f"annotated\tevents\tprecision\trecall\taverage precision (tolerance {_TOLERANCE:g} s)\tlabel")
        for each in rows:
            values = (each.precision, each.recall, each.average_precision)
            shown = ("–" if value is None else f"{value:.3f}" for value in values)
            print(each.annotated, each.found, *shown, each.label, sep="\t", flush=True)


# Reading


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadRecording:
    """The inputs of a recording, or its scores, and what the user should know of it."""

    values: Array
    notices: tuple[str, ...]


def read_recording(scorer: _Scorer, front_end: FrontEnd, root: Path, clip: Clip) -> ReadRecording | Rejected:
    """Convert one recording or part of one to inputs, or say why it is set aside."""
    opened = scorer.open(root, clip)
    if isinstance(opened, Rejected):
        return opened
    sound, used = opened
    inputs = front_end(sound.blocks(root / used.path, part=used.part))
    if sound.num_samples < scorer.least_samples:
        milliseconds = 1000 * scorer.least_samples / scorer.sample_rate
        return Rejected(path=clip.path, reason=f"shorter than the {milliseconds:g} ms of a state")
    return ReadRecording(values=inputs, notices=sound.notices)


def score_recording(scorer: _Scorer, root: Path, clip: Clip) -> ReadRecording | Rejected:
    """Ask a probe about one recording or part of one, which is read in constant memory, or set it aside."""
    assert scorer.probe is not None, "fine-tuned models score several recordings at once"
    opened = scorer.open(root, clip, count=True)
    if isinstance(opened, Rejected):
        return opened
    sound, used = opened
    if not used.num_samples:
        return Rejected(path=clip.path, reason="empty")

    def read(rate: int) -> Iterator[FloatArray]:
        sound.sample_rate = rate
        return sound.blocks(root / used.path, part=used.part)

    (scores,) = scorer.probe.scores_of([SoundView(used, read=read)])
    sound.sample_rate = scorer.sample_rate
    notices, usual = sound.notices, scorer.usual
    if used.seconds >= _LONG * usual:
        notices += (f"{_LONG} times as long as the training clips ({usual:.2g} s), or longer: try window={usual:.2g}",)
    return ReadRecording(values=scores, notices=notices)
