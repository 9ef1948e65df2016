"""Options of the whole chain, as dataclasses: built at once, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from lm.lm_options import ProbeConfig
from pipelines.bodies.body_options import BodySettings
from pipelines.bodies.table_of_bodies import BODIES, BodiesOfRun
from pipelines.extras.table import EXTRAS, Extra, Need, extras
from pipelines.methods.method import Method
from pipelines.settings.choices import CHOICES, USUAL, with_embedded_corpus
from pipelines.settings.comparison_settings import ComparisonConfig
from pipelines.settings.inputs import DeviceOptions, EngineOptions
from pipelines.stages.gpt_options import LanguageModelSettings
from pipelines.stages.stage_options import (
    STEPS,
    STEPS_FROM_SHIPPED,
    ListeningConfig,
    TokenizerSettings,
    VocoderSettings,
)
from pipelines.store.store import StoreOptions
from wordless.audio.audio_options import AudioSettings, SpectrogramConfig
from wordless.audio.recordings.corpus import CORPUS, CorpusConfig
from wordless.audio.recordings.embedded import EmbeddedConfig
from wordless.base.machine import (
    EngineConfig,
    choose_device,
    cores,
    is_started_by_another,
    is_under_torchrun,
    use_threads,
)
from wordless.base.options import REQUIRED, Options, build, follow, move_seeds, option
from wordless.base.seeds import MAX_SEED

if TYPE_CHECKING:
    from tokenizer.fitting import VectorSource


MAX_THREADS = 1024  # above it the system refuses threads, and libraries end the process
STAGES = (*USUAL[:-1], *EXTRAS, USUAL[-1])
OFTEN = ("corpus.root", "corpus.table", "corpus.pattern", "corpus.labels", "corpus.split.by", "store.root")
# groups of options of trainings and of their data
SEEDED = ("tokenizer", "lm", "compare", *BODIES, "vocoder")
STEPS_NOTE = (
    f"null: {STEPS}, or {STEPS_FROM_SHIPPED} for the built-in corpus from the weights that ship (vocoder.start)"
)
# Option -> its default on the command line, which follows from other options, and a note for people.
TYPED: dict[str, tuple[object, str]] = {
    "stages": (None, ""),
    **{name: (None, note) for name, _, _, note in CHOICES},
    "vocoder.fit.steps": (None, STEPS_NOTE),
    "vocoder.start": ("universal", ""),
}


@dataclass(frozen=True, kw_only=True)
class CorpusCommand(DeviceOptions, EngineOptions, StoreOptions):
    typed: ClassVar[Mapping[str, tuple[object, str]]] = {
        f"embedded.{name}": (None, "") for name in ("voices", "sentences", "words", "takes")
    }
    # Seeds of a command follow `seed`, but for that of the built-in corpus, whose recordings are shared.
    own_seeds: ClassVar[tuple[str, ...]] = ("embedded.seed",)

    seed: int = option(0, "seed of everything random", least=0, most=MAX_SEED)
    embedded: EmbeddedConfig = option(EmbeddedConfig(), "the built-in corpus of spoken sentences or words")
    probe: ProbeConfig = option(ProbeConfig(), "the linear probes")
    # After all sizes, because the file of a data set may set other lengths of training.
    corpus: CorpusConfig = option(REQUIRED, CORPUS, given_as=CorpusConfig, group="embedded")


C = TypeVar("C", bound=CorpusCommand)
Kind = TypeVar("Kind")


@dataclass(frozen=True, kw_only=True)
class TrainingCommand(CorpusCommand):
    threads: int | None = option(
        None,
        "number of computing threads, on which trained models depend; null: all; wordless run takes half of them each "
        "for vocoder and language model on a CPU, so threads=N keeps a language model when a vocoder is added",
        least=1,
        most=MAX_THREADS,
    )
    checkpoint_minutes: float = option(
        1.0, "minutes between the checkpoints of a training, from which a killed command resumes", least=0
    )
    tracking: tuple[str, ...] = option(
        ("tensorboard",), "tensorboard, mlflow or wandb: what records curves, figures and report; []: none"
    )


@dataclass(frozen=True, kw_only=True)
class RunSettings(BodiesOfRun, TrainingCommand):
    """All options of ``wordless run``.

    examples: wordless run experiment=smoke
              wordless run corpus.root=recordings lm.fit.steps=5000
              wordless run -m tokenizer.patch.frames=2,4
    """

    typed: ClassVar[Mapping[str, tuple[object, str]]] = {**TYPED, **CorpusCommand.typed}
    presets: ClassVar[Mapping[str, tuple[str, str]]] = {
        "experiment": ("default", "ready-made settings of several groups, such as those of a comparison")
    }
    often: ClassVar[tuple[str, ...]] = (
        *OFTEN,
        *("audio.sample_rate", "tokenizer.codebook_size", "tokenizer.patch.frames"),
        *("lm.gpt.layers", "lm.gpt.model_dim", "lm.fit.steps", "vocoder.fit.steps"),
        *("compare.methods", "compare.folds", "listening.judged_clips"),
    )

    name: str | None = option(None, "name of the run: its folder is runs/NAME; null: the date and time")
    replace: bool = option(
        False, "true: replaces a finished run in the same folder even if it is of other recordings, labels or splits"
    )
    stages: tuple[str, ...] = option(
        USUAL,
        "what to run, with what it needs; null: [tokenizer,lm,probe,vocoder,report], and what joins by default",
        choices=STAGES,
        filled=True,
    )
    seeds: int = option(
        1, "number of seeds: trains everything once with each of seed, seed + 1, ...", least=1, most=MAX_SEED
    )
    quick: bool = option(False, "true: uses only two of the folds of compare.folds")
    parallel: int | None = option(
        None,
        "number of stages, of all folds and seeds, that are made at the same time; null: as many as the cores hold "
        "with their threads (a run without a vocoder needs threads=N); 1: one after the other. It changes no result",
        least=1,
    )
    audio: SpectrogramConfig = option(SpectrogramConfig(), "the log-mel front end", given_as=AudioSettings)
    unlabelled: tuple[str, ...] | None = option(
        None, "such as [embedded,FOLDER]: more recordings for pre-training", distinct=True
    )
    unlabelled_hours: float | None = option(
        None, "hours of the unlabelled recordings that are used; null: all, 0: none", least=0
    )
    compare: ComparisonConfig = option(REQUIRED, "the comparison of representations", given_as=ComparisonConfig)
    listening: ListeningConfig = option(ListeningConfig(), "decoded sounds, to listen to in the report or judged")
    tokenizer: TokenizerSettings = option(TokenizerSettings(), "the autoencoder and the codebook", group="small")
    lm: LanguageModelSettings = option(LanguageModelSettings(), "the GPT over the codes", group="small")
    vocoder: VocoderSettings = option(VocoderSettings(), "the WaveNet that turns codes into sound", group="small")
    extras: Mapping[str, Options] = field(default_factory=dict)  # the options of every extra, by its name

    def with_seed(self, number: int) -> RunSettings:
        """Return the settings of training ``number``, from 0: it is added to all seeds but those of clips and tests."""
        moved: dict[str, Any] = {name: move_seeds(getattr(self, name), number, name=name) for name in SEEDED}
        seeded = {
            each.name: move_seeds(self.extras[each.name], number, name=each.name) for each in extras() if each.seeded
        }
        return replace(self, seed=self.seed + number, seeds=1, extras={**self.extras, **seeded}, **moved)

    def of(self, kind: type[Kind]) -> Kind:
        """Return the options of an extra, by their class."""
        return next(each for each in self.extras.values() if isinstance(each, kind))

    @property
    def chosen(self) -> tuple[Extra, ...]:
        return extras(self.stages)

    def needed(self, need: Need) -> bool:
        """Whether an extra of the run needs something."""
        return any(need in each.needs for each in self.chosen)

    @property
    def reads_codes(self) -> bool:
        """Whether any stage needs codes: all but some extras."""
        without = {each.name for each in self.chosen if not each.reads_codes}
        return not without or bool({*self.stages} - without - {"report"})

    @cached_property
    def speech_layer(self) -> VectorSource | None:
        """The layer of a speech model that makes the codes; None: the autoencoder does."""
        own = self.tokenizer
        return None if own.features == "autoencoder" else self.wav2vec2.chosen_layer(own.feature_layer)

    @property
    def coarsest_code_seconds(self) -> float:
        """Duration of a code; with several rates, of a coarsest one."""
        coarsest, *_ = self.tokenizer.by_rate
        return coarsest.patch.frames * self.audio.hop_length / self.audio.sample_rate

    @property
    def codes_per_second(self) -> float:
        """Codes of the spectrum per second, of all its bands; with several rates, those of the finest."""
        tokens = self.tokenizer.config(self.audio)
        return self.audio.sample_rate / tokens.samples_per_code * tokens.bands

    @property
    def probed_methods(self) -> tuple[Method, ...]:
        return self.compare.single_methods if "probe" in self.stages else ()

    def body(self, method: Method) -> BodySettings:
        """Return the options of the body that a method reads."""
        found: BodySettings = getattr(self, method.body) if method.body else BodySettings()
        return found

    @property
    def bodies(self) -> tuple[BodySettings, ...]:
        return tuple(getattr(self, name) for name in BODIES)

    def probes(self, method: str) -> bool:
        return any(one.name == method for one in self.probed_methods)

    @property
    def trains_lm(self) -> bool:
        """Whether a GPT over the finest codes is trained: for a stage of its own, or for a probed method."""
        own = self.needed("lm") or (self.tokenizer.rates is None and "lm" in self.stages)
        return own or any(method.reads == "lm" for method in self.probed_methods)

    @property
    def trains_rates(self) -> bool:
        read = any(method.reads == "rates" for method in self.probed_methods)
        return self.tokenizer.rates is not None and ("lm" in self.stages or self.needed("rates") or read)

    @cached_property  # the answer stays the same inside of a branch, which computes with fewer threads
    def branch_threads(self) -> int | None:
        """The number of threads of the stages behind the codes; None: each library's own number.

        A vocoder is one branch of a run, language models and probes are the other. Threads decide the rounding of
        weights, and ``parallel`` must not: each branch has half of the cores even where they follow each other. All
        threads are for runs that never make both at once.
        """
        branches = "vocoder" in self.stages and (self.trains_lm or self.trains_rates or bool(self.probed_methods))
        if self.threads is not None or not branches or self.engine.name != "local" or is_under_torchrun():
            return self.threads
        half = max(use_threads(None) // 2, 1)
        return half if choose_device(self.device).type == "cpu" and cores() // half > 1 else None

    @property
    def processes(self) -> int:
        """The number of processes that make stages at the same time, by default as many as there are cores for."""
        if self.parallel is not None:
            return self.parallel
        return 1 if self.obstacle else max(cores() // (self.branch_threads or 1), 1)

    @property
    def obstacle(self) -> str:
        """Why stages are made one after the other unless a number is given; empty if there is no reason."""
        if self.branch_threads is None:
            return "threads is null; with a number of threads, such as threads=1, several are made at the same time"
        several = "this process is one of several, which share the cores"
        return several if is_started_by_another() else self.shared_by_processes

    @property
    def shared_by_processes(self) -> str:
        """What several processes would share, or start several times; empty if there is nothing."""
        if is_under_torchrun():
            return "the processes of torchrun share each training"
        if self.engine.name == "ray" and self.engine.address is None:
            remedy = "engine.address=auto names a running one (ray start --head)"
            return f"each process would start a Ray cluster of all cores; {remedy}"
        return "all processes would share the GPU" if choose_device(self.device).type == "cuda" else ""

    @property
    def judges(self) -> bool:
        """Whether a classifier names the labels of sounds."""
        listening = self.listening
        decoded = "vocoder" in self.stages and listening.judged_clips > 0 and listening.asks("recognised")
        return self.needed("judge") or decoded


def choose_workers(wanted: int, engine: EngineConfig, *, seconds: float) -> int:
    """Return the workers for ``seconds`` of sound: starting processes takes as long as encoding some minutes."""
    return engine.workers(wanted, enough=seconds > 3600)


def of_trainings(settings: CorpusCommand) -> dict[str, object]:
    """Return the options of a command that all its trainings follow."""
    return {name: getattr(settings, name) for name in ("seed", "checkpoint_minutes") if hasattr(settings, name)}


def corpus_command(kind: type[C], config: Mapping[str, object]) -> C:
    """Build the settings of a command that uses a finished run from its completed config.

    A corpus may suggest a front end and lengths of training, which are left out unless the command has such options.
    """
    suggested = {*EXTRAS, *(each.name for each in fields(RunSettings))} - {each.name for each in fields(kind)}
    values = {name: value for name, value in with_embedded_corpus(config).items() if name not in suggested}
    settings = build(kind, values, name="")
    return follow(settings, **of_trainings(settings))
