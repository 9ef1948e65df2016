"""One recording with eight labelled parts, as each tool writes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 4000
SECONDS = 20.0
Part = tuple[float, float, str]
PARTS: Sequence[Part] = tuple((2.0 * n + 0.5, 2.0 * n + 1.7, "wren" if n % 2 else "robin") for n in range(8))


def write_recording(path: Path, *, seed: int = 0, seconds: float = SECONDS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.2 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    soundfile.write(path, noise, RATE)


def raven_text(parts: Sequence[Part]) -> str:
    head = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies"
    rows = [
        f"{n}\t{view}\t1\t{start:.6f}\t{end:.6f}\t500.0\t1800.0\t{label}"
        for n, (start, end, label) in enumerate(parts, 1)
        for view in ("Waveform 1", "Spectrogram 1")  # Raven writes a row for each view
    ]
    return "\n".join([head, *rows]) + "\n"


def raven(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    (folder / f"{stem}.Table.1.selections.txt").write_text(raven_text(parts))


def audacity_text(parts: Sequence[Part]) -> str:
    return "".join(f"{start:.6f}\t{end:.6f}\t{label}\n\\\t500.0\t1800.0\n" for start, end, label in parts)


def audacity(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    (folder / f"{stem}.txt").write_text(audacity_text(parts))


def textgrid_text(
    tiers: dict[str, Sequence[Part]], *, short: bool = False, seconds: float = SECONDS, begin: float = 0.0
) -> str:
    """Write the parts and the gaps between them as Praat does; all times count from ``begin`` on."""

    def line(name: str, value: object) -> str:
        text = '"' + value.replace('"', '""') + '"' if isinstance(value, str) else str(value)
        return text if short else f"{name} = {text} "

    lines = [line("File type", "ooTextFile"), line("Object class", "TextGrid"), ""]
    lines += [line("xmin", begin), line("xmax", begin + seconds), "<exists>" if short else "tiers? <exists> "]
    lines += [line("size", len(tiers)), *([] if short else ["item []: "])]
    for number, (name, parts) in enumerate(tiers.items(), 1):
        marks = [begin, *(begin + mark for start, end, _ in parts for mark in (start, end)), begin + seconds]
        texts = ["", *(text for *_, label in parts for text in (label, ""))]
        lines += [] if short else [f"    item [{number}]:"]
        lines += [line("class", "IntervalTier"), line("name", name), line("xmin", begin), line("xmax", begin + seconds)]
        intervals = [each for each in zip(marks, marks[1:], texts, strict=False) if each[0] < each[1]]
        lines += [line("intervals: size", len(intervals))]
        for n, (start, end, text) in enumerate(intervals, 1):
            lines += [] if short else [f"        intervals [{n}]:"]
            lines += [line("xmin", start), line("xmax", end), line("text", text)]
    return "\n".join(lines) + "\n"


TIMES = [round(1000 * time) for start, end, _ in PARTS for time in (start, end)]
SPANS = "".join(
    f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{n}" TIME_SLOT_REF1="ts{2 * n}" TIME_SLOT_REF2="ts{2 * n + 1}">'
    f"<ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
    for n in range(len(PARTS))
)
SPECIES = "".join(
    f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="b{n}" ANNOTATION_REF="a{n}"><ANNOTATION_VALUE>{label}'
    "</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
    for n, (*_, label) in enumerate(PARTS)
)
ELAN = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT><HEADER MEDIA_FILE=""/><TIME_ORDER>'
    + "".join(f'<TIME_SLOT TIME_SLOT_ID="ts{n}" TIME_VALUE="{time}"/>' for n, time in enumerate(TIMES))
    + f"</TIME_ORDER><TIER TIER_ID='spans'>{SPANS}</TIER>"
    f"<TIER TIER_ID='species' PARENT_REF='spans'>{SPECIES}</TIER></ANNOTATION_DOCUMENT>\n"
)
KINDS: dict[str, dict[str, str | bytes]] = {  # the files of each tool
    "raven": {"field.Table.1.selections.txt": raven_text(PARTS)}, "audacity": {"field.txt": audacity_text(PARTS)},
    "textgrid": {"field.TextGrid": textgrid_text({"birds": PARTS})}, "elan": {"field.eaf": ELAN},
    "rttm": {
        "field.rttm": "".join(f"SPEAKER field 1 {a:.3f} {b - a:.3f} <NA> <NA> {c} <NA> <NA>\n" for a, b, c in PARTS)
    },
    "ctm": {"field.ctm": "".join(f"field 1 {a:.3f} {b - a:.3f} {label}\n" for a, b, label in PARTS)},
    "lab": {"field.lab": "".join(f"{round(1e7 * a)} {round(1e7 * b)} {label} -3.5\n" for a, b, label in PARTS)},
    "lab of seconds": {"field.lab": "".join(f"{a} {b} {label}\n" for a, b, label in PARTS)},
}  # fmt: skip
