"""Frames of convolutions against those of PyTorch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wordless.audio.options import Convolutions
from wordless.base.errors import InputError

SHAPES = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5)), min_size=1, max_size=4)


@given(shapes=SHAPES, samples=st.integers(1, 400))
def test_frames_are_those_that_the_convolutions_give(shapes: list[tuple[int, int]], samples: int) -> None:
    own = Convolutions(kernels=[kernel for kernel, _ in shapes], strides=[stride for _, stride in shapes])
    network = nn.Sequential(*(nn.Conv1d(1, 1, kernel, stride) for kernel, stride in shapes))
    filled = max(samples, own.receptive_field)
    wanted = network(torch.zeros(1, 1, filled)).shape[2]
    assert own.frames(samples) == wanted
    assert own.frames_of(torch.tensor([samples])).tolist() == [wanted]
    assert own.samples(wanted) <= filled < own.samples(wanted + 1)


def test_those_of_the_paper() -> None:
    own = Convolutions(kernels=(10, 3, 3, 3, 3, 2, 2), strides=(5, 2, 2, 2, 2, 2, 2))
    assert (own.stride, own.receptive_field) == (320, 400)
    assert own.frames(16_000) == 49
    assert own.frames(1) == 1


@pytest.mark.parametrize(("kernels", "strides"), [((), ()), ((3, 2), (1,)), ((3,), (0,))])
def test_shapes_that_cannot_be_are_refused(kernels: tuple[int, ...], strides: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"kernels.*strides"):
        Convolutions(kernels=kernels, strides=strides)
