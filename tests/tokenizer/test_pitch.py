"""The stream of pitch: its codes, and that it goes through files, fingerprints and streams."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.reference import tracked_pitch
from tests.tokenizer.conftest import RATE
from tokenizer.codes import Codes, CodesFormat, PitchFormat
from tokenizer.health import measure_usage
from tokenizer.onnx import SoundToCodes
from tokenizer.options import PitchConfig
from tokenizer.parquet import CodedClip, read_codes, write_shard
from tokenizer.sources import flattened, transplanted
from tokenizer.tokenizer import PATCHES_PER_BLOCK, Tokenizer
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError

PITCH = PitchFormat(levels=8, lowest=100.0, highest=200.0)


def voice(seconds: float, hertz: float = 150.0) -> FloatArray:
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(0.1 / n * np.sin(2 * np.pi * n * hertz * time) for n in range(1, 9))
    noise = np.random.default_rng(0).normal(0, 0.05, (2, RATE // 10))
    return np.concatenate([noise[0], tone, noise[1]]).astype(np.float32)


@pytest.fixture(scope="module", params=["tokenizer", "banded_layered"])
def plain(request: pytest.FixtureRequest) -> Tokenizer:
    found: Tokenizer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def pitched(plain: Tokenizer) -> Tokenizer:
    config = replace(plain.config, pitch=PITCH)
    return Tokenizer(config, plain.mean, plain.std, plain.autoencoder, plain.centroids)


def test_codes_are_the_nearest_of_equal_steps() -> None:
    hertz = np.array([np.nan, 20.0, 100.0, 141.4, 158.0, 200.0, 390.0])
    assert PITCH.quantise(np.log2(hertz)).tolist() == [0, 1, 1, 4, 5, 7, 7]
    np.testing.assert_array_equal(PITCH.quantise(PITCH.octaves), np.arange(8))


def test_the_stream_is_the_pitch_of_each_patch(plain: Tokenizer, pitched: Tokenizer) -> None:
    samples = voice(0.2)[:-50]
    codes, frames = pitched.encode(samples, RATE), pitched.patch_frames
    np.testing.assert_array_equal(codes.values[:, :-1], plain.encode(samples, RATE).values)
    hops = tracked_pitch(samples, RATE, pitched.front_end.hop_length)
    for step, code in enumerate(codes.values[:, -1].tolist()):
        own = hops[step * frames : (step + 1) * frames]
        voiced = [each for each in own if not np.isnan(each)]
        nearest = [abs(float(np.mean(voiced)) - octaves) for octaves in PITCH.octaves[1:]] if voiced else []
        assert code == (1 + int(np.argmin(nearest)) if 2 * len(voiced) >= frames else 0)
    assert 0 < (codes.values[:, -1] > 0).mean() < 1


@pytest.mark.parametrize("cuts", [[1, 2], [4000, 4001, 20_000], [PATCHES_PER_BLOCK * 160]])
def test_a_stream_gives_the_codes_of_the_whole(pitched: Tokenizer, cuts: list[int]) -> None:
    samples = np.tile(voice(0.5), 5)
    streamed = pitched.encode_blocks(np.split(samples, cuts), RATE)
    np.testing.assert_array_equal(streamed.values, pitched.encode(samples, RATE).values)
    assert len(pitched.encode(samples[:0], RATE).values) == 0


def test_a_vocoder_serves_codes_with_pitch_and_a_language_model_does_not(plain: Tokenizer, pitched: Tokenizer) -> None:
    assert pitched.format.tokenizer == plain.format.tokenizer
    assert pitched.format.codebook != plain.format.codebook
    assert pitched.format.streams == 1 + plain.format.streams == 1 + pitched.format.spectral_streams
    assert pitched.format.bits_per_second == pytest.approx(
        plain.format.bits_per_second + plain.format.codes_per_second * 3
    )
    assert "pitch" not in plain.format.as_dict()


def test_pitch_says_nothing_about_the_spectrum(plain: Tokenizer, pitched: Tokenizer) -> None:
    values = torch.from_numpy(pitched.encode(voice(0.3), RATE).values)[None]
    assert torch.equal(pitched.spectrogram(values), plain.spectrogram(values[..., :-1]))
    clip = pitched.encode(voice(0.3), RATE)
    usage = measure_usage([clip], *pitched.codebooks.shape[:2])
    assert sum(usage.counts) == clip.values[:, :-1].size


def test_a_melody_is_flat_or_that_of_another_recording(pitched: Tokenizer) -> None:
    own, other = pitched.encode(voice(0.4), RATE), pitched.encode(voice(0.7, 120.0), RATE)
    voiced = own.values[:, -1] > 0
    flat, copied = flattened(own), transplanted(own, other)
    for made in (flat, copied):
        np.testing.assert_array_equal(made.values[:, :-1], own.values[:, :-1])
        np.testing.assert_array_equal(made.values[:, -1] > 0, voiced)
    assert {*flat.values[voiced, -1].tolist()} == {int(np.rint(np.median(own.values[voiced, -1])))}
    inner = slice(int(voiced.argmax()) + 3, len(voiced) - int(voiced[::-1].argmax()) - 3)
    hertz = 2 ** PITCH.octaves[copied.values[inner, -1]]
    assert np.abs(hertz - 120).max() < 10
    silent = replace(own, values=own.values * np.array([1] * (own.values.shape[1] - 1) + [0], np.int32))
    assert transplanted(own, silent) is own
    assert flattened(silent) is silent


def test_files_keep_the_stream(pitched: Tokenizer, tmp_path: Path) -> None:
    codes = pitched.encode(voice(0.3), RATE)
    write_shard(tmp_path / "a.parquet", [CodedClip(path="a.wav", codes=codes)], pitched.format)
    format, clips = read_codes(tmp_path / "a.parquet")
    assert format == pitched.format
    np.testing.assert_array_equal(next(clips).codes.values, codes.values)
    pitched.save_pretrained(tmp_path / "tokenizer")
    again = Tokenizer.from_pretrained(tmp_path / "tokenizer")
    assert again.format == pitched.format
    np.testing.assert_array_equal(again.encode(voice(0.3), RATE).values, codes.values)


def test_formats_that_cannot_be_are_refused(pitched: Tokenizer) -> None:
    for changes in ({"levels": 2}, {"lowest": 200.0}, {"highest": float("inf")}):
        with pytest.raises(InputError):
            replace(PITCH, **changes)
    sizes = {"samples_per_code": 160, "sample_rate": RATE, "tokenizer": "t", "codebook": "c", "pitch": PITCH}
    for codebook_size, streams in ((7, 2), (16, 1)):
        with pytest.raises(InputError, match="levels"):
            CodesFormat(codebook_size=codebook_size, streams=streams, **sizes)  # type: ignore[arg-type]  # shorthand
    values = np.full((1, pitched.format.streams), 9, np.int32)
    with pytest.raises(InputError, match="stream of pitch"):
        Codes(values=values, num_samples=1, format=pitched.format)
    with pytest.raises(InputError, match="levels"):
        PitchConfig(levels=2)
    with pytest.raises(InputError, match=r"pitch\.levels"):
        SoundToCodes(pitched)
