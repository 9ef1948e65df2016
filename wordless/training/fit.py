"""The training loop of every stage, its state, its checkpoints, and the processes that share it.

It owns precision, accumulation, clipping, schedule, averaging, validation, checkpoints, distribution and progress. A
batch is a pure function of the step, and dropout is seeded by step and rank. So a killed run continues from its last
checkpoint as if it had never stopped, and two processes together see the batches that one process would see.

A training has one checkpoint, which rank 0 writes and all processes read: tensors and plain values in one safetensors
file. Loading executes nothing from the file: safetensors holds numbers, and the values are JSON in its header, with a
hash of the tensors and values.

The processes of a training are a `Gang`: a single one, or those that torchrun started, through fairseq2's gangs.

Without instructions for bfloat16, products in bfloat16 take longer than in float32: the default WaveNet takes 22
seconds a step on two cores of an AMD EPYC with AVX2 only, and 2.5 in float32. `torch.compile` joins the operators
between the products of a network: a GPU launches half as many kernels for a step of the GPT. Dropout draws the same
random numbers as in the plain step, so only rounding differs.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from wordless.base.devices import Batch, fast_products, multiplies_bf16
from wordless.base.files import aside, remove
from wordless.base.messages import InputError, within
from wordless.base.options import Meanings, follow
from wordless.base.processes import end_with_parent, is_under_torchrun, rank
from wordless.base.progress import Progress
from wordless.training import FitConfig, Point, TrainingRecord
from wordless.training.joining import join

if TYPE_CHECKING:
    from fairseq2.gang import Gangs

B = TypeVar("B", bound=Batch)
B_co = TypeVar("B_co", bound=Batch, covariant=True)
T = TypeVar("T")
LossFunction = Callable[[nn.Module, B], tuple[Tensor, int]]  # summed loss, number of items
Precision = Literal["fp32", "bf16"]
# Each process has its own running statistics. fairseq2's DDP on GPUs uses another class with the same statistics.
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_PROGRESS = ("step", "seconds", "curve", "running", "best_loss", "best_step")  # values of a training
_VALUES, _HASH = "values", "hash"  # in the header
_UNREAD = 50  # steps on a GPU whose losses are read together
_LONG = 2_000  # steps from which compiling saves more time than it takes


class Gang:
    """The processes that share each training step: those of torchrun, over gloo on CPUs and NCCL on GPUs; or this one.

    ``gangs`` are fairseq2's; None: this process is alone, and nothing has to be shared.
    """

    def __init__(self, device: torch.device, gangs: Gangs | None = None) -> None:
        self.device, self._gangs = device, gangs
        self.rank, self.size = (0, 1) if gangs is None else (gangs.dp.rank, gangs.dp.size)

    def wrap(self, model: nn.Module) -> nn.Module:
        """Wrap the model so that its backward pass averages gradients over the gang."""
        if self._gangs is None or self.size == 1:
            return model
        if self.device.type == "cpu":
            # fairseq2 would use batch normalisation over all processes, which PyTorch supports on GPUs only.
            group = self._gangs.rdp.as_process_group()
            return DistributedDataParallel(model, process_group=group, broadcast_buffers=False)
        from fairseq2.nn.ddp import to_ddp

        return to_ddp(model, self._gangs)

    def share_statistics(self, model: nn.Module) -> None:
        """Give all processes the mean of their running statistics of batch normalisation."""
        norms = [module for module in model.modules() if isinstance(module, NORMS)]
        running = [each for norm in norms for each in (norm.running_mean, norm.running_var) if each is not None]
        if self.size > 1 and running:
            together = self.all_sum(nn.utils.parameters_to_vector(running))
            nn.utils.vector_to_parameters(together / self.size, running)

    def all_sum(self, values: Tensor) -> Tensor:
        """Sum the values of all processes in place; on a GPU the host does not wait for the result."""
        if self._gangs is not None:
            from fairseq2.gang import ReduceOperation

            self._gangs.dp.all_reduce(values, ReduceOperation.SUM)
        return values

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the element-wise sum of the values of all processes."""
        if self._gangs is None:
            return list(values)
        total = self.all_sum(torch.tensor(values, dtype=torch.float64, device=self.device))
        return [float(value) for value in total.tolist()]

    def barrier(self) -> None:
        if self._gangs is not None:
            self._gangs.root.barrier()


