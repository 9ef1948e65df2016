"""Pickles in place of the files that commands read: none is ever unpickled."""

import io
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lm.model import LanguageModel
from pipelines.results.run_record import read_results
from pipelines.store.store import faults
from tests.pipelines.tiny_chain import entries, run, stored
from tokenizer.tokenizer import Tokenizer
from vocoder.vocoder import Vocoder
from wordless.base.errors import InputError

NO_REPORT = "stages=[tokenizer,lm,probe,vocoder]"
READERS: dict[str, Callable[[Path], object]] = {
    "tokenizer": Tokenizer.from_pretrained,
    "lm": LanguageModel.from_pretrained,
    "vocoder": Vocoder.from_pretrained,
}


class Trap:
    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.marker, "w")


def traps(marker: Path) -> Iterator[bytes]:
    """A plain pickle, PyTorch's archive of one, and NumPy's array of one."""
    yield pickle.dumps(Trap(marker))
    for save in (torch.save, lambda trap, file: np.save(file, np.array([trap], dtype=object))):
        stream = io.BytesIO()
        save(Trap(marker), stream)
        yield stream.getvalue()


def test_no_model_folder_runs_code(run_folder: Path, tmp_path: Path) -> None:
    for part, read in READERS.items():
        for name in sorted(path.name for path in (run_folder / part).iterdir()):
            for number, trap in enumerate(traps(tmp_path / "marker")):
                folder = shutil.copytree(run_folder / part, tmp_path / f"{part}-{name}-{number}")
                (folder / name).write_bytes(trap)
                if name == "README.md":
                    read(folder)
                else:
                    with pytest.raises(InputError):
                        read(folder)
    assert not (tmp_path / "marker").exists()


def test_no_results_run_code(tmp_path: Path) -> None:
    for trap in traps(tmp_path / "marker"):
        (tmp_path / "results.json").write_bytes(trap)
        with pytest.raises(InputError):
            read_results(tmp_path)
    assert not (tmp_path / "marker").exists()


def test_a_planted_file_of_a_whole_entry_is_noticed(whole_store: Path, tmp_path: Path) -> None:
    trap, *_ = traps(tmp_path / "marker")
    for entry in entries(whole_store):
        for name in [path.relative_to(entry) for path in entry.rglob("*") if path.is_file()]:
            planted = shutil.copytree(entry, tmp_path / entry.parent.name / name.name / entry.name)
            (planted / name).write_bytes(trap)
            found = list(faults(planted, trust_stamps=True))
            assert bool(found) == (name.name != "timings.json"), name  # costs are made anew
    assert not (tmp_path / "marker").exists()


@pytest.mark.slow
def test_whatever_a_killed_run_left_runs_no_code(whole_store: Path, tmp_path: Path) -> None:
    store, marker = tmp_path / "store", tmp_path / "marker"
    shutil.copytree(whole_store / "embedded", store / "embedded")
    for trap in traps(marker):
        with (store / "inspected.jsonl").open("ab") as file:
            file.write(trap + b"\n")
    for number, entry in enumerate(entries(whole_store)):
        trap = list(traps(marker))[number % 3]
        partial = store / entry.parent.name / f"{entry.name}.partial"
        checkpoints = partial.with_suffix(".checkpoints")
        checkpoints.mkdir(parents=True)
        for file in (path for path in entry.rglob("*") if path.is_file()):
            place = partial / file.relative_to(entry)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(trap)
            (checkpoints / f"{file.name}.sha256").write_bytes(trap)
        for name in ("fit.safetensors", "fit.pt", "begun.json"):
            (checkpoints / name).write_bytes(trap)
    assert run(store, tmp_path / "run", NO_REPORT) == 0
    assert stored(store) == stored(whole_store)
    assert not marker.exists()
