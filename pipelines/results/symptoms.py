"""Symptoms of a run: what is wrong with its sound or its models, the figure that shows it, the option that mends it.

The site has them beside what healthy runs measure (docs/expectations.md). The bounds are rules of thumb: a figure
beyond its bound says where to look first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipelines.results.run_record import Results, count_codes
from vocoder.kinds import GRIFFIN_LIM, ORIGINAL, WAVENET

Measured = Callable[[Results], float | None]  # None: the run lacks the figure


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One symptom, and how a run is examined for it."""

    name: str  # the symptom
    figure: str  # what is measured
    value: Measured
    least: float | None = None  # a smaller value is the symptom
    most: float | None = None  # a larger value is the symptom
    remedy: str
    options: tuple[str, ...] = ()  # of the remedy, for `wordless run`

    def is_shown(self, value: float) -> bool:
        """Whether a value is beyond its bound."""
        return (self.least is not None and value < self.least) or (self.most is not None and value > self.most)

    @property
    def bound(self) -> str:
        return f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"

    def describe(self, value: float) -> str:
        """Write the figure with its value and its bound."""
        return f"{self.figure}: {value:.3g}, usual: {self.bound}"

    @property
    def to_do(self) -> str:
        return f"{self.remedy}: {', '.join(self.options)}"


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A sign, and what a run measured of it."""

    sign: Sign
    value: float


def examine_run(results: Results) -> Iterator[Examined]:
    """Measure every sign whose figures a run has."""
    for sign in SIGNS:
        if (value := sign.value(results)) is not None:
            yield Examined(sign=sign, value=value)


def _value(stage: str, name: str, of: str | None = None, against: str | None = None) -> Measured:
    def measured(results: Results) -> float | None:
        row = results["figures"].find(stage, name, of, against=against)
        return None if row is None else row.value

    return measured


def _of_sound(name: str, of: str = WAVENET.key, against: str | None = None) -> Measured:
    return _value("vocoder", name, of, against)


def _ratio(one: Measured, other: Measured) -> Measured:
    def measured(results: Results) -> float | None:
        above, below = one(results), other(results)
        return None if above is None or not below else above / below

    return measured


def _difference(one: Measured, other: Measured) -> Measured:
    def measured(results: Results) -> float | None:
        first, second = one(results), other(results)
        return None if first is None or second is None else first - second

    return measured


def _kept_share(results: Results) -> float | None:
    """Return the share of the GPT's steps after which its best weights were there."""
    record = results.get("curves", {}).get("lm")
    return None if record is None or not record["steps"] else record["kept_step"] / record["steps"]


def _fewest_triples(results: Results) -> float | None:
    """Return the smallest share of different triples of codes among the continuations of all temperatures."""
    rows = results["figures"].where(stage="vocoder", name="distinct_3")
    return min((row.value for row in rows if (row.of or "").startswith("continuation@")), default=None)


def _level(results: Results) -> float | None:
    found = _of_sound("rms_difference", against=ORIGINAL)(results)
    return None if found is None else abs(found)


_WORDS = "label_accuracy"
LONGER, MORE_STEPS = "train the vocoder longer", "vocoder.fit.steps=2000"
SIGNS = (
    Sign(
        name="one code everywhere",
        figure="perplexity of the codebook over its size",
        value=_ratio(_value("tokenizer", "perplexity"), count_codes),
        least=0.2,
        remedy="cut silence off, or choose fewer codes",
        options=("corpus.inspection.trim_db=30", "tokenizer.codebook_size=64"),
    ),
    Sign(
        name="codes change under soft noise",
        figure="codes that stay the same under noise of 30 dB",
        value=_value("tokenizer", "stability", "noise"),
        least=0.6,
        remedy="bound the levels that codes see",
        options=("audio.dynamic_range=40", "audio.floor=1e-8"),
    ),
    Sign(
        name="codes change with the level",
        figure="codes that stay the same 6 dB softer",
        value=_value("tokenizer", "stability", "gain"),
        least=0.6,
        remedy="subtract the mean of each band, for probes; decoded sound then has no level of its own",
        options=("audio.remove_mean=clip",),
    ),
    Sign(
        name="babble",
        figure="perplexity of the GPT over that of code frequencies alone",
        value=_ratio(_value("lm", "perplexity"), _value("lm", "unigram_perplexity")),
        most=0.6,
        remedy="take more steps, choose fewer codes, or add recordings with unlabelled=FOLDER",
        options=("lm.fit.steps=1500", "tokenizer.codebook_size=64"),
    ),
    Sign(
        name="the GPT has learned its recordings by heart",
        figure="share of its steps after which validation was best",
        value=_kept_share,
        least=0.4,
        remedy="choose a smaller network, or add recordings with unlabelled=FOLDER",
        options=("lm.gpt.layers=2",),
    ),
    Sign(
        name="loops",
        figure="different triples among the codes of continuations",
        value=_fewest_triples,
        least=0.3,
        remedy="raise the temperature",
        options=("listening.temperatures=[1.0]",),
    ),
    Sign(
        name="silence",
        figure="share of silence, decoded minus recorded",
        value=_difference(_of_sound("silence"), _of_sound("silence", ORIGINAL)),
        most=0.2,
        remedy=LONGER,
        options=(MORE_STEPS,),
    ),
    Sign(
        name="bursts of noise",
        figure="share of decoded clips with runaway noise",
        value=_of_sound("runaway_clips"),
        most=0.0,
        remedy=f"{LONGER}, or draw less freely",
        options=(MORE_STEPS, "listening.vocoder_temperature=0.7"),
    ),
    Sign(
        name="clipping",
        figure="share of clipped samples",
        value=_of_sound("clipping"),
        most=0.001,
        remedy=LONGER,
        options=(MORE_STEPS,),
    ),
    Sign(
        name="buzz or whisper",
        figure="periodicity over that of the recordings",
        value=_of_sound("periodicity_ratio", against=ORIGINAL),
        least=0.8,
        remedy=LONGER,
        options=(MORE_STEPS,),
    ),
    Sign(
        name="wrong voicing",
        figure="frames of wrong voicing",
        value=_of_sound("voicing_error"),
        most=0.35,
        remedy=LONGER,
        options=(MORE_STEPS,),
    ),
    Sign(
        name="wrong level",
        figure="decibels between decoded and recorded level",
        value=_level,
        most=3.0,
        remedy=LONGER,
        options=(MORE_STEPS,),
    ),
    Sign(
        name="words lost by the codes",
        figure="clips recognised of Griffin-Lim over those of the recordings",
        value=_ratio(_of_sound(_WORDS, GRIFFIN_LIM.key), _of_sound(_WORDS, ORIGINAL)),
        least=0.8,
        remedy="keep more of the sound",
        options=("tokenizer.codebook_size=512", "tokenizer.patch.frames=1"),
    ),
    Sign(
        name="words lost by the vocoder",
        figure="clips recognised of WaveNet over those of Griffin-Lim",
        value=_ratio(_of_sound(_WORDS), _of_sound(_WORDS, GRIFFIN_LIM.key)),
        least=0.9,
        remedy=LONGER,
        options=(MORE_STEPS,),
    ),
)
