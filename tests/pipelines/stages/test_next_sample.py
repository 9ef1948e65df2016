"""Sounds of a tiny language model of samples."""

from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from lm.samples.model import SampleLanguageModel
from pipelines.stages.next_sample import SAMPLE_SOUNDS, generate_sample_sounds
from pipelines.stages.options import SampleSoundsConfig
from pipelines.store.store import Entry
from tests.lm.samples.tiny import CONFIGS, lively
from tests.pipelines.tiny import silent_session, sweep
from wordless.audio.recordings.manifest import Clip, Manifest


@pytest.mark.parametrize("name", CONFIGS)
def test_a_continuation_follows_from_its_clips_name_and_not_from_the_other_clips(name: str, tmp_path: Path) -> None:
    session = silent_session(tmp_path)
    SampleLanguageModel(lively(CONFIGS[name])).save_pretrained(tmp_path / "model")
    model = Entry(stage=name, key=name, folder=tmp_path / "model", reused=True)
    clip = Clip(path="a.wav", num_samples=200, sample_rate=1000, size=1, sha256="0", split="test")
    clips = [replace(clip, path=path) for path in ("a.wav", "b.wav")]  # one recording under two names
    for each in clips:
        soundfile.write(tmp_path / each.path, sweep(0.2, 1000, low=50), 1000)
    config = SampleSoundsConfig(
        seconds=0.1, unprompted=1, prompts=2, prompt_seconds=0.1, temperature=1.0, seed=0, engine="torch"
    )
    made = []
    for some in (clips, clips[1:]):
        manifest = Manifest(root=tmp_path, clips=tuple(some))
        entry = generate_sample_sounds(session, manifest, {name: model}, config, sample_rate=1000)
        paths = [row["path"] for row in entry.read_rows(SAMPLE_SOUNDS, "clips")]
        rows = [row for row in entry.read_rows(SAMPLE_SOUNDS, "sounds") if row["of"] == name]
        made.append(
            {
                "none" if row["clip"] is None else paths[row["clip"]]: (entry.folder / row["file"]).read_bytes()
                for row in rows
            }
        )
    together, alone = made
    assert together["a.wav"] != together["b.wav"]
    assert alone == {"none": together["none"], "b.wav": together["b.wav"]}
