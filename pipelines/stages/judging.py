"""What judges say of decoded sound: the labels that a classifier names, and scores by models that listen to speech.

A classifier was trained and chosen without test clips. Of a continuation it gets only the new part, because the prompt
is a recording.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy.stats import binom
from threadpoolctl import threadpool_limits

from lm.options import ProbeConfig
from lm.pooled_states import LayerReader, head_scores
from lm.probing.fitted import FittedProbe
from lm.probing.task import ProbeTask
from pipelines.stages.features import BAG_OF_CODES, bag_features, log_mel_vectors
from pipelines.stages.listening import JUDGED, LISTENING, decoded_paths, sound_of, wav_name
from pipelines.stages.networks import Network
from pipelines.stages.options import JudgeName
from pipelines.stages.probe import probe_task
from pipelines.store.session import Run, Session
from pipelines.store.stage import stage
from pipelines.store.store import Entry, write_json
from pipelines.store.stored_features import stacked_rows
from tokenizer.encoder import Encoder
from vocoder import speech_judges
from vocoder.kinds import JUDGED_KINDS, ORIGINAL
from vocoder.measures import Figures
from vocoder.speech_judges import SPEECH_JUDGES, Grammar, JudgeOfSpeech
from wordless.audio.recordings.embedded import EmbeddedConfig, utterances
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.audio.views import View
from wordless.audio.waveform import Waveform
from wordless.base.array_types import FloatArray
from wordless.base.errors import InputError
from wordless.base.machine import version_of
from wordless.base.text import listed

RECOGNISED = "recognised.json"
JUDGES: dict[JudgeName, str] = {
    "probe": "a linear probe of log-mel",
    "codes": "a linear probe of the codes of the sound",
    "supervised": "a supervised network",
}
# judges that are linear probes -> the method whose features they read, and the function that computes them
PROBED: dict[JudgeName, tuple[str, Callable[[Encoder, View], dict[str, FloatArray]]]] = {
    "probe": ("log_mel", log_mel_vectors),
    "codes": (BAG_OF_CODES, bag_features),
}


@dataclass(frozen=True, kw_only=True)
class Judge:
    name: JudgeName
    inputs: tuple[Entry, ...]  # that decide its answers
    describe: Callable[[View], dict[str, FloatArray]]  # pools the features (dim,) of a sound, in any process
    scores: Callable[[Mapping[str, FloatArray]], FloatArray]  # pooled features (sounds, dim) -> (sounds, classes)

    @property
    def key(self) -> list[object]:
        return [self.name, *self.inputs]

    @property
    def title(self) -> str:
        return JUDGES[self.name]


def create_probe_judge(name: JudgeName, tokenizer: Encoder, probe: Entry) -> Judge:
    """Return the linear probe that is best on validation, with mean and thirds of the clip as it is as candidates."""

    def scores(pooled: Mapping[str, FloatArray]) -> FloatArray:
        fitted = FittedProbe.from_pretrained(probe.folder)
        return fitted.scores(pooled[fitted.description.of])

    return Judge(name=name, inputs=(probe,), describe=partial(PROBED[name][1], tokenizer), scores=scores)


def create_network_judge(network: Network, classifier: Entry, sample: Entry) -> Judge:
    """Return the supervised encoder with its own head; the sample's statistics normalise its inputs."""
    describe, scores = partial(_features_of, network.reader_of(classifier, ())), partial(head_scores, classifier.place)
    return Judge(name="supervised", inputs=(classifier, sample), describe=describe, scores=scores)


def _features_of(reader: LayerReader, view: View) -> dict[str, FloatArray]:
    [features] = reader([view])
    return features


def label_task(session: Session, manifest: Clips, config: ProbeConfig) -> ProbeTask | None:
    """Return the task of recognising labels; None, after a printed reason, if clips have none, or several each."""
    try:
        task = probe_task(manifest, config)
        if not task.multi_label:
            return task
        why = "clips have several labels each"
    except InputError as error:
        why = str(error)
    session.terminal.say(f"judge     no label accuracy: {why}")
    return None


@stage("recognised", version=4, title="labels of sounds, by {judge.title}")
def recognise_labels(run: Run, judge: Judge, decoded: Entry, listening: Entry, classes: Sequence[str]) -> None:
    """Classify each decoded clip, its original, and each sound of the language model."""
    paths = decoded_paths(decoded)
    sounds = [whole(decoded.folder, wav_name(number, kind)) for number in range(len(paths)) for kind in JUDGED_KINDS]
    parts = [(row, new_part(listening.folder, row)) for row in listening.read_rows(LISTENING, "said")]
    parts = [(row, part) for row, part in parts if part.num_samples]
    found = iter(name_labels(run, judge, [*sounds, *(part for _, part in parts)], classes))
    clips = [{"path": path, "heard": {kind: next(found) for kind in JUDGED_KINDS}} for path in paths]
    counts: dict[tuple[str, float], Counter[str]] = {}
    for (row, _), label in zip(parts, found, strict=True):
        counts.setdefault((row["kind"], row["temperature"]), Counter())[label] += 1
    said = [{"of": kind, "temperature": value, "classes": dict(each)} for (kind, value), each in counts.items()]
    write_json(run.folder / RECOGNISED, {"judge": judge.name, "clips": clips, "said": said})


