"""The site's page of options says what the commands say."""

from pipelines.commandline.options import index
from pipelines.commandline.options_page import options_page


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
