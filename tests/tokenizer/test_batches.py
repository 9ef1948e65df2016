"""Batches of recordings: the codes of each alone, tensors with masks, and arrays whose rows could be either."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tokenizer.conftest import RATE, sound, speech_tokenizer
from tokenizer.rates_tokenizer import RatesTokenizer
from tokenizer.tokenizer import Tokenizer
from wordless.audio.waveform import Waveform
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError

SECONDS = (0.4, 2.0, 0.01, 6.0, 0.0, 1.3, 0.02, 0.5, 0.5)  # a block is 1.28 s long, and four are computed together


def _clips() -> list[FloatArray]:
    return [sound(seconds, seed) * (0.1 + seed % 3) for seed, seconds in enumerate(SECONDS)]


def test_a_batch_has_the_codes_of_each_recording(any_tokenizer: Tokenizer) -> None:
    clips = _clips()
    assert any_tokenizer.encode_batch(clips, RATE) == [any_tokenizer.encode(clip, RATE) for clip in clips]
    assert any_tokenizer.encode_batch(clips[:1], 2 * RATE) == [any_tokenizer.encode(clips[0], 2 * RATE)]
    assert any_tokenizer.encode_batch([], RATE) == []


def test_a_batch_of_a_speech_model_has_the_codes_of_each_recording(tmp_path: Path) -> None:
    tokenizer, clips = speech_tokenizer(tmp_path), [sound(0.4), sound(0.7, 1)]
    assert tokenizer.encode_batch(clips, RATE) == [tokenizer.encode(clip, RATE) for clip in clips]


def test_a_tensor_with_a_mask_has_the_codes_of_each_row(any_tokenizer: Tokenizer) -> None:
    clips = [clip for clip in _clips() if len(clip)][:4]
    longest = max(map(len, clips))
    samples = torch.ones(len(clips), longest)  # rubbish after the end of shorter rows
    for row, clip in zip(samples, clips, strict=True):
        row[: len(clip)] = torch.from_numpy(clip)
    mask = torch.arange(longest) < torch.tensor([*map(len, clips)])[:, None]
    codes, known = any_tokenizer(samples, mask)
    assert (codes.dtype, codes.shape[2]) == (torch.int64, any_tokenizer.format.streams)
    for row, there, clip in zip(codes, known, clips, strict=True):
        np.testing.assert_array_equal(row[there], any_tokenizer.encode(clip, RATE).values)
        assert not row[~there].any()
    whole, every = any_tokenizer(torch.stack([samples, samples], 1)[:2])
    assert every.all()
    np.testing.assert_array_equal(whole[0], any_tokenizer.encode(samples[0], RATE).values)
    nothing, none = any_tokenizer(torch.zeros(0, 100))
    assert (nothing.shape, none.shape) == ((0, 0, any_tokenizer.format.streams), (0, 0))
    for wrong, own, told in ((samples[0], None, "batch"), (samples, mask[:, 1:], "mask"), (samples, ~mask, "right")):
        with pytest.raises(InputError, match=told):
            any_tokenizer(wrong, own)


def test_decoding_reads_no_side_stream_as_codes(any_tokenizer: Tokenizer) -> None:
    codes = any_tokenizer.encode(sound(0.5), RATE)
    values, bands = torch.tensor(codes.finest.values)[None], any_tokenizer.config.bands
    spectral = values[..., :bands]
    assert any_tokenizer.decode_codes(spectral).shape[2] == 24
    assert any_tokenizer.spectrogram(values).shape == any_tokenizer.spectrogram(spectral).shape
    wrong = [values[0], torch.cat([values, values], 2)]
    wrong += [torch.tensor(codes.values)[None]] if isinstance(any_tokenizer, RatesTokenizer) else []
    for each in wrong:
        with pytest.raises(InputError, match=r"shape of the codes.*batch, time"):
            any_tokenizer.spectrogram(each)
    for each in (*wrong, *([values] if values.shape[2] > bands else [])):
        with pytest.raises(InputError, match=r"shape of the codes.*spectral"):
            any_tokenizer.decode_codes(each)


def test_the_rate_and_the_size_of_the_codebook_have_the_names_of_other_codecs(any_tokenizer: Tokenizer) -> None:
    assert (any_tokenizer.sample_rate, any_tokenizer.codebook_size) == (RATE, any_tokenizer.format.codebook_size)


def test_two_rows_that_do_not_sound_alike_are_no_stereo(tokenizer: Tokenizer) -> None:
    rng = np.random.default_rng(0)
    voice, other = rng.normal(0, 0.1, (2, RATE)).astype(np.float32)
    batch = np.stack([voice, other])
    for given in (batch, torch.from_numpy(batch), batch.tolist(), {"array": batch, "sampling_rate": RATE}):
        with pytest.raises(InputError, match=r'\(2, 8000\).*encode_batch.*channels="first"'):
            tokenizer.encode(given, None if isinstance(given, dict) else RATE)
    mean = tokenizer.encode(batch.mean(0), RATE)
    assert tokenizer.encode(batch, RATE, channels="first") == mean
    assert tokenizer.encode(batch.T, RATE) == tokenizer.encode(batch.T, RATE, channels="last") == mean
    assert tokenizer.encode_batch([batch], RATE) == [mean]
    assert len(tokenizer.encode_batch(batch, RATE)) == 2
    assert tokenizer.encode(np.stack([batch[0]] * 3), RATE, channels="first") == tokenizer.encode(batch[0], RATE)
    delayed = np.roll(voice, 20) + 0.3 * other  # 2.5 ms later, with other noise
    for stereo in ((voice, voice), (voice, -voice), (voice, delayed), (voice, 0 * voice), (voice, 0.01 * voice + 0.02)):
        assert tokenizer.encode(np.stack(stereo), RATE).seconds == 1
    for wrong, how in ((batch, "middle"), (batch, "last"), (batch.T, "first")):
        with pytest.raises(InputError, match="channels"):
            tokenizer.encode(wrong, RATE, channels=how)  # type: ignore[arg-type]


def test_a_waveform_is_an_array_for_numpy() -> None:
    wave = Waveform(samples=sound(0.1), sample_rate=RATE)
    np.testing.assert_array_equal(np.asarray(wave), wave.samples)
    assert np.shares_memory(np.asarray(wave), wave.samples)
    assert np.asarray(wave, np.float64).dtype == np.float64
    assert len(wave) == len(wave.samples)
    assert Waveform(samples=sound(0), sample_rate=RATE)
