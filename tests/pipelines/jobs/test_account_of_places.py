"""Commands that read several places have one account; files of one name in two places stand by their folders."""

from pathlib import Path

from pipelines.jobs.coding import account_of
from tests.pipelines.tiny import sweep, write_clip
from wordless.audio.recordings.annotations import recordings_at
from wordless.audio.recordings.manifest import Rejected


def test_files_of_one_name_in_two_places_stand_by_their_folders(tmp_path: Path) -> None:
    for number, folder in enumerate(("one", "two"), 1):
        (tmp_path / folder).mkdir()
        write_clip(tmp_path / folder, "a.wav", sweep(0.3, 4000, low=200 * number))
    places = [recordings_at(tmp_path / folder) for folder in ("one", "two")]
    gone = Rejected(path=str(tmp_path / "two/a.wav"), reason="it broke")
    items = account_of(places, [gone]).items
    assert [(each.name, each.used_as, each.why) for each in items] == [
        (str(tmp_path / "one/a.wav"), "recording", ""), (str(tmp_path / "two/a.wav"), "", "it broke")
    ]  # fmt: skip


def test_a_recording_that_two_places_hold_stands_once(tmp_path: Path) -> None:
    for number, name in enumerate(("a.wav", "b.wav"), 1):
        write_clip(tmp_path, name, sweep(0.3, 4000, low=200 * number))
    items = account_of([recordings_at(tmp_path / "a.wav"), recordings_at(tmp_path)], []).items
    assert [each.name for each in items] == [str(tmp_path / name) for name in ("a.wav", "b.wav")]
