"""Denoising unit prediction: which codes are to be predicted, and that layers read nothing from the future."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lm.backbones.clips import AugmentationConfig, ClipBatchConfig, StoredClips
from lm.backbones.denoising import (
    BINS,
    TOKENIZER_FOLDER,
    WINDOW_BANDS,
    CodedClips,
    CodePrediction,
    CodeStem,
    DenoisingBackbone,
    DenoisingBatches,
    DenoisingConfig,
    DenoisingShape,
    covered_patches,
    create_denoising,
    fit_window_codebook,
    validation_batches,
    window_vectors,
)
from lm.tokens import UNCOUNTED, loss
from tests.threads import require_alike
from tests.tokenizer.conftest import RATE, fitted, sound, speech_tokenizer
from tokenizer.tokenizer import Tokenizer
from tokenizer.tokenizer_config import PatchConfig
from wordless.audio.audio_options import Levelling, SpectrogramConfig
from wordless.audio.spectrogram import SAMPLE, LogMel, warp
from wordless.base.arrays import IntArray
from wordless.base.messages import InputError
from wordless.base.saved_models import write_model

MELS, SIZE, CODES = 6, 2, 40
AUDIO = SpectrogramConfig(n_mels=MELS)
MODEL = DenoisingConfig(model_dim=16, layers=2, heads=2, ffn_dim=24, dropout=0.0, channels=(4, 8))
SHAPE = DenoisingShape(frames=60, mels=MELS, patch_frames=SIZE, codebook_size=CODES)
UNCHANGED = AugmentationConfig(
    crop=1.0, speed=0.0, formant=0.0, gain_db=0.0, mix=0.0, noise=0.0, time_masks=0, mel_masks=0
)
CONFIG = ClipBatchConfig(batch_size=6, max_frames=60)


def clips(lengths: Sequence[int] = (9, 14, 20, 21, 30, 33)) -> CodedClips:
    """Clips in which a frame holds the clip's number and its own number; a patch's code is its number."""
    frames = [np.tile(np.arange(length, dtype=np.float32)[:, None], MELS) for length in lengths]
    for number, each in enumerate(frames):
        each[:, 0] = number
    codes: list[IntArray] = [np.arange(-(-length // SIZE), dtype=np.int32)[:, None] for length in lengths]
    return CodedClips(spectrograms=StoredClips.together(frames), codes=StoredClips.together(codes), patch_frames=SIZE)


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.3])
@pytest.mark.parametrize("start", [0, 3])
def test_a_patch_of_a_copy_has_the_code_of_the_sound_at_its_middle(start: int, speed: float) -> None:
    """The oracle: each frame holds its own time, so the warped copy says which time each of its patches comes from."""
    time = torch.arange(80.0)[None, :, None]
    copy, lengths = warp(
        time, torch.tensor([60]), speeds=torch.tensor([speed]), formants=torch.ones(1), starts=torch.tensor([start])
    )
    positions = int(lengths) // SIZE - 1  # the last patch may reach beyond the passage
    middles = copy[0, : positions * SIZE, 0].reshape(positions, SIZE).mean(1).numpy()  # of the frames' centres
    found = covered_patches(start, speed, positions=positions, patch_frames=SIZE)
    inside = np.abs((middles + 0.5) % SIZE) > 1e-3  # a middle on a border belongs to either patch
    np.testing.assert_array_equal(found[inside], np.floor((middles + 0.5) / SIZE)[inside])


def test_four_threads_with_one_network_get_the_states_of_one() -> None:
    network = create_denoising(MODEL, SHAPE, seed=0).eval()
    images = [torch.randn(1, frames, MELS, generator=torch.Generator().manual_seed(frames)) for frames in (8, 20, 33)]

    @torch.no_grad()
    def answer(number: int) -> list[bytes]:
        found = network.states(images[number], torch.tensor([images[number].shape[1]]))
        return [each.numpy().tobytes() for each, _ in found.values()]

    require_alike(answer, len(images))


def test_targets_are_the_codes_of_the_patches_and_end_with_the_clip() -> None:
    [batch] = validation_batches(clips(), batch_size=6, at_most=60)
    for row, frames in enumerate((9, 14, 20, 21, 30, 33)):
        patches = -(-frames // SIZE)
        for position in range(batch.targets.shape[1]):
            wanted = [position if position < patches else UNCOUNTED]
            assert batch.targets[row, position].tolist() == wanted
    assert batch.codes == int((batch.targets != UNCOUNTED).sum())


def test_a_cut_copy_keeps_its_codes() -> None:
    """Copies are cut at any frame: the code of a patch is that of the unchanged clip at the patch's middle."""
    batches = DenoisingBatches(
        clips(), CONFIG, AugmentationConfig(**{**vars(UNCHANGED), "crop": 0.4}), std=torch.ones(MELS)
    )
    starts = set()
    for step in range(4):
        batch = batches.batch(step, 0, 1)
        for frames, targets in zip(batch.inputs, batch.targets, strict=True):
            positions = int((targets[:, 0] != UNCOUNTED).sum())
            starts.add(int(frames[0, 1]))
            for position in range(positions):
                first = frames[SIZE * position, 1]
                assert int(targets[position, 0]) == (first + SIZE / 2) // SIZE
    assert len(starts) > 3


