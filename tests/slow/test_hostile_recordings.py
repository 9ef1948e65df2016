"""The hostile corpus, run and encoded: nothing is fatal, every unfit file is named, and memory is bounded."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile.audio_files import write_honest_files, write_hostile_files
from tests.hostile.codes_files import hostile_tables, outcome
from tests.hostile.measured import Measured, measured
from tests.pipelines.tiny import save_run
from tests.pipelines.tiny_chain import OWN
from tests.rejected import read_rejected
from tokenizer.parquet import read_codes
from wordless.audio.recordings.inspection import frequent_reasons
from wordless.audio.recordings.manifest import printable, read_manifest

pytestmark = pytest.mark.slow
ABOVE_BASELINE = 200e6  # bytes
QUICK = ("corpus=folder", "stages=[lm]", "workers=1", "device=cpu")


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("honest")
    write_honest_files(root)
    return root


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hostile corpus, and the same honest recordings beside it."""
    root = tmp_path_factory.mktemp("hostile")
    write_honest_files(root)
    assert len(write_hostile_files(root)) >= 1_000
    return root


def listed(root: Path) -> set[str]:
    """What a command may find below a folder, as it is written down."""
    return {
        printable(str(path.relative_to(root)))
        for path in root.rglob("*")
        if not path.name.startswith(".") and path.name != "no_extension" and (path.suffix or not path.is_dir())
    }


def run(root: Path, place: Path) -> Measured:
    words = [*OWN, *QUICK, f"corpus.root={root}", f"store.root={place / 'store'}", f"hydra.run.dir={place / 'run'}"]
    return measured("-m", "pipelines.run", *words)


def encode(root: Path, place: Path) -> Measured:
    model = save_run(place / "model", seed=0)
    words = [f"model={model}", f"input={root}", f"output={place / 'codes.parquet'}", "device=cpu", "workers=1"]
    return measured("-m", "pipelines.cli", "encode", *words, f"store.root={place / 'store'}")


@pytest.mark.parametrize("command", [run, encode])
def test_every_unfit_file_is_named_and_the_others_are_used(
    command: Callable[[Path, Path], Measured], honest: Path, hostile: Path, tmp_path: Path
) -> None:
    """Each file is used or set aside with a reason, and no honest one is set aside."""
    alone, together = (command(root, tmp_path / root.name) for root in (honest, hostile))
    assert (alone.returncode, together.returncode) == (0, 0), together.stderr[-3000:]
    place = tmp_path / hostile.name
    if command is run:
        used = {clip.path for clip in read_manifest(place / "run/manifest.tsv", hostile).clips}
        rejected = read_rejected(place / "run/rejected.tsv")
    else:
        used = {clip.path for clip in read_codes(place / "codes.parquet")[1]}
        rejected = read_rejected(place / "codes.parquet.rejected.tsv")
    print(f"\n{command.__name__}: {len(used)} files used, {len(rejected)} set aside")
    print(frequent_reasons(rejected, most=20))
    print(f"peak {together.peak / 1e6:.0f} MB, {alone.peak / 1e6:.0f} MB on the honest files alone")
    refused = {each.path for each in rejected}
    assert used | refused == listed(hostile)
    assert not used & refused
    assert all(each.reason for each in rejected)
    assert {str(path.relative_to(honest)) for path in honest.rglob("*.*")} <= used
    assert any(path.startswith("honest 1/") for path in used)
    assert together.peak - alone.peak <= ABOVE_BASELINE


def test_every_table_is_read_or_refused_in_one_line(honest: Path, tmp_path: Path) -> None:
    tables = hostile_tables(seed=0)
    assert len(tables) >= 200
    outcomes = Counter(outcome(honest, tmp_path, name, content) for name, content in tables)
    print(f"\ntables: {dict(outcomes)}")
    assert outcomes["refused"] > 100
    assert outcomes["read"] > 10
