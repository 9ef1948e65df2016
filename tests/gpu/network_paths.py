"""CUDA paths of the compared networks: SimCLR's training, and features of its encoder."""

import copy
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lm.bodies.clips import ClipViews, StoredClips, augment
from lm.bodies.convolutional import ConvEncoder, PairBatches, create_encoder, create_simclr, pair_loss, validation_pairs
from lm.bodies.options import AugmentationConfig, ClipBatchConfig, ContrastConfig, ConvEncoderConfig
from lm.layers import Pieces, pool_layers
from lm.options import POOLINGS
from tests.gpu.finding import CPU, Finding, Scale, relative, seconds_of
from wordless.base.progress import Progress
from wordless.training.fit import B, Batches, LossFunction, fit
from wordless.training.gangs import Alone
from wordless.training.options import FitConfig

MELS, LONGEST = 80, 150
COMPARED_STEPS = 2
TOLERANCE = 0.01  # cuDNN multiplies in TF32, which has 10 bits


def simclr_training(device: torch.device, scale: Scale) -> Finding:
    """Train SimCLR; the difference is that of the validation loss after two steps with views of the CPU.

    The rates are those of views that the device makes, whose noise is its own.
    """
    clips = _clips(4 * scale.clips)
    make_view = partial(augment, config=AugmentationConfig(), std=torch.ones(MELS))
    config = ClipBatchConfig(batch_size=scale.clips, max_frames=LONGEST)
    batches, there = (
        PairBatches(views=ClipViews(clips, config, make_view, device=place), temperature=0.1) for place in (CPU, device)
    )
    validation = validation_pairs(clips, config, make_view, temperature=0.1)[:1]
    model = create_simclr(ConvEncoderConfig(), ContrastConfig(), seed=0)
    train = partial(
        trained, model, batches, validation, pair_loss, FitConfig(steps=COMPARED_STEPS, lr=1e-3, precision="fp32")
    )
    rates = {"host_seconds_per_batch": seconds_of(lambda: there.batch(1, 0, 1), CPU)}
    fit = FitConfig(steps=scale.steps, lr=1e-3, precision="fp32")
    train_there = partial(trained, model, there, validation, pair_loss, fit, device)
    rates["clips_per_second"] = scale.steps * scale.clips / seconds_of(train_there, device)
    return Finding(difference=relative(train(device), train(CPU)), allowed=TOLERANCE, rates=rates)


def _clips(count: int) -> StoredClips:
    random = np.random.default_rng(0)
    return StoredClips.together(
        [random.standard_normal((int(frames), MELS), np.float32) for frames in random.integers(40, LONGEST, count)]
    )


def encoder_features(device: torch.device, scale: Scale) -> Finding:
    """Pool the states of each block of the encoder, as probes read them: clips together, and on the CPU one by one."""
    encoder = create_encoder(ConvEncoderConfig(), seed=0).eval()
    stored = _clips(scale.clips)
    clips = [stored.read(np.array([number]), at_most=LONGEST)[0][0] for number in range(len(stored))]

    @torch.inference_mode()
    def pooled(model: ConvEncoder, on: torch.device, together: list[torch.Tensor]) -> list[torch.Tensor]:
        names = [f"block_{number}" for number in range(1, len(model.hops) + 1)]
        heard = [Pieces(steps=[-(-len(clip) // hop) for hop in model.hops], pieces=[clip]) for clip in together]
        rows = pool_layers(model, heard, names, POOLINGS, device=str(on))
        return [torch.from_numpy(vector) for row in rows for vector in row.values()]

    there = copy.deepcopy(encoder).to(device)
    seconds = seconds_of(lambda: pooled(there, device, clips), device)
    alone = [vector for clip in clips for vector in pooled(encoder, CPU, [clip])]
    return Finding(
        difference=relative(pooled(there, device, clips), alone),
        allowed=TOLERANCE,
        rates={"clips_per_second": scale.clips / seconds},
    )


def trained(
    model: nn.Module,
    batches: Batches[B],
    validation: Sequence[B],
    loss: LossFunction[B],
    config: FitConfig,
    device: torch.device,
) -> list[Tensor]:
    """Train a copy of the model; return the validation losses ``(points,)`` of its curve."""
    with tempfile.TemporaryDirectory() as folder:
        record = fit(
            copy.deepcopy(model),
            batches,
            validation,
            loss,
            config,
            gang=Alone(device),
            checkpoint=Path(folder) / "checkpoint",
            progress=Progress(lambda first, done, total: None, lambda line: None, config.steps),
            track=lambda point: None,
        )
    return [torch.tensor([point["validation_loss"] for point in record["curve"]])]
