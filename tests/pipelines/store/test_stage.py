"""Stages: the key is what the arguments decide, and an artifact is what the function leaves in its folder."""

import json
import pickle
import re
import runpy
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
import torch

from pipelines.store.stage import LONG, Session, StageRun, StageTask, TaskGraph, labels_of, stage
from pipelines.store.store import ENTRY, TIMINGS, CachedArtifact, checkpoints_of, note_finished, write_json
from tests.pipelines.tiny import silent_session
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.audio.views import View, Views
from wordless.base.messages import InputError
from wordless.base.options import NO_RESULT, Options, option
from wordless.base.progress import Terminal
from wordless.base.threads import use_threads
from wordless.training import FitConfig

CLIPS = Clips.from_rows(
    Path("recordings"),
    [
        Clip(path=f"{name}.wav", num_samples=8, sample_rate=4, sha256=name, label="cat", group="anna", split=split)
        for name, split in (("a", "train"), ("b", "test"))
    ],
)
FIT = FitConfig(precision="fp32")
made: list[str] = []
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, kw_only=True)
class Written(Options):
    engine: str = "fast"  # the name alone leaves nothing out of keys
    program: str = option("fast", "what writes", decides=False)
    copies: int = field(default=1, metadata=NO_RESULT)


@stage("notes", title="{values} values of {fit.steps} steps")
def notes(run: StageRun, values: object = 1, *, clips: Clips | None = None, fit: FitConfig = FIT) -> None:
    """Write down what the function gets."""
    labels = [(clip.label, clip.group) for clip in clips.clips] if clips else None
    (run.folder / "note.json").write_text(json.dumps([labels, repr(values), fit.steps]))


def key(tmp_path: Path, *args: object, **kwargs: object) -> str:
    return notes(silent_session(tmp_path), *args, **kwargs).key  # type: ignore[arg-type]  # any arguments


def test_the_arguments_decide_the_key(tmp_path: Path) -> None:
    artifact = CachedArtifact(stage="codes", key="f" * 16, place=tmp_path, reused=True)
    assert key(tmp_path) == key(tmp_path, 1, fit=replace(FIT, checkpoint_minutes=99))
    assert key(tmp_path, Written()) == key(tmp_path, Written(program="slow", copies=2))
    assert key(tmp_path, Written()) != key(tmp_path, Written(engine="slow"))
    assert key(tmp_path, {"a": 1, "b": 2}) == key(tmp_path, {"b": 2, "a": 1})
    assert key(tmp_path, artifact) == key(tmp_path, replace(artifact, place=Path("elsewhere")))
    assert key(tmp_path, CLIPS.clips) == key(tmp_path, CLIPS.with_columns(label="dog").clips)  # they have a key
    assert key(tmp_path, [*range(LONG), 1]) != key(tmp_path, [*range(LONG), 2])
    different: Sequence[object] = (1, 1.0, True, "1", None, [1], [[1]], {"a": 1}, artifact, FIT)
    assert len({key(tmp_path, value) for value in different}) == len(different)
    for choice in ("auto", "auto_gpu"):
        with pytest.raises(ValueError, match=rf"precision={choice}\b"):
            key(tmp_path, replace(FIT, precision=choice))
    with pytest.raises(TypeError, match="Path"):
        key(tmp_path, tmp_path)


def test_the_log_counts_lists_clips_and_views(tmp_path: Path) -> None:
    session = replace(silent_session(tmp_path), terminal=Terminal(log=tmp_path / "log.txt"))
    views = Views(root=Path("recordings"), views=[View(clip) for clip in CLIPS.clips])
    for values in ([1, 2, 3], CLIPS, views, "four"):
        notes(session, values)
    told = (tmp_path / "log.txt").read_text()
    assert re.findall(r"(\w+) values of", told) == ["3", "2", "2", "four"]


def test_clips_are_their_sound_and_have_no_labels(tmp_path: Path) -> None:
    other = CLIPS.with_columns(label="dog", group=None)
    session = silent_session(tmp_path)
    artifact = notes(session, clips=CLIPS)
    assert json.loads((artifact.folder / "note.json").read_text())[0] == [[None, None]] * 2
    assert artifact.key == notes(session, clips=other).key
    assert artifact.key != notes(session, clips=CLIPS.only("train")).key
    assert artifact.key != notes(session, clips=CLIPS.with_columns(split="test")).key
    assert artifact.key != notes(session, clips=CLIPS.with_columns(sha256="c")).key
    assert named(session, CLIPS).key != named(session, other).key
    assert named(session, CLIPS).key == named(session, CLIPS.with_columns(sha256="c")).key
    assert named(session, CLIPS).read_json("labels.json") == {"a.wav": "cat", "b.wav": "cat"}


@stage("named", title="labels", keys={"clips": labels_of})
def named(run: StageRun, clips: Clips) -> None:
    write_json(run.folder / "labels.json", {clip.name: clip.label for clip in clips.clips})


@stage("doubled", title="a double", keys={"labels": None})
def doubled(run: StageRun, number: int, labels: CachedArtifact) -> None:
    write_json(run.folder / "double.json", [2 * number, labels.read_json("labels.json")])


def test_an_argument_that_follows_from_the_others_is_read_and_in_no_key(tmp_path: Path) -> None:
    session = silent_session(tmp_path)
    one, other = (named(session, CLIPS.with_columns(label=label)) for label in ("cat", "dog"))
    graph = TaskGraph()
    artifact = doubled(replace(session, graph=graph), 2, labels=one)
    assert artifact.key == doubled(session, 2, labels=other).key != doubled(session, 3, labels=one).key
    assert json.loads((artifact.folder / "entry.json").read_text())["arguments"] == {"number": 2}
    assert artifact.read_json("double.json")[0] == 4


