"""For whom each method works: a row for each group."""

from markupsafe import Markup
from matplotlib.axes import Axes

from pipelines.methods.table import shown_in
from pipelines.pages.charts import GRID, INK, Drawing, chart, legend_above, shortened
from pipelines.pages.phrasing import full_name, metric_of, percent
from pipelines.pages.probe_charts import line_of, percent_ticks
from pipelines.results.comparison_record import ComparisonRecord
from pipelines.store.stored_features import GPT

MAX_GROUPS = 40  # more could not be read
ROW_HEIGHT = 17  # CSS pixels


def values_by_group(comparison: ComparisonRecord) -> dict[str, dict[str, float]]:
    """Values of the drawn methods, by method, then group."""
    groups = {row["of"]: row["groups"] for row in comparison["methods"] if row.get("groups")}
    return {of: groups[of] for of in shown_in("groups", groups)}


def ranked_groups(values: dict[str, dict[str, float]]) -> list[str]:
    """All groups, those of the highest mean first, equals by name."""
    names = sorted({group for found in values.values() for group in found})
    means = {name: [found[name] for found in values.values() if name in found] for name in names}
    return sorted(names, key=lambda name: (-sum(means[name]) / len(means[name]), name))


def group_chart(comparison: ComparisonRecord) -> Markup:
    """A point for each method in each group's row; a line from the lowest to the highest."""
    values = values_by_group(comparison)
    groups = ranked_groups(values)[::-1]

    def draw(axes: Axes) -> None:
        for place, group in enumerate(groups):
            found = [by_group[group] for by_group in values.values() if group in by_group]
            axes.hlines(place, min(found), max(found), color=GRID, linewidth=2.5, zorder=1)
        for of, by_group in values.items():
            places = [place for place, group in enumerate(groups) if group in by_group]
            points = axes.plot([by_group[groups[place]] for place in places], places, line_of(of).marker)
            points[0].set(color=line_of(of).colour, markerfacecolor=line_of(of).face, markersize=5, label=full_name(of))
        axes.set_yticks(range(len(groups)), [shortened(group, 18) for group in groups], color=INK)
        axes.set_ylim(-0.7, len(groups) - 0.3)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"test {metric_of(comparison)}")
        percent_ticks(axes.xaxis)
        axes.grid(axis="x")
        legend_above(axes)

    gpt = values.get(GPT, {})
    ends = [f"{group} {percent(gpt[group])}" for group in (*groups[-1:], *groups[:1]) if group in gpt]
    description = f"Test {metric_of(comparison)} in {len(groups)} groups; the GPT from {' to '.join(ends) or 'unknown'}"
    return chart(Drawing(name="groups", description=description, height=95 + ROW_HEIGHT * len(groups)), draw)
