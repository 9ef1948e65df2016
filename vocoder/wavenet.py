"""The conditional WaveNet: mu-law levels, the parallel network, its weights for another tokenizer, and its steps.

Van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio", arXiv:1609.03499. Each sample is a class among
mu-law levels, predicted from the samples before it and from the log-mel frames that the codes stand for. Frames meet
samples by exact arithmetic, and are projected once per frame, never once per sample::

    previous     | s-1 s0 s1 ... |               |               |     levels, one sample late
    spectrogram  [    frame 0    |    frame 1    |    frame 2    ]     hop_length samples each; sees +-look_ahead_frames
    logits       | s0  s1 s2 ... |               |               |

Levels are those of ITU-T G.711, the continuous formula with mu = levels - 1: ``F(x) = sign(x) ln(1 + mu |x|) / ln(1 +
mu)`` spaces the levels finely near zero, where most samples of speech are.

Inside, time stands before channels, ``(batch, time, channels)``, and convolutions are matrix products over it: with one
tanh for the whole gate this trained 1.3 times as fast as `Conv1d` did on a CPU (bf16 autocast, 1 and 2 cores).

A layer has a backward pass of its own, because PyTorch's automatic one makes more passes over ``(batch, time,
channels)`` than are needed, and keeps the taps in memory, which are cheap to build again. A training step takes 0.85 of
the CPU time that it takes with the automatic pass (default sizes, bf16 autocast).
"""

import math
from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from vocoder.frames import periods_back, voice_harmonics
from vocoder.vocoder_options import LEVELS, NUM_HARMONICS, TAPS, VOICE_INPUTS, Sampling, WaveNetConfig
from wordless.base.devices import copy_to
from wordless.base.messages import counted, escape_markdown
from wordless.base.saved_models import model_card
from wordless.base.threads import one_thread


def mu_law_encode(samples: Tensor, *, levels: int = LEVELS) -> Tensor:
    """Convert samples ``(...)`` in [-1, 1] to levels ``(...)`` int64 in [0, levels); larger samples are clipped."""
    mu = levels - 1
    samples = samples.to(torch.float32).clamp(-1.0, 1.0)
    companded = samples.sign() * torch.log1p(mu * samples.abs()) / math.log1p(mu)
    return ((companded + 1) / 2 * mu + 0.5).to(torch.int64)  # to the nearest level; cutting alone would shift all sound


def mu_law_decode(values: Tensor, *, levels: int = LEVELS) -> Tensor:
    """Convert levels ``(...)`` int64 to samples ``(...)`` float32 in [-1, 1]."""
    companded = companded_scale(values, levels=levels)
    # expm1 is exact near 0, where the levels lie close together
    return companded.sign() * torch.expm1(companded.abs() * math.log1p(levels - 1)) / (levels - 1)


def companded_scale(values: Tensor, *, levels: int = LEVELS) -> Tensor:
    """Map levels ``(...)`` int64 to the companded scale ``(...)`` float32, evenly spaced over [-1, 1]."""
    return values.to(torch.float32) / (levels - 1) * 2 - 1


def silence(*, levels: int = LEVELS) -> int:
    """Return the level of a zero sample: the model's input before a recording begins."""
    return int(mu_law_encode(torch.zeros(1), levels=levels))


def gated_layer(
    hidden: Tensor, condition: Tensor, dilated: Tensor, residual: Tensor | None, *, dilation: int
) -> tuple[Tensor, Tensor]:
    """Compute a dilated convolution, the gate ``tanh(a) (1 + tanh(b))`` of its halves, and the residual connection.

    Args:
        hidden: ``(batch, time, residual)``
        condition: contributions to the gates per frame ``(batch, frames, gates)``; frames divide the time.
        dilated: weights of the convolution ``(gates, taps * residual)``, oldest tap first.
        residual: weights of the residual connection ``(residual, gates / 2)``; None in the last layer.
        dilation: samples between taps.

    Returns:
        The values after the gate ``(batch, time, gates / 2)``, and the next layer's ``hidden``
        ``(batch, time, residual)``; the last layer returns its own ``hidden``.
    """
    weights = dilated.to(hidden.dtype), None if residual is None else residual.to(hidden.dtype)
    layer = _GatedLayer.apply(hidden, condition, *weights, dilation)  # type: ignore[no-untyped-call]  # torch's own
    return cast("tuple[Tensor, Tensor]", layer)


