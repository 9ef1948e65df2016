"""Codes of stored log-mel, and which views of a clip there are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.pipelines.tiny import AUDIO, sweep, tiny_tokenizer
from tokenizer.encoder import (
    Encoder,
    bottlenecks_of_frames,
    codes_of_frames,
    encode_clips,
    log_mel_pieces,
    signals,
    whole_patches,
)
from tokenizer.options import View, ViewsConfig
from tokenizer.tokenizer import Tokenizer
from wordless.audio.options import MeanRemoval
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import LogMel
from wordless.base.errors import InputError


def _encoder(folder: Path, remove_mean: MeanRemoval) -> Encoder:
    """A tokenizer whose centroids are bottlenecks of the clip, so that its codes differ."""
    plain = tiny_tokenizer(0)
    config = replace(plain.config, audio=replace(AUDIO, remove_mean=remove_mean))
    spectrogram = LogMel(config.audio)(torch.from_numpy(read(folder / "a.wav", AUDIO.sample_rate).samples)[None])
    with torch.inference_mode():
        bottlenecks = plain.bottlenecks(plain.normalise(spectrogram)).flatten(0, 2)
    rows = torch.linspace(0, len(bottlenecks) - 1, len(plain.centroids)).long()
    made = Tokenizer(config, plain.mean, plain.std, plain.autoencoder, bottlenecks[rows].clone())
    made.save_pretrained(folder / "tokenizer")
    return Encoder(folder=folder / "tokenizer", root=folder)


def test_codes_of_log_mel_are_those_of_the_recording(tmp_path: Path) -> None:
    clip = _clip(tmp_path)
    hows: tuple[MeanRemoval, ...] = ("none", "clip")
    for how in hows:
        encoder = _encoder(tmp_path, remove_mean=how)
        tokenizer = encoder.tokenizer
        samples = read(tmp_path / "a.wav", AUDIO.sample_rate).samples
        pieces = torch.cat([*log_mel_pieces(tokenizer, [samples], len(samples))])
        short = pieces[: 3 * tokenizer.patch_frames]
        plain, first = codes_of_frames(tokenizer, [pieces, short])
        np.testing.assert_array_equal(plain.values, encode_clips(encoder, [(clip, 0)])[0].codes.values)
        assert len({*plain.values.flat}) > 3
        assert len(first.values) == 3


@pytest.mark.parametrize("how", ["none", "clip", "running"])
@pytest.mark.parametrize("at_once", [3, 500])
def test_bottlenecks_in_joint_batches_are_those_of_each_recording(
    how: MeanRemoval, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _clip(tmp_path)
    tokenizer = _encoder(tmp_path, remove_mean=how).tokenizer
    size, mels = tokenizer.patch_frames, AUDIO.n_mels
    rng = torch.Generator().manual_seed(0)
    recordings = [torch.randn(frames, mels, generator=rng) for frames in (1, 2 * size + 1, 9 * size, size, size)]
    pieces = [[whole_patches(frames, size)] for frames in recordings]
    wanted = [torch.cat([each for _, each in signals(tokenizer, own)]) for own in pieces]
    monkeypatch.setattr("tokenizer.encoder.PATCHES_AT_ONCE", at_once)
    found = bottlenecks_of_frames(tokenizer, recordings)
    assert [len(each) for each in found] == [1, 3, 9, 1, 1]
    for own, alone in zip(found, wanted, strict=True):
        torch.testing.assert_close(own, alone)
    assert bottlenecks_of_frames(tokenizer, []) == []


def test_the_last_patch_is_made_whole_by_its_last_frame() -> None:
    frames = torch.arange(5.0)[:, None]
    assert whole_patches(frames, 3)[:, 0].tolist() == [0, 1, 2, 3, 4, 4]
    assert whole_patches(frames[:3], 3)[:, 0].tolist() == [0, 1, 2]


def _clip(folder: Path) -> Clip:
    samples = sweep(0.5, AUDIO.sample_rate)
    soundfile.write(folder / "a.wav", samples, AUDIO.sample_rate)
    return Clip(path="a.wav", num_samples=len(samples), sample_rate=AUDIO.sample_rate, size=0, sha256="")


def config(**changes: Any) -> ViewsConfig:
    return ViewsConfig(**{"offsets": True, "warps": 3, "max_speed": 0.2, "max_formants": 0.1, "seed": 0, **changes})


def test_views_are_every_other_offset_and_so_many_warps() -> None:
    views = config().of("a.wav", patch_frames=4)
    assert views[:3] == tuple(View(offset_frames=offset) for offset in (1, 2, 3))
    assert len(views) == 6
    for view in views[3:]:
        assert 1 / 1.2 <= view.speed <= 1.2
        assert 1 / 1.1 <= view.formants <= 1.1
    assert config(offsets=False, warps=0).of("a.wav", 4) == ()


def test_a_clip_is_warped_alike_whatever_else_there_is_and_draws_dynamic_ranges() -> None:
    assert config().of("a.wav", 2) == config().of("a.wav", 2)
    assert len({config().of("a.wav", 2), config().of("b.wav", 2), config(seed=1).of("a.wav", 2)}) == 3
    views = config(dynamic_ranges=(22.0, 50.0)).of("a.wav", 4)
    assert [view.dynamic_range for view in views[:3]] == [None] * 3
    drawn = [view.dynamic_range for view in views[3:]]
    assert len(set(drawn)) == 3
    assert all(each is not None and 22 <= each <= 50 for each in drawn)
    plain = config().of("a.wav", 4)
    assert [replace(view, dynamic_range=None) for view in views] == list(plain)


def test_ranges_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(InputError, match=r"^dynamic_ranges\b"):
        config(dynamic_ranges=(50.0, 22.0))
