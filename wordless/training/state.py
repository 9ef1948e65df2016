"""A training's config, all state that changes during training, its checkpoints, and continuing from them.

A checkpoint holds tensors and plain values in one safetensors file. Loading executes nothing from the file: safetensors
holds numbers, and the values are JSON in its header. The header also holds a hash of the tensors and values.

A training has one checkpoint, which rank 0 writes and all processes read.
"""

import hashlib
import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from wordless.base.files import aside, remove
from wordless.training.gangs import Gang
from wordless.training.options import FitConfig, Point

STEP = "step"
MOMENTS = (STEP, "exp_avg", "exp_avg_sq")  # the optimizer state of a parameter in AdamW
PROGRESS = (STEP, "seconds", "curve", "running", "best_loss", "best_step")  # values of a training
VALUES, HASH = "values", "hash"  # in the header


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
        save_file(held, beside, metadata={VALUES: text, HASH: _hash(held, text)})


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Read the tensors, on the CPU, and the values.

    Raises:
        CheckpointError: the file is not a whole file of `write_checkpoint`.
    """
    if not path.is_file():
        raise CheckpointError("it is not a file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is not a dictionary
        if header[HASH] != _hash(tensors, header[VALUES]):
            raise CheckpointError("its hash is not that of its contents")
        return tensors, dict(json.loads(header[VALUES]))
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise CheckpointError("it is not a whole safetensors file of a training") from error


def _hash(tensors: Mapping[str, Tensor], text: str) -> str:
    """Compute the SHA-256 of the values, and of the name, type, shape and bytes of each tensor."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class Training:
    """The state of a training, and its checkpoints."""

    def __init__(self, model: nn.Module, config: FitConfig, option: str) -> None:
        self.config = config
        self.option = option
        self.model = model
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=config.weight_decay, fused=True
        )
        self.average = copied(model) if config.ema_decay else {}
        self.step = 0
        self.seconds = 0.0
        self.curve: list[Point] = []
        self.running = [0.0, 0.0]  # summed loss and items since the last point
        self.best_loss = math.inf
        self.best_step = 0
        self.best = self._weights()

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically."""
        state = self.optimizer.state_dict()["state"]
        moments = {f"optimizer.{number}.{name}": value for number, own in state.items() for name, value in own.items()}
        values = {name: getattr(self, name) for name in PROGRESS}
        write_checkpoint(path, {**self._weights_by_name(), **moments}, values)

    def _read(self, path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
        """Read a checkpoint and change nothing; a `CheckpointError` if it is damaged, or of another training."""
        tensors, values = read_checkpoint(path)
        weights = self._weights_by_name()
        known = {**weights, **self._empty_moments()}
        alike = all(
            name in known and tensor.shape == known[name].shape and tensor.dtype == known[name].dtype
            for name, tensor in tensors.items()
        )
        if not alike or weights.keys() - tensors.keys() or values.keys() != {*PROGRESS}:
            raise CheckpointError("it is of another model")
        return tensors, values

    def resume(self, path: Path, gang: Gang, say: Callable[[str], None]) -> None:
        """Continue from the last checkpoint, if there is a whole one; a damaged file is renamed to ``*.damaged``.

        The memory layout of the tensors stays, because it decides how sums are rounded.
        """
        gang.barrier()
        saved = None
        if gang.rank == 0 and os.path.lexists(path):
            try:
                saved = self._read(path)
            except CheckpointError as damage:
                damaged = path.with_suffix(".damaged")
                remove(damaged)  # left by an earlier run
                path.rename(damaged)
                say(f"WARNING   {path} is damaged ({damage}): it is now {damaged.name}, and training begins anew")
        if not gang.sum([float(saved is not None)])[0]:
            return
        tensors, values = saved or self._read(path)
        for name, value in self._weights_by_name().items():
            value.copy_(tensors[name])
        state = defaultdict[int, dict[str, Tensor]](dict)
        for name, moment in self._empty_moments().items():
            if name in tensors:
                _, number, kind = name.split(".")
                state[int(number)][kind] = moment.copy_(tensors[name])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        vars(self).update(values)

    def _weights_by_name(self) -> dict[str, Tensor]:
        """Return a checkpoint's weights by name: the present ones, the best ones, and their average if there is one."""
        parts = {"model": self.model.state_dict(), "best": self.best}
        if self.config.ema_decay:
            parts["average"] = self.average
        return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}

    def _empty_moments(self) -> dict[str, Tensor]:
        """Return room for AdamW's state of each parameter, which a step has, as ``optimizer.<its number>.<name>``."""
        return {
            f"optimizer.{number}.{name}": torch.zeros((), device=own.device) if name == STEP else torch.empty_like(own)
            for number, own in enumerate(self.model.parameters())
            for name in MOMENTS
        }

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged weights towards the present ones; a young average follows faster.

        All weights together are one operator, and another for whole numbers.
        """
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        present = self.model.state_dict(keep_vars=True)
        pairs = [(own, present[name]) for name, own in self.average.items()]
        moved = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([own for own, _ in moved], [other for _, other in moved], 1 - decay)
        if counts := [pair for pair in pairs if not pair[0].is_floating_point()]:
            torch._foreach_copy_([own for own, _ in counts], [other for _, other in counts])

    def record(self, point: Point) -> None:
        """Add a point, and keep the weights if they are the best so far."""
        self.curve.append(point)
        self.running = [0.0, 0.0]
        if point["validation_loss"] < self.best_loss:
            self.best_loss, self.best_step, self.best = point["validation_loss"], self.step, self._weights()

    def evaluated_weights(self) -> dict[str, Tensor]:
        """Return the averaged weights if averaging is on, else the present ones."""
        return self.average if self.config.ema_decay else self._weights()

    def _weights(self) -> dict[str, Tensor]:
        if not self.config.ema_decay:
            return copied(self.model)
        return {name: value.clone() for name, value in self.average.items()}


def copied(model: nn.Module) -> dict[str, Tensor]:
    """Copy the weights of a model."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
