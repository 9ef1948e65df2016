"""The PyTorch engines: the step in a loop, on any device, and the same step as a CUDA graph."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import pad

from vocoder.sampling import Sampling
from vocoder.wavenet.mu_law import silence
from vocoder.wavenet.network import WaveNet
from vocoder.wavenet.stepper import Stepper
from wordless.base.devices import copy_to
from wordless.base.threads import one_thread

# A clip must not depend on its company, but narrow products round differently from wide ones: with MKL rows were
# equal to the last bit from 4 rows on. So a clip alone has three silent companions, for up to a third of its speed.
NARROWEST = 4
WARM_UP_STEPS = 3  # before a capture, as libraries choose and load their kernels


class TorchStreams:
    """Clips side by side, step after step; the other engines are tested against this one.

    It implements `vocoder.engines.choice.Streams`.

    Args:
        model: the network; its device is theirs.
        clips: how many.
        captured: replay each step as a CUDA graph, one call instead of a hundred.
    """

    def __init__(self, model: WaveNet, clips: int, *, captured: bool = False) -> None:
        self.clips, self.width, self.captured = clips, max(clips, NARROWEST), captured
        self.device = model.embedding.weight.device
        self.stepper = Stepper(model, self.width)
        self.previous = torch.full((self.width,), silence(levels=model.config.levels), device=self.device)
        self.place = torch.zeros(1, dtype=torch.int64, device=self.device)  # step of the chunk
        self.given = torch.zeros(0, self.width, dtype=torch.int64, device=self.device)
        self.draws = torch.zeros(0, self.width, device=self.device)
        self.levels = torch.zeros_like(self.given)
        self.graphs: dict[Sampling, torch.cuda.CUDAGraph] = {}

    def advance(self, conditions: Tensor, given: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
        self._go_on(conditions, given, draws)
        with one_thread():
            if self.captured and given.shape[1]:
                graph = self._graph(sampling)
                for _ in range(given.shape[1]):
                    graph.replay()
            else:
                for _ in range(given.shape[1]):
                    self._step(sampling)
        return self.levels[: given.shape[1], : self.clips].T.cpu()

    def score(self, conditions: Tensor, given: Tensor) -> Tensor:
        self._go_on(conditions, given, torch.zeros(given.shape))
        logits = []
        with one_thread():
            for wanted in self.given[: given.shape[1]]:
                logits.append(self.stepper.step(self.previous)[: self.clips])
                self.previous.copy_(wanted)
        return torch.stack(logits, dim=1).cpu()

    def bookmark(self) -> Callable[[], None]:
        moving = (self.stepper.rings.slots, self.stepper.time, self.previous)
        kept = [each.clone() for each in moving]

        def go_back() -> None:
            for each, was in zip(moving, kept, strict=True):
                each.copy_(was)

        return go_back

    def _go_on(self, conditions: Tensor, given: Tensor, draws: Tensor) -> None:
        """Fill the tensors that steps read. If they are too short, they are replaced and graphs dropped."""
        stays = self.stepper.go_on(self._filled(conditions))
        steps = given.shape[1]
        if not stays or steps > len(self.given):
            self.graphs.clear()
            self.given, self.draws = (each.new_zeros(steps, self.width) for each in (self.given, self.draws))
            self.levels = torch.zeros_like(self.given)
        self.given[:steps] = copy_to(self._filled(given).T.contiguous(), self.device)
        self.draws[:steps] = copy_to(self._filled(draws).T.contiguous(), self.device)
        self.place.zero_()

    def _step(self, sampling: Sampling) -> None:
        """Compute one step on the tensors of this object."""
        levels = draw_levels(self.stepper.step(self.previous), self.draws.index_select(0, self.place).T, sampling)
        given = self.given.index_select(0, self.place)[0]
        self.previous.copy_(torch.where(given < 0, levels, given))
        self.levels.index_copy_(0, self.place, self.previous.unsqueeze(0))
        self.place += 1

    def _graph(self, sampling: Sampling) -> torch.cuda.CUDAGraph:
        if sampling not in self.graphs:
            go_back, time = self.bookmark(), self.stepper.time.clone()
            aside = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]  # torch's own
            aside.wait_stream(torch.cuda.current_stream(self.device))
            with _unsorted_writes(), torch.cuda.stream(aside):
                for _ in range(WARM_UP_STEPS):
                    self._step(sampling)
                    self.place.zero_()
                    self.stepper.time.copy_(time)
            torch.cuda.current_stream(self.device).wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with _unsorted_writes(), torch.cuda.graph(graph):
                self._step(sampling)
            self.graphs[sampling] = graph
            go_back()  # capturing runs nothing; the warm-up did
            self.place.zero_()
        return self.graphs[sampling]

    def _filled(self, rows: Tensor) -> Tensor:
        """Add rows of zeros for the silent companions: ``(clips, ...)`` -> ``(width, ...)``."""
        return pad(rows, (0, 0) * (rows.dim() - 1) + (0, self.width - self.clips))


@contextmanager
def _unsorted_writes() -> Iterator[None]:
    """Turn PyTorch's deterministic algorithms off, which training turns on for the rest of a process.

    They sort the places of each write to the rings, in several kernels. A step writes each place once, so its results
    do not depend on the order.
    """
    wanted, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(wanted, warn_only=warns)


def draw_levels(logits: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
    """Draw levels ``(batch,)`` from logits ``(batch, levels)`` and uniform draws ``(batch, 1)`` in [0, 1)."""
    if sampling.temperature == 0:
        return logits.argmax(dim=1)
    probabilities = torch.softmax(logits / sampling.temperature, dim=1)
    if sampling.top_p < 1:
        probabilities = _nucleus(probabilities, sampling.top_p)
    cumulative = probabilities.cumsum(dim=1)
    levels = torch.searchsorted(cumulative, draws * cumulative[:, -1:], right=True)
    return levels.squeeze(1).clamp_(max=logits.shape[1] - 1)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Set all but the most probable levels that reach ``top_p`` to zero; ties with the last of them are kept."""
    ranked = probabilities.sort(dim=1, descending=True).values
    before = ranked.cumsum(dim=1) - ranked
    least = torch.where(before < top_p, ranked, 1.0).amin(dim=1, keepdim=True)
    return torch.where(probabilities >= least, probabilities, 0.0)
