"""The rows of ``results.json``."""

from dataclasses import asdict, dataclass
from typing import Final

from wordless.base.options import REQUIRED, column

OF_LAYER: Final = "layer_"  # begin of the names of figures of single layers
COSTS = ("seconds", "peak_memory")  # figures of what a stage cost


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of ``results.json`` and of ``sweep.csv``; an empty column says that it does not apply."""

    stage: str = column(REQUIRED, "what was measured: `tokenizer`, `lm`, `probe`, `vocoder`, ...")
    name: str = column(
        REQUIRED,
        "the figure: `accuracy`, `perplexity`, `stoi`, ...; `difference` of two methods; `periodicity_difference` and "
        "`periodicity_ratio` of two kinds of sound",
    )
    value: float = column(REQUIRED, "the figure itself")
    artifact: str = column(REQUIRED, "key of the entry in the store that it is about")
    of: str | None = column(None, "the method, the model, the kind of sound, or the change that it is about")
    against: str | None = column(
        None, "the other method or kind of sound of a `difference` or ratio: `of` minus `against`"
    )
    layer: str | None = column(
        None, "the layer that was chosen for a probe; of `layer_accuracy` and the like, the layer that it is about"
    )
    pooling: str | None = column(None, "the pooling that was chosen for a probe")
    penalty: float | None = column(None, "the penalty that was chosen for a probe")
    low: float | None = column(None, "lower end of the interval, mostly of 95 %; empty where there is none")
    high: float | None = column(None, "upper end of the interval")
    over: str | None = column(
        None,
        "what the interval and p are over: `clips`; `groups` of the test clips, such as people, crossed with seeds and "
        "draws of labels; `parts` of cross-validation; `folds`; `seeds`; `items`, the words or phones of a test",
    )
    p: float | None = column(None, "two-sided p value of a `difference`")
    fold_low: float | None = column(None, "lower end of a paired t interval of a `difference` over the folds")
    fold_high: float | None = column(None, "its upper end")
    seed_low: float | None = column(None, "lower end of a paired t interval of a `difference` over the seeds")
    seed_high: float | None = column(None, "its upper end")
    protocol: str | None = column(
        None,
        "how the clips were divided. Probes: `one split`, `leave one group out`, `given folds`; the stage "
        "`zerospeech`: `voices held out`, but none for `consistency_speaker` and the like, whose voices are those of "
        "the corpus; other figures of one split: the value of `corpus.split.by`, such as `hash`",
    )
    split: str | None = column(
        None, "the clips that it is measured on: `test`, `validation`, or `validation - test` for a gap"
    )
    count: int | None = column(
        None,
        "how many clips these are; probes have it, except a `gap`, which is between two sets of clips; empty for most "
        "other figures",
    )
    labels: float | None = column(None, "labelled training clips of a learning curve")
    share: float | None = column(None, "their share of all labelled training clips")
    noise_snr: float | None = column(
        None, "signal-to-noise ratio in dB of white noise that was added to the test clips; empty: none"
    )
    group: str | None = column(None, "the group of the test clips; empty: all of them")
    fold: str | None = column(None, "the fold of a single training; empty: all folds")
    seed: int | None = column(None, "the seed of a single training; empty: all seeds")
    seeds: int = column(1, "how many seeds the value is a mean of")

    @property
    def unit(self) -> str:
        """The unit of the value; a difference has that of its figure, and what is not in the table is a ratio."""
        if self.name.endswith("_difference_clips"):
            return "clips"
        measure = MEASURES.get(self.name.removesuffix("_difference"))
        return measure.unit if measure else "ratio"

    @property
    def is_overall(self) -> bool:
        """Whether the value is over all folds, seeds, groups and labels, and without added noise."""
        return all(each is None for each in (self.fold, self.seed, self.group, self.share, self.noise_snr))

    @property
    def subject(self) -> str | None:
        """What the figure is of, in one name: ``gpt``, ``gpt - simclr`` or ``gpt/layer_2``."""
        if self.against is not None:
            return f"{self.of} {'/' if self.name.endswith('_ratio') else '-'} {self.against}"
        return f"{self.of}/{self.layer}" if self.layer and not self.pooling else self.of

    @property
    def candidate(self) -> str | None:
        """The chosen layer and pooling, as the features of the method are named; None where a probe chose nothing."""
        return (
            f"{self.of}/{self.layer}:{self.pooling}"
            if self.layer
            else f"{self.of}:{self.pooling}"
            if self.pooling
            else None
        )

    @property
    def excludes_zero(self) -> bool:
        """Whether all of the interval is on one side of zero, so that a difference is more than chance."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def as_row(self) -> dict[str, object]:
        """Return the figure with its unit as plain values."""
        return {**asdict(self), "unit": self.unit}


class Figures(tuple[Figure, ...]):
    """The rows of one run."""

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
        """Name the overall figures ``stage/name/of``, for trackers; those of probes on validation end with that word.

        Costs and the layers of each network are left out.
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


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A kind of figure."""

    name: str  # in results.json
    unit: str = "ratio"
    title: str = ""  # in tables and sentences; "": the name with spaces
    counted: bool = False  # some clips lack it, so the clips that have it are counted
    paired: bool = False  # kinds of sound are compared by it on the same clips
    with_recordings: bool = False  # and they are compared with the recordings


