import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from lm.samples.crops import BASELINES, NOT_COUNTED, LevelTable, SampleCrops, count_pairs, create_baseline, loss, score
from lm.samples.options import SampleCropsConfig
from vocoder.crops import SampleClips
from vocoder.wavenet import mu_law_encode, silence
from wordless.base.errors import InputError

LENGTHS = (50, 3, 200)
CPU = torch.device("cpu")


def clips_of(lengths: tuple[int, ...] = LENGTHS) -> SampleClips:
    rng = np.random.default_rng(0)
    samples = rng.integers(-20_000, 20_000, sum(lengths)).astype(np.int16)
    return SampleClips(samples=samples, offsets=np.cumsum([0, *lengths]))


def levels_of(clips: SampleClips, clip: int) -> list[int]:
    start, stop = clips.offsets[clip : clip + 2]
    return mu_law_encode(torch.from_numpy(clips.samples[start:stop].astype(np.float32) / 32_768)).tolist()


CONFIG = SampleCropsConfig(batch_size=6, samples=40, seed=2)


@pytest.mark.parametrize("history", [0, 7, 300])
def test_a_crop_is_a_part_of_a_clip_with_silence_before_it(history: int) -> None:
    clips = clips_of()
    whole = [[silence()] * (history + 1) + levels_of(clips, clip) for clip in range(3)]
    found = set()
    for batch in SampleCrops(clips, CONFIG, history=history).batches(20):
        for previous, targets in zip(batch.previous.tolist(), batch.targets.tolist(), strict=True):
            kept = [level for level in targets if level != NOT_COUNTED]
            assert targets == kept + [NOT_COUNTED] * (len(targets) - len(kept))
            # each target's own input is the level before it, and the history stands before that
            crop = previous[: history + len(kept)] + kept[-1:]
            places = [
                (clip, start)
                for clip, known in enumerate(whole)
                for start in range(len(known) - len(crop) + 1)
                if known[start : start + len(crop)] == crop
            ]
            assert places
            found.add(places[0][0])
            assert crop[history + 1 :] == kept
    assert found == {0, 1, 2}  # also the clip of three samples


def test_processes_share_a_batch_and_models_with_other_histories_see_the_same_targets() -> None:
    crops, longer = (SampleCrops(clips_of((60,)), CONFIG, history=history) for history in (4, 90))
    whole, parts = crops.batch(1), [crops.batch(1, part, 3) for part in range(3)]
    assert torch.equal(torch.cat([part.previous for part in parts]), whole.previous)
    assert torch.equal(longer.batch(1).targets, whole.targets)
    assert torch.equal(longer.batch(1).previous[:, 86:], whole.previous)
    with pytest.raises(InputError, match=r"batch_size\b.*\b6\b.*\b4\b"):
        crops.batch(0, 0, 4)
    with pytest.raises(InputError, match="no sound"):
        SampleCrops(clips_of(()), CONFIG, history=1)


def test_pieces_of_long_clips_overlap_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = clips_of()
    whole = count_pairs(clips.pieces())
    monkeypatch.setattr("vocoder.crops.PIECE", 7)
    np.testing.assert_array_equal(count_pairs(clips.pieces()), whole)
    expected = np.zeros((256, 256), np.int64)
    for clip in range(3):
        known = [silence(), *levels_of(clips, clip)]
        for before, after in pairwise(known):
            expected[before, after] += 1
    np.testing.assert_array_equal(whole, expected)


def test_scores_are_those_of_a_loop_over_samples() -> None:
    table = np.log(np.random.default_rng(1).dirichlet(np.ones(256), 256))
    right, nats, count = 0, 0.0, 0
    crops = SampleCrops(clips_of(), CONFIG, history=0)
    for batch in crops.batches(5):
        for before, target in zip(batch.previous.flatten().tolist(), batch.targets.flatten().tolist(), strict=True):
            if target != NOT_COUNTED:
                right += int(table[before].argmax() == target)
                nats -= table[before, target]
                count += 1
    found = score(LevelTable(table), crops.batches(5), CPU)
    assert (found.accuracy, found.samples) == (right / count, count)
    assert found.bits_per_sample == pytest.approx(nats / count / math.log(2), rel=1e-5)
    summed, number = loss(LevelTable(table), crops.batch(0))
    assert (number, bool(summed > 0)) == (int((crops.batch(0).targets != NOT_COUNTED).sum()), True)


def test_baselines_are_the_last_level_and_frequencies() -> None:
    counts = np.zeros((256, 256), np.int64)
    counts[3, 4], counts[3, 9], counts[4, 9] = 2, 1, 5
    tables = {kind: create_baseline(kind, counts) for kind in BASELINES}
    previous = torch.tensor([[7, 3, 4]])
    assert tables["repeat"](previous, 2).argmax(2).tolist() == [[3, 4]]
    assert tables["histogram"](previous, 2).argmax(2).tolist() == [[9, 9]]
    assert tables["markov"](previous, 2).argmax(2).tolist() == [[4, 9]]
    histogram, markov = (tables[kind](previous, 2).exp()[0] for kind in ("histogram", "markov"))
    torch.testing.assert_close(histogram.sum(1), torch.ones(2))
    torch.testing.assert_close(markov.sum(1), torch.ones(2))
    assert float(histogram[0, 9]) == pytest.approx((6 + 1) / (8 + 256))
    assert float(markov[0, 4]) == pytest.approx((2 + 3 / (8 + 256)) / (3 + 1))
    assert [*BASELINES.values()] == [0, 256, 65_536]
