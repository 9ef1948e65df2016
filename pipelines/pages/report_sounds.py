"""The sounds of a report: players that hold their sound, as many as the page has room for."""

import base64
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from pipelines.pages.phrasing import counted, heading
from pipelines.results.run_record import (
    CODE_SOUNDS,
    RESULTS,
    SAMPLE_SOUNDS,
    ClipRecord,
    CodeRow,
    ExcerptRecord,
    Results,
    is_cut,
)
from vocoder.kinds import KINDS, ORIGINAL, WAVENET
from wordless.base.errors import InputError
from wordless.base.files import open_regular
from wordless.base.json_values import shortened

TITLES = {ORIGINAL: "Original", **{kind.key: kind.heading for kind in KINDS}, "prompt": "Prompt"}
LISTENING = "listening"  # folder of a run
LAST = tuple(kind.key for kind in KINDS if not kind.played_first)  # whose players are the first to be left out
MAX_SOUND_BYTES = 2_550_000  # of WAV files; a third more in the page, which is to stay below 6 MB with its pictures
SPECTRUM_WIDTH, SPECTRUM_HEIGHT = 120.0, 30.0  # CSS pixels of the mean spectrum of a code
LEAST = 0.5  # span of a flat spectrum, in standard deviations


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A sound of a run."""

    title: str
    file: str  # in its folder
    folder: str = LISTENING  # of the run
    figures: dict[str, float]
    last: bool = False  # whether its kind leaves the room of the page to others

    @property
    def place(self) -> str:
        """The file's place in the run folder."""
        return f"{self.folder}/{self.file}"


@dataclass(frozen=True, kw_only=True)
class ClipSounds:
    """The sounds of one clip."""

    name: str
    path: str
    place: str | None  # where in the clip its excerpt begins; None: the whole clip is played
    sounds: list[Sound]  # of the clip itself
    continuations: list[Sound]


def clip_sounds(results: Results) -> list[ClipSounds]:
    """List the clips of a run with their sounds, and what the language model continued from them."""
    return [
        ClipSounds(
            name=clip_name(clip),
            path=clip["path"],
            place=f"from {clip['start']:.2f} s of {clip['clip_seconds']:.1f} s" if is_cut(clip) else None,
            sounds=[
                Sound(title=title, file=f"{number}_{kind}.wav", figures=clip["sounds"][kind], last=kind in LAST)
                for kind, title in sorted(TITLES.items(), key=lambda item: item[0] in LAST)
                if kind in clip["sounds"]
            ],
            continuations=said_sounds(results, number),
        )
        for number, clip in enumerate(results.get("listening", {}).get("clips", []))
    ]


def said_sounds(results: Results, clip: int | None) -> list[Sound]:
    """List the sounds of the language model that begin with a clip, or those without a prompt."""
    begin = "No prompt" if clip is None else "Continuation"
    return [
        Sound(title=f"{begin}, temperature {row['temperature']:g}", file=row["file"], figures=row["figures"])
        for row in results.get("listening", {}).get("said", [])
        if row["clip"] == clip
    ]


def sample_sounds(results: Results) -> list[ClipSounds]:
    """List the sounds of language models of samples: those of each prompt, then those that begin in silence."""
    if not (record := results.get("next_sample")):
        return []
    names = [" · ".join(part for part in (clip["label"], clip["group"]) if part) for clip in record["clips"]]
    groups = [(names[number] or clip["path"], clip["path"], number) for number, clip in enumerate(record["clips"])]
    found = []
    for name, path, number in [*groups, ("Without a prompt", "", None)]:
        sounds = [
            Sound(title=heading(row["of"]), file=row["file"], folder=SAMPLE_SOUNDS, figures=row["figures"])
            for row in record["sounds"]
            if row["clip"] == number
        ]
        if sounds:
            found.append(ClipSounds(name=name, path=path, place=None, sounds=sounds, continuations=[]))
    return found


def embedded(path: Path) -> str:
    """Read a WAV file as a data URI."""
    return f"data:audio/wav;base64,{base64.b64encode(path.read_bytes()).decode()}"


