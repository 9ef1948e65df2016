"""Commands that the kill matrix kills, and what each of them leaves behind when nothing disturbs it."""

import fnmatch
import glob
import hashlib
import json
import random
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from pipelines.store.run_parts import RESULTS
from tests.killing import Kill, call

# Folders and files whose names hold the time, the machine, the process, or a hash of the path of a run folder.
WITHOUT_NAMES = ("*/tensorboard", "*/tensorboard/*")
# Files whose bytes may differ between two undisturbed commands: costs and times of change; inspected recordings; what
# was printed.
WITHOUT_CONTENT = ("*/timings.json", "store/inspected.jsonl", "*.lock", "*/log.txt")
# Pages that show costs, or what was reused: they must be whole.
PAGES = ("*/report.html", "*/sweep.html")
COSTS = ("seconds", "cpu_seconds", "peak_memory", "samples_per_second")
KEY = re.compile(r"[0-9a-f]{8,}")
RANDOM_NAMES = (  # parts of a path that differ between two calls, as patterns
    (re.compile(r"(/\[\.\]|/\.)embedded-([0-9a-f]+)\.[0-9a-f]{8}\.aside"), r"/.embedded-\2.????????.aside"),
    (re.compile(r"tfevents\..*"), "tfevents.*"),
)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A command with its words. Paths of what it writes are relative to the folder in which it is called."""

    name: str
    command: str
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A place in the course of a command where it can be killed."""

    kill: Kill
    removed: str  # of what the undisturbed command left in its store: what must be missing for the site to be reached


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """What a command left that nothing disturbed, and what it did to files on its way."""

    scenario: Scenario
    place: Path
    seconds: float
    contents: dict[str, str]
    events: tuple[Site, ...]  # sites before a file event
    insides: tuple[Site, ...]  # sites in the middle of a file


def undisturbed(scenario: Scenario, folder: Path, *, seed: int = 0) -> Undisturbed:
    """Call the command once to trace it, and once more to time it without the trace."""
    place, trace = folder / "place", folder / "trace.jsonl"
    place.mkdir(parents=True)
    done = call(scenario.command, *scenario.words, place=place, trace=trace)
    assert done.code == 0, done.told
    (folder / "again").mkdir()
    again = call(scenario.command, *scenario.words, place=folder / "again")
    whole = contents(place)
    assert contents(folder / "again") == whole, differences(whole, contents(folder / "again"))
    shutil.rmtree(folder / "again")
    events = [json.loads(line) for line in trace.read_text().splitlines()]
    rng = random.Random(seed)
    return Undisturbed(
        scenario=scenario,
        place=place,
        seconds=again.seconds,
        contents=whole,
        events=_mixed(_event_sites(events), rng),
        insides=_mixed(_inside_sites(events, place, rng), rng),
    )


