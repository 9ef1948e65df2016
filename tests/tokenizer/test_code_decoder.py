"""The code decoder: what it computes, that parts of a sound have the bytes of the whole, and what it learns."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import decoded_in_context
from tests.tokenizer.conftest import LONG, change_config, like
from tokenizer.code_decoder import (
    SIDE_INPUTS,
    CodeDecoderNetwork,
    DecoderConfig,
    DecoderCrops,
    dilations_within,
    inputs,
    loss,
)
from tokenizer.codes import BLOCK
from tokenizer.tokenizer import Tokenizer
from wordless.base.messages import InputError

PATCH = 6
DECODER = DecoderConfig(channels=5, dilations=(1, 2))


def random_decoder(patch: int = PATCH, config: DecoderConfig = DECODER) -> CodeDecoderNetwork:
    decoder, generator = CodeDecoderNetwork(config, patch), torch.Generator().manual_seed(1)
    for weight in decoder.parameters():
        weight.data = 0.5 * torch.randn(weight.shape, generator=generator)
    return decoder.eval()


def random_inputs(time: int, patch: int = PATCH) -> Tensor:
    generator = torch.Generator().manual_seed(3)  # whose outermost codes of a reach pass the ReLUs
    alone = torch.randn(time, patch, generator=generator)
    voiced, height = torch.rand(2, time, generator=generator)
    return inputs(alone, torch.where(voiced < 0.5, 7.0 + height, torch.nan))


def in_context(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer of the same codes with a random decoder."""
    other = like(tokenizer, tokenizer.config)
    other.use_decoder(random_decoder(other.patch_frames * other.front_end.n_mels))
    return other


@pytest.mark.parametrize("time", [0, 1, 3, BLOCK, BLOCK + 5])
def test_a_code_is_decoded_from_those_around_it(time: int) -> None:
    decoder, codes = random_decoder(), random_inputs(time)
    with torch.inference_mode():
        found = decoder.decode(codes)
    np.testing.assert_allclose(found.numpy(), decoded_in_context(decoder, codes.double().numpy()), atol=1e-4)


@given(blocks=st.integers(0, 3), length=st.integers(0, 3 * BLOCK), more=st.integers(0, 9), rest=st.integers(0, 70))
def test_a_part_with_its_context_has_the_bytes_of_the_whole(blocks: int, length: int, more: int, rest: int) -> None:
    decoder, start = random_decoder(), blocks * BLOCK
    codes, reach = random_inputs(start + length + rest), decoder.config.reach
    before, after = min(reach + more, start), min(reach + more, rest)
    with torch.inference_mode():
        part = decoder.decode(codes[start - before : start + length + after], before=before, after=after)
        assert torch.equal(part, decoder.decode(codes)[start : start + length])


def test_nothing_beyond_the_reach_changes_a_code() -> None:
    decoder, codes, reach = random_decoder(), random_inputs(2 * BLOCK), DECODER.reach
    with torch.inference_mode():
        before, changed = decoder.decode(codes), codes.clone()
        changed[40] += 1.0
        rows = (decoder.decode(changed) != before).any(1).nonzero()[:, 0]
    assert (rows.min(), rows.max()) == (40 - reach, 40 + reach)


@pytest.mark.parametrize("codes", range(1, 40))
def test_layers_look_as_far_ahead_as_they_may(codes: int) -> None:
    reach = DecoderConfig(dilations=dilations_within(codes)).reach
    assert reach <= codes < 2 * reach + 1


def test_an_untrained_decoder_gives_the_patches_of_codes_alone() -> None:
    codes = random_inputs(50)
    assert torch.equal(CodeDecoderNetwork(DECODER, PATCH).decode(codes), codes[:, :PATCH])


