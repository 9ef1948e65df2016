"""Spectrograms, SimCLR, the supervised encoder and their features, through the store."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from lm.bodies.convolutional import create_encoder, statistics
from lm.bodies.options import PIECE_FRAMES
from lm.options import POOLINGS, VECTORS, VectorConfig
from lm.probing.vectors import pool
from pipelines.settings.run_rules import run_settings
from pipelines.stages.networks import convolutional
from pipelines.stages.pretraining import simclr
from pipelines.stages.stored_arrays import spectrograms, stored_clips, stored_names
from pipelines.stages.tokenizer import frame_sample
from pipelines.store.session import Session
from pipelines.store.store import Entry
from tests.pipelines.stages.conftest import write_clip
from tests.pipelines.tiny import AUDIO, reading_of, silent_session, sweep
from tests.pipelines.tiny_chain import composed
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clip, Clips, Split
from wordless.audio.spectrogram import LogMel
from wordless.audio.views import View, hearings
from wordless.base.array_types import FloatArray

SPLITS: tuple[Split, ...] = (*["train"] * 6, *["validation"] * 2, *["test"] * 2)
CLASSES = ("falls", "rises")


TRAINED = ("precision=fp32", "steps=20", "validate_every=10", "warmup_steps=2", "lr=3e-3")
OPTIONS = run_settings(
    composed(
        Path("store"),
        *("baselines=tiny", "tokenizer=tiny", "tokenizer.fit.precision=fp32"),
        *(f"baselines.{name}.fit.{word}" for name in ("simclr", "supervised") for word in TRAINED),
        *(f"baselines.{name}.batches.batch_size=8" for name in ("simclr", "supervised")),
    )
)
SETTINGS = OPTIONS.baselines


def _sound(label: str, number: int) -> FloatArray:
    rng = np.random.default_rng([number, len(label)])
    tone = sweep(0.3 + 0.05 * number, AUDIO.sample_rate, low=200 + 10 * number)
    return (tone[:: -1 if label == "falls" else 1] + rng.normal(0, 0.01, len(tone))).astype(np.float32)


def _clip(root: Path, name: str, samples: FloatArray, label: str | None, split: Split) -> Clip:
    return write_clip(root, name, samples, label, split, AUDIO.sample_rate)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    root, numbered = tmp_path_factory.mktemp("corpus"), [*enumerate(SPLITS)]
    places = [(label, number, split) for label in CLASSES for number, split in numbered]
    clips = (_clip(root, f"{label}_{n}.wav", _sound(label, n), label, split) for label, n, split in places)
    return Clips.from_rows(root, clips)


@pytest.fixture(scope="module")
def sample(session: Session, manifest: Clips) -> Entry:
    return frame_sample(session, manifest, AUDIO, OPTIONS.tokenizer)


@pytest.fixture(scope="module")
def stored(session: Session, manifest: Clips, sample: Entry) -> Entry:
    return spectrograms(session, manifest, AUDIO, sample)


def _relabelled(manifest: Clips, **others: str | None) -> Clips:
    """The clips with other labels, by the clip's name without its suffix."""
    clips = (replace(clip, label=others.get(Path(clip.path).stem, clip.label)) for clip in manifest.clips)
    return Clips.from_rows(manifest.root, clips)


def _supervised(session: Session, manifest: Clips, sample: Entry, stored: Entry) -> Entry:
    reading = reading_of(session, manifest)
    return convolutional(reading, sample, SETTINGS).train(reading, stored, CLASSES)


def _features(
    session: Session, manifest: Clips, sample: Entry, method: str, vectors: VectorConfig = VECTORS, **made: Entry
) -> Entry:
    """Features of a network of the manifest, ``trained`` on labels or of ``simclr``."""
    reading = reading_of(session, manifest, vectors)
    return convolutional(reading, sample, SETTINGS, simclr=made.get("simclr")).features(
        reading, method, made.get("trained")
    )


