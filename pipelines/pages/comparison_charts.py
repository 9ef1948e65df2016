"""The charts of a comparison of methods: all methods, layers, few labels, groups, confusions, and learned pictures."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle

import matplotlib
import numpy as np

from pipelines.methods.method import LineRecord, PictureRecord
from pipelines.methods.methods_table import row_of, shown_in
from pipelines.pages import charts
from pipelines.pages.phrasing import decibels, full_name, number, percent
from pipelines.results.run_record import Comparison, Row
from pipelines.store.stored_features import GPT, WITH_INPUT
from wordless.audio.views import WITHOUT_RATIO, Noise

# kind of method -> (name in the legend, look)
KINDS: dict[str, tuple[str, charts.Look]] = {
    GPT: ("GPT", charts.look(marker="D")),
    "codes": ("codes", charts.look(marker="o", filled=False)),
    "self_supervised": ("self-supervised", charts.look(charts.GREEN, "s")),
    "supervised": ("supervised", charts.look(charts.ORANGE, "^")),
    "signal": ("signal", charts.look(charts.MUTED, "s", filled=False)),
    "untrained": ("untrained", charts.look(charts.MUTED, "X", filled=False)),
    "own": ("own features", charts.look(charts.INK, "P")),
}
NUMBER = re.compile(r"_(\d+)$")  # of a layer
INNER = re.compile(r"^(all_)?inner(_|$)")  # of activations within a layer
MAX_GROUPS = 40  # rows that can be read
MAX_CLASSES = 400  # of a confusion matrix: two pixels each
MAX_PANELS = 8
SMALL = 8.5  # CSS pixels, of labels of a confusion matrix
CELL = 17.0  # CSS pixels of a field of a confusion matrix, in which three digits can be read
MAX_WRITTEN, MAX_NAMED = 40, 60  # classes whose fields hold numbers, and whose names can be read
GALLERY = 3  # lines beside each other
LINES = ((charts.WHITE, "-"), ("#ff9e4a", "--"), ("#7fd7ff", ":"))  # colours and dashes of the lines over an image


def comparison_charts(comparison: Comparison) -> Iterator[charts.Chart]:
    """Draw all methods and, where the record has them, layers, few labels, noise, groups and confusions."""
    yield _methods(comparison)
    layers = {of: comparison.layers(of) for of in comparison.methods}
    names = [of for of, found in layers.items() if len(found) > 1 and any(map(NUMBER.search, found))]
    if names := sorted(names, key=lambda of: of != GPT)[:MAX_PANELS]:
        yield _layers({of: layers[of] for of in names}, full_name(comparison.metric))
    title = f"test {full_name(comparison.metric)}"
    yield from learning_charts(comparison)
    if comparison.noises:
        yield _noise(comparison, title)
    groups = comparison.along("group")
    by_method = {of: comparison.means(of, "group") for of in shown_in("groups", groups)}
    if 1 < len({group for values in by_method.values() for group in values}) <= MAX_GROUPS:
        yield _groups(by_method, title)
    for of in comparison.references[:1]:
        counts = comparison.confusion.get(of)
        if counts and len(counts) <= MAX_CLASSES:
            yield confusion_chart(of, comparison.classes, counts)


def learning_charts(comparison: Comparison) -> Iterator[charts.Chart]:
    """Draw test values over the number of labels, with a band for each method, where there is a learning curve."""
    curves, value = comparison.along("share"), f"test {full_name(comparison.metric)}"
    if any(len(curves[of]) > 1 for of in shown_in("learning curves", curves)):
        rows = {of: {row.labels or 0.0: row for row in curves[of]} for of in curves}
        shares = {clips: row.share or 0.0 for each in rows.values() for clips, row in each.items()}
        ticks = {clips: f"{round(clips):,}\n{100 * s:{'.2g' if s < 0.1 else '.0f'}} %" for clips, s in shares.items()}
        across = "labelled training clips, and their share"
        yield _curves("learning", "Test values by number of labels", rows, value, across, ticks)


def line_look(of: str) -> charts.Look:
    """Look up how a method is drawn beside others."""
    row = row_of(of)
    colour = KINDS[row.kind][1]["color"]
    return charts.look(colour, row.line.marker, filled=row.line.filled, line=row.line.dashes or "none", size=5.5)


def _methods(comparison: Comparison) -> charts.Chart:
    names, metric = comparison.methods, full_name(comparison.metric)
    curves = []
    for kind, (label, looks) in KINDS.items():
        own = [(n, of) for n, of in enumerate(names) if kind == (GPT if of == GPT else row_of(of).kind)]
        points = [(n, comparison.tested[of]) for n, of in own]
        curves.append(charts.Curve(points=points, look=looks, label=label, interval="bars"))
    if comparison.has_folds:
        folds = [(n, value) for n, of in enumerate(names) for value in comparison.means(of, "fold").values()]
        looks = charts.look(charts.INK, "|", size=9, alpha=0.45)
        curves.append(charts.Curve(points=folds, look=looks, label=f"one {comparison.fold_noun}"))
    ratio, titles = comparison.guessing, [*map(full_name, names)]
    level = (f"guess: {percent(ratio)}", ratio) if ratio else None
    marked = next((names.index(of) for of in comparison.references if of in names), None)
    title, across = f"Test {metric} of {len(names)} methods, the best first", f"test {metric}"
    return charts.rows_chart(titles, curves, name="comparison", title=title, across=across, marked=marked, level=level)


def in_order(layers: Iterable[str]) -> list[str]:
    """Sort layers by number, several layers last; inner activations come after the states."""

    def place(layer: str) -> tuple[bool, int]:
        return bool(INNER.search(layer)), int(found[1]) if (found := NUMBER.search(layer)) else 10**9

    return sorted(layers, key=place)


def _layers(methods: Mapping[str, Mapping[str, Mapping[str, Row]]], metric: str) -> charts.Chart:
    panels = []
    for of, layers in methods.items():
        ordered = in_order(layers)
        test, validation = ([layers[name][split].value for name in ordered] for split in ("test", "validation"))
        best = int(np.argmax(validation))
        curves = (
            charts.Curve(
                points=enumerate(validation), look=charts.look(charts.MUTED, "x", line="--", size=4), label="validation"
            ),
            charts.Curve(points=enumerate(test), look=charts.look(marker="o", line="-", filled=False), label="test"),
            charts.Curve(points=[(best, test[best])], look=charts.look(marker="o"), label="best on validation"),
        )
        ticks = {float(place): layer_label(name) for place, name in enumerate(ordered)}
        panels.append(charts.Panel(title=charts.shortened(full_name(of), 26), curves=curves, ticks=ticks, ratios=True))
    title, columns = f"{metric.capitalize()} by layer, with ridge regression", min(2, len(panels))
    height = 60 + 125 * -(-len(panels) // columns)
    return charts.curves_chart(panels, name="layers", title=title, height=height, columns=columns)


def layer_label(layer: str) -> str:
    """Name a layer below its panel: its number, or what is made of several layers."""
    found = NUMBER.search(layer)
    label = found[1] if found else layer.partition("_")[0][:6]
    label = f"{label} + input" if layer.endswith(WITH_INPUT) else label
    return f"inner {label}" if INNER.search(layer) else label


def _noise(comparison: Comparison, value: str) -> charts.Chart:
    """Draw a line for each method under one kind of noise; of several kinds a line for each, in panels of methods.

    A noise without a ratio is a point at the right.
    """
    noises, found = comparison.noises, {of: comparison.under_noise(of) for of in comparison.along("added")}
    kinds = [*dict.fromkeys(noise.kind for noise in noises)]
    clean, written = ("no noise", decibels) if len(kinds) == 1 else ("none", number)  # panels are narrow
    names = {noise: noise.kind if noise.snr is None else written(noise.snr) for noise in noises}
    in_order = sorted(noises, key=lambda noise: -math.inf if noise.snr is None else noise.snr, reverse=True)
    labels = [clean, *dict.fromkeys(names[noise] for noise in in_order)]
    ticks = {float(place): label for place, label in enumerate(labels)}
    places: dict[Noise | None, float] = {noise: float(labels.index(name)) for noise, name in names.items()}
    places[None] = 0.0
    title, across = "Test values under noise", "signal-to-noise ratio"
    if len(kinds) == 1:
        rows = {of: {places[noise]: row for noise, row in each.items()} for of, each in found.items()}
        return _curves("noise", title, rows, value, across, ticks)
    panels = []
    for of in sorted(found, key=lambda of: of != GPT)[:MAX_PANELS]:
        curves = []
        for kind, (colour, marker) in zip(kinds, cycle(charts.SERIES), strict=False):
            own = [(places[noise], row) for noise, row in found[of].items() if noise and noise.kind == kind]
            before = [] if kind in WITHOUT_RATIO else [(0.0, found[of][None])]
            looks = charts.look(colour, marker, line="-", size=4)
            curves.append(charts.Curve(points=[*before, *own], look=looks, label=kind, interval="band"))
        name = charts.shortened(full_name(of), 26)
        panels.append(charts.Panel(title=name, curves=curves, across=f"{across} in dB", ticks=ticks, ratios=True))
    columns = min(2, len(panels))
    height = 60 + 140 * -(-len(panels) // columns)
    return charts.curves_chart(panels, name="noise", title=title, height=height, columns=columns)


def _curves(
    name: str, title: str, rows: Mapping[str, Mapping[float, Row]], value: str, across: str, ticks: Mapping[float, str]
) -> charts.Chart:
    curves = [
        charts.Curve(
            points=rows[of].items(),
            look=line_look(of),
            label=charts.shortened(full_name(of), charts.LEGEND_LETTERS - 2),
            interval="band" if of == GPT or name == "learning" else "",
        )
        for of in shown_in("learning curves", rows)
    ]
    panel = charts.Panel(title=value, curves=curves, across=across, ticks=ticks, ratios=True)
    return charts.curves_chart([panel], name=name, title=title, height=290, log=name == "learning")


def ranked_groups(values: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Sort groups by their mean over the methods, the highest first, equal means by name."""
    names = sorted({group for by_group in values.values() for group in by_group})
    means = {name: float(np.mean([found[name] for found in values.values() if name in found])) for name in names}
    return sorted(names, key=lambda name: (-means[name], name))


