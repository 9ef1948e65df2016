"""Codes of log-mel, and which views of a clip there are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.pipelines.tiny import AUDIO, sweep, tiny_tokenizer
from tokenizer.encoder import Encoder, encode
from tokenizer.options import ViewsConfig
from tokenizer.tokenizer import Tokenizer
from wordless.audio.options import MeanRemoval
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import LogMel, subtract_mean
from wordless.audio.views import Change, View
from wordless.base.errors import InputError


@pytest.mark.parametrize("how", ["none", "clip"])
def test_codes_of_log_mel_are_those_of_the_recording(how: MeanRemoval, tmp_path: Path) -> None:
    """The centroids are bottlenecks of the clip, so that its codes differ."""
    samples, plain = sweep(0.5, AUDIO.sample_rate), tiny_tokenizer(0)
    soundfile.write(tmp_path / "a.wav", samples, AUDIO.sample_rate)
    clip = Clip(path="a.wav", num_samples=len(samples), sample_rate=AUDIO.sample_rate, size=0, sha256="")
    config = replace(plain.config, audio=replace(AUDIO, remove_mean=how))
    spectrogram = LogMel(config.audio)(torch.from_numpy(read(tmp_path / "a.wav", AUDIO.sample_rate).samples)[None])
    with torch.inference_mode():
        bottlenecks = plain.bottlenecks(plain.normalise(spectrogram)).flatten(0, 2)
    rows = torch.linspace(0, len(bottlenecks) - 1, len(plain.centroids)).long()
    made = Tokenizer(config, plain.mean, plain.std, plain.autoencoder, bottlenecks[rows].clone())
    made.save_pretrained(tmp_path / "tokenizer")
    encoder = Encoder(folder=tmp_path / "tokenizer", root=tmp_path)
    [coded] = encode(encoder, [View(clip)])
    frames = torch.cat([*encoder.log_mel(View(clip), encoder.tokenizer.patch_frames)])
    assert len(frames) == encoder.num_patches(View(clip), encoder.tokenizer.patch_frames) * 2
    values = encoder.tokenizer.encode_spectrogram(torch.cat([*subtract_mean([frames], how)]))
    np.testing.assert_array_equal(coded.codes.values, values.numpy())
    assert len({*values.flatten().tolist()}) > 3


def config(**changes: Any) -> ViewsConfig:
    return ViewsConfig(**{"offsets": True, "warps": 3, "max_speed": 0.2, "max_formants": 0.1, "seed": 0, **changes})


def _changes(name: str = "a.wav", **changes: Any) -> tuple[Change, ...]:
    clip = Clip(path=name, num_samples=1, sample_rate=1, size=0, sha256="")
    views = config(**changes).of(clip, 4)
    assert all(view.clip == clip for view in views)
    return tuple(view.change for view in views)


def test_views_are_every_other_offset_and_so_many_warps() -> None:
    changes = _changes()
    assert changes[:3] == tuple(Change(offset_frames=offset) for offset in (1, 2, 3))
    assert len(changes) == 6
    for change in changes[3:]:
        assert 1 / 1.2 <= change.speed <= 1.2
        assert 1 / 1.1 <= change.formants <= 1.1
    assert _changes(offsets=False, warps=0) == ()


def test_a_clip_is_warped_alike_whatever_else_there_is_and_draws_dynamic_ranges() -> None:
    assert _changes() == _changes()
    assert len({_changes(), _changes("b.wav"), _changes(seed=1)}) == 3
    changes = _changes(dynamic_ranges=(22.0, 50.0))
    assert [change.dynamic_range for change in changes[:3]] == [None] * 3
    drawn = [change.dynamic_range for change in changes[3:]]
    assert len(set(drawn)) == 3
    assert all(each is not None and 22 <= each <= 50 for each in drawn)
    assert tuple(replace(change, dynamic_range=None) for change in changes) == _changes()


def test_ranges_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(InputError, match=r"^dynamic_ranges\b"):
        config(dynamic_ranges=(50.0, 22.0))
