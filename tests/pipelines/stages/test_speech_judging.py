"""Scores of judges that listen to speech, of sounds whose scores are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.stages.judging import Spoken, judge_speech, unfit_of
from pipelines.stages.listening import CLIPS, JUDGED, wav_name
from pipelines.store.store import Entry, write_json
from tests.pipelines.tiny import silent_session, sweep
from vocoder.kinds import JUDGED_KINDS, ORIGINAL
from vocoder.speech_judges import Grammar, JudgeOfSpeech
from wordless.audio.reading import read
from wordless.audio.recordings.embedded import EmbeddedConfig, Utterance, speak
from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError

RATE = 22_050
VOICES = ("en-us+f1", "en-us+m4")
WORDS = ("seven", "water", "music")


def manifest(*labels: str | None) -> Manifest:
    clips = [
        Clip(
            path=f"{number}.wav", num_samples=1, sample_rate=RATE, size=1, sha256="", label=label, group=f"{number % 2}"
        )
        for number, label in enumerate(labels)
    ]
    return Manifest(root=Path(), clips=tuple(clips))


def spoken(*labels: str | None) -> Spoken:
    return Spoken.of(manifest(*labels), None, free=False, separator=None)


def decoded(folder: Path, sounds: list[Waveform]) -> Entry:
    """Recordings whose decoded sounds are those of the next clip, but for WaveNet's, which are the recordings."""
    folder.mkdir()
    for number, sound in enumerate(sounds):
        for kind in JUDGED_KINDS:
            same = kind in (ORIGINAL, "wavenet")
            (sound if same else sounds[(number + 1) % len(sounds)]).write(folder / wav_name(number, kind))
    write_json(folder / CLIPS, {"clips": [{"path": f"{number}.wav"} for number in range(len(sounds))]})
    return Entry(stage="decoded", key="decoded", folder=folder, reused=True)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> list[Waveform]:
    """Three words, each in two voices."""
    asked = [
        Utterance(file=f"{word}_{place}.wav", text=word, voice=name, speed=150, pitch=50)
        for word in WORDS
        for place, name in enumerate(VOICES)
    ]
    folder = speak(asked, tmp_path_factory.mktemp("cache"), seed=0)
    return [read(folder / each.file, RATE) for each in asked]


def scores(place: Path, entry: Entry, judge: JudgeOfSpeech, known: Spoken) -> list[dict[str, Any]]:
    judged = judge_speech(silent_session(place), entry, judge, known)
    assert unfit_of(judged) is None
    again = judge_speech(silent_session(place / "again"), entry, judge, known)
    assert again.key == judged.key
    assert (again.folder / JUDGED).read_bytes() == (judged.folder / JUDGED).read_bytes()
    return [row["sounds"] for row in judged.read_rows(JUDGED, "clips")]


def test_decoded_words_are_compared_with_the_labels(tmp_path: Path, speech: list[Waveform]) -> None:
    pytest.importorskip("pocketsphinx")
    labels = [word for word in WORDS for _ in VOICES]
    rows = scores(tmp_path, decoded(tmp_path / "decoded", speech), "words", spoken(*labels))
    own, other = ([row[kind]["word_error_rate"] for row in rows] for kind in (ORIGINAL, "griffin_lim"))
    assert np.mean(own) < 0.5 <= np.mean(other) + 0.2
    assert [row["wavenet"] for row in rows] == [row[ORIGINAL] for row in rows]
    wrong = judge_speech(
        silent_session(tmp_path), decoded(tmp_path / "other", speech), "words", spoken(*labels[2:], *labels[:2])
    )
    assert "word error rate" in str(unfit_of(wrong))
    assert wrong.read_rows(JUDGED, "clips") == []


def test_decoded_voices_are_compared_with_other_recordings(tmp_path: Path, speech: list[Waveform]) -> None:
    pytest.importorskip("resemblyzer", exc_type=ImportError)
    longer = []
    for number, sound in enumerate(speech):  # all words of its voice, in an order of its own
        words = [*speech[number::2], *speech[number % 2 : number : 2], *speech[number % 2 :: 2]]
        samples = np.concatenate([each.samples for each in words])
        longer.append(Waveform(samples=samples, sample_rate=sound.sample_rate))
    rows = scores(tmp_path, decoded(tmp_path / "decoded", longer), "speaker", spoken(*map(str, range(6))))
    assert [row[ORIGINAL]["speaker_recognised"] for row in rows] == [1] * 6
    # The next clip is of the other voice.
    assert [row["griffin_lim"]["speaker_recognised"] for row in rows] == [0] * 6
    assert all(row["griffin_lim"]["speaker_similarity"] < row["wavenet"]["speaker_similarity"] for row in rows)


def test_groups_of_one_clip_have_no_voice(tmp_path: Path) -> None:
    pytest.importorskip("resemblyzer", exc_type=ImportError)
    entry = decoded(tmp_path / "decoded", [Waveform(samples=sweep(0.5, RATE), sample_rate=RATE)])
    judged = judge_speech(silent_session(tmp_path), entry, "speaker", spoken("one"))
    assert "groups" in str(unfit_of(judged))


@pytest.mark.parametrize(("package", "judge"), [("speechmos", "dnsmos"), ("distillmos", "distillmos")])
def test_sounds_that_are_no_speech_have_no_naturalness(tmp_path: Path, package: str, judge: JudgeOfSpeech) -> None:
    pytest.importorskip(package)
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    entry = decoded(tmp_path / "decoded", [Waveform(samples=noise, sample_rate=RATE)])
    judged = judge_speech(silent_session(tmp_path), entry, judge, spoken("one"))
    assert "no speech" in str(unfit_of(judged))


def test_sounds_of_low_rates_have_no_figures(tmp_path: Path) -> None:
    """The judge is not asked, so its package need not be there."""
    entry = decoded(tmp_path / "decoded", [Waveform(samples=sweep(0.5, 4000), sample_rate=4000)])
    judged = judge_speech(silent_session(tmp_path), entry, "dnsmos", spoken("one"))
    assert "4,000 Hz" in str(unfit_of(judged))
    assert judged.read_rows(JUDGED, "clips") == []


def test_known_words_are_those_of_sentences_or_labels() -> None:
    config = EmbeddedConfig(sentences=2, voices=1)
    known = Spoken.of(manifest(), config, free=False, separator=None)
    assert {len(words) for words in known.words.values()} == {5}
    assert known.grammar.several
    labelled = spoken("Crying_baby", "dog", None)
    assert labelled.words == {"0.wav": ["crying", "baby"], "1.wav": ["dog"]}
    assert labelled.grammar == Grammar(words=("baby", "crying", "dog"), several=True)
    assert not spoken("dog", "cat").grammar.several
    assert Spoken.of(manifest("dog"), None, free=True, separator=None).grammar.words == ()
    assert not Spoken.of(manifest("dog;cat"), None, free=False, separator=";").words


def test_words_that_cannot_be_heard_are_refused() -> None:
    with pytest.raises(InputError, match="label"):
        spoken(None).require_words()
    pytest.importorskip("pocketsphinx")
    spoken("seven", "water").require_words()
    with pytest.raises(InputError, match=r"\b7 and qwxz\b.*corpus\.label_names"):
        spoken("seven", "7", "qwxz").require_words()
