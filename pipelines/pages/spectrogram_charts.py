"""What a tokenizer keeps of a sound: spectrograms before it, through autoencoder and codebook, and the codes.

All four share one axis of time. A column of the strip of codes is as wide as the frames that the code stands for::

    frames  |   |   |   |   |   |   |   |   |
    codes   |   0   |   1   |   2   |   3   |     2 frames per code
"""

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pipelines.pages.charts import Drawing, figure_chart
from pipelines.results.run_record import Pictures

ROWS = {
    "original": "original",
    "autoencoder": "through the autoencoder",
    "codebook": "through the codebook",
    "codes": "codes, from the quietest (dark) to the loudest (bright)",
}
MAX_FRAMES = 400  # of a clip; more would neither be seen at this width nor fit the page's size
SHADES = 64  # of the colour maps: as many as are told apart, and small files


def reconstruction(number: int, pictures: Pictures, *, seconds: float, codebook_size: int, name: str) -> Markup:
    """The pictures of clip ``number``, which spans ``seconds``; about `MAX_FRAMES` of them at most.

    The last code may reach beyond the end of the clip: the axis is right to within one code.
    """
    rows = _beginnings({kind: pictures[f"{number}:{kind}"] for kind in ROWS})
    shown = seconds * len(rows["codes"]) / max(len(pictures[f"{number}:codes"]), 1)
    heights = [4.0] * (len(rows) - 1) + [0.5 + 0.5 * rows["codes"].shape[1]]
    low, high = (float(value) for value in np.quantile(rows["original"], [0.01, 0.99]))

    def draw(figure: Figure) -> None:
        axes: list[Axes] = list(figure.subplots(len(rows), 1, sharex=True, height_ratios=heights))
        for place, (kind, values) in zip(axes, rows.items(), strict=True):
            colours, limits = ("cividis", (0, codebook_size - 1)) if kind == "codes" else ("magma", (low, high))
            shades = matplotlib.colormaps[colours].resampled(SHADES)
            extent = (0, shown, 0, values.shape[1])
            place.imshow(
                values.T, shades, Normalize(*limits), aspect="auto", interpolation="none", origin="lower", extent=extent
            )
            place.set_title(ROWS[kind])
            place.set_yticks([])
            place.spines[:].set_visible(False)
            place.tick_params(axis="x", bottom=kind == "codes")
        axes[-1].set_xlabel("seconds")

    description = f"Log-mel spectrograms of {name}, original, through autoencoder and codebook; its codes beneath"
    return figure_chart(Drawing(name=f"reconstruction-{number}", description=description, height=330), draw)


def _beginnings(rows: Pictures) -> Pictures:
    """As many whole codes, and their frames, as are shown."""
    frames_per_code = max(len(rows["original"]) // max(len(rows["codes"]), 1), 1)
    codes = max(MAX_FRAMES // frames_per_code, 1)
    return {kind: values[: codes if kind == "codes" else codes * frames_per_code] for kind, values in rows.items()}
