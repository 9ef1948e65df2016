"""The work of ``wordless predict``: a line and a row for each recording."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

from lm.backbones.backbone import FrontEnd
from lm.backbones.clips import StoredClips
from lm.finetuned import CLIPS_AT_ONCE, FineTunedModel
from lm.heads import PredictionRow
from pipelines.jobs.coding import ReadSound, noun, read_all, recordings_of
from pipelines.jobs.sound_probe import SoundProbe, SoundView
from pipelines.recordings import PredictConfig
from pipelines.store.outputs import prepare_output
from pipelines.store.run_parts import is_finetuned, part_of
from wordless.audio.audio_options import Channel
from wordless.audio.decoding import Recording
from wordless.audio.recordings.inspection import measure_recording
from wordless.audio.recordings.manifest import Clip, Clips, Rejected
from wordless.base.arrays import Array, FloatArray, write_table
from wordless.base.devices import choose_device
from wordless.base.messages import counted, escape
from wordless.base.progress import Terminal
from wordless.base.saved_models import fetch, hub_address, is_on_hub


def predict_recordings(settings: PredictConfig) -> None:
    """Predict recordings, print a line for each of them, and write the table."""
    rule = "a fine-tuned model has no other methods: leave it out, or name a run"
    finetuned = is_on_hub(settings.model) or is_finetuned(settings.model)
    settings.refuse_if(finetuned and settings.method != "auto", "method", rule)
    if not finetuned:
        part_of(settings.model, "tokenizer", otherwise="name a folder that wordless finetune wrote, or ")
    recordings = recordings_of(settings)
    if address := hub_address(settings.model):
        settings = replace(settings, model=fetch(address, "finetuned", ""))
    if settings.output is not None:
        prepare_output(settings.output)
    device = str(choose_device(settings.device))
    if is_finetuned(settings.model):
        scorer = _Scorer.of_model(settings, device)
    else:
        probe, method = SoundProbe.of_run(settings.model, settings.method, device=device)
        scorer = _Scorer.of_probe(probe, settings)
        Terminal().say(f"method    {method}")
    rows = list[PredictionRow]()
    for path, row in scorer.rows_of(settings, recordings):
        print(f"{next(iter(row.values()))}\t{escape(path)}", flush=True)
        rows.append({"path": path, **row})
    if settings.output is not None:
        write_table(settings.output, rows)
    written = f": {settings.output}" if settings.output else ""
    Terminal().say(f"{counted(len(rows), noun(recordings))}{written}")


@dataclass(frozen=True, kw_only=True)
class _Scorer:
    """A probe or a fine-tuned model that any process can load, and how it reads a sound."""

    sample_rate: int  # Hz
    highest: float  # Hz; what lies above is not read
    channel: Channel
    trim_db: float | None  # at which silent ends of recordings are cut off, as those of the training clips were
    upsample: bool  # whether recordings of a lower rate are read
    probe: SoundProbe | None = None
    finetuned: Path = Path()  # if there is no probe
    device: str = "cpu"

    @classmethod
    def of_probe(cls, probe: SoundProbe, settings: PredictConfig) -> "_Scorer":
        audio = probe.audio
        return cls(
            sample_rate=audio.sample_rate,
            highest=audio.highest,
            channel=audio.channel,
            trim_db=probe.description.trim_db,
            upsample=settings.upsample,
            probe=probe,
        )

    @classmethod
    def of_model(cls, settings: PredictConfig, device: str) -> "_Scorer":
        model = _finetuned(settings.model, device)
        rate = model.backbone.reading.sample_rate
        return cls(
            sample_rate=rate,
            highest=rate / 2,
            channel=model.channel,
            trim_db=model.trim_db,
            upsample=settings.upsample,
            finetuned=settings.model,
            device=device,
        )

    def rows_of(self, settings: PredictConfig, recordings: Sequence[Clips]) -> Iterator[tuple[str, PredictionRow]]:
        """Give the path of each recording with its row."""
        if self.probe is not None:
            for path, scored in read_all(settings, recordings, partial(score_recording, self), "predicting"):
                yield path, _row(self.probe, scored.values)
            return
        model = _finetuned(self.finetuned, self.device)
        work = partial(read_recording, self, model.front_end(), model.backbone.reading.least_samples)
        read = read_all(settings, recordings, work, "predicting")
        while several := list(islice(read, CLIPS_AT_ONCE)):
            outputs = model.outputs(StoredClips.together([each.values for _, each in several]))
            yield from zip([path for path, _ in several], model.task.rows(outputs), strict=True)

    def open(self, root: Path, clip: Clip, *, count: bool = False) -> tuple[ReadSound, Clip] | Rejected:
        """Return the sound of a recording or part, and the clip of what is used; or say why it is set aside.

        A recording whose ends are cut off, or whose samples must be ``count``ed, is decoded once more for it.
        """
        path, rate, trim_db = clip.path, self.sample_rate, self.trim_db
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


def _row(probe: SoundProbe, scores: FloatArray) -> PredictionRow:
    """Return the row of a sound's scores ``(classes,)``: the label, its score, and those of all classes."""
    answer, about = probe.answer(scores), probe.description
    word, best = "value" if about.answer == "value" else "probability", next(iter(answer))
    label = ",".join(name for name, score in answer.items() if score > 0.5) if about.answer == "several" else best
    by_class = {f"{word} of {name}": score for name, score in sorted(answer.items())}
    return {"label": label, word: answer[best], **by_class}


@lru_cache(maxsize=1)
def _finetuned(folder: Path, device: str) -> FineTunedModel:
    return FineTunedModel.from_pretrained(folder, device=device)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadRecording:
    """The inputs of a recording, or its scores, and what the user should know of it."""

    values: Array
    notices: tuple[str, ...]


def read_recording(
    scorer: _Scorer, front_end: FrontEnd, least_samples: int, root: Path, clip: Clip
) -> ReadRecording | Rejected:
    """Convert one recording or part of one to inputs, or say why it is set aside."""
    opened = scorer.open(root, clip)
    if isinstance(opened, Rejected):
        return opened
    sound, used = opened
    inputs = front_end(sound.blocks(root / used.path, part=used.part))
    if sound.num_samples < least_samples:
        milliseconds = 1000 * least_samples / scorer.sample_rate
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
    return ReadRecording(values=scores, notices=sound.notices)
