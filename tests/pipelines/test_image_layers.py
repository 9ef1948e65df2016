"""A finished run and its store in the image of a container, whose folders cannot be renamed."""

import shutil
from pathlib import Path

import pytest

from pipelines.results.run_record import read_results
from tests.image_layers import of_image
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import TINY, called, stored


@pytest.mark.slow
def test_a_run_in_an_image_is_replaced_extended_and_listed(finished_run: FinishedRun, tmp_path: Path) -> None:
    (image := tmp_path / "image").mkdir()
    run, store = image / "runs/wake", image / "store"
    shutil.copytree(finished_run.folder, run)
    shutil.copytree(finished_run.store, store)
    before = stored(store)
    environment = of_image(image, tmp_path)
    place = (*TINY, f"store.root={store}")
    done = called(*place, f"hydra.run.dir={run}", "replace=true", "listening.clips=2", **environment)
    assert done.returncode == 0, done.stderr
    assert len(read_results(run)["listening"]["clips"]) == 2
    done = called(*place, f"hydra.run.dir={image}/runs/other", "tokenizer.codebook_size=4", **environment)
    assert done.returncode == 0, done.stderr
    assert before.items() <= stored(store).items()
    done = called(f"root={image}/runs", command="runs", **environment)
    assert done.returncode == 0, done.stderr
