"""Waveforms: checked when made, from samples as callers have them, written so that they read back, and in batches."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from wordless.audio.padding import EQUAL_RATIO, SIMILAR_RATIO, read_by_length
from wordless.audio.reading import as_waveform, mono, read
from wordless.audio.waveform import Waveform, wav_file
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError


def test_a_path_may_be_text_from_home_and_is_of_wav_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waveform = Waveform(samples=np.zeros(80, np.float32), sample_rate=8_000)
    with pytest.raises(InputError, match=r"a\.MP3\b.* WAV\b.* a\.wav"):
        waveform.write(tmp_path / "a.MP3")
    assert not list(tmp_path.iterdir())
    waveform.write(tmp_path / "take 1.5")
    assert (tmp_path / "take 1.5").read_bytes()[:4] == b"RIFF"
    monkeypatch.setenv("HOME", str(tmp_path))
    waveform.write("~/new folder/a.wav")
    assert len(read(tmp_path / "new folder/a.wav", 8_000).samples) == 80


@given(
    samples=arrays(np.float32, st.integers(0, 50), elements=st.floats(-2, 2, width=32)),
    cut=st.integers(0, 50),
    rate=st.sampled_from([8000, 44_100]),
)
def test_pieces_give_one_file(
    tmp_path_factory: pytest.TempPathFactory, samples: FloatArray, cut: int, rate: int
) -> None:
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    with wav_file(path, rate) as write:
        write(samples[:cut])
        write(samples[cut:])
    expected = io.BytesIO()
    soundfile.write(expected, np.clip(samples, -1, 1), rate, subtype="PCM_16", format="WAV")
    assert path.read_bytes() == expected.getvalue()
    Waveform(samples=samples, sample_rate=rate).write(path)
    assert path.read_bytes() == expected.getvalue()


SOUND = (np.arange(-16, 16) / 32).astype(np.float32)


@pytest.mark.parametrize(
    "given",
    [
        SOUND, SOUND.astype(np.float64), SOUND.astype(np.float16), SOUND.astype(">f4"),
        (SOUND * 2**15).astype(np.int16), (SOUND * 2**15).astype(">i2"),
        (SOUND.astype(np.float64) * 2**31).astype(np.int32), (SOUND.astype(np.float64) * 2**31).astype(">i4"),
        SOUND.tolist(), tuple(SOUND), torch.from_numpy(SOUND), torch.from_numpy(SOUND).double().requires_grad_(),
        torch.from_numpy(SOUND).bfloat16(), SOUND[None], SOUND[:, None], np.stack([SOUND, SOUND]),
        np.stack([SOUND * 2, SOUND * 0], axis=1), SOUND[::-1][::-1], np.zeros(0),
    ],
    ids=str,
)  # fmt: skip
def test_all_ways_to_write_a_sound_are_the_same(given: object) -> None:
    found = mono(given)
    assert found.dtype == np.float32
    assert np.array_equal(found, SOUND[: len(found)])
    assert len(found) == (0 if np.size(given) == 0 else len(SOUND))  # nothing is no sound, and no error


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (SOUND + 1j, "complex64"), (["a", "b"], "<U1|str"), ([1, 2, 3], "int64"), (SOUND > 0, "bool"), (None, "object"),
        ([[1.0, 2.0], [1.0]], "array"), (np.array([0.0, np.nan]), "not finite"), (np.array([0.0, 1e300]), "not finite"),
        (np.array([0.0, -32768.0]), "3.28e\\+04"), (SOUND * 8000, "4e\\+03"),
        (Waveform(samples=SOUND * 8000, sample_rate=8_000), "4e\\+03"),
        (np.zeros((4, 5)), r"\(4, 5\)"), (np.zeros((40, 50)), r"\(40, 50\)"), (0.5, r"\(\)"),
        *((each, "encode_batch") for each in (np.zeros((2, 2, 9)), torch.zeros(4, 16_000), [[0.0] * 90] * 3)),
        *((np.zeros((rows, 900)), "encode_batch") for rows in range(3, 9)),
    ],
    ids=str,
)  # fmt: skip
def test_what_could_be_meant_in_two_ways_is_refused(given: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        as_waveform(given, None if isinstance(given, Waveform) else 8_000)  # type: ignore[arg-type]  # wrong types, too


@pytest.mark.parametrize(
    "rate", [44_100, 44_100.0, np.float32(44_100), np.int64(44_100), np.array(44_100), torch.tensor(44_100.0)]
)
def test_a_whole_rate_of_any_type_is_the_rate(rate: int) -> None:
    waveform = as_waveform(SOUND, rate)
    assert (waveform.sample_rate, type(waveform.sample_rate)) == (44_100, int)
    for sound in ({"array": SOUND, "sampling_rate": rate, "path": None}, (torch.from_numpy(SOUND), 44_100)):
        found = as_waveform(sound, None)
        assert (found.sample_rate, found.samples.tolist()) == (44_100, SOUND.tolist())
    assert as_waveform(waveform, None) is as_waveform(waveform, rate) is waveform
    for own in (waveform, {"array": SOUND, "sampling_rate": rate}):
        with pytest.raises(InputError, match=r"sample_rate\b.*\b16000 Hz\b.*\b44100(\.0)? Hz\b"):
            as_waveform(own, 16_000)


@pytest.mark.parametrize(
    "rate", ["44100", 44_100.5, 0, 0.5, -8000, float("nan"), float("inf"), 2_000_000, True, [44_100], np.array([1])]
)
def test_other_rates_are_refused(rate: int) -> None:
    with pytest.raises(InputError, match="sample_rate"):
        as_waveform(SOUND, rate)


@pytest.mark.parametrize("channels", range(2, 9))
def test_channels_last_are_channels(channels: int) -> None:
    stacked = np.stack([SOUND * number for number in range(channels)], axis=1)
    np.testing.assert_allclose(mono(stacked), SOUND * (channels - 1) / 2, atol=1e-6)
    assert np.array_equal(mono(stacked, channel=1), SOUND)
    assert np.array_equal(mono(stacked, channel="loudest"), SOUND * (channels - 1))
    if channels == 2:
        assert np.array_equal(mono(torch.from_numpy(stacked.T.copy()), channel=1), SOUND)  # stereo may come first
    with pytest.raises(InputError, match=rf"{channels} channels"):
        mono(stacked, channel=channels)


@pytest.mark.parametrize("ratio", [EQUAL_RATIO, SIMILAR_RATIO, torch.inf])
def test_values_come_back_in_the_order_of_the_batch(ratio: float) -> None:
    lengths = torch.tensor([30, 10, 16, 15, 10, 31])
    calls = list[int]()

    def read(rows: Tensor, longest: int) -> Tensor:
        calls.extend(rows.tolist())
        assert longest == int(lengths[rows].max())
        return torch.where(torch.arange(longest) < lengths[rows, None], rows[:, None] + 1, 0)[:, None, :, None]

    found = read_by_length(read, lengths, ratio=ratio)
    assert found.shape == (6, 1, 31, 1)
    for row, length in enumerate(lengths.tolist()):
        assert (found[row, 0, :length] == row + 1).all()
        assert not found[row, 0, length:].any()
    assert sorted(calls) == [0, 1, 2, 3, 4, 5]
