"""The report of one run: charts, tables and sounds, in a page that runs no script and fetches nothing.

The same results give the same bytes. The page leaves out what a run did not make, and says which stage adds it. The
charts of a comparison show all methods, layers, few labels, groups, confusions, and learned pictures.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from pipelines.methods.method import LineRecord, PictureRecord
from pipelines.methods.methods_table import row_of, shown_in
from pipelines.pages.charts import (
    BLUE,
    CURVE_HEIGHT,
    GREEN,
    GRID,
    INK,
    LEGEND_LETTERS,
    MUTED,
    ORANGE,
    SERIES,
    SHADES,
    WHITE,
    WIDTH,
    Chart,
    Curve,
    Look,
    Panel,
    curves_chart,
    look,
    rows_chart,
    sheet,
    shortened,
    styled,
    write_charts,
    write_percent,
)
from pipelines.pages.phrasing import decibels, draw, full_name, number, percent
from pipelines.pages.players import (
    PageBudget,
    PageSound,
    clip_title,
    headline,
    listened_clips,
    run_sounds,
    sound_charts,
    sounds_among,
)
from pipelines.pages.training_chart import training_chart
from pipelines.plugins.table import plugins
from pipelines.results.run_record import SOUND, Comparison, Results, Row, value_of
from pipelines.store.run_parts import REPORT
from pipelines.store.stored_features import GPT_METHOD, WITH_INPUT
from vocoder.kinds import COMPARED_SYNTHESIS, FROM_RECORDED, SYNTHESIS_METHODS, WAVENET
from wordless.audio.recordings.manifest import SPLITS
from wordless.audio.views import Noise
from wordless.base.files import write_aside

MAX_CODES = 1024  # bars; the outline of a larger codebook looks the same


def write_report(folder: Path, results: Results) -> Path:
    """Draw ``report.html``, and its charts as files, from the results of a run folder; broken sounds are refused."""
    kinds, listening = {*results["figures"]["of"]}, results.get("listening", {})
    own = plugins(results)
    more = [chart for each in own for chart in each.charts(folder, results)]
    charts = {chart.name: chart for chart in (*report_charts(results), *sound_charts(folder, results), *more)}
    write_charts(folder, charts.values())
    excerpts = listening.get("excerpts") or listening.get("clips") or []
    page = draw(
        "report.html.jinja",
        results=results,
        charts=charts,
        sounds_among=partial(sounds_among, [sound for each in own for sound in each.sounds(results)]),
        players=headline(folder, results),
        clip_title=clip_title,
        sounds_of=partial(sounds_among, [*run_sounds(results)]),
        sound=PageSound,
        embed=PageBudget(folder).embed,
        excerpts=excerpts,
        shortened=[excerpt for excerpt in excerpts if excerpt["seconds"] < excerpt["clip_seconds"]],
        splits=SPLITS,
        evaluated_kinds=[kind for kind in COMPARED_SYNTHESIS if kind in kinds],
        recorded_kinds=[kind.key for kind in FROM_RECORDED.values()],
        vocoder=WAVENET,
        kinds=[kind for kind in SYNTHESIS_METHODS if kind.key in kinds],
        sound_figures=[each.name for measure in SOUND for each in measure.with_count()],
        main_figures=[measure.name for measure in SOUND if measure.paired and not measure.aside],
    )
    write_aside(folder / REPORT, page)
    return folder / REPORT


def report_pictures(folder: Path, results: Results) -> dict[str, Figure]:
    """Draw what the tokenizer keeps of each clip that has pictures, for TensorBoard."""
    figures = dict[str, Figure]()
    names = {f"reconstruction-{n}": f"{n + 1} {clip_title(clip)}" for n, clip in enumerate(listened_clips(results))}
    for chart in sound_charts(folder, results, sounds_too=False):
        chart.figure.set(facecolor="white", dpi=200)
        figures[names[chart.name]] = chart.figure
    return figures


def report_charts(results: Results) -> Iterator[Chart]:
    curves, comparison = results.get("curves", {}), results.get("comparison")
    for name, record in curves.items():
        unigram = value_of(results["figures"], "lm", "unigram_perplexity") if name == "lm" else None
        yield training_chart(name, {"": record}, unigram)
    if "codebook" in results:
        yield _usage(results["codebook"]["counts"])
        if "kmeans" in results["codebook"]:
            objective = results["codebook"]["kmeans"]["objective"]
            curve = Curve(points=enumerate(objective, 1), look=look(GREEN, "o", line="-", size=3))
            panel = Panel(title="mean squared distance to the nearest centroid", curves=[curve], across="iteration")
            title = f"k-means over {len(objective)} iterations"
            yield curves_chart([panel], name="kmeans", title=title, height=CURVE_HEIGHT)
    if comparison:
        yield from comparison_charts(comparison)
        for number, each in enumerate(comparison.pictures):
            yield method_picture(each, name=f"method-picture-{number}")
        for name, records in comparison.trainings.items():
            if name not in curves:
                yield training_chart(name, records)


def _usage(counts: Sequence[int]) -> Chart:
    ranked = np.sort(np.asarray(counts, dtype=np.int64))[::-1]
    shown = np.unique(np.linspace(0, max(len(ranked) - 1, 0), min(len(ranked), MAX_CODES)).astype(np.int64))
    title, even = f"uses of each code; {int((ranked == 0).sum())} of {len(ranked)} are dead", float(ranked.mean())
    bars = Curve(points=zip(shown + 1, ranked[shown].tolist(), strict=True), look=look(), interval="area")
    level, across = ("equal use of all codes", even), "codes, the most frequent first"
    panel = Panel(title=title, curves=[bars], across=across, level=level, from_zero=True)
    return curves_chart([panel], name="usage", title=f"Histogram of the {title}", height=CURVE_HEIGHT)


# kind of method -> (name in the legend, look)
METHOD_KINDS: dict[str, tuple[str, Look]] = {
    GPT_METHOD: ("GPT", look(marker="D")),
    "codes": ("codes", look(marker="o", filled=False)),
    "denoising": ("denoising unit prediction", look(INK, "X")),
    "self_supervised": ("self-supervised", look(GREEN, "s")),
    "supervised": ("supervised", look(ORANGE, "^")),
    "signal": ("signal", look(MUTED, "s", filled=False)),
    "untrained": ("untrained", look(MUTED, "X", filled=False)),
    "own": ("own features", look(INK, "P")),
}
NUMBER = re.compile(r"_(\d+)$")  # of a layer
_INNER = re.compile(r"^(all_)?inner(_|$)")  # of activations within a layer
MAX_GROUPS = 40  # rows that can be read
_MAX_CLASSES = 400  # of a confusion matrix: two pixels each
MAX_PANELS = 8
SMALL = 8.5  # CSS pixels, of labels of a confusion matrix
CELL = 17.0  # CSS pixels of a field of a confusion matrix, in which three digits can be read
MAX_WRITTEN, MAX_NAMED = 40, 60  # classes whose fields hold numbers, and whose names can be read
GALLERY = 3  # lines beside each other
_LINES = ((WHITE, "-"), ("#ff9e4a", "--"), ("#7fd7ff", ":"))  # colours and dashes of the lines over an image


def comparison_charts(comparison: Comparison) -> Iterator[Chart]:
    """Draw all methods and, where the record has them, layers, few labels, noise, groups and confusions."""
    yield _methods(comparison)
    layers = {of: comparison.layers(of) for of in comparison.methods}
    names = [of for of, found in layers.items() if len(found) > 1 and any(map(NUMBER.search, found))]
    if names := sorted(names, key=lambda of: of != GPT_METHOD)[:MAX_PANELS]:
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
        if counts and len(counts) <= _MAX_CLASSES:
            yield confusion_chart(of, comparison.classes, counts)


def learning_charts(comparison: Comparison) -> Iterator[Chart]:
    """Draw test values over the number of labels, with a band for each method, where there is a learning curve."""
    curves, value = comparison.along("share"), f"test {full_name(comparison.metric)}"
    if any(len(curves[of]) > 1 for of in shown_in("learning curves", curves)):
        rows = {of: {row.labels or 0.0: row for row in curves[of]} for of in curves}
        shares = {clips: row.share or 0.0 for each in rows.values() for clips, row in each.items()}
        ticks = {clips: f"{round(clips):,}\n{100 * s:{'.2g' if s < 0.1 else '.0f'}} %" for clips, s in shares.items()}
        across = "labelled training clips, and their share"
        yield _curves("learning", "Test values by number of labels", rows, value, across, ticks)


def line_look(of: str) -> Look:
    """Look up how a method is drawn beside others."""
    row = row_of(of)
    colour = METHOD_KINDS[row.kind][1]["color"]
    return look(colour, row.line.marker, filled=row.line.filled, line=row.line.dashes or "none", size=5.5)


def _methods(comparison: Comparison) -> Chart:
    names, metric = comparison.methods, full_name(comparison.metric)
    curves = []
    for kind, (label, looks) in METHOD_KINDS.items():
        own = [(n, of) for n, of in enumerate(names) if kind == (GPT_METHOD if of == GPT_METHOD else row_of(of).kind)]
        points = [(n, comparison.tested[of]) for n, of in own]
        curves.append(Curve(points=points, look=looks, label=label, interval="bars"))
    if comparison.has_folds:
        folds = [(n, value) for n, of in enumerate(names) for value in comparison.means(of, "fold").values()]
        looks = look(INK, "|", size=9, alpha=0.45)
        curves.append(Curve(points=folds, look=looks, label=f"one {comparison.fold_noun}"))
    ratio, titles = comparison.guessing, [*map(full_name, names)]
    level = (f"guess: {percent(ratio)}", ratio) if ratio else None
    marked = next((names.index(of) for of in comparison.references if of in names), None)
    title, across = f"Test {metric} of {len(names)} methods, the best first", f"test {metric}"
    return rows_chart(titles, curves, name="comparison", title=title, across=across, marked=marked, level=level)


def in_report_order(layers: Iterable[str]) -> list[str]:
    """Sort layers by number, several layers last; inner activations come after the states."""

    def place(layer: str) -> tuple[bool, int]:
        return bool(_INNER.search(layer)), int(found[1]) if (found := NUMBER.search(layer)) else 10**9

    return sorted(layers, key=place)


def _layers(methods: Mapping[str, Mapping[str, Mapping[str, Row]]], metric: str) -> Chart:
    panels = []
    for of, layers in methods.items():
        ordered = in_report_order(layers)
        test, validation = ([layers[name][split].value for name in ordered] for split in ("test", "validation"))
        best = int(np.argmax(validation))
        curves = (
            Curve(points=enumerate(validation), look=look(MUTED, "x", line="--", size=4), label="validation"),
            Curve(points=enumerate(test), look=look(marker="o", line="-", filled=False), label="test"),
            Curve(points=[(best, test[best])], look=look(marker="o"), label="best on validation"),
        )
        ticks = {float(place): layer_label(name) for place, name in enumerate(ordered)}
        panels.append(Panel(title=shortened(full_name(of), 26), curves=curves, ticks=ticks, ratios=True))
    title, columns = f"{metric.capitalize()} by layer, with ridge regression", min(2, len(panels))
    height = 60 + 125 * -(-len(panels) // columns)
    return curves_chart(panels, name="layers", title=title, height=height, columns=columns)


def layer_label(layer: str) -> str:
    """Name a layer below its panel: its number, or what is made of several layers."""
    found = NUMBER.search(layer)
    label = found[1] if found else layer.partition("_")[0][:6]
    label = f"{label} + input" if layer.endswith(WITH_INPUT) else label
    return f"inner {label}" if _INNER.search(layer) else label


def _noise(comparison: Comparison, value: str) -> Chart:
    """Draw a line for each method under one kind of noise; of several kinds a line for each, in panels of methods."""
    noises, found = comparison.noises, {of: comparison.under_noise(of) for of in comparison.along("added")}
    kinds = [*dict.fromkeys(noise.kind for noise in noises)]
    clean, written = ("no noise", decibels) if len(kinds) == 1 else ("none", number)  # panels are narrow
    ratios = sorted({noise.snr for noise in noises}, reverse=True)
    ticks = {float(place): label for place, label in enumerate([clean, *map(written, ratios)])}
    places: dict[Noise | None, float] = {noise: 1.0 + ratios.index(noise.snr) for noise in noises}
    places[None] = 0.0
    title, across = "Test values under noise", "signal-to-noise ratio"
    if len(kinds) == 1:
        rows = {of: {places[noise]: row for noise, row in each.items()} for of, each in found.items()}
        return _curves("noise", title, rows, value, across, ticks)
    panels = []
    for of in sorted(found, key=lambda of: of != GPT_METHOD)[:MAX_PANELS]:
        curves = []
        for kind, (colour, marker) in zip(kinds, cycle(SERIES), strict=False):
            own = [(places[noise], row) for noise, row in found[of].items() if noise and noise.kind == kind]
            looks = look(colour, marker, line="-", size=4)
            curves.append(Curve(points=[(0.0, found[of][None]), *own], look=looks, label=kind, interval="band"))
        name = shortened(full_name(of), 26)
        panels.append(Panel(title=name, curves=curves, across=f"{across} in dB", ticks=ticks, ratios=True))
    columns = min(2, len(panels))
    height = 60 + 140 * -(-len(panels) // columns)
    return curves_chart(panels, name="noise", title=title, height=height, columns=columns)


def _curves(
    name: str, title: str, rows: Mapping[str, Mapping[float, Row]], value: str, across: str, ticks: Mapping[float, str]
) -> Chart:
    curves = [
        Curve(
            points=rows[of].items(),
            look=line_look(of),
            label=shortened(full_name(of), LEGEND_LETTERS - 2),
            interval="band" if of == GPT_METHOD or name == "learning" else "",
        )
        for of in shown_in("learning curves", rows)
    ]
    panel = Panel(title=value, curves=curves, across=across, ticks=ticks, ratios=True)
    return curves_chart([panel], name=name, title=title, height=290, log=name == "learning")


def ranked_groups(values: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Sort groups by their mean over the methods, the highest first, equal means by name."""
    names = sorted({group for by_group in values.values() for group in by_group})
    means = {name: float(np.mean([found[name] for found in values.values() if name in found])) for name in names}
    return sorted(names, key=lambda name: (-means[name], name))


