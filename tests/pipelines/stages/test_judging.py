"""What is measured of decoded clips."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.stages.playback import CLIPS, JUDGED, measure_clips, wav_name
from pipelines.store.store import Entry, write_json
from tests.pipelines.tiny import LISTENING, parts_of, session_of, sweep
from vocoder.judging import by_itself
from vocoder.kinds import JUDGED_KINDS
from vocoder.runaway import LoudnessRange, RunawayGuard
from wordless.audio.waveform import Waveform


def test_only_a_vocoder_that_knows_its_loudness_says_what_ran_away() -> None:
    loud = Waveform(samples=np.full(8000, 0.5, np.float32), sample_rate=8000)
    guard = RunawayGuard(LoudnessRange(lowest=-60, highest=-30))
    assert by_itself(loud, guard)["runaway_clips"] == 1
    assert by_itself(Waveform(samples=loud.samples / 100, sample_rate=8000), guard)["runaway_clips"] == 0
    assert by_itself(loud, None)["runaway_clips"] is None
    assert by_itself(loud, None)["clipped_clips"] == 0


def figures_of_a_sweep(run_folder: Path, place: Path) -> dict[str, Any]:
    """Of its WaveNet sound, which is the recording itself."""
    parts = parts_of(run_folder)
    sounds = Entry(stage="decoded", key="decoded", folder=place / "decoded", reused=True)
    sounds.folder.mkdir(parents=True)
    write_json(sounds.folder / CLIPS, {"clips": [{"path": "a.wav", "start": 0.0, "seconds": 0.5, "clip_seconds": 0.5}]})
    for kind in JUDGED_KINDS:
        Waveform(samples=sweep(0.5, 4000), sample_rate=4000).write(sounds.folder / wav_name(0, kind))
    session = session_of(place)
    content: Any = measure_clips(session, *parts, sounds, LISTENING).read_json(JUDGED)
    return dict(content["clips"][0]["sounds"]["wavenet"])


def test_without_librosa_all_but_pitch_is_measured(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert figures_of_a_sweep(run_folder, tmp_path / "with")["voicing_error"] == 0
    assert "without pitch" not in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "librosa", None)
    found = figures_of_a_sweep(run_folder, tmp_path / "without")
    assert (found["pitch_error"], found["voicing_error"]) == (None, None)
    assert found["log_mel_distance"] == 0
    assert found["periodicity"] > 0.9  # needs no library
    assert re.search(r"without pitch\b.*\blibrosa and numba\b", capsys.readouterr().err)
