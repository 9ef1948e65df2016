"""The page of ``wordless find``: players of each query and of the places that sound like it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.pages.phrasing import draw
from pipelines.pages.sounds import MAX_BYTES, embedded_waveform
from wordless.audio.decoding import Channel, Recording
from wordless.audio.reading import read_blocks
from wordless.audio.waveform import Part, Waveform, join_blocks
from wordless.base.files import write_aside

AROUND = 0.1  # seconds that are played before and after a place


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A place in a recording that sounds like a query."""

    query: str
    path: str  # of the recording, below the root
    start: float  # seconds
    end: float
    score: float  # mean cosine of the query's frames and those of the place: 1 if they are equal


def write_hits_page(
    page: Path,
    queries: Mapping[str, Waveform],
    hits: Sequence[Hit],
    *,
    root: Path,
    sample_rate: int,
    channel: Channel,
) -> None:
    """Write the page with a table for each query, the best place first.

    ``queries`` has the sound of each query by its name. Sounds are written at ``sample_rate`` Hz into the page, first
    the best place of each query, then the second, as long as there is room.
    """
    tables = {name: [hit for hit in hits if hit.query == name] for name in queries}
    sources = {name: embedded_waveform(sound) for name, sound in queries.items()}
    players: dict[Hit, str] = {}
    left = MAX_BYTES - sum(len(source) for source in sources.values()) * 3 // 4
    most = max(map(len, tables.values()))
    for hit in (hit for rank in range(most) for of in tables.values() for hit in of[rank : rank + 1]):
        left -= round(2 * sample_rate * (hit.end - hit.start + 2 * AROUND))
        if left < 0:
            break
        players[hit] = embedded_waveform(_place(root / hit.path, hit, sample_rate, channel))
    write_aside(page, draw("hits.html.jinja", tables=tables, sources=sources, players=players))


def _place(path: Path, hit: Hit, sample_rate: int, channel: Channel) -> Waveform:
    """Read the sound of a place, and a little around it."""
    with Recording(path) as recording:
        rate = recording.samplerate
    start = max(round((hit.start - AROUND) * rate), 0)
    part = Part(start=start, num_samples=round((hit.end + AROUND) * rate) - start)
    blocks = read_blocks(path, sample_rate, part=part, channel=channel)
    return Waveform(samples=join_blocks(blocks), sample_rate=sample_rate)