def _groups(by_method: Mapping[str, Mapping[str, float]], across: str) -> Chart:
    groups = ranked_groups(by_method)
    values = ([found[group] for found in by_method.values() if group in found] for group in groups)
    ends = [(place, end) for place, each in enumerate(values) for end in (min(each), max(each), math.nan)]
    curves = [Curve(points=ends, look=look(GRID, line="-", width=2.5))]
    for of, found in by_method.items():
        looks = line_look(of) | {"linestyle": "none", "markersize": 5}
        curves.append(Curve(points=enumerate(map(found.get, groups)), look=looks, label=full_name(of)))
    title = f"{across.capitalize()} in {len(groups)} groups"
    return rows_chart(groups, curves, name="groups", title=title, across=across, row=17)


@styled
def confusion_chart(of: str, classes: Sequence[str], clips: Sequence[Sequence[float]]) -> Chart:
    """Draw the answers of a probe as a heat map, with its scale; ``clips`` has a row for each true class."""
    counts, count, written = np.asarray(clips, np.float64), len(classes), len(classes) <= MAX_WRITTEN
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # rows of unseen classes are 0
    side = CELL if written else max(CELL * MAX_WRITTEN / count, 2.0)  # CSS pixels of a field
    labels = [shortened(label, 18) if count <= MAX_NAMED else "" for label in classes]

    figure = sheet(190 + side * count, max(WIDTH, 100 + side * count))
    axes, bar = figure.subplots(2, 1, height_ratios=(side * count, 9))
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, interpolation="none", aspect="auto")
    axes.set_yticks(range(count), labels, fontsize=SMALL, color=INK)
    axes.set_xticks(range(count), labels, fontsize=SMALL, color=INK, rotation=90)
    axes.set_xlabel("answer of the probe")
    axes.set_title("class of the clip")
    for row, column in np.argwhere(counts) if written else ():
        colour = "black" if shares[row, column] > 0.5 else WHITE  # on the bright and the dark colours
        text = f"{counts[row, column]:.0f}" if counts[row, column] >= 100 else f"{counts[row, column]:.2g}"
        axes.text(column, row, text, ha="center", va="center", fontsize=SMALL - 1, color=colour)
    bar.imshow(np.linspace(0, 1, SHADES)[None], cmap="cividis", extent=(0, 1, 0, 1), aspect="auto")
    bar.set_yticks([])
    bar.set_xlabel("share of the clips of a class")
    write_percent(bar.xaxis)
    for each in (axes, bar):
        each.tick_params(length=0)
        each.spines[:].set_visible(False)
    whose = "the GPT's probe" if of == GPT_METHOD else full_name(of)
    right = float(np.trace(counts) / max(counts.sum(), 1))
    told = f"Confusion matrix of {whose}, {count} classes: {percent(right)} of the clips right"
    return Chart(figure=figure, name="confusion", description=told, scrolls=100 + side * count > WIDTH)


