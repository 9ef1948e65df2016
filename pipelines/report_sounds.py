"""The sounds of a report: players that hold their sound, as many as the page has room for."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audio.errors import InputError
from pipelines.run_record import ClipRecord, Results

KINDS = {"original": "Original", "griffin_lim": "Griffin-Lim", "wavenet": "WaveNet", "continuation": "Continuation"}
MAX_SOUND_BYTES = 3_200_000  # of WAV files; a third more in the page, which is to stay below 6 MB


@dataclass(frozen=True, kw_only=True)
class Player:
    """A sound of one clip; without a source where the page would grow too large."""

    title: str
    file: str  # in the run folder
    source: str | None  # data URI
    figures: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Sounds:
    """The sounds of one clip."""

    name: str
    path: str
    players: tuple[Player, ...]


def sounds(folder: Path, results: Results) -> Iterator[Sounds]:
    """The sounds of each clip.

    Raises:
        InputError: a file is missing.
    """
    room = MAX_SOUND_BYTES
    for number, clip in enumerate(results["listening"]["clips"] if "listening" in results else []):
        players = []
        for kind in [kind for kind in KINDS if kind in clip["sounds"]]:
            path = sound_path(folder, number, kind)
            room -= path.stat().st_size
            players.append(
                Player(
                    title=KINDS[kind],
                    file=path.relative_to(folder).as_posix(),
                    source=_data_uri(path) if room >= 0 else None,
                    figures=clip["sounds"][kind],
                )
            )
        yield Sounds(name=clip_name(clip), path=clip["path"], players=tuple(players))


def clip_name(clip: ClipRecord) -> str:
    """What a clip is called: its label and group, or else its path."""
    return " · ".join(part for part in (clip["label"], clip["group"]) if part) or clip["path"]


def sound_path(folder: Path, number: int, kind: str) -> Path:
    """The WAV file of clip ``number`` of a run.

    Raises:
        InputError: it is missing.
    """
    path = folder / "listening" / f"{number}_{kind}.wav"
    if not path.is_file():
        raise InputError(f"{path} is missing, but results.json names it; repeat the run's command: it writes it again")
    return path


def _data_uri(path: Path) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(path.read_bytes()).decode()}"
