"""The record of a run, ``results.json``: rows of figures with names, units and titles, and sections beside them.

Stages write rows; tables, charts, TensorBoard and pages read them in one frame. `Comparison` reads the rows of probes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache, cached_property
from math import prod
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypedDict, cast, get_args

import numpy as np
import numpy.typing as npt
from pandas import DataFrame
from safetensors import SafetensorError
from safetensors.numpy import load_file

from pipelines.methods.method import PictureRecord
from pipelines.plugins.table import PLUGINS, plugins
from pipelines.store.run_parts import RESULTS
from pipelines.store.store import CachedArtifact
from pipelines.store.stored_features import GPT_METHOD, WITH_INPUT
from wordless.audio.views import Noise
from wordless.base.messages import InputError, read_json_escaped
from wordless.base.saved_models import read_header
from wordless.training import TrainingRecord

OF_LAYER: Final = "layer_"  # begin of the names of figures of single layers
KEPT: Final = "kept"  # of a probe's right answers without noise, the share that is right with it
LARGEST_INPUT: Final = "largest_input"  # of a probe under noise
COSTS = ("seconds", "cpu_seconds", "peak_memory")  # figures of what a stage cost
GROSS_ERROR_CENTS = 200.0  # two semitones: a clip whose pitch error is larger has a gross pitch error


@dataclass(frozen=True)
class Measure:
    name: str  # in results.json
    unit: str = "ratio"
    title: str = ""  # in tables and sentences; "": the name with spaces
    clips: str = ""  # title of the number of clips that have it, where others lack it
    paired: bool = False  # vocoders are compared by it on the same clips
    aside: bool = False  # of the further figures of a page: sound that is nearer to the recording may have less of it
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
    Measure("mel_cepstral_distortion", "dB", "mel-cepstral distortion", paired=True),
    Measure("log_mel_distance", "dB", "log-mel distance"),
    Measure(
        "median_pitch_error",
        "cents",
        "RMS error of the pitch, median of clips",
        clips="clips with a pitch in both",
        paired=True,
        median=True,
    ),
    Measure(
        "gross_pitch_errors",
        title=f"clips with a gross pitch error, RMS above {GROSS_ERROR_CENTS:g} cents",
        paired=True,
    ),
    Measure("voicing_error", title="V/UV errors, frames with a wrong voicing decision", paired=True),
    Measure("dropouts", title="loud frames that drop out", paired=True),
    Measure("code_agreement", title="codes that agree", paired=True, aside=True),
    Measure("periodicity", title="periodicity, how much of a voice there is", paired=True, aside=True),
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
    Measure(
        "predicted_pitch_error",
        "cents",
        "RMS error of the pitch that a linear head predicts from the GPT's states, of later halves of clips",
    ),
    Measure("predicted_voicing_error", title="V/UV (voicing decision) error of that head"),
    Measure("pitch_from_prompt", "semitones", "median pitch, from the prompt's", _PITCHED),
    Measure("pitch_from_others", "semitones", "median pitch, from other prompts"),
    Measure("pitch_kept", "semitones", "how much nearer to the prompt's pitch than to others'"),
    Measure("distinct_1", title="different codes"),
    Measure("distinct_2", title="different pairs"),
    Measure("distinct_3", title="different triples"),
    Measure("macro_f1", title="macro F1"),
    Measure(KEPT, title="right answers of the probe without noise that are right with it"),
    Measure(LARGEST_INPUT, "deviations of train", "largest input of the probe, before it is clipped"),
    Measure("runaway_blocks", "blocks"),
    Measure("runaway_blocks_left", "blocks"),
    Measure("prompt_seconds", "s"),
    Measure("seconds", "s"),
    Measure("cpu_seconds", "s", "processor time"),
    Measure("peak_memory", "bytes"),
    Measure("parameters", "parameters"),
)
_OF_PLUGINS = (Measure(name, *of) for each in plugins() for name, of in each.measures.items())
MEASURES = {each.name: each for measure in (*CODEBOOK, *SOUND, *_OTHERS, *_OF_PLUGINS) for each in measure.with_count()}

FoldSeed = tuple[str, int]  # the test fold, and the seed
Made = Mapping[FoldSeed, Mapping[str, CachedArtifact]]  # artifacts by their names in results.json
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalisation: no parameters


@cache
@cache  # hundreds of rows have some dozens of names
def unit_of_figure(name: str) -> str:
    """Return the unit of a figure; what is not in the table is a ratio."""
    if name.endswith("_difference_clips"):
        return "clips"
    measure = MEASURES.get(name.removesuffix("_difference"))
    return measure.unit if measure else "ratio"


def title_of_figure(name: str) -> str:
    """Write the name of a figure in words."""
    of = name.removesuffix("_difference")
    tail = name[len(of) :]
    measure = MEASURES.get(of)
    return (measure.title if measure and measure.title else of.replace("_", " ")) + tail.replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A figure of a run or of a sweep. None: the column does not apply; docs/figures.md explains each."""

    stage: str
    name: str
    value: float
    artifact: str  # key of the cached artifact in the store
    of: str | None = None
    against: str | None = None  # the other one of a difference or ratio
    reads: str | None = None  # what a probed method reads of a clip
    layer: str | None = None
    pooling: str | None = None
    feature_clipping: float | None = None
    inverse_regularisation: float | None = None  # C
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
        return unit_of_figure(self.name)

    @property
    def added(self) -> Noise | None:
        """The noise in the test clips."""
        return None if self.noise is None or self.noise_snr is None else Noise(self.noise, self.noise_snr)

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
_EMPTY: Final = tuple(None if column.default is MISSING else column.default for column in fields(Row))
# The columns that are empty in a row over all folds, seeds, groups and labels, and without added noise.
OVERALL: Final = MappingProxyType(dict.fromkeys(("fold", "seed", "group", "share", "noise", "noise_snr")))


