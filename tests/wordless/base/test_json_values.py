"""JSON values: hashes."""

import hashlib
import json

import pytest

from wordless.base.values import list_hash


@pytest.mark.parametrize("values", [[], [1], [["a", 2, None], ["ä\n", 3.5, "x"], []]])
def test_the_hash_of_a_list_is_that_of_its_json(values: list[object]) -> None:
    assert list_hash(iter(values)) == hashlib.sha256(json.dumps(values).encode()).hexdigest()