def name_labels(session: Session, judge: Judge, sounds: Sequence[Clip], classes: Sequence[str]) -> list[str]:
    """Return the most probable class of each sound."""
    rows = [*session.each("recognising", judge.describe, [*map(View, sounds)])]
    with threadpool_limits(1):
        scores = judge.scores(stacked_rows(rows))
    return [classes[number] for number in np.argmax(scores, axis=1)]


def whole(root: Path, name: str) -> Clip:
    """Describe a WAV file as a clip, whose absolute path needs no root."""
    path = (root / name).absolute()
    about = soundfile.info(path)
    return Clip(path=str(path), num_samples=about.frames, sample_rate=about.samplerate, size=0, sha256="")


def new_part(root: Path, row: Mapping[str, Any]) -> Clip:
    """Return the new part of a language model's sound: everything after its prompt, if it has one."""
    sound = whole(root, row["file"])
    start = round(row["figures"].get("prompt_seconds", 0.0) * sound.sample_rate)
    return replace(sound, start=start, num_samples=max(sound.num_samples - start, 0))


MOST_ERRORS = 0.5  # word error rate of recordings above which the recogniser does not understand them
LEAST_OPINION = 2.0  # "poor": mean opinion score of recordings below which they are no speech, or too noisy
MOST_NAMED = 10  # unknown words in a message
SIGNIFICANT = 0.05  # significance level against naming groups by chance
Sound = tuple[int, str]  # number of its clip, and its kind
Rows = list[dict[str, Figures]]  # of each clip: the figures of each kind of sound


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """What is known of the recordings, by the names of their clips."""

    words: Mapping[str, Sequence[str]]  # one or more; clips without words have none
    groups: Mapping[str, str | None]
    grammar: Grammar

    @classmethod
    def of(cls, manifest: Clips, embedded: EmbeddedConfig | None, *, free: bool, separator: str | None) -> "Spoken":
        """Read labels and groups of a manifest; of the built-in corpus (``embedded``), the words are its sentences.

        With ``free`` the recogniser hears all words of its dictionary. Labels with a ``separator`` are no transcript.
        """
        if embedded is not None:
            texts: dict[str, str | None] = {each.file: each.text for each in utterances(embedded)}
        else:
            texts = {clip.name: None if separator else clip.label for clip in manifest.clips}
        words = {name: found for name, text in texts.items() if (found := speech_judges.spelled(text or ""))}
        vocabulary = () if free else tuple(sorted({word for each in words.values() for word in each}))
        grammar = Grammar(words=vocabulary, several=free or any(len(each) > 1 for each in words.values()))
        return cls(words=words, groups={clip.name: clip.group for clip in manifest.clips}, grammar=grammar)

    def require_words(self) -> None:
        """Refuse clips without a transcript, and words that the recogniser cannot hear."""
        if not self.words:
            raise InputError("listening.judges names words, and no clip has exactly one label: leave words out")
        if unknown := speech_judges.unknown_words(sorted({word for each in self.words.values() for word in each})):
            more = f" and {len(unknown) - MOST_NAMED} others" if len(unknown) > MOST_NAMED else ""
            raise InputError(
                f"listening.judges names words, and PocketSphinx does not know {listed(unknown[:MOST_NAMED])}{more}: "
                "write these labels in another way with corpus.label_names={OLD: NEW}, or leave words out"
            )


def judge_speech(session: Session, decoded: Entry, paths: Sequence[str], judge: JudgeOfSpeech, spoken: Spoken) -> Entry:
    """Let a judge listen to each decoded clip and its recording; one that suits none gives no figures but a reason."""
    package = SPEECH_JUDGES[judge].distribution
    words, groups = [spoken.words.get(path, ()) for path in paths], [spoken.groups.get(path) for path in paths]
    known: dict[str, list[object]] = {"words": [words, spoken.grammar], "speaker": [groups]}
    entry = _judged(session, judge, f"{package} {version_of(package)}", decoded, known.get(judge, []))
    session.when_made(entry, lambda made: (why := unfit_of(made)) and f"judged    no figures by {judge}: {why}")
    return entry


