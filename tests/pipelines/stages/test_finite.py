"""Values that are not finite are refused where they are written, with the name of their clip."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.settings.run import run_settings
from pipelines.stages.stored_arrays import waveforms, write_clips
from pipelines.stages.tokenizer import frame_sample
from tests.pipelines.tiny import silent_session, sweep
from tests.pipelines.tiny_chain import composed
from wordless.audio.recordings.clips import build_manifest
from wordless.audio.recordings.corpus import CorpusConfig
from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.arrays import Array
from wordless.base.errors import InputError


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Four recordings."""
    for number in range(4):
        path = tmp_path / f"in/{number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, sweep(1.0, 8_000, low=200 + 20 * number), 8_000, subtype="FLOAT")
    return build_manifest(CorpusConfig(root=str(tmp_path / "in"), split=SplitConfig(test_fraction=0)))[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e19])
def test_a_recording_that_changed_after_inspection_is_named(tmp_path: Path, manifest: Manifest, value: float) -> None:
    settings = run_settings(composed(tmp_path))
    path = manifest.root / manifest.of("train")[0].path
    samples, rate = soundfile.read(path)
    samples[3_000] = value
    soundfile.write(path, samples, rate, subtype="FLOAT")
    with pytest.raises(InputError, match=path.name):
        frame_sample(silent_session(tmp_path), manifest, settings.audio, settings.tokenizer)
    with pytest.raises(InputError, match=path.name):
        waveforms(silent_session(tmp_path), manifest, 4_000)


def _write(spoilt: str, place: Array, clip: Clip) -> None:
    place[:] = 70_000 if clip.path == spoilt else 1  # 70,000 is infinite in 16 bits


def test_an_array_takes_no_value_that_is_not_finite(tmp_path: Path, manifest: Manifest) -> None:
    write = partial(
        write_clips, silent_session(tmp_path), "spectrograms", tmp_path / "frames.npy", manifest.clips, [3] * 4
    )
    write(partial(_write, "none"), dtype=np.float16)
    with np.errstate(over="ignore"), pytest.raises(InputError, match=r"2\.wav: .*spectrograms\b.*not finite"):
        write(partial(_write, "2.wav"), dtype=np.float16)
