import io

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wordless.audio.waveform import Waveform, wav_file


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