def _groups(by_method: Mapping[str, Mapping[str, float]], across: str) -> charts.Chart:
    groups = ranked_groups(by_method)
    values = ([found[group] for found in by_method.values() if group in found] for group in groups)
    ends = [(place, end) for place, each in enumerate(values) for end in (min(each), max(each), math.nan)]
    curves = [charts.Curve(points=ends, look=charts.look(charts.GRID, line="-", width=2.5))]
    for of, found in by_method.items():
        looks = line_look(of) | {"linestyle": "none", "markersize": 5}
        curves.append(charts.Curve(points=enumerate(map(found.get, groups)), look=looks, label=full_name(of)))
    title = f"{across.capitalize()} in {len(groups)} groups"
    return charts.rows_chart(groups, curves, name="groups", title=title, across=across, row=17)


@charts.styled
def confusion_chart(of: str, classes: Sequence[str], clips: Sequence[Sequence[float]]) -> charts.Chart:
    """Draw the answers of a probe as a heat map, with its scale; ``clips`` has a row for each true class."""
    counts, count, written = np.asarray(clips, np.float64), len(classes), len(classes) <= MAX_WRITTEN
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # rows of unseen classes are 0
    side = CELL if written else max(CELL * MAX_WRITTEN / count, 2.0)  # CSS pixels of a field
    labels = [charts.shortened(label, 18) if count <= MAX_NAMED else "" for label in classes]

    figure = charts.sheet(190 + side * count, max(charts.WIDTH, 100 + side * count))
    axes, bar = figure.subplots(2, 1, height_ratios=(side * count, 9))
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, interpolation="none", aspect="auto")
    axes.set_yticks(range(count), labels, fontsize=SMALL, color=charts.INK)
    axes.set_xticks(range(count), labels, fontsize=SMALL, color=charts.INK, rotation=90)
    axes.set_xlabel("answer of the probe")
    axes.set_title("class of the clip")
    for row, column in np.argwhere(counts) if written else ():
        colour = "black" if shares[row, column] > 0.5 else charts.WHITE  # on the bright and the dark colours
        text = f"{counts[row, column]:.0f}" if counts[row, column] >= 100 else f"{counts[row, column]:.2g}"
        axes.text(column, row, text, ha="center", va="center", fontsize=SMALL - 1, color=colour)
    bar.imshow(np.linspace(0, 1, charts.SHADES)[None], cmap="cividis", extent=(0, 1, 0, 1), aspect="auto")
    bar.set_yticks([])
    bar.set_xlabel("share of the clips of a class")
    charts.write_percent(bar.xaxis)
    for each in (axes, bar):
        each.tick_params(length=0)
        each.spines[:].set_visible(False)
    judge, right = "the GPT's probe" if of == GPT else full_name(of), float(np.trace(counts) / max(counts.sum(), 1))
    told = f"Confusion matrix of {judge}, {count} classes: {percent(right)} of the clips right"
    return charts.Chart(figure=figure, name="confusion", description=told, scrolls=100 + side * count > charts.WIDTH)


