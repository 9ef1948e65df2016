"""A plugin of ``wordless run``: its options and facts, and what it does in a run.

Every command reads the options and facts. So a plugin's functions import what computes where they need it, and this
file imports types alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from wordless.audio.audio_options import SpectrogramConfig
from wordless.base.options import Options

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.chain.trial import Trial
    from pipelines.pages.charts import Chart
    from pipelines.pages.players import PageSound
    from pipelines.results.run_record import Made, Results, Row, Section
    from pipelines.settings.run_settings import RunSettings
    from pipelines.store.stage import Session
    from pipelines.store.store import CachedArtifact
    from wordless.audio.recordings.manifest import Clips

# "rates": language models of several rates; "evaluator": a classifier of labels; "test clips" are not for models alone
Need = Literal["codes", "lm", "rates", "evaluator", "test clips"]


@dataclass(frozen=True, kw_only=True)
class NoOptions(Options):
    """Of a plugin without options."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """What a plugin is, and what it does in a run."""

    fixed_seeds: ClassVar[tuple[str, ...]] = ()  # none: all follow that of the run

    name: str  # of its stage, its group of options and its section of ``results.json``
    options: type[Options] = NoOptions
    explanation: str  # of the group of options
    preset: str = ""  # the choice of the group that has the defaults, if conf/ has others
    of_report: bool = False  # whether it joins each run of one training that has a report
    defaults: Mapping[str, tuple[object, str]] = field(default_factory=dict)  # as `RunSettings.defaults`
    needs: tuple[Need, ...] = ()
    seeded: bool = False  # whether its seeds move with those of a run with several seeds
    fill: Callable[[dict[str, Any], SpectrogramConfig], None] | None = None  # sets options that follow from a front end
    voices: str = ""  # its option with the number of voices of the built-in corpus that it keeps from training
    # Of all options of a run that names no stages: "" joins it, other words say why not, None: there is no question.
    joins: Callable[[Mapping[str, Any]], str | None] = lambda values: None
    # folder of a run -> name of the artifact that is copied there
    parts: Mapping[str, str] = field(default_factory=dict)
    page: str = ""  # template of its section of the report, below this folder; the name is its anchor
    link: str = ""  # to it
    late: bool = False  # whether it stands behind the sounds and the tokenizer
    sentences: str = ""  # template of `headline` or `opening`, `summary` and `tiles`, for page and terminal
    # its figures -> unit, title ("": the name), and title of the number of clips that have it, as `Measure`
    measures: Mapping[str, tuple[str, str] | tuple[str, str, str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)  # its other names in ``results.json`` -> in words

    add_tasks: Callable[[Trial], None]  # adds its artifacts to a fold and seed, behind those of the core that it needs
    # its section of ``results.json``, and its figures
    rows: Callable[[Made, Clips, RunSettings], tuple[Section, Iterable[Row]]]
    require: Callable[[RunSettings], None] = lambda settings: None  # refuses options
    require_clips: Callable[[Clips, RunSettings], None] = lambda clips, settings: None  # refuses a fold
    # makes artifacts of the first fold and seed, when all are made
    once: Callable[[Session, Clips, RunSettings, Mapping[str, CachedArtifact]], Iterable[CachedArtifact]] = (
        lambda *made: ()
    )
    sounds: Callable[[Results], Iterable[PageSound]] = lambda results: ()  # of its section of the report
    charts: Callable[[Path, Results], Iterable[Chart]] = lambda folder, results: ()

    @property
    def reads_codes(self) -> bool:
        return "codes" in self.needs
