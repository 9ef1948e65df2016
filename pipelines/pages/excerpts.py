"""Places of recordings on a page: a player and a spectrogram each, as many as there is room for."""

from dataclasses import dataclass, field
from pathlib import Path

from pipelines.pages.charts import Chart, spectrogram_chart
from pipelines.pages.players import MAX_BYTES, embedded_waveform, spectrogram
from wordless.audio.audio_options import Channel
from wordless.audio.decoding import Recording
from wordless.audio.reading import read_blocks
from wordless.audio.waveform import Part, Waveform, join_blocks

AROUND = 1.0  # seconds that are played and drawn before and after a place
MAX_SECONDS = 12.0  # of a longer place that are played and drawn
MAX_CHARTS = 40
HEIGHT = 130.0  # CSS pixels


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """What a page shows of a place."""

    source: str  # of a player
    chart: Chart | None  # None: enough are drawn


@dataclass(kw_only=True)
class Room:
    """The room of a page: places that come first have a player, and fewer a spectrogram."""

    sample_rate: int
    channel: Channel
    left: int = MAX_BYTES
    charts: int = field(default=0)

    def sound(self, sound: Waveform, title: str, *marks: float) -> Excerpt | None:
        """Take room for a sound in memory; None: there is none left."""
        self.left -= 2 * len(sound.samples)
        if self.left < 0:
            return None
        self.charts += 1
        chart = None
        if self.charts <= MAX_CHARTS:
            picture = spectrogram(sound, title, marks=marks)
            chart = spectrogram_chart([picture], name=f"place-{self.charts}", title=title, height=HEIGHT)
        return Excerpt(source=embedded_waveform(sound), chart=chart)

    def place(self, path: Path, start: float, end: float) -> Excerpt | None:
        """Take room for a place of a recording, with `AROUND` before and after it."""
        with Recording(path) as recording:
            rate = recording.samplerate
        begin, shown = max(start - AROUND, 0.0), min(end - start, MAX_SECONDS)
        if 2 * self.sample_rate * (shown + AROUND) > self.left:
            self.left = -1
            return None
        first = round(begin * rate)
        part = Part(start=first, num_samples=round((start + shown + AROUND) * rate) - first)
        blocks = read_blocks(path, self.sample_rate, part=part, channel=self.channel)
        sound = Waveform(samples=join_blocks(blocks), sample_rate=self.sample_rate)
        return self.sound(sound, f"{path.name}, from {begin:.2f} s", start - begin, end - begin)