def _normalised(samples: FloatArray, sample: Entry) -> torch.Tensor:
    """Log-mel of samples, the last hop filled up."""
    padded = np.pad(samples, (0, -len(samples) % AUDIO.hop_length))
    mean, std = statistics(sample.folder)
    return (LogMel(AUDIO)(torch.from_numpy(padded)[None])[0] - mean) / std


def _hashes(entry: Entry) -> dict[str, str]:
    """Of all that the stage wrote."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(entry.folder.iterdir())
        if path.name not in ("entry.json", "timings.json", "curve.json")
    }


def test_spectrograms_of_train_and_validation_lie_on_disk(manifest: Clips, sample: Entry, stored: Entry) -> None:
    splits: tuple[Split, ...] = ("train", "validation")
    for split in splits:
        clips, paths = stored_clips(stored, split), stored_names(stored, split)
        assert paths == [clip.path for clip in manifest.of(split)]
        for row, path in enumerate(paths):
            found, (length,) = clips.read(np.array([row]), at_most=10_000)
            own = read(manifest.root / path, AUDIO.sample_rate).samples
            torch.testing.assert_close(found[0], _normalised(own, sample), atol=5e-3, rtol=2e-3)
            assert length == found.shape[1]
    assert np.load(stored.folder / "values.npy", mmap_mode="r").dtype == np.float16


@pytest.fixture(scope="module")
def contrasted(session: Session, stored: Entry) -> Entry:
    return simclr(session, stored, (), SETTINGS)


@pytest.fixture(scope="module")
def labelled(session: Session, manifest: Clips, sample: Entry, stored: Entry) -> Entry:
    return _supervised(session, manifest, sample, stored)


def test_one_seed_gives_the_same_bytes(manifest: Clips, contrasted: Entry, labelled: Entry, tmp_path: Path) -> None:
    session = silent_session(tmp_path)
    sample = frame_sample(session, manifest, AUDIO, OPTIONS.tokenizer)
    stored = spectrograms(session, manifest, AUDIO, sample)
    again = (simclr(session, stored, (), SETTINGS), _supervised(session, manifest, sample, stored))
    for entry, other in zip((contrasted, labelled), again, strict=True):
        assert not other.reused
        assert {"model.safetensors", "config.json"} <= set(_hashes(entry))
        assert _hashes(entry) == _hashes(other)
        curves = [each.read_json("curve.json")["curve"] for each in (entry, other)]
        assert curves[0] == curves[1]
        assert len(curves[0]) == 2  # type: ignore[arg-type]  # a list


def test_simclr_hears_clips_that_nothing_is_known_of(
    session: Session, sample: Entry, stored: Entry, contrasted: Entry, tmp_path: Path
) -> None:
    clips = [_clip(tmp_path, f"{number}.wav", _sound("rises", number), None, "train") for number in range(9)]
    whole, *parts = (
        spectrograms(session, Clips.from_rows(tmp_path, some), AUDIO, sample) for some in (clips, clips[:4], clips[4:])
    )
    with_more, apart = simclr(session, stored, [whole], SETTINGS), simclr(session, stored, parts, SETTINGS)
    assert len({with_more.key, apart.key, contrasted.key}) == 3
    weights = [_hashes(each)["model.safetensors"] for each in (with_more, apart, contrasted)]
    assert weights[0] == weights[1] != weights[2]  # two folders are one folder with the clips of both


def test_labels_of_test_clips_are_not_used_and_clips_without_label_decide_the_entry(
    session: Session, manifest: Clips, sample: Entry, stored: Entry, labelled: Entry
) -> None:
    """The same labels in the same order, of other clips."""

    def key(*unlabelled: Clip) -> str:
        hidden = _relabelled(manifest, **{Path(clip.path).stem: None for clip in unlabelled})
        return _supervised(session, hidden, sample, stored).key

    one, other = manifest.of("train")[-2:]
    assert one.label == other.label
    assert key(*manifest.of("test")) == labelled.key
    assert len({labelled.key, key(one), key(other)}) == 3


@pytest.mark.parametrize(("count", "atol"), [(1, 1e-4), (3, 1e-2)])  # other hearings are read in 16 bits
def test_features_are_the_pools_of_the_blocks_over_the_hearings(
    session: Session, manifest: Clips, sample: Entry, contrasted: Entry, count: int, atol: float
) -> None:
    entry = _features(session, manifest, sample, "random_conv", VectorConfig(hearings=count))
    features = load_file(entry.folder / "features.safetensors")
    wanted = {f"random_conv/{of}:{pooling}" for of in ("block_1", "block_2", "all_blocks") for pooling in POOLINGS}
    assert set(features) == wanted
    encoder = create_encoder(SETTINGS.encoder, seed=SETTINGS.seed).eval()
    for row, clip in enumerate(manifest.clips):
        changes = hearings(count, AUDIO.dynamic_range)
        heard = [_normalised(View(clip, each).samples(manifest.root, AUDIO.sample_rate), sample) for each in changes]
        with torch.inference_mode():
            read_blocks = [encoder.states(each[None], torch.tensor([len(each)])).values() for each in heard]
        for pooling in POOLINGS:
            pools = [
                np.mean([pool(frames[0].numpy(), pooling) for frames, _ in block], axis=0)
                for block in zip(*read_blocks, strict=True)
            ]
            for number, pooled in enumerate(pools, 1):
                np.testing.assert_allclose(features[f"random_conv/block_{number}:{pooling}"][row], pooled, atol=atol)
            together = features[f"random_conv/all_blocks:{pooling}"][row]
            np.testing.assert_allclose(together, np.concatenate(pools), atol=atol)
    trained = _features(session, manifest, sample, "simclr", simclr=contrasted)
    learned = load_file(trained.folder / "features.safetensors")
    assert {name.replace("simclr", "random_conv") for name in learned} == set(features)
    assert not np.allclose(learned["simclr/block_2:mean"], features["random_conv/block_2:mean"])
    assert not (trained.folder / "scores.safetensors").exists()


def test_a_long_recording_is_heard_in_pieces(session: Session, sample: Entry, tmp_path: Path) -> None:
    """All but the frames beside a border between pieces are those of the whole; so the mean nearly is."""
    samples = sweep(2.5 * PIECE_FRAMES * AUDIO.hop_length / AUDIO.sample_rate, AUDIO.sample_rate)
    manifest = Clips.from_rows(tmp_path, (_clip(tmp_path, "long.wav", samples, None, "test"),))
    entry = _features(session, manifest, sample, "random_conv")
    heard = _normalised(read(tmp_path / "long.wav", AUDIO.sample_rate).samples, sample)
    encoder = create_encoder(SETTINGS.encoder, seed=SETTINGS.seed).eval()
    with torch.inference_mode():
        whole, *pieces = (
            encoder(each[None], torch.tensor([len(each)]))[0][0] for each in (heard, *heard.split(PIECE_FRAMES))
        )
    found = load_file(entry.folder / "features.safetensors")["random_conv/block_2:mean"][0]
    np.testing.assert_allclose(found, pool(torch.cat(pieces).numpy(), "mean"), atol=1e-4)
    np.testing.assert_allclose(found, pool(whole.numpy(), "mean"), rtol=0.02, atol=0.02)


def test_several_labels_are_predicted_each_by_itself(
    session: Session, manifest: Clips, sample: Entry, stored: Entry
) -> None:
    several = _relabelled(manifest, **{Path(clip.path).stem: f"{clip.label};sounds" for clip in manifest.clips})
    reading = reading_of(session, several)
    entry = convolutional(reading, sample, SETTINGS).train(reading, stored, (*CLASSES, "sounds"), ";")
    features = _features(session, manifest, sample, "supervised", trained=entry)
    scores = load_file(features.folder / "scores.safetensors")["scores"]
    assert scores.shape == (20, 3)
    assert (scores[:, 2] > 0.5).all()
