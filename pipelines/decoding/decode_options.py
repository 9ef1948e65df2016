"""Options of ``wordless decode``."""

from dataclasses import dataclass
from pathlib import Path

from foundation.configuration import match_choice
from foundation.devices import Device
from pipelines.commandline.outputs import require_kind
from vocoder.kinds.kind import Kind
from vocoder.kinds.table import BY_KEY, CHOICES
from vocoder.sampling import EngineChoice, Sampling


@dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """Options of ``wordless decode``."""

    model: Path  # folder of a run
    input: Path  # codes: a Parquet file, a codes folder, or text units
    output: Path  # a folder, or a .wav file for a single clip
    synthesis: str  # key of a kind of sound
    group: str | None  # voice; null: the clip's group in the codes, else the average
    temperature: float
    top_p: float
    postfilter: float  # strength of WaveNet's post-filter
    seed: int
    device: Device
    engine: EngineChoice

    def __post_init__(self) -> None:
        match_choice(CHOICES, self.synthesis, option="synthesis")
        _ = self.sampling  # refuses values that are out of range
        require_kind(self.output, (".wav",), possible="a folder, or for a single clip a file ending in .wav")

    @property
    def single(self) -> bool:
        """Whether the output is one file."""
        return self.output.suffix.lower() == ".wav"

    @property
    def kind(self) -> Kind:
        """The kind of sound to make."""
        return BY_KEY[self.synthesis]

    @property
    def sampling(self) -> Sampling:
        """Sampling options of the sound."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            postfilter=self.postfilter,
            engine=self.engine,
            group=self.group,
        )
