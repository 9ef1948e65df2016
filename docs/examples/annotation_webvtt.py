"""Subtitles in WebVTT files."""

from wordless.audio.recordings.annotation_formats import Annotation
from wordless.audio.recordings.letters import unwrapped
from wordless.base.messages import InputError


def webvtt(text: str, shown: str) -> list[Annotation]:
    """Read the text below each line of times, such as ``00:00:01.000 --> 00:00:02.500``."""
    if not text.startswith("WEBVTT"):
        raise InputError(f"{shown}:1: no WEBVTT; save the subtitles as WebVTT")
    parts, below = list[Annotation](), False
    for number, line in enumerate(text.split("\n"), start=1):
        start, arrow, after = line.partition(" --> ")
        if arrow:
            fields = {"start": start, "end": after.partition(" ")[0], "label": ""}
            parts.append(Annotation(f"{shown}:{number}", fields))
        elif below:
            parts[-1].fields["label"] = unwrapped(f"{parts[-1].fields['label']} {line}")
        below = bool(arrow) or (below and bool(line.strip()))
    return parts
