"""The sentences about language models of samples."""

from collections.abc import Callable, Iterator

from pipelines.pages.phrasing import counted, full_name, heading, number, percent, points
from pipelines.results.next_sample_record import IntervalRecord, NextSampleRecord, SampleDifferenceRow, SampleModelRow

PAPER = "Verma and Chafe (2021)"
CLAIMS = {  # model and rival -> what the paper says
    ("transformer", "wavenet"): f"{PAPER} report up to 9 % more accuracy",
    ("transformer_context", "transformer"): f"{PAPER} report 2 % more accuracy",
}


def sample_sentence(record: NextSampleRecord) -> str:
    """Write which model predicts most samples, and how many the best baseline predicts."""
    trained, baselines = (
        max((row for row in record["models"] if bool(row["speed"]) is learned), key=_accuracy, default=None)
        for learned in (True, False)
    )
    known = f"; the best baseline, {full_name(baselines['of'])}, {percent(_accuracy(baselines))}" if baselines else ""
    if trained is None:
        return f"Language models of samples were asked for {number(record['samples'])} samples of test clips{known}."
    return (
        f"Of {number(record['samples'])} samples of test clips the {full_name(trained['of'])} predicts "
        f"{percent(_accuracy(trained))} exactly{known}."
    )


def _accuracy(row: SampleModelRow) -> float:
    return row["accuracy"]["value"]


def protocol_sentence(record: NextSampleRecord) -> str:
    """Write what the models predict, and how they were trained."""
    return (
        f"Each model predicts the next of 256 mu-law levels at {number(record['sample_rate'])} Hz. All were trained "
        f"for {counted(record['steps'], 'step')} on the same crops, {record['crops']} in a step with at most "
        f"{number(record['crop_samples'])} predicted samples each, with {counted(record['seeds'], 'seed')}. All are "
        f"compared on the same {number(record['samples'])} samples of test clips. Silence stands before each clip, so "
        "clips that are shorter than a model's past are not left out."
    )


def difference_sentence(row: SampleDifferenceRow, record: NextSampleRecord) -> str:
    """Write how much better one model is than another, beside the claim of the paper."""
    values = {each["of"]: each["accuracy"]["value"] for each in record["models"]}
    relative = row["accuracy"]["value"] / values[row["against"]] if values.get(row["against"]) else 0.0
    over = _over_seeds(row["accuracy"], points)
    bits = f"{_signed(row['bits_per_sample']['value'])} bits per sample{_over_seeds(row['bits_per_sample'], _signed)}"
    claim = CLAIMS.get((row["of"], row["against"]))
    return (
        f"{heading(row['of'])} minus {full_name(row['against'])}: "
        f"{points(row['accuracy']['value'])} points of accuracy{over}, a relative difference of {points(relative)} %; "
        f"{bits}.{f' {claim}.' if claim else ''}"
    )


def milliseconds(samples: int, sample_rate: int) -> str:
    """Write a number of samples as milliseconds."""
    return f"{number(float(f'{1000 * samples / sample_rate:.3g}'))} ms"


def bits(value: float | None) -> str:
    """Write bits per sample."""
    return "–" if value is None else f"{value:.3f}"


def sample_lines(record: NextSampleRecord) -> Iterator[str]:
    """Write a line for each model, and for each difference."""
    width = max(len(full_name(row["of"])) for row in record["models"])
    for row in record["models"]:
        entropy = row["bits_per_sample"]
        parts = [
            percent(row["accuracy"]["value"]) + _over_seeds(row["accuracy"], percent),
            f"{bits(entropy['value'] if entropy else None)} bits per sample",
            counted(row["parameters"], "parameter"),
            *([f"{number(row['speed']['samples_per_second'])} samples/s"] if row["speed"] else []),
        ]
        yield f"{full_name(row['of']):{width}}  {'  '.join(parts)}"
    for difference in record["differences"]:
        yield difference_sentence(difference, record)


def _over_seeds(interval: IntervalRecord, write: Callable[[float | None], str]) -> str:
    low, high = interval["low"], interval["high"]
    return f" ({write(low)} to {write(high)})" if low is not None and high is not None else ""


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")
