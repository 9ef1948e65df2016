"""Whatever reads or writes numba's cache on the disk holds the lock of `wordless.base.files`."""

import fcntl
import json
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vocoder.sounds import tiny_config
from vocoder.wavenet import create_wavenet

SOUND = np.sin(np.arange(4000) / 10).astype(np.float32)


def use_mfcc() -> None:
    from pipelines.methods.signals import mfcc_frames

    mfcc_frames(SOUND, sample_rate=8000, window_length=200, hop_length=80)


def use_chroma() -> None:
    from pipelines.methods.signals import chroma_frames

    chroma_frames(SOUND, sample_rate=8000, hop_length=80)


def use_pitch() -> None:
    from vocoder.judging import pitch
    from wordless.audio.waveform import Waveform

    pitch(Waveform(samples=SOUND, sample_rate=8000))


def use_pitch_kernel() -> None:
    from wordless.audio.pitch import track_pitch

    track_pitch(SOUND, 8000, 80)


def use_kernel() -> None:
    from vocoder.engines.numba_streams import NumbaStreams

    config = tiny_config(hop_length=7)
    with torch.inference_mode():
        model = create_wavenet(config, seed=0).eval()
        conditions = model.conditions(torch.zeros(1, 2, config.n_mels), torch.tensor([-1]))
        NumbaStreams(model, 1, threads=1).score(conditions, torch.zeros(1, 14, dtype=torch.int64))


def watched(use: Callable[[], None], answer: Connection) -> None:
    """Send which functions of the cache were read under the lock, and which without it."""
    from numba.core.caching import IndexDataCacheFile

    held, locked, unlocked = [False], set(), set()
    flock, load = fcntl.flock, IndexDataCacheFile.load

    def watched_flock(file: object, how: int) -> None:
        flock(file, how)
        held[0] = how == fcntl.LOCK_EX

    def watched_load(self: IndexDataCacheFile, key: object) -> object:
        (locked if held[0] else unlocked).add(Path(self._index_path).name)
        return load(self, key)

    fcntl.flock, IndexDataCacheFile.load = watched_flock, watched_load
    use()
    answer.send(json.dumps([sorted(locked), sorted(unlocked)]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("use", "function"),
    [
        (use_mfcc, "utils._localmax"),
        (use_chroma, "pitch._pi_wrapper"),
        (use_pitch, "sequence._viterbi"),
        (use_pitch_kernel, "pitch_kernel.follow"),
        (use_kernel, "kernels.go_on"),
    ],
)
def test_the_cache_is_read_under_the_lock(use: Callable[[], None], function: str) -> None:
    context = get_context("spawn")  # a process in which nothing is compiled
    ours, theirs = context.Pipe()
    process = context.Process(target=watched, args=(use, theirs))
    process.start()
    theirs.close()
    locked, unlocked = json.loads(ours.recv())
    process.join()
    assert any(function in name for name in locked), locked
    assert unlocked == []