@styled
def method_picture(picture: PictureRecord, *, name: str) -> Chart:
    """Draw what a method has learned: an image with lines over it, or a gallery of lines."""
    if "panels" in picture:
        return _gallery(picture["panels"], name=name, title=picture["title"])
    image, title = picture["image"], picture["title"]
    figure = sheet(300)
    axes = figure.subplots()
    extent = (0.0, image["width"], 0.0, image["height"])
    values, shades = np.array(image["columns"], np.uint8).T, matplotlib.colormaps["magma"].resampled(SHADES)
    axes.imshow(values, shades, vmin=0, vmax=255, origin="lower", aspect="auto", extent=extent)
    for line, (colour, dashes) in zip(image["lines"], cycle(_LINES), strict=False):
        places = (np.arange(len(line["values"])) + 0.5) * image["width"] / max(len(line["values"]), 1)
        axes.plot(places, line["values"], color=colour, linestyle=dashes, label=line["name"])
    axes.set(title=title, xlabel=image["across"], ylabel=image["up"])
    axes.spines[:].set_visible(False)
    if image["lines"]:
        axes.legend(loc="upper left", labelcolor=WHITE)
    lines = ", ".join(line["name"] for line in image["lines"])
    return Chart(figure=figure, name=name, description=f"{title}: an image with the lines {lines}")


@styled
def _gallery(panels: Sequence[LineRecord], *, name: str, title: str) -> Chart:
    rows = -(-len(panels) // GALLERY)
    figure = sheet(30 + 62 * rows)
    figure.suptitle(title, fontsize=SMALL + 2, x=0.01, ha="left", color=INK)
    for axes in figure.subplots(rows, GALLERY, squeeze=False).flat:
        axes.set_axis_off()
    for axes, panel in zip(figure.axes, panels, strict=False):
        axes.plot(panel["values"], color=BLUE, linewidth=0.9)
        axes.set_title(panel["name"], fontsize=SMALL)
    return Chart(figure=figure, name=name, description=f"{title}: {', '.join(panel['name'] for panel in panels)}")