@contextmanager
def open_gang(device: torch.device) -> Iterator[Gang]:
    """Give this process's gang, that of torchrun or of this process alone, and close it at the end."""
    if not is_under_torchrun():
        yield Gang(device)
        return
    import soundfile  # noqa: F401  it loads the libsndfile that fairseq2 needs
    from fairseq2.gang import ProcessGroupGang, create_parallel_gangs

    end_with_parent()
    if device.type == "cuda":
        device = torch.device("cuda", rank("LOCAL_RANK"))
        torch.cuda.set_device(device)  # tensors made without naming a device are then on this one
    # fairseq2's own way to connect takes no store, and one limit of time for connecting and for all that follows.
    gangs = create_parallel_gangs(ProcessGroupGang(join(device), device))
    yield Gang(device, gangs)  # left open where this process fails: others would fail before it has printed its error
    gangs.close()


class CheckpointError(Exception):
    """A file that is not a checkpoint, or is damaged; the message says what is wrong."""


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, object]) -> None:
    """Write tensors and JSON values atomically, and flush them to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(values)
    held: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():  # safetensors takes contiguous tensors, each in its own memory
        own = tensor.detach().cpu().contiguous()
        storage = own.untyped_storage().data_ptr()
        held[name] = own.clone() if storage in places else own
        places.add(storage)
    with aside(path) as beside:
        save_file(held, beside, metadata={_VALUES: text, _HASH: _hash(held, text)})


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Read the tensors, on the CPU, and the values; a `CheckpointError` for all other files."""
    if not path.is_file():
        raise CheckpointError("it is not a file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is not a dictionary
        if header[_HASH] != _hash(tensors, header[_VALUES]):
            raise CheckpointError("its hash is not that of its contents")
        return tensors, dict(json.loads(header[_VALUES]))
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise CheckpointError("it is not a whole safetensors file of a training") from error


def _hash(tensors: Mapping[str, Tensor], text: str) -> str:
    """Compute the SHA-256 of the values, and of the name, type, shape and bytes of each tensor."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def autocast(config: FitConfig, device: torch.device) -> AbstractContextManager[None]:
    """Return the context in which losses are computed: with ``bf16``, matrix products in bfloat16."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if config.precision == "bf16" else nullcontext()


def choose_precision(gang: Gang, *, gpus_only: bool = False) -> Precision:
    """Return ``bf16`` if all devices have instructions for it, with ``gpus_only`` GPUs alone, else ``fp32``."""
    has = multiplies_bf16(gang.device) and not (gpus_only and gang.device.type == "cpu")
    return "fp32" if gang.sum([float(not has)])[0] else "bf16"


def meanings_on(gang: Gang) -> Meanings:
    """Return what each choice of a precision means on the gang's devices."""
    return {"precision": {"auto": choose_precision(gang), "auto_gpu": choose_precision(gang, gpus_only=True)}}


def with_precision(settings: T, gang: Gang) -> T:
    """Return a dataclass in which each `FitConfig` has the precision that its choice means on the gang's devices."""
    return follow(settings, meanings_on(gang))


def chosen_loss(loss: LossFunction[B], config: FitConfig, device: torch.device) -> LossFunction[B]:
    """Return the loss, or its compiled form: as ``compile`` says, by default in long trainings on a GPU."""
    wanted = config.compile if config.compile is not None else device.type == "cuda" and config.steps >= _LONG
    if not wanted:
        return loss
    torch._dynamo.config.suppress_errors = True  # what cannot be compiled is computed as before, with a warning
    return torch.compile(loss, options={"fallback_random": True})


class Batches(Protocol[B_co]):
    """Training data; the batch of a step depends on the step alone."""

    def batch(self, step: int, part: int, parts: int) -> B_co:
        """Return part ``part`` of ``parts`` equal shares of the batch of ``step``."""


def add_figures(sums: Tensor, loss: Tensor, items: int) -> None:
    """Add a summed loss and its number of items to the first two ``sums``, on the device."""
    sums[0] += loss.detach()
    sums[1] += items


def copied(model: nn.Module) -> dict[str, Tensor]:
    """Copy the weights of a model."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


class Training:
    """The state of a training, its steps, and its checkpoints.

    The figures of a GPU's steps stay there until `settle`, because the GPU would wait for the host in each step.
    """

    def __init__(self, model: nn.Module, config: FitConfig, option: str, gang: Gang) -> None:
        self.config, self.option, self.gang = config, option, gang
        self.model = model
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=config.weight_decay, fused=True
        )
        self._trained = [each for each in model.parameters() if each.requires_grad]
        for each in self._trained:  # as AdamW itself begins at its first step: then a checkpoint always has all tensors
            step = torch.zeros((), dtype=torch.float32, device=each.device)
            moments = {name: torch.zeros_like(each) for name in ("exp_avg", "exp_avg_sq")}
            self.optimizer.state[each] = {"step": step, **moments}
        self.average = copied(model) if config.ema_decay else {}
        self.step = 0
        self.seconds = 0.0
        self.curve: list[Point] = []
        self.running = [0.0, 0.0]  # summed loss and items since the last point
        self.best_loss = math.inf
        self.best_step = 0
        self.best = self.weights()
        self._unread: list[Tensor] = []  # summed loss, items and norm of the gradient of each of the last steps (3,)

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically."""
        write_checkpoint(path, self._tensors(), {name: getattr(self, name) for name in _PROGRESS})

    def _read(self, path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
        """Read a checkpoint and change nothing; a `CheckpointError` if it is damaged, or of another training."""
        tensors, values = read_checkpoint(path)
        there, own = ({n: (each.shape, each.dtype) for n, each in of.items()} for of in (tensors, self._tensors()))
        if there != own or values.keys() != {*_PROGRESS}:
            raise CheckpointError("it is of another model")
        return tensors, values

    def resume(self, path: Path, say: Callable[[str], None]) -> None:
        """Continue from the last checkpoint, if there is a whole one; a damaged file is renamed to ``*.damaged``.

        The memory layout of the tensors stays, because it decides how sums are rounded.
        """
        self.gang.barrier()
        saved = None
        if self.gang.rank == 0 and os.path.lexists(path):
            try:
                saved = self._read(path)
            except CheckpointError as damage:
                damaged = path.with_suffix(".damaged")
                remove(damaged)  # left by an earlier run
                path.rename(damaged)
                say(f"WARNING   {path} is damaged ({damage}): it is now {damaged.name}, and training begins anew")
        if self.gang.sum([float(saved is not None)])[0]:
            tensors, values = saved or self._read(path)
            for name, own in self._tensors().items():
                own.copy_(tensors[name])
            vars(self).update(values)

    def _tensors(self) -> dict[str, Tensor]:
        """Return the tensors of a checkpoint: weights, the best ones, their average if there is one, AdamW's state."""
        parts = {"model": self.model.state_dict(), "best": self.best, "average": self.average}
        parts |= {f"optimizer.{number}": self.optimizer.state[each] for number, each in enumerate(self._trained)}
        return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}

    def take(self, wrapped: nn.Module, batches: Batches[B], loss: LossFunction[B]) -> None:
        """Take one step; ``wrapped`` is the model, whose backward pass averages gradients over the gang."""
        config, gang, step = self.config, self.gang, self.step
        self.model.train()
        # Dropout is a function of seed, step and rank, so no generator state is saved or restored.
        torch.manual_seed(((config.seed * 1_000_003) + step) * 1_009 + gang.rank)
        sums = torch.zeros(3, dtype=torch.float64, device=gang.device)  # as in `_unread`
        micros = config.accumulation
        for micro in range(micros):
            batch = batches.batch(step, gang.rank * micros + micro, gang.size * micros)
            last = micro == micros - 1  # whose backward pass shares all gradients
            with wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) and not last else nullcontext():
                with autocast(config, gang.device):
                    summed, count = loss(wrapped, batch.to(gang.device))
                summed.backward()  # type: ignore[no-untyped-call]  # torch's own
            add_figures(sums, summed, count)
        gang.all_sum(sums)
        gang.share_statistics(self.model)
        # Gangs average over ranks; the mean is over items. In the gradients' type, the scale is one operator for all.
        scale = (gang.size / sums[1].clamp(min=1)).to(torch.float32)
        torch._foreach_mul_([each.grad for each in self.model.parameters() if each.grad is not None], scale)
        sums[2] = nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate(step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if config.ema_decay:
            self._update_average()
        self._unread.append(sums)
        if gang.device.type == "cpu" or self.step % _UNREAD == 0:
            self.settle()

    def settle(self) -> None:
        """Read the figures of the last steps, and refuse a loss or gradient that is not finite."""
        unread, self._unread = self._unread, []
        for step, sums in enumerate(unread, self.step - len(unread)):
            total, items, norm = sums.tolist()
            self._require_finite(total, "loss", step)
            self._require_finite(norm, "norm of the gradient", step)  # else a finite loss may leave no finite weight
            self.running = [self.running[0] + total, self.running[1] + items]

    @property
    def finite(self) -> bool:
        """Whether losses and gradients of the last steps are finite. No other process has to take part."""
        return all(bool(sums.isfinite().all()) for sums in self._unread)

    @property
    def exhausted(self) -> bool:
        """Whether validation has not improved for as many validations as the training's patience.

        It follows from the curve, which a checkpoint holds and all processes share: a resumed training, and all
        processes of one, stop at the same step.
        """
        since = sum(point["step"] > self.best_step for point in self.curve)
        return self.config.patience is not None and self.best_step > 0 and since >= self.config.patience

    @torch.no_grad()
    def measure(self, validation: Sequence[B], loss: LossFunction[B]) -> Point:
        """Measure the evaluated weights at this step, on all processes together, and keep the best."""
        averaged = self.config.ema_decay > 0
        present = copied(self.model) if averaged else {}
        if averaged:
            self.model.load_state_dict(self.average)
        self.model.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=self.gang.device)
        for batch in validation[self.gang.rank :: self.gang.size]:
            with autocast(self.config, self.gang.device):
                add_figures(sums, *loss(self.model, batch.to(self.gang.device)))
        if averaged:
            self.model.load_state_dict(present)
        total, items = self.gang.all_sum(sums).tolist()
        self._require_finite(total, "validation loss", self.step)
        point = Point(
            step=self.step,
            train_loss=self.running[0] / max(self.running[1], 1),
            validation_loss=total / items if items else math.nan,
            learning_rate=self.config.learning_rate(self.step - 1),
        )
        self.curve.append(point)
        self.running = [0.0, 0.0]
        if point["validation_loss"] < self.best_loss:
            self.best_loss, self.best_step, self.best = point["validation_loss"], self.step, self.weights()
        return point

    def _require_finite(self, total: float, name: str, step: int) -> None:
        """Refuse a figure that is not finite. The stages that write data refuse such values, and name their clip."""
        if not math.isfinite(total):
            raise InputError(
                f"the {name} at step {step} is {total}: training diverged; lower {self.option}.lr (now "
                f"{self.config.lr}) or raise {self.option}.warmup_steps (now {self.config.warmup_steps}). The data "
                "were finite when they were written, so no recording is to blame"
            )

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the averaged weights towards the present ones, in one operator; a young average follows faster."""
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        present = self.model.state_dict(keep_vars=True)
        pairs = [(own, present[name]) for name, own in self.average.items()]
        moved = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([own for own, _ in moved], [other for _, other in moved], 1 - decay)
        if counts := [pair for pair in pairs if not pair[0].is_floating_point()]:
            torch._foreach_copy_([own for own, _ in counts], [other for _, other in counts])

    def weights(self) -> dict[str, Tensor]:
        """Copy the averaged weights if averaging is on, else the present ones."""
        if not self.config.ema_decay:
            return copied(self.model)
        return {name: value.clone() for name, value in self.average.items()}


def fit(
    model: nn.Module,
    batches: Batches[B],
    validation: Sequence[B],
    loss: LossFunction[B],
    config: FitConfig,
    *,
    gang: Gang,
    option: str = "fit",
    checkpoint: Path,
    progress: Progress,
    track: Callable[[Point], None],
    say: Callable[[str], None] = lambda line: None,
) -> TrainingRecord:
    """Train ``model`` in place; it ends with the kept weights and in evaluation mode.

    ``loss`` returns the summed loss of its part of a batch and the number of items; the mean is over the items of all
    parts on all processes. ``track`` receives each point, at first those of the checkpoint; ``say`` a warning about a
    damaged checkpoint, and the reason of an early stop; ``option`` is the config's name in messages.

    Rank 0 writes the file ``checkpoint``, for the last time at the end. Training continues from the checkpoint if there
    is one. A damaged file is renamed to ``*.damaged``, and training begins anew.

    Results are the same bytes on the same device and libraries, and nearly the same elsewhere. On GPUs, PyTorch is
    asked for deterministic algorithms and warns where it has none.

    Raises:
        InputError: the loss or its gradient is no longer finite, or processes cannot share a batch equally.
    """
    config = with_precision(config, gang)
    if gang.device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Nothing reads unfilled memory, and filling it took 5 % of the time of WaveNet's steps.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # the module has it
        torch.backends.cudnn.deterministic = True
    training = Training(model.to(gang.device), config, option, gang)
    training.resume(checkpoint, say)  # into the tensors that `Training` made, so after it and before the first step
    for point in training.curve:
        track(point)
    progress.resume_at(training.step)
    with fast_products(gang.device), within(f"{option.removesuffix('fit')}batches"):
        wrapped, chosen = gang.wrap(model), chosen_loss(loss, config, gang.device)
        saved = time.monotonic()
        started = saved - training.seconds
        while training.step < config.steps and not training.exhausted:
            training.take(wrapped, batches, chosen)
            training.seconds = time.monotonic() - started
            ended = training.step == config.steps
            if training.step % config.validate_every == 0 or ended:
                # Measured before the checkpoint of this step is saved: a resumed training goes on behind the step, and
                # its curve, which the checkpoint holds, would lack the point.
                training.settle()
                point = training.measure(validation, loss)
                losses = f"training loss {point['train_loss']:.4f}, validation {point['validation_loss']:.4f}"
                progress.note(f"step {point['step']}: {losses}")
                track(point)
                ended = ended or training.exhausted
            progress.advance_to(training.step)
            # Rank 0 may save alone, but all processes refuse a step together, when all of them settle.
            due = gang.rank == 0 and time.monotonic() - saved > 60 * config.checkpoint_minutes
            if (due and training.finite) or ended:
                training.settle()  # first: the checkpoint holds the sums of these steps, and no step that diverged
                if gang.rank == 0:
                    training.save(checkpoint)
                saved = time.monotonic()
    best = config.keep == "best" and training.best_step > 0  # 0 without validation items
    model.load_state_dict(training.best if best else training.weights())
    model.eval()
    kept = training.best_step if best else training.step
    record = TrainingRecord(curve=list(training.curve), steps=training.step, kept_step=kept)
    if training.step < config.steps:
        record["planned"] = config.steps
        since = f"validation has not improved since step {training.best_step}"
        say(
            f"  {option.removesuffix('.fit')}: training stopped at step {training.step} of {config.steps}, because "
            f"{since} ({option}.patience={config.patience} validations)"
        )
    return record