def test_a_copy_with_changed_sound_has_the_codes_of_the_clip() -> None:
    coded = clips()
    plain = coded.spectrograms
    copy = StoredClips.together([plain.clip(row) + np.float32(100) for row in range(len(plain))])
    heard = replace(coded, spectrograms=plain.with_copies([copy], 0.5))
    loud = 0
    for step in range(20):
        batches = (DenoisingBatches(each, CONFIG, UNCHANGED, std=torch.ones(MELS)) for each in (coded, heard))
        same, other = (each.batch(step, 0, 1) for each in batches)
        assert torch.equal(same.targets, other.targets)
        changed = other.inputs[:, 0, 0] > 50
        assert torch.allclose(other.inputs[:, 0] - 100 * changed[:, None], same.inputs[:, 0])
        loud += int(changed.sum())
    assert loud / (20 * CONFIG.batch_size) == pytest.approx(0.5, abs=0.2)


def test_parts_together_are_the_whole_batch_of_a_step() -> None:
    batches = DenoisingBatches(clips(), CONFIG, AugmentationConfig(mix=0.5), std=torch.ones(MELS))
    whole, again, parts = batches.batch(2, 0, 1), batches.batch(2, 0, 1), [batches.batch(2, part, 2) for part in (0, 1)]
    assert torch.equal(whole.inputs, again.inputs)
    assert torch.equal(whole.targets, again.targets)
    assert sum(part.codes for part in parts) == whole.codes
    for number, part in enumerate(parts):
        wanted = whole.inputs[number::2, : part.inputs.shape[1]]
        assert torch.equal(part.inputs, wanted)
        assert torch.equal(part.targets, whole.targets[number::2, : part.targets.shape[1]])


