"""Fingerprints: short hashes of an artifact's config and weights."""

import hashlib
import json
from collections.abc import Mapping

from torch import Tensor

LENGTH = 16  # hexadecimal digits: 64 bits


def fingerprint(config: object, tensors: Mapping[str, Tensor]) -> str:
    """Hash a JSON-serialisable config and named tensors, in order of name."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:LENGTH]
