"""The sentences about the tests of the language model."""

from collections.abc import Iterator

from pipelines.pages.phrasing import counted, full_name, percent
from pipelines.results.zerospeech_record import PairTestRecord
from pipelines.store.stored_features import GPT

QUESTIONS = {  # test -> both utterances of a pair, the right one, what an item is
    "spot_the_word": ("a real and a made-up word", "the real word", "word"),
    "word_order": ("a sentence and the same words in another order", "the sentence", "sentence"),
}
UNKNOWN = ("two recordings", "the right one", "item")


def pair_test_sentence(test: PairTestRecord) -> str:
    """Write what a test asks, and how often the GPT is right."""
    pair, right, _ = QUESTIONS.get(test["test"], UNKNOWN)
    row = next((row for row in test["models"] if row["of"] == GPT), None)
    share = percent(row["value"]) if row else "an unknown share"
    asked = f"Of {counted(test['pairs'], 'pair')} of {pair}, spoken by {counted(test['voices'], 'voice')}"
    answer = f"it finds {right} more probable in {share}; guessing gives {percent(0.5)}"
    return f"{asked} that the GPT was not trained on, {answer}."


def item_noun(test: PairTestRecord) -> str:
    """Name what a bootstrap of the test resamples: "word" or "sentence"."""
    return QUESTIONS.get(test["test"], UNKNOWN)[2]


def pair_test_lines(test: PairTestRecord) -> Iterator[str]:
    """Write the accuracy of each model with its interval, a line for each."""
    width = max(len(full_name(row["of"])) for row in test["models"])
    for row in test["models"]:
        interval = f"{percent(row['low'])} to {percent(row['high'])}"
        yield f"{full_name(row['of']):{width}}  {percent(row['value'])} ({interval})"
