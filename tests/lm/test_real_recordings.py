"""From recordings of spoken digits to a model and a probe, with the loudest mel band of each frame for a code."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lm.batches import CodeSequences, TrainingBatches, loss
from lm.embeddings import embed
from lm.judging.scores import unigram_perplexity
from lm.model import LanguageModel
from lm.options import BatchConfig, GPTConfig, ProbeConfig
from lm.probing.probe import best_candidate, probe
from lm.probing.task import ProbeTask
from lm.probing.vectors import bags_of_codes
from tokenizer.codes import Codes, CodesFormat
from wordless.audio.options import SpectrogramConfig
from wordless.audio.spectrogram import LogMel

BANDS = CodesFormat(
    codebook_size=20, streams=1, samples_per_code=160, sample_rate=8000, tokenizer="log-mel", codebook="loudest band"
)


@pytest.fixture(scope="module")
def clips(fsdd: Path) -> dict[str, list[Codes]]:
    """Zeros and sixes by George: the ones with an index up to 9 for validation and test, as the data set has it."""
    names = {
        split: [fsdd / f"{digit}_george_{index}.wav" for digit in (0, 6) for index in indices]
        for split, indices in {"train": range(10, 50), "validation": range(5, 10), "test": range(5)}.items()
    }
    return {split: [_loudest_bands(path) for path in paths] for split, paths in names.items()}


def _loudest_bands(path: Path) -> Codes:
    samples, _ = soundfile.read(path, dtype="float32")
    samples = np.pad(samples, (0, -len(samples) % 160))
    config = SpectrogramConfig(sample_rate=8000, window_length=400, hop_length=160, n_mels=20)
    bands = LogMel(config)(torch.from_numpy(samples)[None])[0].argmax(dim=1)
    return Codes(values=bands.numpy().astype(np.int32)[:, None], num_samples=len(samples), format=BANDS)


@pytest.fixture(scope="module")
def trained(clips: dict[str, list[Codes]]) -> LanguageModel:
    config = GPTConfig(model_dim=32, layers=2, heads=2, ffn_dim=64, context=128, dropout=0.1)
    model = LanguageModel.create(config, BANDS, seed=0)
    sequences = CodeSequences.of([codes.values] for codes in clips["train"])
    batches = TrainingBatches(sequences, model.gpt.vocabulary, BatchConfig(batch_size=16), capacity=model.gpt.capacity)
    optimizer = torch.optim.AdamW(model.gpt.parameters(), lr=5e-3)
    model.gpt.train()
    for step in range(60):
        summed, codes = loss(model.gpt, batches.batch(step, 0, 1))
        optimizer.zero_grad()
        (summed / codes).backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
    model.gpt.eval()
    return model


def test_a_model_of_digits_knows_more_than_which_codes_are_frequent(
    trained: LanguageModel, clips: dict[str, list[Codes]]
) -> None:
    assert trained.perplexity(clips["validation"]) < 0.6 * unigram_perplexity(clips["train"], clips["validation"])


def test_probes_tell_two_digits_apart(trained: LanguageModel, clips: dict[str, list[Codes]]) -> None:
    every = [codes for split in clips.values() for codes in split]
    splits = [split for split, members in clips.items() for _ in members]
    labels = [digit for members in clips.values() for digit in ("zero", "six") for _ in range(len(members) // 2)]
    task = ProbeTask.of(labels, splits)
    layers = {f"layer_{number}": states for number, states in enumerate(embed(trained, every)["thirds"])}
    bags = np.stack([bags_of_codes(codes, ["thirds"])["thirds"] for codes in every])
    assert best_candidate([probe(x, task, ProbeConfig(), of=name) for name, x in layers.items()]).test_accuracy >= 0.9
    assert probe(bags, task, ProbeConfig(), of="bag_of_codes").test_accuracy >= 0.9
