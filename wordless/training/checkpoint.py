"""Training checkpoints: tensors and plain values in one safetensors file, with a hash that reveals damage.

Loading executes nothing from the file: safetensors holds numbers, and the values are JSON in its header. The header
also holds a hash of the tensors and values.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from wordless.base.files import aside

VALUES, HASH = "values", "hash"  # in the header


class CheckpointError(Exception):
    """A file that is not a checkpoint, or is damaged; the message says what is wrong."""


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, object]) -> None:
    """Write tensors and JSON values atomically, and flush them to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(values)
    held = _separate(tensors)
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
        values = json.loads(header[VALUES])
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise CheckpointError("it is not a whole safetensors file of a training") from error
    if not isinstance(values, dict):
        raise CheckpointError("its values are not a JSON object")
    return tensors, values


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Move tensors to contiguous, separate memory on the CPU, as safetensors requires."""
    held: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        storage = own.untyped_storage().data_ptr()
        held[name] = own.clone() if storage in places else own
        places.add(storage)
    return held


def _hash(tensors: Mapping[str, Tensor], text: str) -> str:
    """Compute the SHA-256 of the values, and of the name, type, shape and bytes of each tensor."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
