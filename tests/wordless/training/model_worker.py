"""What each process of `test_gangs` does: python model_worker.py FOLDER STEP NAME..., under torchrun.

Rank 1 kills itself before that step of the first training, as long as torchrun has not restarted it.
"""

import json
import os
import signal
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Generic

import torch
from safetensors.torch import save_file
from torch import nn

from lm.model import LanguageModel
from lm.tokens import BatchConfig, CodeSequences, TrainingBatches, validation_batches
from lm.tokens import loss as nats
from tests.lm.tiny import TINY, codes_format, random_codes
from tests.wordless.training.fitting import fit_silently
from tokenizer.autoencoder import Autoencoder, AutoencoderConfig
from tokenizer.autoencoder_training import PatchBatches, reconstruction_loss
from wordless.training import FitConfig, TrainingRecord
from wordless.training.fit import B, Batches, Gang, LossFunction, open_gang

FIT = FitConfig(steps=6, lr=0.01, warmup_steps=2, validate_every=1, ema_decay=0.5, checkpoint_minutes=0)
TWICE = replace(FIT, accumulation=2)
PATIENT = replace(FIT, steps=100, lr=0.3, final_lr_ratio=1.0, ema_decay=0.0, patience=2)  # validation gets worse
NEVER = -1


@dataclass(frozen=True, kw_only=True)
class Watched(Generic[B]):
    """Batches that note each step of each process, and kill a process before one of them."""

    batches: Batches[B]
    notes: Path
    gang: Gang
    killed_at: int

    def batch(self, step: int, part: int, parts: int) -> B:
        attempt = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
        if step == self.killed_at and self.gang.rank == 1 and attempt == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        with self.notes.with_name(f"{self.notes.name}-{self.gang.rank}").open("a") as notes:
            print(attempt, step, file=notes)
        return self.batches.batch(step, part, parts)


def fitted(
    model: nn.Module,
    batches: Batches[B],
    held_out: list[B],
    loss: LossFunction[B],
    config: FitConfig,
    folder: Path,
    gang: Gang,
) -> TrainingRecord:
    record = fit_silently(model, batches, held_out, loss, config, folder.with_suffix(".checkpoints"), gang=gang)
    weights = {name: value.clone() for name, value in model.state_dict().items()}  # which may be tied
    save_file(weights, folder.with_name(f"{folder.name}-{gang.rank}.safetensors"))
    return record


def autoencoder(config: FitConfig, folder: Path, gang: Gang, killed_at: int, *, norm: bool = False) -> TrainingRecord:
    patches = torch.randn(100, 12, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    network = Autoencoder(AutoencoderConfig(hidden=8, bottleneck=3), 12)
    model = nn.Sequential(nn.BatchNorm1d(12), network) if norm else network
    batches = PatchBatches(patches=patches, batch_size=16, seed=0)
    watched = Watched(batches=batches, notes=folder, gang=gang, killed_at=killed_at)
    held_out = [batches.batch(step, 0, 1) for step in range(50, 53)]
    return fitted(model, watched, held_out, reconstruction_loss, config, folder, gang)


def gpt(config: FitConfig, folder: Path, gang: Gang, killed_at: int) -> TrainingRecord:
    model = LanguageModel.create(replace(TINY, ffn_dim=30), codes_format(), seed=0)
    sequences = CodeSequences(views=[[random_codes(20 + 5 * seed, seed=seed).values] for seed in range(12)])
    vocabulary, capacity = model.gpt.vocabulary, model.gpt.capacity
    batches = TrainingBatches(sequences, vocabulary, BatchConfig(batch_size=8), capacity=capacity)
    watched = Watched(batches=batches, notes=folder, gang=gang, killed_at=killed_at)
    held_out = list(validation_batches(sequences, vocabulary, batch_size=8, capacity=capacity, at_most=24))
    assert len(held_out) == 3
    record = fitted(model.gpt, watched, held_out, nats, config, folder, gang)
    if gang.rank == 0:
        model.save_pretrained(folder)
    return record


TRAININGS = {
    "normalised": partial(autoencoder, FIT, norm=True),
    "gpt": partial(gpt, FIT),
    "gpt_accumulated": partial(gpt, TWICE),
    "patient": partial(gpt, PATIENT),
}


def train(name: str, folder: Path, gang: Gang, *, killed_at: int = NEVER) -> TrainingRecord:
    record = TRAININGS[name](folder / name, gang, killed_at)
    if gang.rank == 0:
        (folder / f"{name}.json").write_text(json.dumps(record))
    return record


def main(folder: Path, killed_at: int, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open_gang(torch.device("cpu")) as gang:
        for name in names:
            train(name, folder, gang, killed_at=killed_at if name == names[0] else NEVER)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
