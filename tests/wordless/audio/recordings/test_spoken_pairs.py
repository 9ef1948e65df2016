"""Pairs of sounds of which one changes within its text."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from wordless.audio.recordings.embedded import VOICES
from wordless.audio.recordings.spoken_pairs import CHANGES, consistency_pairs, joined_sound

TEXTS = [("Peter got two", "large desks"), ("Kathy sees three", "old chairs")]


@pytest.mark.parametrize("voices", [2, 4, 12, 52])
def test_the_second_part_alone_does_not_tell_which_sound_is_right(voices: int) -> None:
    pairs, spoken = consistency_pairs(TEXTS, voices=voices, seed=0)
    known = {each.file: each for each in spoken}
    assert len(known) == len(spoken)
    assert all(pair.right.files[0] == pair.wrong.files[0] for pair in pairs)
    for change, text in product(CHANGES, TEXTS):
        own = [pair for pair in pairs if pair.change == change and pair.item == " ".join(text)]
        right, wrong = (
            Counter(sound.noises[1] if sound.noises else sound.files[1] for sound in sounds)
            for sounds in ([pair.right for pair in own], [pair.wrong for pair in own])
        )
        assert right == wrong


def test_each_wrong_sound_changes_one_thing() -> None:
    pairs, spoken = consistency_pairs(TEXTS, voices=6, seed=0)
    known = {each.file: each for each in spoken}
    for pair in pairs:
        right, wrong = known[pair.right.files[1]], known[pair.wrong.files[1]]
        assert (right.text, right.speed) == (wrong.text, wrong.speed)
        changed = {"voice": right.voice != wrong.voice, "pitch": right.pitch != wrong.pitch}
        assert changed == {"voice": pair.change in ("speaker", "gender"), "pitch": pair.change == "pitch"}
        women = [VOICES.index(each.voice) % 2 == 0 for each in (right, wrong)]
        assert (women[0] != women[1]) == (pair.change == "gender")
        noises = pair.right.noises, pair.wrong.noises
        assert (noises[0] != noises[1]) == (noises != (None, None)) == (pair.change == "background")


def test_noise_lies_behind_both_parts_at_its_level() -> None:
    first, second = (np.full(4000, level, np.float32) for level in (0.1, 0.2))
    clean = joined_sound(first, second, None, snr=10, seed=1)
    np.testing.assert_array_equal(clean, np.concatenate([first, second]))
    same, changed = (
        joined_sound(first, second, noises, snr=10, seed=1) - clean
        for noises in (("white", "white"), ("white", "brown"))
    )
    np.testing.assert_array_equal(same[:4000], changed[:4000])
    assert 10 * np.log10(np.square(clean).mean() / np.square(same).mean()) == pytest.approx(10, abs=0.01)
    powers = [np.square(np.abs(np.fft.rfft(noise[4000:]))) for noise in (same, changed)]
    assert powers[0][1000:].sum() > 0.3 * powers[0].sum()
    assert powers[1][100:].sum() < 0.1 * powers[1].sum()
