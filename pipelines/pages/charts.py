"""Charts as inline SVG: drawn by matplotlib, coloured and set in type by the page.

matplotlib draws each role in a placeholder colour; the finished SVG names CSS variables instead, so that one drawing
serves light and dark pages. Text stays text, in the page's font. The drawing is as wide as a phone, so that its text is
as large there as it says here; wider pages enlarge charts a little and set them side by side.
"""

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 340.0  # CSS pixels
FONT_SIZE = 10.5  # CSS pixels

INK = "#00000a"
MUTED = "#00000b"
GRID = "#00000c"
BLUE = "#00000d"
ORANGE = "#00000e"
GREEN = "#00000f"
PAPER = "#000010"
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    PAPER: "var(--card)",
}

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names from data may hold $ and _
    "image.composite_image": False,
    "font.size": FONT_SIZE,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": FONT_SIZE,
    "axes.titlecolor": MUTED,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What a chart is, apart from what is drawn."""

    name: str  # unique on the page
    description: str  # for those who do not see it
    height: float  # CSS pixels


def chart(drawing: Drawing, draw: Callable[[Axes], None]) -> Markup:
    """A chart with one pair of axes, drawn by ``draw``."""
    return figure_chart(drawing, lambda figure: draw(figure.subplots()))


def figure_chart(drawing: Drawing, draw: Callable[[Figure], None]) -> Markup:
    """A chart whose axes ``draw`` lays out itself."""
    # Equal names give equal identifiers, and so equal bytes; the names differ, so that no two charts share any.
    # The user's own matplotlibrc has no say.
    with style.context(STYLE | {"svg.hashsalt": drawing.name}, after_reset=True), warnings.catch_warnings():
        # Text stays text: it does not matter which letters the font has that matplotlib measures it with.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(WIDTH / 72, drawing.height / 72), dpi=72)
        draw(figure)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return _inlined(written.getvalue(), drawing.description)


def legend_above(axes: Axes, columns: int = 2) -> None:
    """The legend above the axes, where it covers nothing; none where nothing is drawn."""
    if axes.get_legend_handles_labels()[0] and isinstance(axes.figure, Figure):
        axes.figure.legend(loc="outside upper left", ncols=columns, labelcolor=INK)


def shortened(text: str, length: int = 28) -> str:
    """A label that leaves room for the chart."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _inlined(svg: str, description: str) -> Markup:
    """A stand-alone SVG file as an element of a page."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in ("metadata", "style")]:
            parent.remove(child)
    used = {target for element in root.iter() for target in re.findall(r"#([\w-]+)", _references(element))}
    for element in root.iter():
        kept = {name: value for name, value in element.attrib.items() if name != "id" or value in used}
        element.attrib = {name: _adapted(name, value) for name, value in kept.items()}
        element.tail = None
    root.attrib = {"viewBox": root.attrib["viewBox"], "class": "chart", "role": "img", "aria-label": description}
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # ElementTree has escaped all text


def _references(element: ElementTree.Element) -> str:
    return element.get("href", "") + " " + element.get("clip-path", "")


def _adapted(name: str, value: str) -> str:
    """The page's colours and font in place of matplotlib's; data URIs without line breaks."""
    match name:
        case "style":
            value = re.sub("font-family: [^;]+(; )?", "", value)
            return re.sub("#[0-9a-f]{6}", lambda found: VARIABLES.get(found.group(), found.group()), value)
        case "href":
            return "".join(value.split())
        case _:
            return value
