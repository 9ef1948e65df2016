"""The rows of ``results.json``, and the units of their figures."""

from dataclasses import asdict, dataclass

_NAMES = {  # unit -> figures; all others are ratios
    "codes": (
        "codebook_perplexity",
        "perplexity",
        "unigram_perplexity",
        "recoded_perplexity",
        "used_codes",
        "dead_codes",
    ),
    "codes/s": ("codes_per_second",),
    "bit/s": ("bits_per_second", "bits_per_real_second"),
    "bit/sample": ("bits_per_sample",),
    "normalised log-mel squared": ("reconstruction_mse", "quantised_mse"),
    "dB": ("log_mel_distance", "mel_cepstral_distortion"),
    "dB re full scale": ("rms",),
    "full scale": ("peak", "dc"),
    "STOI": ("stoi",),
    "MOS": ("pesq",),
    "cents": ("pitch_error",),
    "clips": ("stoi_clips", "pesq_clips", "pitch_error_clips"),
    "blocks": ("runaway_blocks", "runaway_blocks_left"),
    "s": ("seconds", "prompt_seconds"),
    "parameters": ("parameters",),
    "multiply-adds/sample": ("multiply_adds",),
    "samples": ("history",),
    "samples/s": ("samples_per_second",),
    "bytes": ("peak_memory",),
}
_UNITS = {name: unit for unit, names in _NAMES.items() for name in names}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row: tidy data, with the same names in results.json and in sweep.csv."""

    stage: str
    name: str
    value: float
    artifact: str  # store key of the entry that it is about
    of: str | None = None  # representation or kind of sound
    low: float | None = None  # 95 % interval
    high: float | None = None
    protocol: str | None = None  # how the clips were divided
    split: str | None = None
    count: int | None = None  # clips that the value is measured on
    seeds: int = 1  # that the value is a mean of
    fold: str | None = None  # None: all folds
    seed: int | None = None  # None: all seeds

    @property
    def unit(self) -> str:
        """The unit of the value."""
        if self.name.endswith("_difference_clips"):
            return "clips"
        return _UNITS.get(self.name.removesuffix("_difference"), "ratio")

    @property
    def is_overall(self) -> bool:
        """Whether the value is over all folds and seeds."""
        return self.fold is None and self.seed is None

    def as_row(self) -> dict[str, object]:
        """Return the figure with its unit as plain values."""
        return {**asdict(self), "unit": self.unit}
