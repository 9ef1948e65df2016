"""The charts of a sweep: which chart shows which figures of its runs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

from markupsafe import Markup

from pipelines.pages.charts import Look, Panel, Series, curve_chart, dot_chart
from pipelines.pages.phrasing import full_name, number, percent
from pipelines.pages.svg import BLUE, GREEN, INK, MUTED, ORANGE, shortened
from pipelines.pages.sweep_points import BAG, CODEBOOK_SIZE, RECOGNISED, Point, ordered, pareto
from pipelines.pages.sweep_words import Naming
from pipelines.store.stored_features import GPT
from vocoder.kinds.table import KINDS, ORIGINAL, UNLEARNED
from vocoder.kinds.wavenet import WAVENET

COLOURS = (BLUE, ORANGE, GREEN, INK, MUTED)
MARKERS = ("o", "s", "D", "^", "v")
STABILITY = {"noise": "-", "gain": "--", "shift": ":"}  # change of the sound -> dashes
SOUNDS = {
    **{kind.key: Look(marker=kind.marker) for kind in KINDS if kind.learned},
    **{kind.key: Look(colour=MUTED, marker=kind.marker, filled=False) for kind in reversed(UNLEARNED)},
    ORIGINAL: Look(colour=INK, marker="|", filled=False),
}

Lines = Mapping[str, Sequence[Point]]  # runs by the values of all options but the first
FigureName = tuple[str, str, str | None]  # stage, name, of


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One figure of the runs, drawn over the swept option."""

    label: str
    figure: FigureName
    look: Look
    interval: bool = False
    alone: bool = False  # only where the sweep has a single line


@dataclass(frozen=True, kw_only=True)
class Options:
    """The values of the first swept option, along the horizontal axis."""

    option: str
    values: tuple[str, ...]  # in order

    @classmethod
    def of(cls, points: Sequence[Point], names: Sequence[str]) -> "Options":
        """Take the values from the runs of a sweep over some options."""
        option = names[0] if names else ""
        return cls(option=option, values=tuple(ordered([point.job.overrides.get(option, "") for point in points])))

    @property
    def title(self) -> str:
        """Label of the axis."""
        return "codebook size" if self.sizes else self.option

    @property
    def sizes(self) -> bool:
        """Whether the values are codebook sizes, which stand at their logarithm."""
        return self.option == CODEBOOK_SIZE and all(value.isdecimal() and int(value) > 0 for value in self.values)

    def place(self, value: str) -> float:
        """Place of a value on the axis."""
        return float(value) if self.sizes else float(self.values.index(value))

    def place_of(self, point: Point) -> float:
        """Place of a run on the axis."""
        return self.place(point.job.overrides.get(self.option, ""))

    def label(self, value: str) -> str:
        """Write a value for the axis."""
        return number(float(value)) if self.sizes else shortened(value, 14)

    def label_of(self, point: Point) -> str:
        """Write the value of a run."""
        return self.label(point.job.overrides.get(self.option, ""))


def sweep_charts(
    lines: Lines, naming: Naming, metric: str, best: Point | None, *, inside: bool
) -> Iterator[tuple[str, Markup]]:
    """Draw the charts for which the runs have figures, each under the name that the template uses."""
    points = [point for line in lines.values() for point in line]
    options = Options.of(points, naming.options)
    if recognised := [point for point in points if math.isfinite(point.value(*RECOGNISED))]:
        yield "recognition", _recognition(recognised, naming)
    if panels := _panels(lines, options, metric, best, inside=inside):
        yield (
            "tradeoff",
            curve_chart(
                panels, name="tradeoff", description=_values_told(lines, options, metric), height=60 + 165 * len(panels)
            ),
        )
    if any(math.isfinite(point.rate + point.value("probe", metric, GPT)) for point in points):
        yield "bitrate", _bitrate(lines, options, metric)


def _recognition(points: Sequence[Point], naming: Naming) -> Markup:
    """Draw a row for each run: learned kinds of sound with their interval, the other kinds, and the recordings."""
    series = []
    for of, look in SOUNDS.items():
        estimates = {place: point.estimate("vocoder", "label_accuracy", of) for place, point in enumerate(points)}
        known = {place: estimate for place, estimate in estimates.items() if estimate}
        low, high = ([getattr(each, end) for each in known.values() if of == "wavenet"] for end in ("low", "high"))
        values = [estimate.value for estimate in known.values()]
        if known:
            series.append(Series(label=full_name(of), look=look, places=list(known), values=values, low=low, high=high))
    listed = "; ".join(f"{naming.values(point)} {percent(point.value(*RECOGNISED))}" for point in points)
    return dot_chart(
        [naming.values(point) for point in points],
        series,
        name="recognition",
        description=f"Share of test clips that a classifier recognises from {WAVENET.title}'s sound: {listed}",
        across="test clips recognised",
    )


def _panels(lines: Lines, options: Options, metric: str, best: Point | None, *, inside: bool) -> list[Panel]:
    """Make a panel for the probe, the error and the stability, where runs have these figures and differ in them."""
    points = [point for line in lines.values() for point in line]
    probe, error, stability = _curves(metric)
    titles = {f"{full_name(metric)} on test": probe} if best is not None else {}
    if _differs(points, error[0].figure):
        titles["lost: squared error of the spectrogram"] = error
    if _differs(points, stability[0].figure):
        titles[f"stable: codes that stay the same{'' if len(lines) == 1 else ' under noise'}"] = stability
    panels = [
        Panel(
            title=title,
            series=[*_series(lines, options, curves)],
            ticks={options.place(value): options.label(value) for value in options.values},
            logarithm=2 if options.sizes else None,
            percent=curves is not error,
            marked=None if best is None else options.place_of(best),
            from_zero=curves is error,
        )
        for title, curves in titles.items()
    ]
    if best is not None:
        place, value = options.place_of(best), best.value("probe", metric, GPT)
        label = "best, inside the range" if inside else "best"
        ring = Series(
            label=label, look=Look(colour=INK, marker="o", filled=False, size=11), places=[place], values=[value]
        )
        panels[0] = replace(panels[0], series=[ring, *panels[0].series])
    return [*panels[:-1], replace(panels[-1], across=options.title)] if panels else []


