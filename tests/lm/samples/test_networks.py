"""Language models of samples: networks, crops and baselines; saved, loaded, and generating."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile  # noqa: F401  loads libsndfile, which fairseq2 would otherwise look for in the system
import torch
from fairseq2.models.transformer import AttentionBiasCache, CausalAttentionBias
from fairseq2.models.transformer.sdpa.torch import TorchSDPA
from fairseq2.nn import BatchLayout
from torch import Tensor, nn

from lm.samples import local_attention
from lm.samples.local_attention import LocalAttention
from lm.samples.sample_model import (
    BASELINES,
    NOT_COUNTED,
    CachedTransformer,
    ContextNetwork,
    LevelTable,
    SampleCrops,
    SampleLanguageModel,
    SampleTransformer,
    continue_levels,
    count_pairs,
    create_baseline,
    create_sample_model,
    loss,
    multiply_adds,
    score,
)
from lm.samples.sample_network_options import ContextConfig, SampleCropsConfig
from tests.lm.samples.tiny import CONFIGS, CONTEXT, CONTEXTUAL, RATE, TRANSFORMER, WAVENET, lively, random_levels
from vocoder.crops import SampleClips
from vocoder.vocoder_options import Sampling
from vocoder.wavenet import companded_scale, mu_law_encode, silence
from wordless.audio.waveform import Waveform
from wordless.base.messages import InputError

NAMES = pytest.mark.parametrize("name", CONFIGS)


@NAMES
def test_sees_its_history_and_nothing_else(name: str) -> None:
    config, last = CONFIGS[name], 20
    model = lively(config)
    previous = random_levels(1, config.history + last)
    with torch.inference_mode():
        whole = model(previous, last)
        longer = model(torch.cat([random_levels(1, CONTEXT.frame_length), previous], dim=1), last)
        torch.testing.assert_close(longer, whole)  # what lies before is not read
        seen = []
        for place in range(previous.shape[1]):
            changed = previous.clone()
            changed[:, place] = (previous[:, place] + 128) % 256
            moved = (model(changed, last) != whole).any(dim=2)[0]
            assert not moved[: max(place - config.history, 0)].any()  # causal
            seen.append(bool(moved.any()))
    past = config.history - (config.receptive_field - 1)  # of the context alone: see the next test
    assert all(seen[past:])


def test_a_context_vector_depends_on_its_past_and_on_no_sample_of_its_frame() -> None:
    model = create_sample_model(CONTEXTUAL, seed=0).eval()
    assert model.context is not None
    levels = random_levels(1, CONTEXT.past + 2 * CONTEXT.frame_length)
    with torch.inference_mode():
        vectors = model.context_vectors(levels, levels.shape[1])
        for place in range(levels.shape[1]):
            changed = levels.clone()
            changed[:, place] = (levels[:, place] + 128) % 256
            moved = (model.context_vectors(changed, levels.shape[1]) != vectors).any(dim=2)[0]
            own = place // CONTEXT.frame_length * CONTEXT.frame_length
            after = own + CONTEXT.frame_length
            expected = torch.arange(len(moved))
            assert torch.equal(moved, (expected >= after) & (expected < after + CONTEXT.past))


def test_frames_are_those_of_convolutions() -> None:
    network = ContextNetwork(ContextConfig(), model_dim=16).eval()
    levels = random_levels(2, 20 * network.config.frame_length)
    with torch.inference_mode():
        frames = companded_scale(levels).unsqueeze(1)
        for convolution in network.framing:
            frames = torch.relu(nn.Conv1d.forward(convolution, frames))
        for layer, convolution in enumerate(network.dilated):
            frames = frames + torch.relu(convolution(nn.functional.pad(frames, (1 << layer, 0))))
        torch.testing.assert_close(network(levels), network.output(frames.transpose(1, 2)))


def test_a_context_in_bfloat16_is_that_in_full_precision() -> None:
    network = ContextNetwork(ContextConfig(), model_dim=16).eval()  # 24 channels: wrong by half on CPUs with AMX
    levels = random_levels(2, 200 * network.config.frame_length)
    with torch.inference_mode():
        whole = network(levels)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network(levels).float()
    assert (rounded - whole).norm() < 0.02 * whole.norm()


def test_multiply_adds_count_each_weight_and_each_key_once() -> None:
    wavenet, transformer, contextual = (multiply_adds(create_sample_model(each, seed=0)) for each in CONFIGS.values())
    assert wavenet == 4 * WAVENET.kernel_size * 4 * 8 + 3 * 4 * 4 + 4 * 4 * 8 + 8 * (8 + 256)
    assert transformer == 3 * (4 * 8**2 + 3 * 8 * 12 + 2 * TRANSFORMER.window * 8) + 8 * 256
    assert contextual == transformer + 2 * 1 * 4 / 2 + 2 * 4 * 4 / 4 + (2 * 2 * 4 * 4 + 4 * 8) / 4


@NAMES
def test_every_parameter_learns(name: str) -> None:
    config = CONFIGS[name]
    model = lively(config).train()
    model(random_levels(2, config.history + 9), 9).square().mean().backward()
    idle = [name for name, weights in model.named_parameters() if weights.grad is None or not weights.grad.any()]
    assert idle == []  # data parallel training waits for all of them


@NAMES
def test_seed_decides_the_weights_and_all_levels_begin_about_equally_probable(name: str) -> None:
    config, drawn = CONFIGS[name], torch.random.get_rng_state()
    models = [create_sample_model(config, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), drawn)
    first, again, other = (nn.utils.parameters_to_vector(model.parameters()) for model in models)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with torch.inference_mode():
        assert float(models[0](random_levels(1, config.history + 9), 9).softmax(2).max()) < 2 / 256
    if name == "contextual":  # it begins with the weights of the transformer without a context
        plain, same = create_sample_model(TRANSFORMER, seed=0).state_dict(), models[0].state_dict()
        assert all(torch.equal(weights, same[key]) for key, weights in plain.items())


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: replace(TRANSFORMER, model_dim=6), r"model_dim\b.*\b6\b.*\b4\b.*heads\b"),
        (lambda: create_sample_model(replace(TRANSFORMER, context_ms=3.0), seed=0), r"^context_ms\b"),
        (
            lambda: create_sample_model(replace(TRANSFORMER, sample_rate=16_000, context_ms=2000.0), seed=0),
            r"context_ms\b.*\b2000\b.*\b16384\b",
        ),
        (lambda: replace(WAVENET, layers=5), r"^layers\b.*\b5\b.*cycles\b.*\b2\b"),
        (lambda: ContextConfig(strides=()), r"^strides\b"),
        (lambda: ContextConfig(layers=15), r"^layers\b.*\b15\b.*samples"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        make()


def attend(attention: LocalAttention | TorchSDPA, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    attended, weights = attention(q, BatchLayout.of(q), k, BatchLayout.of(k), v, AttentionBiasCache())
    assert weights is None
    return attended


@pytest.mark.parametrize("window", [1, 5, 8])
@pytest.mark.parametrize("time", [2, 7, 8, 9, 40])
def test_values_and_gradients_of_windows_are_those_of_fairseq2(window: int, time: int) -> None:
    generator = torch.Generator().manual_seed(time)
    q, k, v = (torch.randn(2, time, 3, 8, generator=generator).requires_grad_() for _ in range(3))
    plain, fused = (attend(LocalAttention(window, fused=fused), q, k, v) for fused in (False, True))
    slow = attend(TorchSDPA(CausalAttentionBias(attn_window_len=window)), q, k, v)
    wanted = torch.autograd.grad(slow.square().sum(), [q, k, v])
    for each in (plain, fused):
        torch.testing.assert_close(each, slow)
        torch.testing.assert_close(torch.autograd.grad(each.square().sum(), [q, k, v]), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_in_parts_have_the_bits_of_all_blocks_at_once(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    """With the window and the width of heads of next_sample at 16 kHz."""
    found = []
    for blocks in (100, 4, 1):
        monkeypatch.setattr(local_attention, "CACHED_SCORES", blocks * 2 * 100 * 500)  # 2 matrices a block
        generator = torch.Generator().manual_seed(0)
        q, k, v = (torch.randn(1, 1023, 2, 32, generator=generator).to(dtype).requires_grad_() for _ in range(3))
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            attended = attend(LocalAttention(400), q, k, v)
        found.append([attended, *torch.autograd.grad(attended.float().square().sum(), [q, k, v])])
    for parts in found[1:]:
        assert all(torch.equal(one, whole) for one, whole in zip(parts, found[0], strict=True))


@NAMES
def test_a_saved_model_predicts_and_generates_as_before(name: str, tmp_path: Path) -> None:
    model = SampleLanguageModel(lively(CONFIGS[name]))
    model.save_pretrained(tmp_path)
    again = SampleLanguageModel.from_pretrained(tmp_path)
    assert again.model.config == CONFIGS[name]
    sampling = Sampling(temperature=1.0, seed=1, engine="torch")
    prompt = Waveform(samples=np.linspace(-0.5, 0.5, 30, dtype=np.float32), sample_rate=RATE)
    sounds, expected = (each.generate([None, prompt], seconds=0.02, sampling=sampling) for each in (again, model))
    for sound, wanted in zip(sounds, expected, strict=True):
        np.testing.assert_array_equal(sound.samples, wanted.samples)
        assert (len(sound.samples), sound.sample_rate) == (20, RATE)
    one, other = (model.generate([prompt], seconds=0.02, sampling=sampling, seeds=[seed])[0] for seed in (4, 9))
    assert not np.array_equal(one.samples, other.samples)
    both = model.generate([prompt, prompt], seconds=0.02, sampling=sampling, seeds=[9, 4])
    np.testing.assert_array_equal([sound.samples for sound in both], [other.samples, one.samples])
    # Without seeds, each clip has one of its own: that of the first, and one more.
    first, next_seed = (
        continue_levels(model.model, random_levels(2, 0), 40, sampling=Sampling(seed=seed, engine="torch"))
        for seed in (5, 6)
    )
    assert torch.equal(first[1], next_seed[0])
    assert not torch.equal(first, next_seed)


def test_refuses_prompts_of_another_rate_and_sounds_of_no_length() -> None:
    model = SampleLanguageModel(lively(CONFIGS["wavenet"]))
    prompt = Waveform(samples=np.zeros(9, np.float32), sample_rate=8000)
    with pytest.raises(InputError, match=r"prompt\b.*\b8000 Hz\b.*\b1000 Hz\b"):
        model.generate([prompt], seconds=1, sampling=Sampling())
    with pytest.raises(InputError, match=r"seconds\b.*\b0\b"):
        model.generate([None], seconds=0, sampling=Sampling())


GREEDY = Sampling(temperature=0.0, engine="torch")


@pytest.mark.parametrize("spare", [0, 3, 9])  # samples that are known beyond the history
@pytest.mark.parametrize("name", ["transformer", "contextual"])
def test_cached_logits_are_those_of_whole_forward_passes(name: str, spare: int) -> None:
    config, time = CONFIGS[name], 40
    model = lively(config)
    assert isinstance(model, SampleTransformer)
    previous = random_levels(2, config.history + spare + time)
    with torch.inference_mode():
        times = range(config.history + spare + 1, previous.shape[1] + 1)
        expected = torch.cat([model(previous[:, :end], 1) for end in times], dim=1)  # a whole forward pass for each
        # a cache has room for 20 positions: three of them, one after the other, read all samples
        cached = CachedTransformer(model, previous[:, : config.history + spare], positions=20)
        found = torch.stack([cached.read(levels) for levels in previous[:, config.history + spare :].T], dim=1)
        parallel = model(previous, time + spare)[:, spare:]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(parallel, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("known", [0, 5, 100])
@NAMES
def test_the_most_probable_levels_are_those_of_the_parallel_network(name: str, known: int) -> None:
    config, samples = CONFIGS[name], 30
    model, prompt = lively(config), random_levels(2, known)
    made = continue_levels(model, prompt, samples, sampling=GREEDY)
    before = torch.full((2, max(config.history + 1 - known, 0)), silence())
    everything = torch.cat([before, prompt, made], dim=1)[:, -(config.history + 1 + samples) :]
    with torch.inference_mode():
        logits = model(everything[:, :-1], samples)
    assert torch.equal(logits.argmax(2), made)


LENGTHS = (50, 3, 200)
CPU = torch.device("cpu")


def clips_of(lengths: tuple[int, ...] = LENGTHS) -> SampleClips:
    rng = np.random.default_rng(0)
    samples = rng.integers(-20_000, 20_000, sum(lengths)).astype(np.int16)
    return SampleClips(samples=samples, offsets=np.cumsum([0, *lengths]))


def levels_of(clips: SampleClips, clip: int) -> list[int]:
    start, stop = clips.offsets[clip : clip + 2]
    return mu_law_encode(torch.from_numpy(clips.samples[start:stop].astype(np.float32) / 32_768)).tolist()


CROPS = SampleCropsConfig(batch_size=6, samples=40, seed=2)


@pytest.mark.parametrize("history", [0, 7, 300])
def test_a_crop_is_a_part_of_a_clip_with_silence_before_it(history: int) -> None:
    clips = clips_of()
    whole = [[silence()] * (history + 1) + levels_of(clips, clip) for clip in range(3)]
    found = set()
    for batch in SampleCrops(clips, CROPS, history=history).batches(20):
        for previous, targets in zip(batch.previous.tolist(), batch.targets.tolist(), strict=True):
            kept = [level for level in targets if level != NOT_COUNTED]
            assert targets == kept + [NOT_COUNTED] * (len(targets) - len(kept))
            # each target's own input is the level before it, and the history stands before that
            crop = previous[: history + len(kept)] + kept[-1:]
            places = [
                (clip, start)
                for clip, known in enumerate(whole)
                for start in range(len(known) - len(crop) + 1)
                if known[start : start + len(crop)] == crop
            ]
            assert places
            found.add(places[0][0])
            assert crop[history + 1 :] == kept
    assert found == {0, 1, 2}  # also the clip of three samples


def test_processes_share_a_batch_and_models_with_other_histories_see_the_same_targets() -> None:
    crops, longer = (SampleCrops(clips_of((60,)), CROPS, history=history) for history in (4, 90))
    whole, parts = crops.batch(1), [crops.batch(1, part, 3) for part in range(3)]
    assert torch.equal(torch.cat([part.previous for part in parts]), whole.previous)
    assert torch.equal(longer.batch(1).targets, whole.targets)
    assert torch.equal(longer.batch(1).previous[:, 86:], whole.previous)
    with pytest.raises(InputError, match=r"batch_size\b.*\b6\b.*\b4\b"):
        crops.batch(0, 0, 4)
    with pytest.raises(InputError, match="no sound"):
        SampleCrops(clips_of(()), CROPS, history=1)


def test_pieces_of_long_clips_overlap_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = clips_of()
    whole = count_pairs(clips.pieces())
    monkeypatch.setattr("vocoder.crops.PIECE", 7)
    np.testing.assert_array_equal(count_pairs(clips.pieces()), whole)
    expected = np.zeros((256, 256), np.int64)
    for clip in range(3):
        known = [silence(), *levels_of(clips, clip)]
        for before, after in pairwise(known):
            expected[before, after] += 1
    np.testing.assert_array_equal(whole, expected)


def test_scores_are_those_of_a_loop_over_samples() -> None:
    table = np.log(np.random.default_rng(1).dirichlet(np.ones(256), 256))
    right, nats, count = 0, 0.0, 0
    crops = SampleCrops(clips_of(), CROPS, history=0)
    for batch in crops.batches(5):
        for before, target in zip(batch.previous.flatten().tolist(), batch.targets.flatten().tolist(), strict=True):
            if target != NOT_COUNTED:
                right += int(table[before].argmax() == target)
                nats -= table[before, target]
                count += 1
    found = score(LevelTable(table), crops.batches(5), CPU)
    assert (found.accuracy, found.samples) == (right / count, count)
    assert found.bits_per_sample == pytest.approx(nats / count / math.log(2), rel=1e-5)
    summed, number = loss(LevelTable(table), crops.batch(0))
    assert (number, bool(summed > 0)) == (int((crops.batch(0).targets != NOT_COUNTED).sum()), True)


def test_baselines_are_the_last_level_and_frequencies() -> None:
    counts = np.zeros((256, 256), np.int64)
    counts[3, 4], counts[3, 9], counts[4, 9] = 2, 1, 5
    tables = {kind: create_baseline(kind, counts) for kind in BASELINES}
    previous = torch.tensor([[7, 3, 4]])
    assert tables["repeat"](previous, 2).argmax(2).tolist() == [[3, 4]]
    assert tables["histogram"](previous, 2).argmax(2).tolist() == [[9, 9]]
    assert tables["markov"](previous, 2).argmax(2).tolist() == [[4, 9]]
    histogram, markov = (tables[kind](previous, 2).exp()[0] for kind in ("histogram", "markov"))
    torch.testing.assert_close(histogram.sum(1), torch.ones(2))
    torch.testing.assert_close(markov.sum(1), torch.ones(2))
    assert float(histogram[0, 9]) == pytest.approx((6 + 1) / (8 + 256))
    assert float(markov[0, 4]) == pytest.approx((2 + 3 / (8 + 256)) / (3 + 1))
