"""Reading of clips in windows, and the GPT as a body."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lm.bodies.body import BodyReading, read_states
from lm.bodies.gpt import GptBody, GptNetwork, replace_codes
from lm.finetuned import open_body
from lm.finetuning import RANDOM, GptOptions
from lm.model import LanguageModel
from lm.pooled_states import states_over_time
from lm.probing.vectors import Frames
from tests.lm.tiny import random_codes
from tests.pipelines.tiny import AUDIO, save_run, sweep
from tokenizer.tokenizer import Tokenizer
from wordless.base.errors import InputError


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


def batch(model: LanguageModel, *steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of several lengths."""
    clips = [torch.tensor(random_codes(n, streams=model.format.streams, seed=n).values).long() for n in steps]
    return torch.nn.utils.rnn.pad_sequence(clips, batch_first=True), torch.tensor(steps)


def test_states_are_those_of_the_language_model(model: LanguageModel) -> None:
    body, network = GptBody(gpt=model.gpt.config, codes=model.format), GptNetwork(model.gpt)
    steps = (5, 60, 1, 8)  # 60 are several windows
    inputs, lengths = batch(model, *steps)
    layers = model.gpt.config.layers
    with torch.no_grad():
        states, counts = read_states(network, body.reading, inputs, lengths)
    assert counts.tolist() == list(steps)
    for clip, count in enumerate(steps):
        codes = random_codes(count, streams=model.format.streams, seed=count)
        last = states_over_time(model, codes, [layers])
        expected = model.gpt.transformer.decoder.layer_norm(last)
        if model.format.streams > 1 and not model.gpt.by_step:  # the norm comes before the mean over streams
            own = model.hidden_states(codes, [layers])[0]
            expected = model.gpt.transformer.decoder.layer_norm(own).reshape(count, -1, own.shape[1]).mean(1)
        torch.testing.assert_close(states[clip, :count], expected, atol=1e-4, rtol=1e-3)
    for number, found in enumerate(network.layer_states(inputs[:1, :5], lengths[:1]), 1):  # of layers, for probes
        wanted = states_over_time(model, random_codes(5, streams=model.format.streams, seed=5), [number])
        torch.testing.assert_close(found[0], wanted)


def test_the_front_end_is_the_tokenizer(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", seed=3)
    parts = {part: run / part for part in ("tokenizer", "lm")}
    source = open_body(GptOptions(dropout=0.5), parts)
    assert not open_body(GptOptions(weights=RANDOM), parts).fingerprint
    samples = sweep(0.33, AUDIO.sample_rate)
    inputs = source.body.front_end(source.folder, device="cpu")([samples])
    codes = Tokenizer.from_pretrained(run / "tokenizer").encode(samples, AUDIO.sample_rate)
    np.testing.assert_array_equal(inputs, codes.values)
    assert len(inputs) == source.body.num_inputs(len(samples))
    assert (source.body.reading.input_type, source.body.reading.least_samples) == (inputs.dtype, 80)
    assert source.body.create(seed=0).gpt.config.dropout == 0.5  # type: ignore[attr-defined]  # a GptNetwork
    with pytest.raises(InputError, match=r"weights.*folder\b.*\brun\b"):
        GptOptions(weights="folder")  # type: ignore[arg-type]


def test_a_share_of_the_codes_is_replaced() -> None:
    codes = torch.full((50, 40, 2), 9)
    changed, lengths = replace_codes(
        codes, torch.full((50,), 40), torch.Generator().manual_seed(0), share=0.2, largest=3
    )
    replaced = changed != 9
    assert abs(float(replaced.float().mean()) - 0.2) < 0.02
    assert {*changed[replaced].tolist()} == {0, 1, 2, 3}
    assert lengths.tolist() == [40] * 50
    assert np.array_equal(codes, np.full((50, 40, 2), 9))
