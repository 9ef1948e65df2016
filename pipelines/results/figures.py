"""The rows of ``results.json``."""

from dataclasses import asdict, dataclass
from typing import Final

from pipelines.extras.table import extras
from wordless.audio.views import Noise
from wordless.base.options import REQUIRED, column

OF_LAYER: Final = "layer_"  # begin of the names of figures of single layers
KEPT: Final = "kept"  # of a probe's right answers without noise, the share that is right with it
LARGEST_INPUT: Final = "largest_input"  # of a probe under noise
COSTS = ("seconds", "cpu_seconds", "peak_memory")  # figures of what a stage cost
LOST_CENTS = 200.0  # two semitones: a clip whose pitch error is larger has lost its pitch


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of ``results.json`` and of ``sweep.csv``; an empty column says that it does not apply."""

    stage: str = column(REQUIRED, "what was measured: `tokenizer`, `lm`, `probe`, `vocoder`, ...")
    name: str = column(
        REQUIRED,
        "the figure: `accuracy`, `stoi`, ...; `difference` of two methods; `rms_difference` of two sounds, ...",
    )
    value: float = column(REQUIRED, "the figure itself")
    artifact: str = column(REQUIRED, "key of the entry in the store that it is about")
    of: str | None = column(None, "the method, the model, the kind of sound, or the change that it is about")
    against: str | None = column(None, "the other method or kind of sound of a difference or ratio")
    layer: str | None = column(None, "the layer that was chosen for a probe, or that `layer_accuracy` is about")
    pooling: str | None = column(None, "the pooling that was chosen for a probe")
    bound: float | None = column(None, "the bound of standardised inputs that was chosen for a probe, in deviations")
    penalty: float | None = column(None, "the penalty that was chosen for a probe")
    low: float | None = column(None, "lower end of the interval, mostly of 95 %; empty where there is none")
    high: float | None = column(None, "upper end of the interval")
    over: str | None = column(
        None,
        "what the interval and p are over: `clips`; `groups` of the test clips, such as people; both crossed with "
        "seeds and draws of labels; `parts` of cross-validation; `folds`; `seeds`; `items`, the words of a test. For "
        "probes, an interval over groups, folds or parts is never narrower than that over clips",
    )
    over_count: int | None = column(None, "how many of these, where the interval is over `clips`, `groups` or `parts`")
    p: float | None = column(None, "two-sided p value of a `difference`")
    fold_low: float | None = column(None, "lower end of a paired t interval of a `difference` over the folds")
    fold_high: float | None = column(None, "its upper end")
    seed_low: float | None = column(None, "lower end of a paired t interval of a `difference` over the seeds")
    seed_high: float | None = column(None, "its upper end")
    protocol: str | None = column(
        None,
        "how the clips were divided. Probes: `one split`, `leave one group out`, `folds of whole groups`, `given "
        "folds`; the stage `zerospeech`: `voices held out`, but none for `consistency_...`, whose voices are those of "
        "the corpus; other figures of one split: the value of `corpus.split.by`, such as `hash`",
    )
    split: str | None = column(None, "the clips: `test`, `validation`, or `validation - test` for a gap")
    count: int | None = column(
        None, "how many clips these are; most figures but those of probes lack it, and so does a gap"
    )
    labels: float | None = column(None, "labelled training clips of a learning curve")
    share: float | None = column(None, "their share of all labelled training clips")
    noise: str | None = column(
        None,
        "kind of noise in the test clips: `white`, `babble`, `mp3`, `room`, or the name of a folder (`compare.noise`)",
    )
    noise_snr: float | None = column(None, "its signal-to-noise ratio in dB; `mp3` and `room` have none")
    group: str | None = column(None, "the group of the test clips; empty: all of them")
    fold: str | None = column(None, "the fold of a single training; empty: all folds")
    seed: int | None = column(None, "the seed of a single training; empty: all seeds")
    seeds: int = column(1, "how many seeds the value is a mean of")

    @property
    def unit(self) -> str:
        """The unit of the value; what is not in the table is a ratio."""
        if self.name.endswith("_difference_clips"):
            return "clips"
        measure = MEASURES.get(self.name.removesuffix("_difference"))
        return measure.unit if measure else "ratio"

    @property
    def is_overall(self) -> bool:
        """Whether the value is over all folds, seeds, groups and labels, and without added noise."""
        return all(each is None for each in (self.fold, self.seed, self.group, self.share, self.added))

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

    def as_row(self) -> dict[str, object]:
        """Return the figure with its unit as plain values."""
        return {**asdict(self), "unit": self.unit}


class Figures(tuple[Figure, ...]):
    __slots__ = ()

    def where(self, **columns: object) -> "Figures":
        """Select the rows with these values of columns; None stands for an empty one."""
        wanted = tuple(columns.items())
        return Figures(row for row in self if all(getattr(row, name) == value for name, value in wanted))

    def by_method(self, **columns: object) -> dict[str, Figure]:
        """Return the overall row of each method with these values of columns."""
        return {row.of: row for row in self.where(**columns).overall if row.of is not None}

    def measured(self, stage: str) -> "Figures":
        """Select the overall rows of a stage, without its costs."""
        return Figures(row for row in self.overall if row.stage == stage and row.name not in COSTS)

    @property
    def overall(self) -> "Figures":
        """The rows over all folds, seeds, groups and labels."""
        return Figures(row for row in self if row.is_overall)

    def find(
        self, stage: str, name: str, of: str | None = None, *, against: str | None = None, split: str | None = None
    ) -> Figure | None:
        """Return the first overall row of this name: of probes that of test, unless another split is asked for."""
        found = self.where(stage=stage, name=name, of=of, against=against)
        return next((row for row in found if row.is_overall and split in (None, row.split)), None)

    def named(self) -> dict[str, float]:
        """Name the overall figures ``stage/name/of``, for trackers, without costs and single layers.

        Those of probes on validation end with that word.
        """
        found = {}
        for row in self.overall:
            if row.name not in COSTS and (row.layer is None or row.pooling):  # with a pooling, a layer that was chosen
                split = "validation" if (row.stage, row.split) == ("probe", "validation") else ""
                found["/".join(filter(None, (row.stage, row.name, row.subject, split)))] = float(row.value)
        return found

    def value(self, stage: str, name: str, of: str | None = None) -> float | None:
        found = self.find(stage, name, of)
        return found.value if found else None


@dataclass(frozen=True)
class Measure:
    name: str  # in results.json
    unit: str = "ratio"
    title: str = ""  # in tables and sentences; "": the name with spaces
    clips: str = ""  # title of the number of clips that have it, where others lack it
    paired: bool = False  # vocoders are compared by it on the same clips
    with_recordings: bool = False  # and all kinds of sound are compared with the recordings
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
    Measure("dnsmos", "MOS", "DNSMOS P.808", clips="clips with sound, for DNSMOS", with_recordings=True),
    Measure("dnsmos_overall", "MOS", "DNSMOS P.835, overall", with_recordings=True),
    Measure("dnsmos_voice", "MOS", "DNSMOS P.835, voice", with_recordings=True),
    Measure("dnsmos_background", "MOS", "DNSMOS P.835, background", with_recordings=True),
    Measure("distillmos", "MOS", "DistillMOS", "clips with sound, for DistillMOS", with_recordings=True),
    Measure("periodicity", title="periodicity, how much of a voice there is", paired=True),
    Measure("code_agreement", title="codes that agree"),
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
