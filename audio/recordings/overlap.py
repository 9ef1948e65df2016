"""Notices about recordings that are tested with a model that other recordings trained."""

from pathlib import Path

from audio.recordings.manifest import Manifest
from audio.trimming import Part


def overlap_notices(tested: Manifest, trained: Manifest, *, owner: Path) -> tuple[str, ...]:
    """Return what the manifest of a run in the folder ``owner`` means for other recordings, a sentence each.

    Recordings are known by the bytes of their files, wherever they lie.
    """
    known: dict[str, list[Part]] = {}
    for clip in trained.of("train"):
        known.setdefault(clip.sha256, []).append(clip.part)
    test = tested.of("test")
    notices = []
    if shared := sum(any(clip.part.overlaps(part) for part in known.get(clip.sha256, ())) for clip in test):
        notices.append(
            f"{shared} of {len(test)} test clips are among those that {owner} was trained on: its tokenizer "
            "and language model have heard them"
        )
    if bool(trained.trimmed_seconds) != bool(tested.trimmed_seconds):
        where = f"of {owner}" if trained.trimmed_seconds else "that are probed"
        notices.append(
            f"silent ends were cut off the recordings {where} alone; unless the others have none, give the "
            "corpus.inspection.trim_db of that run"
        )
    return tuple(notices)