# Of the codebook, on validation clips; the name "stability" stands for several changes of the sound.
CODEBOOK = (
    Measure(name="perplexity", unit="codes"),
    Measure(name="used_codes", unit="codes"),
    Measure(name="dead_codes", unit="codes"),
    Measure(name="bits_per_second", unit="bit/s"),
    Measure(name="reconstruction_mse", unit="normalised log-mel squared", title="squared error before quantisation"),
    Measure(name="quantised_mse", unit="normalised log-mel squared", title="squared error through the codebook"),
)
# Of decoded sound, in the order of the report's table.
SOUND = (
    Measure(name="bits_per_sample", unit="bit/sample", title="bits per sample, on validation"),
    Measure(name="label_accuracy"),
    Measure(name="stoi", unit="STOI", title="STOI", counted=True, paired=True),
    Measure(name="stoi_clips", unit="clips", title="clips long enough for STOI"),
    Measure(name="pesq", unit="MOS", title="PESQ", counted=True, paired=True),
    Measure(name="pesq_clips", unit="clips", title="clips long enough for PESQ"),
    Measure(name="mel_cepstral_distortion", unit="dB", title="mel-cepstral distortion"),
    Measure(name="log_mel_distance", unit="dB", title="log-mel distance"),
    Measure(name="pitch_error", unit="cents", title="error of the pitch", counted=True, paired=True),
    Measure(name="pitch_error_clips", unit="clips", title="clips with a pitch in both"),
    Measure(name="voicing_error", title="frames of wrong voicing", paired=True),
    Measure(name="dnsmos", unit="MOS", title="DNSMOS P.808", counted=True, paired=True, with_recordings=True),
    Measure(name="dnsmos_overall", unit="MOS", title="DNSMOS P.835, overall", paired=True, with_recordings=True),
    Measure(name="dnsmos_voice", unit="MOS", title="DNSMOS P.835, voice", paired=True, with_recordings=True),
    Measure(name="dnsmos_background", unit="MOS", title="DNSMOS P.835, background", paired=True, with_recordings=True),
    Measure(name="dnsmos_clips", unit="clips", title="clips with sound, for DNSMOS"),
    Measure(name="distillmos", unit="MOS", title="DistillMOS", counted=True, paired=True, with_recordings=True),
    Measure(name="distillmos_clips", unit="clips", title="clips with sound, for DistillMOS"),
    Measure(name="word_error_rate", counted=True, paired=True, with_recordings=True),
    Measure(name="word_error_rate_clips", unit="clips", title="clips with known words"),
    Measure(
        name="speaker_similarity",
        unit="cosine",
        title="similarity to its group's voice",
        counted=True,
        paired=True,
        with_recordings=True,
    ),
    Measure(name="speaker_similarity_clips", unit="clips", title="clips whose group has other clips"),
    Measure(name="speaker_recognised", title="nearest to its group's voice", paired=True, with_recordings=True),
    Measure(name="periodicity", title="periodicity, how much of a voice there is", paired=True),
    Measure(name="code_agreement", title="codes that agree"),
    Measure(name="rms", unit="dB re full scale", title="RMS"),
    Measure(name="peak", unit="full scale"),
    Measure(name="dc", unit="full scale", title="DC offset"),
    Measure(name="clipping"),
    Measure(name="silence"),
    Measure(name="clipped_clips"),
    Measure(name="silent_clips"),
    Measure(name="runaway_clips", title="clips with runaway noise"),
)
_OTHERS = (
    Measure(name="stability", title="codes that stay the same"),
    Measure(name="codes_per_second", unit="codes/s"),
    Measure(name="codebook_perplexity", unit="codes"),
    Measure(name="unigram_perplexity", unit="codes", title="perplexity of code frequencies alone"),
    Measure(name="recoded_perplexity", unit="codes", title="perplexity of the re-encoded sound"),
    Measure(name="coded_bits_per_second", unit="bit/s"),
    Measure(name="bits_per_real_second", unit="bit/s"),
    Measure(name="other_perplexity", unit="codes", title="perplexity under frequencies of pairs of codes"),
    Measure(name="auto_bleu", title="auto-BLEU, how much a sound repeats its codes and pairs"),
    Measure(name="predicted_pitch_error", unit="cents", title="error of the pitch that the language model predicts"),
    Measure(name="predicted_voicing_error", title="wrong voicing of the pitch that the language model predicts"),
    Measure(name="pitch_from_prompt", unit="semitones", title="median pitch, from the prompt's", counted=True),
    Measure(name="pitch_from_prompt_clips", unit="clips", title="clips with a pitch in prompt and continuation"),
    Measure(name="pitch_from_others", unit="semitones", title="median pitch, from other prompts"),
    Measure(name="pitch_kept", unit="semitones", title="how much nearer to the prompt's pitch than to others'"),
    Measure(name="distinct_1", title="different codes"),
    Measure(name="distinct_2", title="different pairs"),
    Measure(name="distinct_3", title="different triples"),
    Measure(name="macro_f1", title="macro F1"),
    Measure(name="abx_error", title="ABX error"),
    Measure(name="consistency_speaker", title="right answers, other speaker"),
    Measure(name="consistency_gender", title="right answers, other gender"),
    Measure(name="consistency_pitch", title="right answers, other pitch"),
    Measure(name="consistency_background", title="right answers, other background"),
    Measure(name="label_kept", title="windows with the label of the prompt"),
    Measure(name="label_stability", title="neighbouring windows with the same label, where both sound"),
    Measure(name="label_lasting", title="neighbouring windows with the same label, of all"),
    Measure(name="runaway_blocks", unit="blocks"),
    Measure(name="runaway_blocks_left", unit="blocks"),
    Measure(name="prompt_seconds", unit="s"),
    Measure(name="seconds", unit="s"),
    Measure(name="peak_memory", unit="bytes"),
    Measure(name="parameters", unit="parameters"),
    Measure(name="training_steps", unit="steps"),
    Measure(name="multiply_adds", unit="multiply-adds/sample"),
    Measure(name="history", unit="samples"),
    Measure(name="samples_per_second", unit="samples/s"),
)
MEASURES = {measure.name: measure for measure in (*CODEBOOK, *SOUND, *_OTHERS)}
