"""A small project with a command of its own: it writes a result, refuses, or fails."""

from pathlib import Path

import pytest

SCRIPT = """
import json, os
from dataclasses import dataclass
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from wordless.base.messages import InputError
from wordless.base.options import Options, option
from pipelines.commandline.command import Command, command
from pipelines.store.claims import keep_claimed

@dataclass(frozen=True, kw_only=True)
class TryConfig(Options):
    name: str | None = option(None, "a text, which is quoted")
    wish: int | None = option(None, "what happens")

def task(config):
    match config["wish"]:
        case "refuse": raise InputError("wish is refuse;\\n  it must be a wish")
        case "fail":
            keep_claimed()
            raise InputError("the training fails")
        case "unsaid": raise RuntimeError("I/O error: No space left on device (os error 28)")
        case "library": import broken_library
        case "bug": raise KeyError("a bug")
        case "stop": raise KeyboardInterrupt
        case "here": Path("made").touch()
        case "noise":
            with open("made", "wb", buffering=0) as file:
                os.write(1, b"noise of a decoder")
                os.write(2, b"noise of a decoder")
                file.write(b"made")
            return
    print(config)
    result = json.dumps({"wish": config["wish"], "figures": []})
    Path(HydraConfig.get().runtime.output_dir, "results.json").write_text(result)

FOLDERS = {
    "run": {"dir": "runs/${now:%Y}"},  # the same name for all
    "sweep": {"dir": "sweeps/${now:%Y}", "subdir": "${hydra.job.num}"},
    "callbacks": {"folder": {"_target_": "pipelines.commandline.run_folders.ClaimedFolder"}},
}
if __name__ == "__main__":
    command(Command(name="try", purpose="", options=TryConfig, run=print, folders=FOLDERS), task)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Its folder."""
    (tmp_path / "broken_library.py").write_text("from json import nothing")
    (tmp_path / "try_it.py").write_text(SCRIPT)
    return tmp_path
