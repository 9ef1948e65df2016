"""Labels that a judge names in each window of continuations, and in the recordings that they continue."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from audio.recordings.manifest import Clip
from pipelines.rates.continuations import CONTINUATIONS, RatesConfig
from pipelines.stages.playback import JUDGES
from pipelines.stages.recognition import Judge, name_labels, new_part, whole
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json

LABELS = "labels.json"


def window_labels(session: Session, judge: Judge, said: Entry, classes: Sequence[str], config: RatesConfig) -> Entry:
    """Name the label of each window of each continuation, and of each original."""
    inputs = {**judge.inputs, "continuations": said.key}
    recipe = Recipe("rate_labels", 1, config={"judge": judge.name}, inputs=inputs)

    def make(folder: Path) -> None:
        rows, clips = said.read_rows(CONTINUATIONS, "said"), said.read_rows(CONTINUATIONS, "clips")
        originals = [whole(said.folder, f"{number}_original.wav") for number in range(len(clips))]
        parts = [*originals, *(part for row in rows for part in windows_of(said.folder, row, config))]
        found = iter(name_labels(session, judge, {said.folder: parts}, classes))
        heard = [next(found) for _ in originals]
        labels = [[next(found) for _ in range(config.windows)] for _ in rows]
        write_json(folder / LABELS, {"judge": judge.name, "originals": heard, "labels": labels})

    title = f"labels of windows, by {JUDGES[judge.name]}"
    return session.obtain(recipe, title, make, files=[LABELS])


def windows_of(folder: Path, row: dict[str, Any], config: RatesConfig) -> Iterator[Clip]:
    """Give the windows of a continuation, without its prompt."""
    new = new_part(folder, {**row, "figures": row})
    length = round(config.window_seconds * new.sample_rate)
    for place in range(config.windows):
        yield replace(new, start=new.start + place * length, num_samples=length)
