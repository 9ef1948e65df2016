"""Language models of samples, a WaveNet and a transformer: networks, generating, saving, training crops and scores.

WaveNet generates by its fast engines, the transformer with the keys and values of its past. Both read no more of the
past than they can see, silence before its beginning::

    known levels    [ silence ][ prompt ]
    model reads          [   history    ]
    result                               [ new levels ]

In training all models have the same targets, and as much of the past as each of them reads::

    clip       [silence silence][s0 s1 s2 ...                                    ]
    previous             [ history      ][ one sample earlier  ]
    targets                              [ samples of the crop ]

Before a clip there is silence, as in generation. So clips that are shorter than a model's past are not left out. Behind
the end of a clip nothing is counted.

The baselines are the last level again, and frequencies of levels and of pairs of levels. Each is a table of
log-probabilities of the next level given the last one, called like a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import accumulate
from operator import mul
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, pad

from lm.samples.sample_network_options import (
    FRAME,
    POSITIONS,
    ContextConfig,
    SampleCropsConfig,
    SampleWaveNetConfig,
    TransformerConfig,
)
from vocoder.crops import NOT_COUNTED, SampleClips, share_of
from vocoder.engines import choose_engine
from vocoder.generation import GenerationInput, SampleProgress, generate
from vocoder.vocoder_options import LEVELS, EngineChoice, Sampling
from vocoder.wavenet import WaveNet, companded_scale, draw_levels, mu_law_decode, mu_law_encode, silence
from wordless.audio.waveform import Waveform
from wordless.base.causal_transformer import create_causal_transformer, full_rows
from wordless.base.devices import Batch, copy_to, exact
from wordless.base.messages import InputError, require, samples_to_generate
from wordless.base.saved_models import ModelKind, load_network, model_card, reading, write_model
from wordless.base.threads import one_thread

if TYPE_CHECKING:
    from fairseq2.models.transformer import TransformerEmbeddingFrontend
    from fairseq2.nn import StandardEmbedding

SAMPLE_MODEL = ModelKind(name="language model of samples", part="next_sample_transformer", key="sample_model")


class SampleWaveNet(nn.Module):
    """The vocoder's WaveNet without codes: distribution of each sample's level given the levels before it."""

    def __init__(self, config: SampleWaveNetConfig) -> None:
        super().__init__()
        self.config = config
        self.network = WaveNet(config.network)

    def forward(self, previous: Tensor, last: int) -> Tensor:
        """Compute logits ``(batch, last, levels)`` from the level before each sample ``(batch, history + last)``."""
        reads = previous[:, -(last + self.config.history) :]
        one_frame = torch.zeros(len(reads), 1, 0, device=reads.device, dtype=torch.float32)
        logits: Tensor = self.network(reads, one_frame, last=last)
        return logits.transpose(1, 2)


class Framing(nn.Conv1d):
    """A convolution whose stride is its width: ``(batch, width, time)`` -> ``(batch, channels, frames)``.

    It is a matrix product: PyTorch's own convolution in bfloat16 gives wrong results for some sizes on CPUs with AMX
    (`wordless.training.fit`), such as 24 channels and a stride of 4.
    """

    def forward(self, sound: Tensor) -> Tensor:
        batch, width, time = sound.shape
        (stride,) = self.stride
        whole = sound[..., : time // stride * stride]
        frames = whole.reshape(batch, width, time // stride, stride).transpose(1, 2)  # -> (N, F, W, S)
        return linear(frames.flatten(2), self.weight.flatten(1), self.bias).transpose(1, 2)


class ContextNetwork(nn.Module):
    """A context vector for each frame: levels ``(batch, frames * frame_length)`` -> ``(batch, frames, model_dim)``.

    Convolutions whose stride is their width make frames. Dilated ones double the past with each layer. The vector of
    a frame has read whole frames before it, and no sample of its own::

        samples   [   frame 0   ][   frame 1   ][   frame 2   ]     frame_length samples each
        frames          f0 ───────────── f1 ──────────── f2
        vectors   zeros          of f0           of f0, f1          added to the embeddings of the frame's samples
    """

    def __init__(self, config: ContextConfig, *, model_dim: int) -> None:
        super().__init__()
        self.config = config
        widths = (1, *(config.channels for _ in config.strides[1:]))
        self.framing = nn.ModuleList(
            Framing(width, config.channels, stride, stride)
            for width, stride in zip(widths, config.strides, strict=True)
        )
        self.dilated = nn.ModuleList(
            nn.Conv1d(config.channels, config.channels, 2, dilation=1 << layer) for layer in range(config.layers)
        )
        self.output = nn.Linear(config.channels, model_dim)

    def forward(self, levels: Tensor) -> Tensor:
        """Compute the vectors that are known after each frame: those of the frames that follow."""
        frames = companded_scale(levels).unsqueeze(1)  # (N, 1, T)
        for convolution in self.framing:
            frames = torch.relu(convolution(frames))
        for layer, convolution in enumerate(self.dilated):
            frames = frames + torch.relu(convolution(pad(frames, (1 << layer, 0))))
        vectors: Tensor = self.output(frames.transpose(1, 2))  # (N, C, F) -> (N, F, M)
        return vectors


class SampleTransformer(nn.Module):
    """A causal transformer: distribution of each sample's level given the levels before it.

    Verma and Chafe, "A Generative Model for Raw Audio Using Transformer Architectures", 2021 (arXiv:2106.16036). Every
    layer attends to a window of samples; the windows of all layers together reach back as far as the model's context::

        previous      | s-1 s0 s1 ... |        levels, one sample late
        layer 2               <-window->
        layer 1       <-window-><-window->     receptive field: 1 + layers * (window - 1)
        logits        | s0  s1 s2 ... |

    Positions are rotary, and so relative: the model has no beginning, and generates sounds of any length.
    """

    def __init__(self, config: TransformerConfig) -> None:
        from lm.samples.local_attention import limit_attention

        super().__init__()
        config.require_room()
        self.config = config
        self.transformer = create_causal_transformer(config, positions=POSITIONS, tokens=LEVELS)
        limit_attention(self.transformer, config.window)
        # Embeddings vary smoothly with the level, as those of WaveNet do.
        scale = companded_scale(torch.arange(LEVELS))  # (K,)
        with torch.no_grad():
            direction = torch.randn(config.model_dim, dtype=torch.float32)
            self.embedding.weight.normal_(std=0.05).add_(torch.outer(scale, direction))
        # Last, so that both transformers begin with the same weights.
        self.context = ContextNetwork(config.context, model_dim=config.model_dim) if config.context else None

    @property
    def embedding(self) -> StandardEmbedding:
        """The embedding of the levels; its ``weight`` is ``(levels, model_dim)``."""
        frontend = cast("TransformerEmbeddingFrontend", self.transformer.decoder_frontend)
        return cast("StandardEmbedding", frontend.embed)

    def forward(self, previous: Tensor, last: int) -> Tensor:
        """Compute logits ``(batch, last, levels)`` from the level before each sample ``(batch, history + last)``."""
        reads = last + self.config.receptive_field - 1
        embedded = self.embedded(previous[:, -reads:], self.context_vectors(previous, reads))
        states = self.transformer.decoder(embedded, full_rows(embedded))
        return self.transformer.final_proj(states[:, -last:])

    def context_vectors(self, previous: Tensor, last: int) -> Tensor | None:
        """Compute the context vectors ``(batch, last, model_dim)`` of the last of ``previous (batch, time)``."""
        if self.context is None:
            return None
        time, length = previous.shape[1], self.context.config.frame_length
        after = self.context(previous[:, : time // length * length])
        vectors = pad(after, (0, 0, 1, 0)).repeat_interleave(length, dim=1)  # each frame has the vector after the last
        return vectors[:, time - last : time]

    def embedded(self, levels: Tensor, vectors: Tensor | None) -> Tensor:
        """Embed levels ``(batch, time)``, and add their context vectors ``(batch, time, model_dim)``."""
        embedded = self.embedding(levels)
        return embedded if vectors is None else embedded + vectors


SampleConfig = SampleWaveNetConfig | TransformerConfig
SampleModel = SampleWaveNet | SampleTransformer


def create_sample_model(config: SampleConfig, *, seed: int) -> SampleModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SampleWaveNet(config) if isinstance(config, SampleWaveNetConfig) else SampleTransformer(config)
        return model.float()  # whatever PyTorch's default type is


def multiply_adds(model: SampleModel) -> float:
    """Count the multiply-adds per sample: weights of matrices, but for lookups; keys; frames by their length."""
    if isinstance(model, SampleWaveNet):
        constants = model.config.layers * model.config.gate_channels
        return float(sum(each.weight.numel() for each in model.modules() if isinstance(each, nn.Linear)) - constants)
    config, total = model.config, -float(model.embedding.weight.numel())
    total += sum(weights.numel() for weights in model.transformer.parameters() if weights.dim() == 2)
    total += config.layers * 2 * config.window * config.model_dim
    if (context := model.context) is not None:
        samples = [*accumulate(context.config.strides, mul), *[context.config.frame_length] * 2]
        for part, each in zip([*context.framing, context.dilated, context.output], samples, strict=True):
            total += sum(weights.numel() for weights in part.parameters() if weights.dim() > 1) / each
    return total


CACHED = "fairseq2, cached"  # what generates the transformer's samples
_USE = """
from lm.samples.sample_model import SampleLanguageModel
from vocoder.vocoder_options import Sampling

