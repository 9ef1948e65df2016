"""Judges that listen to speech; each is tested where its package is installed."""

import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.reference import edits
from vocoder.speech_judges import (
    RATE,
    SPEECH_JUDGES,
    Grammar,
    at_rate,
    distillmos,
    dnsmos,
    recognise_words,
    require_installed,
    spelled,
    unfit_rate,
    unknown_words,
    voice,
    word_error_rate,
)
from wordless.audio.reading import read
from wordless.audio.recordings.embedded import Utterance, speak
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError

VOICES = ("en-us+f1", "en+m3")
TEXTS = ("seven", "water", "Peter got two large desks.")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Waveform]:
    asked = [
        Utterance(file=f"{place}_{number}.wav", text=text, voice=name, speed=150, pitch=50)
        for number, name in enumerate(VOICES)
        for place, text in enumerate(TEXTS)
    ]
    folder = speak(asked, tmp_path_factory.mktemp("cache"), seed=0)
    return {(each.text, each.voice): read(folder / each.file, 22_050) for each in asked}


def with_noise(sound: Waveform) -> Waveform:
    noise = np.random.default_rng(0).normal(0, 0.1, len(sound.samples)).astype(np.float32)
    return Waveform(samples=sound.samples + noise, sample_rate=sound.sample_rate)


def silence(sample_rate: int) -> Waveform:
    return Waveform(samples=np.zeros(sample_rate, np.float32), sample_rate=sample_rate)


@pytest.mark.parametrize(("package", "judge"), [("speechmos", dnsmos), ("distillmos", distillmos)])
def test_noise_has_a_lower_score(
    package: str, judge: Callable[[Waveform], dict[str, float] | None], spoken: dict[tuple[str, str], Waveform]
) -> None:
    pytest.importorskip(package)
    clear = spoken[TEXTS[2], VOICES[0]]
    first, noisy, again = judge(clear), judge(with_noise(clear)), judge(clear)
    assert first is not None
    assert noisy is not None
    assert first == again
    assert noisy[package.replace("speechmos", "dnsmos")] < first[package.replace("speechmos", "dnsmos")] - 0.2
    assert all(0.5 < value < 5.5 for value in (*first.values(), *noisy.values()))
    assert judge(silence(RATE)) is None


def test_dnsmos_is_that_of_the_package(spoken: dict[tuple[str, str], Waveform]) -> None:
    package = pytest.importorskip("speechmos.dnsmos")
    found = dnsmos(spoken[TEXTS[2], VOICES[0]])
    assert found is not None
    expected = package.run(at_rate(spoken[TEXTS[2], VOICES[0]]), RATE)
    names = {"dnsmos": "p808_mos", "dnsmos_overall": "ovrl_mos", "dnsmos_voice": "sig_mos"}
    for name, key in {**names, "dnsmos_background": "bak_mos"}.items():
        assert found[name] == pytest.approx(expected[key], abs=1e-3)


def test_words_are_heard_whatever_was_heard_before(spoken: dict[tuple[str, str], Waveform]) -> None:
    pytest.importorskip("pocketsphinx")
    words = Grammar(words=("four", "seven", "water"))
    assert [recognise_words(spoken[text, VOICES[0]], words) for text in TEXTS[:2]] == [["seven"], ["water"]]
    sentence = Grammar(words=tuple(sorted(spelled(TEXTS[2]))), several=True)
    first = recognise_words(spoken[TEXTS[2], VOICES[0]], sentence)
    assert word_error_rate(first, spelled(TEXTS[2])) <= 0.4
    recognise_words(with_noise(spoken[TEXTS[2], VOICES[1]]), sentence)
    assert recognise_words(spoken[TEXTS[2], VOICES[0]], sentence) == first
    assert isinstance(recognise_words(spoken["water", VOICES[0]], Grammar(words=(), several=True)), list)
    assert recognise_words(silence(8000), sentence) == []


def test_words_that_the_dictionary_lacks_are_named() -> None:
    pytest.importorskip("pocketsphinx")
    assert unknown_words(["seven", "qwxz", "7", "don't"]) == ["qwxz", "7"]


def test_labels_are_split_into_words() -> None:
    assert spelled("Red_apple, don't 7.") == ["red", "apple", "don't", "7"]
    assert spelled("..") == []


@pytest.mark.parametrize("heard", ["", "a", "a b c", "b c", "a x c", "c b a", "x y z w"])
def test_the_error_rate_counts_edits(heard: str) -> None:
    spoken = ["a", "b", "c"]
    assert word_error_rate(heard.split(), spoken) == edits(heard.split(), spoken) / 3


def test_a_voice_is_more_similar_to_itself(spoken: dict[tuple[str, str], Waveform]) -> None:
    pytest.importorskip("resemblyzer", exc_type=ImportError)
    found = {key: voice(sound) for key, sound in spoken.items()}
    of = {key: each for key, each in found.items() if each is not None}
    assert len(of) == len(found)
    for word, (own, other) in product(TEXTS[:2], (VOICES, VOICES[::-1])):
        assert of[word, own] @ of[TEXTS[2], own] > of[word, own] @ of[TEXTS[2], other] + 0.1
    assert voice(silence(RATE)) is None


@pytest.mark.parametrize("repeats", [2, 3, 5])
def test_a_voice_is_that_of_the_package(repeats: int, spoken: dict[tuple[str, str], Waveform]) -> None:
    resemblyzer = pytest.importorskip("resemblyzer", exc_type=ImportError)  # it needs a webrtcvad that works, too
    sound = spoken[TEXTS[2], VOICES[0]]
    long = Waveform(samples=np.tile(sound.samples, repeats), sample_rate=sound.sample_rate)
    embedded = voice(long)
    assert embedded is not None
    louder = resemblyzer.normalize_volume(at_rate(long), -30, increase_only=True)
    expected = resemblyzer.VoiceEncoder("cpu", verbose=False).embed_utterance(louder)
    np.testing.assert_allclose(embedded, expected, atol=1e-5)


def test_low_rates_have_no_naturalness() -> None:
    assert unfit_rate("words", 8_000) is None
    assert unfit_rate("dnsmos", 16_000) is None
    told = unfit_rate("dnsmos", 8_000)
    assert told is not None
    assert "8,000 Hz" in told


def test_a_missing_package_is_refused_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_installed(["stoi"], option="judges")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name, judge in SPEECH_JUDGES.items():
        for module in judge.modules:
            monkeypatch.delitem(sys.modules, module, raising=False)
        with pytest.raises(InputError) as caught:
            require_installed(["stoi", name], option="judges")
        assert caught.value.option == "judges"
        assert "wordless[judges]" in caught.value.remedy
