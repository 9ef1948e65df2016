"""Charts whose legends have many entries."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup
from pandas import DataFrame

from lm.probing.intervals import Hits, bootstrap, measure
from pipelines.commandline.run_folders import Job
from pipelines.pages import charts
from pipelines.pages.charts import Chart, Curve, Panel, curves_chart, look
from pipelines.pages.report import MAX_WRITTEN, comparison_charts, confusion_chart
from pipelines.pages.sweep_page import Runs, SweepPoint, all_pairs, sweep_charts, swept
from pipelines.results.run_record import Comparison, Results, Row, frame
from tests.pipelines.pages_apart import comparison_example, probe, says


def test_a_title_stands_above_its_legend_which_takes_no_room_from_its_curves() -> None:
    below = []
    for count in (1, 3, 12):
        points, names = [(1.0, 0.0), (2.0, 1.0)], [f"a long name, number {each}" for each in range(count)]
        panel = Panel(
            title="accuracy", curves=[Curve(points=points, look=look(line="-"), label=each) for each in names]
        )
        svg = curves_chart([panel], name="test", title="Accuracy", height=290).__html__()
        places = {text: float(y) for y, text in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>([^<]+)</text>', svg)}
        assert 12 < places[names[0]] - places["accuracy"] < 24  # letters of 10.5 pixels
        (height,) = re.findall(r'viewBox="0 0 \S+ ([\d.]+)"', svg)
        below.append(float(height) - places[names[-1]])
    assert below[1] == pytest.approx(below[2], abs=6)


@pytest.mark.parametrize(("count", "written"), [(3, True), (MAX_WRITTEN, True), (MAX_WRITTEN + 1, False), (200, False)])
def test_confusions_have_their_scale_and_numbers_that_can_be_read(count: int, written: bool) -> None:
    names, counts = [f"class {each}" for each in range(count)], (777 * np.eye(count)).tolist()
    svg = confusion_chart("gpt", names, counts).__html__()
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", svg)
    assert texts.count("777") == count * written
    assert {"class of the clip", "0 %", "100 %"} <= set(texts)
    width = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    assert width
    assert not written or float(width[1]) / count > 15  # CSS pixels, for three digits
    assert ("scrolled" in svg) == (count > 20)  # a wide chart keeps its size


def noisy_comparison(*noises: tuple[str, float]) -> Comparison:
    rows = comparison_example(["test"])
    values = {of: row.value for of, row in rows.tested.items()}
    more = [probe(of, value - 0.1, noise=kind, noise_snr=snr) for of, value in values.items() for kind, snr in noises]
    return replace(rows, figures=frame((*rows.rows(), *more)))


def test_one_kind_of_noise_has_a_line_for_each_method_and_several_have_lines_in_panels_of_methods() -> None:
    def noise_chart(*noises: tuple[str, float]) -> Chart:
        return next(each for each in comparison_charts(noisy_comparison(*noises)) if each.name == "noise")

    alone = noise_chart(("rain", 20.0), ("rain", 0.0))
    (axes,) = alone.figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["no noise", "20 dB", "0 dB"]
    assert {"GPT over codes", "SimCLR"} <= {str(line.get_label()) for line in axes.get_lines()}
    several = noise_chart(("white", 0.0), ("white", 20.0), ("rain", 20.0))
    assert len(several.figure.axes) >= 2
    for axes in several.figure.axes[:2]:
        assert [label.get_text() for label in axes.get_xticklabels()] == ["none", "20", "0"]
        lines = {str(line.get_label()): [*map(float, line.get_xdata())] for line in axes.get_lines()}  # type: ignore[arg-type]
        assert {name: lines[name] for name in ("white", "rain")} == {"white": [0, 1, 2], "rain": [0, 1]}


def test_a_drawing_serves_light_and_dark_pages_and_holds_names_as_text() -> None:
    """Colours are variables of the page, no identifier is that of another chart, and a name may look like a colour."""
    names = ["#1c1f23", "<b>&"]
    svg = confusion_chart("gpt", names, [[1, 0], [0, 1]]).__html__()
    assert "var(--ink, #1c1f23)" in svg  # the second is for a file of its own
    root = ElementTree.fromstring(svg[svg.index("<svg") : svg.index("</svg>") + 6])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(r': #(1c1f23|ffffff)|id="(axes|text|patch|figure)', svg)
    assert ">#1c1f23<" in svg
    assert "&lt;b&gt;&amp;<" in svg
    assert svg == confusion_chart("gpt", names, [[1, 0], [0, 1]]).__html__()


# Machado, Oliveira and Fernandes (2009), severity 1: linear RGB as people without one kind of cone see it.
VISIONS: dict[str, Any] = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = np.array([[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1094, 0.8729]])  # white is (1, 1, 1)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("page", ["light", "dark"])
def test_series_have_colours_that_colour_blind_readers_tell_apart(page: str, vision: str) -> None:
    page_with_styles = Path(charts.__file__).parent / "page.html.jinja"
    styles = page_with_styles.read_text().split("@media (prefers-color-scheme: dark)")
    known = dict(re.findall(r"--(\w+): (#\w{6})", styles[page == "dark"]))
    named = [charts.VARIABLES[colour] for colour, _ in charts.SERIES]
    places = []
    for name in named:
        coded = np.array([int(known[name][at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
        x, y, z = np.cbrt(TO_XYZ @ np.clip(np.array(VISIONS[vision]) @ linear, 0.001, 1))
        places.append(np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)]))  # CIELAB
    differences = {(a, b): np.linalg.norm(places[a] - places[b]) for a in range(5) for b in range(a)}
    assert min(differences.values()) > 18, [named[each] for each in min(differences, key=differences.__getitem__)]


HOURS = ("8", "0", "0.5", "2")
ACCURACY = {"gpt": (0.86, 0.6, 0.7, 0.8), "simclr": (0.81, 0.7, 0.75, 0.8), "bag_of_codes": (0.5,) * 4}


def rows(place: int, accuracy: Mapping[str, tuple[float, ...]]) -> DataFrame:
    now = {of: values[place] for of, values in accuracy.items()}
    splits = ("test", "validation")
    probed = [probe(of, value, low=value - 0.02, high=1, split=split) for split in splits for of, value in now.items()]
    return frame([*probed, Row(stage="lm", name="bits_per_second", value=120.0 + place, artifact="")])


def results(figures: DataFrame) -> Results:
    return {"figures": figures, "comparison": Comparison(folds=["test"], classes=[], figures=figures)}


def runs(accuracy: Mapping[str, tuple[float, ...]], *sources: str) -> Runs:
    """A sweep over hours, of one source or of several; its jobs end in no order."""
    points = []
    for source in sources or ("embedded",):
        for place, hours in enumerate(HOURS):
            words = {"seed": "1", "unlabelled": source, "unlabelled_hours": hours}
            job = Job(number=len(points), overrides=words, folder=str(len(points)))
            points.append(SweepPoint(job=job, results=results(rows(place, accuracy))))
    return Runs(options=swept([point.job for point in points]), finished=points)


def figures_chart(runs: Runs) -> str:
    return str(Markup(sweep_charts(runs).get("figures", ""))).replace("\N{NO-BREAK SPACE}", " ")


def test_accuracy_and_bit_rate_have_a_panel_each_and_every_method_a_line() -> None:
    text = figures_chart(runs(ACCURACY))
    assert says(text, "accuracy on test, GPT over codes: 60.0 % to 86.0 %", "bag of codes: 50.0 % to 50.0 %")
    assert says(text, "SimCLR: 70.0 % to 81.0 %")
    assert says(text, "bits per second of the language model, GPT over codes: 121", "120")
    both = runs(ACCURACY, "embedded", "[a, b]")
    assert both.options == ("unlabelled_hours", "unlabelled")
    for source in ("unlabelled=embedded", "unlabelled=[a,"):
        for method in ("GPT over codes", "SimCLR", "bag of codes"):
            assert f"accuracy on test, {method}, {source}" in figures_chart(both)
    names = [
        Job(number=number, overrides={"ablation": name}, folder="x") for number, name in enumerate(("none", "one"))
    ]
    points = [SweepPoint(job=job, results=results(rows(job.number, ACCURACY))) for job in names]
    text = figures_chart(Runs(options=("ablation",), finished=points))
    assert ">none<" in text  # names of runs stand below the panels
    assert ">one<" in text


def measured(hits: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values and resamples of settings ``(settings, clips)``."""
    fold = Hits(hits=hits.astype(np.float64))
    return measure(fold)[0], bootstrap([fold], resamples=1000, seed=seed)


