"""Health figures are those of their definitions, and the table of codes is that of slow computations."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from tests.reference import nearest_patches
from tests.tokenizer.conftest import sound
from tests.tokenizer.test_codes import FORMAT
from tokenizer.codes import Codes
from tokenizer.health import (
    CodeTable,
    chance,
    collapse,
    count_codes,
    information,
    label_counts,
    measure_stability,
    perplexity,
)
from tokenizer.tokenizer import Tokenizer
from wordless.audio.waveform import LOUDEST


def test_usage_counts_all_streams_and_each_level_in_all_bands() -> None:
    codes = Codes(values=np.array([[0, 1], [1, 1]], np.int32), num_samples=320, format=replace(FORMAT, codebook_size=3))
    assert count_codes([codes, codes], 1, 3).tolist() == [[2, 6, 0]]
    format = replace(FORMAT, codebook_size=3, streams=4)  # two bands of two levels
    codes = Codes(values=np.array([[0, 2, 1, 2], [0, 2, 0, 1]], np.int32), num_samples=320, format=format)
    assert count_codes([codes], 2, 3).tolist() == [[3, 1, 0], [0, 1, 3]]


def test_the_same_sound_is_steady_and_another_is_not(tokenizer: Tokenizer) -> None:
    clips = [sound(2.0)]
    still = measure_stability(tokenizer, clips, noise_snr_db=200, gain_db=0, shift_seconds=0, seed=0)
    assert still == {"noise": 1, "gain": 1, "shift": 1}
    shaken = measure_stability(tokenizer, iter(clips), noise_snr_db=0, gain_db=-20, shift_seconds=0.05, seed=0)
    assert max(shaken.values()) < 0.9
    loud = clips[0] * LOUDEST / np.abs(clips[0]).max()  # the gain makes its samples louder than any recording's
    assert measure_stability(tokenizer, [loud], gain_db=6.0, seed=0)["gain"] >= 0


def test_a_collapse_is_found_also_at_one_level() -> None:
    fine, fallen = np.array([[5, 5, 5, 5]]), np.array([[100, 1, 1, 0]])
    assert (perplexity(fine[0]), perplexity(np.array([2, 1, 1, 0]))) == pytest.approx((4, 2**1.5))
    both = np.array([[5, 5, 5, 5], [20, 0, 0, 0]])
    counted = (fine, fallen, both, both.sum(0, keepdims=True), both[:1])
    assert [collapse(each, least=0.5) is not None for each in counted] == [False, True, True, False, False]


def test_examples_counts_and_spectra_are_those_of_all_patches(tokenizer: Tokenizer) -> None:
    clips = [sound(0.5 + 0.1 * seed, seed=seed) for seed in range(4)]
    table = CodeTable(tokenizer=tokenizer, examples=2)
    for samples in (*clips, np.zeros(3, np.float32)):  # the last is shorter than a patch
        table.add(samples)
    wanted = nearest_patches(tokenizer, clips, examples=2)
    assert {code: [(at.clip, at.step) for at in places] for code, places in table.nearest.items()} == wanted
    assert [bool(each.any()) for each in table.histograms] == [True] * 4 + [False]
    whole = [tokenizer.normalise(tokenizer.log_mel(torch.from_numpy(clip)[None]))[0] for clip in clips]
    cut = torch.cat([each[: len(each) // tokenizer.patch_frames * tokenizer.patch_frames] for each in whole])
    mean = (table.spectra * table.counts[:, None]).sum(0) / table.counts.sum()  # that of all frames
    np.testing.assert_allclose(mean, cut.mean(0).numpy(), atol=1e-4)
    assert table.counts.sum() == len(cut) // tokenizer.patch_frames


def test_information_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(3)
    histograms = [random.integers(0, 5, 6) for _ in range(7)]
    labels = [0, 1, 2, 0, 1, 2, 2]
    counts = label_counts(histograms, labels, 3)
    codes = [code for each in histograms for code in range(6) for _ in range(each[code])]
    classes = [label for each, label in zip(histograms, labels, strict=True) for _ in range(each.sum())]
    found = information(counts)
    assert found["mutual_information"] == pytest.approx(mutual_info_score(codes, classes) / math.log(2))
    pairs = Counter(zip(codes, classes, strict=True))
    frequent = sum(max(pairs[code, label] for label in range(3)) for code in range(6))
    assert found["purity"] == pytest.approx(frequent / len(codes))
    shuffled = chance(20 * histograms, 20 * labels, 3, seed=0)
    assert shuffled == chance(20 * histograms, 20 * labels, 3, seed=0)
    assert 0 < shuffled["mutual_information"] < 0.5 * found["mutual_information"]
