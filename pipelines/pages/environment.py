"""Pages from the templates beside this file: the report of a run, and that of a sweep."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.pages import phrasing


def environment() -> Environment:
    """What both pages are drawn with: everything is escaped, nothing may be undefined, and figures are put in words."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    spoken = (phrasing.number, phrasing.percent, phrasing.full_name)
    made.filters |= {function.__name__: function for function in spoken}
    return made
