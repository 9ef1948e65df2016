"""docs/listen.py makes a page with players from a run."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import soundfile

from tests.pipelines.conftest import FinishedRun

SCRIPT = Path(__file__).parents[2] / "docs/listen.py"


def test_the_page_plays_what_a_run_has_spoken(finished_run: FinishedRun, tmp_path: Path) -> None:
    spec = spec_from_file_location("listen", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    listen = module_from_spec(spec)
    spec.loader.exec_module(listen)
    listen.main(finished_run.folder, finished_run.folder, tmp_path / "listen.md")
    page = (tmp_path / "listen.md").read_text()
    played = re.findall(r'src="(sounds/[^"]+)"', page)
    assert {each.partition("_")[2] for each in played} >= {"original.ogg", "wavenet.ogg", "wavenet_recorded.ogg"}
    continued = [*finished_run.folder.glob("listening/[0-9]_continuation_0.7_0.wav")]
    assert len([each for each in played if "early" in each]) == min(len(continued), 2) > 0
    assert re.findall(r'href="(sounds/[^"]+)"', page) == played  # GitHub shows links, and no players
    assert {tmp_path / each for each in played} == {*(tmp_path / "sounds").iterdir()}
    for each in played:
        number, _, kind = Path(each).stem.partition("_")
        name = f"{number}_{kind}".removeprefix("early_")
        original, rate = soundfile.read(finished_run.folder / f"listening/{name}.wav")
        sound, same = soundfile.read(tmp_path / each)
        assert (same, len(sound)) == (rate, len(original))
        assert np.sqrt(np.mean(sound**2)) <= 2 * np.sqrt(np.mean(original**2)) + 1e-3
        assert (tmp_path / each).stat().st_size < 40_000
