"""Numbers and names as people read them, and the templates that write sentences and pages with them.

The sentences that a page and the terminal share are macros of ``sentences.jinja``.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from pathlib import Path
from statistics import stdev

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.methods.methods_table import METHODS, ROWS, method_of, row_of
from pipelines.plugins.table import plugins
from pipelines.results.run_record import (
    MEASURES,
    OVERALL,
    Comparison,
    Results,
    Row,
    count_codes,
    find,
    measured,
    value_of,
    where,
)
from pipelines.store.stored_features import GPT_METHOD
from vocoder.kinds import FROM_RECORDED, SIGNAL_PROCESSING, SYNTHESIS_METHODS
from wordless.audio.views import Noise
from wordless.base.messages import escape_markdown, listed, plural
from wordless.base.options import BESIDE, leaves

_NAMES = {
    **{name: row.title for name, row in ROWS.items()},
    **{kind.key: kind.title for kind in (*SYNTHESIS_METHODS, *FROM_RECORDED.values())},
    **{name: measure.title for name, measure in MEASURES.items() if measure.title},
    "lm": "language model",
    "kmeans": "k-means",
    "codes": "codes, equal or not",
    "centroids": "centroids of the codes",
    "unigram": "frequencies of codes",
    "recordings": "recordings",
    "bigram": "frequencies of pairs of codes",
    "gain": "after a change of gain",
    "noise": "after a little noise",
    "shift": "after a small shift in time",
    **{name: words for each in plugins() for name, words in each.names.items()},
}
# Units that are not repeated beside the name of their figure.
IN_NAME = ("bit/s", "bit/sample", "codes", "codes/s", "STOI", "clips", "full scale", "normalised log-mel squared")
_CEILING, NEAR = 0.98, 0.95  # ratios of right answers
NO_BREAK = "\N{NO-BREAK SPACE}"


def full_name(name: str) -> str:
    """Write a name of ``results.json`` in words: "gpt/layer_2" is "GPT over codes, layer 2"; "a@0.7" is "a at 0.7"."""
    kind, _, temperature = name.partition("@")
    if temperature:
        return f"{full_name(kind)} at {temperature}"
    method, _, part = name.partition("/")
    known = _NAMES.get(method) or (method_of(method).title if {*method.split(BESIDE)} <= {*METHODS} else "")
    return (f"{known}, {part.replace('_', ' ')}" if part else known) if known else name.replace("_", " ")


def heading(name: str) -> str:
    words = full_name(name)
    return words[:1].upper() + words[1:]


def number(value: float | None) -> str:
    """Write three significant digits, or a whole number; a dash where there is no number."""
    if value is None or not math.isfinite(value):
        return "–"
    whole = value == int(value) or abs(value) >= 999.5
    return (f"{value:,.0f}" if whole else f"{value:#.3g}".removesuffix(".")).replace("-", "−")


def percent(ratio: float | None) -> str:
    return "–" if ratio is None or not math.isfinite(ratio) else f"{100 * ratio:.1f}{NO_BREAK}%"


def decibels(ratio: float) -> str:
    return f"{ratio:g} dB"


def noise_label(noise: Noise | None) -> str:
    """Name a noise: ``rain 20 dB``."""
    return "no noise" if noise is None else f"{noise.kind} {decibels(noise.snr)}"


def points(difference: float | None) -> str:
    """Write a difference of two ratios in percentage points, with its sign."""
    if difference is None or not math.isfinite(difference):
        return "–"
    return f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", "−")  # + 0.0: no negative nought


def bits(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def signed_bits(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def significance(p: float | None) -> str:
    """Write a p-value; a bootstrap resolves no value below 0.001."""
    if p is None or not math.isfinite(p):
        return "p unknown"
    return ("p < 0.001" if p < 0.001 else f"p = {p:.2g}").replace(" ", NO_BREAK)


def duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "–"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def quantity(value: float | None, unit: str) -> str:
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


def _counted(count: float, one: str, several: str | None = None) -> str:
    """Write a number and its noun: "1 clip", "2 clips"."""
    return f"{number(count)} {plural(count, one, several)}"


def _candidates(of: str, comparison: Comparison) -> str:
    """List what validation chose, with the number of folds where they differ."""
    counts = Counter(comparison.chosen(of).values())
    return ", ".join(f"{name} ({count}×)" if len(counts) > 1 else name for name, count in counts.most_common()) or "–"


def differing(comparison: Comparison) -> list[str]:
    """List the methods whose validation and test differ by more than chance: references, then the largest gap."""
    gaps, ranks = comparison.gaps, {of: place for place, of in enumerate(comparison.references)}
    apart = [of for of in comparison.methods if of in gaps and gaps[of].excludes_zero]
    return sorted(apart, key=lambda of: (ranks.get(of, len(ranks)), -abs(gaps[of].value)))


def few_labels(comparison: Comparison) -> dict[float, list[Row]]:
    """Collect test figures by number of labels, the best first, if two methods are at the ceiling with all labels.

    These are the two largest numbers of labels with which no method is near it, so they tell the methods apart.
    """
    if [row.value >= _CEILING for row in comparison.tested.values()].count(True) < 2:
        return {}
    by_labels: dict[float, list[Row]] = {}
    for row in [row for rows in comparison.along("share").values() for row in rows if row.labels]:
        by_labels.setdefault(row.labels or 0.0, []).append(row)
    by_value = attrgetter("value")
    by_labels = {count: sorted(rows, key=by_value, reverse=True) for count, rows in sorted(by_labels.items())}
    known = [
        count for count, rows in by_labels.items() if rows[0].value < NEAR and GPT_METHOD in (row.of for row in rows)
    ]
    return {count: by_labels[count] for count in known[-2:]}


def reads_of(of: str, comparison: Comparison) -> str:
    known = comparison.described.get(of)
    return known["reads"] if known else row_of(of).reads_input


def learns_of(of: str, comparison: Comparison) -> str:
    known = comparison.described.get(of)
    return known["learns"] if known else row_of(of).learns


def weights_of(of: str, comparison: Comparison) -> str:
    known = comparison.described.get(of)
    return f"{known['weights']:,}" if known and known["weights"] else "–"


def training_of(of: str, comparison: Comparison) -> str:
    """Write the processor seconds of a row's training, with all that it needs."""
    known = comparison.described.get(of)
    return f"{known['training_seconds']:,.0f}" if known and known["training_seconds"] else "–"


