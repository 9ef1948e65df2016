"""The story file runs as its docstring says: from a folder to codes, a language model, a probe and sound."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.story import main


@pytest.mark.parametrize("told_apart", [True, False])
def test_a_folder_becomes_codes_a_language_model_a_probe_and_sound(tmp_path: Path, *, told_apart: bool) -> None:
    """Rising and falling tones are told apart; tones whose labels say nothing about them are not."""
    rng, time = np.random.default_rng(0), np.arange(8000) / 16_000
    for number in range(40):
        rising = bool(rng.integers(2)) if not told_apart else number % 2 == 0
        label = "up" if number % 2 == 0 else "down"
        start, slope = rng.uniform(300, 600), rng.uniform(1500, 2500) * (1 if rising else -1)
        frequency = start + (0 if rising else 1500) + slope * time
        sound = 0.3 * np.sin(2 * np.pi * np.cumsum(frequency) / 16_000) + 0.003 * rng.standard_normal(len(time))
        folder = tmp_path / "recordings" / label
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{number:02}.wav", sound, 16_000)
    found = main(tmp_path / "recordings", tmp_path / "out", codebook_size=16, steps=30)
    assert 0 < found["bits per code"] < np.log2(16)  # fewer than codes that are drawn at random
    assert found["most frequent label"] == 0.5
    assert (found["probe"] == 1.0) if told_apart else (found["probe"] < 1.0)
    for name in ("codes.wav", "continuation.wav"):
        samples, rate = soundfile.read(tmp_path / "out" / name)
        assert rate == 16_000
        assert np.isfinite(samples).all()
        assert np.sqrt(np.mean(samples**2)) > 1e-4
        assert np.abs(samples).max() < 1  # not clipped


def test_a_folder_without_labels_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    for number in range(6):
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(8000), 16_000)
    with pytest.raises(SystemExit, match="five WAV files or more are needed, in two folders"):
        main(tmp_path, tmp_path / "out")
