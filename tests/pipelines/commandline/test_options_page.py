"""The committed page of options says what the commands say."""

from pipelines.commandline.option_index import index
from pipelines.commandline.options_page import PAGE, options_page


def test_the_page_is_as_it_would_be_written_now() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert options_page(page) == page, "write it again: python -m pipelines.commandline.options_page"


def test_the_page_has_every_option() -> None:
    page = options_page("")
    assert [name for name in index("run").options if f"| `{name}` |" not in page] == []
