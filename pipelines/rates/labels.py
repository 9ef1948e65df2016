"""Labels that a judge names in each window of continuations, and in the recordings that they continue."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from pipelines.rates.continuations import CONTINUATIONS
from pipelines.stages.options import RatesConfig
from pipelines.stages.playback import JUDGES
from pipelines.stages.recognition import Judge, name_labels, new_part, whole
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from wordless.audio.recordings.manifest import Clip

LABELS = "labels.json"


def window_labels(session: Session, judge: Judge, said: Entry, classes: Sequence[str], config: RatesConfig) -> Entry:
    """Name the label of each original, and of each window of the sound of its codes and of its continuations."""
    inputs = {**judge.inputs, "continuations": said}
    recipe = Recipe("rate_labels", 3, config={"listening": {"judge": judge.name}}, inputs=inputs)

    def make(folder: Path) -> None:
        rows, clips = said.read_rows(CONTINUATIONS, "said"), said.read_rows(CONTINUATIONS, "clips")
        originals = [whole(said.folder, f"{number}_original.wav") for number in range(len(clips))]
        coded = [windows_of_coded(said.folder, row, config) for row in said.read_rows(CONTINUATIONS, "coded")]
        continued = [windows_of(said.folder, row, config) for row in rows]
        parts = [*originals, *chain.from_iterable(coded), *chain.from_iterable(continued)]
        found = iter(name_labels(session, judge, {said.folder: parts}, classes))
        content = {
            "judge": judge.name,
            "originals": [next(found) for _ in originals],
            "coded": [[next(found) for _ in windows] for windows in coded],
            "labels": [[next(found) for _ in windows] for windows in continued],
        }
        write_json(folder / LABELS, content)

    title = f"labels of windows, by {JUDGES[judge.name]}"
    return session.obtain(recipe, title, make, files=[LABELS])


def windows_of_coded(folder: Path, row: Mapping[str, Any], config: RatesConfig) -> list[Clip]:
    """List the windows of the sound of a recording's codes; a shorter sound is one window."""
    sound = whole(folder, row["file"])
    if sound.num_samples < config.window_bounds(1, sound.sample_rate)[1]:
        return [sound]
    return _windows(sound, config, len(row["levels"]))


def windows_of(folder: Path, row: dict[str, Any], config: RatesConfig) -> list[Clip]:
    """List the windows of a continuation, without its prompt."""
    return _windows(new_part(folder, {**row, "figures": row}), config, config.windows)


def _windows(sound: Clip, config: RatesConfig, count: int) -> list[Clip]:
    bounds = config.window_bounds(count, sound.sample_rate)
    return [replace(sound, start=sound.start + start, num_samples=end - start) for start, end in pairwise(bounds)]
