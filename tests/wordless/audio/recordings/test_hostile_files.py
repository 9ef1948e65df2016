"""A sample of the hostile corpus; `tests/slow/test_hostile_recordings.py` works through all of it."""

import json
from pathlib import Path

from tests.hostile.audio_files import write_honest_files, write_hostile_files
from tests.hostile.audio_headers import wav
from tests.hostile.measured import measured
from tests.hostile.tables import hostile_tables, outcome
from wordless.audio.recordings.inspection import InspectionConfig, inspect

READ = """
import json, sys
from pathlib import Path
from wordless.base.errors import InputError
from wordless.audio.recordings.inspection import InspectionConfig, inspect
from wordless.audio.reading import read, read_beginning
root, *paths = sys.argv[1:]
fit, rejected = inspect(Path(root), paths, InspectionConfig())
for path in paths:
    for reading in (lambda: read(Path(root, path), 16_000), lambda: read_beginning(Path(root, path), 16_000, 1.0)):
        try:
            reading()
        except InputError:
            pass
Path(root, "reasons.json").write_text(json.dumps({each.path: each.reason for each in rejected}))
"""


def test_a_sample_of_hostile_files_is_sorted_out(tmp_path: Path) -> None:
    honest = write_honest_files(tmp_path)
    hostile = write_hostile_files(tmp_path, every=40)
    fit, rejected = inspect(tmp_path, [*honest, *hostile], InspectionConfig(), workers=2)
    refused = {each.path: each.reason for each in rejected}
    assert set(honest) <= fit.keys()
    assert fit.keys() | refused.keys() == {*honest, *hostile}
    assert all(refused.values())
    assert len(refused) > 20


def test_nothing_is_allocated_by_what_a_header_declares(tmp_path: Path) -> None:
    """A file of 10 KB that declared 2 GHz took 16 GB."""
    lies = {
        "rate.wav": {"rate": 2_000_000_000},
        "channels.wav": {"channels": 1_024, "rate": 1_000_000},
        "size.wav": {"data_size": 2**32 - 1, "rate": 1_000_000},
        "bits.wav": {"bits": 32, "channels": 1_024, "rate": 999_983},
    }
    (tmp_path / "honest.wav").write_bytes(wav(samples=8_000))
    for name, lie in lies.items():
        (tmp_path / name).write_bytes(wav(data=bytes(range(256)) * 64, **lie))
    alone = measured("-c", READ, str(tmp_path), "honest.wav", seconds=60)
    together = measured("-c", READ, str(tmp_path), "honest.wav", *lies, seconds=60)
    assert (alone.returncode, together.returncode) == (0, 0), together.stderr
    assert together.peak - alone.peak <= 200e6
    reasons = json.loads((tmp_path / "reasons.json").read_text())
    assert "2000000000 Hz" in reasons["rate.wav"]


def test_a_sample_of_hostile_tables_is_read_or_refused(tmp_path: Path) -> None:
    write_honest_files(tmp_path / "honest")
    outcomes = {outcome(tmp_path / "honest", tmp_path, *table) for table in hostile_tables(seed=0)[::12]}
    assert outcomes == {"read", "refused"}