@charts.styled
def method_picture(picture: PictureRecord, *, name: str) -> charts.Chart:
    """Draw what a method has learned: an image with lines over it, or a gallery of lines."""
    if "panels" in picture:
        return _gallery(picture["panels"], name=name, title=picture["title"])
    image, title = picture["image"], picture["title"]
    figure = charts.sheet(300)
    axes = figure.subplots()
    extent = (0.0, image["width"], 0.0, image["height"])
    values, shades = np.array(image["columns"], np.uint8).T, matplotlib.colormaps["magma"].resampled(charts.SHADES)
    axes.imshow(values, shades, vmin=0, vmax=255, origin="lower", aspect="auto", extent=extent)
    for line, (colour, dashes) in zip(image["lines"], cycle(LINES), strict=False):
        places = (np.arange(len(line["values"])) + 0.5) * image["width"] / max(len(line["values"]), 1)
        axes.plot(places, line["values"], color=colour, linestyle=dashes, label=line["name"])
    axes.set(title=title, xlabel=image["across"], ylabel=image["up"])
    axes.spines[:].set_visible(False)
    if image["lines"]:
        axes.legend(loc="upper left", labelcolor=charts.WHITE)
    lines = ", ".join(line["name"] for line in image["lines"])
    return charts.Chart(figure=figure, name=name, description=f"{title}: an image with the lines {lines}")


@charts.styled
def _gallery(panels: Sequence[LineRecord], *, name: str, title: str) -> charts.Chart:
    rows = -(-len(panels) // GALLERY)
    figure = charts.sheet(30 + 62 * rows)
    figure.suptitle(title, fontsize=SMALL + 2, x=0.01, ha="left", color=charts.INK)
    for axes in figure.subplots(rows, GALLERY, squeeze=False).flat:
        axes.set_axis_off()
    for axes, panel in zip(figure.axes, panels, strict=False):
        axes.plot(panel["values"], color=charts.BLUE, linewidth=0.9)
        axes.set_title(panel["name"], fontsize=SMALL)
    return charts.Chart(
        figure=figure, name=name, description=f"{title}: {', '.join(panel['name'] for panel in panels)}"
    )
