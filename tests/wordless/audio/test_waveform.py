"""Waveforms: checked when made, and written so that they read back, whole and in pieces."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wordless.audio.reading import read
from wordless.audio.waveform import Waveform, wav_file
from wordless.base.errors import InputError


def test_a_written_waveform_reads_back_within_a_step_of_16_bits(tmp_path: Path) -> None:
    samples = np.linspace(-0.9, 0.9, 1_000, dtype=np.float32)
    Waveform(samples=samples, sample_rate=8_000).write(tmp_path / "new folder" / "a.wav")
    assert np.abs(read(tmp_path / "new folder" / "a.wav", 8_000).samples - samples).max() <= 2**-15


def test_samples_beyond_full_scale_are_clipped(tmp_path: Path) -> None:
    Waveform(samples=np.array([-2.0, 2.0], np.float32), sample_rate=8_000).write(str(tmp_path / "a.wav"))
    assert np.allclose(read(tmp_path / "a.wav", 8_000).samples, [-1.0, 1.0], atol=1e-4)


def test_seconds_are_samples_over_the_rate() -> None:
    assert Waveform(samples=np.zeros(4_000, np.float32), sample_rate=16_000).seconds == 0.25


@pytest.mark.parametrize("samples", [np.zeros(8), np.zeros((8, 2), np.float32)])
def test_stereo_or_float64_is_refused(samples: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    with pytest.raises(InputError, match="float32"):
        Waveform(samples=samples, sample_rate=8_000)


def test_a_rate_must_be_positive() -> None:
    with pytest.raises(InputError, match=r"sample_rate\b.*\b0\b"):
        Waveform(samples=np.zeros(8, np.float32), sample_rate=0)


def test_a_path_may_be_text_and_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Waveform(samples=np.zeros(80, np.float32), sample_rate=8_000).write("~/a.wav")
    assert len(read(tmp_path / "a.wav", 8_000).samples) == 80


def test_a_path_of_another_format_is_refused(tmp_path: Path) -> None:
    waveform = Waveform(samples=np.zeros(80, np.float32), sample_rate=8_000)
    with pytest.raises(InputError, match=r"a\.MP3\b.* WAV\b.* a\.wav"):
        waveform.write(tmp_path / "a.MP3")
    assert not list(tmp_path.iterdir())
    waveform.write(tmp_path / "take 1.5")
    assert (tmp_path / "take 1.5").read_bytes()[:4] == b"RIFF"


@given(
    samples=arrays(np.float32, st.integers(0, 50), elements=st.floats(-2, 2, width=32)),
    cut=st.integers(0, 50),
    rate=st.sampled_from([8000, 44_100]),
)
def test_pieces_give_the_file_that_libsndfile_writes(
    tmp_path_factory: pytest.TempPathFactory, samples: npt.NDArray[np.float32], cut: int, rate: int
) -> None:
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    with wav_file(path, rate) as file:
        file.write(samples[:cut])
        file.write(samples[cut:])
    expected = io.BytesIO()
    soundfile.write(expected, np.clip(samples, -1, 1), rate, subtype="PCM_16", format="WAV")
    assert path.read_bytes() == expected.getvalue()
    Waveform(samples=samples, sample_rate=rate).write(path)
    assert path.read_bytes() == expected.getvalue()
