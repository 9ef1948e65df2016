"""Which views of a clip there are: other codes of the same training clips, and of no others."""

from dataclasses import replace
from typing import Any

import pytest

from tokenizer.options import View, ViewsConfig
from wordless.base.errors import InputError


def config(**changes: Any) -> ViewsConfig:
    return ViewsConfig(**{"offsets": True, "warps": 3, "max_speed": 0.2, "max_formants": 0.1, "seed": 0, **changes})


def test_views_are_every_other_offset_and_so_many_warps() -> None:
    views = config().of("a.wav", patch_frames=4)
    assert views[:3] == tuple(View(offset_frames=offset) for offset in (1, 2, 3))
    assert len(views) == 6
    for view in views[3:]:
        assert 1 / 1.2 <= view.speed <= 1.2
        assert 1 / 1.1 <= view.formants <= 1.1


def test_a_clip_is_warped_alike_whatever_else_there_is() -> None:
    assert config().of("a.wav", 2) == config().of("a.wav", 2)
    assert len({config().of("a.wav", 2), config().of("b.wav", 2), config(seed=1).of("a.wav", 2)}) == 3


def test_warps_draw_dynamic_ranges_where_there_are_any() -> None:
    views = config(dynamic_ranges=(22.0, 50.0)).of("a.wav", 4)
    assert [view.dynamic_range for view in views[:3]] == [None] * 3
    drawn = [view.dynamic_range for view in views[3:]]
    assert len(set(drawn)) == 3
    assert all(each is not None and 22 <= each <= 50 for each in drawn)
    plain = config().of("a.wav", 4)
    assert [replace(view, dynamic_range=None) for view in views] == list(plain)


def test_without_warps_and_offsets_there_is_no_other_view() -> None:
    assert config(offsets=False, warps=0).of("a.wav", 4) == ()


@pytest.mark.parametrize("changes", [{"max_speed": 0.0, "max_formants": 0.0}, {"dynamic_ranges": (50.0, 22.0)}])
def test_what_is_no_warp_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^(warps|max_speed|max_formants|dynamic_ranges)\b"):
        config(**changes)
