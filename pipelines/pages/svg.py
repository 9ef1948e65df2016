"""Inline SVG: matplotlib draws a chart, and the page chooses its colours and its font. For other programs, PNG.

matplotlib draws with placeholder colours. They are replaced by CSS variables, so that one drawing serves light and dark
pages. Text stays text, in the page's font. A chart is as wide as a phone; wider pages set charts side by side.
"""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import style
from matplotlib.figure import Figure

WIDTH = 340.0  # CSS pixels
FONT_SIZE = 10.5  # CSS pixels

# placeholder -> colour of the page
VARIABLES = {
    "#00000a": "var(--ink)",
    "#00000b": "var(--muted)",
    "#00000c": "var(--line)",
    "#00000d": "var(--blue)",
    "#00000e": "var(--orange)",
    "#00000f": "var(--green)",
    "#000010": "var(--card)",
}
INK, MUTED, GRID, BLUE, ORANGE, GREEN, PAPER = VARIABLES
PNG_DPI = 144  # two dots for a CSS pixel

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


def inline_svg(
    draw: Callable[[Figure], None], *, name: str, description: str, height: float, width: float = WIDTH
) -> Markup:
    """Draw a chart, ``height`` CSS pixels high and ``width`` wide, as an element of a page.

    ``draw`` fills an empty figure. ``name`` is unique on the page; equal names and equal data give equal bytes.
    """
    with style.context(STYLE | {"svg.hashsalt": name}, after_reset=True), warnings.catch_warnings():
        # The browser draws the text, so matplotlib's own font need not have its letters.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        draw(figure)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return _page_element(written.getvalue(), description)


def png(draw: Callable[[Figure], None], *, height: float, width: float = WIDTH) -> bytes:
    """Draw a chart as `inline_svg` does, dark on white, and return the content of a PNG file."""
    with style.context(STYLE, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width / 72, height / 72), dpi=PNG_DPI, facecolor="white")
        draw(figure)
        written = io.BytesIO()
        figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()


def shortened(text: str, length: int = 28) -> str:
    """Cut a label so that it leaves room for the chart."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _page_element(svg: str, description: str) -> Markup:
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in ("metadata", "style")]:
            parent.remove(child)
    references = [element.get(name, "") for element in root.iter() for name in ("href", "clip-path")]
    used = set(re.findall(r"#([\w-]+)", " ".join(references)))
    for element in root.iter():
        kept = {name: value for name, value in element.attrib.items() if name != "id" or value in used}
        element.attrib = {name: _adapted(name, value) for name, value in kept.items()}
        element.tail = None
    root.attrib = {"viewBox": root.attrib["viewBox"], "class": "chart", "role": "img", "aria-label": description}
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # ElementTree has escaped all text


def _adapted(name: str, value: str) -> str:
    """Replace matplotlib's colours and font by the page's, and remove line breaks from data URIs."""
    if name == "style":
        value = re.sub("font-family: [^;]+(; )?", "", value)
        return re.sub("#[0-9a-f]{6}", lambda found: VARIABLES.get(found.group(), found.group()), value)
    return "".join(value.split()) if name == "href" else value
