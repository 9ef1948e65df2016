"""What the user should know of recordings that are encoded: why one is silent, and which bands are empty."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wordless.audio.decoding import Channel, ChannelPowers, cancelled
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.inspection import InspectionConfig
from wordless.audio.waveform import FloatArray, Part
from wordless.base.progress import Terminal
from wordless.base.text import counted


@dataclass(kw_only=True)
class ReadSound:
    """A recording as a model reads it, and what the user should know of it."""

    channel: Channel
    sample_rate: int  # Hz, of the model
    highest: float  # Hz; what lies above is not read
    louder: int | None = None  # channel of a recording that was measured before; else the powers say it
    powers: ChannelPowers = field(default_factory=ChannelPowers)
    peak: float = 0.0
    own_rate: int | None = None  # Hz, of a file that was opened before

    def blocks(self, path: Path, *, part: Part | None = None) -> Iterator[FloatArray]:
        """Read the blocks of a whole recording, or of a part, at the model's rate."""
        for block in read_blocks(path, self.sample_rate, part=part, channel=self.channel, powers=self.powers):
            self.peak = max(self.peak, float(np.abs(block).max(initial=0)))
            yield block

    @property
    def notices(self) -> tuple[str, ...]:
        """Why the sound is silent or far softer than the recording, and that its upper bands are empty."""
        found, silence = [], InspectionConfig().silence_peak
        number = self.channel if isinstance(self.channel, int) else None
        louder = self.powers.louder if self.louder is None else self.louder
        why = f"no sample exceeds {silence:g} of full scale"
        if louder is not None:
            why = f"{cancelled(number, louder)}, where the model is made (wordless run, wordless finetune)"
        if self.peak <= silence:
            found.append(f"silent: {why}")
        elif louder is not None:
            found.append(f"far softer than one of its channels: {why}")
        rate = self.powers.sample_rate if self.own_rate is None else self.own_rate
        if rate / 2 < self.highest:
            found.append(
                f"its rate is {rate} Hz and the model's {self.sample_rate} Hz, so the bands above {rate / 2:g} Hz are "
                f"empty; a model with audio.sample_rate={rate} has no empty bands"
            )
        return tuple(found)


class Notices:
    """Notices about recordings. Each notice is printed once, with the number of recordings."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, path: str, notices: Iterable[str]) -> None:
        """Add the notices of a recording."""
        for notice in notices:
            self._counts[notice] += 1
            self._first.setdefault(notice, path)

    def tell(self, terminal: Terminal) -> None:
        """Print a line for each notice."""
        for notice, count in self._counts.items():
            others = f" and {counted(count - 1, 'other recording')}" if count > 1 else ""
            terminal.say(f"{self._first[notice]}{others}: {notice}")