class _GatedLayer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, condition: Tensor, dilated: Tensor, residual: Tensor | None, dilation: int
    ) -> tuple[Tensor, Tensor]:
        hop = hidden.shape[1] // max(condition.shape[1], 1)
        frames = (*condition.shape[:2], hop, condition.shape[2])  # (N, F, H, G): no condition is repeated in time
        gates = (_stack_taps(hidden, dilated, dilation) @ dilated.t()).view(frames).add_(condition.unsqueeze(2)).tanh_()
        gated = _apply_gate(gates).flatten(1, 2)
        ctx.save_for_backward(hidden, gates, dilated, residual)
        ctx.dilation = dilation
        if residual is None:
            return gated, hidden
        next_hidden = torch.addmm(hidden.flatten(0, 1), gated.flatten(0, 1), residual.t())
        return gated, next_hidden.view_as(hidden)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_gated: Tensor, of_next: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None, None]:
        hidden, gates, dilated, residual = ctx.saved_tensors
        dilation: int = ctx.dilation
        grad, of_residual = of_gated.flatten(0, 1), None
        if residual is not None:
            upper = of_next.flatten(0, 1)
            of_residual = upper.t() @ _apply_gate(gates).flatten(0, 2)
            grad = torch.addmm(grad, upper, residual)
        of_gates = _differentiate_gate(gates, grad.view(*gates.shape[:3], gates.shape[3] // 2))
        flat = of_gates.flatten(0, 2)  # (N * T, G)
        of_dilated = flat.t() @ _stack_taps(hidden, dilated, dilation).flatten(0, 1)
        *older, newest = (flat @ dilated).view(*hidden.shape[:2], dilated.shape[1]).split(hidden.shape[2], dim=2)
        of_hidden = newest + of_next
        for steps, tap in enumerate(reversed(older), start=1):
            if (delay := steps * dilation) < hidden.shape[1]:
                of_hidden[:, :-delay] += tap[:, delay:]
        return of_hidden, of_gates.sum(2), of_dilated, of_residual, None


def _stack_taps(hidden: Tensor, dilated: Tensor, dilation: int) -> Tensor:
    """Put each sample beside its predecessors, the oldest first ``(batch, time, taps * residual)``; zeros before."""
    (batch, time, channels), width = hidden.shape, dilated.shape[1]
    taps = hidden.new_empty(batch, time, width)
    for steps, first in enumerate(range(width - channels, -1, -channels)):
        delay, tap = min(steps * dilation, time), taps[:, :, first : first + channels]
        tap[:, :delay] = 0
        tap[:, delay:] = hidden[:, : time - delay]
    return taps


def _apply_gate(gates: Tensor) -> Tensor:
    a, b = gates.chunk(2, dim=-1)
    return torch.addcmul(a, a, b)  # a + a b, twice the paper's gate: see `WaveNet`


def _differentiate_gate(gates: Tensor, grad: Tensor) -> Tensor:
    """Compute the gradient of the gates before tanh ``(batch, frames, hop, gates)`` from those after it."""
    a, b = gates.chunk(2, dim=-1)
    inputs = torch.empty_like(gates)
    of_a, of_b = inputs.chunk(2, dim=-1)
    torch.addcmul(grad, grad, b, out=of_a)
    torch.mul(grad, a, out=of_b)
    torch.ops.aten.tanh_backward.grad_input(inputs, gates, grad_input=inputs)
    return inputs


UNKNOWN_GROUP = -1  # the group of a clip whose group is not known


class ConstantConditions(nn.Module):
    """The same contributions to the gates for every frame: learned biases of a network that reads samples alone."""

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        self.config = config
        # As a product, autocast converts the biases to the layers' type, as it converts other conditions.
        self.biases = nn.Linear(1, config.layers * config.gate_channels, bias=False)
        nn.init.zeros_(self.biases.weight)

    def forward(self, frames: Tensor, groups: Tensor | None = None) -> Tensor:
        """``(batch, frames, 0)`` -> ``(batch, frames, layers, gates)``."""
        ones = self.biases.weight.new_ones(*frames.shape[:2], 1)
        conditions: Tensor = self.biases(ones)
        return conditions.view(*frames.shape[:2], self.config.layers, self.config.gate_channels)

    project = forward  # no frame depends on its neighbours


class FrameConditions(nn.Module):
    """Contributions to the gates of each layer per frame: from the code, its neighbours, and the clip's group.

    Frames are those of `vocoder.frames`; ``inputs`` of each.

    The ends of a clip look like frames of zeros, which are frames of average loudness in a normalised spectrogram:
    frames that are padded with zeros therefore change nothing for those before them.
    """

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.condition_inputs] + [config.condition_channels] * config.condition_layers
        self.convolutions = nn.ModuleList(nn.Conv1d(a, b, 3) for a, b in pairwise(widths))
        self.projection = nn.Linear(config.condition_channels, config.layers * config.gate_channels)
        if config.groups:
            self.groups = nn.Embedding(len(config.groups), config.group_channels)
            self.group_projection = nn.Linear(config.group_channels, config.condition_channels, bias=False)

    def forward(self, spectrogram: Tensor, groups: Tensor | None = None) -> Tensor:
        """``(batch, frames, inputs)``, ``(batch,)`` -> ``(batch, frames, layers, gates)``."""
        edge = self.config.look_ahead_frames
        return self.project(pad(spectrogram, (0, 0, edge, edge)), groups)

    def project(self, spectrogram: Tensor, groups: Tensor | None = None) -> Tensor:
        """Compute `forward` of ``(batch, frames + 2 * look_ahead_frames, inputs)``, with zeros beyond the ends."""
        frames = spectrogram.transpose(1, 2)  # (N, F, M) -> (N, M, F)
        for index, convolution in enumerate(self.convolutions):
            frames = convolution(frames)
            if index == 0 and self.config.groups:
                frames = frames + self.group_projection(self.group_vectors(groups, len(frames))).unsqueeze(2)
            frames = torch.relu(frames)
        conditions: Tensor = self.projection(frames.transpose(1, 2))  # (N, C, F) -> (N, F, L * G)
        return conditions.view(*conditions.shape[:2], self.config.layers, self.config.gate_channels)

    def group_vectors(self, groups: Tensor | None, batch: int) -> Tensor:
        """Look up group ids ``(batch,)``: vectors ``(batch, channels)``; an unknown group gets the average of all."""
        average = self.groups.weight.mean(dim=0)
        if groups is None:
            return average.expand(batch, -1)
        vectors: Tensor = self.groups(groups.clamp(min=0))
        return torch.where((groups == UNKNOWN_GROUP).unsqueeze(1), average, vectors)


class WaveNet(nn.Module):
    """Distribution of each sample's level given the levels before it and the spectrogram.

    The gate is ``tanh(a) (1 + tanh(b))``, which is twice the paper's ``tanh(a) sigmoid(2 b)``: the factors vanish in
    the weights, and with one tanh over all gates training took 0.8 of the time. The biases of the dilated
    convolutions stand in the projection of the conditions, those of the residual connections in the layers after.
    """

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        self.config = config
        gated = config.gate_channels // 2
        self.embedding = nn.Embedding(config.levels, config.residual_channels)
        self.conditions: FrameConditions | ConstantConditions = (
            ConstantConditions(config) if config.condition == "none" else FrameConditions(config)
        )
        self.carrier = (
            nn.Linear(2 * NUM_HARMONICS + TAPS + 2 * VOICE_INPUTS, config.residual_channels, bias=False)
            if config.pitch
            else None
        )
        if config.pitch:
            # What the harmonics of a log-mel are made by, as of `vocoder.frames.voice_bands`: until it is said, even.
            bands = torch.empty(3, config.n_mels)
            if not bands.is_meta:  # there is memory to fill
                even = torch.linspace(0, config.sample_rate / 2, config.n_mels, dtype=torch.float32)
                bands = torch.stack([even, torch.ones_like(even), torch.zeros_like(even)])
            self.register_buffer("bands", bands)
        taps = config.kernel_size * config.residual_channels  # oldest tap first
        self.dilated = nn.ModuleList(nn.Linear(taps, config.gate_channels, bias=False) for _ in config.dilations)
        # The last layer is used only through its skip connection.
        self.residual = nn.ModuleList(
            nn.Linear(gated, config.residual_channels, bias=False) for _ in range(config.layers - 1)
        )
        # The sum of all layers' skip connections as one matrix product.
        self.skip = nn.Linear(config.layers * gated, config.skip_channels)
        self.hidden = nn.Linear(config.skip_channels, config.skip_channels)
        self.output = nn.Linear(config.skip_channels, config.levels)
        if not self.output.weight.is_meta:  # there is memory to fill
            self._initialise()
        self.float()  # whatever PyTorch's default type is

    def _initialise(self) -> None:
        """Initialise embeddings that vary smoothly with the level, and about equal probabilities of all levels.

        After 200 steps on real digits the validation loss was 3.44 nats; with a random embedding it was 3.60, with the
        companded value through a line 3.50.
        """
        scale = companded_scale(torch.arange(self.config.levels), levels=self.config.levels)  # (K,)
        with torch.no_grad():
            direction = torch.randn(self.config.residual_channels, dtype=torch.float32)
            self.embedding.weight.normal_(std=0.05).add_(torch.outer(scale, direction))
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.zeros_(self.output.bias)

    def forward(
        self,
        previous: Tensor,
        spectrogram: Tensor,
        groups: Tensor | None = None,
        phase: Tensor | None = None,
        *,
        last: int | None = None,
    ) -> Tensor:
        """Compute the logits of each sample.

        Args:
            previous: levels of the sample before each one, ``(batch, frames * hop_length)`` int64.
            spectrogram: what the codes mean, frame by frame, ``(batch, frames, inputs)``: see `vocoder.frames`.
                Without a condition, frames of any equal length that fill the time: ``(batch, frames, 0)``.
            groups: indices into ``config.groups``, or -1 where unknown, ``(batch,)`` int64; None: all unknown.
            phase: what is known of the voice, ``(batch, frames * hop_length, 3 + VOICE_INPUTS)``: see
                `vocoder.frames.voice_inputs`; None: no voice.
            last: number of samples at the end whose logits are wanted, at least 1; None: all.

        Returns:
            ``(batch, levels, frames * hop_length)``, or ``(batch, levels, last)``
        """
        conditions = self.conditions(spectrogram, groups)  # (N, F, L, G)
        # Under autocast the layers run in its type; the residual stream follows, so that no layer converts it anew.
        hidden = self.embedding(previous).to(conditions.dtype)  # (N, T, R)
        if phase is not None and self.carrier is not None:
            hidden = hidden + self.carried(phase, pad(previous[:, 1:], (0, 1))).to(conditions.dtype)
        gated = []
        for layer, dilation in enumerate(self.config.dilations):
            dilated = self.get_parameter(f"dilated.{layer}.weight")
            residual = self.get_parameter(f"residual.{layer}.weight") if layer < len(self.residual) else None
            values, hidden = gated_layer(hidden, conditions[:, :, layer], dilated, residual, dilation=dilation)
            gated.append(values if last is None else values[:, -last:])  # earlier ones only feed the layers above
        skipped = torch.relu(self.skip(torch.cat(gated, dim=2)))  # (N, T, L * G / 2) -> (N, T, S)
        logits: Tensor = self.output(torch.relu(self.hidden(skipped)))
        return logits.transpose(1, 2)

    def carried(self, phase: Tensor, levels: Tensor) -> Tensor:
        """Compute what the voice adds to the residual stream ``(batch, time, residual)``.

        Args:
            phase: see `forward`, ``(batch, time, 3 + VOICE_INPUTS)``.
            levels: before and at these times, ``(batch, before + time)``; only those around a lag earlier are read.
        """
        assert self.carrier is not None, "the network reads no pitch"
        before = periods_back(companded_scale(levels, levels=self.config.levels), phase[..., 2].long())
        added: Tensor = self.carrier(
            torch.cat([voice_harmonics(phase[..., :2]), before, companded_voice(phase[..., 3:])], dim=-1)
        )
        return added


def companded_voice(voice: Tensor) -> Tensor:
    """Samples ``(..., VOICE_INPUTS)`` beside the same on the companded scale, ``(..., 2 * VOICE_INPUTS)``."""
    loud = torch.log1p((LEVELS - 1) * voice.abs()) / math.log(LEVELS)
    return torch.cat([4 * voice, voice.sign() * loud], dim=-1)


def create_wavenet(config: WaveNetConfig, *, seed: int) -> WaveNet:
    """Create an untrained network whose weights depend on the config and the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return WaveNet(config)


FIRST = "conditions.convolutions.0"
Statistics = tuple[Tensor, Tensor]  # mean and standard deviation of the log-mel of each mel band
_GROUPS, _PROJECTION = "conditions.groups.weight", "conditions.group_projection.weight"
CARRIER, BANDS = "carrier.weight", "bands"


def as_it_is(n_mels: int) -> Statistics:
    """Return the statistics of a network that reads log-mel as it is, of whatever recordings, without normalisation."""
    return torch.zeros(n_mels, dtype=torch.float32), torch.ones(n_mels, dtype=torch.float32)


@torch.no_grad()
def transferred(start: WaveNet, config: WaveNetConfig, *, known: Statistics, new: Statistics, seed: int) -> WaveNet:
    """Create a network for a tokenizer with the statistics ``new`` that computes what ``start`` does with ``known``.

    It computes what the start computes for a clip of an unknown group, the average of the start's groups, whatever the
    group. A start that reads no pitch may begin a network that does, which computes the same without a pitch. The
    projection of the groups of ``config`` begins at zero, and their vectors begin at random. ``config`` has otherwise
    the start's sizes and the condition ``meaning``; both tokenizers have the same front end.

    A tokenizer normalises each mel band of a log-mel ``m`` by the mean and standard deviation of its own training
    recordings. The trained network, the start, reads ``x = (m - mean) / std``; the new network reads ``x' = (m - mean')
    / std'``. Both are affine in the same ``m``::

        x = a x' + b,    a = std' / std,    b = (mean' - mean) / std

    The first convolution over the frames is linear, so these weights compute from ``x'`` what the start's compute from
    ``x``::

        W'[:, band, tap] = a[band] W[:, band, tap]
        bias' = bias + sum over bands and taps of b[band] W[:, band, tap]

    So do the lines of the `vocoder.frames.voice_bands`, from which the harmonics of a voice are made. Nothing else
    depends on the tokenizer. Only frames beyond the ends of a clip differ: they are zeros for both
    networks, which are the average level of the recordings of each, and reach ``condition_layers`` frames into a clip.
    With a start of 250 steps on synthetic voices, and 40 spoken digits at several levels and noisy, the cross entropy
    of the first and last 20 ms changed by -0.09 to +0.12 nats per sample, of 2 to 5, and mostly fell.

    Start weights for every tokenizer, such as those in ``vocoder/universal``, read ``m`` itself: mean 0 and standard
    deviation 1. They are converted to the tokenizer of a run before anything is decoded.
    """
    model, trained = create_wavenet(config, seed=seed), start.conditions
    assert isinstance(trained, FrameConditions), "a vocoder is conditioned on codes"
    weights = start.state_dict()
    mean, std, own_mean, own_std = (each.double() for each in (*known, *new))
    filters, bias = (weights[f"{FIRST}.{name}"].double() for name in ("weight", "bias"))
    bands = filters[:, : config.n_mels]  # (channels, bands, taps); the inputs after them are of the pitch
    bias = bias + bands.sum(dim=2) @ ((own_mean - mean) / std)
    if start.config.groups:
        bias += trained.group_projection(trained.group_vectors(None, 1))[0].double()
    filters[:, : config.n_mels] = bands * (own_std / std)[:, None]
    filters = pad(filters, (0, 0, 0, config.condition_inputs - filters.shape[1]))  # of a pitch that the start ignores
    weights |= {f"{FIRST}.weight": filters.float(), f"{FIRST}.bias": bias.float()}
    own = model.state_dict()
    for name in own:
        if name == _PROJECTION:
            own[name] = torch.zeros_like(own[name])  # all groups begin with the average voice, and training parts them
        elif name == BANDS and name in weights:
            hertz, slope, height = weights[name].double()
            lines = [hertz, slope * own_std / std, height + slope * (own_mean - mean) / std]
            own[name] = torch.stack(lines).float()
        elif name in (BANDS, CARRIER):
            own[name] = weights.get(name, own[name])
        elif name != _GROUPS:
            own[name] = weights[name]
    model.load_state_dict(own)
    return model


_USE = """
import wordless

tokenizer = wordless.Tokenizer.from_pretrained("run/tokenizer")
sound = wordless.Vocoder.from_pretrained("run/vocoder").decode(codes, tokenizer)
sound.write("sound.wav")
"""
_NOTE = (
    "What the network samples is filtered towards the spectrum that the codes mean, where they say how loud each band "
    "is; `from_pretrained(..., postfilter=0)` leaves it as it is. It imitates the recordings that it was trained on, "
    "voices among them: ask those whom it can be taken for."
)


def vocoder_card(
    model: WaveNet, tokenizer: str, *, began_at: str | None = None, steps: int | None = None, comb: bool = False
) -> str:
    """Write Markdown with the network's sizes, its tokenizer (``tokenizer`` is a fingerprint) and how to call it.

    ``began_at`` is the SHA-256 of the weights that its training began with, None for random ones; ``steps`` is its
    length, None if that is unknown. ``comb`` says whether it has a head that predicts the pitch of a comb.
    """
    config = model.config
    known = f"those of tokenizer `{escape_markdown(tokenizer)}`, whatever the size of its codebook"
    start = "random weights" if began_at is None else f"the weights with the SHA-256 `{began_at[:16]}`"
    length = "some steps" if steps is None else counted(steps, "step")
    behind = "yes, it gives the sound of voices their periodicity" if comb else "none"
    if config.pitch:
        behind = "none where codes have a pitch: the network reads it"
    facts = {
        "sound": f"{config.sample_rate} Hz, {config.levels} mu-law levels, {config.samples_per_code} samples per code",
        "layers": config.layers,
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        "receptive field": f"{config.receptive_field:,} samples",
        "groups heard in training": ", ".join(map(escape_markdown, config.groups)) or "none",
        "training": f"began with {start}, and took {length}",
        "pitch comb": behind,
    }
    about = f"A conditional WaveNet that turns codes into sound: {known}."
    return model_card("Unit vocoder", about, facts, _USE, tags="vocoder, wavenet", note=_NOTE)


def matrices(layers: Iterable[nn.Module]) -> list[Tensor]:
    """Return the weights ``(inputs, outputs)`` of linear layers."""
    return [layer.weight.detach().T for layer in layers if isinstance(layer, nn.Linear)]


def filled(matrix: Tensor, rows: int, columns: int) -> Tensor:
    """Pad a matrix with zeros after its rows and columns."""
    return pad(matrix, (0, columns - matrix.shape[1], 0, rows - matrix.shape[0]))


# A clip must not depend on its company, but narrow products round differently from wide ones: with MKL rows were
# equal to the last bit from 4 rows on. So a clip alone has three silent companions, for up to a third of its speed.
NARROWEST = 4


class TorchStreams:
    """Clips side by side, step after step, on any device; it implements `vocoder.engines.Streams`.

    The past is in ring buffers (Paine et al. 2016, arXiv:1611.09482). One step of all clips is the same small
    arithmetic again and again, so it is laid out for few calls::

        past of every layer  = one gather from the ring buffers, one batched product     (known before the step begins)
        each layer           = product of the present tap, tanh, gate, product of the residual
        all skip connections = one product

    The faster engines are tested against this one.
    """

    state = ("slots", "time", "previous")  # of the clips

    def __init__(self, model: WaveNet, clips: int) -> None:
        config, device = model.config, model.embedding.weight.device
        self.model, self.clips, self.width, self.device = model, clips, max(clips, NARROWEST), device
        self.previous = torch.full((self.width,), silence(levels=config.levels), device=device)
        self.time = 0
        # The weights in the layout of the step: transposed, layers stacked.
        residual = config.residual_channels
        dilated = torch.stack(matrices(model.dilated))  # (L, taps * R, G)
        self.past = dilated[:, :-residual].contiguous()  # (L, (taps - 1) * R, G), oldest tap first
        self.present = dilated[:, -residual:].contiguous().unbind()  # L x (R, G)
        self.residual = torch.stack(matrices(model.residual)).unbind() if len(model.residual) else ()
        self.ends = [(each.bias, each.weight.T.contiguous()) for each in (model.skip, model.hidden, model.output)]
        # Past inputs of all layers, ring after ring in a single tensor, each as long as its layer's taps reach.
        spacing = torch.tensor(config.dilations, device=device)
        self.past_taps = config.kernel_size - 1
        self.lengths = spacing * self.past_taps
        self.starts = self.lengths.cumsum(0) - self.lengths
        self.delays = spacing.unsqueeze(1) * torch.arange(self.past_taps, 0, -1, device=device)  # (L, taps)
        zeros = partial(torch.zeros, device=device, dtype=torch.float32)
        self.slots = zeros(int(self.lengths.sum()), self.width, residual)
        self.inputs = zeros(config.layers, self.width, residual)
        self.gates = zeros(config.layers, self.width, config.gate_channels)
        self.gated = zeros(self.width, config.layers, config.gate_channels // 2)
        # Views of the above, made once: L x (N, R), L x (N, G), twice L x (N, G / 2), L x (N, G / 2).
        self.layer_inputs, self.layer_gates = self.inputs.unbind(), self.gates.unbind()
        self.halves = [gates.chunk(2, dim=1) for gates in self.layer_gates]
        self.layer_gated = self.gated.unbind(1)

    def advance(
        self,
        conditions: Tensor,
        given: Tensor,
        draws: Tensor,
        sampling: Sampling,
        carried: Tensor | None = None,
        logits: Tensor | None = None,
    ) -> Tensor:
        given, draws = self._by_time(given), self._by_time(draws)
        conditions = self._filled(conditions).permute(1, 2, 0, 3).contiguous()  # (N, F, L, G) -> (F, L, N, G)
        added = None if carried is None else self._filled(carried).transpose(0, 1)  # (samples, width, residual)
        levels = torch.zeros_like(given)
        with one_thread():
            for place in range(len(given)):
                own = self._step(conditions[place // self.model.config.hop_length], added, place)
                if logits is not None:
                    logits[:, place] = own[: self.clips]
                drawn = draw_levels(own, draws[place].unsqueeze(1), sampling)
                levels[place] = self.previous = torch.where(given[place] < 0, drawn, given[place])
        return levels[:, : self.clips].T.cpu()

    def _step(self, condition: Tensor, added: Tensor | None, place: int) -> Tensor:
        """Compute logits from ``previous``, the frame's conditions ``(L, width, gates)``, and what the voice adds."""
        torch.index_select(self.model.embedding.weight, 0, self.previous, out=self.layer_inputs[0])
        if added is not None:
            self.layer_inputs[0].add_(added[place])
        slots = (self.time - self.delays).remainder_(self.lengths.unsqueeze(1)).add_(self.starts.unsqueeze(1))
        past = self.slots.index_select(0, slots.flatten())  # (L * taps, N, R), the oldest first; zeros at first
        if self.past_taps > 1:
            past = past.view(-1, self.past_taps, *past.shape[1:]).transpose(1, 2).flatten(2)
        torch.baddbmm(condition, past, self.past, out=self.gates)
        for layer, (gates, (a, b)) in enumerate(zip(self.layer_gates, self.halves, strict=True)):
            gates.addmm_(self.layer_inputs[layer], self.present[layer]).tanh_()  # past inputs and conditions are in
            gated = torch.addcmul(a, a, b, out=self.layer_gated[layer])
            if layer < len(self.residual):
                torch.addmm(self.layer_inputs[layer], gated, self.residual[layer], out=self.layer_inputs[layer + 1])
        self.slots.index_copy_(0, torch.remainder(self.time, self.lengths).add_(self.starts), self.inputs)
        self.time += 1
        (skip_bias, skip), (hidden_bias, hidden), (output_bias, output) = self.ends
        skipped = torch.addmm(skip_bias, self.gated.flatten(1), skip).relu_()
        return torch.addmm(output_bias, torch.addmm(hidden_bias, skipped, hidden).relu_(), output)

    def _by_time(self, rows: Tensor) -> Tensor:
        """Turn ``(clips, samples)`` into ``(samples, width)`` on the model's device."""
        return copy_to(self._filled(rows).T.contiguous(), self.device)

    def _filled(self, rows: Tensor) -> Tensor:
        """Add rows of zeros for the silent companions: ``(clips, ...)`` -> ``(width, ...)``."""
        return pad(rows, (0, 0) * (rows.dim() - 1) + (0, self.width - self.clips))


def draw_levels(logits: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
    """Draw levels ``(batch,)`` from logits ``(batch, levels)`` and uniform draws ``(batch, 1)`` in [0, 1)."""
    if sampling.temperature == 0:
        return logits.argmax(dim=1)
    probabilities = torch.softmax(logits / sampling.temperature, dim=1)
    cumulative = probabilities.cumsum(dim=1)
    levels = torch.searchsorted(cumulative, draws * cumulative[:, -1:], right=True)
    return levels.squeeze(1).clamp_(max=logits.shape[1] - 1)
