"""Language models of samples by one command: trained, scored, heard, killed and resumed, in one process and in two."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.samples.sample_model import SampleLanguageModel
from pipelines.plugins.next_sample import SampleSoundsConfig
from pipelines.plugins.next_sample.samples import SAMPLE_SOUNDS, generate_sample_sounds
from pipelines.results.run_record import read_results, where
from pipelines.store.store import CachedArtifact
from tests.lm.samples.tiny import CONFIGS, lively
from tests.pipelines.tiny import SAMPLES, silent_session, sweep, write_clip
from tests.pipelines.tiny_chain import TINY, called_at_once, refusal
from wordless.audio.recordings.manifest import Clips

MODELS = ["wavenet", "wavenet_large", "transformer", "transformer_context"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two seeds by one command."""
    place = tmp_path_factory.mktemp("samples")
    done = called_at_once(place, *TINY, *SAMPLES, "seeds=2", f"store.root={place / 'store'}")
    assert done.returncode == 0, done.stderr
    return place


def test_models_and_baselines_are_compared_over_seeds(place: Path) -> None:
    results = read_results(place / "run")
    record, rows = results["next_sample"], partial(where, results["figures"], stage="next_sample")
    assert [row.of for row in rows(name="accuracy")] == ["repeat", "histogram", "markov", *MODELS]
    assert all((row.low or 1) <= row.value <= (row.high or 0) for row in rows(name="accuracy"))
    assert {row.of for row in rows(name="samples_per_second")} == {*record["engines"]} == {*MODELS}
    assert not rows(name="bits_per_sample", of="repeat")
    assert [(row.of, row.against) for row in rows(name="difference")] == [
        ("transformer", "wavenet"),
        ("transformer", "wavenet_large"),
        ("transformer_context", "transformer"),
        ("transformer_context", "wavenet"),
        ("transformer_context", "wavenet_large"),
    ]
    assert sorted(record["trainings"]) == sorted(MODELS)
    assert all(list(curves) == ["seed 0", "seed 1"] for curves in record["trainings"].values())


def test_every_model_continues_a_clip_and_begins_in_silence(place: Path) -> None:
    folder = place / "run/next_sample_sounds"
    names = {path.name for path in folder.glob("*.wav")}
    ends = ("0", "clip_0", "clip_1")
    made = {f"{name}_{end}.wav" for name in MODELS for end in ends}
    assert names == made | {f"original_{end}.wav" for end in ends[1:]}
    prompt, rate = soundfile.read(folder / "original_clip_0.wav")
    for name in MODELS:
        alone, continued = (soundfile.read(folder / f"{name}_{end}.wav")[0] for end in ("0", "clip_0"))
        assert len(alone) == 0.01 * rate
        begin = len(continued) - len(alone)
        assert begin == len(prompt) // 2
        np.testing.assert_array_equal(continued[:begin], prompt[:begin])
    assert (place / "run/report.html").read_text().count("<audio") == len(names)


def test_a_corpus_without_test_clips_is_refused(tmp_path: Path) -> None:
    words = (*TINY, *SAMPLES, "corpus.split.test_fraction=0", f"store.root={tmp_path / 'store'}")
    assert "corpus.split.test_fraction" in refusal(called_at_once(tmp_path, *words))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_continuation_follows_from_its_clips_name_and_not_from_the_other_clips(name: str, tmp_path: Path) -> None:
    session = silent_session(tmp_path)
    SampleLanguageModel(lively(CONFIGS[name])).save_pretrained(tmp_path / "model")
    model = CachedArtifact(stage=name, key=name, place=tmp_path / "model", reused=True)
    sound = sweep(0.2, 1000, low=50)  # one recording under two names
    clips = [write_clip(tmp_path, path, sound, 1000, split="test") for path in ("a.wav", "b.wav")]
    config = SampleSoundsConfig(
        seconds=0.1, unprompted=1, prompts=2, prompt_seconds=0.1, temperature=1.0, seed=0, engine="torch"
    )
    made = []
    for some in (clips, clips[1:]):
        manifest = Clips.from_rows(tmp_path, some)
        artifact = generate_sample_sounds(session, manifest, {name: model}, config, sample_rate=1000, precision="fp32")
        paths = [row["path"] for row in artifact.read_rows(SAMPLE_SOUNDS, "clips")]
        rows = [row for row in artifact.read_rows(SAMPLE_SOUNDS, "sounds") if row["of"] == name]
        places = ["none" if row["clip"] is None else paths[row["clip"]] for row in rows]
        made.append(
            {place: (artifact.folder / row["file"]).read_bytes() for place, row in zip(places, rows, strict=True)}
        )
    together, alone = made
    assert together["a.wav"] != together["b.wav"]
    assert alone == {"none": together["none"], "b.wav": together["b.wav"]}
