"""``wordless bench``: that it measures, not how fast this machine is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from audio.errors import InputError
from pipelines.bench import bench
from pipelines.bench_memory import bench_memory
from pipelines.bench_sounds import random_tokenizer, write_noise
from tokenizer.tokenizer import TokenizerConfig


def options(**others: object) -> dict[str, object]:
    """The config that the command line composes."""
    defaults = {"what": "encode", "input": None, "seconds": 4.0, "hours": 0.02, "repeats": 1}
    return {**defaults, "model": None, "output": None, **others}


def test_speed_is_split_into_parts_beside_the_bare_libraries(
    run_folder: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench(options(model=str(run_folder), input=str(recordings), output=str(tmp_path / "new/bench.json")))
    rows = json.loads((tmp_path / "new/bench.json").read_text())["encode"]
    assert [row["source"] for row in rows] == ["16 kHz WAV", "44.1 kHz Ogg Vorbis", str(recordings)]
    for row in rows:
        assert set(row["parts"]) == {"reading", "resampling", "mel", "network", "codebook search"}
        assert set(row["bare"]) == {"reading", "resampling", "mel"}
        assert row["times_real_time"] == pytest.approx(row["sound_seconds"] / row["total"]["seconds"])
    assert "times real time" in capsys.readouterr().out


def test_memory_is_that_of_fresh_processes(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "bench", "memory", "hours=0.25", f"output={tmp_path / 'm.json'}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "m.json").read_text())
    assert [peak["seconds"] for peak in measured["memory"]] == [60.0, 900.0]
    assert measured["allowed_bytes"] == 100e6
    assert measured["within"], measured  # a quarter of an hour of samples is 58 MB


@pytest.mark.slow
def test_ten_hours_take_little_more_memory_than_a_minute() -> None:
    measured = bench_memory(None, hours=10.0)
    assert measured["within"], measured  # the samples alone are 2.3 GB


def test_noise_has_the_length_and_rate_that_were_asked_for(tmp_path: Path) -> None:
    write_noise(tmp_path / "a.wav", seconds=2.5, sample_rate=8000, format="WAV")
    assert (soundfile.info(tmp_path / "a.wav").frames, soundfile.info(tmp_path / "a.wav").samplerate) == (20_000, 8000)


def test_the_tokenizer_measured_has_the_default_sizes() -> None:
    config: TokenizerConfig = random_tokenizer().config
    assert (config.audio.sample_rate, config.patch.frames, config.autoencoder.bottleneck) == (16_000, 2, 64)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"what": "encoding"}, "what=encoding is not one of its choices"),
        ({"seconds": 0.0}, "seconds is 0"),
        ({"hours": 100.0}, "hours is 100"),
        ({"repeats": 0}, "repeats is 0"),
        ({"model": "nowhere"}, "model=nowhere does not exist"),
        ({"input": "nowhere"}, "input=nowhere does not exist"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        bench(options(**changed))
