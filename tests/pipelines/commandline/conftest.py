"""A small project with a command of its own: it prints its config, refuses, fails, or writes into a claimed folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

CONFIG = """
defaults:
  - corpus: digits
  - override hydra/job_logging: none
  - override hydra/hydra_logging: none
  - _self_
seed: 0
tokenizer: {codebook_size: 64, kind: mean}
store: {root: store}
wish: null
name: null
begin: null # a file: the command writes, and ends when the file exists
hydra:
  run: {dir: "runs/${now:%Y}"} # the same name for all
  sweep: {dir: "sweeps/${now:%Y}", subdir: "${hydra.job.num}"}
  callbacks:
    folder: {_target_: pipelines.commandline.run_folders.ClaimedFolder}
"""
SCRIPT = """
import json, os, time
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from wordless.base.errors import InputError
from pipelines.commandline.command import command
from pipelines.commandline.options import Group, Index, Option
from pipelines.commandline.outputs import keep_claimed

def task(config):
    folder = Path(HydraConfig.get().runtime.output_dir)
    match config["wish"]:
        case "refuse": raise InputError("wish is refuse;\\n  it must be a wish")
        case "fail":
            keep_claimed()
            raise InputError("the training fails")
        case "unsaid": raise RuntimeError("I/O error: No space left on device (os error 28)")
        case "library": import broken_library
        case "bug": raise KeyError("a bug")
        case "stop": raise KeyboardInterrupt
        case "noise":
            with open("made", "wb", buffering=0) as file:
                os.write(1, b"noise of a decoder")
                os.write(2, b"noise of a decoder")
                file.write(b"made")
            return
    if config["begin"]:
        (folder / f"begun_by_{os.getpid()}").touch()
        while not Path(config["begin"]).exists():
            time.sleep(0.01)
        (folder / "results.json").write_text(json.dumps({"wish": config["wish"], "figures": []}))
        return
    print(json.dumps(config, sort_keys=True))
    assert "HYDRA_FULL_ERROR" not in os.environ or config["wish"] is None

texts = ("store.root", "corpus.root", "begin", "name", "hydra.run.dir", "hydra.sweep.dir")
others = ("wish", "seed", "corpus.pattern", "tokenizer.codebook_size", "tokenizer.kind")
kinds = {**dict.fromkeys(texts, str), **dict.fromkeys(others, int)}
named = {each: Option(name=each, default=None, explanation="", kind=kind) for each, kind in kinds.items()}
main = command("try", task, options=Index(options=named, groups={"corpus": Group(chosen="digits", explanation="")}))
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """Its folder, with a ``conf`` package that stands before ours."""
    (tmp_path / "conf/corpus").mkdir(parents=True)
    (tmp_path / "conf/__init__.py").touch()
    (tmp_path / "conf/try.yaml").write_text(CONFIG)
    for name in ("digits", "folder"):
        (tmp_path / f"conf/corpus/{name}.yaml").write_text("root: nowhere\npattern: null\n")
    (tmp_path / "broken_library.py").write_text("from json import nothing")
    (tmp_path / "try_it.py").write_text(SCRIPT)
    yield tmp_path
    (tmp_path / "go").touch()  # where a test failed, its commands still wait
