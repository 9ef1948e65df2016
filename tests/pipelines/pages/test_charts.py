"""Charts whose legends have many entries."""

import re

import numpy as np
import pytest

from pipelines.pages.charts import Look, Panel, Series, curve_chart
from pipelines.pages.comparison_charts import MAX_WRITTEN, confusion_chart


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
def test_confusions_have_their_scale_and_numbers_that_can_be_read(count: int, written: bool) -> None:
    names, counts = [f"class {each}" for each in range(count)], (777 * np.eye(count)).tolist()
    svg = str(confusion_chart("gpt", names, counts))
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", svg)
    assert texts.count("777") == count * written
    assert {"class of the clip", "0 %", "100 %"} <= set(texts)
    width = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    assert width
    assert not written or float(width[1]) / count > 15  # CSS pixels, for three digits
    assert ("scrolled" in svg) == (count > 20)  # a wide chart keeps its size


def test_a_drawing_serves_light_and_dark_pages_and_holds_names_as_text() -> None:
    """Colours are variables of the page, no identifier is that of another chart, and a name may look like a colour."""
    names = ["#00000a", "<b>&"]
    svg = str(confusion_chart("gpt", names, [[1, 0], [0, 1]]))
    assert "var(--ink)" in svg
    assert not re.search(r"[:(] ?#0000", svg)
    assert not re.search(r'id="(axes|text|patch|figure)', svg)
    assert ">#00000a<" in svg
    assert "&lt;b&gt;&amp;<" in svg
    assert svg == str(confusion_chart("gpt", names, [[1, 0], [0, 1]]))