def test_the_loss_is_the_mean_over_counted_codes_alone() -> None:
    model = create_denoising(MODEL, SHAPE, seed=0).eval()
    [batch] = validation_batches(clips(), batch_size=6, at_most=60)
    total, count = loss(CodePrediction(model), batch)
    logits = model.logits(batch.inputs).log_softmax(-1).detach()
    wanted = 0.0
    for row, position, _ in (batch.targets != UNCOUNTED).nonzero().tolist():
        wanted -= float(logits[row, position, int(batch.targets[row, position, 0])])
    assert count == batch.codes
    assert total.item() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_layers_read_the_past_alone_and_padding_changes_nothing(size: int) -> None:
    model = create_denoising(MODEL, replace(SHAPE, patch_frames=size), seed=0).eval()
    ends, border = (5 * size, 3 * size + (size > 1)), 2 * size  # the second clip ends within a patch
    frames = torch.randn(2, ends[0], MELS, generator=torch.Generator().manual_seed(0))
    frames[1, ends[1] :] = 0.0
    layers = model.states(frames, torch.tensor(ends))
    alone = model.states(frames[1:, : ends[1]], torch.tensor(ends[1:]))
    future = frames.clone()
    future[0, border:] += 1.0
    changed = model.states(future, torch.tensor(ends))
    widths = [8 * 2, *[MODEL.ffn_dim] * MODEL.layers]  # 8 channels of 2 bands
    assert len(layers) == len(model.hops) == 1 + MODEL.layers
    assert size % model.hops[0] == 0
    for hop, width, (states, lengths), (own, _), (other, _) in zip(
        model.hops, widths, *(each.values() for each in (layers, alone, changed)), strict=True
    ):
        steps = [-(-end // hop) for end in ends]
        assert lengths.tolist() == steps
        assert states.shape == (2, steps[0], width)
        torch.testing.assert_close(states[1, : steps[1]], own[0, : steps[1]])
        torch.testing.assert_close(states[0, : border // hop], other[0, : border // hop])
        assert not torch.allclose(states[0, border // hop], other[0, border // hop])


def test_a_saved_model_is_loaded_again_and_one_of_another_version_is_refused(tmp_path: Path) -> None:
    model = create_denoising(MODEL, SHAPE, seed=0).eval()
    about = {"denoising": asdict(MODEL), "shape": asdict(SHAPE)}
    write_model(tmp_path, model, about)
    backbone, frames, lengths = (
        DenoisingBackbone(folder=tmp_path, audio=AUDIO),
        torch.randn(1, 8, MELS),
        torch.tensor([8]),
    )
    loaded = backbone.create(seed=0).eval()
    assert loaded.config == MODEL
    torch.testing.assert_close(loaded(frames, lengths)[0], model(frames, lengths)[0], rtol=0, atol=0)
    assert loaded(frames, lengths)[0].shape == (1, backbone.reading.num_states(8), backbone.reading.dim)
    assert [*loaded.states(frames, lengths)] == [f"layer_{number}" for number in range(1, len(loaded.stack) + 1)]
    write_model(tmp_path, model, {**about, "denoising": {**asdict(MODEL), "kernel": 3}})
    with pytest.raises(InputError, match="kernel"):
        backbone.create(seed=0)


@pytest.fixture(scope="module", params=[None, Levelling(frames=4)], ids=["absolute", "levelled"])
def coder(request: pytest.FixtureRequest) -> Tokenizer:
    """A tokenizer of three bands."""
    return fitted(PatchConfig(frames=4, mels=8), 16, levelling=request.param)


def test_a_network_over_codes_reads_those_of_the_tokenizer_from_log_mel_of_any_normalisation(coder: Tokenizer) -> None:
    samples = sound(0.5)
    log_mel = LogMel(coder.front_end.absolute)(torch.from_numpy(samples)[None])
    mean, std = torch.full((24,), -3.0), torch.full((24,), 2.0)
    normalised, stem, steps = (log_mel - mean) / std, CodeStem(coder, mean, std), log_mel.shape[1] // 4
    codes = torch.from_numpy(coder.encode(samples, RATE).spectral.values).long()[:steps]
    one_hot = torch.nn.functional.one_hot(codes, 16).flatten(1).float()
    for own in (stem, stem.eval()):  # training and probes read the same
        torch.testing.assert_close(own(normalised)[0, :steps], one_hot, rtol=0, atol=0)
    torch.testing.assert_close(stem(normalised[:, :20])[0], one_hot[:5])  # it reads the past alone


def test_codes_of_a_speech_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        CodeStem(speech_tokenizer(tmp_path), torch.zeros(24), torch.ones(24))


def test_a_network_over_codes_is_saved_with_its_tokenizer(coder: Tokenizer, tmp_path: Path) -> None:
    shape = replace(SHAPE, mels=24, patch_frames=4, codebook_size=16)
    stem = CodeStem(coder, coder.mean, coder.std)
    model = create_denoising(MODEL, shape, seed=0, codes=stem).eval()
    beside = create_denoising(MODEL, shape, seed=0)
    torch.testing.assert_close(model.decoder.state_dict(), beside.decoder.state_dict(), rtol=0, atol=0)
    assert not any(name.startswith("stem") for name in model.state_dict())
    frames, lengths = torch.randn(1, 20, 24, generator=torch.Generator().manual_seed(0)), torch.tensor([20])
    layers = model.states(frames, lengths)
    assert {name: counts.tolist() for name, (_, counts) in layers.items()} == {"layer_1": [5], "layer_2": [5]}
    write_model(tmp_path, model, {"denoising": asdict(MODEL), "shape": asdict(shape)})
    coder.save_pretrained(tmp_path / TOKENIZER_FOLDER)
    save_file({"mean": coder.mean, "std": coder.std}, tmp_path / SAMPLE)
    loaded = DenoisingBackbone(folder=tmp_path, audio=coder.front_end).create(seed=1).eval()
    torch.testing.assert_close(loaded.states(frames, lengths), layers, rtol=0, atol=0)


PATCH, WINDOW_MELS = 2, 40


def slow_vectors(log_mel: np.ndarray, frames: int) -> np.ndarray:
    """Average each window frame by frame."""
    bands = log_mel.reshape(len(log_mel), WINDOW_BANDS, -1).mean(2)
    rows = []
    for patch in range(-(-len(log_mel) // PATCH)):
        first = patch * PATCH + PATCH // 2 - frames // 2
        window = [
            bands[t] if 0 <= t < len(bands) else np.full(WINDOW_BANDS, bands.min())
            for t in range(first, first + frames)
        ]
        bins = min(BINS, frames)
        borders = [number * frames // bins for number in range(bins + 1)]
        rows.append(np.concatenate([np.mean(window[a:b], 0) for a, b in pairwise(borders)]))
    return np.stack(rows)


@pytest.mark.parametrize("frames", [3, 8, 21, 64])
@pytest.mark.parametrize("length", [1, 2, 31])
def test_windows_equal_the_slow_oracle(frames: int, length: int) -> None:
    log_mel = np.random.default_rng(0).standard_normal((length, WINDOW_MELS)).astype(np.float32)
    found = window_vectors(log_mel, frames=frames, patch_frames=PATCH)
    np.testing.assert_allclose(found, slow_vectors(log_mel, frames), atol=1e-5)


def test_a_window_code_tells_what_surrounds_a_patch() -> None:
    """Clips of two kinds have equal patches at their middle, and other surroundings: the windows' codes differ."""
    rng = np.random.default_rng(0)

    def clip(kind: int) -> np.ndarray:
        frames = rng.standard_normal((40, WINDOW_MELS)) * 0.05
        frames[:12] += 3.0 * kind
        return frames.astype(np.float16)

    kinds = [number % 2 for number in range(30)]
    log_mel = StoredClips.together([clip(kind) for kind in kinds])
    codebook = fit_window_codebook(log_mel, patches=16, patch_frames=PATCH, size=16, seed=0)
    codes = CodedClips.of_windows(log_mel, codebook).codes
    assert codes.lengths.tolist() == [20] * 30
    middles = [{int(codes.clip(row)[10, 0]) for row in range(30) if kinds[row] == kind} for kind in (0, 1)]
    assert not middles[0] & middles[1]
    points = np.concatenate([codebook.centroids[codebook.codes(log_mel.clip(row))] for row in range(30)])
    np.testing.assert_allclose(points.mean(0), 0, atol=1e-4)  # of windows about their mean
