"""What the autoencoder hears beside the sample that it is to give back."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipelines.settings.run import run_settings
from pipelines.stages.tokenizer import frame_sample, input_sample
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