def frame(rows: Iterable[Row]) -> DataFrame:
    """Put rows into a frame, with the unit of each in one more column."""
    values = attrgetter(*NAMES)
    table = [(*values(row), unit_of_figure(row.name)) for row in rows]
    return DataFrame(table, columns=[*NAMES, "unit"], dtype=object)


def read_frame(records: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Build the frame from the list in ``results.json``; unknown columns are left out."""
    table = list[tuple[object, ...]]()
    for record in records:
        if not isinstance(value := record["value"], int | float):
            raise TypeError(f"the value of {record['name']!r} is {value!r}, and no number")
        table.append((*map(record.get, NAMES, _EMPTY), unit_of_figure(record["name"])))
    return DataFrame(table, columns=[*NAMES, "unit"], dtype=object)


def records(rows: DataFrame) -> list[dict[str, Any]]:
    """Return the rows as plain records, for files and for users."""
    found: list[dict[str, Any]] = rows.to_dict("records")
    return found


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
    """Name the overall figures ``stage/name/of``, for TensorBoard, without costs and single layers.

    Those of probes on validation end with that word.
    """
    found = {}
    for row in where(rows, **OVERALL):
        if row.name not in COSTS and (row.layer is None or row.pooling):  # with a pooling, a layer that was chosen
            split = "validation" if (row.stage, row.split) == ("probe", "validation") else ""
            found["/".join(filter(None, (row.stage, row.name, row.subject, split)))] = float(row.value)
    return found


def parameters(folder: Path) -> int:
    """Count the parameters of an artifact's models, from the headers of its safetensors files."""
    return sum(map(parameters_of, sorted(folder.glob("*.safetensors"))))


def parameters_of(file: Path) -> int:
    """Count the parameters in a safetensors file, from its header."""
    return sum([prod(shape) for name, (_, shape) in read_header(file).items() if not name.endswith(_STATISTICS)])


RESAMPLES = "resamples.safetensors"  # resampled test figures of each method, which pair the runs of a sweep
PICTURES = "listening/pictures.safetensors"

Pictures = dict[str, npt.NDArray[np.float32 | np.int32]]
Resamples = dict[str, npt.NDArray[np.float32]]

_Column = Literal["fold", "seed", "group", "share", "added", "noise_snr"]  # of a figure that is not overall
NoiseNote = tuple[float, float | None]
NoiseRow = tuple[str, float, dict[Noise | None, Row], dict[Noise | None, NoiseNote]]


class MethodRecord(TypedDict):
    """What a row of the comparison is, beside its name and its chosen layer and pooling."""

    reads: str  # of a clip: codes, log-mel...
    learns: str  # what its network has learned to predict
    weights: int | None  # of its network, with a head that it was trained with; None: it has no network
    training_seconds: float | None  # processor time of one training and all that it needs; None: nothing is trained


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The protocol of a comparison, and its figures, which ``results.json`` has among all others."""

    protocol: str = "unknown"
    by: str = "split"  # basis of the folds: group, groups (several in each), fold or split
    metric: str = "accuracy"
    folds: list[str]
    seeds: list[int] = field(default_factory=list)
    classes: list[str]
    clips: int = 0  # of test, with a label
    split_groups: dict[str, list[str]] = field(default_factory=dict)  # of validation and test, of a single split
    clips_key: str = ""  # runs with the same key have the same test clips, labels and groups
    unlabelled: int = 0  # clips
    notices: list[str] = field(default_factory=list)  # limits of the folds, a sentence each
    layer_regularisation_strengths: int = 0  # tried for each candidate of each method, for the choice of the candidate
    regularisation_strengths: int = 0  # tried for the chosen candidate of each method, with each clipping
    feature_clipping: list[float] = field(default_factory=list)  # of the inputs of the chosen candidate
    classifier: str = "logistic"  # of every method
    noisy_copies: bool = False  # whether probes also learn from noisy copies of training clips
    choose_by: str = "validation"  # chose layer to C: validation, group, fold; auto where folds differ
    confidence: float = 0.95
    over: str = "clips"  # or groups: what the intervals of test figures are over
    guessing: float | None = None  # accuracy of always answering train's most frequent class; None: several labels
    references: list[str] = field(default_factory=list)  # methods that every other is compared with
    confusion: dict[str, list[list[float]]] = field(default_factory=dict)  # of references: clips, a row for each class
    trainings: dict[str, dict[str, TrainingRecord]] = field(default_factory=dict)  # by method, then fold
    # by method: processor seconds of its training and of each stage that it reads, over all folds and seeds
    costs: dict[str, dict[str, float]] = field(default_factory=dict)
    described: dict[str, MethodRecord] = field(default_factory=dict)  # by method
    pictures: list[PictureRecord] = field(default_factory=list)  # of what methods have learned in the first fold
    figures: DataFrame = field(default_factory=lambda: frame(()))  # of the run

    def as_section(self) -> dict[str, object]:
        """Return the section of ``results.json``: all but the figures."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "figures"}

    @cached_property
    def tested(self) -> dict[str, Row]:
        """The test figure of each method, the best first."""
        return self._by_method(name=self.metric, split="test")

    @property
    def methods(self) -> list[str]:
        """The methods, the best first."""
        return [*self.tested]

    @cached_property
    def validated(self) -> dict[str, Row]:
        """The figure of each method that chose its candidate."""
        return self._by_method(name=self.metric, split="validation")

    @cached_property
    def gaps(self) -> dict[str, Row]:
        """Validation minus test, with an interval that holds for all methods at once."""
        return self._by_method(name="gap")

    def rows(self, **columns: object) -> list[Row]:
        """Select the rows of probes with these values of columns; None stands for an empty one."""
        return where(self.figures, stage="probe", **columns)

    def _by_method(self, **columns: object) -> dict[str, Row]:
        return {str(row.of): row for row in self.rows(**columns, **OVERALL)}

    def value(self, of: str, name: str = "") -> float | None:
        """Return a test figure of a method, by default in the metric of the comparison."""
        return value_of(self.figures, "probe", name or self.metric, of)

    def rivals(self, of: str) -> list[Row]:
        return sorted((row for name, row in self.tested.items() if name != of), key=lambda row: -row.value)

    def differences(self, of: str) -> list[Row]:
        """Select the differences of a reference to the other methods, the strongest first."""
        return self.rows(name="difference", of=of, **OVERALL)

    def along(self, column: _Column) -> dict[str, list[Row]]:
        """Select the test figures of each method at each fold, seed, group, share of labels or noise."""
        return self._along[column]

    @cached_property
    def _along(self) -> dict[_Column, dict[str, list[Row]]]:
        found: dict[_Column, dict[str, list[Row]]] = {column: {} for column in get_args(_Column)}
        for row in self.rows(name=self.metric, split="test"):
            for column, of_methods in found.items():
                if getattr(row, column) is not None:
                    of_methods.setdefault(str(row.of), []).append(row)
        return found

    def means(self, of: str, column: _Column) -> dict[Any, float]:
        """Average the test figures of a method in each fold, with each seed, or in each group."""
        found: dict[Any, list[float]] = {}
        for row in self.along(column).get(of, ()):
            found.setdefault(getattr(row, column), []).append(row.value)
        return {place: float(np.mean(values)) for place, values in found.items()}

    def by_unit(self, of: str) -> dict[str, float]:
        """Return the test figure of a method in each fold, or in each group of a single split."""
        return self.means(of, "fold" if self.has_folds else "group")

    def chosen(self, of: str) -> dict[str, str]:
        """Return the candidate and clipping that were chosen, by fold, or by "fold, seed n"; empty without a probe."""
        rows = [row for row in self.along("seed").get(of) or [self.tested[of]] if row.candidate]
        seeds = [f"seed {row.seed}" if len(self.seeds) > 1 else None for row in rows]
        return {
            ", ".join(filter(None, (row.fold, seed))): str(row.candidate)
            + (f" (clipped at {row.feature_clipping:g})" if row.feature_clipping is not None else "")
            for row, seed in zip(rows, seeds, strict=True)
        }

    def read_from(self, of: str) -> tuple[str, str]:
        """Name the layers and the poolings that were chosen for a method, each once; "": it has none."""
        rows = [row for row in self.along("seed").get(of) or [self.tested[of]] if row.candidate]
        layers = dict.fromkeys((row.layer or "").replace("_", " ") for row in rows)
        poolings = dict.fromkeys((row.pooling or "").replace("_", " ") for row in rows)
        return ", ".join(filter(None, layers)), ", ".join(filter(None, poolings))

    def layers(self, of: str) -> dict[str, dict[str, Row]]:
        """Return the figures of each layer of a method by split."""
        found: dict[str, dict[str, Row]] = {}
        for row in self.rows(name=f"{OF_LAYER}{self.metric}", of=of, noise=None, noise_snr=None):
            found.setdefault(row.layer or "", {})[row.split or ""] = row
        return found

    def under_noise(self, of: str, *, layer: str | None = None) -> dict[Noise | None, Row]:
        """Return the test figure of a method without noise (None) and with each, of each kind soft noise first.

        With a ``layer``, these are its figures by ridge regression.
        """
        if layer is None:
            rows, clean = self.along("added").get(of, []), self.tested.get(of)
        else:
            found = self.rows(name=f"{OF_LAYER}{self.metric}", of=of, layer=layer, split="test")
            rows, clean = [row for row in found if row.added is not None], self.layers(of)[layer]["test"]
        by_noise = {row.added: row for row in rows}
        ordered = {noise: by_noise[noise] for noise in self.noises if noise in by_noise}
        return ({None: clean} if clean else {}) | ordered

    @cached_property
    def noises(self) -> list[Noise]:
        """The noises in test clips: the kinds in the order of the option, of each kind soft noise first."""
        found = [noise for rows in self.along("added").values() for row in rows if (noise := row.added)]
        kinds = [*dict.fromkeys(noise.kind for noise in found)]
        return sorted({*found}, key=lambda noise: (kinds.index(noise.kind), -noise.snr))

    def noise_notes(self, of: str) -> dict[Noise | None, NoiseNote]:
        """Return with each noise the share of right answers that it keeps, and the largest input of a probe.

        Inputs are in deviations of train before clipping; None: the method has its own scores.
        """
        kept, largest = (
            {row.added: row.value for row in self.rows(name=name, of=of)} for name in (KEPT, LARGEST_INPUT)
        )
        return {noise: (value, largest.get(noise)) for noise, value in kept.items()}

    @property
    def noise_rows(self) -> list[NoiseRow]:
        """The name of each probe, its validation figure, test figures and `noise_notes` by noise, the best first.

        Below a network that was probed with its input beside its layers are these layers, alone and with the input.
        """
        rows = list[NoiseRow]()
        for of in self.methods:
            layers, noise = self.layers(of), self.under_noise(of)
            pairs = [(name.removesuffix(WITH_INPUT), name) for name in layers if name.endswith(WITH_INPUT)]
            if pairs or len(noise) > 1:
                rows.append((of, self.validated[of].value, noise, self.noise_notes(of)))
            for name in (name for pair in pairs for name in pair):
                rows.append((f"{of}/{name}", layers[name]["validation"].value, self.under_noise(of, layer=name), {}))
        return rows

    @property
    def training_times(self) -> list[tuple[str, float, float | None]]:
        """The processor seconds of all that each training needs, and how often the first reference's these are."""
        sums = {of: sum(stages.values()) for of, stages in self.costs.items()}
        first = (self.references or [GPT_METHOD])[0]
        base = sums.get("lm" if first == GPT_METHOD else first)
        return [(of, spent, spent / base if base else None) for of, spent in sums.items() if spent]

    @property
    def has_folds(self) -> bool:
        return len(self.folds) > 1

    @property
    def fold_noun(self) -> str:
        """The unit that is left out of training together."""
        return "group" if self.by == "group" or not self.has_folds else "fold"

    @property
    def over_folds(self) -> bool:
        """Whether an interval of a difference over folds is another than the first one, which is over groups."""
        return self.has_folds and not (self.by == "group" and self.over == "groups")

    @property
    def tests_one_group(self) -> bool:
        """Whether a single split tests one group, for which alone intervals hold."""
        return self.by == "split" and len(self.split_groups.get("test", [])) == 1

    @property
    def over_units(self) -> str:
        """What the intervals of test figures are over, with its number."""
        count = next((row.over_count for row in self.tested.values()), None)
        units = f"{count} {self.over}" if count else self.over
        return units if self.over == "clips" else f"{units} of test clips, never narrower than over clips"


Section = dict[str, Any]  # a part of results.json that a stage describes for the report; the comments tell its content


class Results(TypedDict, total=False):
    """``results.json``; only ``figures`` is always there. Sections, also those of plugins, hold what is no figure."""

    figures: DataFrame
    corpus: Section  # name; clips and seconds by split; labels and groups with their clips; rejected files; notices
    curves: dict[str, TrainingRecord]
    codebook: Section  # counts of each code; verdict: of a collapse; kmeans; its sample
    comparison: Comparison  # of the methods that were probed
    # clips with their sounds; generated samples of the language model; the evaluator and its warning
    listening: Section
    stages: list[Section]  # name, key and costs of each stage, whether it was reused, and what a training read
    provenance: Section  # version, commit, date (UTC), command, machine, device, threads, sizes of models, config


def section_of(results: Results, plugin: str) -> Section:
    """Return the section of a plugin; empty where the run does not have it."""
    return cast(Mapping[str, Section], results).get(plugin, {})


def count_codes(results: Results) -> int | None:
    """Count the codes of a run's codebook or codebooks, which have one size."""
    if "codebook" in results:
        return len(results["codebook"]["counts"])
    found = [value_of(results["figures"], "tokenizer", name) for name in ("used_codes", "dead_codes")]
    known = [value for value in found if value is not None]
    return round(sum(known)) if len(known) == len(found) else None


def recorded_options(results: Results) -> dict[str, Any]:
    """Return every option of a run with its value; none if its results do not say what made them."""
    config: dict[str, Any] = results.get("provenance", {}).get("config", {})
    return config


def gross_error_file(number: int, kind: str) -> str:
    """Name the file in a run of a judged clip with a gross pitch error."""
    return f"listening/gross_pitch_error_{number}_{kind}.wav"


AGAIN = "write it again: repeat the run's command"


def read_results(folder: Path) -> Results:
    """Read the results of a run, or refuse them; unprintable characters are escaped, later keys left out."""
    path = folder / RESULTS
    if not path.is_file():
        raise InputError(f"{path} is missing; give the folder of a run, as wordless run printed it")
    try:
        content = cast(Any, read_json_escaped(path.read_bytes()))
        found = {name: value for name, value in content.items() if name in (*Results.__annotations__, *PLUGINS)}
        found["figures"] = figures = read_frame(content["figures"])
        if "comparison" in found:
            known = {name: value for name, value in found["comparison"].items() if name in Comparison.__annotations__}
            found["comparison"] = Comparison(**known | {"figures": figures})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        problem = f"{path} does not hold the results of a run ({type(error).__name__}: {error})"
        raise InputError(" ".join(problem.split()), remedy=AGAIN) from error
    return cast(Results, found)


def read_arrays(path: Path) -> dict[str, Any]:
    """Read arrays of a run by their names; none where there is no file, and a broken one is refused.

    `RESAMPLES` has test figures ``(resamples,)`` of each method, `PICTURES` spectrograms ``(time, mels)`` and codes
    ``(time, streams)`` by "<clip>:<kind>".
    """
    if not path.is_file():
        return {}
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise InputError(f"{path} cannot be read ({error})", remedy=AGAIN) from error
