"""Vectors of codes that are read in blocks of clips, with several hearings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lm.options import VectorConfig
from lm.probing.vectors import FloatArray, bags_of_codes
from pipelines.stages import features
from pipelines.stages.features import HeardCodes
from pipelines.store.store import Entry
from tests.pipelines.tiny import tiny_tokenizer
from tokenizer.codes import Codes
from tokenizer.parquet import CodedClip, mark_complete, shard_path, write_shard

HEARINGS, CLIPS = 3, 7


def _entry(folder: Path, recordings: Sequence[Codes]) -> Entry:
    folder.mkdir()
    clips = [CodedClip(path=f"{number:03d}.wav", codes=codes) for number, codes in enumerate(recordings)]
    write_shard(shard_path(folder, 0), clips, recordings[0].format)
    mark_complete(folder, shards=1, clips=len(clips))
    return Entry(stage="codes", key=folder.name, folder=folder, reused=True)


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_blocks_of_any_size_give_the_mean_over_the_hearings(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form, rng = tiny_tokenizer(0).format, np.random.default_rng(0)
    step = form.samples_per_code
    heard = [  # by clip, then by hearing
        [
            Codes(
                values=rng.integers(form.codebook_size, size=(9, 1), dtype=np.int32), num_samples=9 * step, format=form
            )
            for _ in range(HEARINGS)
        ]
        for _ in range(CLIPS)
    ]
    coded = HeardCodes(
        codes=_entry(tmp_path / "codes", [first for first, *_ in heard]),
        heard=_entry(tmp_path / "heard", [codes for _, *others in heard for codes in others]),
        vectors=VectorConfig(hearings=HEARINGS),
    )
    monkeypatch.setattr(features, "CLIPS_AT_ONCE", at_once)

    def bags(clips: Sequence[Codes]) -> dict[str, FloatArray]:
        return {"bag:mean": np.stack([bags_of_codes(codes, ["mean"])["mean"] for codes in clips])}

    wanted = [np.mean([bags_of_codes(codes, ["mean"])["mean"] for codes in hearings], axis=0) for hearings in heard]
    np.testing.assert_allclose(coded.pooled(bags)["bag:mean"], wanted, atol=1e-6)
