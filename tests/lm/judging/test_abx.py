"""ABX errors, against loops over all triples."""

from itertools import permutations

import numpy as np
import pytest

from lm.judging.abx import Distance, Token, abx_errors, token_distances, token_frames
from tests.lm.reference import abx_error_of, warped_distance


def tokens(seed: int, *, codes: bool) -> list[Token]:
    """Tokens of three phones in two contexts by three speakers; not every speaker has all of them."""
    rng = np.random.default_rng(seed)

    def frames() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        shape = (int(rng.integers(1, 6)), 2 if codes else 3)
        return rng.integers(0, 3, shape).astype(float) if codes else rng.normal(size=shape)

    return [
        Token(
            phone="pbt"[rng.integers(3)],
            context=("#", "ae"[rng.integers(2)]),
            speaker="xyz"[rng.integers(3)],
            frames=frames(),
        )
        for _ in range(26)
    ]


@pytest.mark.parametrize("distance", ["angular", "identical"])
def test_errors_are_those_of_loops_over_all_triples(distance: Distance) -> None:
    given = tokens(0, codes=distance == "identical")
    found = abx_errors(given, distance)
    assert set(found) == set(permutations("pbt", 2))
    for phone, against in [("p", "b"), ("t", "p")]:
        assert found[phone, against] == pytest.approx(abx_error_of(given, distance, phone, against))


@pytest.mark.parametrize("distance", ["angular", "identical"])
def test_distances_are_those_of_a_path_that_is_walked_back(distance: Distance, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [token.frames for token in tokens(1, codes=distance == "identical")]
    oracle = [[warped_distance(one, other, distance) for other in frames] for one in frames]
    whole = token_distances(frames, distance)
    np.testing.assert_allclose(whole, oracle, atol=1e-7)
    monkeypatch.setattr("lm.judging.abx.CELLS_AT_ONCE", 1)
    np.testing.assert_allclose(token_distances(frames, distance), whole, atol=1e-7)


def test_tokens_without_a_rival_give_no_pairs() -> None:
    alone = [Token(phone="p", context=("#", "a"), speaker=name, frames=np.ones((1, 2))) for name in "xy"]
    assert abx_errors(alone, "angular") == {}
    assert abx_errors([], "angular") == {}


def test_a_frame_belongs_to_a_token_if_its_centre_does() -> None:
    """Frames of 20 ms have their centres at 10, 30, 50... ms."""
    assert token_frames(0.010, 0.050, 50) == slice(0, 3)
    assert token_frames(0.011, 0.049, 50) == slice(1, 2)
    assert token_frames(0.012, 0.028, 50) == slice(1, 1)
