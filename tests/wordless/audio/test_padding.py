"""Batches of clips of different lengths."""

import torch

from wordless.audio.padding import inside, join_groups


def test_frames_before_the_end_of_a_clip_are_its_own() -> None:
    found = inside(torch.zeros(3, 4, 2), torch.tensor([4, 0, 2]))
    assert found.tolist() == [[True] * 4, [False] * 4, [True, True, False, False]]


def test_groups_become_one_batch_in_its_order() -> None:
    """Clips 2 and 0 are one group of a single frame; clip 1 has two frames and is the other group."""
    short, long = torch.tensor([[[2.0]], [[5.0]]]), torch.tensor([[[3.0], [4.0]]])
    joined = join_groups([short, long], torch.tensor([2, 0, 1]))
    assert joined.tolist() == [[[5.0], [0.0]], [[3.0], [4.0]], [[2.0], [0.0]]]


def test_time_is_the_last_axis_but_one() -> None:
    groups = [torch.ones(1, 3, 2, 5), torch.ones(2, 3, 4, 5)]
    assert join_groups(groups, torch.tensor([0, 1, 2])).sum((1, 3)).tolist() == [[15.0, 15.0, 0.0, 0.0]] + 2 * [
        [15.0] * 4
    ]
    assert join_groups([each[:, :0] for each in groups], torch.tensor([0, 1, 2])).shape == (3, 0, 4, 5)
