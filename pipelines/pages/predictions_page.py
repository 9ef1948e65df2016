"""The page of ``wordless predict`` where labels are known: figures of classes, confusions, and the worst mistakes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.pages.excerpts import Room
from pipelines.pages.phrasing import draw
from wordless.base.files import write_aside

MISTAKES = 30  # of the page


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is known of a place, and what is predicted for it."""

    path: str  # as the user can open it
    start: float  # seconds
    end: float
    known: str  # label; "": nothing is annotated there
    found: str  # label; "": no event is found there
    score: float  # of the predicted label


def write_predictions_page(
    page: Path,
    answers: Sequence[Answer],
    figures: Sequence[Mapping[str, object]],
    room: Room,
    *,
    about: Mapping[str, str],
) -> None:
    """Write the page; the surest wrong answers come first, then the annotated places where nothing was found."""
    counts = Counter((each.known, each.found) for each in answers)
    known, found = (sorted({pair[side] for pair in counts}, key=lambda name: (not name, name)) for side in (0, 1))
    wrong = sorted((each for each in answers if each.known != each.found), key=lambda each: -each.score)
    shown = [(each, room.place(Path(each.path), each.start, each.end)) for each in wrong[:MISTAKES]]
    sums = {name: sum(counts[name, each] for each in found) for name in known}
    share = {pair: round(60 * count / max(sums[pair[0]], 1)) for pair, count in counts.items()}  # % of the colour
    cells = {name: [(counts[name, each], share.get((name, each), 0), name == each) for each in found] for name in known}
    right = sum(each.known == each.found for each in answers)
    text = draw(
        "predictions.html.jinja",
        about=about,
        figures=figures,
        matrix=cells.items(),
        columns=found,
        mistakes=shown,
        right=right,
        total=len(answers),
        left_out=max(len(wrong) - MISTAKES, 0),
    )
    write_aside(page, text)
