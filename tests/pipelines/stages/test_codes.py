"""Codes of the views of a clip of a finished run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lm.options import VectorConfig
from lm.probing.vectors import FloatArray, bags_of_codes
from pipelines.stages import features
from pipelines.stages.features import HeardCodes
from pipelines.store.store import Entry
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import tiny_tokenizer
from tokenizer.codes import Codes
from tokenizer.encoder import Encoder, encode_clips, encode_views
from tokenizer.options import View
from tokenizer.parquet import CodedClip, mark_complete, shard_path, write_shard
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.manifest import Clip, read_manifest
from wordless.audio.spectrogram import log_mel_stream, warp


@pytest.fixture
def encoder(finished_run: FinishedRun) -> Encoder:
    (root,) = (finished_run.store / "embedded").glob("embedded-*/")
    return Encoder(folder=finished_run.folder / "tokenizer", root=root)


def test_a_faster_view_has_fewer_codes_in_the_same_order(encoder: Encoder, finished_run: FinishedRun) -> None:
    clip = read_manifest(finished_run.folder / "manifest.tsv", encoder.root).of("train")[0]
    plain = encode_clips(encoder, [(clip, 0)])[0].codes
    views = (View(speed=2.0), View(), View(formants=1.3))
    fast, same, lower = (made.codes for made in encode_views(encoder, (clip, views)))
    assert np.array_equal(same.values, plain.values)
    assert len(fast.values) == pytest.approx(len(plain.values) / 2, abs=1)
    assert fast.num_samples == len(fast.values) * plain.format.samples_per_code
    assert len(lower.values) == pytest.approx(len(plain.values), abs=1)
    assert not np.array_equal(lower.values[: len(plain.values) - 1], plain.values[: len(lower.values)][:-1])


def test_a_view_keeps_path_and_split(encoder: Encoder, finished_run: FinishedRun) -> None:
    clip = replace(read_manifest(finished_run.folder / "manifest.tsv", encoder.root).clips[0], split="train")
    [coded] = encode_views(encoder, (clip, [View(offset_frames=1, speed=1.1)]))
    assert (coded.path, coded.split, coded.offset_frames) == (clip.path, "train", 1)


@pytest.mark.parametrize("at_once", [10_000, 12], ids=["short", "long"])
def test_the_views_of_a_clip_are_those_that_are_encoded_one_by_one(
    encoder: Encoder, finished_run: FinishedRun, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """The copies of a short clip share its log-mel and a batch; the oracle encodes each piece of each view alone."""
    monkeypatch.setattr("tokenizer.encoder.FRAMES_AT_ONCE", at_once)
    tokenizer = encoder.tokenizer
    views = (View(speed=1.1, dynamic_range=30.0), View(formants=1.2), View(speed=0.9, dynamic_range=50.0))
    for clip in read_manifest(finished_run.folder / "manifest.tsv", encoder.root).of("train")[:2]:
        found = encode_views(encoder, (clip, [View(offset_frames=1), *views]))
        assert np.array_equal(found[0].codes.values, encode_clips(encoder, [(clip, 1)])[0].codes.values)
        for view, made in zip(views, found[1:], strict=True):
            blocks = read_blocks(encoder.root / clip.path, encoder.format.sample_rate, part=clip.part)
            wanted = []
            for piece in log_mel_stream(tokenizer.log_mel, blocks, frames=at_once, dynamic_range=view.dynamic_range):
                speeds, formants = torch.tensor([view.speed]), torch.tensor([view.formants])
                warped = warp(piece[None], torch.tensor([len(piece)]), speeds=speeds, formants=formants)[0][0]
                whole = warped[: len(warped) // tokenizer.patch_frames * tokenizer.patch_frames]
                wanted.append(tokenizer.encode_spectrogram(whole).numpy())
            assert np.array_equal(made.codes.values, np.concatenate(wanted))


def test_a_clip_without_a_patch_has_views_without_codes(encoder: Encoder, tmp_path: Path) -> None:
    tokenizer, rate = encoder.tokenizer, encoder.format.sample_rate
    hop, patch = tokenizer.config.audio.hop_length, tokenizer.config.samples_per_code
    views = [View(speed=0.9), View(speed=0.5, patch_frames=4 * tokenizer.patch_frames), View(formants=1.1)]
    for num_samples in (hop // 2, patch - hop, patch):
        soundfile.write(tmp_path / "short.wav", np.full(num_samples, 0.1, np.float32), rate)
        clip = Clip(path="short.wav", num_samples=num_samples, sample_rate=rate, size=1, sha256="")
        made = encode_views(replace(encoder, root=tmp_path), (clip, views))
        assert [len(each.codes.values) for each in made][1:] == [0, num_samples // patch]


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
