"""The page of ``wordless find``: players and spectrograms of queries and places, and boxes that say which are right."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipelines.pages.excerpts import Excerpt, Room
from pipelines.pages.phrasing import draw
from wordless.audio.recordings.annotation_formats import Event
from wordless.audio.waveform import Waveform
from wordless.base.files import write_aside


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A place in a recording that sounds like a query."""

    query: str
    path: str  # of the recording, below the root
    start: float  # seconds
    end: float
    score: float  # mean cosine of the query's frames and those of the place: 1 if they are equal
    label: str  # of the annotated query; "": it has none

    def event(self, root: Path) -> Event:
        """Return the place with the label of the query, or its name."""
        label = self.label or Path(self.query).stem
        return Event(path=str(root / self.path), start=self.start, end=self.end, label=label, score=self.score)


# The answers become an Audacity label track, or, of several recordings, a table that corpus.table reads.
SCRIPT = """
document.getElementById("save").addEventListener("click", () => {
  const boxes = [...document.querySelectorAll("select[data-path]")].filter((box) => box.value);
  const labels = boxes.map((box) => (box.value === "right" ? "" : "not ") + box.dataset.label);
  const alone = new Set(boxes.map((box) => box.dataset.path)).size === 1;
  const row = (box, label) => [...(alone ? [] : [box.dataset.path]), box.dataset.start, box.dataset.end, label];
  const rows = boxes.map((box, number) => row(box, labels[number]).join("\\t"));
  const text = [...(alone ? [] : ["path\\tstart\\tend\\tlabel"]), ...rows, ""].join("\\n");
  const link = document.createElement("a");
  link.href = "data:text/plain;charset=utf-8," + encodeURIComponent(text);
  link.download = alone ? "labels.txt" : "labels.tsv";
  link.click();
});
"""


def write_hits_page(
    page: Path, queries: Mapping[str, Waveform], hits: Sequence[Hit], room: Room, *, root: Path, command: str
) -> None:
    """Write the page with a table for each query, whose sound ``queries`` has; the best places have sounds, too."""
    tables = {name: [hit for hit in hits if hit.query == name] for name in queries}
    heard = {name: room.sound(sound, f"query {Path(name).name}") for name, sound in queries.items()}
    shown: dict[Hit, Excerpt | None] = {}
    most = max(map(len, tables.values()))
    for hit in (hit for rank in range(most) for of in tables.values() for hit in of[rank : rank + 1]):
        shown[hit] = room.place(root / hit.path, hit.start, hit.end)
    allowed = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    page_of = partial(draw, "find/hits.html.jinja", tables=tables, heard=heard, shown=shown)
    write_aside(page, page_of(root=root, command=command, script=SCRIPT, allowed=allowed))
