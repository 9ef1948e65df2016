"""The charts of a comparison of methods: all methods, layers, few labels, groups, confusions, and learned pictures."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle

import matplotlib
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes

from pipelines.methods.method import ImageRecord
from pipelines.methods.table import row_of, shown_in
from pipelines.pages.charts import (
    GREEN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    SHADES,
    WIDTH,
    Look,
    curves_svg,
    draw_series,
    finish_panel,
    look,
    rows_svg,
    sheet,
    shortened,
    styled,
    svg,
    write_percent,
)
from pipelines.pages.phrasing import full_name, percent
from pipelines.results.comparison import Comparison
from pipelines.results.figures import Figure as Row
from pipelines.store.stored_features import GPT, WITH_INPUT

# kind of method -> (name in the legend, look)
KINDS: dict[str, tuple[str, Look]] = {
    GPT: ("GPT", look(marker="D")),
    "codes": ("codes", look(marker="o", filled=False)),
    "self_supervised": ("self-supervised", look(GREEN, "s")),
    "supervised": ("supervised", look(ORANGE, "^")),
    "signal": ("signal", look(MUTED, "s", filled=False)),
    "untrained": ("untrained", look(MUTED, "X", filled=False)),
    "own": ("own features", look(INK, "P")),
}
NUMBER = re.compile(r"_(\d+)$")  # of a layer
INNER = re.compile(r"^(all_)?inner(_|$)")  # of activations within a layer
MAX_GROUPS = 40  # rows that can be read
MAX_CLASSES = 400  # of a confusion matrix: two pixels each
MAX_PANELS = 8
SMALL = 8.5  # CSS pixels, of labels of a confusion matrix
CELL = 17.0  # CSS pixels of a field of a confusion matrix, in which three digits can be read
MAX_WRITTEN, MAX_NAMED = 40, 60  # classes whose fields hold numbers, and whose names can be read
# Colours and dashes of the lines over an image, which is dark and bright on every page.
LINES = (("#ffffff", "-"), ("#ff9e4a", "--"), ("#7fd7ff", ":"))

Counts = Sequence[Sequence[float]]  # clips (classes, classes), a row for each true class


def comparison_charts(comparison: Comparison) -> Iterator[tuple[str, Markup]]:
    """Draw all methods and, where the record has them, layers, few labels, groups and confusions."""
    metric = full_name(comparison.metric)
    yield "comparison", _methods(comparison, metric)
    layers = {of: comparison.layers(of) for of in comparison.methods}
    names = [of for of, found in layers.items() if len(found) > 1 and any(map(NUMBER.search, found))]
    if names := sorted(names, key=lambda of: of != GPT)[:MAX_PANELS]:
        yield "layers", _layers(comparison, names, metric)
    curves = comparison.learning_curves
    if any(len(curves[of]) > 1 for of in shown_in("learning curves", curves)):
        yield "learning", _learning_curves(comparison, metric)
    if comparison.noise:
        yield "noise", _noise(comparison, metric)
    by_method = {of: comparison.groups[of] for of in shown_in("groups", comparison.groups)}
    if 1 < len(groups := ranked_groups(by_method)) <= MAX_GROUPS:
        yield "groups", _groups(groups, by_method, metric)
    for of in comparison.known_references[:1]:
        counts = comparison.confusion.get(of)
        if counts and len(counts) <= MAX_CLASSES:
            yield "confusion", confusion_chart(of, comparison.classes, counts)


def line_look(of: str) -> Look:
    """Look up how a method is drawn beside others: in the colour of its kind, with a marker and dashes of its own."""
    row = row_of(of)
    colour = KINDS[row.kind][1]["color"]
    return look(colour, row.line.marker, filled=row.line.filled, line=row.line.dashes or "none", size=5.5)


@styled
def _methods(comparison: Comparison, metric: str) -> Markup:
    """Draw each method with its interval over test clips and, where there are folds, the value of each fold."""
    names, rows = comparison.methods, [*comparison.tested.values()]
    figure = sheet(110 + 21 * len(names))
    axes = figure.subplots()
    kinds = [GPT if of == GPT else row_of(of).kind for of in names]
    for kind, (label, looks) in KINDS.items():
        places = [place for place, each in enumerate(kinds) if each == kind]
        if places:
            draw_series(axes, places, [rows[place] for place in places], looks, label=label, interval="across")
    if comparison.has_folds:
        ticks = [(place, value) for place, of in enumerate(names) for value in comparison.by_fold(of).values()]
        places, values = [place for place, _ in ticks], [value for _, value in ticks]
        looks = look(INK, "|", size=9, alpha=0.45)
        draw_series(axes, places, values, looks, label=f"one {comparison.fold_noun}", interval="across")
    ratio, titles = comparison.guessing, [*map(full_name, names)]
    level = (f"guess: {percent(ratio)}", ratio) if ratio else None
    marked = next((names.index(of) for of in comparison.known_references), None)
    title, across = f"Test {metric} of {len(rows)} methods, the best first", f"test {metric}"
    return rows_svg(figure, titles, name="comparison", title=title, across=across, marked=marked, level=level)


def in_order(layers: Iterable[str]) -> list[str]:
    """Sort numbered layers by number, what is made of several layers last; inner activations come after the states."""

    def place(layer: str) -> tuple[bool, int]:
        return bool(INNER.search(layer)), int(found[1]) if (found := NUMBER.search(layer)) else 10**9

    return sorted(layers, key=place)


@styled
def _layers(comparison: Comparison, methods: Sequence[str], metric: str) -> Markup:
    """Draw the layers of each method in a panel; the one that was judged best is filled."""
    columns = min(2, len(methods))
    rows = -(-len(methods) // columns)
    figure = sheet(60 + 125 * rows)
    panels = [*figure.subplots(rows, columns, squeeze=False, sharex=columns == 1, sharey=columns > 1).flat]
    for axes, of in zip(panels, methods, strict=False):
        layers = comparison.layers(of)
        names = in_order(layers)
        places = range(len(names))
        test, validation = ([layers[name][split].value for name in names] for split in ("test", "validation"))
        best = max(places, key=lambda place: validation[place])
        draw_series(axes, places, validation, look(MUTED, "x", line="--", size=4), label="validation")
        draw_series(axes, places, test, look(marker="o", line="-", filled=False), label="test")
        draw_series(axes, [best], [test[best]], look(marker="o"), label="best on validation")
        ticks = {float(place): layer_label(name) for place, name in enumerate(names)}
        finish_panel(axes, shortened(full_name(of), 26), ticks=ticks, ratios=True, legend=columns == 1)
    for axes in panels[len(methods) :]:
        axes.remove()
    return curves_svg(figure, name="layers", title=f"{metric.capitalize()} by layer, with ridge regression")


def layer_label(layer: str) -> str:
    """Name a layer below its panel: its number, or what is made of several layers."""
    found = NUMBER.search(layer)
    label = found[1] if found else layer.partition("_")[0][:6]
    label = f"{label} + input" if layer.endswith(WITH_INPUT) else label
    return f"inner {label}" if INNER.search(layer) else label


@styled
def _learning_curves(comparison: Comparison, metric: str) -> Markup:
    """Draw test values over the number of labels; the GPT has its interval."""
    curves, ticks, figure = comparison.learning_curves, {}, sheet(290)
    axes = figure.subplots()
    for of in shown_in("learning curves", curves):
        labels = [row.labels or 0.0 for row in curves[of]]
        for clips, row in zip(labels, curves[of], strict=True):
            share = 100 * (row.share or 0.0)  # with the digits that tell small shares apart
            ticks[clips] = f"{round(clips):,}\n{f'{share:.2g}' if share < 10 else f'{share:.0f}'} %"
        _draw_method(axes, of, labels, curves[of])
    axes.set_xscale("log")
    across = "labelled training clips, and their share"
    finish_panel(axes, f"test {metric}", across=across, ticks=ticks, ratios=True)
    return curves_svg(figure, name="learning", title="Test values by number of labels")


def noise_label(snr: float | None) -> str:
    """Write the signal-to-noise ratio of test clips in dB; None: they have no noise."""
    return "no noise" if snr is None else f"{snr:g} dB"


@styled
def _noise(comparison: Comparison, metric: str) -> Markup:
    """Draw the test values of each method without noise and with each noise; the GPT has its interval."""
    figure, ticks = sheet(290), {}
    axes = figure.subplots()
    for of in shown_in("learning curves", comparison.noise):
        rows = comparison.under_noise(of)
        _draw_method(axes, of, range(len(rows)), [*rows.values()])
        ticks = {float(place): noise_label(snr) for place, snr in enumerate(rows)}
    finish_panel(axes, f"test {metric}", across="signal-to-noise ratio", ticks=ticks, ratios=True)
    return curves_svg(figure, name="noise", title="Test values under noise")


def _draw_method(axes: Axes, of: str, places: Sequence[float], rows: Sequence[Row]) -> None:
    draw_series(axes, places, rows, line_look(of), label=full_name(of), interval="band" if of == GPT else "")


def ranked_groups(values: dict[str, dict[str, float]]) -> list[str]:
    """Sort groups by their mean over the methods, the highest first, equal means by name."""
    names = sorted({group for by_group in values.values() for group in by_group})
    means = {name: float(np.mean([found[name] for found in values.values() if name in found])) for name in names}
    return sorted(names, key=lambda name: (-means[name], name))


@styled
def _groups(groups: Sequence[str], by_method: dict[str, dict[str, float]], metric: str) -> Markup:
    """Draw a row for each group: a point for each method, and a line from the lowest to the highest."""
    figure = sheet(110 + 17 * len(groups))
    axes = figure.subplots()
    for place, group in enumerate(groups):
        values = [found[group] for found in by_method.values() if group in found]
        axes.hlines(place, min(values), max(values), color=GRID, linewidth=2.5)
    for of, found in by_method.items():
        places = [place for place, group in enumerate(groups) if group in found]
        looks = line_look(of) | {"linestyle": "none", "markersize": 5}
        draw_series(axes, places, [found[groups[p]] for p in places], looks, label=full_name(of), interval="across")
    title = f"Test {metric} in {len(groups)} groups"
    return rows_svg(figure, groups, name="groups", title=title, across=f"test {metric}")


def rates(counts: Counts) -> npt.NDArray[np.float64]:
    """Divide clips by the clips of their class, ``(classes, classes)``; rows of unseen classes are 0."""
    values = np.asarray(counts, dtype=np.float64)
    ratios: npt.NDArray[np.float64] = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    return ratios


@styled
def confusion_chart(of: str, classes: Sequence[str], counts: Counts) -> Markup:
    """Draw the answers of a probe to the clips of each class as a heat map, with its scale.

    Clips are written into the fields of up to `MAX_WRITTEN` classes. More than `MAX_NAMED` names are left out.
    """
    shares, count, written = rates(counts), len(classes), len(classes) <= MAX_WRITTEN
    side = CELL if written else max(CELL * MAX_WRITTEN / count, 2.0)  # CSS pixels of a field
    labels = [shortened(label, 18) if count <= MAX_NAMED else "" for label in classes]

    width, height = max(WIDTH, 100 + side * count), 190 + side * count
    figure = sheet(height, width)
    axes, bar = figure.subplots(2, 1, height_ratios=(side * count, 9))
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, interpolation="none", aspect="auto")
    axes.set_yticks(range(count), labels, fontsize=SMALL, color=INK)
    axes.set_xticks(range(count), labels, fontsize=SMALL, color=INK, rotation=90)
    axes.set_xlabel("answer of the probe")
    axes.set_title("class of the clip")
    for (row, column), clips in np.ndenumerate(np.asarray(counts)) if written else ():
        if clips:
            colour = "black" if shares[row, column] > 0.5 else "white"  # on the bright and the dark colours
            text = f"{clips:.0f}" if clips >= 100 else f"{clips:.2g}"
            axes.text(column, row, text, ha="center", va="center", fontsize=SMALL - 1, color=colour)
    bar.imshow(np.linspace(0, 1, SHADES)[None], cmap="cividis", extent=(0, 1, 0, 1), aspect="auto")
    bar.set_yticks([])
    bar.set_xlabel("share of the clips of a class")
    write_percent(bar.xaxis)
    for each in (axes, bar):
        each.tick_params(length=0)
        each.spines[:].set_visible(False)

    judge = "the GPT's probe" if of == GPT else full_name(of)
    title = f"Confusion matrix of {judge}"
    right = float(np.trace(np.asarray(counts)) / max(np.sum(counts), 1))
    drawn = svg(figure, name="confusion", description=f"{title}, {count} classes: {percent(right)} of the clips right")
    if width <= WIDTH:
        return drawn
    # A chart wider than a phone keeps its size, so that its text can be read, and scrolls.
    region = Markup('<div class="scrolled" role="region" tabindex="0" aria-label="{}"><div style="width: {:.0f}px">')
    return region.format(f"{title}, {count} classes", width) + drawn + Markup("</div></div>")


def method_pictures(comparison: Comparison) -> Iterator[tuple[str, Markup]]:
    """Draw each picture of what methods have learned, preceded by its caption."""
    for number, picture in enumerate(comparison.pictures):
        name = f"method-picture-{number}"
        yield picture["caption"], _image(picture["image"], name=name, title=picture["title"])


@styled
def _image(image: ImageRecord, *, name: str, title: str) -> Markup:
    figure = sheet(300)
    axes = figure.subplots()
    extent = (0.0, image["width"], 0.0, image["height"])
    values, shades = np.array(image["columns"], np.uint8).T, matplotlib.colormaps["magma"].resampled(SHADES)
    axes.imshow(values, shades, vmin=0, vmax=255, origin="lower", aspect="auto", extent=extent)
    for line, (colour, dashes) in zip(image["lines"], cycle(LINES), strict=False):
        places = (np.arange(len(line["values"])) + 0.5) * image["width"] / max(len(line["values"]), 1)
        axes.plot(places, line["values"], color=colour, linestyle=dashes, label=line["name"])
    axes.set(title=title, xlabel=image["across"], ylabel=image["up"])
    axes.spines[:].set_visible(False)
    if image["lines"]:
        axes.legend(loc="upper left", labelcolor="#ffffff")
    lines = ", ".join(line["name"] for line in image["lines"])
    return svg(figure, name=name, description=f"{title}: an image with the lines {lines}")
