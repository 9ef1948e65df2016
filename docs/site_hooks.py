"""What the site does with pages that GitHub shows as well.

``::: name`` is a directive of mkdocstrings, which writes the arguments of a class. GitHub would show it as text, so it
stands in a comment, which the site opens. A link to a file of the repository outside ``docs`` leads nowhere on the
site, which shows the name of the file alone.
"""

import re

_DIRECTIVES = re.compile(r"<!--\n(::: .*?)-->", re.DOTALL)
_SOURCE = re.compile(r"\[(`[^`\]]+`)\]\((?:\.\./)+[\w/]+\.py\)")


def on_page_markdown(markdown: str, **about: object) -> str:
    """Return the Markdown of a page as mkdocs is to read it."""
    return _SOURCE.sub(r"\1", _DIRECTIVES.sub(r"\1", markdown))
