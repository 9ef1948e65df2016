"""Numbers and names as people read them."""

import math

from pipelines.methods.table import ROWS
from pipelines.results.measures import MEASURES
from vocoder.kinds import KINDS
from wordless.base.text import plural

NAMES = {
    **{name: row.title for name, row in ROWS.items()},
    **{kind.key: kind.title for kind in KINDS},
    **{name: measure.title for name, measure in MEASURES.items() if measure.title},
    "lm": "language model",
    "wavenet_large": "larger WaveNet",
    "transformer_context": "transformer with context vector",
    "repeat": "the last level again",
    "histogram": "frequencies of levels",
    "markov": "frequencies of pairs of levels",
    "kmeans": "k-means",
    "codes": "codes, equal or not",
    "centroids": "centroids of the codes",
    "unigram": "frequencies of codes",
    "rates": "models of all rates",
    "flat": "flat GPT",
    "recordings": "recordings",
    "bigram": "frequencies of pairs of codes",
    "gain": "after a change of gain",
    "noise": "after a little noise",
    "shift": "after a small shift in time",
}
# Units that are not repeated beside the name of their figure.
IN_NAME = ("bit/s", "bit/sample", "codes", "codes/s", "STOI", "clips", "full scale", "normalised log-mel squared")
NO_BREAK = "\N{NO-BREAK SPACE}"


def full_name(name: str) -> str:
    """Write a name of ``results.json`` in words: "gpt/layer_2" is "GPT, layer 2"; "a@0.7" is "a at 0.7"."""
    kind, _, temperature = name.partition("@")
    if temperature:
        return f"{full_name(kind)} at {temperature}"
    method, _, part = name.partition("/")
    if part and method in NAMES:
        return f"{NAMES[method]}, {part.replace('_', ' ')}"
    return NAMES.get(name) or name.replace("_", " ")


def heading(name: str) -> str:
    """Write a name of ``results.json`` in words that begin with a capital letter."""
    words = full_name(name)
    return words[:1].upper() + words[1:]


def number(value: float | None) -> str:
    """Write three significant digits, or a whole number; a dash where there is no number."""
    if value is None or not math.isfinite(value):
        return "–"
    whole = value == int(value) or abs(value) >= 999.5
    return (f"{value:,.0f}" if whole else f"{value:#.3g}".removesuffix(".")).replace("-", "−")


def percent(ratio: float | None) -> str:
    """Write a ratio in percent."""
    return "–" if ratio is None or not math.isfinite(ratio) else f"{100 * ratio:.1f}{NO_BREAK}%"


def points(difference: float | None) -> str:
    """Write a difference of two ratios in percentage points, with its sign."""
    if difference is None or not math.isfinite(difference):
        return "–"
    return f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", "−")  # + 0.0: no negative nought


def significance(p: float | None) -> str:
    """Write a p-value; a bootstrap resolves no value below 0.001."""
    if p is None or not math.isfinite(p):
        return "p unknown"
    return ("p < 0.001" if p < 0.001 else f"p = {p:.2g}").replace(" ", NO_BREAK)


def duration(seconds: float) -> str:
    """Write seconds as minutes and hours where they are many."""
    if not math.isfinite(seconds):
        return "–"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def quantity(value: float | None, unit: str) -> str:
    """Write a value and its unit."""
    match unit:
        case "ratio":
            return percent(value)
        case "s":
            return duration(math.nan if value is None else value)
        case "bytes":
            return f"{number(None if value is None else value / 1e9)} GB"
        case _ if unit in IN_NAME:
            return number(value)
        case _:
            return f"{number(value)} {unit.replace('dB re full scale', 'dBFS')}"


def counted(count: float, one: str, several: str | None = None) -> str:
    """Write a number and its noun: "1 clip", "2 clips"."""
    return f"{number(count)} {plural(count, one, several)}"
