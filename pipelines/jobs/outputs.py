"""The output of a command over recordings, checked before anything heavy is imported."""

from pathlib import Path

from pipelines.commandline.outputs import require_space
from pipelines.store.work_folder import require_new


def rejected_list(output: Path) -> Path:
    """Return the file beside an output that lists the recordings that were set aside, with reasons."""
    return output.with_name(f"{output.name}.rejected.tsv")


def prepare_output(output: Path) -> None:
    """Refuse an output that exists, or a disk without space or permission; create the folder above the output."""
    require_new(output)
    require_space(output.parent, "output=PATH")
    output.parent.mkdir(parents=True, exist_ok=True)
