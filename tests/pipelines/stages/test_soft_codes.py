"""Soft codes of clips in several hearings, and codes that the GPT filters, against loops over time steps."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file as read_features

from lm.embeddings import embed
from lm.model import LanguageModel
from lm.options import GPTConfig, VectorConfig
from lm.probing.vectors import pool
from pipelines.stages.features import code_features, gpt_features
from pipelines.stages.soft_codes import HeardSoftCodes, bottlenecks_of_hearings
from pipelines.store.store import Entry
from pipelines.store.stored_features import FEATURES
from tests.pipelines.tiny import reading_of, save_tokenizer, session_of, sweep
from tokenizer.codes import soft_assignments, spacings_of
from tokenizer.encoder import Encoder, quantised_vectors, signals, soft_codes, whole_patches
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clip, Manifest


def _recordings(folder: Path) -> Manifest:
    rate, lengths = 4000, (1800, 4000, 700, 2600)
    clips = []
    for number, length in enumerate(lengths):
        soundfile.write(folder / f"{number}.wav", sweep(length / rate, rate), rate)
        size = (folder / f"{number}.wav").stat().st_size
        clip = Clip(path=f"{number}.wav", num_samples=length, sample_rate=rate, size=size, sha256=str(number))
        clips.append(clip)
    return Manifest(root=folder, clips=tuple(clips))


@pytest.mark.parametrize("at_once", [1, 200, 100_000])
@pytest.mark.parametrize("hearings", [1, 3])
def test_bags_of_soft_codes_are_means_over_the_hearings(
    hearings: int, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.stages.soft_codes.BOTTLENECKS_AT_ONCE", at_once)
    tokenizer, manifest = save_tokenizer(tmp_path, seed=0, mels=8), _recordings(tmp_path)
    session, vectors = session_of(tmp_path / "store"), VectorConfig(hearings=hearings, poolings=("thirds_max",))
    reading = reading_of(session, manifest, vectors)
    heard = reading.heard
    entry = Entry(stage="tokenizer", key="own", folder=tmp_path / "tokenizer", reused=True)
    coded = HeardSoftCodes(reading=reading, tokenizer=entry)
    assert coded.format == tokenizer.format
    found = read_features(code_features(session, coded).folder / FEATURES)["bag_of_codes:thirds_max"]
    assert found.shape == (4, 4 * 2 * 8)
    for row, clip in zip(found, manifest.clips, strict=True):
        sound = read(tmp_path / clip.path, tokenizer.config.audio.sample_rate).samples
        bottlenecks = [torch.from_numpy(quantised_vectors(tokenizer, sound))]
        for frames in heard.of(clip) if heard else ():
            pieces = [whole_patches(frames, tokenizer.patch_frames)]
            bottlenecks += [torch.cat([each for _, each in signals(tokenizer, pieces)])]
        nearest = partial(soft_assignments, codebooks=tokenizer.codebooks, spacings=spacings_of(tokenizer.codebooks))
        shares = [nearest(each.reshape(len(each), 2, -1)) for each in bottlenecks]
        wanted = np.mean([pool(each.flatten(1).numpy(), "thirds_max") for each in shares], axis=0)
        np.testing.assert_allclose(row, wanted, atol=1e-5)
        assert row.sum() == pytest.approx(2 * 3 + row[-16:].sum(), abs=1e-4)  # shares of two streams sum to 1


def test_a_gpt_reads_soft_codes_of_all_hearings(tmp_path: Path) -> None:
    tokenizer, manifest = save_tokenizer(tmp_path, seed=0, mels=8), _recordings(tmp_path)
    config = GPTConfig(model_dim=8, layers=1, heads=1, ffn_dim=16, context=17, dropout=0.0, init_std=0.3)
    model = LanguageModel.create(config, tokenizer.format, seed=0)
    model.save_pretrained(tmp_path / "lm")
    session, vectors = session_of(tmp_path / "store"), VectorConfig(hearings=2, poolings=("mean",), layers=("last",))
    reading = reading_of(session, manifest, vectors)
    heard = reading.heard
    made = [Entry(stage=name, key="own", folder=tmp_path / name, reused=True) for name in ("tokenizer", "lm")]
    coded = HeardSoftCodes(reading=reading, tokenizer=made[0])
    features = read_features(gpt_features(session, coded, made[1], states=("inner",)).folder / FEATURES)
    encoder = Encoder(folder=tmp_path / "tokenizer", root=tmp_path)
    for row, clip in zip(features["gpt/inner_1:mean"], manifest.clips, strict=True):
        both = [soft_codes(tokenizer, torch.from_numpy(each)) for each in bottlenecks_of_hearings(encoder, heard, clip)]
        wanted = embed(model, both, poolings=("mean",), inner=True)["mean"][0].mean(0)
        np.testing.assert_allclose(row, wanted, atol=1e-5)


@pytest.mark.slow
def test_workers_hand_over_arrays_that_keep_no_file_open(tmp_path: Path) -> None:
    """Tensors of other processes would: a limit of few files is reached by hearings of few clips."""
    tokenizer, recordings = save_tokenizer(tmp_path, seed=0, mels=8), _recordings(tmp_path)
    manifest = replace(recordings, clips=recordings.clips * 60)
    session = replace(session_of(tmp_path / "store"), workers=2)
    entry = Entry(stage="tokenizer", key="own", folder=tmp_path / "tokenizer", reused=True)
    coded = HeardSoftCodes(reading=reading_of(session, manifest), tokenizer=entry)
    opened = len([*Path("/proc/self/fd").iterdir()])
    (block,) = coded._blocks()
    assert len(block) == 240
    assert len([*Path("/proc/self/fd").iterdir()]) < opened + 30
    assert block[0][0].codes.format == tokenizer.format


def test_bags_of_soft_codes_are_the_same_bytes_on_any_number_of_threads(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, seed=0, mels=8)
    entry = Entry(stage="tokenizer", key="own", folder=tmp_path / "tokenizer", reused=True)
    found = []
    for threads in (1, 2):
        session = session_of(tmp_path / str(threads))
        coded = HeardSoftCodes(reading=reading_of(session, _recordings(tmp_path)), tokenizer=entry)
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        found.append((code_features(session, coded).folder / FEATURES).read_bytes())
        torch.set_num_threads(before)
    assert found[0] == found[1]
