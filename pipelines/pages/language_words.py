"""The sentences about the tests of the language model."""

from collections.abc import Iterator

from pipelines.pages.phrasing import counted, full_name, percent, points
from pipelines.results.figures import Figures
from pipelines.results.run_record import Results
from pipelines.store.stored_features import GPT
from wordless.base.text import listed

QUESTIONS = {  # test -> the right utterance of a pair, the wrong one, what an item is
    "spot_the_word": ("the real word", "the made-up word", "word"),
    "word_order": ("the sentence", "the same words in another order", "sentence"),
}
UNKNOWN = ("the right recording", "the wrong one", "item")
CODES = ("unigram", "bigram")  # models that know which codes, and which pairs of codes, are frequent


def pair_test_sentence(results: Results) -> str:
    """Write how often the GPT is right, and how far it is ahead of models of the codes alone."""
    test, figures = results["zerospeech"]["pairs"], results["figures"].where(stage="zerospeech")
    right, wrong, _ = QUESTIONS.get(test["test"], UNKNOWN)
    values = {row.of: row.value for row in figures.where(name=test["test"]).overall}
    asked = f"{counted(test['pairs'], 'pair')} by {counted(test['voices'], 'voice')} that it was not trained on"
    answer = f"The GPT finds {right} more probable than {wrong} in {percent(values.get(GPT))} of {asked}"
    ahead = {row.against: row for row in figures.where(name="difference")}
    behind = [
        f"{full_name(name)} {percent(values.get(name))} (GPT {points(row.value)} points, interval "
        f"{points(row.low)} to {points(row.high)})"
        for name in CODES
        if (row := ahead.get(name))
    ]
    codes = f" Codes alone: {listed(behind)}." if behind else ""
    return f"{answer}; guessing gives {percent(0.5)}.{codes}"


def item_noun(test: str) -> str:
    """Name what a bootstrap of a test resamples: "word" or "sentence"."""
    return QUESTIONS.get(test, UNKNOWN)[2]


def abx_sentence(errors: Figures) -> str:
    """Write what the ABX test asks, and how often codes and states of the GPT are wrong."""
    values = {row.of: row.value for row in errors if row.layer is None}
    layers = [row.value for row in errors.where(of=GPT) if row.layer is not None]
    of_layers = f", states of the GPT's layers in {percent(min(layers))} to {percent(max(layers))}" if layers else ""
    return (
        "ABX: is a phone nearer to the same phone of another voice than to another phone between the same neighbours? "
        f"Centroids of codes are wrong in {percent(values.get('centroids'))}{of_layers}; guessing is wrong in "
        f"{percent(0.5)}. Codes that are only compared as equal or not are wrong in {percent(values.get('codes'))}."
    )


def language_lines(results: Results) -> Iterator[str]:
    """Write a line for each model or representation; the sentence on pairs is in the opening of the page."""
    tests, figures = results.get("zerospeech", {}), results["figures"].where(stage="zerospeech").overall
    if "pairs" in tests:
        yield from _lines(figures.where(name=tests["pairs"]["test"]))
    if "phones" in tests:
        errors = figures.where(name="abx_error")
        yield abx_sentence(errors)
        yield from _lines(errors)


def _lines(rows: Figures) -> Iterator[str]:
    width = max(len(full_name(row.subject or "")) for row in rows)
    for row in rows:
        interval = f"{percent(row.low)} to {percent(row.high)}"
        yield f"{full_name(row.subject or ''):{width}}  {percent(row.value)} ({interval})"
