"""The sounds of a report: players that hold their sound, as many as the page has room for."""

import base64
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import InputError
from foundation.files import open_regular
from foundation.json_values import shortened
from pipelines.pages.phrasing import counted
from pipelines.results.run_record import RESULTS, ClipRecord, ExcerptRecord, Results, SaidRecord, is_cut
from vocoder.kinds.table import KINDS, ORIGINAL

TITLES = {ORIGINAL: "Original", **{kind.key: kind.heading for kind in KINDS}, "prompt": "Prompt"}
LAST = tuple(kind.key for kind in KINDS if not kind.played_first)  # whose players are the first to be left out
MAX_SOUND_BYTES = 2_700_000  # of WAV files; a third more in the page, which is to stay below 6 MB with its pictures


@dataclass(frozen=True, kw_only=True)
class Player:
    """A sound of the page."""

    title: str
    file: str  # in the run folder
    source: str | None  # data URI; None where the page would grow too large
    figures: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class ClipSounds:
    """The sounds of one clip."""

    name: str
    path: str
    place: str | None  # where in the clip its excerpt begins; None: the whole clip is played
    players: tuple[Player, ...]  # of the clip itself
    continuations: tuple[Player, ...]


@dataclass(frozen=True, kw_only=True)
class Listening:
    """All sounds of a run."""

    clips: tuple[ClipSounds, ...]
    unconditional: tuple[Player, ...]


def listening_of(folder: Path, results: Results) -> Listening | None:
    """Make the players of a run's sounds; None where the run has no sounds.

    Raises:
        InputError: a file is missing.
    """
    if "listening" not in results:
        return None
    space = _Space(folder)
    clips, said = results["listening"]["clips"], results["listening"].get("said", [])
    # The page has room for the first sounds alone: clip after clip, then the language model, then the last kinds.
    first = [
        space.clip_players(number, clip, [k for k in TITLES if k not in LAST]) for number, clip in enumerate(clips)
    ]
    unconditional = space.said_players(row for row in said if row["clip"] is None)
    continued = [space.said_players(row for row in said if row["clip"] == number) for number in range(len(clips))]
    last = [space.clip_players(number, clip, LAST) for number, clip in enumerate(clips)]
    sounds = (
        ClipSounds(
            name=clip_name(clip),
            path=clip["path"],
            place=_excerpt_place(clip) if is_cut(clip) else None,
            players=(*players, *more),
            continuations=continuations,
        )
        for clip, players, more, continuations in zip(clips, first, last, continued, strict=True)
    )
    return Listening(clips=tuple(sounds), unconditional=unconditional)


class _Space:
    """The space for sounds on a page, which fills up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left = MAX_SOUND_BYTES

    def clip_players(self, number: int, clip: ClipRecord, kinds: Iterable[str]) -> tuple[Player, ...]:
        present = [kind for kind in kinds if kind in clip["sounds"]]
        return tuple(self._player(TITLES[kind], f"{number}_{kind}.wav", clip["sounds"][kind]) for kind in present)

    def said_players(self, said: Iterable[SaidRecord]) -> tuple[Player, ...]:
        return tuple(self._player(said_title(row), row["file"], row["figures"]) for row in said)

    def _player(self, title: str, file: str, figures: dict[str, float]) -> Player:
        path = sound_path(self.folder, file)
        self.left -= path.stat().st_size
        source = f"data:audio/wav;base64,{base64.b64encode(path.read_bytes()).decode()}" if self.left >= 0 else None
        return Player(title=title, file=path.relative_to(self.folder).as_posix(), source=source, figures=figures)


def said_title(said: SaidRecord) -> str:
    """Name a sound of the language model."""
    kind = "From nothing" if said["clip"] is None else "Continuation"
    return f"{kind}, temperature {said['temperature']:g}"


def clip_name(clip: ClipRecord) -> str:
    """Name a clip by its label and group, or else by its path."""
    return " · ".join(part for part in (clip["label"], clip["group"]) if part) or clip["path"]


def _excerpt_place(excerpt: ExcerptRecord) -> str:
    return f"from {excerpt.get('start', 0.0):.2f} s of {excerpt.get('clip_seconds', 0.0):.1f} s"


def excerpt_sentence(results: Results) -> str | None:
    """Write how many clips are longer than the excerpt that was decoded; None where no clip is."""
    record = results.get("listening", {})
    clips: Sequence[ExcerptRecord] = record.get("excerpts", record.get("clips", []))
    cut = [clip for clip in clips if is_cut(clip)]
    if not cut:
        return None
    return f"Long clips are cut to their loudest {cut[0]['seconds']:g} s: {len(cut)} of {counted(len(clips), 'clip')}."


def sound_path(folder: Path, file: str) -> Path:
    """Find a WAV file of a run. A foreign results.json may name any file; a page may hold the run's own sounds alone.

    Raises:
        InputError: the name leads out of the folder of sounds, or the file is missing or is no WAV file.
    """
    path = folder / "listening" / file
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
