"""Scores of decoded sound, and of the recordings, by the judges that listen to speech."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from pipelines.stages.playback import JUDGED, decoded_paths, sound_of
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from vocoder.judging import Figures
from vocoder.kinds import JUDGED_KINDS, ORIGINAL
from vocoder.speech_judges import (
    SPEECH_JUDGES,
    FloatArray,
    Grammar,
    JudgeOfSpeech,
    distillmos,
    dnsmos,
    recognise_words,
    spelled,
    unfit_rate,
    unknown_words,
    voice,
    word_error_rate,
)
from wordless.audio.recordings.embedded import EmbeddedConfig, utterances
from wordless.audio.recordings.manifest import Manifest
from wordless.base.errors import InputError
from wordless.base.machine import version_of
from wordless.base.text import listed

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
    def of(cls, manifest: Manifest, embedded: EmbeddedConfig | None, *, free: bool, separator: str | None) -> "Spoken":
        """Read labels and groups of a manifest.

        Args:
            manifest: the clips.
            embedded: the built-in corpus, whose sentences are known; None: the words are those of the labels.
            free: whether the recogniser hears all words of its dictionary, and not only those of the labels.
            separator: what separates several labels of a clip, which are no transcript.
        """
        if embedded is not None:
            texts: dict[str, str | None] = {each.file: each.text for each in utterances(embedded)}
        else:
            texts = {clip.name: None if separator else clip.label for clip in manifest.clips}
        words = {name: found for name, text in texts.items() if (found := spelled(text or ""))}
        vocabulary = tuple(sorted({word for each in words.values() for word in each}))
        grammar = Grammar(words=vocabulary, several=any(len(each) > 1 for each in words.values()))
        groups = {clip.name: clip.group for clip in manifest.clips}
        return cls(words=words, groups=groups, grammar=Grammar(words=(), several=True) if free else grammar)

    def require_words(self) -> None:
        """Refuse clips without a transcript, and words that the recogniser cannot hear."""
        if not self.words:
            raise InputError(
                "listening.judges names words, which compares sounds with the words of labels, and no clip has exactly "
                "one label: give labels, or leave words out"
            )
        if unknown := unknown_words(sorted({word for each in self.words.values() for word in each})):
            more = f" and {len(unknown) - MOST_NAMED} others" if len(unknown) > MOST_NAMED else ""
            raise InputError(
                f"listening.judges names words, and PocketSphinx's dictionary of English lacks the words "
                f"{listed(unknown[:MOST_NAMED])}{more} of the labels: write them in another way with "
                "corpus.label_names={OLD: NEW}, or leave words out"
            )


def judge_speech(session: Session, decoded: Entry, judge: JudgeOfSpeech, spoken: Spoken) -> Entry:
    """Let a judge listen to each decoded clip and its recording.

    A judge that does not suit the recordings gives no figures, and the entry says why. The key has the version of the
    judge's package, and the words or groups that it reads.
    """
    about, paths = SPEECH_JUDGES[judge], decoded_paths(decoded)
    words = [spoken.words.get(path, ()) for path in paths]
    groups = [spoken.groups.get(path) for path in paths]
    known: dict[str, object] = {"package": f"{about.distribution} {version_of(about.distribution)}"}
    if judge == "words":
        known |= {"words": words, "grammar": asdict(spoken.grammar)}
    elif judge == "speaker":
        known["groups"] = groups
    recipe = Recipe(f"judged_{judge}", 1, config=known, inputs={"decoded": decoded})

    def make(folder: Path) -> None:
        rows: Rows = []
        if (unfit := unfit_rate(judge, sound_of(decoded.folder, 0, ORIGINAL).sample_rate)) is None:
            jobs = [(number, kind) for number in range(len(paths)) for kind in JUDGED_KINDS]
            listen = partial(_listen, decoded.folder, judge, spoken.grammar)
            heard = dict(zip(jobs, session.each(f"listening: {judge}", listen, jobs), strict=True))
            match judge:
                case "words":
                    rows, unfit = _compare_words(heard, words)
                case "speaker":
                    rows, unfit = _compare_voices(heard, groups)
                case "dnsmos":
                    rows, unfit = _opinions(heard, len(paths), "dnsmos_overall")
                case "distillmos":
                    rows, unfit = _opinions(heard, len(paths), "distillmos")
        clips = [{"path": path, "sounds": sounds} for path, sounds in zip(paths, rows, strict=False)]  # none if unfit
        write_json(folder / JUDGED, {"unfit": unfit, "clips": clips})

    entry = session.obtain(recipe, f"decoded test clips judged by {judge}", make, files=[JUDGED])
    if (unfit := unfit_of(entry)) is not None:
        session.terminal.say(f"judged    no figures by {judge}: {unfit}")
    return entry


def unfit_of(entry: Entry) -> str | None:
    """Return why a judge gave no figures; None if it gave them."""
    unfit = entry.read_json(JUDGED)["unfit"]
    return None if unfit is None else str(unfit)


def _listen(folder: Path, judge: JudgeOfSpeech, grammar: Grammar, job: Sound) -> Any:  # the judges' answers differ
    sound = sound_of(folder, *job)
    match judge:
        case "dnsmos":
            return dnsmos(sound)
        case "distillmos":
            return distillmos(sound)
        case "words":
            return recognise_words(sound, grammar)
        case "speaker":
            return voice(sound)


def _opinions(heard: Mapping[Sound, Figures | None], clips: int, overall: str) -> tuple[Rows, str | None]:
    """Collect the predicted opinions of each sound. Recordings without speech have low ones, and so are told apart.

    Means of `overall`: spoken orders 3.0 (DNSMOS) and 3.6 (DistillMOS), sounds of ESC-10 1.2 and 1.8.
    """
    rows: Rows = [{kind: heard[number, kind] or {} for kind in JUDGED_KINDS} for number in range(clips)]
    of_recordings = [score for row in rows if (score := row[ORIGINAL].get(overall)) is not None]
    if not of_recordings:
        return [], "the recordings are silent"
    if (mean := float(np.mean(of_recordings))) < LEAST_OPINION:
        why = f"it gives the recordings {mean:.1f} of 5, less than {LEAST_OPINION:g}"
        return [], f"{why}: they are no speech, or too noisy"
    return rows, None


def _compare_words(heard: Mapping[Sound, Sequence[str]], spoken: Sequence[Sequence[str]]) -> tuple[Rows, str | None]:
    """Measure the word error rate of each sound whose words are known."""

    def errors(sound: Sound) -> Figures:
        words = spoken[sound[0]]
        return {"word_error_rate": word_error_rate(heard[sound], words)} if words else {}

    rows: Rows = [{kind: errors((number, kind)) for kind in JUDGED_KINDS} for number in range(len(spoken))]
    of_recordings = [rate for row in rows if (rate := row[ORIGINAL].get("word_error_rate")) is not None]
    if not of_recordings:
        return [], "none of these clips has words"
    if (rate := float(np.mean(of_recordings))) > MOST_ERRORS:
        why = f"the word error rate of the recordings is {rate:.0%}, more than {MOST_ERRORS:.0%}"
        return [], f"{why}: they are no English, or it does not understand their voices"
    return rows, None


def _compare_voices(heard: Mapping[Sound, FloatArray | None], groups: Sequence[str | None]) -> tuple[Rows, str | None]:
    """Compare each sound with the mean voice of its group, and say whether the voice of another group is nearer.

    A clip's recording is left out of the mean voice of its group, so that recordings and decoded sound have the same
    task.
    """
    names = sorted({group for group in groups if group is not None and groups.count(group) > 1})
    if len(names) < 2:
        return [], "it compares the voices of groups, and fewer than two groups have two of these clips or more"
    rows: Rows = []
    for number, group in enumerate(groups):
        voices = [
            _mean_voice([heard[other, ORIGINAL] for other, own in enumerate(groups) if own == name and other != number])
            for name in names
        ]
        row: dict[str, Figures] = {}
        for kind in JUDGED_KINDS:
            embedding, row[kind] = heard[number, kind], {}
            if embedding is not None and group in names and all(each is not None for each in voices):
                similarities = [float(embedding @ each) for each in voices if each is not None]
                own = names.index(group)
                nearest = float(int(np.argmax(similarities)) == own)
                row[kind] = {"speaker_similarity": similarities[own], "speaker_recognised": nearest}
        rows.append(row)
    hits = [row[ORIGINAL]["speaker_recognised"] for row in rows if row[ORIGINAL]]
    right = sum(hit == 1 for hit in hits)
    if not hits or binom.sf(right - 1, len(hits), 1 / len(names)) > SIGNIFICANT:
        why = f"it names the group of {right} of {len(hits)} recordings, which is no more than chance"
        return [], f"{why}: are groups people?"
    return rows, None


def _mean_voice(voices: Sequence[FloatArray | None]) -> FloatArray | None:
    known = [each for each in voices if each is not None]
    if not known:
        return None
    mean: FloatArray = np.mean(known, axis=0)
    mean /= np.linalg.norm(mean)
    return mean
