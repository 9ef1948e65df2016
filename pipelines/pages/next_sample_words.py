"""The sentences about language models of samples."""

from collections.abc import Callable, Iterator

from pipelines.pages.phrasing import counted, full_name, heading, number, percent, points
from pipelines.results.figures import Figure, Figures
from pipelines.results.run_record import Results

PAPER = "Verma and Chafe (2021)"
CLAIMS = {  # model and rival -> what the paper says
    ("transformer", "wavenet"): f"{PAPER} report up to 9 % more accuracy",
    ("transformer_context", "transformer"): f"{PAPER} report 2 % more accuracy",
}


def sample_figures(results: Results) -> Figures:
    """Select the figures of language models of samples."""
    return results["figures"].where(stage="next_sample")


def sample_sentence(results: Results) -> str:
    """Write which model predicts most samples, and how many the best baseline predicts."""
    models = results["next_sample"]
    accuracies = {row.of: row.value for row in sample_figures(results).where(name="accuracy")}
    trained, baseline = (
        max((of for of in accuracies if (of in models["engines"]) is learned), key=accuracies.__getitem__, default=None)
        for learned in (True, False)
    )
    known = f"; the best baseline, {full_name(baseline)}, {percent(accuracies[baseline])}" if baseline else ""
    if trained is None:
        return f"Language models of samples were asked for {number(models['samples'])} samples of test clips{known}."
    return (
        f"Of {number(models['samples'])} samples of test clips the {full_name(trained)} predicts "
        f"{percent(accuracies[trained])} exactly{known}."
    )


def difference_sentence(row: Figure, results: Results) -> str:
    """Write how much better one model is than another, beside the claim of the paper."""
    figures = sample_figures(results)
    (bits,) = figures.where(name="bits_per_sample_difference", of=row.of, against=row.against)
    rival = figures.value("next_sample", "accuracy", row.against)
    relative = row.value / rival if rival else 0.0
    claim = CLAIMS.get((row.of or "", row.against or ""))
    return (
        f"{heading(row.of or '')} minus {full_name(row.against or '')}: "
        f"{points(row.value)} points of accuracy{over_seeds(row, points)}, a relative difference of "
        f"{points(relative)} %; {signed(bits.value)} bits per sample{over_seeds(bits, signed)}."
        f"{f' {claim}.' if claim else ''}"
    )


def milliseconds(samples: float, sample_rate: int) -> str:
    """Write a number of samples as milliseconds."""
    return f"{number(float(f'{1000 * samples / sample_rate:.3g}'))} ms"


def bits(value: float | None) -> str:
    """Write bits per sample."""
    return "–" if value is None else f"{value:.3f}"


def sample_lines(results: Results) -> Iterator[str]:
    """Write a line for each model, and for each difference."""
    figures = sample_figures(results)
    accuracies = figures.where(name="accuracy")
    width = max((len(full_name(row.of or "")) for row in accuracies), default=0)
    for row in accuracies:
        entropy, size, speed = (
            figures.value("next_sample", name, row.of)
            for name in ("bits_per_sample", "parameters", "samples_per_second")
        )
        parts = [
            percent(row.value) + over_seeds(row, percent),
            f"{bits(entropy)} bits per sample",
            counted(size or 0, "parameter"),
            *([f"{number(speed)} samples/s"] if speed is not None else []),
        ]
        yield f"{full_name(row.of or ''):{width}}  {'  '.join(parts)}"
    for difference in figures.where(name="difference"):
        yield difference_sentence(difference, results)


def over_seeds(row: Figure, write: Callable[[float | None], str]) -> str:
    """Write the interval over seeds in brackets; nothing of a single seed."""
    return f" ({write(row.low)} to {write(row.high)})" if row.low is not None and row.high is not None else ""


def signed(value: float | None) -> str:
    """Write a difference of bits per sample."""
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")
