"""Keyword spotting on a folder like Speech Commands, with a speech model of a local folder."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.results.run_record import read_results
from tests.pipelines.tiny_chain import called_at_once
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from wordless.audio.waveform import FloatArray

RATE = 4000
WORDS = {"bed": 300, "cat": 900}  # with the pitch of each
WORDS_OF_THE_RUN = (
    *("experiment=keyword_spotting", "tokenizer=tiny", "lm=tiny", "wav2vec2=tiny"),
    *(f"audio.sample_rate={RATE}", "audio.n_mels=16"),
    *("tokenizer.fit.steps=4", "tokenizer.fit.warmup_steps=1", "tokenizer.codebook_size=8"),
    *("tokenizer.sample_patches=200", "stages=[tokenizer,probe]", "probe.resamples=10", "probe.learning_curve=[]"),
    *("compare.methods=[wav2vec2,wav2vec2_finetuned]", "wav2vec2.finetuning.fit.steps=4"),
    *("wav2vec2.finetuning.fit.warmup_steps=1", "wav2vec2.finetuning.batches.batch_size=4"),
)


def word(pitch: float, seconds: float, seed: int) -> FloatArray:
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).normal(0, 0.02, len(time))
    return (0.3 * np.sin(2 * np.pi * pitch * time) + noise).astype(np.float32)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two words by six speakers; lists name one speaker for validation and two for test; one clip is very short."""
    root = tmp_path_factory.mktemp("commands")
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for number, (name, pitch) in enumerate(WORDS.items()):
        (root / name).mkdir()
        for speaker in range(6):
            path = f"{name}/{speaker:x}a2b_nohash_0.wav"
            soundfile.write(root / path, word(pitch + 5 * speaker, 0.3, 10 * number + speaker), RATE)
            if speaker >= 3:
                lists["validation_list.txt" if speaker == 3 else "testing_list.txt"].append(path)
    soundfile.write(root / "bed/9a2b_nohash_0.wav", word(300, 0.01, 99), RATE)  # shorter than the receptive field
    (root / "_background_noise_").mkdir()
    soundfile.write(root / "_background_noise_/pink_noise.wav", word(50, 2.0, 98), RATE)
    for name, paths in lists.items():
        (root / name).write_text("\n".join(paths) + "\n")
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "wav2vec2"
    save_checkpoint(folder, "wav2vec2", sample_rate=RATE)
    return folder


def test_a_model_of_a_folder_is_probed_and_fine_tuned_on_its_lists(
    commands: Path, weights: Path, tmp_path: Path
) -> None:
    words = (f"corpus.root={commands}", f"wav2vec2.weights={weights}", "corpus.inspection.min_seconds=0")
    done = called_at_once(tmp_path, *WORDS_OF_THE_RUN, *words, f"store.root={tmp_path / 'store'}")
    assert done.returncode == 0, done.stderr
    assert re.search(r"wav2vec2\.weights: .*\bwav2vec 2\.0\b.*\b3 layers\b.*\b32\b", done.stderr)
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["corpus"]["clips"] == {"train": 6, "validation": 2, "test": 4}
    reasons = {each["path"]: each["reason"] for each in results["corpus"]["rejected"]}
    assert re.search(r"short.*\b0\.010 s\b.*\b0\.015 s\b", reasons["bed/9a2b_nohash_0.wav"])  # 60 samples
    assert "corpus.pattern" in reasons["_background_noise_/pink_noise.wav"]
    found = read_results(tmp_path / "run")["comparison"]
    assert {*found.methods} == {"wav2vec2", "wav2vec2_finetuned", "wav2vec2_finetuned_head"}
    assert set(found.trainings) == {"wav2vec2_finetuned"}
    assert found.layers("wav2vec2")
