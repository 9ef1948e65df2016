"""The figures of a run: names, units and titles, and rows, in one frame from the stage that measures to the page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from pandas import DataFrame

from pipelines.extras.table import extras
from pipelines.store.store import Entry
from wordless.audio.views import Noise
from wordless.base.saved_models import read_header

OF_LAYER: Final = "layer_"  # begin of the names of figures of single layers
KEPT: Final = "kept"  # of a probe's right answers without noise, the share that is right with it
LARGEST_INPUT: Final = "largest_input"  # of a probe under noise
COSTS = ("seconds", "cpu_seconds", "peak_memory")  # figures of what a stage cost
LOST_CENTS = 200.0  # two semitones: a clip whose pitch error is larger has lost its pitch


@dataclass(frozen=True)
class Measure:
    name: str  # in results.json
    unit: str = "ratio"
    title: str = ""  # in tables and sentences; "": the name with spaces
    clips: str = ""  # title of the number of clips that have it, where others lack it
    paired: bool = False  # vocoders are compared by it on the same clips
    median: bool = False  # over the clips, instead of their mean, which a few clips decide

    def with_count(self) -> "tuple[Measure, ...]":
        """Return the measure and, where some clips lack it, the number of those that have it."""
        return (self, Measure(f"{self.name}_clips", "clips", self.clips)) if self.clips else (self,)


# titles of numbers of clips
_PITCHED = "clips with a pitch in prompt and continuation"
# Of the codebook, on validation clips.
CODEBOOK = (
    Measure("perplexity", "codes"),
    Measure("used_codes", "codes"),
    Measure("dead_codes", "codes"),
    Measure("bits_per_second", "bit/s"),
    Measure("reconstruction_mse", "normalised log-mel squared", "squared error before quantisation"),
    Measure("quantised_mse", "normalised log-mel squared", "squared error through the codebook"),
)
# Of decoded sound, in the order of the report's table.
SOUND = (
    Measure("bits_per_sample", "bit/sample", "bits per sample, on validation"),
    Measure("label_accuracy", paired=True),
    Measure("stoi", "STOI", "STOI", clips="clips long enough for STOI", paired=True),
    Measure("pesq", "MOS", "PESQ", clips="clips long enough for PESQ", paired=True),
    Measure("mel_cepstral_distortion", "dB", "mel-cepstral distortion"),
    Measure("log_mel_distance", "dB", "log-mel distance"),
    Measure(
        "median_pitch_error",
        "cents",
        "RMS error of the pitch, median of clips",
        clips="clips with a pitch in both",
        paired=True,
        median=True,
    ),
    Measure("lost_pitch", title=f"clips with an RMS error of the pitch above {LOST_CENTS:g} cents", paired=True),
    Measure("voicing_error", title="frames of wrong voicing", paired=True),
    Measure("dropouts", title="loud frames that drop out", paired=True),
    Measure("code_agreement", title="codes that agree", paired=True),
    Measure("periodicity", title="periodicity, how much of a voice there is", paired=True),
    Measure("rms", "dB re full scale", "RMS"),
    Measure("peak", "full scale"),
    Measure("dc", "full scale", "DC offset"),
    Measure("clipping"),
    Measure("silence"),
    Measure("clipped_clips"),
    Measure("silent_clips"),
    Measure("runaway_clips", title="clips with runaway noise"),
)
_OTHERS = (
    Measure("total_variation", title="total variation of code frequencies"),
    Measure("codes_per_second", "codes/s"),
    Measure("unigram_perplexity", "codes", "perplexity of code frequencies alone"),
    Measure("recoded_perplexity", "codes", "perplexity of the re-encoded sound"),
    Measure("other_perplexity", "codes", "perplexity under frequencies of pairs of codes"),
    Measure("auto_bleu", title="auto-BLEU, how much a sound repeats its codes and pairs"),
    Measure("predicted_pitch_error", "cents", "error of the pitch that the language model predicts"),
    Measure("predicted_voicing_error", title="wrong voicing of the pitch that the language model predicts"),
    Measure("pitch_from_prompt", "semitones", "median pitch, from the prompt's", _PITCHED),
    Measure("pitch_from_others", "semitones", "median pitch, from other prompts"),
    Measure("pitch_kept", "semitones", "how much nearer to the prompt's pitch than to others'"),
    Measure("distinct_1", title="different codes"),
    Measure("distinct_2", title="different pairs"),
    Measure("distinct_3", title="different triples"),
    Measure("macro_f1", title="macro F1"),
    Measure(KEPT, title="right answers of the probe without noise that are right with it"),
    Measure(LARGEST_INPUT, "deviations of train", "largest input of the probe, before it is bounded"),
    Measure("runaway_blocks", "blocks"),
    Measure("runaway_blocks_left", "blocks"),
    Measure("prompt_seconds", "s"),
    Measure("seconds", "s"),
    Measure("cpu_seconds", "s", "processor time"),
    Measure("peak_memory", "bytes"),
    Measure("parameters", "parameters"),
)
_OF_EXTRAS = (Measure(name, *of) for each in extras() for name, of in each.measures.items())
MEASURES = {each.name: each for measure in (*CODEBOOK, *SOUND, *_OTHERS, *_OF_EXTRAS) for each in measure.with_count()}

FoldSeed = tuple[str, int]  # the test fold, and the seed
Made = Mapping[FoldSeed, Mapping[str, Entry]]  # entries by their names in results.json
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalisation: no parameters


@dataclass(frozen=True, kw_only=True)
class Row:
    """A figure of a run or of a sweep. None: the column does not apply; docs/figures.md explains each."""

    stage: str
    name: str
    value: float
    artifact: str  # key of the entry in the store
    of: str | None = None
    against: str | None = None  # the other one of a difference or ratio
    layer: str | None = None
    pooling: str | None = None
    bound: float | None = None
    penalty: float | None = None
    low: float | None = None
    high: float | None = None
    over: str | None = None  # what interval and p are over
    over_count: int | None = None
    p: float | None = None
    fold_low: float | None = None
    fold_high: float | None = None
    seed_low: float | None = None
    seed_high: float | None = None
    protocol: str | None = None
    split: str | None = None
    count: int | None = None  # clips
    labels: float | None = None
    share: float | None = None
    noise: str | None = None
    noise_snr: float | None = None
    group: str | None = None
    fold: str | None = None
    seed: int | None = None
    seeds: int = 1  # that the value is a mean of

    @property
    def unit(self) -> str:
        """The unit of the value; what is not in the table is a ratio."""
        if self.name.endswith("_difference_clips"):
            return "clips"
        measure = MEASURES.get(self.name.removesuffix("_difference"))
        return measure.unit if measure else "ratio"

    @property
    def added(self) -> Noise | None:
        """The noise in the test clips; older records lack its kind."""
        return Noise(self.noise or "", self.noise_snr) if self.noise or self.noise_snr is not None else None

    @property
    def subject(self) -> str | None:
        """What it is of, in one name: ``gpt``, ``gpt - simclr`` or ``gpt/layer_2``."""
        if self.against is not None:
            return f"{self.of} {'/' if self.name.endswith('_ratio') else '-'} {self.against}"
        return f"{self.of}/{self.layer}" if self.layer and not self.pooling else self.of

    @property
    def candidate(self) -> str | None:
        """The chosen layer and pooling, as features are named; None where a probe chose nothing."""
        if self.layer:
            return f"{self.of}/{self.layer}:{self.pooling}"
        return f"{self.of}:{self.pooling}" if self.pooling else None

    @property
    def excludes_zero(self) -> bool:
        """Whether all of the interval is on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


