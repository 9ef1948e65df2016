"""Corpora of many short clips for measurements."""

from pathlib import Path

import pytest

from pipelines.benchmarks.many_clips import CLIP_SAMPLES, CLIPS_PER_RECORDING, SAMPLE_RATE, write_corpus
from wordless.audio.recordings.clips import build_manifest
from wordless.audio.recordings.corpus import CorpusConfig


@pytest.mark.parametrize("files", [False, True])
def test_every_clip_of_the_table_is_used(files: bool, tmp_path: Path) -> None:
    clips = 40 if files else 2 * CLIPS_PER_RECORDING + 5
    table = write_corpus(tmp_path, clips, files=files)
    manifest, rejected = build_manifest(CorpusConfig(table=str(table)))
    assert len(manifest.clips) == clips
    assert not rejected
    assert {(clip.num_samples, clip.sample_rate) for clip in manifest.clips} == {(CLIP_SAMPLES, SAMPLE_RATE)}
    assert len({clip.path for clip in manifest.clips}) == (clips if files else 3)
