"""Features pooled while a recording is read, against those of the whole."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from lm.probing.vectors import POOLINGS, VECTORS, VectorConfig, pool
from pipelines.stages.features import bottleneck_vectors, frame_features, log_mel_vectors
from pipelines.store.store import CachedArtifact
from tests.pipelines.tiny import AUDIO, reading_of, silent_session, sweep, tiny_tokenizer, write_clip
from tokenizer.encoder import Encoder
from tokenizer.tokenizer import PATCHES_AT_ONCE, Tokenizer
from wordless.audio.audio_options import MeanRemoval
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clips
from wordless.audio.spectrogram import LogMel
from wordless.audio.views import View, fixed_augmentations
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError


@pytest.mark.parametrize("seconds", [0.01, 0.333, 2.5 * PATCHES_AT_ONCE * 2 * 40 / 4000])
@pytest.mark.parametrize(("how", "mels"), [("none", None), ("none", 8), ("clip", None), ("running", None)])
def test_pooling_in_pieces_is_pooling_the_whole_with_and_without_a_mean(
    how: MeanRemoval, mels: int | None, seconds: float, tmp_path: Path
) -> None:
    plain = tiny_tokenizer(0, mels=mels)
    config = replace(plain.config, audio=replace(AUDIO, remove_mean=how))
    Tokenizer(config, plain.mean, plain.std, plain.autoencoder, plain.centroids).save_pretrained(tmp_path / "tokenizer")
    view = View(write_clip(tmp_path, "a.wav", sweep(seconds, AUDIO.sample_rate)))
    encoder = Encoder(folder=tmp_path / "tokenizer", root=tmp_path)
    found = log_mel_vectors(encoder, view) | bottleneck_vectors(encoder, view)
    samples = read(tmp_path / "a.wav", AUDIO.sample_rate).samples
    padded = torch.from_numpy(np.pad(samples, (0, -len(samples) % config.samples_per_code)))[None]
    with torch.inference_mode():
        recorded, removed = (LogMel(each)(padded)[0] for each in (AUDIO, config.audio))
        heard = plain.normalise(removed)
        bottlenecks = plain.bottlenecks(heard[None])[0].flatten(1)
    frames = {"log_mel": heard.numpy(), "bottleneck": bottlenecks.numpy()}
    if how != "none":
        above_floor = recorded.numpy() - math.log(AUDIO.floor)
        frames |= {"log_mel/as_heard": frames.pop("log_mel"), "log_mel/as_recorded": above_floor}
    wanted = {f"{of}:{pooling}": pool(each, pooling) for of, each in frames.items() for pooling in POOLINGS}
    if how == "clip":
        constant = wanted.pop("log_mel/as_heard:mean")
        np.testing.assert_allclose(constant, -(plain.mean / plain.std).numpy(), atol=1e-4)
    assert set(found) == set(wanted)
    for key, values in wanted.items():
        np.testing.assert_allclose(found[key], values, atol=1e-4)


def levels(samples: FloatArray, *, hop: int, spoil: bool = False) -> FloatArray:
    """Two values for each hop of samples."""
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    return np.stack([frames.mean(1), np.full(len(frames), np.nan if spoil else 1, np.float32)], axis=1)


@pytest.fixture
def manifest(tmp_path: Path) -> Clips:
    """Two recordings of 0.2 and 0.3 s."""
    named = (("a.wav", 0.2), ("b.wav", 0.3))
    return Clips.from_rows(tmp_path, [write_clip(tmp_path, name, sweep(each, 8000), 8000) for name, each in named])


def made(manifest: Clips, store: Path, frames: partial[FloatArray], vectors: VectorConfig = VECTORS) -> CachedArtifact:
    session = silent_session(store.parent)
    return frame_features(session, reading_of(manifest, vectors, sample_rate=4000), frames, method="levels")


@pytest.mark.parametrize("count", [1, 3])
def test_frames_of_each_clip_are_pooled_averaged_over_augmentations_and_must_be_finite(
    count: int, manifest: Clips, tmp_path: Path
) -> None:
    vectors, frames = VectorConfig(test_time_augmentation=count), partial(levels, hop=40)
    tensors = load_file(made(manifest, tmp_path / "store", frames, vectors).folder / "features.safetensors")
    assert set(tensors) == {f"levels:{pooling}" for pooling in POOLINGS}
    for row, clip in enumerate(manifest.clips):
        heard = [frames(View(clip, each).samples(manifest.root, 4000)) for each in fixed_augmentations(count, None)]
        assert len({len(each) for each in heard}) == count  # slower and faster
        for pooling in POOLINGS:
            wanted = np.mean([pool(each, pooling) for each in heard], axis=0)
            np.testing.assert_allclose(tensors[f"levels:{pooling}"][row], wanted, rtol=1e-6)
    with pytest.raises(InputError, match=r"a\.wav: .*levels\b.*not finite"):
        made(manifest, tmp_path / "store", partial(levels, hop=40, spoil=True), vectors)


def test_folds_share_them_and_other_options_do_not(manifest: Clips, tmp_path: Path) -> None:
    first = made(manifest, tmp_path / "store", partial(levels, hop=40))
    assert made(manifest.with_columns(split="test"), tmp_path / "store", partial(levels, hop=40)).key == first.key
    assert made(manifest, tmp_path / "store", partial(levels, hop=80)).key != first.key
    assert (
        made(manifest, tmp_path / "store", partial(levels, hop=40), VectorConfig(test_time_augmentation=2)).key
        != first.key
    )
