"""Codes of a clip in one of its hearings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch

from audio.reading import read
from audio.recordings.hearings import AS_RECORDED, Hearing
from audio.recordings.manifest import Clip
from audio.spectrogram import LogMel
from tests.pipelines.tiny import AUDIO, sweep, tiny_tokenizer
from tokenizer.encoder import Encoder, encode_clip, encode_hearing
from tokenizer.tokenizer import Tokenizer


def _encoder(folder: Path, dynamic_range: float | None = None) -> Encoder:
    """A tokenizer whose centroids are bottlenecks of the clip, so that its codes differ."""
    plain = tiny_tokenizer(0)
    config = replace(plain.config, audio=replace(AUDIO, dynamic_range=dynamic_range))
    spectrogram = LogMel(config.audio)(torch.from_numpy(read(folder / "a.wav", AUDIO.sample_rate).samples)[None])
    with torch.inference_mode():
        bottlenecks = plain.bottlenecks(plain.normalise(spectrogram)).flatten(0, 2)
    rows = torch.linspace(0, len(bottlenecks) - 1, len(plain.centroids)).long()
    made = Tokenizer(config, plain.mean, plain.std, plain.autoencoder, bottlenecks[rows].clone())
    made.save_pretrained(folder / "tokenizer")
    return Encoder(folder=folder / "tokenizer", root=folder)


def test_a_recording_as_it_is_has_its_own_codes(tmp_path: Path) -> None:
    clip = _clip(tmp_path)
    encoder = _encoder(tmp_path)
    plain, heard = encode_clip(encoder, (clip, 0)).codes, encode_hearing(encoder, (clip, AS_RECORDED)).codes
    np.testing.assert_array_equal(plain.values, heard.values)
    assert plain.num_samples == heard.num_samples
    assert len({*plain.values.flat}) > 3


def test_another_hearing_has_the_codes_of_its_own_samples(tmp_path: Path) -> None:
    clip = _clip(tmp_path)
    encoder, hearing = _encoder(tmp_path), Hearing(rate=1.25, skipped=0.01)
    samples = np.concatenate([*hearing.blocks(tmp_path, clip, AUDIO.sample_rate)])
    found = encode_hearing(encoder, (clip, hearing)).codes
    np.testing.assert_array_equal(found.values, encoder.tokenizer.encode(samples, AUDIO.sample_rate).values)
    assert found.num_samples == len(samples)


def test_a_hearing_bounds_the_range_where_the_front_end_does(tmp_path: Path) -> None:
    clip = _clip(tmp_path)
    encoder = _encoder(tmp_path, dynamic_range=40.0)
    narrow = encode_hearing(encoder, (clip, Hearing(dynamic_range=0.1))).codes
    assert not np.array_equal(narrow.values, encode_clip(encoder, (clip, 0)).codes.values)


def _clip(folder: Path) -> Clip:
    samples = sweep(0.5, AUDIO.sample_rate)
    soundfile.write(folder / "a.wav", samples, AUDIO.sample_rate)
    return Clip(path="a.wav", num_samples=len(samples), sample_rate=AUDIO.sample_rate, size=0, sha256="")