model = SampleLanguageModel.from_pretrained("folder")
(sound,) = model.generate([None], seconds=2, sampling=Sampling(temperature=1.0))
sound.write("sound.wav")
"""
_NOTE = "It imitates the recordings that it was trained on, voices among them: ask those whom it can be taken for."


DRAWS_TOGETHER = 4096  # samples whose random numbers are drawn in one call


@torch.inference_mode()
@exact
def continue_levels(
    model: SampleModel,
    known: Tensor,
    samples: int,
    *,
    sampling: Sampling,
    seeds: Sequence[int] | None = None,
    progress: SampleProgress | None = None,
) -> Tensor:
    """Generate levels ``(clips, samples)`` after ``known (clips, time)``; by default seeds count from `sampling`'s."""
    seeds = range(sampling.seed, sampling.seed + len(known)) if seeds is None else seeds
    history = model.config.history + 1
    read = pad(known, (max(history - known.shape[1], 0), 0), value=silence())[:, -history:]
    if isinstance(model, SampleWaveNet):
        frames = torch.zeros(-(-(read.shape[1] + samples) // FRAME), 0, dtype=torch.float32)
        pairs = zip(read.cpu(), seeds, strict=True)
        inputs = [GenerationInput(spectrogram=frames, prompt=clip, seed=seed) for clip, seed in pairs]
        levels = generate(model.network, inputs, sampling=sampling, engine=sampling.engine, progress=progress)
        return torch.stack(levels)[:, read.shape[1] :][:, :samples].long()
    device = model.embedding.weight.device
    cached = CachedTransformer(model, read[:, :-1].to(device))
    previous, made = read[:, -1].to(device), torch.zeros(len(read), samples, dtype=torch.int64)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with one_thread():
        for first in range(0, samples, DRAWS_TOGETHER):
            count = min(DRAWS_TOGETHER, samples - first)
            drawn = [torch.rand(count, generator=each, dtype=torch.float32) for each in generators]
            draws = torch.stack(drawn).to(device)
            for step in range(count):
                previous = draw_levels(cached.read(previous), draws[:, step : step + 1], sampling)
                made[:, first + step] = previous
            if progress is not None:
                progress(first + count, samples)
    return made


class CachedTransformer:
    """A transformer in evaluation mode that reads sample by sample, and keeps the attention's keys and values.

    fairseq2's cache has a limited number of ``positions``. The model sees a limited past, so a new cache, which has
    read this past, goes on with the same logits. ``known (clips, history or more)`` are the levels before the first
    one.
    """

    def __init__(self, model: SampleTransformer, known: Tensor, *, positions: int = POSITIONS // 2) -> None:
        assert not model.training
        assert known.shape[1] >= model.config.history
        assert positions > model.config.receptive_field
        self._model, self._positions = model, positions
        self._frame = model.config.context.frame_length if model.config.context else 1
        self._known = known
        self._begin()

    def _begin(self) -> None:
        """Begin a new cache: read what the model sees before the next level."""
        from fairseq2.nn import IncrementalStateBag

        reads, frame = self._model.config.receptive_field - 1, self._frame
        spare = (self._known.shape[1] - self._model.config.history) // frame * frame  # frames stay whole
        known = self._known[:, spare:]
        self._levels = pad(known, (0, self._positions))  # all that this cache reads, and the past of its context
        self._time = known.shape[1]  # in these levels
        self._state = IncrementalStateBag(self._positions + 1, capacity_increment=None)
        vectors = self._model.context_vectors(known, reads)
        embedded = self._model.embedded(known[:, -reads:], vectors)
        self._model.transformer.decoder(embedded, full_rows(embedded), state_bag=self._state)
        self._state.increment_step_nr(reads)
        self._vector = None if vectors is None else vectors[:, -1:]

    def read(self, levels: Tensor) -> Tensor:
        """Read the next levels ``(clips,)``; return logits of the levels after them ``(clips, levels)``."""
        if self._state.step_nr == self._positions:
            self._known = self._levels[:, : self._time]
            self._begin()
        if self._model.context is not None and self._time % self._frame == 0:
            past = self._levels[:, self._time - self._model.context.config.past : self._time]
            self._vector = self._model.context(past)[:, -1:]
        self._levels[:, self._time] = levels
        self._time += 1
        embedded = self._model.embedded(levels.unsqueeze(1), self._vector)
        states = self._model.transformer.decoder(embedded, full_rows(embedded), state_bag=self._state)
        self._state.increment_step_nr()
        return self._model.transformer.final_proj(states[:, 0])


@dataclass(frozen=True, kw_only=True)
class _Architecture:
    """Sizes of one of the two kinds of network."""

    wavenet: SampleWaveNetConfig | None
    transformer: TransformerConfig | None


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """The content of ``config.json``."""

    sample_model: _Architecture
    weights_sha256: str


class SampleLanguageModel:
    """A network that predicts each sample from the samples before it, and so generates sound."""

    def __init__(self, model: SampleModel) -> None:
        self.model = model.eval()

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, device: str = "cpu") -> SampleLanguageModel:
        """Load a model that `save_pretrained` wrote; files that are missing or were changed are refused."""
        folder = Path(folder).expanduser()
        with reading(folder, SAMPLE_MODEL, _Saved) as saved:
            config = saved.sample_model.wavenet or saved.sample_model.transformer
            if config is None:
                raise InputError("sample_model has the sizes of no network")
            create = partial(create_sample_model, config, seed=0)
            model = load_network(create, folder, saved.weights_sha256)
        model.to(device)
        return cls(model)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write model.safetensors, README.md and, last, config.json: a folder with a config.json is complete."""
        config, is_wavenet = self.model.config, isinstance(self.model, SampleWaveNet)
        kind = "wavenet" if is_wavenet else "transformer"
        long = isinstance(self.model, SampleTransformer) and self.model.context is not None
        context = " with a context vector of a longer past" if long else ""
        network = "A WaveNet without conditions" if is_wavenet else f"A causal transformer{context}"
        about = f"{network} that predicts the next of 256 mu-law levels from the samples before it."
        past = config.history + 1
        facts = {
            "sample rate": f"{config.sample_rate} Hz",
            "parameters": f"{sum(parameter.numel() for parameter in self.model.parameters()):,}",
            "reads": f"{past:,} samples ({1000 * past / config.sample_rate:.0f} ms) before each one",
        }
        card = model_card("Language model of samples", about, facts, _USE, tags=f"generation, {kind}", note=_NOTE)
        sizes = {"wavenet": None, "transformer": None, kind: asdict(config)}
        write_model(Path(folder).expanduser(), self.model, {"sample_model": sizes}, card=card)

    @property
    def sample_rate(self) -> int:
        return self.model.config.sample_rate

    def engine(self, wanted: EngineChoice) -> str:
        """Name the code that generates samples."""
        if isinstance(self.model, SampleTransformer):
            return CACHED
        return choose_engine(wanted, next(self.model.parameters()).device.type).engine

    def generate(
        self,
        prompts: list[Waveform | None],
        *,
        seconds: float,
        sampling: Sampling,
        seeds: Sequence[int] | None = None,
        progress: SampleProgress | None = None,
    ) -> list[Waveform]:
        """Generate the sound that follows each prompt, without the prompts; None: a sound from its beginning.

        Prompts at another rate than the model's are refused. ``sampling.engine`` is that of a WaveNet. Without
        ``seeds``, sound ``i`` has the seed of ``sampling`` plus i. ``progress`` is called with the samples done and the
        samples in all.
        """
        rate = self.sample_rate
        num_samples = samples_to_generate(seconds, rate)
        for prompt in prompts:
            given = prompt.sample_rate if prompt else rate
            require(given == rate, "the prompt's sample rate", f"{given} Hz", f"resample it to the model's {rate} Hz")
        nothing = torch.zeros(0, dtype=torch.float32)
        known = [nothing if prompt is None else torch.from_numpy(prompt.samples) for prompt in prompts]
        longest = max(map(len, known))
        levels = torch.stack([mu_law_encode(pad(each, (longest - len(each), 0))) for each in known])
        made = continue_levels(self.model, levels, num_samples, sampling=sampling, seeds=seeds, progress=progress)
        return [Waveform(samples=each.numpy(), sample_rate=rate) for each in mu_law_decode(made)]


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleBatch(Batch):
    """Crops, padded to the longest."""

    previous: Tensor  # (batch, history + time) int64, levels delayed by one sample
    targets: Tensor  # (batch, time) int64, levels; NOT_COUNTED behind the end of a clip
    counted: int  # number of targets inside their clips; known on the host, which saves a query to the GPU

    def to(self, device: torch.device) -> SampleBatch:
        if device.type == "cpu":
            return self
        previous, targets = (copy_to(each.to(torch.int16), device).long() for each in (self.previous, self.targets))
        return replace(self, previous=previous, targets=targets)


class SampleCrops:
    """Random crops, by the lengths of clips; models with other histories see the same targets at the same step."""

    def __init__(self, clips: SampleClips, config: SampleCropsConfig, *, history: int) -> None:
        if not len(clips.samples):
            raise InputError("there is no sound to predict: a split of the corpus has no clips; widen corpus.split")
        self.clips, self.config, self.history = clips, config, history

    def batch(self, step: int, part: int = 0, parts: int = 1) -> SampleBatch:
        """Return share ``part`` of ``parts`` of the batch of ``step``; ``parts`` must divide the batch size."""
        examples = share_of(self.config.batch_size, part, parts, option="next_sample.crops.batch_size")
        crops = [self._draw(step, example) for example in examples]
        longest = max(map(len, crops))
        previous = [pad(crop[:-1], (0, longest - len(crop)), value=silence()) for crop in crops]
        targets = [pad(crop[self.history + 1 :], (0, longest - len(crop)), value=NOT_COUNTED) for crop in crops]
        counted = sum(len(crop) - self.history - 1 for crop in crops)
        return SampleBatch(previous=torch.stack(previous), targets=torch.stack(targets), counted=counted)

    def batches(self, count: int) -> Iterator[SampleBatch]:
        return map(self.batch, range(count))

    def _draw(self, step: int, example: int) -> Tensor:
        """Draw a crop: levels ``(history + 1 + time,)``, the last ``time`` of which are targets."""
        rng = np.random.default_rng([self.config.seed, step, example])
        offsets = self.clips.offsets
        clip = int(np.searchsorted(offsets[1:], rng.integers(offsets[-1]), side="right"))
        length = int(offsets[clip + 1] - offsets[clip])
        start = int(rng.integers(max(length - self.config.samples, 0) + 1))
        return self.clips.levels(clip, start - self.history - 1, start + self.config.samples)


def loss(model: nn.Module, batch: SampleBatch) -> tuple[Tensor, int]:
    """Compute the summed cross entropy of the targets in nats, and their number."""
    logits = model(batch.previous, batch.targets.shape[1]).flatten(0, 1).float()  # (N, T, K) -> (N * T, K)
    targets = batch.targets.flatten()
    total = cross_entropy(logits, targets, ignore_index=NOT_COUNTED, reduction="sum")
    return total, batch.counted


@dataclass(frozen=True, kw_only=True)
class _Score:
    """How well a model predicts samples."""

    accuracy: float  # share of samples whose most probable level is right
    bits_per_sample: float | None  # cross entropy; None of a model without probabilities
    samples: int  # that were predicted


@torch.inference_mode()
def score(model: nn.Module, batches: Iterator[SampleBatch], device: torch.device) -> _Score:
    """Measure a model in evaluation mode on batches, in full precision."""
    right, nats, count = 0, 0.0, 0
    for batch in (each.to(device) for each in batches):
        logits = model(batch.previous, batch.targets.shape[1]).flatten(0, 1).float()
        counted = batch.targets.flatten() != NOT_COUNTED
        logits, targets = logits[counted], batch.targets.flatten()[counted]
        right += int((logits.argmax(1) == targets).sum())
        nats += float(cross_entropy(logits, targets, reduction="sum"))
        count += len(targets)
    return _Score(accuracy=right / count, bits_per_sample=nats / count / float(np.log(2)), samples=count)


Counts = npt.NDArray[np.int64]  # (levels before, levels after)
Baseline = Literal["repeat", "histogram", "markov"]
BASELINES: dict[Baseline, int] = {"repeat": 0, "histogram": LEVELS, "markov": LEVELS**2}  # and their parameters
SMOOTHING = 1.0  # imagined counts: of each level in the histogram, of all pairs of each level before in the chain


def count_pairs(pieces: Iterable[Tensor]) -> Counts:
    """Count pairs of neighbouring levels in pieces ``(time,)`` that overlap by one sample."""
    counts = np.zeros(LEVELS**2, np.int64)
    for levels in pieces:
        pairs = levels[:-1] * LEVELS + levels[1:]
        counts += torch.bincount(pairs, minlength=LEVELS**2).numpy()
    return counts.reshape(LEVELS, LEVELS)


class LevelTable(nn.Module):
    """A first-order Markov chain: log-probabilities ``(levels before, levels)`` that are looked up."""

    table: Tensor

    def __init__(self, table: npt.NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("table", torch.from_numpy(table.astype(np.float32)), persistent=False)

    def forward(self, previous: Tensor, last: int) -> Tensor:
        """Look up the log-probabilities of the last samples ``(batch, last, levels)``."""
        return self.table[previous[:, -last:]]


def create_baseline(kind: Baseline, counts: Counts) -> LevelTable:
    """Build a baseline from counts of pairs. The repeated level has no probabilities: its rows only point at it."""
    frequencies = counts.sum(0) + SMOOTHING
    shares = frequencies / frequencies.sum()
    match kind:
        case "repeat":
            return LevelTable(np.eye(LEVELS))
        case "histogram":
            return LevelTable(np.tile(np.log(shares), (LEVELS, 1)))
        case "markov":
            pairs = counts + SMOOTHING * shares
            return LevelTable(np.log(pairs / pairs.sum(1, keepdims=True)))
