"""Figures in words: numbers as people read them, names in full, and the summary of a run."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipelines.run_record import FigureRow, Results

NAMES = {
    "log_mel": "log-mel",
    "bottleneck": "bottleneck",
    "bag_of_codes": "bag of codes",
    "gpt": "GPT, chosen layer",
    "gpt/all_layers": "GPT, all layers",
    "simclr": "SimCLR",
    "ast": "AST",
    "griffin_lim": "Griffin-Lim",
    "wavenet": "WaveNet",
    "lm": "language model",
    "kmeans": "k-means",
    "macro_f1": "macro F1",
    "rms": "RMS",
    "dc": "DC offset",
    "log_mel_distance": "log-mel distance",
    "unigram_perplexity": "perplexity of code frequencies alone",
    "reconstruction_mse": "squared error through the autoencoder",
    "quantised_mse": "squared error through the codebook",
    "code_agreement": "codes that agree",
    "stability": "codes that stay the same",
    "gain": "after a change of gain",
    "noise": "after a little noise",
    "shift": "after a small shift in time",
}
# Units that need fewer words beside the name of their figure.
UNITS = {"codes": "", "full scale": "", "dB re full scale": "dBFS", "normalised log-mel squared": ""}
NO_BREAK = "\N{NO-BREAK SPACE}"
COSTS = ("seconds", "peak_memory")  # the table of stages holds these


@dataclass(frozen=True, kw_only=True)
class KeyFigure:
    """One of the few figures at the top of the page."""

    value: str
    name: str
    note: str


def full_name(name: str) -> str:
    """A name of ``results.json`` in words."""
    layer = name.removeprefix("gpt/layer_")
    return NAMES.get(name) or (f"GPT, layer {layer}" if layer != name else name.replace("_", " "))


def number(value: float | None) -> str:
    """Three significant digits, all those of whole numbers; a dash for what is not a number."""
    if value is None or not math.isfinite(value):
        return "–"
    whole = value == int(value) or abs(value) >= 1000
    return (f"{value:,.0f}" if whole else f"{value:#.3g}".removesuffix(".")).replace("-", "−")


def percent(ratio: float | None) -> str:
    """A ratio, in percent."""
    return "–" if ratio is None or not math.isfinite(ratio) else f"{100 * ratio:.1f}{NO_BREAK}%"


def decibels(value: float | None) -> str:
    """A level or distance, in dB."""
    return f"{number(value)}{NO_BREAK}dB"


def duration(seconds: float) -> str:
    """Seconds, as a person would say them."""
    if not math.isfinite(seconds):
        return "–"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def quantity(value: float | None, unit: str) -> str:
    """A value and its unit."""
    match unit:
        case "ratio":
            return percent(value)
        case "s":
            return duration(math.nan if value is None else value)
        case "bytes":
            return f"{number(None if value is None else value / 1e9)} GB"
        case _:
            return f"{number(value)} {UNITS.get(unit, unit)}".rstrip()


def rows(figures: Sequence[FigureRow], stage: str) -> list[FigureRow]:
    """The figures of a stage, without what it cost."""
    return [row for row in figures if row["stage"] == stage and row["name"] not in COSTS]


def value_of(results: Results, stage: str, name: str, of: str | None = None) -> float | None:
    """The value of the first figure of this name."""
    found = (row["value"] for row in results["figures"] if (row["stage"], row["name"], row["of"]) == (stage, name, of))
    return next(found, None)


def summary(results: Results) -> list[str]:
    """Three sentences: what went in, what the language model learned, and what can be read off and heard."""
    return [_about_codes(results), _about_language(results), _about_knowledge(results)]


def _about_codes(results: Results) -> str:
    corpus = results.get("corpus")
    sound = "Recordings"
    if corpus:
        clips, seconds = sum(corpus["clips"].values()), sum(corpus["seconds"].values())
        sound = f"{number(clips)} recordings, {duration(seconds)} of sound,"
    perplexity = value_of(results, "tokenizer", "perplexity")
    size = len(results["codebook"]["counts"]) if "codebook" in results else None
    if perplexity is None or size is None:
        return f"{sound} went in; they were not turned into codes in this run."
    even = f"used as evenly as {number(perplexity)} codes of equal frequency would be"
    return f"{sound} became sequences of {number(size)} codes, {even}."


def _about_language(results: Results) -> str:
    perplexity = value_of(results, "lm", "perplexity")
    unigram = value_of(results, "lm", "unigram_perplexity")
    if perplexity is None or unigram is None:
        return "No language model was trained in this run."
    compared = "narrows" if perplexity < unigram else "does not narrow"
    return (
        f"The language model {compared} the next code down to {number(perplexity)} equally likely ones, where code "
        f"frequencies alone leave {number(unigram)}."
    )


def _about_knowledge(results: Results) -> str:
    accuracy = value_of(results, "probe", "accuracy", "gpt")
    baseline = value_of(results, "probe", "accuracy", "bag_of_codes")
    agreement = value_of(results, "vocoder", "code_agreement", "wavenet")
    read, heard = "Without probes, nothing is known of what it learned", "no sound was generated"
    if accuracy is not None:
        read = f"A linear probe reads the right label off its states for {percent(accuracy)} of the test clips"
        read += f" ({percent(baseline)} off bare code counts)" if baseline is not None else ""
    if agreement is not None:
        heard = f"WaveNet's sound gives back {percent(agreement)} of its codes"
    return f"{read}; {heard}."


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
    bag = of("probe", "accuracy", "bag_of_codes")
    yield from _key("probe accuracy of the GPT", of("probe", "accuracy", "gpt"), percent, bag, "{} by a bag of codes")
    plain = of("vocoder", "log_mel_distance", "griffin_lim")
    heard = of("vocoder", "log_mel_distance", "wavenet")
    yield from _key("WaveNet's log-mel distance", heard, decibels, plain, "{} by Griffin-Lim")


def _key(
    name: str, value: float | None, written: Callable[[float | None], str], other: float | None, note: str
) -> Iterator[KeyFigure]:
    """A key figure, if there is a value; without a note, if there is nothing to compare it with."""
    if value is not None:
        told = note.format(written(other)) if other is not None else ""
        yield KeyFigure(value=written(value), name=name, note=told)
