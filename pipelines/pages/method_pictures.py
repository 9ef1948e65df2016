"""The pictures of what methods have learned: images with lines over them, and galleries of small panels."""

from collections.abc import Iterator
from itertools import cycle

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from pipelines.methods.method import ImageRecord, LineRecord
from pipelines.pages.charts import SHADES, SMALL
from pipelines.pages.svg import BLUE, INK, inline_svg, shortened
from pipelines.results.comparison import Comparison

COLUMNS = 3  # panels beside each other in a gallery
HEIGHT, PANEL_HEIGHT = 300, 62  # CSS pixels
# Colours and dashes of the lines over an image, which is dark and bright on every page.
LINES = (("#ffffff", "-"), ("#ff9e4a", "--"), ("#7fd7ff", ":"))


def method_pictures(comparison: Comparison) -> Iterator[tuple[str, Markup]]:
    """Draw each picture of a comparison, preceded by its caption."""
    for number, picture in enumerate(comparison.pictures):
        name, title = f"method-picture-{number}", picture["title"]
        if "image" in picture:
            yield picture["caption"], _image(picture["image"], name=name, title=title)
        if "panels" in picture:
            yield picture["caption"], _gallery(picture["panels"], name=name, title=title)


def _image(image: ImageRecord, *, name: str, title: str) -> Markup:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        extent = (0.0, image["width"], 0.0, image["height"])
        values, shades = np.array(image["columns"], np.uint8).T, matplotlib.colormaps["magma"].resampled(SHADES)
        axes.imshow(values, shades, vmin=0, vmax=255, origin="lower", aspect="auto", extent=extent)
        for line, (colour, dashes) in zip(image["lines"], cycle(LINES), strict=False):
            places = (np.arange(len(line["values"])) + 0.5) * image["width"] / max(len(line["values"]), 1)
            axes.plot(places, line["values"], color=colour, linestyle=dashes, label=line["name"])
        axes.set(title=title, xlabel=image["across"], ylabel=image["up"])
        axes.spines[:].set_visible(False)
        if image["lines"]:
            axes.legend(loc="upper left", labelcolor="#ffffff")

    lines = ", ".join(line["name"] for line in image["lines"])
    return inline_svg(draw, name=name, description=f"{title}: an image with the lines {lines}", height=HEIGHT)


def _gallery(panels: list[LineRecord], *, name: str, title: str) -> Markup:
    rows = max(-(-len(panels) // COLUMNS), 1)

    def draw(figure: Figure) -> None:
        figure.suptitle(title, fontsize=SMALL + 2, x=0.01, ha="left", color=INK)
        for axes in figure.subplots(rows, COLUMNS, squeeze=False).flat:
            axes.set_axis_off()
        for axes, panel in zip(figure.axes, panels, strict=False):
            axes.plot(panel["values"], color=BLUE, linewidth=0.9)
            axes.set_title(shortened(panel["name"], 16), fontsize=SMALL)

    listed = ", ".join(panel["name"] for panel in panels)
    return inline_svg(draw, name=name, description=f"{title}: {listed}", height=30 + PANEL_HEIGHT * rows)
