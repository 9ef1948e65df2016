"""Annotations in manifests of speech toolkits: folders of Kaldi, and JSON lines of lhotse."""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal, cast

from wordless.audio.recordings.annotation_formats import Annotation, Tier, one_line
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
    files: dict[str, list[tuple[str, str, str]]] = {}  # first word of each line, the rest, and the line's place
    for name in (name for name in KALDI_FILES if (folder / name).is_file()):
        files[name] = []
        for number, line in enumerate(read_annotation_text(folder / name).split("\n"), start=1):
            if line.strip():
                first, rest = (*line.split(maxsplit=1), "")[:2]
                rest = rest.strip() if name == WAV_SCP else one_line(rest)
                files[name].append((first, rest, f"{shown}/{name}:{number}"))
    label_file = "utt2label" if "utt2label" in files else "text"
    labels, groups = ({key: value for key, value, _ in files.get(name, ())} for name in (label_file, "utt2spk"))
    recordings = {key: (value, where) for key, value, where in files[WAV_SCP]}
    segments = files.get("segments", [(name, f"{name} 0 -1", where) for name, (_, where) in recordings.items()])
    found: list[Annotation] = []

    def set_aside(where: str, recording: str, fault: str) -> None:
        found.append(Annotation(where=where, recording=recording, fault=fault))

    unusable: Counter[str] = Counter()
    for utterance, text, where in segments:
        name, start, end, channel = (text.split() + [""] * 4)[:4]
        whole = (start, end) == ("0", "-1")
        if name not in recordings:
            set_aside(where, utterance, f"{name!r:.60} is not in {WAV_SCP}")
        elif _scp_fault(place := recordings[name][0]):
            unusable[name] += 1
        elif not end:
            set_aside(where, place, "no end; write utterance, recording, start and end")
        else:
            times = {} if whole else {"start": start, "end": "" if end == "-1" else end}
            described = {"label": labels.get(utterance, ""), "group": groups.get(utterance, "")}
            fields = {**times, **described, "annotated_channel": channel}
            found.append(Annotation(where=where, fields=fields, recording=place))
    cut = {text.split(maxsplit=1)[0] for _, text, _ in segments if text}
    for name, (place, where) in recordings.items():
        if unusual := _scp_fault(place):
            set_aside(where, name, f"{unusual} ({unusable[name]} of the parts)")
        elif name not in cut:
            set_aside(where, place, "no line of segments names the recording")
    return [Tier(annotations=found)]


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


def lhotse_role(path: Path) -> Role | None:
    """Return the kind of lhotse manifest that a file is, by its first line that is not empty; None: another file."""
    try:
        with _opened(path) as file:
            first = next((line for _ in range(8) if (line := file.readline(MAX_LINE).strip())), b"")
        value = json.loads(first.decode())
    except (OSError, EOFError, zlib.error, ValueError, RecursionError):
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


def lhotse(path: Path, shown: str) -> list[Tier]:
    """Read cuts, supervisions with the recordings in the files beside them, or recordings alone."""
    role = lhotse_role(path)
    recordings: dict[str, Mapping[str, object]] = {}
    if role == "supervisions":
        for other in sorted(path.parent.iterdir()):
            if other.name.endswith(LHOTSE) and lhotse_role(other) == "recordings":
                recordings |= {str(value["id"]): value for value, *_ in _objects(other, other.name) if "id" in value}
        if not recordings:
            raise InputError(f"{shown}: the manifest of the recordings is not beside the supervisions; put it there")
    found: list[Annotation] = []
    for value, where, fault in _objects(path, shown):
        if fault:
            found.append(Annotation(where=where, fault=fault))
            continue
        try:
            found += _of_line(value, where, role, recordings)
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
            problem = f"not as lhotse writes it ({type(error).__name__}: {error})"
            found.append(Annotation(where=where, fault=f"{problem:.120}", recording=str(value.get("id"))))
    return [Tier(annotations=found)]


def _of_line(
    value: Mapping[str, Any], where: str, role: Role | None, recordings: Mapping[str, Mapping[str, object]]
) -> Iterator[Annotation]:
    """Give the parts that a cut, a supervision or a recording stands for."""
    name = str(value["id"])
    if role == "recordings":
        place, fault = _source(value)
        yield Annotation(where=where, recording=place or name, fault=fault)
        return
    if role == "supervisions":
        recording = recordings.get(str(value["recording_id"]))
        place, fault = _source(recording) if recording else ("", "its recording is in no manifest beside it")
        start, most, supervisions = 0.0, float("inf"), [value]
    elif value.get("type", "MonoCut") not in ("MonoCut", "MultiCut") or "recording" not in value:
        kind = value.get("type", "cut without a recording")
        yield Annotation(where=where, recording=name, fault=f"a {kind}, which is no part of one recording")
        return
    else:
        place, fault = _source(value["recording"])
        start, most = float(value["start"]), float(value["start"]) + float(value["duration"])
        supervisions = value.get("supervisions") or []
    if not supervisions:
        fields = {"start": repr(start), "end": repr(most), "annotated_channel": _channel(value)}
        yield Annotation(where=where, fields=fields, recording=place or name, fault=fault)
    for each in supervisions:  # in a cut, times count from the cut's start, and a supervision ends with the cut
        begin = start + float(each["start"])
        end = begin + float(each["duration"])
        if role != "supervisions":
            begin, end = max(begin, start), min(end, most)
        label = (each.get("custom") or {}).get("label", each.get("text"))
        fields = {
            "start": repr(round(begin, 9)),
            "end": repr(round(end, 9)),
            "label": "" if label is None else one_line(str(label)),
            "group": str(each.get("speaker") or ""),
            "annotated_channel": _channel(each),
        }
        yield Annotation(where=where, fields=fields, recording=place or name, fault=fault)


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
    transforms = recording.get("transforms") or ()
    names = [str(each["name"] if isinstance(each, dict) and "name" in each else each) for each in transforms]
    if changes := ", ".join(name for name in names if name not in _HARMLESS):
        remedy = "and files are read as they are; save its sound"
        return "", f"its recording is changed when it is read ({changes:.60}), {remedy}"
    return place, None


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")


def _objects(path: Path, shown: str) -> Iterator[tuple[dict[str, Any], str, str | None]]:
    """Give the object of each line of a manifest, the line's place, and its fault."""
    number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(MAX_LINE):
                number += 1
                if not line.strip():
                    continue
                where = f"{shown}:{number}"
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:
                    yield {}, where, f"not JSON ({error}); write one object in each line"
                    continue
                is_object = isinstance(value, dict)
                yield value if is_object else {}, where, None if is_object else f"{line!r:.60} is no JSON object"
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{shown}:{number + 1}: the file is damaged ({error}); write it again") from error
