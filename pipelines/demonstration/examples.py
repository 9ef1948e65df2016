"""Sounds that come with a run: the test recordings of its report."""

from pathlib import Path

from pipelines.pages.report_sounds import TITLES, clip_sounds, sound_path
from pipelines.results.run_record import RESULTS, read_results
from vocoder.kinds import ORIGINAL
from wordless.base.errors import InputError

MOST = 6


def examples_of(folder: Path) -> list[tuple[str, Path]]:
    """List names and files of the first test recordings of a run; none if it has no sounds."""
    if not (folder / RESULTS).is_file():
        return []
    try:
        clips = clip_sounds(read_results(folder))[:MOST]
        found = [(clip.name, sound) for clip in clips for sound in clip.sounds if sound.title == TITLES[ORIGINAL]]
        return [(name, sound_path(folder, sound.file, part=sound.folder)) for name, sound in found]
    except InputError:  # a run of another version, or one whose sounds were deleted: the page works without examples
        return []
