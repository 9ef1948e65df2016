"""``wordless embed``: vectors of recordings, as the probes of a run read them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.probing.probe import FittedProbe
from lm.probing.vectors import FeaturesFile, read_features
from pipelines.store.store import SYNTHESISED
from pipelines.store.stored_features import FEATURES, StoredFeatures
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.jobs.conftest import Calling
from tests.pipelines.tiny_chain import artifacts
from tests.rejected import read_rejected
from wordless.audio.recordings.manifest import read_manifest

Embedded = Callable[..., FeaturesFile]


@pytest.fixture
def embedded(call: Calling) -> Embedded:
    """The vectors that the command writes with some options."""
    return lambda **options: read_features(call("embed", "x.npz", **options))


def test_the_vectors_are_those_that_the_probe_of_the_run_read(
    embedded: Embedded, finished_run: FinishedRun, tmp_path: Path
) -> None:
    """With default options, of the recordings that the run was made of."""
    run = finished_run.folder
    vectors, chosen = embedded(model=run, input=finished_run.manifest.root), FittedProbe.from_pretrained(run / "probe")
    assert {path.name for path in tmp_path.iterdir()} == {"x.npz", "store"}
    (folder,) = (folder for folder in artifacts(finished_run.store) if folder.parent.name == "gpt_features")
    (own,) = vectors.ordered([clip.name for clip in finished_run.manifest.clips]).values()
    assert [f"gpt/{name}" for name in vectors.arrays] == [chosen.description.of]
    np.testing.assert_array_equal(own, StoredFeatures.of(folder / FEATURES)[chosen.description.of])


@pytest.mark.parametrize(
    ("options", "key", "dims"),
    [
        ({}, "layer_1:mean", 8),
        ({"pooling": "thirds"}, "layer_1:thirds", 24),
        ({"layer": "inner_1", "pooling": "thirds_max"}, "inner_1:thirds_max", 64),
        ({"layer": "all_layers_with_input"}, "all_layers_with_input:mean", 16),
        ({"method": "bag_of_codes"}, "bag_of_codes:mean", 8),
        ({"method": "bottleneck", "pooling": "max"}, "bottleneck:max", 4),
        ({"method": "log_mel"}, "log_mel:mean", 16),
    ],
)
def test_layers_poolings_and_methods(
    options: dict[str, str], key: str, dims: int, embedded: Embedded, recordings: Path
) -> None:
    vectors = embedded(input=recordings / "a.wav", **options)
    assert {name: values.shape for name, values in vectors.arrays.items()} == {key: (1, dims)}
    assert vectors.paths == ("a.wav",)


def test_the_parts_that_a_table_names_have_a_row_each(embedded: Embedded, recordings: Path, tmp_path: Path) -> None:
    (table := tmp_path / "table.tsv").write_text(
        "path\tstart\tend\tsplit\na.wav\t0\t0.2\ttest\na.wav\t0.2\t0.5\ttrain\nb.flac\t\t\ttest\n"
    )
    assert embedded(input=table, root=recordings).paths == ("a.wav#t=0,0.2", "a.wav#t=0.2,0.5", "b.flac")


@pytest.mark.parametrize(("method", "layer"), [("gpt", "all"), ("bottleneck", None), ("log_mel", None)])
def test_copies_silence_and_short_recordings_have_a_row_each(
    method: str, layer: str | None, embedded: Embedded, finished_run: FinishedRun, recordings: Path, tmp_path: Path
) -> None:
    """Also where the probe of the run cuts silent ends off."""
    run = shutil.copytree(finished_run.folder, tmp_path / "run")
    saved = json.loads((run / "probe/config.json").read_text())
    saved["probe"]["trim_db"] = 40.0
    (run / "probe/config.json").write_text(json.dumps(saved))
    folder = tmp_path / "some"
    folder.mkdir()
    for name in ("a.wav", "b.wav"):
        shutil.copy(recordings / "a.wav", folder / name)
    samples, rate = soundfile.read(recordings / "a.wav", dtype="int16")
    sounds = {"c.flac": samples, "silent.wav": np.zeros(rate), "short.wav": samples[: rate // 50]}
    for name, sound in {**sounds, "empty.wav": samples[:0]}.items():
        soundfile.write(folder / name, sound, rate)
    content = embedded(model=run, input=folder, method=method, layer=layer)
    assert content.paths == ("a.wav", "b.wav", "c.flac", "short.wav", "silent.wav")
    for array in content.arrays.values():
        assert np.isfinite(array).all()
        np.testing.assert_allclose(array[1:3], array[[0, 0]], atol=1e-6)
    assert [each.path for each in read_rejected(tmp_path / "x.npz.rejected.tsv")] == ["empty.wav"]


@pytest.mark.parametrize(
    ("method", "input", "layer"),
    [
        ("denoising", "code", "layer_2"),
        ("denoising", "code", "all_layers_with_input"),
    ],
)
def test_the_denoising_network_of_a_run_embeds_as_its_probes_read(
    method: str, input: str, layer: str, embedded: Embedded, sound_run: Path
) -> None:
    (corpus,) = (path for path in (sound_run / "store" / SYNTHESISED).iterdir() if path.is_dir())
    run, options = sound_run / "run", {"method": method, "layer": layer, "pooling": "thirds"}
    found = embedded(model=run, input=run / "clips.tsv", root=corpus, **options)
    stages = (f"{method}_features", f"{input}_features")
    folders = {folder.parent.name: folder / FEATURES for folder in artifacts(sound_run / "store")}
    of, inputs = (StoredFeatures.of(folders[stage]) for stage in stages)
    stored = of.with_input(inputs)[f"{method}/{layer}:thirds"]
    names = [clip.name for clip in read_manifest(run / "manifest.tsv", corpus).clips]
    np.testing.assert_allclose(found.ordered(names)[f"{layer}:thirds"], stored, rtol=1e-4, atol=1e-5)
