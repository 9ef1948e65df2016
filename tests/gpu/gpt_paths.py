"""The GPT's CUDA paths: training with its share of the card's arithmetic, the compiled step, and hidden states."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from lm.batches import CodeSequences, TokenBatch, TrainingBatches, loss
from lm.gpt import GPT, create_gpt
from lm.options import BatchConfig, GPTConfig
from lm.tokens import Vocabulary
from tests.gpu.finding import CPU, Finding, Scale, missing, relative, seconds_of
from tests.gpu.network_paths import trained
from tests.gpu.plain_models import PlainGPT
from wordless.training.fit import LossFunction
from wordless.training.options import FitConfig
from wordless.training.precision import autocast, compile_loss

VOCABULARY = Vocabulary(per_stream=256, streams=1)
SMALL = GPTConfig(model_dim=64, layers=2, heads=2, ffn_dim=128, context=65, dropout=0)
COMPARED_STEPS, COMPARED_WINDOWS = 2, 4
# Dense products in bf16, floating-point operations per second, of NVIDIA's data sheets (SXM)
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}


def gpt_training(device: torch.device, scale: Scale) -> Finding:
    """Train the GPT in bf16, beside the same architecture in plain PyTorch, which stands in without fairseq2.

    The difference is that of a small network's validation loss after two steps in float32, or TF32. ``mfu`` is the
    share of the peak of the data sheet. It counts 6 operations for each weight and token, and those of causal
    attention, 6 x layers x width x positions for each token.
    """
    config, absent = scale.gpt, missing("fairseq2")
    batches = _batches(config, scale.windows)
    fit = FitConfig(steps=scale.steps, lr=1e-4, precision="bf16")
    train = partial(trained, batches=batches, validation=[batches.batch(0, 0, 1)], loss=loss, config=fit, device=device)
    rates, left_out = dict[str, float](), list[str]()
    for name, model in (("plain_", PlainGPT(config, VOCABULARY.size)), ("", None if absent else _project(config))):
        if model is None:
            left_out.append(f"the project's GPT: {absent} is not installed; the plain one was timed")
            continue
        seconds = seconds_of(partial(train, model), device)
        tokens = scale.steps * scale.windows * (config.context - 1) / seconds
        weights = sum(each.numel() for each in model.parameters())
        operations = tokens * (6 * weights + 6 * config.layers * config.model_dim * config.context)
        rates |= {f"{name}weights": float(weights), f"{name}tokens_per_second": tokens}
        rates[f"{name}share_of_measured_products"] = operations / _products(device, scale.product)
        if peak := _peak(device):
            rates[f"{name}mfu"] = operations / peak
    both = [_losses(PlainGPT(SMALL, VOCABULARY.size) if absent else _project(SMALL), place) for place in (device, CPU)]
    return Finding(difference=relative(both[0], both[1]), allowed=0.01, rates=rates, left_out=tuple(left_out))


def gpt_compiled(device: torch.device, scale: Scale) -> Finding:
    """Compile the step of the GPT, in the scale's size and in the default size, whose plain step is bound by launches.

    The difference is that of the gradients. It needs a GPU, because compiling for a CPU says nothing about it.
    """
    if device.type == "cpu":
        return Finding(difference=0.0, allowed=0.0, left_out=("everything: steps are compiled on GPUs",))
    absent, rates, difference = missing("fairseq2"), dict[str, float](), 0.0
    for name, config in (("default", GPTConfig()), ("large", scale.gpt)):
        model = (PlainGPT(config, VOCABULARY.size) if absent else _project(config)).to(device)
        batch = _batches(config, scale.windows).batch(0, 0, 1).to(device)
        plain, compiled = (partial(_gradients, each, model, batch, device) for each in (loss, compile_loss(loss)))
        difference = max(difference, relative(compiled(), [each.cpu() for each in plain()]))
        rates[f"{name}_steps_per_second"] = 1 / seconds_of(plain, device)
        rates[f"{name}_compiled_steps_per_second"] = 1 / seconds_of(compiled, device)
    left_out = (f"the project's GPT: {absent} is not installed; the plain one was timed",) if absent else ()
    return Finding(difference=difference, allowed=0.05, rates=rates, left_out=left_out)


def _gradients(
    step: LossFunction[TokenBatch], model: nn.Module, batch: TokenBatch, device: torch.device
) -> list[Tensor]:
    """Compute the gradients of all weights in bf16."""
    with autocast(FitConfig(precision="bf16"), device):
        summed, _ = step(model, batch)
    return [*torch.autograd.grad(summed, [*model.parameters()])]


def _project(config: GPTConfig) -> GPT:
    return create_gpt(replace(config, dropout=0.0), VOCABULARY, seed=0)


def _batches(config: GPTConfig, windows: int) -> TrainingBatches:
    """Return windows of random codes that fill the context."""
    length = config.context - 1
    codes = np.random.default_rng(0).integers(0, VOCABULARY.per_stream, (4 * windows, length, 1)).astype(np.int32)
    sizes = BatchConfig(batch_size=windows)
    return TrainingBatches(CodeSequences.of([[clip] for clip in codes]), VOCABULARY, sizes, capacity=length)


def _losses(model: nn.Module, device: torch.device) -> list[Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for each in model.parameters():
            if each.dim() > 1:
                nn.init.normal_(each, std=0.05)
    batches = _batches(SMALL, COMPARED_WINDOWS)
    fit = FitConfig(steps=COMPARED_STEPS, lr=1e-3, precision="fp32")
    return trained(model, batches, [batches.batch(0, 0, 1)], loss, fit, device)


def _products(device: torch.device, size: int) -> float:
    """Measure operations per second of a square product in bf16."""
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 * 10 / seconds_of(lambda: [one @ other for _ in range(10)], device)


def _peak(device: torch.device) -> float | None:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for card, peak in PEAKS.items() if card in name), None)


def gpt_states(device: torch.device, scale: Scale) -> Finding:
    """Compute the GPT's hidden states, as probes read them; it needs fairseq2."""
    if absent := missing("fairseq2"):
        return Finding(difference=0.0, allowed=0.0, left_out=(f"the GPT: {absent} is not installed",))
    gpt = create_gpt(GPTConfig(model_dim=128, layers=4, heads=4, ffn_dim=336), VOCABULARY, seed=0).eval()
    tokens = torch.randint(0, 256, (scale.clips, 100), generator=torch.Generator().manual_seed(0))
    states = {place: _states(gpt, tokens, place) for place in (CPU, device)}
    seconds = seconds_of(lambda: gpt.hidden_states(tokens.to(device)), device)
    return Finding(
        difference=relative([states[device]], [states[CPU]]),
        allowed=1e-3,
        rates={"codes_per_second": tokens.numel() / seconds},
    )


def _states(gpt: GPT, tokens: Tensor, device: torch.device) -> Tensor:
    return gpt.to(device).hidden_states(tokens.to(device)).cpu()
