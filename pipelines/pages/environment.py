"""The templates beside this file, and what they may call."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.pages import language_words, next_sample_words, phrasing, run_words

FILTERS = (
    phrasing.number,
    phrasing.percent,
    phrasing.full_name,
    phrasing.duration,
    phrasing.points,
    phrasing.significance,
    phrasing.counted,
    language_words.abx_sentence,
    language_words.item_noun,
    language_words.pair_test_sentence,
    next_sample_words.bits,
    next_sample_words.difference_sentence,
    next_sample_words.milliseconds,
    run_words.candidates,
    run_words.few_clips,
    run_words.gap,
    run_words.setting,
    run_words.standing,
)
GLOBALS = (phrasing.quantity, run_words.provenance_rows, run_words.option_lines)


def draw(template: str, **values: object) -> str:
    """Draw a page from its template. All text is escaped, and nothing may be undefined."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in FILTERS}
    environment.globals |= {function.__name__: function for function in GLOBALS}
    return environment.get_template(template).render(values)
