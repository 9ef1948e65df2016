"""The few figures at the top of the page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipelines.methods.table import shown_in
from pipelines.pages.phrasing import decibels, in_sentence, metric_of, number, percent, points
from pipelines.results.comparison_record import ComparisonRecord, method_of
from pipelines.results.run_record import Results, value_of


@dataclass(frozen=True, kw_only=True)
class KeyFigure:
    """One of the few figures at the top of the page."""

    value: str
    name: str
    note: str


def key_figures(results: Results) -> Iterator[KeyFigure]:
    """The figures that a reader asks for first, as far as the run has them, each beside what to compare it with."""

    def of(stage: str, name: str, kind: str | None = None) -> float | None:
        return value_of(results, stage, name, kind)

    size = len(results["codebook"]["counts"]) if "codebook" in results else None
    yield from _key("codebook perplexity", of("tokenizer", "perplexity"), number, size, "of {} codes")
    unigram = of("lm", "unigram_perplexity")
    yield from _key("language model perplexity", of("lm", "perplexity"), number, unigram, "{} by frequencies alone")
    coded = of("tokenizer", "bits_per_second")
    yield from _key("bits per second", of("lm", "bits_per_second"), number, coded, "{} without a language model")
    if comparison := results.get("comparison"):
        yield from _compared(comparison)
    plain = of("vocoder", "log_mel_distance", "griffin_lim")
    heard = of("vocoder", "log_mel_distance", "wavenet")
    told = of("vocoder", "label_accuracy", "wavenet")
    if told is not None:
        beside = {
            "of the originals": of("vocoder", "label_accuracy", "original"),
            "by Griffin-Lim": of("vocoder", "label_accuracy", "griffin_lim"),
            "by noise": of("vocoder", "label_accuracy", "noise_vocoder"),  # older runs have none
        }
        note = ", ".join(f"{percent(value)} {name}" for name, value in beside.items() if value is not None)
        yield KeyFigure(value=percent(told), name="of WaveNet's clips recognised", note=note)
    yield from _key("WaveNet's log-mel distance", heard, decibels, plain, "{} by Griffin-Lim")


def _compared(comparison: ComparisonRecord) -> Iterator[KeyFigure]:
    """What the GPT knows, and how far that is from its two rivals."""
    gpt, bag = method_of(comparison, "gpt"), method_of(comparison, "bag_of_codes")
    if gpt is None:
        return
    beside = bag["value"] if bag else None
    yield from _key(f"probe {metric_of(comparison)} of the GPT", gpt["value"], percent, beside, "{} by a bag of codes")
    for rival in shown_in("key figures", [row["of"] for row in comparison["methods"]]):
        if other := method_of(comparison, rival):
            difference = gpt["value"] - other["value"]
            note = f"{percent(other['value'])} by {in_sentence(rival)}"
            yield KeyFigure(value=points(difference), name=f"points over {in_sentence(rival)}", note=note)


def _key(
    name: str, value: float | None, written: Callable[[float | None], str], other: float | None, note: str
) -> Iterator[KeyFigure]:
    """A key figure, if there is a value; without a note, if there is nothing to compare it with."""
    if value is not None:
        told = note.format(written(other)) if other is not None else ""
        yield KeyFigure(value=written(value), name=name, note=told)
