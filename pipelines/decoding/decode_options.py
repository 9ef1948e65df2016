"""What ``wordless decode`` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from foundation.errors import InputError
from foundation.seeds import require_seed
from pipelines.commandline.devices import Device
from pipelines.commandline.output_kinds import require_kind
from pipelines.store.run_folder import Synthesis
from vocoder.strength import require_strength


@dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """Options of ``wordless decode``.

    Raises:
        InputError: a value is out of range.
    """

    model: Path  # folder of a run
    input: Path  # codes: a Parquet file, a codes folder, or text units
    output: Path  # a folder, or a .wav file for a single clip
    synthesis: Synthesis
    group: str | None  # voice; null: each clip's own where the codes name it, else the average
    temperature: float
    top_p: float
    postfilter: float  # how far WaveNet's sound is filtered towards the spectrum of its codes
    seed: int
    device: Device
    engine: Literal["auto", "torch", "numba", "numba_bf16", "cuda_graph"]  # EngineChoice, without its imports

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"temperature is {self.temperature}; choose 0 (the most probable) or more, 1 as learned")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p is {self.top_p}; choose a probability above 0, 1 for all levels")
        require_strength(self.postfilter)
        require_seed(self.seed, "seed")
        require_kind(self.output, (".wav",), possible="a folder, or for a single clip a file ending in .wav")

    @property
    def single(self) -> bool:
        """Whether the output is one file."""
        return self.output.suffix.lower() == ".wav"
