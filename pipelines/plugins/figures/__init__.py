"""``wordless figures``: the charts of a run or a sweep as files for a paper."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.commandline.run_folders import JOBS
from pipelines.store.outputs import prepare_output, require_kind
from pipelines.store.run_parts import RESULTS
from wordless.base.options import REQUIRED, Options, option


@dataclass(frozen=True, kw_only=True)
class FiguresConfig(Options):
    """Options of ``wordless figures``: the charts of the page of a run, or of a sweep, as files for a paper.

    example: wordless figures model=runs/x output=figures format=pdf
    """

    model: Path = option(REQUIRED, "folder of a run, or of a sweep")
    output: Path = option(REQUIRED, "a folder, with a file for each chart")
    format: Literal["pdf", "svg", "png"] = option("pdf", "of the files; png has 300 dots per inch")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind(self.output, (), possible="a folder, and the kind of its files by format=")

    @property
    def is_sweep(self) -> bool:
        return (self.model / JOBS).is_dir()


def figures(settings: FiguresConfig) -> tuple[FiguresConfig]:
    rule = f"it holds no {RESULTS}: name the folder of a finished run, or of a sweep"
    settings.refuse_if(not (settings.is_sweep or (settings.model / RESULTS).is_file()), "model", rule)
    prepare_output(settings.output)
    return (settings,)
