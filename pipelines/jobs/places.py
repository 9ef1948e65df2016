"""Where a command over recordings reads and writes, checked before anything is computed."""

import os
from collections.abc import Sequence
from pathlib import Path

from pipelines.commandline.outputs import require_space
from pipelines.store.work_folder import require_new
from wordless.audio.recordings.annotations.annotation import AnnotationConfig
from wordless.audio.recordings.manifest import writable
from wordless.audio.recordings.recording_paths import Recordings, expand_home, recordings_at
from wordless.base.errors import InputError


def recordings_of(text: str, annotations: AnnotationConfig | None = None) -> tuple[Recordings, ...]:
    """Find the recordings of each named place, and their annotated parts; ``[a.wav,b.wav]`` names several."""
    return tuple(recordings_at(place, annotations) for place in _places(text))


def _places(text: str) -> list[Path]:
    """Return the named files and folders; the brackets of several are no part of a path, unless such a path exists.

    The command line passes the option as one text, because a path may hold a comma or a space.
    """
    whole = text.strip()
    several = whole.startswith("[") and whole.endswith("]") and not os.path.lexists(whole)
    names = [name.strip().strip("\"'") for name in whole[1:-1].split(",")] if several else [text]
    if not all(names):
        raise InputError(f"input={text} names no recording; write input=a.wav or input=[a.wav,b.wav]")
    return [expand_home(name, "input") for name in names]


def require_writable_folders(recordings: Sequence[Recordings], output: Path) -> None:
    """Refuse folders whose names a table cannot hold."""
    for place in recordings:
        if not writable(str(place.root)):
            problem = f"input={place.root} holds a tab, a line break or bytes that are not UTF-8"
            raise InputError(f"{problem}, which {output} cannot hold; rename the folder")


def rejected_list(output: Path) -> Path:
    """Return the file beside an output that lists the recordings that were set aside, with reasons."""
    return output.with_name(f"{output.name}.rejected.tsv")


def prepare_output(output: Path) -> None:
    """Refuse an output that exists, or a disk without space or permission; create the folder above the output."""
    require_new(output)
    require_space(output.parent, "output=PATH")
    output.parent.mkdir(parents=True, exist_ok=True)
