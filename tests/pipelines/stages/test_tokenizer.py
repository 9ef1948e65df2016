"""What the autoencoder hears beside the sample that it is to give back."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipelines.settings.run import run_settings
from pipelines.stages.tokenizer import frame_sample, input_sample, sampled_clips
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import session_of
from tests.pipelines.tiny_chain import composed
from wordless.audio.recordings.manifest import read_manifest


@pytest.mark.parametrize(("ranges", "alike"), [((40.0, 40.0), True), ((10.0, 20.0), False)])
def test_what_is_heard_are_the_same_columns_in_another_range(
    finished_run: FinishedRun, tmp_path: Path, ranges: tuple[float, float], alike: bool
) -> None:
    """In the front end's own range they are the sample itself; in a narrower one nothing is softer than before."""
    (root,) = (finished_run.store / "embedded").glob("embedded-*/")
    manifest = read_manifest(finished_run.folder / "manifest.tsv", root)
    settings = run_settings(composed(tmp_path, "audio.dynamic_range=40", "tokenizer.sample_patches=50"))
    session = session_of(tmp_path)
    options = replace(settings.tokenizer, dynamic_ranges=ranges)
    entry = input_sample(session, manifest, settings.audio, options)
    assert entry is not None
    heard = load_file(entry.folder / "sample.safetensors")["train"]
    sample = frame_sample(session, manifest, settings.audio, options)
    plain = load_file(sample.folder / "sample.safetensors")["train"]
    assert heard.shape == plain.shape == (50, settings.tokenizer.patch.frames, settings.audio.n_mels)
    assert torch.equal(heard, plain) == alike
    assert bool((heard >= plain - 1e-5).all())
    assert input_sample(session, manifest, settings.audio, settings.tokenizer) is None


def test_of_many_hours_only_some_are_read(
    finished_run: FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root,) = (finished_run.store / "embedded").glob("embedded-*/")
    manifest = read_manifest(finished_run.folder / "manifest.tsv", root)
    settings = run_settings(composed(tmp_path, "tokenizer.sample_patches=50"))
    assert sampled_clips(manifest, settings.tokenizer) == manifest
    train = manifest.of("train")
    third, longest = sum(clip.seconds for clip in train) / 3, max(clip.seconds for clip in train)
    options = [replace(settings.tokenizer, sample_hours=third / 3600, seed=seed) for seed in (0, 1)]
    first, second = (sampled_clips(manifest, each).of("train") for each in options)
    for clips in (first, second):
        assert third <= sum(clip.seconds for clip in clips) < third + longest
        assert list(clips) == [clip for clip in train if clip in clips]
    assert first != second
    drawn = frame_sample(session_of(tmp_path), manifest, settings.audio, options[0])
    assert f"{len(first)} (tokenizer.sample_hours=" in capsys.readouterr().err
    alone = replace(manifest, clips=sampled_clips(manifest, options[0]).clips)
    assert frame_sample(session_of(tmp_path), alone, settings.audio, settings.tokenizer).key == drawn.key
