"""Whatever reads or writes numba's cache on the disk holds the lock of `wordless.base.files`."""

import fcntl
import json
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

SOUND = "import numpy; sound = numpy.sin(numpy.arange(4000) / 10).astype(numpy.float32)\n"
USES = {  # a function whose code is cached -> Python that uses it
    "utils._localmax": (
        "from pipelines.methods.signals import mfcc_frames\n"
        "mfcc_frames(sound, sample_rate=8000, window_length=200, hop_length=80)"
    ),
    "pitch._pi_wrapper": (
        "from pipelines.methods.signals import chroma_frames; chroma_frames(sound, sample_rate=8000, hop_length=80)"
    ),
    "sequence._viterbi": (
        "from vocoder.judging import pitch; from wordless.audio.waveform import Waveform\n"
        "pitch(Waveform(samples=sound, sample_rate=8000))"
    ),
    "pitch_kernel.follow": "from wordless.audio.pitch import track_pitch; track_pitch(sound, 8000, 80)",
    "kernels.go_on": (
        "import torch; from tests.vocoder.sounds import tiny_config; from vocoder.wavenet import create_wavenet\n"
        "from vocoder.engines.numba_streams import NumbaStreams\n"
        "model = create_wavenet(tiny_config(hop_length=7), seed=0).eval()\n"
        "with torch.inference_mode():\n"
        "    conditions = model.conditions(torch.zeros(1, 2, model.config.n_mels), torch.tensor([-1]))\n"
        "    NumbaStreams(model, 1, threads=1).score(conditions, torch.zeros(1, 14, dtype=torch.int64))"
    ),
}


def watched(code: str, answer: Connection) -> None:
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
    exec(SOUND + code, {})
    answer.send(json.dumps([sorted(locked), sorted(unlocked)]))


@pytest.mark.slow
@pytest.mark.parametrize("function", USES)
def test_the_cache_is_read_under_the_lock(function: str) -> None:
    context = get_context("spawn")  # a process in which nothing is compiled
    ours, theirs = context.Pipe()
    process = context.Process(target=watched, args=(USES[function], theirs))
    process.start()
    theirs.close()
    locked, unlocked = json.loads(ours.recv())
    process.join()
    assert any(function in name for name in locked), locked
    assert unlocked == []
