"""Codes of the views of a clip of a finished run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from audio.reading import read_blocks
from audio.recordings.manifest import read_manifest
from audio.spectrogram import log_mel_stream
from audio.warping import warp
from tests.pipelines.conftest import FinishedRun
from tokenizer.encoder import Encoder, encode_clip
from tokenizer.views import View, encode_view


@pytest.fixture
def encoder(finished_run: FinishedRun) -> Encoder:
    (root,) = (finished_run.store / "embedded").glob("embedded-*/")
    return Encoder(folder=finished_run.folder / "tokenizer", root=root)


def test_a_faster_view_has_fewer_codes_in_the_same_order(encoder: Encoder, finished_run: FinishedRun) -> None:
    clip = read_manifest(finished_run.folder / "manifest.tsv", encoder.root).of("train")[0]
    plain = encode_clip(encoder, (clip, 0)).codes
    assert np.array_equal(encode_view(encoder, (clip, View())).codes.values, plain.values)
    fast = encode_view(encoder, (clip, View(speed=2.0))).codes
    assert len(fast.values) == pytest.approx(len(plain.values) / 2, abs=1)
    assert fast.num_samples == len(fast.values) * plain.format.samples_per_code
    lower = encode_view(encoder, (clip, View(formants=1.3))).codes
    assert len(lower.values) == pytest.approx(len(plain.values), abs=1)
    assert not np.array_equal(lower.values[: len(plain.values) - 1], plain.values[: len(lower.values)][:-1])


def test_a_view_keeps_path_and_split(encoder: Encoder, finished_run: FinishedRun) -> None:
    clip = replace(read_manifest(finished_run.folder / "manifest.tsv", encoder.root).clips[0], split="train")
    coded = encode_view(encoder, (clip, View(offset_frames=1, speed=1.1)))
    assert (coded.path, coded.split, coded.offset_frames) == (clip.path, "train", 1)


def test_the_views_of_a_clip_do_not_depend_on_what_was_encoded_before(
    encoder: Encoder, finished_run: FinishedRun
) -> None:
    """Warped views share the clip's log-mel; the oracle computes it for each of them."""
    first, second = read_manifest(finished_run.folder / "manifest.tsv", encoder.root).of("train")[:2]
    views = (View(speed=1.1, dynamic_range=30.0), View(formants=1.2), View(speed=0.9, dynamic_range=50.0))
    tokenizer = encoder.tokenizer
    for clip, view in [(clip, view) for clip in (first, second, first) for view in views]:
        blocks = read_blocks(encoder.root / clip.path, encoder.format.sample_rate, part=clip.part)
        (whole,) = log_mel_stream(tokenizer.log_mel, blocks, frames=10_000, dynamic_range=view.dynamic_range)
        speeds, formants = torch.tensor([view.speed]), torch.tensor([view.formants])
        warped = warp(whole[None], torch.tensor([len(whole)]), speeds=speeds, formants=formants)[0][0]
        patches = len(warped) // tokenizer.patch_frames
        wanted = tokenizer.encode_spectrogram(warped[: patches * tokenizer.patch_frames])
        assert np.array_equal(encode_view(encoder, (clip, view)).codes.values, wanted.numpy())
