"""What a plugin does in a run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.chain.trial import Trial
from pipelines.pages.charts import Chart
from pipelines.pages.players import PageSound
from pipelines.results.run_record import Made, Results, Row, Section
from pipelines.settings.run_settings import RunSettings
from pipelines.store.stage import Session
from pipelines.store.store import CachedArtifact
from wordless.audio.recordings.manifest import Clips

Once = Callable[[Session, Clips, RunSettings, Mapping[str, CachedArtifact]], Iterable[CachedArtifact]]


@dataclass(frozen=True, kw_only=True)
class Hooks:
    add_tasks: Callable[[Trial], None]  # adds its artifacts to a fold and seed, behind those of the core that it needs
    # its section of ``results.json``, and its figures
    rows: Callable[[Made, Clips, RunSettings], tuple[Section, Iterable[Row]]]
    require: Callable[[RunSettings], None] = lambda settings: None  # refuses options
    require_clips: Callable[[Clips, RunSettings], None] = lambda clips, settings: None  # refuses a fold
    once: Once = lambda *made: ()  # makes artifacts of the first fold and seed, when all are made
    sounds: Callable[[Results], Iterable[PageSound]] = lambda results: ()  # of its section of the report
    charts: Callable[[Path, Results], Iterable[Chart]] = lambda folder, results: ()
