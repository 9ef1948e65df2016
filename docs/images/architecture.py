"""Draw the two pictures of docs/architecture.md from the code: ``python docs/images/architecture.py`` in the checkout.

``rings.svg`` has the rooms of the core with their sizes and imports, and around them what is beside the core.
``plan.svg`` has the stages of ``wordless run`` with their inputs, and which of them two sizes of the codebook share.
Each file holds its facts as JSON; tests/test_architecture.py compares them with the code.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape, unescape
from pathlib import Path
from typing import Any

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the tests hold the table of rooms

from tests.test_architecture import ALL, ARROWS, SOURCES, beside, lies_in  # noqa: E402

Facts = dict[str, Any]
ROUNDED = 500  # lines
WIDE, STEP = 118, 148  # of the boxes of the plan
CORE, OUTSIDE, SHARED, INK = "#dbe9f6", "#fdebd8", "#d6efe3", "#1c1f23"
STYLE = (
    f"text {{ font: 14px sans-serif; fill: {INK} }} .small {{ font-size: 12px }} .title {{ font-weight: bold }} "
    ".tiny { font-size: 10.5px; fill: #5a6068 }"
)


def rounded(lines: int) -> int:
    return max(round(lines / ROUNDED), 1) * ROUNDED


def rings() -> Facts:
    """Collect the rooms of the core and their imports without detours, and what is beside the core, with lines."""
    lines = {file: (ROOT / file).read_text(encoding="utf-8").count("\n") for file in SOURCES}
    rooms = [room for room in ARROWS if room in ("tokenizer", "lm", "vocoder", "pipelines")]
    rooms += [room for room in ARROWS if room.startswith("wordless/")]
    outer = {file: beside(file) for file in SOURCES}
    core = {room: [file for file in SOURCES if lies_in(file, room) and not outer[file]] for room in rooms}
    arrows = {
        (room, other)
        for room in rooms
        for found in ALL
        if found.file in core[room]
        for other in rooms
        if other != room and found.within(other.replace("/", "."))
    }
    outside: dict[str, int] = {}
    for file, place in outer.items():
        if place:
            name = f"{place}/{file.relative_to(place).parts[0]}" if place == "pipelines/plugins" else place
            name = name if (ROOT / name).is_dir() else f"files of {file.parts[0]}"
            outside[name] = outside.get(name, 0) + lines[file]
    folders: dict[str, int] = {}
    for file in core["pipelines"]:
        if len(file.parts) > 2:
            folders[file.parts[1]] = folders.get(file.parts[1], 0) + lines[file]
    return {
        "core": {room: rounded(sum(lines[file] for file in files)) for room, files in core.items()},
        "arrows": sorted(map(list, _direct(arrows))),
        "pipelines": {name: rounded(count) for name, count in folders.items() if name not in ("jobs", "plugins")},
        "beside": {name: rounded(count) for name, count in sorted(outside.items(), key=lambda each: -each[1])},
    }


def _direct(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Leave out an arrow where a longer way leads to the same end."""
    after: dict[str, set[str]] = {}
    for begin, end in arrows:
        after.setdefault(begin, set()).add(end)

    def reached(begin: str) -> set[str]:
        return {end for each in after.get(begin, ()) for end in {each, *reached(each)}}

    return {
        (begin, end)
        for begin, end in arrows
        if not any(end in reached(other) for other in after[begin] if other != end)
    }


def plan(*words: str) -> Facts:
    """Plan ``wordless run`` for two sizes of the codebook, and list stages with version, inputs and what is shared."""
    with tempfile.TemporaryDirectory() as place:
        one, other = (_planned(Path(place), f"tokenizer.codebook_size={size}", *words) for size in (64, 128))
    shared = {call["key"] for call in one.values()} & {call["key"] for call in other.values()}
    names = {call["key"]: name for name, call in one.items()}
    return {
        name: {
            "version": call["version"],
            "inputs": sorted({names[key] for key in call["read"] if key in names} - {name}),
            "shared": call["key"] in shared,
        }
        for name, call in one.items()
    }