def test_one_pair_has_the_interval_of_a_paired_difference() -> None:
    rng = np.random.default_rng(0)
    one = rng.random(400) < 0.7
    hits = np.stack([one, np.where(rng.random(400) < 0.3, rng.random(400) < 0.5, one)])
    values, draws = measured(hits)
    [(_, _, gain)] = all_pairs(values, draws, resampled=400, confidence=0.95)
    error = (hits[0].astype(float) - hits[1]).std() / 20
    assert gain.value == pytest.approx(values[0] - values[1])
    assert gain.high - gain.low == pytest.approx(2 * 1.96 * error, rel=0.1)


@pytest.mark.parametrize(("right", "differs"), [(0, False), (3, False), (9, True)])
def test_a_few_clips_do_not_separate_two_settings(right: int, differs: bool) -> None:
    """An exact test needs at least six clips that one setting alone answers right."""
    hits = np.zeros((2, 100), bool)
    hits[:, :50], hits[0, 50 : 50 + right] = True, True
    [(_, _, gain)] = all_pairs(*measured(hits), resampled=100, confidence=0.95)
    assert (gain.low < gain.value < gain.high, gain.excludes_zero) == (True, differs)
    assert all_pairs(*measured(hits[:1]), resampled=100, confidence=0.95) == []  # one setting has no pair
