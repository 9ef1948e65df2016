"""One recording with eight labelled parts, as each tool writes them."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 4000
SECONDS = 20.0
Part = tuple[float, float, str]
PARTS: Sequence[Part] = tuple((2.0 * n + 0.5, 2.0 * n + 1.7, "wren" if n % 2 else "robin") for n in range(8))
Writer = Callable[[Path, str, Sequence[Part]], None]


def write_recording(path: Path, *, seed: int = 0, seconds: float = SECONDS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.2 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    soundfile.write(path, noise, RATE)


def raven(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    head = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies"
    rows = [
        f"{n}\t{view}\t1\t{start:.6f}\t{end:.6f}\t500.0\t1800.0\t{label}"
        for n, (start, end, label) in enumerate(parts, 1)
        for view in ("Waveform 1", "Spectrogram 1")  # Raven writes a row for each view
    ]
    (folder / f"{stem}.Table.1.selections.txt").write_text("\n".join([head, *rows]) + "\n")


def audacity(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    lines = [f"{start:.6f}\t{end:.6f}\t{label}\n\\\t500.0\t1800.0\n" for start, end, label in parts]
    (folder / f"{stem}.txt").write_text("".join(lines))


def textgrid_text(tiers: dict[str, Sequence[Part]], *, short: bool = False, seconds: float = SECONDS) -> str:
    """Write the parts and the gaps between them as Praat does."""

    def line(name: str, value: object) -> str:
        text = '"' + value.replace('"', '""') + '"' if isinstance(value, str) else str(value)
        return text if short else f"{name} = {text} "

    lines = [line("File type", "ooTextFile"), line("Object class", "TextGrid"), ""]
    lines += [line("xmin", 0), line("xmax", seconds), "<exists>" if short else "tiers? <exists> "]
    lines += [line("size", len(tiers)), *([] if short else ["item []: "])]
    for number, (name, parts) in enumerate(tiers.items(), 1):
        marks = [0.0, *(mark for start, end, _ in parts for mark in (start, end)), seconds]
        texts = ["", *(text for *_, label in parts for text in (label, ""))]
        lines += [] if short else [f"    item [{number}]:"]
        lines += [line("class", "IntervalTier"), line("name", name), line("xmin", 0), line("xmax", seconds)]
        intervals = [each for each in zip(marks, marks[1:], texts, strict=False) if each[0] < each[1]]
        lines += [line("intervals: size", len(intervals))]
        for n, (start, end, text) in enumerate(intervals, 1):
            lines += [] if short else [f"        intervals [{n}]:"]
            lines += [line("xmin", start), line("xmax", end), line("text", text)]
    return "\n".join(lines) + "\n"


def textgrid(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    (folder / f"{stem}.TextGrid").write_text(textgrid_text({"birds": parts}))


def elan(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    times = [round(1000 * time) for start, end, _ in parts for time in (start, end)]
    slots = [f'<TIME_SLOT TIME_SLOT_ID="ts{n}" TIME_VALUE="{time}"/>' for n, time in enumerate(times)]
    spans = [
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{n}" TIME_SLOT_REF1="ts{2 * n}" '
        f'TIME_SLOT_REF2="ts{2 * n + 1}"><ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>'
        for n in range(len(parts))
    ]
    names = [
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="b{n}" ANNOTATION_REF="a{n}">'
        f"<ANNOTATION_VALUE>{label}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
        for n, (*_, label) in enumerate(parts)
    ]
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT><HEADER MEDIA_FILE=""/>'
        f"<TIME_ORDER>{''.join(slots)}</TIME_ORDER><TIER TIER_ID='spans'>{''.join(spans)}</TIER>"
        f"<TIER TIER_ID='species' PARENT_REF='spans'>{''.join(names)}</TIER></ANNOTATION_DOCUMENT>\n"
    )
    (folder / f"{stem}.eaf").write_text(document)


def kaldi(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    data = folder / f"kaldi_{stem}"
    data.mkdir()
    (data / "wav.scp").write_text(f"rec ../{stem}.wav\n")
    (data / "segments").write_text("".join(f"u{n} rec {a:.3f} {b:.3f}\n" for n, (a, b, _) in enumerate(parts)))
    (data / "utt2spk").write_text("".join(f"u{n} {stem}\n" for n in range(len(parts))))
    (data / "text").write_text("".join(f"u{n} {label}\n" for n, (*_, label) in enumerate(parts)))


def lhotse_recording(stem: str) -> dict[str, object]:
    return {
        "id": stem,
        "sources": [{"type": "file", "channels": [0], "source": f"{stem}.wav"}],
        "sampling_rate": RATE,
        "num_samples": round(SECONDS * RATE),
        "duration": SECONDS,
    }


def lhotse_supervision(number: int, stem: str, start: float, end: float, label: str) -> dict[str, object]:
    place = {"id": f"s{number}", "recording_id": stem, "start": start, "duration": end - start, "channel": 0}
    return {**place, "text": label, "speaker": stem}


def lhotse(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    said = [json.dumps(lhotse_supervision(n, stem, *part)) for n, part in enumerate(parts)]
    with gzip.open(folder / f"{stem}_supervisions.jsonl.gz", "wt") as file:
        file.write("\n".join(said) + "\n")
    with gzip.open(folder / f"{stem}_recordings.jsonl.gz", "wt") as file:
        file.write(json.dumps(lhotse_recording(stem)) + "\n")


def cuts(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    """Two cuts, each with half of the parts; times of supervisions count from the cut's start."""
    half = SECONDS / 2
    lines = []
    for number in range(2):
        begin = number * half
        own = [part for part in parts if begin <= part[0] < begin + half]
        said = [lhotse_supervision(n, stem, a - begin, b - begin, label) for n, (a, b, label) in enumerate(own)]
        cut = {"id": f"c{number}", "start": begin, "duration": half, "channel": 0, "supervisions": said}
        lines.append(json.dumps({**cut, "recording": lhotse_recording(stem), "type": "MonoCut"}))
    (folder / f"{stem}_cuts.jsonl").write_text("\n".join(lines) + "\n")


def rttm(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    lines = [f"SPEAKER {stem} 1 {a:.3f} {b - a:.3f} <NA> <NA> {label} <NA> <NA>\n" for a, b, label in parts]
    (folder / f"{stem}.rttm").write_text("".join(lines))


def ctm(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    (folder / f"{stem}.ctm").write_text("".join(f"{stem} 1 {a:.3f} {b - a:.3f} {label}\n" for a, b, label in parts))


def htk(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    lines = [f"{round(1e7 * a)} {round(1e7 * b)} {label} -3.5\n" for a, b, label in parts]
    (folder / f"{stem}.lab").write_text("".join(lines))


def lab_of_seconds(folder: Path, stem: str, parts: Sequence[Part]) -> None:
    (folder / f"{stem}.lab").write_text("".join(f"{a} {b} {label}\n" for a, b, label in parts))


WRITERS: dict[str, Writer] = {
    **{"raven": raven, "audacity": audacity, "textgrid": textgrid, "elan": elan, "kaldi": kaldi, "lhotse": lhotse},
    **{"lhotse cuts": cuts, "rttm": rttm, "ctm": ctm, "lab": htk, "lab of seconds": lab_of_seconds},
}