def _planned(place: Path, word: str, *more: str) -> dict[str, Facts]:
    """Make the calls of a run of recordings that do not exist; what they read while they are planned is a stand-in."""
    import numpy as np
    from safetensors.numpy import save_file

    from pipelines.chain.chain import make_part
    from pipelines.jobs.run_rules import run_settings
    from pipelines.settings.run_settings import with_choices
    from pipelines.store.stage import Session, StageTask, TaskGraph
    from pipelines.store.store import CachedArtifact, CacheKey
    from tests.pipelines.tiny import save_run, silent_session
    from tests.pipelines.tiny_chain import config_of
    from wordless.audio.recordings.manifest import SPLITS, Clip, Clips
    from wordless.training.fit import with_precision

    run = save_run(place / word / "run", seed=0)
    calls, cache_keys = list[tuple[CachedArtifact, frozenset[str]]](), dict[str, CacheKey]()

    class Drawn(TaskGraph):
        def add(self, task: StageTask, artifact: CachedArtifact, session: Session) -> CachedArtifact:
            calls.append((artifact, task.read))
            cache_keys[artifact.key] = task.cache_key
            return super().add(task, artifact, session)

        def make(self, keys: Sequence[str] | None = None) -> None:
            for _, artifact, _ in (self._left.pop(key) for key in keys or () if key in self._left):
                artifact.place.parent.mkdir(parents=True, exist_ok=True)
                if (run / artifact.stage).is_dir():
                    shutil.copytree(run / artifact.stage, artifact.place)
                else:
                    artifact.place.mkdir()
                    save_file(
                        dict.fromkeys(("mean", "std"), np.ones(1, np.float32)), artifact.place / "sample.safetensors"
                    )
                    known = {"voiced": 1.0, "hops": 1, "lowest": 80.0, "highest": 300.0}
                    (artifact.place / f"{artifact.stage}.json").write_text(json.dumps(known))

    sound: dict[str, Any] = {"num_samples": 24_000, "sample_rate": 16_000, "size": 1}
    clips = [
        Clip(**sound, path=name, sha256=name, split=split, label=f"label {n % 2}", group=f"{split} {n % 6}")
        for split in SPLITS
        for n in range(60)
        for name in [f"{split}{n}.wav"]
    ]
    settings = run_settings(with_choices(config_of("run", word, *more)))
    session = silent_session(place / word)
    made = make_part(
        replace(session, graph=Drawn()), Clips.from_rows(Path(), clips), with_precision(settings, session.gang)
    )
    names = {artifact.key: name for name, artifact in reversed(made.items())}
    return {
        names.get(artifact.key, artifact.stage): {
            "key": artifact.key,
            "version": cache_keys[artifact.key].version,
            # artifacts, and keys of artifacts that another argument has
            "read": {*read, *re.findall(r"[0-9a-f]{16}", json.dumps(cache_keys[artifact.key].arguments))},
        }
        for artifact, read in calls
    }


def _box(x: float, y: float, width: float, height: float, colour: str, texts: Iterable[tuple[str, str]]) -> str:
    rows = [*texts]
    first = y + height / 2 - 8 * (len(rows) - 1) + 5
    lines = "".join(
        f'<text class="{kind}" x="{x + width / 2:.0f}" y="{first + 16 * number:.0f}" text-anchor="middle">'
        f"{escape(text)}</text>"
        for number, (text, kind) in enumerate(rows)
    )
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="6" fill="{colour}" '
        f'stroke="{INK}" stroke-width="0.8"/>{lines}'
    )


def _arrow(begin: tuple[float, float], end: tuple[float, float], *, down: bool) -> str:
    (x, y), (u, v) = begin, end
    bend = (v - y if down else u - x) / 2
    way = f"{x:.0f} {y + bend:.0f} {u:.0f} {v - bend:.0f}" if down else f"{x + bend:.0f} {y:.0f} {u - bend:.0f} {v:.0f}"
    return (
        f'<path d="M {x:.0f} {y:.0f} C {way} {u:.0f} {v:.0f}" fill="none" stroke="#5a6068" '
        'stroke-width="1.2" marker-end="url(#end)"/>'
    )


