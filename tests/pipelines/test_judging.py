"""What is measured of decoded clips."""

import numpy as np

from audio.waveform import Waveform
from pipelines.judging_stage import by_itself
from vocoder.runaway import LoudnessRange, RunawayGuard


def test_only_a_vocoder_that_knows_its_loudness_says_what_ran_away() -> None:
    loud = Waveform(samples=np.full(8000, 0.5, np.float32), sample_rate=8000)
    guard = RunawayGuard(LoudnessRange(lowest=-60, highest=-30))
    assert by_itself(loud, guard)["runaway_clips"] == 1
    assert by_itself(Waveform(samples=loud.samples / 100, sample_rate=8000), guard)["runaway_clips"] == 0
    assert by_itself(loud, None)["runaway_clips"] is None
    assert by_itself(loud, None)["clipped_clips"] == 0