def begin_at(whole: Undisturbed, site: Site, place: Path) -> None:
    """Fill ``place`` with the store of the undisturbed command, but for what the site is in."""
    place.mkdir()
    if site.removed != "store" and (whole.place / "store").is_dir():
        shutil.copytree(whole.place / "store", place / "store")
        for path in (place / site.removed).parent.glob(f"{Path(site.removed).name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def contents(place: Path) -> dict[str, str]:
    """Path -> what is compared of each file and folder below ``place``."""
    found = ((path, path.relative_to(place).as_posix()) for path in sorted(place.rglob("*")))
    return {name: _content(path, name, place) for path, name in found if not _fits(name, WITHOUT_NAMES)}


def differences(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """What two results of `contents` do not share, a line each."""
    names = sorted(wanted.keys() | found.keys())
    return [
        f"{name}: {'differs' if name in wanted and name in found else 'missing' if name in wanted else 'stray'}"
        for name in names
        if wanted.get(name) != found.get(name)
    ]


def _content(path: Path, name: str, place: Path) -> str:
    if path.is_dir():
        return "folder"
    if _fits(name, WITHOUT_CONTENT):
        return "varies"
    data = path.read_bytes()
    if _fits(name, PAGES):
        return "whole" if data.rstrip().endswith(b"</html>") else "torn"
    if path.name in (RESULTS, "figures.json"):
        data = json.dumps(_without_costs(json.loads(data)), sort_keys=True).encode()
    if path.name == "sweep.csv":
        data = b"\n".join(line for line in data.splitlines() if not any(b",%b," % c.encode() in line for c in COSTS))
    return hashlib.sha256(data.replace(str(place).encode(), b"PLACE")).hexdigest()


def _without_costs(results: dict[str, Any]) -> dict[str, Any]:
    """The results of a command, without what differs between two undisturbed ones: costs, the date and the commit."""
    made = {name: value for name, value in results["provenance"].items() if name not in ("date", "commit")}
    if "stages" not in results:  # of a fine-tuning
        return results | {"provenance": made}
    if "comparison" in results:  # processor seconds by training and stage
        costs = {name: [*of] for name, of in results["comparison"].get("costs", {}).items()}
        results = results | {"comparison": results["comparison"] | {"costs": costs}}
    stages = [{"stage": row["stage"], "key": row["key"]} for row in results["stages"]]
    figures = [row for row in results["figures"] if row["name"] not in COSTS]
    return results | {"stages": stages, "figures": figures, "provenance": made}


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _event_sites(events: list[dict[str, Any]]) -> Iterator[tuple[str, Site]]:
    """A kind of site, and a site before each event."""
    seen: Counter[str] = Counter()
    for event in events:
        pattern = _pattern(event["path"])
        seen[pattern] += 1
        kill = Kill(path=pattern, count=seen[pattern])
        yield f"{event['kind']} {KEY.sub('', pattern)}", Site(kill=kill, removed=_removed(event["path"]))


def _inside_sites(events: list[dict[str, Any]], place: Path, rng: random.Random) -> Iterator[tuple[str, Site]]:
    """A kind of site, and a site in each file that is written."""
    seen: Counter[str] = Counter()
    for number, event in enumerate(events):
        pattern = _pattern(event["path"])
        seen[pattern] += 1
        size = _size(events, number, place) if event["kind"] == "open" else 0
        if size > 1:
            written = rng.choice((0, 1, rng.randrange(1, size), rng.randrange(1, size), size - 1))
            kill = Kill(path=pattern, count=seen[pattern], written=written)
            yield KEY.sub("", pattern), Site(kill=kill, removed=_removed(event["path"]))


def _size(events: list[dict[str, Any]], number: int, place: Path) -> int:
    """Bytes of the file that an event opens: when it is renamed, or at the end."""
    path = events[number]["path"]
    for later in events[number:]:
        if later["source"] == path:
            return int(later["size"])
    final = place / path.replace(".partial/", "/")
    return final.stat().st_size if final.is_file() else 0


def _pattern(path: str) -> str:
    pattern = glob.escape(path)
    for found, instead in RANDOM_NAMES:
        pattern = found.sub(instead, pattern)
    return pattern


def _removed(path: str) -> str:
    """The artifact of the store to which a path belongs; the whole store where a path lies outside or is above it."""
    parts = path.split("/")
    if parts[0] != "store" or len(parts) < 2 or parts[1] == "embedded":
        return "nothing" if parts[0] != "store" else "store"
    return "/".join([*parts[:2], *(part.partition(".")[0] for part in parts[2:3])])


def _mixed(sites: Iterator[tuple[str, Site]], rng: random.Random) -> tuple[Site, ...]:
    """Sites in a random order in which all kinds come once before any comes again."""
    kinds: dict[str, list[Site]] = defaultdict(list)
    for kind, site in sites:
        kinds[kind].append(site)
    for members in kinds.values():
        rng.shuffle(members)
    queues = list(kinds.values())
    rng.shuffle(queues)
    return tuple(site for site in chain.from_iterable(zip_longest(*queues)) if site is not None)
