"""Pictures of what a method has learned: plain values in ``results.json``, which the report draws."""

from typing import TypedDict


class LineRecord(TypedDict):
    """A named line, or a panel of its own."""

    name: str
    values: list[float]  # at equal distances


class ImageRecord(TypedDict):
    """Values as colours, with lines over them."""

    columns: list[list[int]]  # each from the bottom to the top: 0 (darkest) to 255
    across: str  # label of the horizontal axis
    width: float  # in the unit of that axis
    up: str
    height: float
    lines: list[LineRecord]  # in the unit of the vertical axis


class PictureRecord(TypedDict, total=False):
    """An image, or a gallery of panels."""

    title: str
    caption: str
    image: ImageRecord
    panels: list[LineRecord]
