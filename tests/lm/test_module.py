"""The language model as a module of PyTorch: logits, loss and states of batches, and training in one's own loop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lm.gpt import CodeSampling
from lm.model import LanguageModel
from lm.pitch import WithStreams
from lm.rates import RatesModel
from tests.lm.conftest import made
from tests.lm.tiny import TINY, codes_format, random_codes, random_rates
from tokenizer.codes import Codes, PitchFormat
from wordless.base.messages import InputError

LENGTHS = (5, 60, 1, 12)  # 60 are far beyond the context


def _clips(model: LanguageModel, lengths: tuple[int, ...] = LENGTHS) -> list[Codes]:
    return [random_rates(model.format, length, seed=length) for length in lengths]


def _padded(clips: list[Codes]) -> tuple[torch.Tensor, torch.Tensor]:
    """Values with rubbish after the end of shorter clips, and their mask."""
    longest = max(map(len, clips))
    values = torch.full((len(clips), longest, clips[0].format.streams), 3)
    for row, clip in zip(values, clips, strict=True):
        row[: len(clip)] = torch.tensor(clip.values)
    return values, torch.arange(longest) < torch.tensor([*map(len, clips)])[:, None]


@torch.no_grad()
def test_logits_are_those_of_the_log_probabilities(any_model: LanguageModel) -> None:
    for clip in _clips(any_model):
        logits, own = any_model.logits(clip), any_model.own(clip).values
        assert logits.shape == (*own.shape, any_model.codebook_size)
        found = logits.log_softmax(-1).gather(2, torch.tensor(own, dtype=torch.int64)[..., None])[..., 0]
        np.testing.assert_array_equal(found, any_model.log_probabilities(clip))
    assert (any_model.sample_rate, any_model.codebook_size) == (16_000, 7)
    empty = random_rates(any_model.format, 3).crop(0, 0)
    assert any_model.logits(empty).shape == (0, any_model.predicted.streams, 7)


@torch.no_grad()
def test_a_padded_batch_has_the_logits_of_each_recording(any_model: LanguageModel) -> None:
    clips = _clips(any_model, (3, 2, 1))  # 12 codes of the finest rate, as many as the smallest model reads
    values, mask = _padded(clips)
    found = any_model(values, mask)
    for row, clip in zip(found, clips, strict=True):
        torch.testing.assert_close(row[: len(any_model.own(clip))], any_model.logits(clip), rtol=0, atol=1e-5)
    torch.testing.assert_close(any_model(values, mask.long()), found)
    torch.testing.assert_close(any_model(values[:1]), found[:1], rtol=0, atol=1e-5)
    assert any_model(values[:, :0]).shape == (3, 0, *any_model.predicted.code_shape)
    short = any_model(values, mask & (torch.arange(3) < 2))  # of no row is the third step
    assert short.shape == found.shape
    torch.testing.assert_close(short[2], found[2] * (short[2] != 0), rtol=0, atol=1e-5)
    assert any_model(values, mask & False).shape == found.shape


@torch.no_grad()
def test_the_loss_is_the_nats_per_code(any_model: LanguageModel) -> None:
    clips = _clips(any_model)
    assert float(any_model.loss(clips)) == pytest.approx(any_model.nats_per_code(clips), rel=1e-5)
    assert float(any_model.loss(clips[1])) == pytest.approx(any_model.nats_per_code(clips[1:2]), rel=1e-5)
    values, mask = _padded(clips)
    assert float(any_model.loss(values, mask)) == pytest.approx(any_model.nats_per_code(clips), rel=1e-5)


def test_a_loop_of_pytorch_trains_it() -> None:
    model, clips = LanguageModel.create(TINY, codes_format(2), seed=0), [random_codes(20, streams=2, seed=1)]
    assert isinstance(model, nn.Module)
    before, optimizer = model.nats_per_code(clips), torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(30):
        optimizer.zero_grad()
        model.loss(clips).backward()
        optimizer.step()
    for ask in (
        lambda: model.generate(seconds=0.1),
        lambda: [*model.stream(seconds=0.1)],
        lambda: model.perplexity(clips),
        lambda: model.log_probabilities(clips[0]),
        lambda: model.hidden_states(clips[0]),
        lambda: model.hidden_states_batch(clips),
    ):
        with pytest.raises(InputError, match=r"training mode.*eval\(\)"):
            ask()
    assert model.eval().nats_per_code(clips) < before / 2
    logits = model.logits(clips[0])
    assert logits.requires_grad


def test_dropout_is_that_of_training_alone() -> None:
    model, clip = LanguageModel.create(replace(TINY, dropout=0.5), codes_format(), seed=0), random_codes(20)
    assert torch.equal(model.logits(clip), model.logits(clip))
    assert not torch.equal(model.train().logits(clip), model.logits(clip))
    model.eval()
    assert not any(part.training for part in model.modules())


def test_it_moves_as_a_whole_and_its_files_name_the_weights_as_before(tmp_path: Path) -> None:
    for layout in ((1, "flattening", False), (1, "flattening", True)):
        model = made(*layout)
        assert sum(each.numel() for each in model.parameters()) > 0
        parts = model.rates if isinstance(model, RatesModel) else (model,)
        every = {id(each) for part in parts for each in part.gpt.parameters()}
        assert {id(each) for each in model.parameters()} == every
        with torch.device("meta"):
            assert all(each.is_meta for each in LanguageModel.create(TINY, codes_format(), seed=0).parameters())
        for part in parts:
            part.save_pretrained(tmp_path / "saved")
            names = load_file(tmp_path / "saved/model.safetensors")
            assert {*names} <= {*part.gpt.state_dict()}


def test_states_of_a_batch_are_those_of_each_recording(any_model: LanguageModel) -> None:
    clips, layers = _clips(any_model), TINY.layers
    found, mask = any_model.hidden_states_batch(clips)
    assert found.shape[:2] == (1 + layers, len(clips))
    assert mask.shape == found.shape[1:3]
    for number, clip in enumerate(clips):
        own = any_model.hidden_states(clip)
        assert int(mask[number].sum()) == own.shape[1]
        torch.testing.assert_close(found[:, number, : own.shape[1]], own, rtol=0, atol=1e-5)
        assert not found[:, number, own.shape[1] :].any()
    for layer in (0, layers):
        one, same = any_model.hidden_states_batch(clips, layers=layer)
        torch.testing.assert_close(one, found[layer])
        assert torch.equal(same, mask)
        assert torch.equal(any_model.hidden_states(clips[1], layers=layer), any_model.hidden_states(clips[1])[layer])
    none, nothing = any_model.hidden_states_batch([], layers=1)
    assert none.shape == (0, 0, TINY.model_dim)
    assert nothing.shape == (0, 0)
    for wrong, told in ((clips[0], "list"), ([clips[0].values], "ndarray"), (clips, r"layers.*\b3\b")):
        with pytest.raises(InputError, match=told):
            any_model.hidden_states_batch(wrong, layers=layers + (told != "list" and told != "ndarray"))


def test_batches_are_generated_with_the_defaults_of_one(any_model: LanguageModel) -> None:
    prompt = random_rates(any_model.format, 3)
    first, second = any_model.generate_batch([prompt, None], seconds=0.2)
    assert first == any_model.generate(prompt, seconds=0.2)
    assert second.num_samples == 3200
    three = any_model.generate(prompt, seconds=0.2, num_samples=3)
    assert three == any_model.generate_batch([prompt] * 3, seconds=0.2)
    assert three[0] == first != three[1] != three[2]
    four = any_model.generate_batch([prompt, None], seconds=0.2, num_samples=2)
    assert four[:2] == three[:2]
    assert len(four) == 4
    cold = any_model.generate_batch([prompt, None], seconds=0.2, temperature=0)
    assert cold == any_model.generate_batch([prompt, None], seconds=0.2, sampling=CodeSampling(temperature=0))
    joined = [step.values for step in any_model.stream(prompt, seconds=0.2)]
    np.testing.assert_array_equal(np.concatenate(joined), first.values)


def test_numbers_and_samplings_that_contradict_are_refused(model: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"num_samples.*\b0\b"):
        model.generate(seconds=1, num_samples=0)
    with pytest.raises(InputError, match=r"sampling.*top_k"):
        model.generate_batch([None], seconds=1, top_k=3, sampling=CodeSampling(top_k=2))
    with pytest.raises(InputError, match=r"list.*generate\("):
        model.generate_batch(random_codes(3, streams=model.format.streams), seconds=1)  # type: ignore[arg-type]


def test_tensors_and_masks_of_other_shapes_are_refused(model: LanguageModel) -> None:
    streams, mask = model.format.streams, torch.ones(2, 5)
    values = torch.zeros(2, 5, streams, dtype=torch.int64)
    for codes, own, told in (
        (values[0], None, "batch, time"),
        (values.float(), None, "integers"),
        (torch.zeros(2, 5, streams + 1, dtype=torch.int64), None, rf"batch, time, {streams}"),
        (values + 7, None, "codebook of 7"),
        (values, mask[:, :4], "mask"),
        (values, mask.flip(1) * torch.arange(5), "mask.*right"),
        (values.repeat(1, 9, 1), None, f"at most {model.capacity}"),
    ):
        with pytest.raises(InputError, match=told):
            model(codes, own)
    with pytest.raises(InputError, match="mask"):
        model.loss([random_codes(4, streams=streams)], mask)


PITCH = PitchFormat(levels=7, lowest=60.0, highest=400.0)


@torch.no_grad()
def test_a_side_stream_is_never_read_as_codes() -> None:
    """Its numbers are in the codebook, so nothing but its column says what they are."""
    plain = random_codes(12)
    pitch = np.random.default_rng(5).integers(7, size=12, dtype=np.int32)
    form = replace(plain.format, streams=2, pitch=PITCH)
    clip = plain.with_side_streams(form, {PITCH: pitch})
    model = LanguageModel.create(TINY, form, seed=0)
    assert isinstance(model, WithStreams)
    both, alone = (torch.tensor(each.values)[None] for each in (clip, plain))
    assert torch.equal(model(both), model(alone))
    assert model(both).shape == (1, 12, 1, 7)
    assert torch.equal(model.loss(both), model.loss(alone))
    assert torch.equal(model.logits(clip), model.logits(plain))
    for ask in (
        lambda: model.tokens(clip.values),
        lambda: model.gpt(model.tokens(clip.values)),
        lambda: model.gpt(both),
        lambda: model.gpt(both[0]),
        lambda: model.gpt(both.flatten(1)),
        lambda: model.gpt.vocabulary.sequences(both),
        lambda: model.gpt.vocabulary.tokens(clip.values),
    ):
        with pytest.raises(InputError, match=r"spectral|LanguageModel\.logits"):
            ask()
