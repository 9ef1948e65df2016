"""Pages taken apart, and rows of the results that they are drawn from."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input", "source", "wbr"}


class Page(HTMLParser):
    """What a page is made of; fails where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of all tags of one name."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def figure(stage: str, name: str, value: float, unit: str, of: str | None = None) -> dict[str, object]:
    row: dict[str, object] = {
        "stage": stage,
        "name": name,
        "of": of,
        "value": value,
        "low": None,
        "high": None,
        "unit": unit,
    }
    return row | {"protocol": "official", "split": "test", "seeds": 1, "artifact": "0123456789abcdef"}


def says(text: str, *parts: str) -> bool:
    """Whether the parts stand one after another in a text, each at most 80 characters behind the last."""
    return re.search(".{0,80}?".join(map(re.escape, parts)), text) is not None
