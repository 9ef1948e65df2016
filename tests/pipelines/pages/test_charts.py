"""Charts whose legends have many entries."""

import re

import numpy as np
import pytest

from pipelines.pages.charts import MAX_WRITTEN, Look, Panel, Series, curve_chart, heat_map


def _chart(count: int) -> tuple[float, dict[str, float]]:
    """Draw a panel of ``count`` curves; return its height and the vertical place of each text, in CSS pixels."""
    look = Look(dashes="-")
    curves = [
        Series(label=f"a long name, number {each}", look=look, places=[1, 2], values=[0, 1]) for each in range(count)
    ]
    svg = str(curve_chart([Panel(title="accuracy", series=curves)], name="test", title="Accuracy", height=290))
    texts = re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>([^<]+)</text>', svg)
    height = re.search(r'viewBox="0 0 \S+ ([\d.]+)"', svg)
    assert height
    return float(height[1]), {text: float(place) for place, text in texts}


@pytest.mark.parametrize("count", [1, 3, 12])
def test_a_title_stands_above_its_legend(count: int) -> None:
    _, places = _chart(count)
    gap = places["a long name, number 0"] - places["accuracy"]
    assert 12 < gap < 24  # letters of 10.5 pixels


def test_a_long_legend_takes_no_room_from_its_curves() -> None:
    few, many = _chart(3), _chart(12)
    drawn = [height - places[f"a long name, number {count - 1}"] for count, (height, places) in ((3, few), (12, many))]
    assert drawn[0] == pytest.approx(drawn[1], abs=6)


@pytest.mark.parametrize(("count", "written"), [(3, True), (MAX_WRITTEN, True), (MAX_WRITTEN + 1, False), (200, False)])
def test_a_heat_map_has_its_scale_and_numbers_that_can_be_read(count: int, written: bool) -> None:
    names, cells = [f"class {each}" for each in range(count)], [["777"] * count for _ in range(count)]
    words = {"name": "test", "title": "Confusions: none", "left": "truth", "across": "answer", "scale": "a share"}
    svg = str(heat_map(names, np.eye(count), cells, **words))
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", svg)
    assert texts.count("777") == count**2 * written
    assert {"a share", "0 %", "100 %"} <= set(texts)
    width = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    assert width
    assert not written or float(width[1]) / count > 15  # CSS pixels, for three digits
    assert ("scrolled" in svg) == (count > 20)  # a wide chart keeps its size
