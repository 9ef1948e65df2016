"""Symptoms of a run: what is wrong with its sound or its models, the figure that shows it, the option that mends it."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from pipelines.results.run_record import Results, count_codes

LONGER, MORE_STEPS = "train the vocoder longer", ("vocoder.fit.steps=2000",)


@dataclass(frozen=True)
class Sign:
    name: str  # the symptom
    figure: str  # what is measured
    value: Callable[[Mapping[str, float]], float]  # of the figures by their names for trackers, and of `_more`
    remedy: str = LONGER
    options: tuple[str, ...] = MORE_STEPS  # of the remedy, for `wordless run`
    least: float = -math.inf  # a smaller value is the symptom
    most: float = math.inf  # a larger value is the symptom

    def is_shown(self, value: float) -> bool:
        """Whether a value is beyond its bound."""
        return not self.least <= value <= self.most

    @property
    def bound(self) -> str:
        return f"at least {self.least:g}" if math.isinf(self.most) else f"at most {self.most:g}"

    def describe(self, value: float) -> str:
        return f"{self.figure}: {value:.3g}, usual: {self.bound}"

    @property
    def to_do(self) -> str:
        return f"{self.remedy}: {', '.join(self.options)}"


def examine_run(results: Results) -> Iterator[tuple[Sign, float]]:
    """Measure every sign whose figures a run has."""
    figures = {**results["figures"].named(), **dict(_more(results))}
    for sign in SIGNS:
        with suppress(KeyError, ZeroDivisionError):  # a run without the figure
            yield sign, sign.value(figures)


def _more(results: Results) -> Iterator[tuple[str, float]]:
    if size := count_codes(results):
        yield "codes", size
    if (training := results.get("curves", {}).get("lm")) and training["steps"]:
        yield "kept", training["kept_step"] / training["steps"]
    triples = [row.value for row in results["figures"].where(name="distinct_3") if "continuation@" in (row.of or "")]
    if triples:
        yield "fewest triples", min(triples)


# fmt: off
SIGNS = (
    Sign("one code everywhere", "perplexity of the codebook over its size",
         lambda of: of["tokenizer/perplexity"] / of["codes"], least=0.2,
         remedy="cut silence off, or choose fewer codes",
         options=("corpus.inspection.trim_db=30", "tokenizer.codebook_size=64")),
    Sign("codes change under soft noise", "total variation of code frequencies under noise of 30 dB",
         lambda of: of["tokenizer/total_variation/noise"], most=0.2,
         remedy="bound the levels that codes see", options=("audio.dynamic_range=40", "audio.floor=1e-8")),
    Sign("codes change with the level", "total variation of code frequencies 6 dB softer",
         lambda of: of["tokenizer/total_variation/gain"], most=0.2,
         remedy="subtract the mean of each band, for probes; decoded sound then has no level of its own",
         options=("audio.remove_mean=clip",)),
    Sign("babble", "perplexity of the GPT over that of code frequencies alone",
         lambda of: of["lm/perplexity"] / of["lm/unigram_perplexity"], most=0.6,
         remedy="take more steps, choose fewer codes, or add recordings with unlabelled=FOLDER",
         options=("lm.fit.steps=1500", "tokenizer.codebook_size=64")),
    Sign("the GPT has learned its recordings by heart", "share of its steps after which validation was best",
         lambda of: of["kept"], least=0.4,
         remedy="choose a smaller network, or add recordings with unlabelled=FOLDER", options=("lm.gpt.layers=2",)),
    Sign("loops", "different triples among the codes of continuations",
         lambda of: of["fewest triples"], least=0.3,
         remedy="raise the temperature", options=("listening.temperatures=[1.0]",)),
    Sign("silence", "share of silence, decoded minus recorded",
         lambda of: of["vocoder/silence/wavenet"] - of["vocoder/silence/original"], most=0.2),
    Sign("bursts of noise", "share of decoded clips with runaway noise",
         lambda of: of["vocoder/runaway_clips/wavenet"], most=0.0,
         remedy=f"{LONGER}, or draw less freely", options=(*MORE_STEPS, "listening.vocoder_temperature=0.7")),
    Sign("clipping", "share of clipped samples", lambda of: of["vocoder/clipping/wavenet"], most=0.001),
    Sign("buzz or whisper", "periodicity over that of the recordings",
         lambda of: of["vocoder/periodicity_ratio/wavenet / original"], least=0.8),
    Sign("wrong voicing", "frames of wrong voicing", lambda of: of["vocoder/voicing_error/wavenet"], most=0.35),
    Sign("wrong level", "decibels between decoded and recorded level",
         lambda of: abs(of["vocoder/rms_difference/wavenet - original"]), most=3.0),
    Sign("words lost by the codes", "clips recognised of Griffin-Lim over those of the recordings",
         lambda of: of["vocoder/label_accuracy/griffin_lim"] / of["vocoder/label_accuracy/original"], least=0.8,
         remedy="keep more of the sound", options=("tokenizer.codebook_size=512", "tokenizer.patch.frames=1")),
    Sign("words lost by the vocoder", "clips recognised of WaveNet over those of Griffin-Lim",
         lambda of: of["vocoder/label_accuracy/wavenet"] / of["vocoder/label_accuracy/griffin_lim"], least=0.9),
)
# fmt: on
