"""What a tokenizer keeps of a sound: spectrograms before it, through autoencoder and codebook, and the codes.

All four share one axis of time. A column of the strip of codes is as wide as the frames that the code stands for::

    frames  |   |   |   |   |   |   |   |   |
    codes   |   0   |   1   |   2   |   3   |     2 frames per code
"""

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from pipelines.charts import Drawing, figure_chart
from pipelines.run_record import Pictures

ROWS = {
    "original": "original",
    "autoencoder": "through the autoencoder",
    "codebook": "through the codebook",
    "codes": "codes, from the quietest (dark) to the loudest (bright)",
}
MAX_FRAMES = 400  # of a clip; more would neither be seen at this width nor fit the page's size
SHADES = 64  # of the colour maps: as many as are told apart, and small files


def reconstruction(number: int, pictures: Pictures, *, seconds: float, codebook_size: int, name: str) -> Markup:
    """The pictures of clip ``number``, which spans ``seconds``; `MAX_FRAMES` of them at most."""
    rows = {kind: pictures[f"{number}:{kind}"] for kind in ROWS if f"{number}:{kind}" in pictures}
    frames = len(rows["original"])
    frames_per_code = max(frames // max(len(rows["codes"]), 1), 1)
    codes_shown = min(len(rows["codes"]), MAX_FRAMES // frames_per_code)
    shown = seconds * codes_shown / max(len(rows["codes"]), 1)
    low, high = (float(value) for value in np.quantile(rows["original"], [0.01, 0.99]))

    def draw(figure: Figure) -> None:
        streams = rows["codes"].shape[1]
        axes = figure.subplots(len(rows), 1, sharex=True, height_ratios=[4] * (len(rows) - 1) + [0.5 + 0.5 * streams])
        for place, (kind, values) in zip(axes, rows.items(), strict=True):
            of_codes = kind == "codes"
            place.imshow(
                values[
                    : codes_shown if of_codes else codes_shown * frames_per_code
                ].T,  # (time, height) -> (height, time)
                cmap=matplotlib.colormaps["cividis" if of_codes else "magma"].resampled(SHADES),
                vmin=0 if of_codes else low,
                vmax=max(codebook_size - 1, 1) if of_codes else high,
                aspect="auto",
                interpolation="none",
                origin="lower",
                extent=(0, shown, 0, values.shape[1]),
            )
            place.set_title(ROWS[kind])
            place.set_yticks([])
            place.spines[:].set_visible(False)
            place.tick_params(axis="x", bottom=of_codes)
        axes[-1].set_xlabel("seconds")

    description = f"Log-mel spectrograms of {name}, original, through autoencoder and codebook; its codes beneath"
    return figure_chart(Drawing(name=f"reconstruction-{number}", description=description, height=330), draw)
