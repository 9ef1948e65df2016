"""The sounds of a report: players that hold their sound, as many as the page has room for."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from audio.errors import InputError
from pipelines.run_record import ClipRecord, Results, SaidRecord

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
            Sounds(name=clip_name(clip), path=clip["path"], players=(*players, *whispers), continuations=more)
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


def sound_path(folder: Path, file: str) -> Path:
    """A WAV file of a run.

    Raises:
        InputError: it is missing.
    """
    path = folder / "listening" / file
    if not path.is_file():
        raise InputError(f"{path} is missing, but results.json names it; repeat the run's command: it writes it again")
    return path


def _data_uri(path: Path) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(path.read_bytes()).decode()}"