def _differs(points: Sequence[Point], figure: FigureName) -> bool:
    """Whether there is something to compare: runs that share their codes have one error."""
    values = {point.value(*figure) for point in points}
    return len(values) > 1 or (len(points) == 1 and all(map(math.isfinite, values)))


def _curves(metric: str) -> tuple[Sequence[Curve], Sequence[Curve], Sequence[Curve]]:
    """List the curves of the three panels."""
    line, thin = Look(dashes="-", marker="o", size=4), Look(dashes="--", marker="s", size=4, width=1.3)
    probe = (
        Curve(label="GPT", figure=("probe", metric, GPT), look=line, interval=True),
        Curve(label=full_name(BAG), figure=("probe", metric, BAG), look=replace(thin, colour=ORANGE), interval=True),
    )
    error = (
        Curve(
            label="through the codebook", figure=("tokenizer", "quantised_mse", None), look=replace(line, colour=GREEN)
        ),
        Curve(
            label="without the codebook",
            figure=("tokenizer", "reconstruction_mse", None),
            look=Look(colour=GREEN, dashes=":", width=1.3),
        ),
    )
    stability = (
        Curve(label="noise", figure=("tokenizer", "stability", "noise"), look=replace(line, colour=INK)),
        Curve(label="gain", figure=("tokenizer", "stability", "gain"), look=Look(colour=INK, dashes="--"), alone=True),
        Curve(label="shift", figure=("tokenizer", "stability", "shift"), look=Look(colour=INK, dashes=":"), alone=True),
    )
    return probe, error, stability


def _series(lines: Lines, options: Options, curves: Sequence[Curve]) -> Iterator[Series]:
    """Draw curves in their own looks; of several lines, in the colour and with the marker of each line."""
    alone = len(lines) == 1
    for (name, line), colour, marker in zip(lines.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
        for curve in curves:
            first = curve is curves[0]
            if curve.alone and not alone:
                continue
            low, high = _intervals(line, curve.figure) if curve.interval and (alone or first) else ([], [])
            yield Series(
                label=curve.label if alone else shortened(name, 22) if first else "",
                look=curve.look if alone else replace(curve.look, colour=colour, marker=marker if first else ""),
                places=[options.place_of(point) for point in line],
                values=[point.value(*curve.figure) for point in line],
                low=low,
                high=high,
            )


def _bitrate(lines: Lines, options: Options, metric: str) -> Markup:
    """Draw the probe over the bits per second that the language model needs; runs that none beats are filled."""
    figure = ("probe", metric, GPT)
    points = [point for line in lines.values() for point in line]
    front = [points[at] for at in pareto([point.rate for point in points], [point.value(*figure) for point in points])]
    steps = Look(colour=MUTED, dashes="-", width=1.2)
    places, values = [point.rate for point in front], [point.value(*figure) for point in front]
    series = [Series(label="best for its bits", look=steps, places=places, values=values, shape="steps")]
    for (name, line), colour, marker in zip(lines.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
        low, high = _intervals(line, figure)
        places, values = [point.rate for point in line], [point.value(*figure) for point in line]
        names = [options.label_of(point) for point in line]
        look = Look(colour=colour, marker=marker, filled=False)
        label = shortened(name, 40)
        series.append(
            Series(label=label, look=look, places=places, values=values, low=low, high=high, names=names, bars=True)
        )
        best = [(point.rate, point.value(*figure)) for point in line if point in front]
        look = replace(look, filled=True)
        series.append(Series(look=look, places=[rate for rate, _ in best], values=[value for _, value in best]))
    title = f"{full_name(metric)} of the GPT's probe on test"
    panel = Panel(title=title, series=series, across="bits per second, by the language model", percent=True)
    listed = ", ".join(options.label_of(point) for point in front)
    description = f"{full_name(metric)} by bits per second; no run is better for fewer bits than {listed or 'none'}"
    return curve_chart([panel], name="bitrate", description=description, height=300)


def _intervals(line: Sequence[Point], figure: FigureName) -> tuple[list[float], list[float]]:
    estimates = [point.estimate(*figure) for point in line]
    return [each.low if each else math.nan for each in estimates], [
        each.high if each else math.nan for each in estimates
    ]


def _values_told(lines: Lines, options: Options, metric: str) -> str:
    """List the values of the panels for readers who do not see them."""
    runs = [(f"{options.label_of(point)} {name}".rstrip(), point) for name, line in lines.items() for point in line]
    figures = {
        f"{full_name(metric)} of the GPT": ("probe", metric, GPT),
        "error through the codebook": ("tokenizer", "quantised_mse", None),
        "codes that stay the same under noise": ("tokenizer", "stability", "noise"),
    }
    listed = (
        f"{title}: {', '.join(f'{name} {number(point.value(*figure))}' for name, point in runs)}"
        for title, figure in figures.items()
    )
    return f"By {options.title}. {'; '.join(listed)}"
