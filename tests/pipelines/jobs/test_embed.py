"""``wordless embed`` and ``wordless find``: vectors of recordings, and a sound that is hidden in them."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from hydra import initialize_config_module

from lm.probing.features_file import FeaturesFile, read_features
from lm.probing.fitted import FittedProbe
from pipelines.commandline.composition import compose
from pipelines.jobs import find as job
from pipelines.store.store import SYNTHESISED
from pipelines.store.stored_features import FEATURES, features_by_method
from tests.calling import embed, find
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import save_rates_run
from tests.pipelines.tiny_chain import entries, run
from tests.rejected import read_rejected
from tests.wordless.audio.recordings.annotations.annotated_files import PARTS, audacity, textgrid_text, write_recording
from wordless.audio.recordings.manifest import read_manifest
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError


def call(*words: str) -> None:
    output = next(Path(word.partition("=")[2]) for word in words if word.startswith("output="))
    store = f"store.root={output.parent.with_name(f'{output.parent.name} store')}"
    with initialize_config_module("conf", version_base="1.3"):
        config = compose("embed", overrides=[store, *words])
    embed({str(key): value for key, value in config.items() if key != "hydra"})


@pytest.fixture(scope="module")
def embedded(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> FeaturesFile:
    """What embed writes of the recordings that a run was made of, with its default options."""
    output = tmp_path_factory.mktemp("embedded") / "x.npz"
    (root,) = (path for path in (finished_run.store / SYNTHESISED).iterdir() if path.is_dir())
    call(f"model={finished_run.folder}", f"input={root}", f"output={output}")
    assert sorted(path.name for path in output.parent.iterdir()) == ["x.npz"]
    return read_features(output)


def test_the_vectors_are_those_that_the_probe_of_the_run_read(
    embedded: FeaturesFile, finished_run: FinishedRun
) -> None:
    chosen = FittedProbe.from_pretrained(finished_run.folder / "probe").description.of
    files = [folder / FEATURES for folder in entries(finished_run.store) if folder.parent.name == "gpt_features"]
    stored = features_by_method(files)["gpt"][chosen]
    clips = read_manifest(finished_run.folder / "manifest.tsv", finished_run.store).clips
    (own,) = embedded.ordered([clip.name for clip in clips]).values()
    assert [*embedded.arrays] == [chosen.removeprefix("gpt/")]
    np.testing.assert_array_equal(own, stored)


def found(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


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


def test_the_parts_that_a_table_names_have_a_row_each(run_folder: Path, recordings: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.tsv"
    table.write_text("path\tstart\tend\tsplit\na.wav\t0\t0.2\ttest\na.wav\t0.2\t0.5\ttrain\nb.flac\t\t\ttest\n")
    output = tmp_path / "x.npz"
    call(f"model='{run_folder}'", f"input={table}", f"root={recordings}", f"output={output}")
    assert read_features(output).paths == ("a.wav#t=0,0.2", "a.wav#t=0.2,0.5", "b.flac")


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with two tiers, and one without annotations."""
    folder = tmp_path_factory.mktemp("annotated")
    write_recording(folder / "field.wav")
    write_recording(folder / "other.wav", seed=1, seconds=1)
    tiers = {"birds": PARTS, "calls": [(0.5, 1.5, "call"), (3.0, 4.0, "song")]}
    (folder / "field.TextGrid").write_text(textgrid_text(tiers))
    return folder


CALLS = ("field.wav#t=0.5,1.5", "field.wav#t=3,4")


@pytest.mark.parametrize(
    ("place", "words", "paths"),
    [
        ("", ["tier=calls"], (*CALLS, "other.wav")),
        ("", ["annotations=none"], ("field.wav", "other.wav")),
        ("field.wav", [], ("field.wav",)),
        ("field.TextGrid", ["tier=calls"], CALLS),
    ],
)
def test_a_tier_is_chosen_and_annotations_are_left_out(
    place: str, words: list[str], paths: tuple[str, ...], annotated: Path, run_folder: Path, tmp_path: Path
) -> None:
    call(f"model='{run_folder}'", f"input={annotated / place}", f"output={tmp_path / 'x.npz'}", *words)
    assert read_features(tmp_path / "x.npz").paths == paths