def embedded_sounds(
    folder: Path, clips: Sequence[ClipSounds], unconditional: Sequence[Sound], *, before: Iterable[str] = ()
) -> dict[str, str | None]:
    """Read the sounds of clips and the unconditional sounds as data URIs by place; None where the page has no room.

    Clips come first, one after the other; then the language model, then the kinds of sound that are played last.
    ``before`` are data URIs of other sounds of the page, which take room, too.

    Raises:
        InputError: a file is missing.
    """
    sounds = [*(sound for clip in clips for sound in clip.sounds), *unconditional]
    sounds += [sound for clip in clips for sound in clip.continuations]
    sources: dict[str, str | None] = {}
    left = MAX_SOUND_BYTES - sum(len(source) for source in before) * 3 // 4  # base64 writes 3 bytes as 4 letters
    for sound in sorted(sounds, key=lambda sound: sound.last):
        path = sound_path(folder, sound.file, part=sound.folder)
        left -= path.stat().st_size
        sources[sound.place] = embedded(path) if left >= 0 else None
    return sources


def clip_name(clip: ClipRecord) -> str:
    """Name a clip by its label and group, or else by its path."""
    return " · ".join(part for part in (clip["label"], clip["group"]) if part) or clip["path"]


def excerpt_sentence(results: Results) -> str | None:
    """Write how many clips are longer than the excerpt that was decoded; None where no clip is."""
    record = results.get("listening", {})
    clips: Sequence[ExcerptRecord] = record.get("excerpts", record.get("clips", []))
    cut = [clip for clip in clips if is_cut(clip)]
    if not cut:
        return None
    return f"Long clips are cut to their loudest {cut[0]['seconds']:g} s: {len(cut)} of {counted(len(clips), 'clip')}."


def filter_sentences(results: Results) -> list[str]:
    """List which figures of decoded sound the post-filter and its pitch comb decide; none without the filter."""
    record = results.get("listening", {})
    if not record.get("postfilter", 0):
        return []
    found = []
    if record.get("pitch_comb") and any(
        row.name == "periodicity" and row.of == WAVENET.key for row in results["figures"]
    ):
        found.append(
            "The pitch comb sets the periodicity, so noise through it has as much: judge the voice by the errors of "
            "pitch and voicing."
        )
    if record.get("judge_name") == "codes":
        found.append(
            "The judge reads the codes that the post-filter steers towards; listening.judge=supervised is independent "
            "of it."
        )
    return found


def sound_path(folder: Path, file: str, *, part: str = LISTENING) -> Path:
    """Find a WAV file of a run. A foreign results.json may name any file; a page may hold the run's own sounds alone.

    Raises:
        InputError: the name leads out of the folder of sounds, or the file is missing or is no WAV file.
    """
    path = folder / part / file
    if Path(file).name != file:
        raise InputError(
            f"{folder / RESULTS} names the sound {shortened(file)}, which is no file name; repeat the run's "
            "command: it writes it again"
        )
    if not path.is_file():
        raise InputError(f"{path} is missing, but results.json names it; repeat the run's command: it writes it again")
    with open_regular(path) as descriptor:
        begin = os.pread(descriptor, 12, 0)
    if (begin[:4], begin[8:]) != (b"RIFF", b"WAVE"):
        raise InputError(f"{path} is no WAV file, but results.json names it; repeat the run's command")
    return path


@dataclass(frozen=True, kw_only=True)
class CodeSounds:
    """One code with its sounds."""

    row: CodeRow
    spectrum: Markup
    players: list[tuple[str, str]]  # name of the clip, data URI


def code_sounds(folder: Path, results: Results) -> Iterator[CodeSounds]:
    """Give the codes that have sounds, the most frequent first.

    Raises:
        InputError: a sound is missing.
    """
    if "codes" not in results:
        return
    for row in sorted(results["codes"]["codes"], key=lambda row: -row["share"]):
        if row["code"] in results["codes"]["shown"]:
            players = [
                (each["clip"], embedded(sound_path(folder, each["file"], part=CODE_SOUNDS))) for each in row["nearest"]
            ]
            yield CodeSounds(row=row, spectrum=spectrum(row["spectrum"], row["code"]), players=players)


def spectrum(levels: Sequence[float], code: int) -> Markup:
    """Draw a mean spectrum as a line, low frequencies on the left."""
    low = min(levels)
    span = max(max(levels) - low, LEAST)
    step = SPECTRUM_WIDTH / max(len(levels) - 1, 1)
    points = " ".join(
        f"{place * step:.1f},{SPECTRUM_HEIGHT - 1 - (SPECTRUM_HEIGHT - 2) * (level - low) / span:.1f}"
        for place, level in enumerate(levels)
    )
    return Markup(
        '<svg class="spectrum" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="mean spectrum of code {}">'
        '<polyline points="{}"/></svg>'
    ).format(SPECTRUM_WIDTH, SPECTRUM_HEIGHT, code, points)
