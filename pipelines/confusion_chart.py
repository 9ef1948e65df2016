"""Which classes a probe takes for which."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes

from pipelines.charts import INK, Drawing, chart, shortened
from pipelines.run_record import ProbeRow

MAX_CLASSES = 40  # more could not be read
ROW_HEIGHT = 13  # CSS pixels
LABEL_SIZE = 8.5  # CSS pixels
TOLD = 3  # confusions that the description names


def confusions(truth: Sequence[str], predictions: Sequence[str]) -> list[tuple[tuple[str, str], int]]:
    """((class, what it was taken for), clips), the most frequent first, equals by name."""
    wrong = Counter((true, told) for true, told in zip(truth, predictions, strict=True) if true != told)
    return sorted(wrong.items(), key=lambda item: (-item[1], item[0]))


def rates(classes: Sequence[str], truth: Sequence[str], predictions: Sequence[str]) -> npt.NDArray[np.float64]:
    """Ratio of each class's clips taken for each class, ``(classes, classes)``; rows of unseen classes are 0."""
    place = {name: number for number, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)))
    for true, told in zip(truth, predictions, strict=True):
        counts[place[true], place[told]] += 1
    ratios: npt.NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return ratios


def confusion_matrix(row: ProbeRow, classes: Sequence[str], truth: Sequence[str]) -> Markup:
    """A row for each class, a column for each answer."""
    values = rates(classes, truth, row["predictions"])

    def draw(axes: Axes) -> None:
        axes.imshow(values, cmap="cividis", vmin=0, vmax=1, interpolation="none", aspect="auto")
        names = [shortened(name, 14) for name in classes]
        axes.set_yticks(range(len(classes)), names, fontsize=LABEL_SIZE, color=INK)
        axes.set_xticks(range(len(classes)), names, fontsize=LABEL_SIZE, color=INK, rotation=90)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("answer of the probe")
        axes.set_title("class of the clip")

    worst = confusions(truth, row["predictions"])[:TOLD]
    told = "; ".join(f"{true} taken for {answer}, {count} times" for (true, answer), count in worst) or "no confusion"
    description = f"Confusion matrix of the GPT's probe, {len(classes)} classes: {told}"
    return chart(Drawing(name="confusion", description=description, height=120 + ROW_HEIGHT * len(classes)), draw)
