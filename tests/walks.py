"""Walks through our files, under a call tracer: ``python -m tests.walks WALK FOLDER`` prints them as JSON.

A hand-over is a call from one of our files into another of them, also through a library.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import FrameType

import numpy as np

ROOT = Path(__file__).parents[1]
OURS = tuple(f"{ROOT / name}/" for name in ("tokenizer", "lm", "vocoder", "pipelines", "conf", "wordless"))
ANYWHERE = sys._getframe()  # the frame of this module never returns to a walk
CODEBOOK_SIZE = 97  # no other number of the run has this value


class Walk:
    """The files that are entered within functions, or before the call of one, by calls with an argument ``of``."""

    def __init__(
        self, *, within: tuple[str, ...] = (), before: str = "", of: Callable[[object], bool] | None = None
    ) -> None:
        self.files: dict[str, None] = {}
        self.handovers = Counter[str]()
        self._within, self._before, self._of, self._inside = within, before, of, None if within else ANYWHERE

    def note(self, frame: FrameType, event: str) -> None:
        """Note a call of a function of ours, or a return."""
        if event == "return":
            self._inside = None if frame is self._inside else self._inside
            return
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if self._inside is None and name in self._within:
            self._inside = frame
        if self._inside is not None and (self._of is None or any(map(self._of, frame.f_locals.values()))):
            self.files[_short(file)] = None
            above = frame.f_back
            while above is not None and not above.f_code.co_filename.startswith(OURS):
                above = above.f_back
            if above is not None and above.f_code.co_filename != file:
                self.handovers[f"{_short(above.f_code.co_filename)} -> {_short(file)}"] += 1
        if name == self._before:
            self._inside = None

    @property
    def found(self) -> dict[str, object]:
        return {"files": [*self.files], "handovers": self.handovers}


def _short(file: str) -> str:
    return file.removeprefix(f"{ROOT}/")


def has_codebook_size(value: object) -> bool:
    """Whether an argument is the size of the codebook, a word or options with it, or options of several groups."""
    match value:
        case str():
            return f"codebook_size={CODEBOOK_SIZE}" in value
        case int():
            return value == CODEBOOK_SIZE
        case list() | tuple():
            return any(isinstance(each, str) and has_codebook_size(each) for each in value)
        case Mapping():
            inner = value.get("tokenizer")
            return "codebook_size" in value or (isinstance(inner, Mapping) and "codebook_size" in inner)
    places = (value, *(getattr(value, name, None) for name in ("tokenizer", "settings")))
    return any(hasattr(each, "codebook_size") for each in places)


def walked(*walks: Walk, words: list[str]) -> list[dict[str, object]]:
    """Call a command under the tracer."""
    for module in ("jobs.run_chain", "commandline.command", "jobs.coding", "pages.report"):
        import_module(f"pipelines.{module}")  # what an import calls is no step of a walk

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "return" or (event == "call" and frame.f_code.co_filename.startswith(OURS)):
            for each in walks:
                each.note(frame, event)

    sys.argv = ["wordless", *words]
    sys.setprofile(note)
    import_module("pipelines.cli").main()
    sys.setprofile(None)
    return [each.found for each in walks]


def encode(folder: Path) -> dict[str, object]:
    """A folder becomes codes."""
    places = {"model": "run", "input": "in", "output": "codes", "store.root": "store"}
    words = [f"{option}={folder / place}" for option, place in places.items()]
    [codes] = walked(Walk(), words=["encode", *words, "workers=1", "device=cpu"])
    return {"codes": codes}


def run(folder: Path, *words: str) -> dict[str, object]:
    """The size of the codebook reaches k-means, and the accuracy of a probe the page."""
    for library in ("sklearn.linear_model", "torch.utils.tensorboard"):
        import_module(library)
    # numba compiles it, which takes long under a tracer
    import_module("wordless.audio.pitch_contour").track_pitch(np.zeros(1000, np.float32), 8000, 80)
    size, page = Walk(before="fit_codebook", of=has_codebook_size), Walk(within=("write_results", "write_report"))
    places = [f"store.root={folder / 'store'}", f"hydra.run.dir={folder / 'run'}"]
    found = walked(size, page, words=["run", *words, f"tokenizer.codebook_size={CODEBOOK_SIZE}", *places])
    return dict(zip(("size", "page"), found, strict=True))


def load(folder: Path) -> dict[str, object]:
    """The stage of the GPT is imported."""
    import_module("pipelines.stages.language_model")
    found = [str(getattr(each, "__file__", "")) for each in [*sys.modules.values()]]
    return {"gpt": {"files": [_short(each) for each in found if each.startswith(OURS)]}}


if __name__ == "__main__":
    walk, place, *others = sys.argv[1:]
    result = run(Path(place), *others) if walk == "run" else {"encode": encode, "load": load}[walk](Path(place))
    print(json.dumps(result))
