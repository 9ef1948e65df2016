"""A checkpoint on disk: tensors and plain values in one safetensors file, whole or noticed to be damaged.

Nothing in the file is ever executed: safetensors holds numbers, and the values stand as JSON in its header. The header
also holds a hash of all that the file is to give back.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from foundation.files import aside

VALUES, HASH = "values", "hash"  # in the header


class CheckpointError(Exception):
    """A file that is no checkpoint, or is one no longer; the message says what is wrong."""


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, object]) -> None:
    """Write tensors and JSON values, whole or not at all, and flushed to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(values)
    held = _apart(tensors)
    with aside(path) as beside:
        save_file(held, beside, metadata={VALUES: text, HASH: _hash(held, text)})


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """The tensors, on the CPU, and the values.

    Raises:
        CheckpointError: the file is not what `write_checkpoint` wrote.
    """
    if not path.is_file():
        raise CheckpointError("it is no file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dictionary
        if header[HASH] != _hash(tensors, header[VALUES]):
            raise CheckpointError("its hash is not that of its contents")
        values = json.loads(header[VALUES])
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise CheckpointError("it is no whole safetensors file of a training") from error
    if not isinstance(values, dict):
        raise CheckpointError("its values are no JSON object")
    return tensors, values


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, laid out one after another in memory of their own: safetensors takes no others."""
    held: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        storage = own.untyped_storage().data_ptr()
        held[name] = own.clone() if storage in places else own
        places.add(storage)
    return held


def _hash(tensors: Mapping[str, Tensor], text: str) -> str:
    """SHA-256 of the values, and of the name, type, shape and bytes of each tensor."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
