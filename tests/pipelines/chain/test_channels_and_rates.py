"""Recordings of several channels, of lower rates than the front end, and of very low rates, through the chain."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.chain.corpus import Corpus
from pipelines.encode import encode
from tests.pipelines.jobs.test_encode import options
from tests.pipelines.tiny import corpus_of
from tests.pipelines.tiny_chain import OWN, called_at_once
from tokenizer.parquet import read_codes
from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.clips import upsampling_notices
from wordless.audio.recordings.corpus import CorpusConfig
from wordless.audio.recordings.manifest import read_manifest
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.errors import named


def heard_by(audio: SpectrogramConfig, folder: Path) -> Corpus:
    config = CorpusConfig(root=str(folder), split=SplitConfig(validation_fraction=0, test_fraction=0))
    return corpus_of(config, folder / "store", audio=audio)


def write(path: Path, rate: int, *, channels: int = 1, seed: int = 0) -> None:
    noise = np.random.default_rng(seed).uniform(-0.3, 0.3, (rate // 2, channels))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise, rate)


def test_recordings_of_a_lower_rate_than_the_front_end_are_noticed_once(tmp_path: Path) -> None:
    for number, rate in enumerate((8_000, 8_000, 4_000, 16_000, 44_100)):
        write(tmp_path / f"{number}.wav", rate, seed=number)
    corpus = heard_by(SpectrogramConfig(sample_rate=16_000), tmp_path)
    (notice,) = corpus.notices
    for told in ("3 of 5 recordings", "audio.sample_rate=8000", "4000 Hz"):
        assert told in notice
    clips = corpus.manifest.clips
    assert not upsampling_notices(clips, SpectrogramConfig(sample_rate=4_000, n_mels=20))
    assert not upsampling_notices(clips, SpectrogramConfig(sample_rate=16_000, f_max=2_000.0))  # no band is empty
    segments = tuple(replace(clip, segment=number) for clip in clips for number in range(3))
    (counted,) = upsampling_notices(segments, SpectrogramConfig(sample_rate=16_000))
    assert named(counted, "audio") == notice  # recordings are counted


def test_the_channel_of_the_front_end_is_that_of_the_corpus(tmp_path: Path) -> None:
    write(tmp_path / "one.wav", 16_000)
    write(tmp_path / "two.wav", 16_000, channels=2, seed=1)
    corpus = heard_by(SpectrogramConfig(channel=1), tmp_path)
    assert [(clip.path, clip.channel) for clip in corpus.manifest.clips] == [("two.wav", 1)]
    assert "audio.channel=1" in corpus.rejected[0].reason


def write_calls(folder: Path, rate: int, seconds: float) -> Path:
    """Rising and falling calls of five animals, with a period of a tenth to a third of the rate."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    time = np.arange(round(rate * seconds)) / rate
    for label, (first, change) in {"up": (0.1, 0.1), "down": (0.3, -0.1)}.items():
        for number in range(20):
            phase = 2 * np.pi * rate * (first + change * time / seconds) * time
            call = 0.3 * np.sin(phase) * np.hanning(len(time)) + rng.normal(0, 0.01, len(time))
            soundfile.write(folder / f"{label}_g{number % 5}_{number}.wav", call, rate)
    return folder


@pytest.mark.slow
def test_recordings_of_200_hz_go_through_the_chain(tmp_path: Path) -> None:
    calls = write_calls(tmp_path / "in", 200, 12.0)
    corpus = (f"corpus.root='{calls}'", "corpus.pattern='{label}_{group}_{index}.wav'")
    front_end = ("audio.sample_rate=200", "audio.window_ms=640", "audio.hop_ms=80")
    done = called_at_once(tmp_path, *OWN, *corpus, *front_end)
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(tmp_path / "run/manifest.tsv", calls)
    assert {clip.sample_rate for clip in manifest.clips} == {200}
    encode(options(tmp_path / "run", calls, tmp_path / "codes.parquet"))
    assert {clip.codes.num_samples for clip in read_codes(tmp_path / "codes.parquet")[1]} == {2_400}