def ahead(of: str) -> str:
    return f"{full_name(of)} ahead by"


def option_lines(config: Mapping[str, object]) -> list[str]:
    """Write each option as the command line takes it: ``audio.n_mels=80``."""
    return [
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in leaves(config)
    ]


# What templates may call, as filters and as functions.
FUNCTIONS: tuple[Callable[..., object], ...] = (
    *(plugins, count_codes, where, find, measured, value_of),
    *(full_name, heading, number, percent, noise_label, points, bits, signed_bits, significance, duration, quantity),
    *(_counted, listed, plural, _candidates, differing, few_labels, ahead, option_lines),
    *(escape_markdown, row_of, stdev, reads_of, learns_of, weights_of, training_of),
)


@cache
def _environment(*, escape: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(__file__).parents[1] / "plugins"]),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not escape,
    )
    environment.globals["unlearned_kinds"] = [(kind.key, f"by {kind.title}") for kind in reversed(SIGNAL_PROCESSING)]
    environment.globals["overall"] = OVERALL
    for function in FUNCTIONS:
        name = function.__name__.lstrip("_")
        environment.filters[name] = environment.globals[name] = function
    return environment


def draw(template: str, *, escape: bool = True, **values: object) -> str:
    """Draw a page from its template, by default with all text escaped as HTML. Nothing may be undefined."""
    return _environment(escape=escape).get_template(template).render(values)


def methods_table(comparison: Comparison) -> str:
    """Write the methods as a Markdown table, the best first, and what it leaves open."""
    return draw("methods.md.jinja", escape=False, comparison=comparison)


LATEX = "table.tex"  # in the folder of a run or a sweep
_ESCAPED: dict[str, str | int | None] = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "|": "$|$", "−": "$-$", "–": "--", NO_BREAK: "~"},
}


def latex_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table that LaTeX sets without packages."""
    letters = str.maketrans(_ESCAPED)
    first, *others = [" & ".join([cell.translate(letters) for cell in row]) for row in (head, *rows)]
    others = [f"{{}}{row}" if row.startswith(("[", "*")) else row for row in others]  # no argument of the line before
    lines = [r"\hline", first, r"\hline", *others, r"\hline"]
    body = "\n".join(line if line == r"\hline" else rf"{line} \\" for line in lines)
    return f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}\n{body}\n\\end{{tabular}}\n"


def interval(row: Row) -> str:
    return "–" if row.low is None else f"{percent(row.low)} – {percent(row.high)}"


def methods_latex(comparison: Comparison) -> str:
    """Write the methods as a LaTeX table, the best first."""
    about = ["reads", "layer", "pooling", "weights", "training, s"]
    rows = (
        [
            full_name(of),
            reads_of(of, comparison),
            *(each or "–" for each in comparison.read_from(of)),
            weights_of(of, comparison),
            training_of(of, comparison),
            percent(row.value),
            interval(row),
            percent(comparison.validated[of].value),
        ]
        for of, row in comparison.tested.items()
    )
    return latex_table(["method", *about, f"test {full_name(comparison.metric)}", "interval", "on validation"], rows)


def sentences(macro: str, *values: object) -> list[str]:
    """Write the lines of a macro of ``sentences.jinja`` as plain text; there may be none."""
    text = getattr(_environment(escape=False).get_template("sentences.jinja").module, macro)(*values)
    return [line for line in re.split("\n+", text) if line]


def summary(results: Results) -> list[str]:
    """List what a run prints at its end: sentences, then a line for each method and each difference."""
    return [*sentences("opening", results), *sentences("summary", results)]
