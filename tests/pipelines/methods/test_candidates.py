"""How many candidates are counted, against the features that a run makes; others stand in test_folds."""

import json

from pipelines.settings.run import run_settings
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import composed


def test_a_run_has_as_many_as_were_counted(finished_run: FinishedRun) -> None:
    settings = run_settings(composed(finished_run.store))
    rows = json.loads((finished_run.folder / "probe.json").read_text())["methods"]
    found = {row["of"]: len(row["candidates"]) for row in rows}
    assert {method.name: method.candidates(settings) for method in settings.compare.all_methods} == found
