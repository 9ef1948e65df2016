"""What a step of each training, encoding, features and generation ask of a device."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.fx.experimental import _config as fx_config

from lm.backbones.backbone import Pieces
from lm.backbones.convolutional import ConvEncoderConfig, create_encoder
from lm.gpt import CachedGPT, CodeSampling, GPTConfig, continue_codes, create_gpt
from lm.layer_reader import states_of
from lm.model import LanguageModel, layer_features
from lm.probing.vectors import POOLINGS, pool_states
from lm.tokens import Vocabulary
from tests.benchmarks.default_tokenizer import CODEBOOK_SIZE, random_tokenizer
from tests.benchmarks.steps import META, Placement, PlacementError, placed_step
from tests.benchmarks.trainings import TRAININGS, WAITS
from tokenizer.codes import Codes

TOKENIZER = random_tokenizer().to(META)
GENERATED = 5
RATE = 16_000


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    vocabulary = Vocabulary(per_stream=CODEBOOK_SIZE, streams=1)
    gpt = create_gpt(GPTConfig(context=256, model_dim=16, layers=2, heads=2, ffn_dim=16), vocabulary, seed=0)
    return LanguageModel(gpt.eval().to(META), TOKENIZER.format)


def waits_of(work: Callable[[], object]) -> int:
    with fx_config.patch(meta_nonzero_assume_all_nonzero=True), Placement() as placement:  # type: ignore[attr-defined]
        work()
    return placement.waits


def codes_of(steps: int) -> Codes:
    samples = steps * TOKENIZER.format.samples_per_code
    return Codes(values=np.zeros((steps, 1), np.int32), num_samples=samples, format=TOKENIZER.format)


def test_encoding_waits_once_for_a_recording() -> None:
    sound = np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    assert waits_of(lambda: TOKENIZER.encode(sound, RATE)) == 1


def test_features_and_perplexities_of_the_gpt_wait_once(model: LanguageModel) -> None:
    assert waits_of(lambda: layer_features(model, [codes_of(steps) for steps in (20, 30, 40)])) == 1
    assert waits_of(lambda: model.nats_per_code([codes_of(steps) for steps in (20, 30, 40)])) == 1


def test_generation_waits_once(model: LanguageModel) -> None:
    cached, prompt, sampling = CachedGPT(model.gpt), np.zeros((0, 1), np.int32), CodeSampling(top_k=5)
    seeds = [(0, 0)]
    assert waits_of(lambda: continue_codes(cached, [prompt], steps=GENERATED, sampling=sampling, seeds=seeds)) == 1


@torch.inference_mode()
def test_features_of_an_encoder_wait_once_for_a_block() -> None:
    encoder = create_encoder(ConvEncoderConfig(), seed=0).eval().to(META)
    steps = [[frames] * len(encoder.hops) for frames in (100, 80)]
    heard = [Pieces(steps=own, pieces=[torch.zeros(own[0], 80)]) for own in steps]
    assert waits_of(lambda: pool_states(states_of(encoder, heard, device="meta"), steps, POOLINGS)) == 1


QUICK = ("autoencoder", "gpt", "simclr", "supervised", "denoising")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in TRAININGS]
)
def test_a_step_waits_for_nothing_and_keeps_its_tensors_on_one_device(name: str) -> None:
    placed = placed_step(TRAININGS[name])
    assert placed.waits <= WAITS[name]
    assert placed.copies_to_host == 0  # losses are read fifty steps at a time


def test_devices_are_not_mixed() -> None:
    there, here = torch.ones(2, 2, device=META), torch.ones(2, 2)
    with Placement():
        assert (there * torch.tensor(2.0)).is_meta  # a GPU takes a single number of the host
        for work in (
            lambda: there @ here,
            lambda: there[torch.tensor([0, 1])],
            lambda: nn.functional.linear(here, there),
        ):
            with pytest.raises(PlacementError):
                work()
