"""What each method knows from few labels."""

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from pipelines.methods.table import shown_in
from pipelines.pages.charts import Drawing, chart, legend_above
from pipelines.pages.phrasing import full_name, metric_of, number, percent
from pipelines.pages.probe_charts import line_of, percent_ticks
from pipelines.results.comparison_record import ComparisonRecord
from pipelines.store.stored_features import GPT


def has_learning_curves(comparison: ComparisonRecord) -> bool:
    """Whether there is a curve to draw: a method that is drawn, at more than one share."""
    curves = comparison.get("learning_curves", {})
    return any(len(curves[of]) > 1 for of in shown_in("learning curves", curves))


def learning_curves(comparison: ComparisonRecord) -> Markup:
    """Test values over the number of labels, which is spaced by its logarithm; the GPT with its interval."""
    curves = comparison["learning_curves"]
    shown = shown_in("learning curves", curves)
    shares = {point["clips"]: point["share"] for of in shown for point in curves[of]}

    def draw(axes: Axes) -> None:
        for of in shown:
            points, look = curves[of], line_of(of)
            places, values = [point["clips"] for point in points], [point["value"] for point in points]
            if of == GPT:
                low, high = [point["low"] for point in points], [point["high"] for point in points]
                axes.fill_between(places, low, high, color=look.colour, alpha=0.18, linewidth=0)
            drawn = axes.plot(places, values, look.dashes, marker=look.marker, color=look.colour, label=full_name(of))
            drawn[0].set(markerfacecolor=look.face, markersize=5.5)
        axes.set_xscale("log")
        axes.set_xticks(list(shares), [f"{number(round(n))}\n{_percent(share)}" for n, share in shares.items()])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("train clips with a label, and their share of all")
        axes.set_title(f"test {metric_of(comparison)}")
        percent_ticks(axes.yaxis, 5)
        axes.grid(axis="y")
        legend_above(axes, columns=3)

    told = ", ".join(f"{percent(point['value'])} from {_percent(point['share'])}" for point in curves.get(GPT, []))
    description = f"Test {metric_of(comparison)} by share of the labels; the GPT: {told or 'unknown'}"
    return chart(Drawing(name="learning", description=description, height=290), draw)


def _percent(share: float) -> str:
    """A share with the digits that tell small ones apart."""
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
