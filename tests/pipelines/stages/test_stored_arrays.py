"""Clips end to end in one array: what is written where, by one process or two, and what is refused."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.backbones.networks import stored_clips
from pipelines.jobs.run_rules import run_settings
from pipelines.stages.codebooks import frame_sample
from pipelines.stages.stored_arrays import TRAINED_ON, VALUES, stored_names, waveforms, write_clips
from pipelines.store.store import CachedArtifact
from tests.pipelines.tiny import session_of, silent_session, sweep, write_clip
from tests.pipelines.tiny_chain import composed
from wordless.audio.recordings.manifest import Clip, Clips, Split
from wordless.base.arrays import Array, fill
from wordless.base.messages import InputError

SPLITS: tuple[Split, ...] = ("validation", "train", "test", "train", "validation")
LENGTHS = {"train": 3, "validation": 7}


def corpus() -> Clips:
    numbered = enumerate(SPLITS)
    clips = (Clip(path=f"{n}.wav", num_samples=n, sample_rate=1, split=split) for n, split in numbered)
    return Clips.from_rows(Path("here"), clips)


def values(clip: Clip, length: int) -> Array:
    """What a clip holds ``(length, 2)``."""
    return 100 * clip.num_samples + np.arange(2 * length).reshape(length, 2)


def write(extra: int, place: Array, clip: Clip) -> int:
    """Fill a place in pieces of two, with so many frames too many."""
    filled = values(clip, len(place) + extra)
    fill(place, (filled[start : start + 2] for start in range(0, len(filled), 2)))
    return clip.num_samples


def written(folder: Path, *, workers: int = 1, extra: int = 0) -> list[int]:
    session, clips = session_of(folder, workers=workers), corpus().only(*TRAINED_ON).clips
    lengths, work = [LENGTHS[clip.split] for clip in clips], partial(write, extra)
    return write_clips(session, "values", folder / VALUES, clips, lengths, work, dtype=np.int16, width=(2,))


@pytest.mark.parametrize("workers", [1, 2])
def test_clips_lie_end_to_end_train_first(workers: int, tmp_path: Path) -> None:
    assert written(tmp_path, workers=workers) == [1, 3, 0, 4]
    assert np.load(tmp_path / VALUES).dtype == np.int16
    assert np.load(tmp_path / "offsets.npy").tolist() == [0, 3, 6, 13, 20]
    artifact = CachedArtifact(stage="values", key="0", place=tmp_path, reused=True)
    for split in TRAINED_ON:
        stored, clips = stored_clips(artifact, split), corpus().of(split)
        assert stored_names(artifact, split) == [clip.name for clip in clips]
        assert isinstance(stored.sources[0], np.memmap)
        for row, clip in enumerate(clips):
            np.testing.assert_array_equal(stored.clip(row), values(clip, LENGTHS[split]))


def test_no_clip_is_written_over_the_next(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        written(tmp_path, extra=2)
    assert not (tmp_path / "offsets.npy").exists()


def test_a_full_disk_is_an_error_before_anything_is_written_in_place(small_disk: Path) -> None:
    """A write in place to a file without blocks would kill the process."""
    session, clips, file = session_of(small_disk), corpus().only(*TRAINED_ON).clips, small_disk / "values.npy"
    with pytest.raises(OSError, match=r"No space left on device: '.*values\.npy'"):
        write_clips(session, "values", file, clips, [1 << 20] * 4, lambda place, clip: place.fill(1), dtype=np.int16)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e19])
def test_a_recording_that_changed_after_inspection_is_named(tmp_path: Path, value: float) -> None:
    settings, path = run_settings(composed(tmp_path)), tmp_path / "train.wav"
    clips = [write_clip(tmp_path, f"{split}.wav", sweep(1.0, 4_000), split=split) for split in TRAINED_ON]
    samples, rate = soundfile.read(path)
    samples[3_000] = value
    soundfile.write(path, samples, rate, subtype="FLOAT")
    manifest = Clips.from_rows(tmp_path, clips)
    with pytest.raises(InputError, match=r"train\.wav"):
        frame_sample(silent_session(tmp_path), manifest, settings.audio, settings.tokenizer)
    with pytest.raises(InputError, match=r"train\.wav"):
        waveforms(silent_session(tmp_path), manifest, 4_000)


def test_an_array_takes_no_value_that_is_not_finite(tmp_path: Path) -> None:
    def write(place: Array, clip: Clip) -> None:
        place[:] = 70_000 if clip.path == "2.wav" else 1  # 70,000 is infinite in 16 bits

    session, clips, file = silent_session(tmp_path), corpus().clips, tmp_path / "frames.npy"
    with np.errstate(over="ignore"), pytest.raises(InputError, match=r"2\.wav: .*spectrograms\b.*not finite"):
        write_clips(session, "spectrograms", file, clips, [3] * len(clips), write, dtype=np.float16)
