"""Continuations by language models of several rates, beside those of one GPT: options and facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.plugins.plugin import Plugin
from wordless.base.messages import InputError, require
from wordless.base.options import Options, option

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipelines.chain.trial import Trial
    from pipelines.pages.charts import Chart
    from pipelines.pages.players import PageSound
    from pipelines.results.run_record import Made, Results, Row, Section
    from pipelines.settings.run_settings import RunSettings
    from wordless.audio.recordings.manifest import Clips


@dataclass(frozen=True, kw_only=True)
class RatesConfig(Options):
    clips: int = option(40, "test clips that are continued, by the models of several rates and by one GPT", least=1)
    prompt_seconds: float = option(1.0, "longest prompt, half of the loudest part of a clip", above=0)
    seconds: float = option(5.0, "length of each continuation", above=0)
    window_seconds: float = option(1.0, "length of the windows of a continuation whose labels are named", above=0)
    continuations: int = 2  # of each clip by the models of several rates, and as many by the GPT
    temperature: float = 1.0  # temperature of all models
    top_k: int = 0  # all codes: a limit would cut more off a flat distribution than off a sharp one
    silence_dbfs: float = -50.0  # softer windows count as silent and have no label
    shown: int = 3  # number of clips in the report
    seed: int = 0  # seed of the continuations

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"each continuation has two windows or more: choose at most {self.seconds / 2:g}, half of seconds"
        self.refuse_if(self.window_seconds > self.seconds / 2, "window_seconds", rule)

    @property
    def windows(self) -> int:
        """Number of whole windows of a continuation."""
        return int(self.seconds / self.window_seconds + 1e-9)

    def window_bounds(self, windows: int, sample_rate: int) -> list[int]:
        """Return the first sample of each window, and the one after the last, which is within the sound."""
        # 1e-6: 3 * 0.3 * 8000 is a little less than 7,200 in floats
        return [int(place * self.window_seconds * sample_rate + 1e-6) for place in range(windows + 1)]


def _add_tasks(trial: Trial) -> None:
    from pipelines.plugins.rates.continuations import make_continuations

    make_continuations(trial)


def _rows(made: Made, manifest: Clips, settings: RunSettings) -> tuple[Section, Iterable[Row]]:
    from pipelines.plugins.rates.continuations import continuation_rows

    return continuation_rows(made, manifest, settings)


def _require(settings: RunSettings) -> None:
    from pipelines.settings.run_settings import require_one_training

    if settings.tokenizer.rates is None:
        raise InputError(
            "stages has rates, and tokenizer.rates is null: add tokenizer.rates=[8,4,2], or leave the stage out"
        )
    seconds, least = settings.of(RatesConfig).prompt_seconds, settings.coarsest_code_seconds
    rule = f"models of all rates read whole coarse codes, which last {least:g} s: choose {least / 2:g} or more"
    require(2 * seconds >= least, "rates.prompt_seconds", seconds, rule)
    require_one_training("rates", settings, "leave it out, or sweep over seeds (wordless run -m seed=0,1,2)")


def _require_clips(clips: Clips, settings: RunSettings) -> None:
    from pipelines.plugins.rates.continuations import long_clips

    long_clips(clips, shortest=settings.coarsest_code_seconds)


def _sounds(results: Results) -> Iterable[PageSound]:
    from pipelines.plugins.rates.continuations import continuation_sounds

    return continuation_sounds(results)


def _charts(folder: Path, results: Results) -> Iterable[Chart]:
    from pipelines.plugins.rates.continuations import continuation_charts

    return continuation_charts(folder, results)


PLUGIN = Plugin(
    name="rates",
    options=RatesConfig,
    explanation="the stage rates: continuations by models of several rates, and by one",
    needs=("codes", "lm", "rates", "evaluator", "test clips"),
    parts={"rates": "rate_continuations"},
    page="rates/rates.html.jinja",
    link="Several rates",
    measures={
        "codebook_perplexity": ("codes", ""),
        "coded_bits_per_second": ("bit/s", ""),
        "bits_per_real_second": ("bit/s", ""),
        "training_steps": ("steps", ""),
        "label_kept": ("ratio", "windows with the label of the prompt"),
        "label_stability": ("ratio", "neighbouring windows with the same label, where both sound"),
        "label_lasting": ("ratio", "neighbouring windows with the same label, of all"),
    },
    names={"rates": "models of all rates", "flat": "flat GPT"},
    add_tasks=_add_tasks,
    rows=_rows,
    require=_require,
    require_clips=_require_clips,
    sounds=_sounds,
    charts=_charts,
)
