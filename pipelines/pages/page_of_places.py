"""Places on pages, each with a player and a spectrogram; the page of ``wordless predict`` and ``wordless finetune``.

Where labels are known, this page has figures of classes, confusions, events over time, and the worst mistakes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.pages.charts import GREEN, INK, ORANGE, WIDTH, Chart, sheet, shortened, spectrogram_chart, styled
from pipelines.pages.phrasing import draw
from pipelines.pages.players import MAX_BYTES, embedded_waveform, spectrogram
from wordless.audio.audio_options import Channel
from wordless.audio.decoding import Recording
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.annotation_formats import Event
from wordless.audio.waveform import Part, Waveform, join_blocks
from wordless.base.files import write_aside

_AROUND = 1.0  # seconds that are played and drawn before and after a place
_MAX_SECONDS = 12.0  # of a longer place that are played and drawn
MAX_CHARTS = 40
HEIGHT = 130.0  # CSS pixels


@dataclass(frozen=True, kw_only=True)
class PageExcerpt:
    """What a page shows of a place."""

    source: str  # of a player
    chart: Chart | None  # None: enough are drawn


@dataclass(kw_only=True)
class AudioBudget:
    """The audio budget of a page: places that come first have a player, and fewer a spectrogram."""

    sample_rate: int
    channel: Channel
    left: int = MAX_BYTES
    charts: int = field(default=0)

    def sound(self, sound: Waveform, title: str, *marks: float) -> PageExcerpt | None:
        """Take from the budget for a sound in memory; None: there is none left."""
        self.left -= 2 * len(sound.samples)
        if self.left < 0:
            return None
        self.charts += 1
        chart = None
        if self.charts <= MAX_CHARTS:
            picture = spectrogram(sound, title, marks=marks)
            chart = spectrogram_chart([picture], name=f"place-{self.charts}", title=title, height=HEIGHT)
        return PageExcerpt(source=embedded_waveform(sound), chart=chart)

    def place(self, path: Path, start: float, end: float) -> PageExcerpt | None:
        """Take from the budget for a place of a recording, with `_AROUND` before and after it."""
        with Recording(path) as recording:
            rate = recording.samplerate
        begin, shown = max(start - _AROUND, 0.0), min(end - start, _MAX_SECONDS)
        if 2 * self.sample_rate * (shown + _AROUND) > self.left:
            self.left = -1
            return None
        first = round(begin * rate)
        part = Part(start=first, num_samples=round((start + shown + _AROUND) * rate) - first)
        blocks = read_blocks(path, self.sample_rate, part=part, channel=self.channel)
        sound = Waveform(samples=join_blocks(blocks), sample_rate=self.sample_rate)
        return self.sound(sound, f"{path.name}, from {begin:.2f} s", start - begin, end - begin)


MISTAKES = 30  # of the page
_LINES = 12  # recordings whose events are drawn over time
MOST_ANSWERS = 1000  # of a recording that are drawn
SECOND = 2.0  # CSS pixels, up to LONGEST
LONGEST = 2400.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is annotated at a place, and what is predicted for it; None: nothing, but not both."""

    part: Event | None = None
    found: Event | None = None
    seen: bool = False  # whether the recording is one that the model was trained or chosen by

    @property
    def place(self) -> Event:
        place = self.part or self.found
        assert place is not None, "an answer has one of both"
        return place

    @property
    def labels(self) -> tuple[str, str]:
        """The known and the predicted label; "": nothing is there."""
        return self.part.label if self.part else "", self.found.label if self.found else ""

    @property
    def right(self) -> bool:
        return self.labels[0] == self.labels[1]

    @property
    def score(self) -> float:
        return self.found.score if self.found else 0.0


def write_predictions_page(
    page: Path,
    answers: Sequence[Answer],
    figures: Mapping[str, Sequence[object]],  # title -> of each class: see `pipelines.jobs.events.ClassFigures`
    budget: AudioBudget,
    *,
    about: Mapping[str, str],
    notices: Sequence[str] = (),
) -> None:
    """Write the page; the surest wrong answers come first, then the annotated places where nothing was found.

    ``notices`` say which recordings the model has seen in training; the answers about the others are counted first.
    """
    counts = Counter(each.labels for each in answers)
    known, found = (sorted({pair[side] for pair in counts}, key=lambda name: (not name, name)) for side in (0, 1))
    wrong = sorted((each for each in answers if not each.right), key=lambda each: -each.score)
    shown = [(each, budget.place(Path(each.place.path), each.place.start, each.place.end)) for each in wrong[:MISTAKES]]
    sums = {name: sum(counts[name, each] for each in found) for name in known}
    share = {pair: round(60 * count / max(sums[pair[0]], 1)) for pair, count in counts.items()}  # % of the colour
    cells = {name: [(counts[name, each], share.get((name, each), 0), name == each) for each in found] for name in known}
    unseen, by_path = [each.right for each in answers if not each.seen], dict[str, list[Answer]]()
    for each in sorted(answers, key=lambda answer: (answer.place.path, answer.place.start)):
        by_path.setdefault(each.place.path, []).append(each)
    several = {path: own for path, own in by_path.items() if len(own) > 1}
    lines = {path: time_line(several[path], f"line-{number}") for number, path in enumerate([*several][:_LINES])}
    text = draw(
        "predictions.html.jinja",
        about=about,
        figures=figures.items(),
        matrix=cells.items(),
        columns=found,
        lines=lines.items(),
        undrawn=len(several) - len(lines),
        mistakes=shown,
        right=sum(each.right for each in answers),
        total=len(answers),
        unseen=(sum(unseen), len(unseen)),
        notices=notices,
        left_out=max(len(wrong) - MISTAKES, 0),
    )
    write_aside(page, text)


@styled
def time_line(answers: Sequence[Answer], name: str) -> Chart:
    """Draw the first answers of a recording in a lane for each class: above what is annotated, below the events."""
    shown, spans = answers[:MOST_ANSWERS], dict[tuple[str, float, str], list[tuple[float, float]]]()
    seconds = max(each.end for answer in shown for each in (answer.part, answer.found) if each)
    width = min(max(SECOND * seconds, WIDTH), LONGEST)
    for answer in shown:
        marks = ((answer.part, 0.08, INK), (answer.found, 0.5, GREEN if answer.right else ORANGE))
        for each, above, colour in ((each, above, colour) for each, above, colour in marks if each):
            length = max(each.end - each.start, 2 * seconds / width)  # two pixels can be seen
            spans.setdefault((each.label, above, colour), []).append((each.start, length))
    labels = sorted({label for label, _, _ in spans})
    figure = sheet(60 + 26 * len(labels), width)
    axes = figure.subplots()
    for (label, above, colour), own in spans.items():
        axes.broken_barh(own, (labels.index(label) + above, 0.36), facecolors=colour)
    axes.set_yticks([place + 0.5 for place in range(len(labels))], [shortened(label, 18) for label in labels])
    axes.set(xlim=(0, seconds), ylim=(len(labels), 0), xlabel="seconds")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    wrong, file = sum(not each.right for each in shown), Path(shown[0].place.path).name
    first = f"the first {len(shown)} of " if len(answers) > len(shown) else ""
    told = f"Events of {file} over time: {first}{len(answers)} answers, {wrong} of them wrong, of {', '.join(labels)}"
    return Chart(figure=figure, name=name, description=told, scrolls=width > WIDTH)
