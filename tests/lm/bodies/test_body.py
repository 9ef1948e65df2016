"""Reading of clips in windows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lm.bodies.body import BodyReading, Frames, read_states


def reading(samples_per_state: int, *, inputs: int = 1, shared: int = 0, rounded_up: bool = True) -> BodyReading:
    return BodyReading(
        sample_rate=8000,
        dim=1,
        samples_per_state=samples_per_state,
        window=8,
        inputs_per_state=inputs,
        shared_inputs=shared,
        rounded_up=rounded_up,
        least_samples=1,
        input_type="float32",
        key="",
    )


CODES, PATCHES = reading(160), reading(80, inputs=5, shared=3)
SAMPLES = reading(4, inputs=4, shared=2, rounded_up=False)


def sums(reading: BodyReading) -> object:
    """A network of which each state is the sum of its own inputs, beside the sum of those of the state before."""

    def network(inputs: Tensor, lengths: Tensor) -> Frames:
        longest = int(reading.states_of(lengths).max())
        padded = torch.nn.functional.pad(inputs, (0, reading.num_inputs(longest)))
        inside = torch.arange(padded.shape[1]) < lengths[:, None]
        own = (padded * inside).unfold(1, reading.num_inputs(1), reading.inputs_per_state).sum(2)[:, :longest]
        before = torch.nn.functional.pad(own, (1, 0))[:, :-1]
        return torch.stack([own, before], dim=2), reading.states_of(lengths)

    return network


@pytest.mark.parametrize("reading", [CODES, PATCHES, SAMPLES])
@given(lengths=st.lists(st.integers(6, 150), min_size=1, max_size=4))
def test_windows_give_the_states_of_whole_clips(reading: BodyReading, lengths: list[int]) -> None:
    inputs = torch.randn(len(lengths), max(lengths), generator=torch.Generator().manual_seed(sum(lengths)))
    sizes = torch.tensor(lengths)
    states, counts = read_states(sums(reading), reading, inputs, sizes)  # type: ignore[arg-type]  # a network
    whole, _ = sums(reading)(inputs, sizes)  # type: ignore[operator]
    assert counts.tolist() == [reading.num_states(length) for length in lengths]
    for clip, count in enumerate(counts.tolist()):
        torch.testing.assert_close(states[clip, :count], whole[clip, :count])


def test_an_incomplete_last_state_is_read_or_left_out() -> None:
    assert [PATCHES.num_states(inputs) for inputs in (1, 8, 9, 13, 14)] == [1, 1, 2, 2, 3]
    assert [SAMPLES.num_states(inputs) for inputs in (6, 9, 10)] == [1, 1, 2]
    assert PATCHES.num_inputs(2) == 13
    assert CODES.states_per_second == 50


def test_gradients_flow_through_windows() -> None:
    inputs = torch.randn(2, 30, requires_grad=True)
    states, _ = read_states(sums(CODES), CODES, inputs, torch.tensor([30, 12]))  # type: ignore[arg-type]
    states.sum().backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    assert (inputs.grad[0] != 0).all()
    assert (inputs.grad[1, 12:] == 0).all()