@pytest.mark.parametrize("name", ["tokenizer", "banded", "pitched_codes", "levelled_codes"])
def test_a_tokenizer_decodes_in_context_and_keeps_codes_and_folder(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    alone: Tokenizer = request.getfixturevalue(name)
    tokenizer, codes = in_context(alone), alone.encode(LONG, alone.front_end.sample_rate)
    tokenizer.gain = 1.5
    values = torch.tensor(codes.values)[None]
    assert tokenizer.encode(LONG, alone.front_end.sample_rate) == codes
    decoded = tokenizer.spectrogram(values)
    assert decoded.shape == alone.spectrogram(values).shape
    assert not torch.allclose(decoded, alone.spectrogram(values), atol=0.1)
    start, frames = 2 * BLOCK, alone.patch_frames
    part = tokenizer.spectrogram(values[:, start - tokenizer.reach :], before=tokenizer.reach)
    assert torch.equal(part, decoded[:, start * frames :])
    assert torch.equal(tokenizer.spectrogram(values.expand(2, -1, -1))[1], decoded[0])
    assert tokenizer.spectrogram(values[:, :0]).shape == (1, 0, alone.front_end.n_mels)
    tokenizer.save_pretrained(tmp_path)
    loaded = Tokenizer.from_pretrained(tmp_path)
    assert (loaded.format, loaded.gain, loaded.reach) == (alone.format, 1.5, DECODER.reach)
    assert torch.equal(loaded.spectrogram(values), decoded)


def test_the_pitch_of_codes_changes_their_log_mel(pitched_codes: Tokenizer) -> None:
    tokenizer = in_context(pitched_codes)
    values = torch.tensor([[[3, pitch] for pitch in (0, 0, 5, 5)]])
    other = values.clone()
    other[..., 1] = 0
    assert not torch.allclose(tokenizer.spectrogram(values), tokenizer.spectrogram(other))
    # without the stream, the pitch is unknown, which is as no voice
    assert torch.equal(tokenizer.spectrogram(values[..., :1]), tokenizer.spectrogram(other))


def test_a_tokenizer_without_a_decoder_names_none(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["decoder"] is None
    assert "decoder" not in config["fingerprints"]
    assert tokenizer.reach == 0


def test_a_decoder_of_another_folder_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    one, other = in_context(tokenizer), in_context(tokenizer)
    assert other.decoder is not None
    other.decoder.last.weight.data += 1.0
    one.save_pretrained(tmp_path / "one")
    other.save_pretrained(tmp_path / "other")
    (tmp_path / "one/model.safetensors").write_bytes((tmp_path / "other/model.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"\bone\b.*\bdecoder\b.*copy"):
        Tokenizer.from_pretrained(tmp_path / "one")
    change_config(tmp_path / "other", decoder={"channels": 7, "dilations": [1, 2]})
    with pytest.raises(InputError, match=r"\bother\b.*\bdecoder\."):
        Tokenizer.from_pretrained(tmp_path / "other")


def crops_of(lengths: list[int], **changes: object) -> DecoderCrops:
    codes, offsets = random_inputs(sum(lengths)), np.cumsum([0, *lengths])
    crops = DecoderCrops(
        codes=codes, patches=codes[:, :PATCH] + 1, offsets=offsets, reach=3, crop_codes=8, batch_size=6, seed=4
    )
    return replace(crops, **changes)  # type: ignore[arg-type]  # of several types


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=4), step=st.integers(0, 9))
def test_crops_are_pieces_of_sounds_with_what_is_around_them(lengths: list[int], step: int) -> None:
    crops = crops_of(lengths)
    batch = crops.batch(step)
    assert batch.counted == int(batch.known.sum()) * PATCH
    rows = {bytes(row.numpy()): place for place, row in enumerate(crops.codes)}
    for codes, patches, known in zip(batch.codes, batch.patches, batch.known, strict=True):
        there = [rows.get(bytes(row.numpy())) for row in codes]
        inside = [place for place in there if place is not None]
        assert all((place is None) == (not row.any()) for place, row in zip(there, codes, strict=True))
        assert inside == [*range(inside[0], inside[0] + len(inside))]
        sound = int(np.searchsorted(crops.offsets, inside[0], side="right")) - 1
        assert inside[-1] < crops.offsets[sound + 1]  # a crop reads no other sound
        own = there[3:-3]
        assert [bool(each) for each in known] == [place is not None for place in own]
        for place, patch in zip(own, patches, strict=True):
            assert torch.equal(patch, torch.zeros(PATCH) if place is None else crops.patches[place])


def test_parts_of_a_batch_are_the_batch() -> None:
    crops = crops_of([5, 40])
    whole, parts = crops.batch(3), [crops.batch(3, part, 2) for part in range(2)]
    for part, own in enumerate(parts):
        assert torch.equal(own.codes, whole.codes[part::2])
    assert sum(own.counted for own in parts) == whole.counted


def test_the_pitch_of_some_crops_is_unknown() -> None:
    pitched = [
        bool(crops_of([90], pitch_dropout=0.5).batch(step).codes[..., -SIDE_INPUTS + 1 :].any()) for step in range(9)
    ]
    assert all(pitched)
    assert not crops_of([90], pitch_dropout=1.0).batch(0).codes[..., -SIDE_INPUTS + 1 :].any()
    batch = crops_of([90], pitch_dropout=0.5, batch_size=60).batch(0)
    assert 15 < int(batch.codes[..., -SIDE_INPUTS + 1 :].flatten(1).any(1).sum()) < 45


def test_training_learns_what_neighbours_say() -> None:
    """Patches that are the mean of the codes before and after: what no code alone says."""
    generator = torch.Generator().manual_seed(0)
    alone = torch.randn(2000, PATCH, generator=generator)
    patches = (alone.roll(1, 0) + alone.roll(-1, 0)) / 2
    crops = DecoderCrops(
        codes=inputs(alone, None),
        patches=patches,
        offsets=np.array([0, 2000]),
        reach=DECODER.reach,
        crop_codes=30,
        batch_size=16,
        seed=0,
    )
    torch.manual_seed(0)
    model = CodeDecoderNetwork(replace(DECODER, channels=32), PATCH)
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=1e-2), list[float]()
    for step in range(150):
        summed, count = loss(model, crops.batch(step))
        (summed / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(summed.detach() / count))
    assert losses[0] > 0.9
    assert losses[-1] < 0.2
