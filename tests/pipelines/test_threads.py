"""The number of threads: part of the key of every training, and of nothing else but what is made of trainings."""

import json
from pathlib import Path

import pytest
import torch

from audio.errors import InputError
from audio.threads import use_threads
from pipelines.gangs import Alone
from pipelines.progress import Terminal
from pipelines.session import Session
from pipelines.settings import run_settings
from pipelines.store import Recipe, Store
from tests.pipelines.tiny_chain import composed, entries, run, stored

INDEPENDENT = {  # of the number of threads, byte for byte
    *("sample", "autoencoder", "tokenizer", "codes", "views", "health", "waveforms", "spectrograms"),
    *("signal_features", "code_features", "random_gpt_features", "random_conv_features"),
}
METHODS = "compare.methods=[log_mel,bottleneck,bag_of_codes,gpt,random_gpt,simclr,random_conv]"


def by_key(store: Path) -> dict[str, str]:
    """Entry -> its stage."""
    return {f"{path.parent.name}/{path.name}": path.parent.name for path in entries(store)}


def test_only_what_is_made_together_depends_on_the_threads(tmp_path: Path) -> None:
    session = Session(
        store=Store(tmp_path), gang=Alone(torch.device("cpu")), terminal=Terminal(), folder=tmp_path, workers=1
    )
    recipe = Recipe(stage="sums", version=1, config={"terms": 3}, inputs={})
    before, found = torch.get_num_threads(), {}
    try:
        for threads in (1, 3):
            use_threads(threads)
            for together in (True, False):
                entry = session.obtain(recipe, "a sum", _sum, files=["sum.txt"], together=together)
                found[threads, together] = entry.key, entry.reused
    finally:
        use_threads(before)
    assert found[1, False] == (recipe.key, False)
    assert found[3, False] == (recipe.key, True)
    assert len({found[1, True][0], found[3, True][0], recipe.key}) == 3


def _sum(folder: Path) -> None:
    (folder / "sum.txt").write_text("6")


@pytest.mark.slow
def test_what_is_trained_on_other_threads_is_another_entry(tmp_path: Path) -> None:
    store, other = tmp_path / "store", tmp_path / "other"
    words = ("stages=[tokenizer,lm,probe,vocoder]", METHODS)
    assert run(store, tmp_path / "one", *words, "threads=1") == 0
    assert run(other, tmp_path / "two", *words, "threads=2") == 0
    one, two = by_key(store), by_key(other)
    shared = one.keys() & two.keys()
    assert {one[key] for key in shared} >= INDEPENDENT
    trained = {"lm", "simclr", "supervised", "vocoder"}
    made_of_them = {"gpt_features", "simclr_features", "listening", "decoded", "judged", "recognised", "probe"}
    assert (trained | made_of_them).isdisjoint(one[key] for key in shared)
    first, second = stored(store), stored(other)
    assert {name: digest for name, digest in first.items() if name.rpartition("/")[0] in shared} == {
        name: digest for name, digest in second.items() if name.rpartition("/")[0] in shared
    }
    # The number that another machine had lets its store be reused here.
    assert run(store, tmp_path / "three", *words, "threads=2") == 0
    assert stored(store).items() >= second.items()


def test_without_a_number_the_process_decides(whole_store: Path) -> None:
    (record,) = whole_store.glob("lm/*/entry.json")
    config = json.loads(record.read_text())["config"]
    assert (config["threads"], config["processes"]) == (torch.get_num_threads(), 1)


def test_no_threads_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="threads is 0; choose null"):
        run_settings(composed(tmp_path, "threads=0"))
