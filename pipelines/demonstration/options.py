"""Options of ``wordless demo``."""

from dataclasses import dataclass
from pathlib import Path

from vocoder.sampling import EngineChoice, Sampling
from wordless.base.devices import Device
from wordless.base.ranges import require

LONGEST = 600.0  # seconds of a sound: the page draws it whole, and keeps it in memory


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Options of ``wordless demo``."""

    model: Path  # folder of a run
    port: int  # 0: any free port
    browser: bool  # whether to open the page
    max_seconds: float  # of a sound
    vocoder_temperature: float
    postfilter: float  # strength of WaveNet's post-filter
    postfilter_passes: int
    device: Device
    engine: EngineChoice

    def __post_init__(self) -> None:
        rule = "choose a port from 1024 to 65535, or 0 for any that is free"
        require(self.port == 0 or 1024 <= self.port <= 65535, "port", self.port, rule)
        rule = f"choose more than 0 seconds, at most {LONGEST:g}"
        require(0 < self.max_seconds <= LONGEST, "max_seconds", self.max_seconds, rule)
        _ = self.sampling  # refuses values that are out of range

    @property
    def sampling(self) -> Sampling:
        """Sampling options of the sound."""
        return Sampling(
            temperature=self.vocoder_temperature,
            postfilter=self.postfilter,
            postfilter_passes=self.postfilter_passes,
            engine=self.engine,
        )
