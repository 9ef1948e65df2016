"""Elements of the page: the picture of a sound, players that hold their sound, and the pieces of a stream."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.demonstration.analysis import Analysis
from pipelines.pages.charts import Picture, draw_picture
from pipelines.pages.svg import BLUE, MUTED, inline_svg
from wordless.audio.waveform import FloatArray, Waveform

WIDTHS = {"narrow": 350.0, "wide": 780.0}  # class of the drawing -> CSS pixels; the page shows one of them
STYLE = """
.chart { display: block; width: 100%; height: auto; }
.wide { display: none; }
@media (min-width: 900px) { .wide { display: block; } .narrow { display: none; } }
:root { --ink: #1c1f23; --muted: #5a6068; --line: #dedbd3; --blue: #0067a5; --orange: #b84e00; --card: #ffffff; }
.dark { --ink: #e8e6e1; --muted: #a5abb3; --line: #363c44; --blue: #62b5ee; --orange: #f0a04b; --card: #1c2025; }
.players { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: .75rem 1rem; }
.players b { display: block; font-weight: 600; }
.players small { display: block; color: var(--muted); min-height: 1.2em; }
.players audio { display: block; width: 100%; height: 2.6rem; margin: .3rem 0; color-scheme: light; }
.dark .players audio { color-scheme: dark; }
"""
SURPRISE = "surprise of the GPT, bits in each time step; dotted: all codes equally probable"


def draw_sound(analysis: Analysis) -> Markup:
    """Draw a sound for a narrow and for a wide page."""
    drawings = (
        Markup('<div class="{}">{}</div>').format(name, _draw(analysis, name=name, width=width))
        for name, width in WIDTHS.items()
    )
    return Markup("").join(drawings)


def _draw(analysis: Analysis, *, name: str, width: float) -> Markup:
    pictures = _pictures(analysis)
    surprise = analysis.surprise

    def draw(figure: Figure) -> None:
        heights = [*(picture.height for picture in pictures), *([3.0] if surprise is not None else [])]
        rows = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, picture in zip(rows, pictures, strict=False):
            draw_picture(axes, picture)
            axes.tick_params(axis="x", bottom=axes is rows[-1])
        if surprise is not None:
            _draw_surprise(rows[-1], surprise, analysis)
        rows[-1].set_xlim(0, analysis.waveform.seconds)
        rows[-1].set_xlabel("seconds")

    rows = [*(picture.title for picture in pictures), *([SURPRISE] if surprise is not None else [])]
    description = f"{analysis.waveform.seconds:.2f} s of sound: {', '.join(rows)}"
    height = 90 * len(rows) - 40 + 6 * analysis.finest.format.streams
    return inline_svg(draw, name=f"sound-{name}", description=description, height=height, width=width)


def _pictures(analysis: Analysis) -> list[Picture]:
    finest, seconds = analysis.finest, analysis.waveform.seconds
    low, high = (float(value) for value in np.quantile(analysis.original, [0.01, 0.99]))
    images: Mapping[str, FloatArray] = {
        "log-mel spectrogram of the sound": analysis.original,
        "log-mel spectrogram that its codes mean": analysis.decoded,
    }
    padded = len(finest.values) * finest.format.samples_per_code / finest.format.sample_rate
    spectrograms = [
        Picture(title=title, values=values, seconds=padded, limits=(low, high), height=4.0)
        for title, values in images.items()
    ]
    title = "codes, from the quietest (dark) to the loudest (bright)"
    limits, height = (0, finest.format.largest), 0.6 + 0.4 * finest.format.streams
    strip = Picture(title=title, values=finest.values, seconds=padded, limits=limits, colours="cividis", height=height)
    assert seconds <= padded, "the last code is padded"
    return [*spectrograms, strip]


def _draw_surprise(axes: Axes, surprise: FloatArray, analysis: Analysis) -> None:
    step = 1 / analysis.finest.format.codes_per_second
    edges = np.arange(len(surprise) + 1) * step
    axes.stairs(surprise, edges, color=BLUE, linewidth=1.4)
    axes.axhline(analysis.uniform_bits, color=MUTED, linestyle=":", linewidth=1.2)
    axes.set_ylim(bottom=0)
    axes.set_title(SURPRISE)
    axes.grid(axis="y")


@dataclass(frozen=True, kw_only=True, eq=False)
class PlayedSound:
    """A sound of the page; None: it is not made yet."""

    title: str
    note: str  # a sentence
    sound: Waveform | None


def players(sounds: Sequence[PlayedSound]) -> Markup:
    """Write a player for each sound."""
    return Markup('<div class="players">{}</div>').format(Markup("").join(map(_player, sounds)))


def _player(played: PlayedSound) -> Markup:
    head = Markup("<div><b>{}</b>").format(played.title)
    if played.sound is None:
        return head + Markup("<small>{}</small></div>").format("is being made …")
    source = f"data:audio/wav;base64,{base64.b64encode(wav_bytes(played.sound)).decode()}"
    audio = Markup('<audio controls src="{}" aria-label="{}"></audio>').format(source, played.title)
    return head + audio + Markup("<small>{}</small></div>").format(played.note)


def wav_bytes(sound: Waveform) -> bytes:
    """Return a 16-bit PCM WAV file; samples outside [-1, 1] are clipped."""
    written = io.BytesIO()
    soundfile.write(written, np.clip(sound.samples, -1, 1), sound.sample_rate, subtype="PCM_16", format="WAV")
    return written.getvalue()


class StreamText:
    """A stream of sound as text that grows, which ``player.js`` plays as it grows.

    The first line is a name of the stream and the sample rate. Each other line is a piece: samples of 16 bits, little
    end first, in base64.
    """

    def __init__(self, name: str, sample_rate: int) -> None:
        self.text = f"{name} {sample_rate}"

    def add(self, samples: FloatArray) -> str:
        """Append a piece ``(time,)``, and return the whole text."""
        levels = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
        self.text += "\n" + base64.b64encode(levels.tobytes()).decode()
        return self.text
