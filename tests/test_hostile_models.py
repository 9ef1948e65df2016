"""Altered model folders and codes files through the public loaders: success, or one line that names the file."""

import resource
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.hostile.codes_files import codes_files
from tests.hostile.measured import succeeds_or_names
from tests.hostile.model_folders import Alteration, alterations, altered
from tests.pipelines.tiny import save_run, sweep, tiny_tokenizer
from tests.wordless.base.test_saved_models import LOADERS
from tokenizer.codes import require_same_codebook
from tokenizer.parquet import CodedClip, read_codes
from tokenizer.tokenizer import Tokenizer
from tokenizer.units import read_units
from wordless.audio.waveform import Waveform

MOST_MEMORY = 300 << 10  # KiB above what the process had


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run, and one of other models."""
    place = tmp_path_factory.mktemp("hostile")
    return save_run(place / "run", seed=0), save_run(place / "other", seed=1)


def peak() -> int:
    """KiB of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def tried(runs: tuple[Path, Path], place: Path, chosen: Sequence[Alteration]) -> list[str]:
    """Load the altered part of each folder; the refusals."""
    refused: list[str] = []
    sound = Waveform(samples=sweep(0.3, 4000), sample_rate=4000)
    expected = Tokenizer.from_pretrained(runs[0] / "tokenizer").encode(sound).values
    before = peak()
    for alteration in chosen:
        folder = altered(runs[0], place / "altered", alteration) / alteration.part
        with succeeds_or_names(folder, refused):
            model = LOADERS[alteration.part](folder)
            if isinstance(model, Tokenizer):
                assert np.array_equal(model.encode(sound).values, expected), alteration.name
    assert peak() - before < MOST_MEMORY
    return refused


@pytest.mark.parametrize("every", [40, pytest.param(1, marks=pytest.mark.slow)])
def test_altered_folders(runs: tuple[Path, Path], tmp_path: Path, every: int) -> None:
    chosen = [*alterations(*runs, tmp_path / "planted")][::every]
    refused = tried(runs, tmp_path, chosen)
    print(f"{len(chosen)} altered model folders: {len(refused)} refused, {len(chosen) - len(refused)} the same")
    assert len(chosen) >= 1900 // every
    assert len(refused) > 0.9 * len(chosen)
    assert not (tmp_path / "planted").exists()


def read_whole(path: Path, own: Tokenizer) -> list[CodedClip]:
    """All clips of codes or units that belong to a tokenizer."""
    if path.suffix == ".txt":
        return read_units(path, own.format)
    codes_format, clips = read_codes(path)
    require_same_codebook(own.format, codes_format, owner=f"{path}: the tokenizer")
    return list(clips)


def test_altered_codes_files(tmp_path: Path) -> None:
    own, refused, count = tiny_tokenizer(0), [], 0
    before = peak()
    for path in codes_files(tmp_path, own.format):
        count += 1
        with succeeds_or_names(path, refused):
            for clip in read_whole(path, own):
                assert clip.codes.format == own.format
                assert clip.codes.values.dtype == np.int32
        path.unlink()
    assert count >= 200
    assert 0.8 * count < len(refused) < count
    assert peak() - before < MOST_MEMORY
    print(f"{count} codes files: {len(refused)} refused, {count - len(refused)} read")