@pytest.mark.parametrize(
    ("place", "words", "named"),
    [
        ("", [], ("tier=", "annotations=none")),
        ("field.TextGrid", [], ("tier=",)),
        ("field.TextGrid", ["root=/nowhere"], ("root is",)),
        ("field.wav", ["annotations=none", "tier=calls"], ("tier is calls",)),
    ],
)
def test_refusals_name_the_options_of_the_command(
    place: str, words: list[str], named: tuple[str, ...], annotated: Path, run_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        call(f"model='{run_folder}'", f"input={annotated / place}", f"output={tmp_path / 'x.npz'}", *words)
    assert all(name in str(refused.value) for name in named)
    assert "corpus." not in str(refused.value)


def test_codes_of_several_rates_have_a_method_for_each(recordings: Path, tmp_path: Path) -> None:
    run = save_rates_run(tmp_path / "run", seed=0)
    call(f"model={run}", f"input={recordings}", f"output={tmp_path / 'x.npz'}", "method=gpt_of_rate_2")
    (array,) = read_features(tmp_path / "x.npz").arrays.values()
    assert array.shape == (6, 8)
    with pytest.raises(InputError, match=r"method.*gpt_of_rate_1"):
        call(f"model={run}", f"input={recordings}", f"output={tmp_path / 'y.npz'}", "method=gpt")
    with pytest.raises(InputError, match=r"layer=.*method=gpt_of_rate_\d"):  # a method that this run has
        call(f"model={run}", f"input={recordings}", f"output={tmp_path / 'y.npz'}", "method=log_mel", "layer=layer_1")


@pytest.mark.parametrize(("method", "layer"), [("gpt", "all"), ("bottleneck", "null"), ("log_mel", "null")])
def test_copies_silence_and_short_recordings_have_a_row_each(
    method: str, layer: str, run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    shutil.copy(recordings / "a.wav", folder / "a.wav")
    shutil.copy(recordings / "a.wav", folder / "b.wav")
    samples, rate = soundfile.read(recordings / "a.wav", dtype="int16")
    soundfile.write(folder / "c.flac", samples, rate)
    soundfile.write(folder / "silent.wav", np.zeros(rate), rate)
    soundfile.write(folder / "short.wav", samples[: rate // 50], rate)
    soundfile.write(folder / "empty.wav", samples[:0], rate)
    words = (f"method={method}", f"layer={layer}")
    call(f"model='{run_folder}'", f"input={folder}", f"output={tmp_path / 'x.npz'}", *words)
    content = read_features(tmp_path / "x.npz")
    assert content.paths == ("a.wav", "b.wav", "c.flac", "short.wav", "silent.wav")
    for array in content.arrays.values():
        assert np.isfinite(array).all()
        np.testing.assert_allclose(array[1:3], array[[0, 0]], atol=1e-6)
    assert [each.path for each in read_rejected(tmp_path / "x.npz.rejected.tsv")] == ["empty.wav"]


def test_silent_ends_of_nothing_but_silence(finished_run: FinishedRun, recordings: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run.folder, run)
    file = run / "probe" / "config.json"
    saved = json.loads(file.read_text())
    saved["probe"]["trim_db"] = 40.0
    file.write_text(json.dumps(saved))
    (tmp_path / "some").mkdir()
    shutil.copy(recordings / "a.wav", tmp_path / "some" / "a.wav")
    soundfile.write(tmp_path / "some" / "silent.wav", np.zeros(8000), 8000)
    call(f"model={run}", f"input={tmp_path / 'some'}", f"output={tmp_path / 'x.npz'}")
    assert read_features(tmp_path / "x.npz").paths == ("a.wav", "silent.wav")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["layer=layer_9"], "layer"),
        (["method=gpt_sound"], "gpt_sound"),
        (["method=bag_of_codes", "layer=layer_1"], "layer.*bag_of_codes.*method=gpt"),
        (["output=x.csv"], "npz"),
        (["root=somewhere"], "root"),
        (["input=nowhere"], "nowhere"),
    ],
)
def test_refusals_name_the_option(
    words: list[str], named: str, run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=named):
        call(f"model='{run_folder}'", f"input={recordings}", f"output={tmp_path / 'x.npz'}", *words)
    assert [*tmp_path.iterdir()] == []


# The GPT that reads sound


@pytest.fixture(scope="module")
def sound_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with the folder ``run``, of a run that has no language model of codes, and its ``store``."""
    place = tmp_path_factory.mktemp("sound")
    words = ("stages=[tokenizer,probe]", "compare.methods=[log_mel,gpt_sound]", "compare.hearings=2")
    sound = ("gpt_sound=tiny", "gpt_sound.fit.steps=4", "gpt_sound.fit.validate_every=2")
    reading = ("compare.input=true", "compare.layers=[last,together]")
    assert run(place / "store", place / "run", *words, *sound, *reading) == 0
    return place


@pytest.mark.parametrize("layer", ["layer_3", "all_layers_with_input"])
def test_the_gpt_of_a_run_that_reads_sound_embeds_as_its_probes_read(
    layer: str, sound_run: Path, tmp_path: Path
) -> None:
    (corpus,) = (path for path in (sound_run / "store" / SYNTHESISED).iterdir() if path.is_dir())
    more = ("method=gpt_sound", f"layer={layer}", "pooling=thirds", f"output={tmp_path / 'x.npz'}")
    call(f"model={sound_run / 'run'}", f"input={sound_run / 'run/manifest.tsv'}", f"root={corpus}", *more)
    found = read_features(tmp_path / "x.npz")
    stages = ("gpt_sound_features", "log_mel_features")
    files = [folder / FEATURES for folder in entries(sound_run / "store") if folder.parent.name in stages]
    of = features_by_method(files)
    stored = of["gpt_sound"].with_input(of["log_mel"])[f"gpt_sound/{layer}:thirds"]
    names = [clip.name for clip in read_manifest(sound_run / "run/manifest.tsv", corpus).clips]
    np.testing.assert_allclose(found.ordered(names)[f"{layer}:thirds"], stored, rtol=1e-4, atol=1e-5)


RATE = 4000  # Hz; a code lasts 80 samples
AT = {"a.wav": 2.0, "more/b.wav": 4.0}  # seconds at which the word begins


def noise(seconds: float, seed: int) -> FloatArray:
    """Noise whose spectrum changes every 40 ms."""
    rng = np.random.default_rng(seed)
    pieces = [np.cumsum(rng.normal(0, 1, 160)) * rng.uniform(0, 0.3) + rng.normal(0, 1, 160) for _ in range(400)]
    return (0.02 * np.concatenate(pieces)[: round(seconds * RATE)]).astype(np.float32)


WORD = noise(0.6, 99)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A word, and recordings of which two have it: one of them at another rate."""
    place = tmp_path_factory.mktemp("find")
    (place / "in/more").mkdir(parents=True)
    soundfile.write(place / "word.wav", np.concatenate([np.zeros(800), WORD, np.zeros(400)]), RATE, subtype="FLOAT")
    for number, (name, at) in enumerate(AT.items()):
        sound = np.concatenate([noise(at, number), WORD, noise(3, 10 + number)])
        soundfile.write(place / "in" / name, sound, RATE, subtype="FLOAT")
    soundfile.write(place / "in/c.wav", noise(5, 30), RATE, subtype="FLOAT")
    soundfile.write(place / "in/short.wav", noise(0.3, 31), RATE, subtype="FLOAT")
    (place / "in/broken.wav").write_bytes(b"RIFF")
    return place


def options(model: Path, place: Path, output: Path, **others: object) -> dict[str, object]:
    words = {"model": model, "query": place / "word.wav", "input": place / "in", "output": output}
    own = {"device": "cpu", "workers": 1, "store": {"root": str(place / "store")}}
    return {**{name: str(value) for name, value in words.items()}, **own, **others}


def rows_of(output: Path) -> list[dict[str, str]]:
    head, *lines = [line.split("\t") for line in output.read_text().splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]


def test_a_hidden_word_is_found_and_other_recordings_are_set_aside(
    run_folder: Path, place: Path, tmp_path: Path
) -> None:
    output = tmp_path / "hits.tsv"
    find(options(run_folder, place, output))
    rows = rows_of(output)
    assert [*rows[0]] == ["query", "path", "start", "end", "score"]
    assert {row["path"] for row in rows[:2]} == {str(place / "in" / name) for name in AT}
    for row in rows[:2]:
        at = AT[str(Path(row["path"]).relative_to(place / "in"))]
        assert float(row["start"]) == pytest.approx(at, abs=0.1)
        assert float(row["end"]) == pytest.approx(at + 0.6, abs=0.1)
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[1] > scores[2]
    reasons = {Path(each.path).name: each.reason for each in read_rejected(tmp_path / "hits.tsv.rejected.tsv")}
    assert reasons.keys() == {"broken.wav", "short.wav"}
    assert "shorter than the query" in reasons["short.wav"]
    page = (tmp_path / "hits.html").read_text()
    assert page.count("<audio") == 1 + len(rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hits.html", "hits.tsv", "hits.tsv.rejected.tsv"]


@pytest.mark.parametrize("features", ["log_mel", pytest.param("mfcc", marks=pytest.mark.slow)])
def test_other_features_find_it_too(run_folder: Path, place: Path, tmp_path: Path, features: str) -> None:
    find(options(run_folder, place, tmp_path / "hits.parquet", features=features))
    rows = pq.read_table(tmp_path / "hits.parquet").to_pylist()
    assert {Path(row["path"]).name for row in rows[:2]} == {"a.wav", "b.wav"}
    assert rows[0]["start"] == pytest.approx(AT[str(Path(rows[0]["path"]).relative_to(place / "in"))], abs=0.05)


def test_states_find_a_whole_recording(run_folder: Path, place: Path, tmp_path: Path) -> None:
    query = {"query": str(place / "in/c.wav"), "trim_db": None}
    find(options(run_folder, place, tmp_path / "hits.json", features="states", **query))
    best = json.loads((tmp_path / "hits.json").read_text())[0]
    assert Path(best["path"]).name == "c.wav"
    assert (best["start"], best["end"]) == pytest.approx((0, 5), abs=0.1)
    assert best["score"] == pytest.approx(1, abs=1e-3)


def test_codes_of_several_rates(place: Path, tmp_path: Path) -> None:
    model = save_rates_run(tmp_path / "run", seed=0)
    for features in ("soft_codes", "states"):
        find(options(model, place, tmp_path / f"{features}.json", features=features, hits=3))
        rows = json.loads((tmp_path / f"{features}.json").read_text())
        assert [0 <= row["start"] < row["end"] for row in rows] == [True] * 3


def test_queries_are_annotated_parts_and_files_of_a_folder(run_folder: Path, place: Path, tmp_path: Path) -> None:
    queries = tmp_path / "queries"
    queries.mkdir()
    (queries / "a.wav").write_bytes((place / "in/a.wav").read_bytes())
    audacity(queries, "a", [(2.0, 2.6, "word"), (0.5, 0.9, "noise")])
    (queries / "word.wav").write_bytes((place / "word.wav").read_bytes())
    (queries / "tiny.wav").write_bytes(b"")
    find(options(run_folder, place, tmp_path / "hits.tsv", query=str(queries), hits=2))
    rows = rows_of(tmp_path / "hits.tsv")
    assert [row["query"] for row in rows] == [
        str(queries / name) for name in ("a.wav#t=0.5,0.9", "a.wav#t=2,2.6", "word.wav") for _ in range(2)
    ]
    assert Path(rows[0]["path"]).name == "a.wav"
    assert float(rows[0]["start"]) == pytest.approx(0.5, abs=0.05)
    aside = {Path(each.path).name: each.reason for each in read_rejected(tmp_path / "hits.tsv.rejected.tsv")}
    assert aside.keys() == {"tiny.wav", "broken.wav", "short.wav"}


def test_a_killed_command_goes_on_to_the_same_bytes(
    run_folder: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find(options(run_folder, place, tmp_path / "whole.tsv"))
    own = {"store": {"root": str(tmp_path / "store")}}
    monkeypatch.setattr(job, "SHARD", 2)
    searched, work = list[str](), job.search_recording

    def interrupted(*arguments: object) -> object:
        searched.append("")
        if len(searched) == 3:
            raise KeyboardInterrupt
        return work(*arguments)  # type: ignore[arg-type]  # those of the function

    monkeypatch.setattr(job, "search_recording", interrupted)
    with pytest.raises(KeyboardInterrupt):
        find(options(run_folder, place, tmp_path / "hits.tsv", **own))
    assert not (tmp_path / "hits.tsv").exists()
    find(options(run_folder, place, tmp_path / "hits.tsv", **own))
    assert len(searched) == 6  # 2 before the interrupt, the one that it ended, and the 3 others
    for ending in (".tsv", ".tsv.rejected.tsv", ".html"):
        assert (tmp_path / f"hits{ending}").read_bytes() == (tmp_path / f"whole{ending}").read_bytes()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"query": "nowhere.wav"}, r"^query is nowhere\.wav\b"),
        ({"input": "nowhere"}, r"^input is nowhere\b"),
        ({"model": "nowhere"}, r"^model=nowhere\b"),
        ({"output": "hits.xlsx"}, r"^output=hits\.xlsx\b"),
        ({"hits": 0}, r"^hits\b"),
        ({"layer": 2, "features": "states"}, r"^layer\b.*\b2\b"),
    ],
)
def test_wrong_options_are_refused(
    run_folder: Path, place: Path, tmp_path: Path, wrong: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        find({**options(run_folder, place, tmp_path / "hits.tsv"), **wrong})


def test_queries_and_recordings_that_are_too_short_are_refused(run_folder: Path, place: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "click.wav", 0.1 * np.ones(70), RATE)
    with pytest.raises(InputError, match=r"^query=.*\bcode\b") as refused:
        find(options(run_folder, place, tmp_path / "hits.tsv", query=str(tmp_path / "click.wav")))
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match=r"^input=.*shorter than the query"):
        find(options(run_folder, place, tmp_path / "hits.tsv", input=str(place / "in/short.wav")))
    assert re.search("short.wav", (tmp_path / "hits.tsv.rejected.tsv").read_text())
    assert not (tmp_path / "hits.tsv").exists()