def _svg(width: float, height: float, parts: Iterable[str], facts: Facts, title: str) -> str:
    marker = (
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M 0 0 L 8 4 L 0 8 z" fill="#5a6068"/></marker></defs>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">\n'
        f"<title>{escape(title)}</title>\n<metadata>{escape(json.dumps(facts))}</metadata>\n<style>{STYLE}</style>\n"
        f'{marker}\n<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def levels(before: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Place each name one level behind the last of those before it."""
    found: dict[str, int] = {}

    def level(name: str) -> int:
        if name not in found:
            found[name] = 1 + max(map(level, before[name]), default=-1)
        return found[name]

    return {name: level(name) for name in before}


def draw_rings(facts: Facts) -> str:
    core, arrows, side = facts["core"], facts["arrows"], [*facts["beside"].items()]
    level = levels({room: [end for begin, end in arrows if begin == room] for room in core})
    rows, half = max(level.values()) + 1, (len(side) + 1) // 2
    top, width, left, right = 128.0, 1000.0, 190.0, 810.0
    step = max(92.0, (48 * half - 60) / (rows - 1))
    height = top + step * (rows - 1) + 74
    places: dict[str, tuple[float, float]] = {}
    for depth in range(rows):
        row = [room for room in core if level[room] == depth]
        for number, room in enumerate(row):
            places[room] = (left + (right - left) * (number + 0.5) / len(row), top + step * (rows - 1 - depth))
    parts = [
        f'<rect x="4" y="4" width="992" height="{height + 20:.0f}" rx="14" fill="#fff8f0" stroke="#b84e00"/>',
        f'<rect x="{left:.0f}" y="52" width="{right - left:.0f}" height="{height - 42:.0f}" rx="14" fill="#f5f9fd" '
        'stroke="#00558c"/>',
        f'<text class="title" x="20" y="32">Beside the core, about {sum(facts["beside"].values()):,} lines: imports '
        "the core, and is found by the tables of commands, backbones and plugins</text>",
        f'<text class="title" x="{left + 16:.0f}" y="78">The core, about {sum(core.values()):,} lines. An arrow means '
        "“imports”.</text>",
        *(
            _arrow((places[begin][0], places[begin][1] + 50), (places[end][0], places[end][1]), down=True)
            for begin, end in arrows
        ),
    ]
    for room, (x, y) in places.items():
        texts, half_width = [(room, "title"), (f"{core[room]:,} lines", "small")], 85
        if room == "pipelines":
            ordered = sorted(facts["pipelines"].items(), key=lambda each: -each[1])
            folders, half_width = [f"{name} {count:,}" for name, count in ordered], 300
            texts += [(", ".join(folders[:6]), "tiny"), (", ".join(folders[6:]), "tiny")]
        height_of = 18 + 16 * len(texts)
        parts.append(_box(x - half_width, y + 50 - height_of, 2 * half_width, height_of, CORE, texts))
    for number, (name, count) in enumerate(side):
        x, y = (14.0, 52 + 48 * number) if number < half else (right + 10, 52 + 48 * (number - half))
        short = name.removeprefix("pipelines/")
        parts.append(_box(x, y, 166, 42, OUTSIDE, [(short, "small"), (f"{count:,} lines", "small")]))
    return _svg(width, height + 28, parts, facts, "The rooms of the core with their imports, and what is beside it")


def draw_plan(facts: Facts) -> str:
    direct = _direct({(name, of) for name, call in facts.items() for of in call["inputs"]})
    level = levels({name: call["inputs"] for name, call in facts.items()})
    columns = max(level.values()) + 1
    places: dict[str, tuple[float, float]] = {}
    for depth in range(columns):
        row = [name for name in facts if level[name] == depth]
        heights = {name: [places[of][1] for of in facts[name]["inputs"]] or [row.index(name) * 50.0] for name in row}
        row.sort(key=lambda name: sum(heights[name]) / len(heights[name]))
        for number, name in enumerate(row):
            places[name] = (10.0 + STEP * depth, 52.0 + 50 * number)
    parts = [
        _box(10, 12, 16, 16, SHARED, []),
        '<text x="34" y="25">made once for all sizes of the codebook</text>',
        _box(330, 12, 16, 16, OUTSIDE, []),
        '<text x="354" y="25">made for each size. Under a name: its version, which is a part of its key.</text>',
    ]
    parts += [
        _arrow((places[of][0] + WIDE, places[of][1] + 20), (places[name][0], places[name][1] + 20), down=False)
        for name, of in sorted(direct)
    ]
    for name, (x, y) in places.items():
        call = facts[name]
        kind = "features, " if name.endswith("_features") else "probe, " if name.startswith("probed_") else ""
        short = name.removeprefix("probed_").removesuffix("_features").replace("_", " ")
        texts = [(short, "small"), (f"{kind}version {call['version']}", "tiny")]
        parts.append(_box(x, y, WIDE, 40, SHARED if call["shared"] else OUTSIDE, texts))
    width, height = 20 + STEP * columns - STEP + WIDE, 110 + max(y for _, y in places.values())
    return _svg(width, height, parts, facts, "The stages of wordless run, from left to right, with their inputs")


PICTURES = {"rings": (rings, draw_rings), "plan": (plan, draw_plan)}


def drawn(name: str) -> Facts:
    """Read the facts of a picture."""
    text = (HERE / f"{name}.svg").read_text(encoding="utf-8")
    found = re.search("<metadata>(.*?)</metadata>", text)
    assert found is not None
    facts: Facts = json.loads(unescape(found[1]))
    return facts


if __name__ == "__main__":
    for name, (collect, draw) in PICTURES.items():
        (HERE / f"{name}.svg").write_text(draw(collect()), encoding="utf-8")
        print(HERE / f"{name}.svg")
