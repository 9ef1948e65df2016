"""Annotations in manifests of speech toolkits: folders of Kaldi, and JSON lines of lhotse."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal, cast

from wordless.audio.recordings.annotations.annotation import Annotation, Tier, one_line
from wordless.audio.recordings.description import PATH_COLUMNS
from wordless.audio.recordings.text_files import read_annotation_text
from wordless.base.errors import InputError

WAV_SCP = "wav.scp"
KALDI_FILES = (WAV_SCP, "segments", "utt2spk", "text", "utt2label")
LHOTSE = (".jsonl", ".jsonl.gz")
MAX_LINE = 1 << 26  # bytes of a line of JSON
_HARMLESS = ("Resample",)  # transforms after which the times are the same, and the sound as well
Role = Literal["recordings", "supervisions", "cuts"]


def kaldi(folder: Path, shown: str) -> list[Tier]:
    """Read a Kaldi data folder; ``shown`` is its name in messages.

    A recording that a command makes is left out: nobody's commands are run.
    """
    if not (folder / WAV_SCP).is_file():
        raise InputError(f"{shown}: no {WAV_SCP}, which names the recordings; put it beside the other files")
    files = {name: list(_pairs(folder, name, shown)) for name in KALDI_FILES if (folder / name).is_file()}
    label_file = "utt2label" if "utt2label" in files else "text"
    labels, groups = ({key: value for key, value, _ in files.get(name, ())} for name in (label_file, "utt2spk"))
    recordings = {key: (value, where) for key, value, where in files[WAV_SCP]}
    segments = files.get("segments", [(name, f"{name} 0 -1", where) for name, (_, where) in recordings.items()])
    cut = {text.split(maxsplit=1)[0] for _, text, _ in segments if text}
    found: list[Annotation] = []
    unusable: dict[str, int] = {}
    for utterance, text, where in segments:
        name, start, end, channel = (text.split() + [""] * 4)[:4]
        place, _ = recordings.get(name, (None, ""))
        if place is None:
            fault = f"{name!r:.60} is not in {WAV_SCP}"
            found.append(Annotation(where=where, fields={}, recording=utterance, fault=fault))
            continue
        if _scp_fault(place):
            unusable[name] = unusable.get(name, 0) + 1
            continue
        times = {} if end == "-1" and start == "0" else {"start": start, "end": "" if end == "-1" else end}
        if times and not end:
            fault = "no end; write utterance, recording, start and end"
            found.append(Annotation(where=where, fields={}, recording=place, fault=fault))
            continue
        described = {"label": labels.get(utterance, ""), "group": groups.get(utterance, "")}
        fields = {**times, **described, "annotated_channel": channel}
        found.append(Annotation(where=where, fields=fields, recording=place))
    for name, (place, where) in recordings.items():
        if unusual := _scp_fault(place):
            fault = f"{unusual} ({unusable.get(name, 0)} of the parts)"
            found.append(Annotation(where=where, fields={}, recording=name, fault=fault))
        elif name not in cut:
            fault = "no line of segments names the recording"
            found.append(Annotation(where=where, fields={}, recording=place, fault=fault))
    return [Tier(annotations=found)]


def _pairs(folder: Path, name: str, shown: str) -> Iterator[tuple[str, str, str]]:
    """Give the first word of each line, the rest, and the line's place."""
    for number, line in enumerate(read_annotation_text(folder / name).split("\n"), start=1):
        if line.strip():
            first, rest = (*line.split(maxsplit=1), "")[:2]
            yield first, rest.strip() if name == WAV_SCP else one_line(rest), f"{shown}/{name}:{number}"


def _scp_fault(place: str) -> str | None:
    """Return why an entry of ``wav.scp`` names no recording that is read."""
    if place.endswith("|"):
        return f"a command makes it ({place!r:.80}), and commands are not run; write the sound into a file, and name it"
    if not place or place == "-":
        return "no file is named"
    archive, colon, offset = place.rpartition(":")
    if colon and offset.isdecimal() and archive.endswith(".ark"):
        return f"it lies in an archive of Kaldi ({place!r:.80}); write it into a file (wav-copy), and name it"
    return None


def lhotse_role(first: str) -> Role | None:
    """Return the kind of lhotse manifest that has this first line."""
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or "id" not in value:
        return None
    if any(isinstance(text, str) and name.lower() in PATH_COLUMNS for name, text in value.items()):
        return None  # a row of a table, which names its recording itself
    if "sources" in value and "sampling_rate" in value:
        return "recordings"
    if "recording_id" in value and "start" in value and "duration" in value:
        return "supervisions"
    return "cuts" if str(value.get("type", "")).endswith("Cut") or ("recording" in value and "start" in value) else None


def first_line(path: Path) -> str:
    """Return the beginning of a file's first line that is not empty; empty text for a damaged file."""
    try:
        with _opened(path) as file:
            return next((line for _ in range(8) if (line := file.readline(MAX_LINE).strip())), b"").decode()
    except (OSError, EOFError, zlib.error, ValueError):
        return ""


