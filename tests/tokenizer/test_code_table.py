"""The table of codes: nearest patches, spectra, and information about labels, against slow computations."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from tests.reference import nearest_patches
from tests.tokenizer.conftest import sound
from tokenizer.health import CodeTable, chance, information, label_counts
from tokenizer.tokenizer import Tokenizer


@pytest.fixture
def table(tokenizer: Tokenizer) -> CodeTable:
    found = CodeTable(tokenizer=tokenizer, examples=2)
    for seed in range(4):
        found.add(sound(0.5 + 0.1 * seed, seed=seed))
    found.add(np.zeros(3, np.float32))  # shorter than a patch
    return found


def test_nearest_patches_are_those_of_a_loop(table: CodeTable) -> None:
    clips = [sound(0.5 + 0.1 * seed, seed=seed) for seed in range(4)]
    wanted = nearest_patches(table.tokenizer, clips, examples=2)
    assert table.nearest.keys() == wanted.keys()
    for code, places in wanted.items():
        assert [(each.clip, each.step) for each in table.nearest[code]] == places


def test_counts_and_spectra_cover_all_patches(table: CodeTable) -> None:
    assert len(table.histograms) == 5
    assert not table.histograms[4].any()
    tokenizer, clips = table.tokenizer, [sound(0.5 + 0.1 * seed, seed=seed) for seed in range(4)]
    whole = [tokenizer.normalise(tokenizer.log_mel(torch.from_numpy(clip)[None]))[0] for clip in clips]
    cut = torch.cat([each[: len(each) // tokenizer.patch_frames * tokenizer.patch_frames] for each in whole])
    if tokenizer.config.bands == 1:  # the mean of all patches is that of all frames
        mean = (table.spectra * table.counts[:, None]).sum(0) / table.counts.sum()
        np.testing.assert_allclose(mean, cut.mean(0).numpy(), atol=1e-4)
    assert table.counts.sum() == len(cut) // tokenizer.patch_frames * tokenizer.config.bands


def test_information_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(3)
    histograms = [random.integers(0, 5, 6) for _ in range(7)]
    labels = [0, 1, 2, 0, 1, 2, 2]
    counts = label_counts(histograms, labels, 3)
    codes = [code for each in histograms for code in range(6) for _ in range(each[code])]
    classes = [label for each, label in zip(histograms, labels, strict=True) for _ in range(each.sum())]
    found = information(counts)
    assert found.mutual_information == pytest.approx(mutual_info_score(codes, classes) / math.log(2))
    pairs = Counter(zip(codes, classes, strict=True))
    frequent = sum(max(pairs[code, label] for label in range(3)) for code in range(6))
    assert found.purity == pytest.approx(frequent / len(codes))


def test_codes_that_name_the_label_know_all_of_it_and_chance_knows_less() -> None:
    histograms = [np.eye(4, dtype=np.int64)[clip % 4] * 10 for clip in range(40)]
    labels = [clip % 4 for clip in range(40)]
    known = information(label_counts(histograms, labels, 4))
    assert known.purity == pytest.approx(1)
    assert known.mutual_information == pytest.approx(2)
    shuffled = chance(histograms, labels, 4, seed=0)
    assert shuffled.purity < 0.6
    assert 0 < shuffled.mutual_information < 0.6
    assert shuffled == chance(histograms, labels, 4, seed=0)
