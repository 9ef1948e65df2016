"""How the training of one method went in every fold."""

from collections.abc import Mapping

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipelines.methods.table import METHODS
from pipelines.pages.charts import BLUE, ORANGE, Drawing, chart, legend_above
from pipelines.pages.phrasing import counted, full_name, number
from pipelines.pages.training_charts import LOSSES
from pipelines.results.training_record import TrainingRecord


def fold_trainings(of: str, records: Mapping[str, TrainingRecord]) -> Markup:
    """Training and validation loss by step, a thin line for each fold, and the steps that were kept."""

    def draw(axes: Axes) -> None:
        for record in records.values():
            _draw_fold(axes, record)
        for style, colour, legend in (("--", ORANGE, "training"), ("-", BLUE, "validation"), ("o", BLUE, "kept")):
            axes.plot([], [], style, color=colour, markersize=4, linewidth=1.2, label=legend)
        baselines = {name: method.training.loss for name, method in METHODS.items() if method.training}
        axes.set_title((LOSSES | baselines).get(of, "loss"))
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(axis="y")
        legend_above(axes, columns=3)

    last = [record["curve"][-1]["validation_loss"] for record in records.values() if record["curve"]]
    ends = f"validation loss {number(min(last))} to {number(max(last))} at the end" if last else "no point"
    description = f"Training curves of the {full_name(of)} over {counted(len(records), 'fold')}: {ends}"
    return chart(Drawing(name=f"training-{of}", description=description, height=210), draw)


def _draw_fold(axes: Axes, record: TrainingRecord) -> None:
    steps = [point["step"] for point in record["curve"]]
    validation = [point["validation_loss"] for point in record["curve"]]
    axes.plot(steps, [point["train_loss"] for point in record["curve"]], "--", color=ORANGE, linewidth=0.7, alpha=0.8)
    axes.plot(steps, validation, color=BLUE, linewidth=0.9, alpha=0.8)
    if record["kept_step"] in steps:
        axes.plot([record["kept_step"]], [validation[steps.index(record["kept_step"])]], "o", color=BLUE, markersize=4)
