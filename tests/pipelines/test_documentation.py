"""The site's page of options says what the commands say, and its other pages have the tables that they name."""

from pathlib import Path

from pipelines.commandline.options import index
from pipelines.documentation import TABLES, options_page, with_tables
from pipelines.methods.table import METHODS


def test_an_option_that_differs_among_choices_has_the_value_and_meaning_of_each() -> None:
    (layers,) = [line for line in options_page().splitlines() if line.startswith("| `body.model.layers` |")]
    assert "| `[4, 8, 12]` | with body=ast: " in layers
    assert "with body=wav2vec2 (default 4) or body=audio_transformer (default 6): " in layers
    options = index("finetune").options
    assert options["body.fit.steps"].value == "400"  # of body=gpt, which is chosen
    assert options["body.fit.steps"].choices["body=ast"].value == "300"
    assert not index("run").options["lm.fit.steps"].choices  # other sizes of one thing


def test_the_page_has_every_option() -> None:
    page = options_page()
    assert [name for name in index("run").options if f"| `{name}` |" not in page] == []


def test_the_pages_have_every_table() -> None:
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (Path(__file__).parents[2] / "docs").glob("*.md"))
    assert all(f"<!-- table {name} -->" in pages for name in TABLES)
    made = with_tables(pages)
    assert "<!-- table" not in made
    assert all(f"`{name}`" in made for name in METHODS)


def test_only_untrained_networks_share_an_explanation_that_they_do_not_give() -> None:
    assert {name for name, method in METHODS.items() if not method.row.explanation} == {
        name for name, method in METHODS.items() if method.row.kind == "untrained"
    }
