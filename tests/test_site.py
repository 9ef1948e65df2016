"""The documentation site: it builds without warnings, has every public name, and loads nothing from other machines."""

import re
from pathlib import Path

import pytest

import wordless
from tests.calling import python

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("material", "mkdocstrings"):
        pytest.importorskip(package, reason="needs pip install 'wordless[docs]'")
    place = tmp_path_factory.mktemp("site")
    done = python("-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", place, NO_MKDOCS_2_WARNING="1")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return place


def test_every_document_is_a_page_and_search_works_in_files(site: Path) -> None:
    """Its index is a script, and a shim replaces workers; both stand in the site."""
    documents = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    pages = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    assert len(documents) > 10
    assert documents <= pages
    assert (site / "search/search_index.js").read_text(encoding="utf-8").startswith("var __index = ")
    assert "javascripts/iframe-worker.js" in (site / "index.html").read_text(encoding="utf-8")
    assert (site / "javascripts/iframe-worker.js").is_file()
    headings = re.findall(r"<h2\b.*?</h2>", (site / "python.html").read_text(encoding="utf-8"), re.DOTALL)
    names = {name for heading in headings for name in re.findall(r"wordless\.(\w+)", heading)}
    assert names == {*wordless.__all__} - {"__version__"}


def test_pages_load_nothing_from_other_machines(site: Path) -> None:
    """Links for readers to follow may lead elsewhere; scripts, styles, fonts and pictures may not."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|link|iframe|audio|source)\b[^>]*?(?:src|href)=\"?([^\"\s>]+)", text)
        assert loaded
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style
