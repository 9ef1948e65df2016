"""Encoding is the same however the sound arrives, and codes mean what the contract says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import encode_whole
from tests.tokenizer.conftest import LONG, RATE, like, sound
from tokenizer.encoder import SoundToCodes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.options import MeanRemoval
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError


@pytest.mark.parametrize("name", ["tokenizer", "banded", "layered", "banded_layered"])
def test_codes_are_those_of_the_definition(name: str, request: pytest.FixtureRequest) -> None:
    """Block by block with a codebook search by matrix product, against the whole spectrogram and every distance."""
    tokenizer: Tokenizer = request.getfixturevalue(name)
    step = tokenizer.format.samples_per_code
    for samples in (1, step - 1, step, step + 1, len(LONG)):
        codes = tokenizer.encode(LONG[:samples], RATE)
        assert np.array_equal(codes.values, encode_whole(tokenizer, LONG[:samples]))
        assert codes.num_samples == samples
    assert len(tokenizer.encode(LONG[:0], RATE)) == 0


@settings(max_examples=5)
@given(cuts=st.lists(st.floats(0, 1), max_size=8))
def test_a_stream_gives_the_codes_of_the_whole(any_tokenizer: Tokenizer, cuts: list[float]) -> None:
    samples = np.tile(LONG, any_tokenizer.format.samples_per_code // 160)  # two blocks and a half of the coarsest codes
    places = sorted(round(cut * len(samples)) for cut in cuts)
    streamed = any_tokenizer.encode_blocks(np.split(samples, places), RATE)
    assert np.array_equal(streamed.values, any_tokenizer.encode(samples, RATE).values)
    assert (streamed.num_samples, streamed.format) == (len(samples), any_tokenizer.format)


def test_a_saved_tokenizer_is_the_same_and_its_folder_is_whole_or_has_no_config(
    any_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    any_tokenizer.save_pretrained(tmp_path)
    loaded = Tokenizer.from_pretrained(tmp_path, device="cpu")
    assert [each.config for each in loaded.rates] == [each.config for each in any_tokenizer.rates]
    assert loaded.encode(LONG, RATE) == any_tokenizer.encode(LONG, RATE)
    if len(loaded.rates) > 1:
        assert Tokenizer.from_pretrained(tmp_path / "rate_3").format == any_tokenizer.finest.format
    (tmp_path / "README.md").unlink()
    (tmp_path / "README.md").mkdir()  # saving fails half way
    with pytest.raises(OSError, match=r"README\.md"):
        any_tokenizer.save_pretrained(tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_threads_do_not_change_codes(tokenizer: Tokenizer) -> None:
    before = torch.get_num_threads()
    codes = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        codes.append(tokenizer.encode(LONG, RATE).values)
    torch.set_num_threads(before)
    assert np.array_equal(*codes)


def test_no_code_sees_what_comes_later(tokenizer: Tokenizer) -> None:
    step = tokenizer.format.samples_per_code
    changed = LONG.copy()
    changed[100 * step :] = sound(10.0, seed=1)[: len(LONG) - 100 * step]
    plain, other = tokenizer.encode(LONG, RATE).values, tokenizer.encode(changed, RATE).values
    assert np.array_equal(plain[:100], other[:100])
    assert not np.array_equal(plain[100:], other[100:])


def test_samples_of_any_kind_and_batches_give_the_codes_of_each_recording(
    tokenizer: Tokenizer, rate_tokenizer: Tokenizer
) -> None:
    sounds = [sound(seconds, seed) for seed, seconds in enumerate((0.5, 0.31, 0.5))]
    stereo, equal = np.stack([sounds[0], 0.5 * sounds[0]], axis=1), np.stack([sounds[0], sounds[2]])
    waveform = Waveform(samples=sounds[1], sample_rate=4_000)
    for model in (tokenizer, rate_tokenizer):
        alone = [model.encode(each, RATE) for each in (*sounds, stereo)]
        assert model.encode(sounds[0].tolist(), RATE) == model.encode(torch.from_numpy(sounds[0]), RATE) == alone[0]
        assert model.encode_batch([*sounds, stereo], RATE) == alone
        assert model.encode_batch(torch.from_numpy(equal), RATE) == alone[:3:2]
        assert model.encode_batch(equal[:, None], RATE) == alone[:3:2]  # (batch, 1, samples)
        assert model.encode_batch([waveform]) == [model.encode(waveform)]
        assert model.encode_batch([], RATE) == []


def test_codes_and_samples_without_a_rate_are_no_sound(tokenizer: Tokenizer) -> None:
    """NumPy would take the numbers of codes for samples."""
    codes = tokenizer.encode(LONG, RATE)
    for ask, told in (
        (lambda: tokenizer.encode_batch([sound(0.1), np.array([np.nan])], RATE), r"\[1\]"),
        (lambda: tokenizer.encode(LONG), r"sample_rate.*missing"),
        (lambda: tokenizer.encode(codes, RATE), "Codes"),  # type: ignore[arg-type]  # what callers give all the same
        (lambda: tokenizer.encode_batch([codes], RATE), "Codes"),  # type: ignore[list-item]
        (lambda: tokenizer.encode_batch(sound(0.1), RATE), "encode"),  # one recording is no batch
        (lambda: tokenizer.encode_batch([0.1, 0.2], RATE), "encode"),  # type: ignore[list-item]
    ):
        with pytest.raises(InputError, match=told):
            ask()


@pytest.mark.parametrize("at_once", [2, 64])
@pytest.mark.parametrize("remove_mean", ["none", "running", "clip"])
def test_several_blocks_together_give_the_codes_of_each(
    tokenizer: Tokenizer, at_once: int, remove_mean: MeanRemoval, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a GPU encodes them. A code may differ where two centroids are equally near, up to rounding."""
    config = replace(tokenizer.config, audio=replace(tokenizer.config.audio, remove_mean=remove_mean))
    model = like(tokenizer, config)
    sounds = [sound(seconds, seed) for seed, seconds in enumerate((0.5, 0.0, 2.9, 0.31, 0.02, 4.0))]
    alone = [model.encode_blocks([each], RATE) for each in sounds]
    frames = torch.randn(1000, config.audio.n_mels, generator=torch.Generator().manual_seed(0))
    of_frames = model.encode_spectrogram(frames)
    monkeypatch.setattr(Tokenizer, "_at_once", at_once)
    together = [model.encode_own([each]) for each in sounds]
    pairs = list(zip(alone, together, strict=True))
    pairs += [(one, model.encode_blocks([each], RATE)) for one, each in zip(alone, sounds, strict=True)]
    for one, other in pairs:
        assert one.num_samples == other.num_samples
        assert one.values.shape == other.values.shape
    values = [np.concatenate([pair[side].values for pair in pairs]) for side in (0, 1)]
    assert np.mean(values[0] != values[1]) < 0.001
    assert (model.encode_spectrogram(frames) != of_frames).float().mean() < 0.001
    exported = SoundToCodes(model)(torch.from_numpy(sounds[-1])[None])[0].numpy()  # as an ONNX file computes them
    assert np.mean(exported != alone[-1].values) < 0.01


def test_the_channel_of_the_front_end_is_read(tokenizer: Tokenizer, tmp_path: Path) -> None:
    quiet, loud = sound(0.4), 2 * sound(0.4, seed=1)
    stereo = np.stack([quiet, loud], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    for channel, expected in ((0, quiet), (1, loud), ("loudest", loud), ("mean", (quiet + loud) / 2)):
        config = replace(tokenizer.config, audio=replace(tokenizer.config.audio, channel=channel))
        like(tokenizer, config).save_pretrained(tmp_path / str(channel))
        own = Tokenizer.from_pretrained(tmp_path / str(channel))
        wanted = tokenizer.encode(expected, RATE).values
        assert np.array_equal(own.encode_file(tmp_path / "a.wav").values, wanted)
        assert np.array_equal(own.encode(stereo, RATE).values, wanted)
        assert np.array_equal(own.encode_batch([stereo.T], RATE)[0].values, wanted)
        assert (own.format.codebook == tokenizer.format.codebook) == (channel == "mean")
