"""``wordless embed``: vectors of recordings, as the probes of a run read them."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.probing.features_file import read_features
from lm.probing.fitted import FittedProbe
from pipelines.store.store import SYNTHESISED
from pipelines.store.stored_features import FEATURES, StoredFeatures
from tests.calling import embed
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import config_of, entries
from tests.rejected import read_rejected
from tests.wordless.audio.recordings.annotations.annotated_files import PARTS, textgrid_text, write_recording
from wordless.audio.recordings.manifest import read_manifest
from wordless.base.errors import InputError


def call(*words: str) -> None:
    output = next(Path(word.partition("=")[2]) for word in words if word.startswith("output="))
    embed(config_of("embed", f"store.root={output.parent.with_name(f'{output.parent.name} store')}", *words))


def test_the_vectors_are_those_that_the_probe_of_the_run_read(finished_run: FinishedRun, tmp_path: Path) -> None:
    """With default options, of the recordings that the run was made of."""
    output, run = tmp_path / "out/x.npz", finished_run.folder
    call(f"model={run}", f"input={finished_run.manifest.root}", f"output={output}")
    assert [path.name for path in output.parent.iterdir()] == ["x.npz"]
    embedded, chosen = read_features(output), FittedProbe.from_pretrained(run / "probe").description.of
    (folder,) = (folder for folder in entries(finished_run.store) if folder.parent.name == "gpt_features")
    (own,) = embedded.ordered([clip.name for clip in finished_run.manifest.clips]).values()
    assert [*embedded.arrays] == [chosen.removeprefix("gpt/")]
    np.testing.assert_array_equal(own, StoredFeatures.of(folder / FEATURES)[chosen])


@pytest.mark.parametrize(
    ("words", "key", "dims"),
    [
        ([], "layer_1:mean", 8),
        (["pooling=thirds"], "layer_1:thirds", 24),
        (["layer=inner_1", "pooling=thirds_max"], "inner_1:thirds_max", 64),
        (["layer=all_layers_with_input"], "all_layers_with_input:mean", 16),
        (["method=bag_of_codes"], "bag_of_codes:mean", 8),
        (["method=bottleneck", "pooling=max"], "bottleneck:max", 4),
        (["method=log_mel"], "log_mel:mean", 16),
    ],
)
def test_layers_poolings_and_methods(
    words: list[str], key: str, dims: int, run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    call(f"model='{run_folder}'", f"input={recordings / 'a.wav'}", f"output={tmp_path / 'x.npz'}", *words)
    content = read_features(tmp_path / "x.npz")
    assert {name: values.shape for name, values in content.arrays.items()} == {key: (1, dims)}
    assert content.paths == ("a.wav",)


def test_a_lower_rate_than_the_models_is_told(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, rate in (("low", 2000), ("lower", 2000), ("own", 4000)):
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(rate).normal(0, 0.1, rate), rate)
    call(f"model='{run_folder}'", f"input={tmp_path}", f"output={tmp_path / 'x.npz'}")
    told = capsys.readouterr()
    [line] = [line for line in (told.out + told.err).splitlines() if "empty" in line]
    assert re.search(r"low\.wav and 1 other recording: .*\b2000 Hz\b.*\b4000 Hz\b.*\b1000 Hz are empty", line)


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with two tiers, and one without annotations."""
    folder = tmp_path_factory.mktemp("annotated")
    write_recording(folder / "field.wav")
    write_recording(folder / "other.wav", seed=1, seconds=1)
    tiers = {"birds": PARTS, "calls": [(0.5, 1.5, "call"), (3.0, 4.0, "song")]}
    (folder / "field.TextGrid").write_text(textgrid_text(tiers))
    return folder


def test_the_parts_that_a_table_names_have_a_row_each(run_folder: Path, recordings: Path, tmp_path: Path) -> None:
    table, output = tmp_path / "table.tsv", tmp_path / "x.npz"
    table.write_text("path\tstart\tend\tsplit\na.wav\t0\t0.2\ttest\na.wav\t0.2\t0.5\ttrain\nb.flac\t\t\ttest\n")
    call(f"model='{run_folder}'", f"input={table}", f"root={recordings}", f"output={output}")
    assert read_features(output).paths == ("a.wav#t=0,0.2", "a.wav#t=0.2,0.5", "b.flac")