NAMES: Final = tuple(column.name for column in fields(Row))
# The columns that are empty in a row over all folds, seeds, groups and labels, and without added noise.
OVERALL: Final = MappingProxyType(dict.fromkeys(("fold", "seed", "group", "share", "noise", "noise_snr")))


def frame(rows: Iterable[Row]) -> DataFrame:
    """Put rows into a frame, with the unit of each in one more column."""
    table = [(*(getattr(row, name) for name in NAMES), row.unit) for row in rows]
    return DataFrame(table, columns=[*NAMES, "unit"], dtype=object)


def read_frame(records: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Build the frame from the list in ``results.json``; columns of other versions are left out."""
    found = [Row(**{name: record[name] for name in NAMES if name in record}) for record in records]
    if bad := [row for row in found if not isinstance(row.value, int | float)]:
        raise TypeError(f"the value of {bad[0].name!r} is {bad[0].value!r}, and no number")
    return frame(found)


def where(rows: DataFrame, **columns: object) -> list[Row]:
    """Select the rows with these values of columns; None stands for an empty one."""
    table = rows.to_numpy(object)  # a view: all columns have one type
    wanted = np.ones(len(table), bool)
    for name, value in columns.items():
        wanted &= table[:, rows.columns.get_loc(name)] == value
    return [Row(**dict(zip(NAMES, values[:-1], strict=True))) for values in table[wanted]]


def measured(rows: DataFrame, stage: str) -> list[Row]:
    """Select the overall rows of a stage, without its costs."""
    return [row for row in where(rows, stage=stage, **OVERALL) if row.name not in COSTS]


def find(
    rows: DataFrame, stage: str, name: str, of: str | None = None, *, against: str | None = None, **columns: object
) -> Row | None:
    """Return the first overall row of this name: of probes that of test, unless another split is asked for."""
    return next(iter(where(rows, stage=stage, name=name, of=of, against=against, **OVERALL, **columns)), None)


def value_of(rows: DataFrame, stage: str, name: str, of: str | None = None) -> float | None:
    found = find(rows, stage, name, of)
    return found.value if found else None


def values_by_name(rows: DataFrame) -> dict[str, float]:
    """Name the overall figures ``stage/name/of``, for trackers, without costs and single layers.

    Those of probes on validation end with that word.
    """
    found = {}
    for row in where(rows, **OVERALL):
        if row.name not in COSTS and (row.layer is None or row.pooling):  # with a pooling, a layer that was chosen
            split = "validation" if (row.stage, row.split) == ("probe", "validation") else ""
            found["/".join(filter(None, (row.stage, row.name, row.subject, split)))] = float(row.value)
    return found


def parameters(folder: Path) -> int:
    """Count the parameters of an entry's models, from the headers of its safetensors files."""
    return sum(
        prod(shape)
        for path in sorted(folder.glob("*.safetensors"))
        for name, (_, shape) in read_header(path).items()
        if not name.endswith(STATISTICS)
    )
