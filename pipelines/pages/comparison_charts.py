"""The charts of a comparison of methods: all methods, layers, few labels, groups and confusions."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from pipelines.methods.table import row_of, shown_in
from pipelines.pages.charts import Look, Panel, Series, curve_chart, dot_chart, figure_series, heat_map
from pipelines.pages.phrasing import full_name, percent
from pipelines.pages.svg import GREEN, GRID, INK, MUTED, ORANGE
from pipelines.results.comparison import Comparison
from pipelines.results.figures import Figure
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

Counts = Sequence[Sequence[float]]  # clips (classes, classes), a row for each true class


def comparison_charts(comparison: Comparison) -> Iterator[tuple[str, Markup]]:
    """Draw all methods and, where the record has them, layers, few labels, groups and confusions."""
    yield "comparison", _methods(comparison)
    if names := layered_methods(comparison):
        yield "layers", _layers(comparison, names)
    curves = comparison.learning_curves
    if any(len(curves[of]) > 1 for of in shown_in("learning curves", curves)):
        yield "learning", _learning_curves(comparison)
    if 1 < len(ranked_groups(_group_values(comparison))) <= MAX_GROUPS:
        yield "groups", _groups(comparison)
    for of in comparison.known_references[:1]:
        counts = comparison.confusion.get(of)
        if counts and len(counts) <= MAX_CLASSES:
            yield "confusion", _confusion_matrix(of, comparison.classes, counts)


def _methods(comparison: Comparison) -> Markup:
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
    ratio, across = comparison.guessing, f"test {full_name(comparison.metric)}"
    level = (f"guess: {percent(ratio)}", ratio) if ratio else None
    marked = next((names.index(of) for of in comparison.known_references), None)
    title = f"Test {full_name(comparison.metric)} of {len(rows)} methods, the best first"
    return dot_chart(
        [*map(full_name, names)], series, name="comparison", title=title, across=across, marked=marked, level=level
    )


def line_look(of: str) -> Look:
    """Look up how a method is drawn beside others: in the colour of its kind, with a marker and dashes of its own."""
    row = row_of(of)
    line, (_, look) = row.line, KINDS[row.kind]
    return replace(look, marker=line.marker, filled=line.filled, dashes=line.dashes, size=5.5)


def layered_methods(comparison: Comparison) -> list[str]:
    """List the methods with numbered layers, the GPT first, then by their rank."""
    layers = {of: comparison.layers(of) for of in comparison.methods}
    names = [of for of, found in layers.items() if len(found) > 1 and any(map(NUMBER.search, found))]
    return sorted(names, key=lambda of: of != GPT)[:MAX_PANELS]


def in_order(layers: Iterable[str]) -> list[str]:
    """Sort numbered layers by number, what is made of several layers last; inner activations come after the states."""

    def place(layer: str) -> tuple[bool, int]:
        return bool(INNER.search(layer)), int(found[1]) if (found := NUMBER.search(layer)) else 10**9

    return sorted(layers, key=place)


def _layers(comparison: Comparison, names: Sequence[str]) -> Markup:
    panels = [_layer_panel(full_name(of), comparison.layers(of)) for of in names]
    columns, title = min(2, len(names)), f"{full_name(comparison.metric).capitalize()} by layer, with ridge regression"
    height = 60 + 125 * -(-len(names) // columns)
    return curve_chart(panels, name="layers", title=title, height=height, columns=columns)


def _layer_panel(title: str, layers: Mapping[str, Mapping[str, Figure]]) -> Panel:
    """Draw one method; the layer that was judged best is filled."""
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
    return Panel(title=title, series=series, ticks=ticks, percent=True)


def layer_label(layer: str) -> str:
    """Name a layer below its panel: its number, or what is made of several layers."""
    found = NUMBER.search(layer)
    label = found[1] if found else layer.partition("_")[0][:6]
    label = f"{label} + input" if layer.endswith(WITH_INPUT) else label
    return f"inner {label}" if INNER.search(layer) else label


def _learning_curves(comparison: Comparison) -> Markup:
    """Draw test values over the number of labels; the GPT has its interval."""
    curves, series = comparison.learning_curves, []
    shown = shown_in("learning curves", curves)
    for of in shown:
        labels = [row.labels or 0.0 for row in curves[of]]
        line = figure_series(curves[of], label=full_name(of), look=line_look(of), places=labels)
        series.append(line if of == GPT else replace(line, low=(), high=()))
    shares = {row.labels or 0.0: row.share or 0.0 for of in shown for row in curves[of]}
    ticks = {clips: f"{round(clips):,}\n{_share(share)}" for clips, share in shares.items()}
    title, across = f"test {full_name(comparison.metric)}", "labelled training clips, and their share"
    panel = Panel(title=title, series=series, across=across, ticks=ticks, logarithmic=True, percent=True)
    return curve_chart([panel], name="learning", title="Test values by number of labels", height=290)


def _share(share: float) -> str:
    """Write a share with the digits that tell small shares apart."""
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _group_values(comparison: Comparison) -> dict[str, dict[str, float]]:
    return {of: comparison.groups[of] for of in shown_in("groups", comparison.groups)}


def ranked_groups(values: dict[str, dict[str, float]]) -> list[str]:
    """Sort groups by their mean over the methods, the highest first, equal means by name."""
    names = sorted({group for by_group in values.values() for group in by_group})
    means = {name: float(np.mean([found[name] for found in values.values() if name in found])) for name in names}
    return sorted(names, key=lambda name: (-means[name], name))


def _groups(comparison: Comparison) -> Markup:
    """Draw a row for each group: a point for each method, and a line from the lowest to the highest."""
    by_method = _group_values(comparison)
    groups = ranked_groups(by_method)
    columns = [[values[group] for values in by_method.values() if group in values] for group in groups]
    low, high, unmarked = [*map(min, columns)], [*map(max, columns)], [math.nan] * len(groups)
    span = Look(colour=GRID, width=2.5)
    series = [Series(look=span, places=range(len(groups)), values=unmarked, low=low, high=high)]
    for of, values in by_method.items():
        places = [place for place, group in enumerate(groups) if group in values]
        look = replace(line_look(of), dashes="", size=5)
        series.append(Series(label=full_name(of), look=look, places=places, values=[values[groups[p]] for p in places]))
    across, title = (
        f"test {full_name(comparison.metric)}",
        f"Test {full_name(comparison.metric)} in {len(groups)} groups",
    )
    return dot_chart(groups, series, name="groups", title=title, across=across, row_height=17)


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


def _confusion_matrix(of: str, classes: Sequence[str], counts: Counts) -> Markup:
    worst = confusions(classes, counts)[:MAX_CONFUSIONS]
    listed = "; ".join(f"{true} taken for {answer}, {count:g} times" for (true, answer), count in worst)
    judge = "the GPT's probe" if of == GPT else full_name(of)
    title = f"Confusion matrix of {judge}, {len(classes)} classes: {listed or 'no confusion'}"
    cells = [[(f"{count:.0f}" if count >= 100 else f"{count:.2g}") if count else "" for count in row] for row in counts]
    return heat_map(
        classes,
        rates(counts),
        cells,
        name="confusion",
        title=title,
        left="class of the clip",
        across="answer of the probe",
        scale="share of the clips of a class",
    )