CALLS = ("field.wav#t=0.5,1.5", "field.wav#t=3,4")


@pytest.mark.parametrize(
    ("place", "words", "paths"),
    [
        ("", ["tier=calls"], (*CALLS, "other.wav")),
        ("", ["annotations=none"], ("field.wav", "other.wav")),
        ("field.wav", [], r"tier=.*annotations=none"),
        ("field.wav", ["tier=calls"], CALLS),
        ("field.wav", ["annotations=none"], ("field.wav",)),
        ("field.TextGrid", ["tier=calls"], CALLS),
        ("", [], r"tier=.*annotations=none"),
        ("field.TextGrid", [], "tier="),
        ("field.TextGrid", ["root=/nowhere"], "root is"),
        ("field.wav", ["annotations=none", "tier=calls"], "tier is calls"),
    ],
)
def test_a_tier_is_chosen_and_annotations_are_left_out(
    place: str, words: list[str], paths: tuple[str, ...] | str, annotated: Path, run_folder: Path, tmp_path: Path
) -> None:
    """Refusals name the options of the command, and not those of a run."""
    given = (f"model='{run_folder}'", f"input={annotated / place}", f"output={tmp_path / 'x.npz'}", *words)
    if isinstance(paths, str):
        with pytest.raises(InputError, match=paths) as refused:
            call(*given)
        assert "corpus." not in str(refused.value)
    else:
        call(*given)
        assert read_features(tmp_path / "x.npz").paths == paths


@pytest.mark.parametrize(("method", "layer"), [("gpt", "all"), ("bottleneck", "null"), ("log_mel", "null")])
def test_copies_silence_and_short_recordings_have_a_row_each(
    method: str, layer: str, finished_run: FinishedRun, recordings: Path, tmp_path: Path
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
    words = (f"method={method}", f"layer={layer}")
    call(f"model={run}", f"input={folder}", f"output={tmp_path / 'x.npz'}", *words)
    content = read_features(tmp_path / "x.npz")
    assert content.paths == ("a.wav", "b.wav", "c.flac", "short.wav", "silent.wav")
    for array in content.arrays.values():
        assert np.isfinite(array).all()
        np.testing.assert_allclose(array[1:3], array[[0, 0]], atol=1e-6)
    assert [each.path for each in read_rejected(tmp_path / "x.npz.rejected.tsv")] == ["empty.wav"]


@pytest.mark.parametrize(
    ("method", "input", "layer"),
    [
        ("gpt_sound", "log_mel", "layer_3"),
        ("gpt_sound", "log_mel", "all_layers_with_input"),
        ("gpt_window", "code", "all_layers_with_input"),
    ],
)
def test_the_gpt_of_a_run_that_reads_sound_embeds_as_its_probes_read(
    method: str, input: str, layer: str, sound_run: Path, tmp_path: Path
) -> None:
    (corpus,) = (path for path in (sound_run / "store" / SYNTHESISED).iterdir() if path.is_dir())
    more = (f"method={method}", f"layer={layer}", "pooling=thirds", f"output={tmp_path / 'x.npz'}")
    call(f"model={sound_run / 'run'}", f"input={sound_run / 'run/manifest.tsv'}", f"root={corpus}", *more)
    found = read_features(tmp_path / "x.npz")
    stages = (f"{method}_features", f"{input}_features")
    folders = {folder.parent.name: folder / FEATURES for folder in entries(sound_run / "store")}
    of, inputs = (StoredFeatures.of(folders[stage]) for stage in stages)
    stored = of.with_input(inputs)[f"{method}/{layer}:thirds"]
    names = [clip.name for clip in read_manifest(sound_run / "run/manifest.tsv", corpus).clips]
    np.testing.assert_allclose(found.ordered(names)[f"{layer}:thirds"], stored, rtol=1e-4, atol=1e-5)
