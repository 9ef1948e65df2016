"""The table of the most frequent codes in a report: sounds, mean spectrum, share, and how codes go with labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from pipelines.pages.phrasing import number, percent
from pipelines.pages.report_sounds import embedded, sound_path
from pipelines.results.run_record import CODE_SOUNDS, CodeLabels, CodeRow, Results

WIDTH, HEIGHT = 120.0, 30.0  # CSS pixels of a spectrum
LEAST = 0.5  # span of a flat spectrum, in standard deviations


@dataclass(frozen=True, kw_only=True)
class CodeSounds:
    """One code with its sounds."""

    row: CodeRow
    spectrum: Markup
    players: list[tuple[str, str]]  # name of the clip, data URI


def code_sounds(folder: Path, results: Results) -> Iterator[CodeSounds]:
    """Give the codes that have sounds, the most frequent first.

    Raises:
        InputError: a sound is missing.
    """
    if "codes" not in results:
        return
    for row in sorted(results["codes"]["codes"], key=lambda row: -row["share"]):
        if row["code"] in results["codes"]["shown"]:
            players = [
                (each["clip"], embedded(sound_path(folder, each["file"], part=CODE_SOUNDS))) for each in row["nearest"]
            ]
            yield CodeSounds(row=row, spectrum=spectrum(row["spectrum"], row["code"]), players=players)


def spectrum(levels: Sequence[float], code: int) -> Markup:
    """Draw a mean spectrum as a line, low frequencies on the left."""
    low = min(levels)
    span = max(max(levels) - low, LEAST)
    step = WIDTH / max(len(levels) - 1, 1)
    points = " ".join(
        f"{place * step:.1f},{HEIGHT - 1 - (HEIGHT - 2) * (level - low) / span:.1f}"
        for place, level in enumerate(levels)
    )
    return Markup(
        '<svg class="spectrum" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="mean spectrum of code {}">'
        '<polyline points="{}"/></svg>'
    ).format(WIDTH, HEIGHT, code, points)


def label_sentence(labels: CodeLabels) -> str:
    """Write the mutual information and the purity of codes and labels, beside their values by chance."""
    return (
        f"Mutual information of code and label: {number(labels['mutual_information'])} bits "
        f"({number(labels['chance_mutual_information'])} with labels shuffled among the clips). For "
        f"{percent(labels['purity'])} of the patches, the clip has the most frequent label of their code "
        f"({percent(labels['chance_purity'])} with shuffled labels). There are {number(labels['classes'])} labels."
    )
