"""Generation sample by sample: WaveNet by its fast engines, the transformer with the keys and values of its past.

Both read no more of the past than they can see, silence before its beginning::

    known levels    [ silence ][ prompt ]
    model reads          [   history    ]
    result                               [ new levels ]
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from lm.samples.networks import SampleModel, SampleTransformer, SampleWaveNet
from lm.samples.options import FRAME, POSITIONS
from vocoder.engines.torch_streams import draw_levels
from vocoder.generation import GenerationInput, generate
from vocoder.sampling import Sampling
from vocoder.wavenet.mu_law import silence
from wordless.base.causal_transformer import full_rows
from wordless.base.threads import one_thread

DRAWS_TOGETHER = 4096  # samples whose random numbers are drawn in one call

Progress = Callable[[int, int], None]  # samples done, samples in all


@torch.inference_mode()
def continue_levels(
    model: SampleModel,
    known: Tensor,
    samples: int,
    *,
    sampling: Sampling,
    seeds: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Generate the levels ``(clips, samples)`` int64 that follow ``known (clips, time)``, which may be empty.

    Each clip has a seed of its own; None: clip ``i`` has the seed of ``sampling`` plus i.
    """
    seeds = range(sampling.seed, sampling.seed + len(known)) if seeds is None else seeds
    history = model.config.history + 1
    read = pad(known, (max(history - known.shape[1], 0), 0), value=silence())[:, -history:]
    if isinstance(model, SampleWaveNet):
        return _by_engine(model, read, samples, sampling, seeds, progress)
    return _by_cache(model, read, samples, sampling, seeds, progress)


def _by_engine(
    model: SampleWaveNet,
    read: Tensor,
    samples: int,
    sampling: Sampling,
    seeds: Sequence[int],
    progress: Progress | None,
) -> Tensor:
    frames = torch.zeros(-(-(read.shape[1] + samples) // FRAME), 0)
    inputs = [
        GenerationInput(spectrogram=frames, prompt=clip, seed=seed)
        for clip, seed in zip(read.cpu(), seeds, strict=True)
    ]
    levels = generate(model.network, inputs, sampling=sampling, engine=sampling.engine, progress=progress)
    return torch.stack(levels)[:, read.shape[1] :][:, :samples].long()


def _by_cache(
    model: SampleTransformer,
    read: Tensor,
    samples: int,
    sampling: Sampling,
    seeds: Sequence[int],
    progress: Progress | None,
) -> Tensor:
    device = model.embedding.weight.device
    cached = CachedTransformer(model, read[:, :-1].to(device))
    previous, levels = read[:, -1].to(device), torch.zeros(len(read), samples, dtype=torch.int64)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with one_thread():
        for first in range(0, samples, DRAWS_TOGETHER):
            count = min(DRAWS_TOGETHER, samples - first)
            draws = torch.stack([torch.rand(count, generator=each) for each in generators]).to(device)
            for step in range(count):
                previous = draw_levels(cached.read(previous), draws[:, step : step + 1], sampling)
                levels[:, first + step] = previous
            if progress is not None:
                progress(first + count, samples)
    return levels


class CachedTransformer:
    """A transformer that reads sample by sample, and keeps the attention's keys and values.

    fairseq2's cache has a limited number of positions. The model sees a limited past, so a new cache, which has read
    this past, goes on with the same logits.

    Args:
        model: in evaluation mode: in training mode fairseq2 ignores the cache.
        known: the levels before the first one that is read, ``(clips, history)`` or more.
        positions: of one cache.
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
        return self._model.logits(states[:, 0])
