"""The picture of a sound on the page: spectrograms, codes and surprise on one axis of time."""

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.demonstration.analysis import Analysis
from pipelines.pages.charts import Picture, draw_picture
from pipelines.pages.svg import BLUE, MUTED, inline_svg
from wordless.audio.waveform import FloatArray

WIDTHS = {"narrow": 350.0, "wide": 780.0}  # class of the drawing -> CSS pixels; the page shows one of them
STYLE = """
.chart { display: block; width: 100%; height: auto; }
.wide { display: none; }
@media (min-width: 900px) { .wide { display: block; } .narrow { display: none; } }
:root { --ink: #1c1f23; --muted: #5a6068; --line: #dedbd3; --blue: #0067a5; --orange: #b84e00; --card: #ffffff; }
.dark { --ink: #e8e6e1; --muted: #a5abb3; --line: #363c44; --blue: #62b5ee; --orange: #f0a04b; --card: #1c2025; }
"""


def draw_sound(analysis: Analysis) -> Markup:
    """Draw a sound for a narrow and for a wide page."""
    drawings = (
        Markup('<div class="{}">{}</div>').format(name, _draw(analysis, name=name, width=width))
        for name, width in WIDTHS.items()
    )
    return Markup("").join(drawings)


def _draw(analysis: Analysis, *, name: str, width: float) -> Markup:
    pictures = _pictures(analysis)
    surprise = analysis.surprise

    def draw(figure: Figure) -> None:
        heights = [*(picture.height for picture in pictures), *([3.0] if surprise is not None else [])]
        rows = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, picture in zip(rows, pictures, strict=False):
            draw_picture(axes, picture)
            axes.tick_params(axis="x", bottom=axes is rows[-1])
        if surprise is not None:
            _draw_surprise(rows[-1], surprise, analysis)
        rows[-1].set_xlim(0, analysis.waveform.seconds)
        rows[-1].set_xlabel("seconds")

    rows = [*(picture.title for picture in pictures), *([SURPRISE] if surprise is not None else [])]
    description = f"{analysis.waveform.seconds:.2f} s of sound: {', '.join(rows)}"
    height = 90 * len(rows) - 40 + 6 * analysis.finest.format.streams
    return inline_svg(draw, name=f"sound-{name}", description=description, height=height, width=width)


SURPRISE = "surprise of the GPT, bits in each time step; dotted: all codes equally probable"


def _pictures(analysis: Analysis) -> list[Picture]:
    finest, seconds = analysis.finest, analysis.waveform.seconds
    low, high = (float(value) for value in np.quantile(analysis.original, [0.01, 0.99]))
    images: Mapping[str, FloatArray] = {
        "log-mel spectrogram of the sound": analysis.original,
        "log-mel spectrogram that its codes mean": analysis.decoded,
    }
    padded = len(finest.values) * finest.format.samples_per_code / finest.format.sample_rate
    spectrograms = [
        Picture(title=title, values=values, seconds=padded, limits=(low, high), height=4.0)
        for title, values in images.items()
    ]
    title = "codes, from the quietest (dark) to the loudest (bright)"
    limits, height = (0, finest.format.codebook_size - 1), 0.6 + 0.4 * finest.format.streams
    strip = Picture(title=title, values=finest.values, seconds=padded, limits=limits, colours="cividis", height=height)
    assert seconds <= padded, "the last code is padded"
    return [*spectrograms, strip]


def _draw_surprise(axes: Axes, surprise: FloatArray, analysis: Analysis) -> None:
    step = 1 / analysis.finest.format.codes_per_second
    edges = np.arange(len(surprise) + 1) * step
    axes.stairs(surprise, edges, color=BLUE, linewidth=1.4)
    axes.axhline(analysis.uniform_bits, color=MUTED, linestyle=":", linewidth=1.2)
    axes.set_ylim(bottom=0)
    axes.set_title(SURPRISE)
    axes.grid(axis="y")
