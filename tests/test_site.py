"""The site, its documents, and the commands of the Makefile."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

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


def test_every_document_is_a_page(site: Path) -> None:
    documents = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    pages = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    assert len(documents) > 10
    assert documents <= pages


def test_search_works_in_pages_that_are_opened_as_files(site: Path) -> None:
    """Its index is a script, and a shim replaces workers; both stand in the site."""
    assert (site / "search/search_index.js").read_text(encoding="utf-8").startswith("var __index = ")
    assert "javascripts/iframe-worker.js" in (site / "index.html").read_text(encoding="utf-8")
    assert (site / "javascripts/iframe-worker.js").is_file()


def test_every_public_name_is_on_the_page_of_python(site: Path) -> None:
    headings = re.findall(r"<h2\b.*?</h2>", (site / "python.html").read_text(encoding="utf-8"), re.DOTALL)
    shown = [re.sub("<.*?>", "", heading) for heading in headings]  # tags hold the places of the files
    names = {name for heading in shown for name in re.findall(r"wordless\.(\w+)", heading)}
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


# https://docs.github.com/communities/using-templates-to-encourage-useful-issues-and-pull-requests
_OF_FORMS = {"name", "description", "body"}, {"title", "labels", "assignees", "projects", "type"}
_OF_INPUTS = {"dropdown", "checkboxes", "input", "markdown", "textarea"}


@pytest.mark.parametrize("form", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yaml")), ids=lambda form: form.stem)
def test_a_form_for_issues_is_one_that_github_shows(form: Path) -> None:
    found, (needed, possible) = yaml.safe_load(form.read_text(encoding="utf-8")), _OF_FORMS
    assert needed <= found.keys() <= needed | possible
    assert found["body"]
    assert {each["type"] for each in found["body"]} <= _OF_INPUTS
    assert all(each["attributes"]["label"] for each in found["body"] if each["type"] != "markdown")


DOCUMENTS = sorted(path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))


def anchors(document: Path) -> set[str]:
    """The names that links give to the headings of a document."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_to_files_and_headings(document: Path) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    for link in [*re.findall(r"\]\(([^)\s]+)\)", prose), *re.findall(r'src="([^"]+)"', prose)]:
        if "://" not in link:
            file, _, heading = link.partition("#")
            place = (ROOT / document).parent / file if file else ROOT / document
            assert place.exists(), link
            assert not heading or heading in anchors(place), link


def made(*words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    return subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["install", "clean"])
def test_a_folder_of_another_kind_is_not_deleted(target: str, tmp_path: Path) -> None:
    kept = tmp_path / "work" / "pyvenv.cfg"  # an environment, too, may be somebody else's
    kept.parent.mkdir()
    kept.touch()
    done = made(target, f"VENV={kept.parent}")
    assert done.returncode == 2
    assert re.search(rf"{kept.parent} .*VENV=", done.stderr)
    assert kept.exists()


def test_a_python_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    done = made("install", f"VENV={tmp_path / 'venv'}", "PYTHON=/bin/false")
    assert done.returncode == 2
    assert re.search(r"PYTHON=/bin/false\b.*\b3\.10, 3\.11 or 3\.12\b", done.stderr)
    assert not (tmp_path / "venv").exists()
