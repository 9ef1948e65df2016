"""The folder of a run: what is kept, and the probe that is saved with its weights."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lm.probing.fitted import FittedProbe
from pipelines.chain.run_output import require_own_parts, write_probe
from pipelines.methods.method import Made
from pipelines.methods.run_entries import RunEntries
from pipelines.results.run_record import read_results
from pipelines.settings.run import run_settings
from pipelines.store.store import ENTRY, Entry
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import called_at_once, composed, entries, refusal, run
from wordless.audio.recordings.manifest import Clip, Manifest, read_manifest
from wordless.base.errors import InputError


def test_parts_of_an_earlier_run_may_be_replaced(tmp_path: Path) -> None:
    for part in ("lm", "tokenizer"):
        (tmp_path / part).mkdir()
        (tmp_path / part / ENTRY).touch()
    (tmp_path / "notes").mkdir()
    require_own_parts(tmp_path)


@pytest.mark.parametrize("part", ["tokenizer", "lm", "rates", "wav2vec2"])
def test_a_folder_of_the_user_is_never_replaced(part: str, tmp_path: Path) -> None:
    (tmp_path / part).mkdir()
    (tmp_path / part / "work.py").touch()
    with pytest.raises(InputError, match=rf"no run\b.*{part}\b"):
        require_own_parts(tmp_path)


def test_a_run_refuses_the_folder_before_it_reads_anything(tmp_path: Path) -> None:
    (tmp_path / "run/lm").mkdir(parents=True)
    told = refusal(called_at_once(tmp_path, "experiment=smoke", f"store.root={tmp_path / 'store'}"))
    assert "hydra.run.dir=PATH" in told
    assert (tmp_path / "run/lm").is_dir()
    assert not (tmp_path / "store/sample").exists()


def part_of_a_recording(clip: Clip) -> Clip:
    return replace(clip, segment=0)


def trimmed(clip: Clip) -> Clip:
    return replace(clip, trimmed=100)


@pytest.mark.parametrize(
    ("trim_db", "changes", "wanted"),
    [
        (None, [], None),
        (30.0, [], 30.0),  # the ends of other sounds may be silent where those of the clips are not
        (30.0, [trimmed], 30.0),
        (30.0, [part_of_a_recording], None),  # a table names parts, which are never trimmed
        (30.0, [part_of_a_recording, trimmed], 30.0),  # segments of trimmed recordings
    ],
)
def test_a_probe_says_how_its_clips_were_trimmed(
    trim_db: float | None,
    changes: list[Callable[[Clip], Clip]],
    wanted: float | None,
    finished_run: FinishedRun,
    tmp_path: Path,
) -> None:
    folders = {folder.parent.name: folder for folder in entries(finished_run.store)}
    probe, *features = (
        Entry(stage=stage, key=folders[stage].name, folder=folders[stage], reused=True)
        for stage in ("probe", "gpt_features", "code_features")
    )
    made = RunEntries(probe=probe, methods=tuple(Made(features=each) for each in features))
    clips = read_manifest(finished_run.folder / "manifest.tsv", tmp_path).clips
    for change in changes:
        clips = tuple(map(change, clips))
    word = "null" if trim_db is None else str(trim_db)
    settings = run_settings(composed(tmp_path, f"corpus.inspection.trim_db={word}"))
    write_probe(tmp_path, made, Manifest(root=tmp_path, clips=clips), settings, torch.device("cpu"))
    probe = FittedProbe.from_pretrained(tmp_path / "probe")
    own = FittedProbe.from_pretrained(finished_run.folder / "probe")
    assert probe.description == replace(own.description, trim_db=wanted)


def test_the_probe_of_soft_codes_beside_the_layers_is_saved(finished_run: FinishedRun, tmp_path: Path) -> None:
    shutil.copytree(finished_run.store, tmp_path / "store")
    reading = ("compare.methods=[gpt]", "compare.layers=[together]", "compare.assignments=soft", "compare.input=true")
    assert run(tmp_path / "store", tmp_path / "run", "stages=[tokenizer,lm,probe]", *reading) == 0
    about = FittedProbe.from_pretrained(tmp_path / "run/probe").description
    assert about.of == read_results(tmp_path / "run")["comparison"].tested["gpt"].candidate
    assert "all_layers_with_input:" in about.of
    assert about.recipe.assignments == "soft"
