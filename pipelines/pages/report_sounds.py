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

KINDS = {
    "original": "Original",
    "noise_vocoder": "Noise vocoder",
    "griffin_lim": "Griffin-Lim",
    "wavenet": "WaveNet",
    "prompt": "Prompt",
}
WHISPERED = ("noise_vocoder",)
SPOKEN = tuple(kind for kind in KINDS if kind not in WHISPERED)
MAX_SOUND_BYTES = 2_700_000  # of WAV files; a third more in the page, which is to stay below 6 MB with its pictures


@dataclass(frozen=True, kw_only=True)
class Player:
    """A sound; without a source where the page would grow too large."""

    title: str
    file: str  # in the run folder
    source: str | None  # data URI
    figures: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Sounds:
    """The sounds of one clip."""

    name: str
    path: str
    place: str | None  # where in the clip its excerpt begins; None: the whole clip is heard
    players: tuple[Player, ...]  # of the clip itself
    continuations: tuple[Player, ...]


@dataclass(frozen=True, kw_only=True)
class Listening:
    """All sounds of a run."""

    clips: tuple[Sounds, ...]
    unconditional: tuple[Player, ...]


def listening_of(folder: Path, results: Results) -> Listening | None:
    """The sounds that a run made; None where it made none.

    Raises:
        InputError: a file is missing.
    """
    if "listening" not in results:
        return None
    page = _Page(folder)
    clips, said = results["listening"]["clips"], results["listening"].get("said", [])
    # What anyone compares first comes first, and so is in the page: one clip after another, then what goes on from it,
    # and the whispers last.
    heard = [page.of_clip(number, clip, SPOKEN) for number, clip in enumerate(clips)]
    unconditional = page.of_language(row for row in said if row["clip"] is None)
    continued = [page.of_language(row for row in said if row["clip"] == number) for number in range(len(clips))]
    whispered = [page.of_clip(number, clip, WHISPERED) for number, clip in enumerate(clips)]
    return Listening(
        clips=tuple(
            Sounds(
                name=clip_name(clip),
                path=clip["path"],
                place=excerpt_place(clip) if is_cut(clip) else None,
                players=(*players, *whispers),
                continuations=more,
            )
            for clip, players, whispers, more in zip(clips, heard, whispered, continued, strict=True)
        ),
        unconditional=unconditional,
    )


class _Page:
    """A page that fills up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.room = MAX_SOUND_BYTES

    def of_clip(self, number: int, clip: ClipRecord, kinds: Iterable[str]) -> tuple[Player, ...]:
        there = [kind for kind in kinds if kind in clip["sounds"]]
        return tuple(self._player(KINDS[kind], f"{number}_{kind}.wav", clip["sounds"][kind]) for kind in there)

    def of_language(self, said: Iterable[SaidRecord]) -> tuple[Player, ...]:
        return tuple(self._player(said_title(row), row["file"], row["figures"]) for row in said)

    def _player(self, title: str, file: str, figures: dict[str, float]) -> Player:
        path = sound_path(self.folder, file)
        self.room -= path.stat().st_size
        return Player(
            title=title,
            file=path.relative_to(self.folder).as_posix(),
            source=_data_uri(path) if self.room >= 0 else None,
            figures=figures,
        )


def said_title(said: SaidRecord) -> str:
    """What a sound of the language model is called."""
    kind = "From nothing" if said["clip"] is None else "Continuation"
    return f"{kind}, temperature {said['temperature']:g}"


def clip_name(clip: ClipRecord) -> str:
    """What a clip is called: its label and group, or else its path."""
    return " · ".join(part for part in (clip["label"], clip["group"]) if part) or clip["path"]


def excerpt_place(excerpt: ExcerptRecord) -> str:
    """Where in its clip an excerpt begins, such as "from 1.24 s of 3.0 s"."""
    return f"from {excerpt.get('start', 0.0):.2f} s of {excerpt.get('clip_seconds', 0.0):.1f} s"


def excerpts_in_words(results: Results) -> str | None:
    """One sentence: how many clips are longer than what was decoded of them; None where no clip is."""
    record = results.get("listening", {})
    clips: Sequence[ExcerptRecord] = record.get("excerpts", record.get("clips", []))
    cut = [clip for clip in clips if is_cut(clip)]
    if not cut:
        return None
    return (
        f"Of longer clips the loudest {cut[0]['seconds']:g} s are played, decoded and judged: "
        f"{len(cut)} of {counted(len(clips), 'clip')} {'is' if len(cut) == 1 else 'are'} longer."
    )


def sound_path(folder: Path, file: str) -> Path:
    """A WAV file in the folder of sounds of a run.

    A results.json of somebody else may name any file. Only sounds of the run may enter a page that is passed on.

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


def _data_uri(path: Path) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(path.read_bytes()).decode()}"