def lhotse(path: Path, shown: str) -> list[Tier]:
    """Read cuts, supervisions with the recordings in the files beside them, or recordings alone."""
    role = lhotse_role(first_line(path))
    recordings: dict[str, Mapping[str, object]] = {}
    if role == "supervisions":
        for other in sorted(path.parent.iterdir()):
            if other.name.endswith(LHOTSE) and lhotse_role(first_line(other)) == "recordings":
                recordings |= {str(value["id"]): value for value, *_ in _objects(other, other.name) if "id" in value}
        if not recordings:
            raise InputError(f"{shown}: the manifest of the recordings is not beside the supervisions; put it there")
    found: list[Annotation] = []
    for value, where, fault in _objects(path, shown):
        if fault:
            found.append(Annotation(where=where, fields={}, fault=fault))
            continue
        try:
            found += _of_line(value, where, role, recordings)
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
            problem = f"not as lhotse writes it ({type(error).__name__}: {error})"
            found.append(Annotation(where=where, fields={}, fault=f"{problem:.120}", recording=str(value.get("id"))))
    return [Tier(annotations=found)]


def _of_line(
    value: Mapping[str, Any], where: str, role: Role | None, recordings: Mapping[str, Mapping[str, object]]
) -> Iterator[Annotation]:
    """Give the parts that a cut, a supervision or a recording stands for."""
    name = str(value["id"])
    if role == "recordings":
        place, fault = _source(value)
        yield Annotation(where=where, fields={}, recording=place or name, fault=fault)
        return
    if role == "supervisions":
        recording = recordings.get(str(value["recording_id"]))
        place, fault = _source(recording) if recording else ("", "its recording is in no manifest beside it")
        yield _supervision(value, where, place or name, fault, first=0.0, bounds=None)
        return
    if value.get("type", "MonoCut") not in ("MonoCut", "MultiCut") or "recording" not in value:
        kind = value.get("type", "cut without a recording")
        yield Annotation(where=where, fields={}, recording=name, fault=f"a {kind}, which is no part of one recording")
        return
    place, fault = _source(cast(Mapping[str, object], value["recording"]))
    start, duration = float(value["start"]), float(value["duration"])
    bounds = (start, start + duration)
    supervisions = value.get("supervisions") or []
    if not supervisions:
        fields = {"start": repr(start), "end": repr(start + duration), "annotated_channel": _channel(value)}
        yield Annotation(where=where, fields=fields, recording=place or name, fault=fault)
    for each in supervisions:
        yield _supervision(each, where, place or name, fault, first=start, bounds=bounds)


def _supervision(
    value: Mapping[str, Any],
    where: str,
    place: str,
    fault: str | None,
    *,
    first: float,
    bounds: tuple[float, float] | None,
) -> Annotation:
    """Return a supervision; in a cut its time counts from the cut's start ``first``, and it ends with the cut."""
    start = first + float(value["start"])
    end = start + float(value["duration"])
    if bounds is not None:
        start, end = max(start, bounds[0]), min(end, bounds[1])
    label = (value.get("custom") or {}).get("label", value.get("text"))
    fields = {
        "start": repr(round(start, 9)),
        "end": repr(round(end, 9)),
        "label": "" if label is None else one_line(str(label)),
        "group": str(value.get("speaker") or ""),
        "annotated_channel": _channel(value),
    }
    return Annotation(where=where, fields=fields, recording=place, fault=fault)


def _channel(value: Mapping[str, Any]) -> str:
    channel = value.get("channel", "")
    return ",".join(map(str, channel)) if isinstance(channel, list) else str(channel)


def _source(recording: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return a recording's path, or why it has none."""
    sources = recording["sources"]
    if len(sources) != 1:
        return "", f"its recording has {len(sources)} files; join them into one"
    kind, place = str(sources[0]["type"]), str(sources[0]["source"])
    if kind != "file":
        return "", f"its recording is of the type {kind!r:.20} ({place!r:.60}), and only files are read"
    changes = [each for each in recording.get("transforms") or () if _name_of(each) not in _HARMLESS]
    if changes:
        names = ", ".join(map(_name_of, changes))
        return (
            "",
            f"its recording is changed when it is read ({names:.60}), and files are read as they are; save its sound",
        )
    return place, None


def _name_of(transform: object) -> str:
    return str(transform["name"] if isinstance(transform, dict) and "name" in transform else transform)


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")


def _objects(path: Path, shown: str) -> Iterator[tuple[dict[str, Any], str, str | None]]:
    """Give the object of each line of a manifest, the line's place, and its fault."""
    number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(MAX_LINE):
                number += 1
                if line.strip():
                    value, fault = _object(line)
                    yield value, f"{shown}:{number}", fault
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{shown}:{number + 1}: the file is damaged ({error}); write it again") from error


def _object(line: bytes) -> tuple[dict[str, Any], str | None]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {}, f"not JSON ({error}); write one object in each line"
    return (value, None) if isinstance(value, dict) else ({}, f"{line!r:.60} is no JSON object")