@stage("judged_{judge}", version=2, title="decoded test clips judged by {judge}")
def _judged(run: Run, judge: JudgeOfSpeech, package: str, decoded: Entry, known: Sequence[Any]) -> None:
    """Ask a judge; ``known`` are the words and their grammar, or the groups, of the clips."""
    rows, paths, rules = Rows(), decoded_paths(decoded), SPEECH_JUDGES[judge]
    if (unfit := speech_judges.unfit_rate(judge, sound_of(decoded.folder, 0, ORIGINAL).sample_rate)) is None:
        jobs = [(number, kind) for number in range(len(paths)) for kind in JUDGED_KINDS]
        listen = partial(rules.listen, grammar=known[1]) if judge == "words" else rules.listen
        found = run.each(f"listening: {judge}", partial(_listen, decoded.folder, listen), jobs)
        heard = dict(zip(jobs, found, strict=True))
        match judge:
            case "words":
                rows, unfit = _compare_words(heard, known[0])
            case "speaker":
                rows, unfit = _compare_voices(heard, known[0])
            case _:
                rows, unfit = _opinions(heard, len(paths), rules.overall)
    clips = [{"path": path, "sounds": sounds} for path, sounds in zip(paths, rows, strict=False)]  # none if unfit
    write_json(run.folder / JUDGED, {"unfit": unfit, "clips": clips})


def unfit_of(entry: Entry) -> str | None:
    """Return why a judge gave no figures; None if it gave them."""
    unfit: str | None = entry.read_json(JUDGED)["unfit"]
    return unfit


def _listen(folder: Path, listen: Callable[[Waveform], Any], job: Sound) -> Any:  # the judges' answers differ
    return listen(sound_of(folder, *job))


def _opinions(heard: Mapping[Sound, Figures | None], clips: int, overall: str) -> tuple[Rows, str | None]:
    # Means of recordings: spoken orders 3.0 (DNSMOS) and 3.6 (DistillMOS), sounds of ESC-10 1.2 and 1.8.
    rows: Rows = [{kind: heard[number, kind] or {} for kind in JUDGED_KINDS} for number in range(clips)]
    if (mean := _mean_of_recordings(rows, overall)) is None:
        return [], "the recordings are silent"
    if mean < LEAST_OPINION:
        why = f"it gives the recordings {mean:.1f} of 5, less than {LEAST_OPINION:g}"
        return [], f"{why}: they are no speech, or too noisy"
    return rows, None


def _mean_of_recordings(rows: Rows, name: str) -> float | None:
    values = [value for row in rows if (value := row[ORIGINAL].get(name)) is not None]
    return float(np.mean(values)) if values else None


def _compare_words(heard: Mapping[Sound, Sequence[str]], spoken: Sequence[Sequence[str]]) -> tuple[Rows, str | None]:
    rows: Rows = [{kind: {} for kind in JUDGED_KINDS} for _ in spoken]
    for (number, kind), words in heard.items():
        if spoken[number]:
            rows[number][kind] = {"word_error_rate": speech_judges.word_error_rate(words, spoken[number])}
    if (rate := _mean_of_recordings(rows, "word_error_rate")) is None:
        return [], "none of these clips has words"
    if rate > MOST_ERRORS:
        why = f"the word error rate of the recordings is {rate:.0%}, more than {MOST_ERRORS:.0%}"
        return [], f"{why}: they are no English, or it does not understand their voices"
    return rows, None


def _compare_voices(heard: Mapping[Sound, FloatArray | None], groups: Sequence[str | None]) -> tuple[Rows, str | None]:
    """Compare each sound with the mean voice of its group, without its own recording, and with other groups."""
    names = sorted({group for group in groups if group is not None and groups.count(group) > 1})
    if len(names) < 2:
        return [], "it compares the voices of groups, and fewer than two groups have two of these clips or more"
    originals = [heard[number, ORIGINAL] for number in range(len(groups))]
    rows: Rows = [{kind: {} for kind in JUDGED_KINDS} for _ in groups]
    for number, group in enumerate(groups):
        others = [(own, each) for n, (own, each) in enumerate(zip(groups, originals, strict=True)) if n != number]
        voices = [[each for own, each in others if own == name and each is not None] for name in names]
        if group not in names or not all(voices):
            continue
        means, place = [np.mean(own, axis=0) for own in voices], names.index(group)
        for kind in JUDGED_KINDS:
            if (embedding := heard[number, kind]) is not None:
                similarities = [float(embedding @ (mean / np.linalg.norm(mean))) for mean in means]
                nearest = float(int(np.argmax(similarities)) == place)
                rows[number][kind] = {"speaker_similarity": similarities[place], "speaker_recognised": nearest}
    hits = [row[ORIGINAL]["speaker_recognised"] for row in rows if row[ORIGINAL]]
    right = sum(hit == 1 for hit in hits)
    if not hits or binom.sf(right - 1, len(hits), 1 / len(names)) > SIGNIFICANT:
        why = f"it names the group of {right} of {len(hits)} recordings, which is no more than chance"
        return [], f"{why}: are groups people?"
    return rows, None