@stage("held_out", title="{clips} clips", splits=("test",))
def held_out(run: StageRun, clips: Clips) -> None:
    (run.folder / "clips.json").write_text(json.dumps([clip.path for clip in clips.clips]))


def test_a_stage_gets_only_the_splits_that_it_reads(tmp_path: Path) -> None:
    session = silent_session(tmp_path)
    artifact = held_out(session, CLIPS)
    assert json.loads((artifact.folder / "clips.json").read_text()) == ["b.wav"]
    assert held_out(session, CLIPS.only("test")).key == artifact.key


@stage("{name}_parts", title="parts")
def parts(run: StageRun, name: str) -> None:
    """Write two files, of which a killed run may have finished one."""
    for part in ("1", "2"):
        if (file := run.folder / part).exists():
            continue
        made.append(part)
        file.write_text(name)
        note_finished(file)
        if made == ["1"]:
            for left in ("0.aside", "deep/er/.tmpLiOZoU", ENTRY):
                (run.folder / left).parent.mkdir(parents=True, exist_ok=True)
                (run.folder / left).write_text("hal")
            raise KeyboardInterrupt


def test_a_killed_stage_keeps_what_it_finished_and_nothing_else(tmp_path: Path) -> None:
    session = silent_session(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        parts(session, "some")
    artifact = parts(session, "some")
    assert (artifact.stage, artifact.reused, made) == ("some_parts", False, ["1", "2"])
    files = {str(path.relative_to(artifact.folder)) for path in artifact.folder.rglob("*")}
    assert files == {ENTRY, TIMINGS, "1", "2"}
    assert not checkpoints_of(artifact.folder).exists()
    assert parts(session, "some").reused


def _sum(run: StageRun) -> None:
    (run.folder / "sum.txt").write_text("6")


alone, joint = (stage(name, title="", together=name == "joint")(_sum) for name in ("alone", "joint"))


def test_only_what_is_made_together_depends_on_the_threads(tmp_path: Path) -> None:
    session, before, keys = silent_session(tmp_path), torch.get_num_threads(), set[tuple[str, str]]()
    try:
        for threads in (1, 3):
            use_threads(threads)
            keys |= {("alone", alone(session).key), ("joint", joint(session).key)}
    finally:
        use_threads(before)
    assert sorted(name for name, _ in keys) == ["alone", "joint", "joint"]


@stage("added", title="a sum")
def added(run: StageRun, number: int, others: tuple[CachedArtifact, ...] = ()) -> None:
    (run.folder / "sum.txt").write_text(str(number + sum(map(sum_of, others))))


def sum_of(artifact: CachedArtifact) -> int:
    return int((artifact.folder / "sum.txt").read_text())


def test_plans_wait_for_what_they_read_and_all_that_they_read_is_made_at_the_same_time(tmp_path: Path) -> None:
    session, begun = replace(silent_session(tmp_path), terminal=Terminal(log=tmp_path / "log.txt")), list[set[str]]()

    class Noted(TaskGraph):
        def make(self, keys: Sequence[str] | None = None) -> None:
            if keys is not None and len(keys):
                begun.append({*keys})
            super().make(keys)

    graph = Noted()

    def plan(number: int) -> CachedArtifact:
        one = added(replace(session, graph=graph), number)
        return added(replace(session, graph=graph), 10 * sum_of(one), (one,))

    made = graph.plan([partial(plan, number) for number in (1, 2, 3)])
    assert begun == [{added(session, number).key for number in (1, 2, 3)}]
    graph.make()
    assert [sum_of(each) for each in made] == [11, 22, 33]
    lines = (tmp_path / "log.txt").read_text().splitlines()
    numbers = [line.rpartition(", ")[2] for line in lines if line.startswith("computing")]
    planned = [f"stage {number} of 3 planned so far" for number in (1, 2, 3)]
    assert numbers == [*planned, *(f"stage {number} of 6" for number in (4, 5, 6))]


def test_an_error_of_a_plan_ends_the_others(tmp_path: Path) -> None:
    session, graph, before = silent_session(tmp_path), TaskGraph(), threading.active_count()

    def plan(number: int) -> int:
        found = sum_of(added(replace(session, graph=graph), number))
        if number == 2:
            raise InputError("two")
        return sum_of(added(replace(session, graph=graph), found + 10))

    with pytest.raises(InputError, match="two"):
        graph.plan([partial(plan, number) for number in (1, 2, 3)])
    while threading.active_count() > before:
        time.sleep(0.01)


def test_each_call_of_a_run_travels_to_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its stage gets there has the same key."""
    add, told = TaskGraph.add, set[str]()

    def travel(graph: TaskGraph, task: StageTask, artifact: CachedArtifact, session: Session) -> CachedArtifact:
        again = pickle.loads(pickle.dumps(task))
        told.add(again.cache_key.stage)
        assert again.stage is task.stage
        assert again.stage.task(session, again.given).cache_key == task.cache_key == again.cache_key
        return add(graph, task, artifact, session)

    monkeypatch.setattr(TaskGraph, "add", travel)
    methods = "log_mel,mfcc,bag_of_codes,gpt,denoising,simclr,supervised,ast,audio_transformer"
    runpy.run_path(str(ROOT / "docs/images/architecture.py"))["plan"](f"compare.methods=[{methods}]")
    assert {"codes", "lm", "simclr", "supervised", "denoising", "vocoder", "probed", "listening"} <= told
