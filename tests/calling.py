"""Processes and threads that tests start and wait for."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from pipelines import cli
from pipelines.commandline import command, composed_config, option_index
from pipelines.commandline.command import perform
from pipelines.commandline.option_index import Index
from pipelines.commands import COMMANDS
from wordless.base.compiling import compiling

ROOT = Path(__file__).parents[1]


def python(
    *words: str | Path, cwd: Path = ROOT, before: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Call ``python words...`` with the folder ``before`` and this checkout first on its path."""
    places = [str(each) for each in (before, ROOT, os.environ.get("PYTHONPATH")) if each]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(places), **environment}
    return subprocess.run([sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False)


# commands from their composed options, in this process
decode = partial(perform, COMMANDS["decode"])
demo = partial(perform, COMMANDS["demo"])
embed = partial(perform, COMMANDS["embed"])
encode = partial(perform, COMMANDS["encode"])
generate = partial(perform, COMMANDS["generate"])
predict = partial(perform, COMMANDS["predict"])
score = partial(perform, COMMANDS["score"])


def index(name: str) -> Index:
    """The options of a command."""
    return option_index.index(COMMANDS[name].options)


def compose(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The config of a command that Hydra composes; Hydra must be initialised with the package ``conf``."""
    return command.compose(COMMANDS[name], overrides)


def completed(name: str, config: Mapping[str, object]) -> dict[str, Any]:
    """The same with the values that follow from others."""
    return composed_config.completed(COMMANDS[name].options, config)


def options_of(command: str, *names: str, **defaults: object) -> Callable[..., dict[str, object]]:
    """A function from a model, the values of the options ``names`` in this order, and others to a command's options."""
    known = {each.name for each in fields(COMMANDS[command].options)}

    def options(model: Path, *values: object, **others: object) -> dict[str, object]:
        own = {"device": "cpu", "workers": 1, "store": {"root": str(model.with_name("store"))}}
        named = {name: str(value) for name, value in zip(("model", *names), (model, *values), strict=True)}
        return {name: value for name, value in own.items() if name in known} | named | defaults | others

    return options


class Command:
    """Calls of ``wordless <name> words...`` in this process."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.name, self.monkeypatch, self.capsys = name, monkeypatch, capsys

    def __call__(self, *words: str) -> tuple[object, str, str]:
        self.monkeypatch.setattr(sys, "argv", ["wordless", self.name, *words])
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        told = self.capsys.readouterr()
        return code, told.out, told.err


SOON = 60.0  # seconds


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[threading.Event]:
    """Run ``work`` in a thread; the event is set when it has ended."""
    ended = threading.Event()

    def run() -> None:
        work()
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    yield ended
    thread.join()


def assert_waits(work: Callable[[], object], done: Callable[[], object]) -> None:
    """Assert that ``work`` is not ``done`` before the lock is released, and is afterwards."""
    with ExitStack() as stack:
        with compiling():
            ended = stack.enter_context(beside(work))
            waited = not ended.wait(0.5) and not done()
        assert ended.wait(SOON)
    assert waited
    assert done()
