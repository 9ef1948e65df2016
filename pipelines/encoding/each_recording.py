"""Work on each recording of a place, by this process or by several, and the telling of those that were set aside."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pipelines.encoding.job import BYTES_FOR_WORKERS
from wordless.audio.recordings.inspection import frequent_reasons
from wordless.audio.recordings.manifest import Rejected, write_rejected
from wordless.audio.recordings.recording_paths import Passage, Recordings
from wordless.base.engine import LOCAL
from wordless.base.pools import in_order, open_pool
from wordless.base.progress import Terminal

R = TypeVar("R")


def each_recording(
    work: Callable[[Passage], R], place: Recordings, *, workers: int, title: str, terminal: Terminal
) -> Iterator[tuple[str, R]]:
    """Give the path of each recording as the user can open it, with the result of ``work`` for it; a part has a name.

    ``workers`` is a number of processes, 0 for as many as cores if there is enough work.
    """
    fitting = LOCAL.workers(workers, enough=place.size > BYTES_FOR_WORKERS)
    passages = place.passages
    for notice in place.notices:
        terminal.say(notice)
    total = len(passages)
    with open_pool(LOCAL, min(fitting, total)) as pool, terminal.working(title, total, "recordings") as progress:
        remedy = "call the same command with workers=1, which reads all recordings again"
        results = progress.each(in_order(work, passages, pool, remedy=remedy))
        for passage, result in zip(passages, results, strict=True):
            yield str(place.root / passage.name), result


def rejected_annotations(recordings: Sequence[Recordings]) -> list[Rejected]:
    """Return the annotations that cannot be used, with the paths of their recordings as the user can open them."""
    return [replace(each, path=str(place.root / each.path)) for place in recordings for each in place.rejected]


def tell_rejected(rejected: Sequence[Rejected], listed: Path | None, terminal: Terminal) -> None:
    """Print each file that was set aside with its reason, or write the list into a file."""
    if listed is not None:
        listed.unlink(missing_ok=True)  # of an earlier call
    if listed is None or not rejected:
        for each in rejected:
            terminal.say(f"set aside: {each.path}: {each.reason}")
        return
    write_rejected(rejected, listed)
    terminal.say(f"{len(rejected)} set aside ({frequent_reasons(rejected)}): {listed}")
