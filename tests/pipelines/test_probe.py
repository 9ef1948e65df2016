"""``wordless probe``, as a user calls it: what the models of a finished run know of a corpus."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import called
from wordless.audio.recordings.manifest import read_manifest

EMBEDDED = ("embedded.voices=5", "embedded.words=2", "embedded.takes=2", "probe.resamples=10")


@pytest.mark.slow
def test_what_the_run_was_trained_on_is_said(finished_run: FinishedRun, tmp_path: Path) -> None:
    trained_on = read_manifest(finished_run.folder / "manifest.tsv", tmp_path).of("train")[0].group
    run = shutil.copytree(finished_run.folder, tmp_path / "run")
    words = (
        *(f"model={run}", f"store.root={tmp_path / 'store'}"),
        *("corpus.split.by=group", f"corpus.split.test=['{trained_on}']", "corpus.inspection.trim_db=20"),
    )
    done = called(*words, *EMBEDDED, "probe.learning_curve=[]", command="probe", COLUMNS="40")
    assert done.returncode == 0, done.stderr
    figures, table = (next((run / "probes").glob(f"*_eSpeak_NG_*.{kind}")) for kind in ("json", "md"))
    methods = {row["of"] for row in json.loads(figures.read_text())["methods"]}
    assert methods == {line.split()[1] for line in table.read_text().splitlines()[2:] if line.startswith("|")}
    assert all(str(path) in done.stderr for path in (figures, table))
    assert "…" not in done.stdout  # the table is whole on a terminal of 40 columns
    assert "silent ends" in " ".join(done.stderr.split())
    assert re.search(r"[1-9]\d* of \d+ test clips are among", " ".join(done.stderr.split()))
