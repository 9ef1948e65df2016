"""The sentences about the tests of the language model."""

from collections.abc import Iterator, Sequence

from pipelines.pages.phrasing import counted, full_name, percent
from pipelines.results.zerospeech_record import AbxRecord, JudgedRow, PairTestRecord, ZerospeechRecord
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
    answer = f"the GPT finds {right} more probable in {share}; guessing gives {percent(0.5)}"
    return f"{asked} that the GPT was not trained on, {answer}."


def item_noun(test: PairTestRecord) -> str:
    """Name what a bootstrap of the test resamples: "word" or "sentence"."""
    return QUESTIONS.get(test["test"], UNKNOWN)[2]


def abx_sentence(test: AbxRecord) -> str:
    """Write what the ABX test asks, and how often codes and states of the GPT are wrong."""
    errors = {row["of"]: row["value"] for row in test["representations"]}
    layers = [value for name, value in errors.items() if name.startswith(f"{GPT}/")]
    of_layers = f", states of the GPT's layers in {percent(min(layers))} to {percent(max(layers))}" if layers else ""
    return (
        "ABX: is a phone nearer to the same phone of another voice than to another phone between the same neighbours? "
        f"Centroids of codes are wrong in {percent(errors.get('centroids'))}{of_layers}; guessing is wrong in "
        f"{percent(0.5)}. Codes that are only compared as equal or not are wrong in {percent(errors.get('codes'))}."
    )


def language_lines(tests: ZerospeechRecord) -> Iterator[str]:
    """Write each test in a sentence, and a line for each model or representation."""
    if pairs := tests.get("pairs"):
        yield pair_test_sentence(pairs)
        yield from _lines(pairs["models"])
    if phones := tests.get("phones"):
        yield abx_sentence(phones)
        yield from _lines(phones["representations"])


def _lines(rows: Sequence[JudgedRow]) -> Iterator[str]:
    width = max(len(full_name(row["of"])) for row in rows)
    for row in rows:
        interval = f"{percent(row['low'])} to {percent(row['high'])}"
        yield f"{full_name(row['of']):{width}}  {percent(row['value'])} ({interval})"
