"""Symptoms of a run: what is wrong with its sound or its models, the figure that shows it, the option that mends it.

The site has them beside what healthy runs measure (docs/expectations.md). The bounds are rules of thumb: a figure
beyond its bound says where to look first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.results.run_record import Results, count_codes
from vocoder.kinds import GRIFFIN_LIM, ORIGINAL, WAVENET

Name = tuple[str | None, ...]  # stage, name, of and against of a figure, as far as they are given; or a word of `_find`


LONGER, MORE_STEPS = "train the vocoder longer", ("vocoder.fit.steps=2000",)


@dataclass(frozen=True)
class Sign:
    """One symptom, and how a run is examined for it."""

    name: str  # the symptom
    figure: str  # what is measured
    value: Name
    remedy: str = LONGER
    options: tuple[str, ...] = MORE_STEPS  # of the remedy, for `wordless run`
    least: float | None = None  # a smaller value is the symptom
    most: float | None = None  # a larger value is the symptom
    over: Name | None = None  # figure that the value is divided by
    minus: Name | None = None  # figure that is subtracted

    def measure(self, results: Results) -> float | None:
        """Return the value of a run; None where the run lacks one of the figures."""
        value, over = _find(results, self.value), _find(results, self.over) if self.over else 1.0
        minus = _find(results, self.minus) if self.minus else 0.0
        return None if value is None or not over or minus is None else value / over - minus

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


def examine_run(results: Results) -> Iterator[tuple[Sign, float]]:
    """Measure every sign whose figures a run has."""
    for sign in SIGNS:
        if (value := sign.measure(results)) is not None:
            yield sign, value


def _find(results: Results, name: Name) -> float | None:
    match name:
        case ("codes",):
            return count_codes(results)
        case ("kept share",):  # of the GPT's steps, after which its best weights were there
            record = results.get("curves", {}).get("lm")
            return None if record is None or not record["steps"] else record["kept_step"] / record["steps"]
        case ("fewest triples",):  # the smallest share of different ones among the continuations of all temperatures
            rows = results["figures"].where(stage="vocoder", name="distinct_3")
            return min((row.value for row in rows if (row.of or "").startswith("continuation@")), default=None)
        case ("level",):
            found = results["figures"].find("vocoder", "rms_difference", WAVENET.key, against=ORIGINAL)
            return abs(found.value) if found else None
    stage, figure, of, against = (*name, None, None)[:4]
    found = results["figures"].find(stage or "", figure or "", of, against=against)
    return found.value if found else None


def _sound(name: str, of: str = WAVENET.key, against: str | None = None) -> Name:
    return ("vocoder", name, of, against)


_WORDS = "label_accuracy"
# fmt: off
SIGNS = (
    Sign("one code everywhere", "perplexity of the codebook over its size",
         ("tokenizer", "perplexity"), over=("codes",), least=0.2,
         remedy="cut silence off, or choose fewer codes",
         options=("corpus.inspection.trim_db=30", "tokenizer.codebook_size=64")),
    Sign("codes change under soft noise", "codes that stay the same under noise of 30 dB",
         ("tokenizer", "stability", "noise"), least=0.6,
         remedy="bound the levels that codes see", options=("audio.dynamic_range=40", "audio.floor=1e-8")),
    Sign("codes change with the level", "codes that stay the same 6 dB softer",
         ("tokenizer", "stability", "gain"), least=0.6,
         remedy="subtract the mean of each band, for probes; decoded sound then has no level of its own",
         options=("audio.remove_mean=clip",)),
    Sign("babble", "perplexity of the GPT over that of code frequencies alone",
         ("lm", "perplexity"), over=("lm", "unigram_perplexity"), most=0.6,
         remedy="take more steps, choose fewer codes, or add recordings with unlabelled=FOLDER",
         options=("lm.fit.steps=1500", "tokenizer.codebook_size=64")),
    Sign("the GPT has learned its recordings by heart", "share of its steps after which validation was best",
         ("kept share",), least=0.4,
         remedy="choose a smaller network, or add recordings with unlabelled=FOLDER", options=("lm.gpt.layers=2",)),
    Sign("loops", "different triples among the codes of continuations",
         ("fewest triples",), least=0.3,
         remedy="raise the temperature", options=("listening.temperatures=[1.0]",)),
    Sign("silence", "share of silence, decoded minus recorded",
         _sound("silence"), minus=_sound("silence", ORIGINAL), most=0.2),
    Sign("bursts of noise", "share of decoded clips with runaway noise",
         _sound("runaway_clips"), most=0.0,
         remedy=f"{LONGER}, or draw less freely", options=(*MORE_STEPS, "listening.vocoder_temperature=0.7")),
    Sign("clipping", "share of clipped samples", _sound("clipping"), most=0.001),
    Sign("buzz or whisper", "periodicity over that of the recordings",
         _sound("periodicity_ratio", against=ORIGINAL), least=0.8),
    Sign("wrong voicing", "frames of wrong voicing", _sound("voicing_error"), most=0.35),
    Sign("wrong level", "decibels between decoded and recorded level", ("level",), most=3.0),
    Sign("words lost by the codes", "clips recognised of Griffin-Lim over those of the recordings",
         _sound(_WORDS, GRIFFIN_LIM.key), over=_sound(_WORDS, ORIGINAL), least=0.8,
         remedy="keep more of the sound", options=("tokenizer.codebook_size=512", "tokenizer.patch.frames=1")),
    Sign("words lost by the vocoder", "clips recognised of WaveNet over those of Griffin-Lim",
         _sound(_WORDS), over=_sound(_WORDS, GRIFFIN_LIM.key), least=0.9),
)
# fmt: on
