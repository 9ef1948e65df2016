"""Which classes a probe takes for which."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes

from pipelines.pages.charts import INK, Drawing, chart, shortened

MAX_CLASSES = 40  # more could not be read
ROW_HEIGHT = 13  # CSS pixels
LABEL_SIZE = 8.5  # CSS pixels
TOLD = 3  # confusions that the description names

Counts = Sequence[Sequence[float]]  # clips, (classes, classes), a row for each true class


def confusions(classes: Sequence[str], counts: Counts) -> list[tuple[tuple[str, str], float]]:
    """((class, what it was taken for), clips), the most frequent first, equals by name."""
    wrong = {
        (true, told): count
        for true, row in zip(classes, counts, strict=True)
        for told, count in zip(classes, row, strict=True)
        if true != told and count
    }
    return sorted(wrong.items(), key=lambda item: (-item[1], item[0]))


def rates(counts: Counts) -> npt.NDArray[np.float64]:
    """Ratio of each class's clips taken for each class, ``(classes, classes)``; rows of unseen classes are 0."""
    values = np.asarray(counts, dtype=np.float64)
    ratios: npt.NDArray[np.float64] = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    return ratios


def confusion_matrix(classes: Sequence[str], counts: Counts) -> Markup:
    """A row for each class, a column for each answer."""
    values = rates(counts)

    def draw(axes: Axes) -> None:
        axes.imshow(values, cmap="cividis", vmin=0, vmax=1, interpolation="none", aspect="auto")
        names = [shortened(name, 14) for name in classes]
        axes.set_yticks(range(len(classes)), names, fontsize=LABEL_SIZE, color=INK)
        axes.set_xticks(range(len(classes)), names, fontsize=LABEL_SIZE, color=INK, rotation=90)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("answer of the probe")
        axes.set_title("class of the clip")

    worst = confusions(classes, counts)[:TOLD]
    told = "; ".join(f"{true} taken for {answer}, {count:g} times" for (true, answer), count in worst) or "no confusion"
    description = f"Confusion matrix of the GPT's probe, {len(classes)} classes: {told}"
    return chart(Drawing(name="confusion", description=description, height=120 + ROW_HEIGHT * len(classes)), draw)
