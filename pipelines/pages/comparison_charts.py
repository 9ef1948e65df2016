"""The charts of a comparison of methods: all methods, layers, few labels, groups, confusions, and learned pictures."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle

import matplotlib
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.figure import Figure

from pipelines.methods.method import ImageRecord, LineRecord
from pipelines.methods.table import row_of, shown_in
from pipelines.pages.charts import (
    BLUE,
    GREEN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    SHADES,
    WIDTH,
    Look,
    Panel,
    Series,
    curve_chart,
    dot_chart,
    figure_series,
    inline_svg,
    shortened,
    write_percent,
)
from pipelines.pages.phrasing import full_name, percent
from pipelines.results.comparison import Comparison
from pipelines.store.stored_features import GPT, WITH_INPUT

# kind of method -> (name in the legend, look)
KINDS: dict[str, tuple[str, Look]] = {
    GPT: ("GPT", Look(marker="D")),
    "codes": ("codes", Look(marker="o", filled=False)),
    "self_supervised": ("self-supervised", Look(colour=GREEN, marker="s")),
    "supervised": ("supervised", Look(colour=ORANGE, marker="^")),
    "signal": ("signal", Look(colour=MUTED, marker="s", filled=False)),
    "untrained": ("untrained", Look(colour=MUTED, marker="X", filled=False)),
    "own": ("own features", Look(colour=INK, marker="P")),
}
NUMBER = re.compile(r"_(\d+)$")  # of a layer
INNER = re.compile(r"^(all_)?inner(_|$)")  # of activations within a layer
MAX_GROUPS = 40  # rows that can be read
MAX_CLASSES = 400  # of a confusion matrix: two pixels each
MAX_PANELS = 8
MAX_CONFUSIONS = 3  # that a description names
SMALL = 8.5  # CSS pixels, of labels of a confusion matrix
CELL = 17.0  # CSS pixels of a field of a confusion matrix, in which three digits can be read
MAX_WRITTEN, MAX_NAMED = 40, 60  # classes whose fields hold numbers, and whose names can be read
COLUMNS = 3  # panels beside each other in a gallery
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
        panels = [_layers(of, comparison) for of in names]
        columns, title = min(2, len(names)), f"{metric.capitalize()} by layer, with ridge regression"
        height = 60 + 125 * -(-len(names) // columns)
        yield "layers", curve_chart(panels, name="layers", title=title, height=height, columns=columns)
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
    line, (_, look) = row.line, KINDS[row.kind]
    return replace(look, marker=line.marker, filled=line.filled, dashes=line.dashes, size=5.5)


def _methods(comparison: Comparison, metric: str) -> Markup:
    """Draw each method with its interval over test clips and, where there are folds, the value of each fold."""
    names, rows, series = comparison.methods, [*comparison.tested.values()], []
    kinds = [GPT if of == GPT else row_of(of).kind for of in names]
    for kind, (label, look) in KINDS.items():
        places = [place for place, each in enumerate(kinds) if each == kind]
        if places:
            series.append(figure_series([rows[place] for place in places], label=label, look=look, places=places))
    if comparison.has_folds:
        ticks = [(value, place) for place, of in enumerate(names) for value in comparison.by_fold(of).values()]
        look = Look(colour=INK, marker="|", size=9, alpha=0.45)
        values, places = [value for value, _ in ticks], [place for _, place in ticks]
        series.append(Series(label=f"one {comparison.fold_noun}", look=look, places=places, values=values))
    ratio = comparison.guessing
    return dot_chart(
        [*map(full_name, names)],
        series,
        name="comparison",
        title=f"Test {metric} of {len(rows)} methods, the best first",
        across=f"test {metric}",
        marked=next((names.index(of) for of in comparison.known_references), None),
        level=(f"guess: {percent(ratio)}", ratio) if ratio else None,
    )


def in_order(layers: Iterable[str]) -> list[str]:
    """Sort numbered layers by number, what is made of several layers last; inner activations come after the states."""

    def place(layer: str) -> tuple[bool, int]:
        return bool(INNER.search(layer)), int(found[1]) if (found := NUMBER.search(layer)) else 10**9

    return sorted(layers, key=place)


def _layers(of: str, comparison: Comparison) -> Panel:
    """Draw the layers of one method; the one that was judged best is filled."""
    layers = comparison.layers(of)
    names = in_order(layers)
    places = range(len(names))
    test, validation = ([layers[name][split].value for name in names] for split in ("test", "validation"))
    best = max(places, key=lambda place: validation[place])
    judged, hollow = Look(colour=MUTED, dashes="--", marker="x", size=4), Look(dashes="-", marker="o", filled=False)
    series = [
        Series(label="validation", look=judged, places=places, values=validation),
        Series(label="test", look=hollow, places=places, values=test),
        Series(label="best on validation", look=Look(marker="o"), places=[best], values=[test[best]]),
    ]
    ticks = {float(place): layer_label(name) for place, name in enumerate(names)}
    return Panel(title=full_name(of), series=series, ticks=ticks, percent=True)


def layer_label(layer: str) -> str:
    """Name a layer below its panel: its number, or what is made of several layers."""
    found = NUMBER.search(layer)
    label = found[1] if found else layer.partition("_")[0][:6]
    label = f"{label} + input" if layer.endswith(WITH_INPUT) else label
    return f"inner {label}" if INNER.search(layer) else label


def _learning_curves(comparison: Comparison, metric: str) -> Markup:
    """Draw test values over the number of labels; the GPT has its interval."""
    curves, series, ticks = comparison.learning_curves, [], {}
    for of in shown_in("learning curves", curves):
        labels = [row.labels or 0.0 for row in curves[of]]
        for clips, row in zip(labels, curves[of], strict=True):
            share = 100 * (row.share or 0.0)  # with the digits that tell small shares apart
            ticks[clips] = f"{round(clips):,}\n{f'{share:.2g}' if share < 10 else f'{share:.0f}'} %"
        series.append(
            figure_series(curves[of], interval=of == GPT, label=full_name(of), look=line_look(of), places=labels)
        )
    across = "labelled training clips, and their share"
    panel = Panel(title=f"test {metric}", series=series, across=across, ticks=ticks, logarithmic=True, percent=True)
    return curve_chart([panel], name="learning", title="Test values by number of labels", height=290)


def _noise(comparison: Comparison, metric: str) -> Markup:
    """Draw the test values of each method without noise and with each noise; the GPT has its interval."""
    rows = {of: comparison.under_noise(of) for of in shown_in("learning curves", comparison.noise)}
    series = [
        figure_series(
            [*found.values()], interval=of == GPT, label=full_name(of), look=line_look(of), places=range(len(found))
        )
        for of, found in rows.items()
    ]
    ratios = next(iter(rows.values()))  # all methods have the same
    ticks = {float(place): "no noise" if snr is None else f"{snr:g} dB" for place, snr in enumerate(ratios)}
    panel = Panel(title=f"test {metric}", series=series, across="signal-to-noise ratio", ticks=ticks, percent=True)
    return curve_chart([panel], name="noise", title="Test values under noise", height=290)


def ranked_groups(values: dict[str, dict[str, float]]) -> list[str]:
    """Sort groups by their mean over the methods, the highest first, equal means by name."""
    names = sorted({group for by_group in values.values() for group in by_group})
    means = {name: float(np.mean([found[name] for found in values.values() if name in found])) for name in names}
    return sorted(names, key=lambda name: (-means[name], name))


def _groups(groups: Sequence[str], by_method: dict[str, dict[str, float]], metric: str) -> Markup:
    """Draw a row for each group: a point for each method, and a line from the lowest to the highest."""
    columns = [[values[group] for values in by_method.values() if group in values] for group in groups]
    low, high, unmarked = [*map(min, columns)], [*map(max, columns)], [math.nan] * len(groups)
    span = Look(colour=GRID, width=2.5)
    series = [Series(look=span, places=range(len(groups)), values=unmarked, low=low, high=high)]
    for of, values in by_method.items():
        places = [place for place, group in enumerate(groups) if group in values]
        look = replace(line_look(of), dashes="", size=5)
        series.append(Series(label=full_name(of), look=look, places=places, values=[values[groups[p]] for p in places]))
    title = f"Test {metric} in {len(groups)} groups"
    return dot_chart(groups, series, name="groups", title=title, across=f"test {metric}", row_height=17)


def confusions(classes: Sequence[str], counts: Counts) -> list[tuple[tuple[str, str], float]]:
    """List ((class, answer), clips) of the wrong answers, the most frequent first, equals by name."""
    wrong = {
        (true, answer): count
        for true, row in zip(classes, counts, strict=True)
        for answer, count in zip(classes, row, strict=True)
        if true != answer and count
    }
    return sorted(wrong.items(), key=lambda item: (-item[1], item[0]))


def rates(counts: Counts) -> npt.NDArray[np.float64]:
    """Divide clips by the clips of their class, ``(classes, classes)``; rows of unseen classes are 0."""
    values = np.asarray(counts, dtype=np.float64)
    ratios: npt.NDArray[np.float64] = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    return ratios


def confusion_chart(of: str, classes: Sequence[str], counts: Counts) -> Markup:
    """Draw the answers of a probe to the clips of each class as a heat map, with its scale.

    Clips are written into the fields of up to `MAX_WRITTEN` classes. More than `MAX_NAMED` names are left out.
    """
    shares, count, written = rates(counts), len(classes), len(classes) <= MAX_WRITTEN
    side = CELL if written else max(CELL * MAX_WRITTEN / count, 2.0)  # CSS pixels of a field
    labels = [shortened(label, 18) if count <= MAX_NAMED else "" for label in classes]

    def draw(figure: Figure) -> None:
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

    worst = confusions(classes, counts)[:MAX_CONFUSIONS]
    listed = "; ".join(f"{true} taken for {answer}, {clips:g} times" for (true, answer), clips in worst)
    judge = "the GPT's probe" if of == GPT else full_name(of)
    title = f"Confusion matrix of {judge}"
    width, height = max(WIDTH, 100 + side * count), 190 + side * count
    about = f"{title}, {count} classes: {listed or 'no confusion'}"
    drawn = inline_svg(draw, name="confusion", description=about, height=height, width=width)
    if width <= WIDTH:
        return drawn
    # A chart wider than a phone keeps its size, so that its text can be read, and scrolls.
    region = Markup('<div class="scrolled" role="region" tabindex="0" aria-label="{}"><div style="width: {:.0f}px">')
    return region.format(f"{title}, {count} classes", width) + drawn + Markup("</div></div>")


def method_pictures(comparison: Comparison) -> Iterator[tuple[str, Markup]]:
    """Draw each picture of what methods have learned, preceded by its caption: an image or a gallery of panels."""
    for number, picture in enumerate(comparison.pictures):
        name, title = f"method-picture-{number}", picture["title"]
        if "image" in picture:
            yield picture["caption"], _image(picture["image"], name=name, title=title)
        if "panels" in picture:
            yield picture["caption"], _gallery(picture["panels"], name=name, title=title)


def _image(image: ImageRecord, *, name: str, title: str) -> Markup:
    def draw(figure: Figure) -> None:
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
    return inline_svg(draw, name=name, description=f"{title}: an image with the lines {lines}", height=300)


def _gallery(panels: list[LineRecord], *, name: str, title: str) -> Markup:
    rows = max(-(-len(panels) // COLUMNS), 1)

    def draw(figure: Figure) -> None:
        figure.suptitle(title, fontsize=SMALL + 2, x=0.01, ha="left", color=INK)
        for axes in figure.subplots(rows, COLUMNS, squeeze=False).flat:
            axes.set_axis_off()
        for axes, panel in zip(figure.axes, panels, strict=False):
            axes.plot(panel["values"], color=BLUE, linewidth=0.9)
            axes.set_title(shortened(panel["name"], 16), fontsize=SMALL)

    listed = ", ".join(panel["name"] for panel in panels)
    return inline_svg(draw, name=name, description=f"{title}: {listed}", height=30 + 62 * rows)
