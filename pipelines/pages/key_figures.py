"""The few figures at the top of a report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from pipelines.methods.codes import BAG_OF_CODES
from pipelines.methods.table import shown_in
from pipelines.pages.language_words import CODES
from pipelines.pages.phrasing import full_name, number, percent, points
from pipelines.results.comparison import Comparison
from pipelines.results.run_record import Results
from pipelines.store.stored_features import GPT
from vocoder.kinds import ORIGINAL, UNLEARNED, WAVENET


@dataclass(frozen=True, kw_only=True)
class KeyFigure:
    """A figure, its name, and the values beside which it should be read."""

    value: str
    name: str
    note: str


def key_figures(results: Results) -> list[KeyFigure]:
    """List the figures that a reader asks for first, as far as the run has them."""
    of = results["figures"].value
    size = len(results["codebook"]["counts"]) if "codebook" in results else None
    comparison = results.get("comparison")
    unigram = of("lm", "unigram_perplexity")
    kinds = {"{} of the originals": ORIGINAL, **{f"{{}} by {kind.title}": kind.key for kind in reversed(UNLEARNED)}}
    labels, periodicities = (
        {note: of("vocoder", name, kind) for note, kind in kinds.items()} for name in ("label_accuracy", "periodicity")
    )
    wavenet = WAVENET.title
    return [
        *_pair_figures(results),
        *_figure("codebook perplexity", of("tokenizer", "perplexity"), number, {"of {} codes": size}),
        *_figure("language model perplexity", of("lm", "perplexity"), number, {"{} by frequencies alone": unigram}),
        *(_probe_figures(comparison) if comparison else []),
        *_figure(f"of {wavenet}'s clips recognised", of("vocoder", "label_accuracy", WAVENET.key), percent, labels),
        *_figure(f"periodicity of {wavenet}'s voice", of("vocoder", "periodicity", WAVENET.key), number, periodicities),
    ]


def _pair_figures(results: Results) -> list[KeyFigure]:
    """List how often the GPT is right about pairs of recordings, beside what codes alone know."""
    if (test := results.get("zerospeech", {}).get("pairs")) is None:
        return []
    of = partial(results["figures"].value, "zerospeech", test["test"])
    beside = {f"{{}} by {full_name(name)} alone": of(name) for name in CODES}
    return _figure(f"right in {full_name(test['test'])}", of(GPT), percent, beside)


def _probe_figures(comparison: Comparison) -> list[KeyFigure]:
    """List the probe of the GPT, and its difference from two rivals."""
    values = {of: row.value for of, row in comparison.tested.items()}
    if GPT not in values:
        return []
    beside = {f"{{}} by {BAG_OF_CODES.row.title}": values.get(BAG_OF_CODES.name)}
    figures = _figure(f"probe {full_name(comparison.metric)} of the GPT", values[GPT], percent, beside)
    for rival in shown_in("key figures", values):
        gain, note = points(values[GPT] - values[rival]), f"{percent(values[rival])} by {full_name(rival)}"
        figures.append(KeyFigure(value=gain, name=f"points over {full_name(rival)}", note=note))
    return figures


def _figure(
    name: str, value: float | None, written: Callable[[float | None], str], beside: Mapping[str, float | None]
) -> list[KeyFigure]:
    """Make a key figure where there is a value; ``beside`` is what to compare it with, by its wording."""
    note = ", ".join(wording.format(written(other)) for wording, other in beside.items() if other is not None)
    return [] if value is None else [KeyFigure(value=written(value), name=name, note=note)]
