"""Options of the whole chain, as dataclasses: built at once, before anything runs.

The last functions complete a composed config: values that follow from other options, and the built-in corpus.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, reduce
from operator import attrgetter, getitem
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args

from lm.probing.probe_options import ProbeConfig
from lm.probing.vectors import States, VectorConfig
from pipelines.methods.method import WINDOW, BackboneSettings, Method
from pipelines.methods.methods_table import (
    BACKBONES,
    METHODS,
    ROWS,
    BackbonesOfRun,
    method_of,
    own_method,
    require_features,
)
from pipelines.plugins.plugin import Need, Plugin
from pipelines.plugins.table import PLUGINS, plugins
from pipelines.settings.steps import DEFAULT_STEPS, FOLLOWING, following
from pipelines.stages.stage_options import (
    STEPS_FROM_SHIPPED,
    LanguageModelSettings,
    ListeningConfig,
    TokenizerSettings,
    VocoderSettings,
)
from pipelines.store.shared_options import DeviceOptions, EngineOptions
from pipelines.store.start_models import TOKENS
from pipelines.store.store import StoreOptions
from tokenizer.frame_sample import VectorSource
from wordless.audio.audio_options import AudioSettings, SpectrogramConfig
from wordless.audio.recordings.corpus_config import CORPUS, ColumnConfig, CorpusConfig
from wordless.audio.recordings.embedded import VOICES, VOICES_OF_SENTENCES, EmbeddedConfig, fill_in
from wordless.audio.recordings.folder import expand_home, recordings_below, require_folder
from wordless.audio.recordings.manifest import Clips
from wordless.audio.recordings.splits import folds
from wordless.audio.views import BABBLE_VOICES, LEARNED, LEARNED_SNR, Noise, NoiseWord
from wordless.base.devices import choose_device
from wordless.base.messages import InputError, within
from wordless.base.options import REQUIRED, Options, build, follow, match_choice, move_seeds, option, with_values
from wordless.base.pools import EngineConfig
from wordless.base.processes import is_started_by_another, is_under_torchrun
from wordless.base.seeds import MAX_SEED
from wordless.base.threads import cores, use_threads

LISTED = ("root", "table")  # options of the corpus that name recordings on the disk
USUAL = ("tokenizer", "lm", "probe", "vocoder", "report")  # stages of a run that names none
STAGES = (*USUAL[:-1], *PLUGINS, USUAL[-1])
OFTEN = ("corpus.root", "corpus.table", "corpus.pattern", "corpus.split.by", "store.root")
# Options that are null by default: the value for the built-in sentences, that for all other recordings, and a note.
# The validation loss on the sentences is 2.76 after 100 steps with a learning rate of 2e-3, and 3.09 with 1e-3.
# A probe of log-mel recognises 82 % of the sentences, a probe of codes 98 %.
# A page has no room for all sounds of more than four sentences.
_CHOICES = (
    ("lm.fit.lr", 2e-3, 1e-3, "null: 2e-3 with the built-in sentences, else 1e-3"),
    ("listening.evaluator", "codes", "probe", ""),
    ("listening.clips", 4, 6, ""),
)
# groups of options of trainings and of their data
SEEDED = ("tokenizer", "lm", "compare", *BACKBONES, "vocoder")
# A stream of level needs a tokenizer of log-mel at one rate, which keeps levels and is learned in this run.
LEVEL_NEEDS: dict[str, object] = {
    **{TOKENS: None, "tokenizer.rates": None, "tokenizer.features": "autoencoder"},
    **{"audio.dynamic_range": None, "audio.remove_mean": "none"},
}
# Option -> its default on the command line, which follows from other options, and a note for people.
RUN_DEFAULTS: dict[str, tuple[object, str]] = {
    "stages": (None, ""),
    # The stream was measured with people, and keeps their codes where their sound is softer: docs/log.md, "A stream of
    # level, in context". The voices of the built-in corpus are of one level, and its figures were made without it.
    "tokenizer.level": (
        None,
        "null: true for your own recordings, false with the built-in corpus and with one of these options",
    ),
    **{name: (None, note) for name, _, _, note in _CHOICES},
    **DEFAULT_STEPS,
    "vocoder.fit.steps": (
        None,
        f"{DEFAULT_STEPS['vocoder.fit.steps'][1]}; {STEPS_FROM_SHIPPED} for the built-in corpus from the weights that "
        "ship (vocoder.start)",
    ),
    "vocoder.start": ("universal", ""),
}
MAX_THREADS = 1024  # above it the system refuses threads, and libraries end the process
_NOISES = get_args(NoiseWord)
QUICK_FOLDS = 2  # of a quick comparison
MOST_NOISE = 100.0  # dB, of either sign
By = Literal["group", "groups", "fold", "split"]  # basis of the folds; groups: several in each
EMBEDDED = "<embedded corpus>"  # stands for the root, which is known after the synthesis
EMBEDDED_SOURCE = "embedded"  # in `unlabelled`, for the embedded corpus
C = TypeVar("C", bound="CorpusCommand")
OptionsKind = TypeVar("OptionsKind")


def _name(folder: Path) -> str:
    """Return the name that the user wrote, of a link, too; "/" has none but itself."""
    return Path(os.path.normpath(folder.absolute())).name or str(folder)


@dataclass(frozen=True, kw_only=True)
class ReadingConfig(VectorConfig):
    states: tuple[States, ...] = option(
        ("residual",),
        "residual: probes read the outputs of the GPT's layers; inner: activations within the layers; or both",
        filled=True,
        distinct=True,
    )
    input: bool = option(
        False,
        "whether a further candidate has the network's input, codes or log-mel, beside all layers side by side "
        "(together in layers)",
    )

    @property
    def vectors(self) -> VectorConfig:
        return VectorConfig(**{each.name: getattr(self, each.name) for each in fields(VectorConfig)})


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig(ReadingConfig):
    methods: tuple[str, ...] = option(
        ("log_mel", "bottleneck", "bag_of_codes", "gpt", "random_gpt"),
        "what is probed; gpt+simclr: features of both side by side",
        choices=METHODS,
        joined=True,
        filled=True,
    )
    folds: Literal["group", "fold"] | int | None = option(
        None,
        "group or fold: holds out each in turn; a number: as many sets of whole groups, as even as groups allow; null: "
        "the corpus's own split",
    )
    references: tuple[str, ...] | None = option(
        None, "rows that all others are compared with, such as [gpt,simclr] or [supervised_head]; null: the GPT"
    )
    noise_snr: tuple[float, ...] = option(
        (),
        "such as [30,20,10,0]: probes also classify the test clips with noise at these signal-to-noise ratios in dB",
        least=-MOST_NOISE,
        most=MOST_NOISE,
        distinct=True,
    )
    noise: str | tuple[str, ...] = option(
        "white",
        f"kind of that noise, or a list of kinds: white; babble, the sum of {BABBLE_VOICES} training clips at equal "
        "power, fewer are repeated; a folder, such as recordings/rain, of which each clip has one excerpt",
        filled=True,
    )
    noisy_copies: bool = option(
        False,
        "whether every probe also learns from a copy of each labelled training clip with noise of any spectrum, at a "
        f"ratio from {LEARNED_SNR[0]:g} to {LEARNED_SNR[1]:g} dB",
    )
    features: Mapping[str, Path] | None = option(
        None, "{name: file}: feature vectors of other programs, in .npz, .safetensors or .parquet (docs/compare.md)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, file in (self.features or {}).items():
            rule = f"features.{name} has one vector for each clip: choose 1, or leave the features out"
            self.refuse_if(self.test_time_augmentation > 1, "test_time_augmentation", rule)
            rule = f"features.{name} has no vectors of noisy clips: leave noise out, or the features"
            ratios = "noise_snr" if self.noise_snr else "noisy_copies"
            self.refuse_if(self.noises, ratios, rule)
            require_features(name, file)
        rule = "there is no noise without ratios: name some, such as compare.noise_snr=[20,10]"
        self.refuse_if(self.noise != "white" and not self.noise_snr, "noise", rule)
        given = (self.noise,) if isinstance(self.noise, str) else self.noise
        rule = "two kinds of noise have the same name: name each once, and rename a folder that is called like another"
        self.refuse_if(len(self._noises) < len(given) or {*self.noise_folders} & {*_NOISES}, "noise", rule)
        for folder in self.noise_folders.values():
            words = f"choose {', '.join(_NOISES)}, or a folder of recordings"
            try:
                recordings_below(require_folder(str(folder), option="noise"))
            except InputError as error:
                raise InputError(option="noise", value=folder, rule=error.rule, remedy=words) from error
        for method in self.single_methods:
            network = method.kind in ("self_supervised", "supervised", "untrained")
            rule = f"{method.name} has no input that could stand beside its layers: choose false, or leave it out"
            self.refuse_if(self.input and network and method.input is None, "input", rule)
        rows = [row.name for method in self.all_methods for row in (method, method.head) if row]
        for place, name in enumerate(self.references or ()):
            match_choice(tuple(rows), name, option=f"references[{place}]")

    @property
    def rows_referred(self) -> tuple[str, ...]:
        """The rows that all others are compared with."""
        return self.references or ("gpt",)

    @property
    def _noises(self) -> dict[str, Path | None]:
        """The names of the kinds of noise, and the folder of those that have one."""
        given = (self.noise,) if isinstance(self.noise, str) else self.noise
        folders = (None if each in _NOISES else expand_home(each, "noise") for each in given)
        return {_name(folder) if folder else each: folder for each, folder in zip(given, folders, strict=True)}

    @property
    def noise_folders(self) -> dict[str, Path]:
        return {name: folder for name, folder in self._noises.items() if folder is not None}

    @property
    def noises(self) -> tuple[Noise, ...]:
        """What test clips are classified with, beside their sound as it is, and what probes learn from."""
        tested = (Noise(kind, snr) for kind in self._noises for snr in self.noise_snr)
        return (*([LEARNED] if self.noisy_copies else []), *tested)

    @cached_property
    def all_methods(self) -> tuple[Method, ...]:
        """The methods, each once, in the order of the option, then the features that the user brings."""
        for name in {*ROWS} & {*(self.features or {})}:
            rule = "it is the name of a method: give the features another name"
            raise InputError(option="features", value=name, rule=rule)
        named = tuple(map(method_of, dict.fromkeys(self.methods)))
        return named + tuple(own_method(name, file) for name, file in (self.features or {}).items())

    @cached_property
    def single_methods(self) -> tuple[Method, ...]:
        """The methods whose features are needed, each once: also those that only stand beside others."""
        return tuple(dict.fromkeys([one for method in self.all_methods for one in method.singles]))

    @property
    def by(self) -> By:
        """What is held out in turn."""
        return "groups" if isinstance(self.folds, int) else self.folds or "split"

    def divide(self, manifest: Clips, *, quick: bool, shared_groups: bool = False, seed: int = 0) -> tuple[Clips, ...]:
        """Return the folds of a corpus; without the option ``folds`` a single one, its own split.

        ``shared_groups`` allows a group in several given folds. The ``seed`` draws sets of groups.
        """
        if self.folds is None:
            return (replace(manifest, name="test"),)
        with within("corpus", folds="compare.folds"):
            at_most = QUICK_FOLDS if quick else None
            return folds(manifest, by=self.folds, at_most=at_most, shared_groups=shared_groups, seed=seed)


@dataclass(frozen=True, kw_only=True)
class CorpusCommand(DeviceOptions, EngineOptions, StoreOptions):
    defaults: ClassVar[Mapping[str, tuple[object, str]]] = {
        f"embedded.{name}": (None, "") for name in ("voices", "sentences", "words", "repetitions")
    }
    # Seeds of a command follow `seed`, but for that of the built-in corpus, whose recordings are shared.
    fixed_seeds: ClassVar[tuple[str, ...]] = ("embedded.seed",)

    seed: int = option(0, "seed of everything random", least=0, most=MAX_SEED)
    embedded: EmbeddedConfig = option(EmbeddedConfig(), "the built-in corpus of spoken sentences or words")
    probe: ProbeConfig = option(ProbeConfig(), "the linear probes")
    # After all sizes, because the file of a data set may set other lengths of training.
    corpus: CorpusConfig = option(REQUIRED, CORPUS, command_line_type=CorpusConfig, group="embedded")


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
    tensorboard: bool = option(True, "false: no training curves, figures and pictures for TensorBoard are written")


@dataclass(frozen=True, kw_only=True)
class RunSettings(BackbonesOfRun, TrainingCommand):
    """All options of ``wordless run``.

    examples: wordless run experiment=smoke
              wordless run corpus.root=recordings lm.fit.steps=5000
              wordless run -m tokenizer.patch.frames=2,4
    """

    defaults: ClassVar[Mapping[str, tuple[object, str]]] = {
        **RUN_DEFAULTS,
        **CorpusCommand.defaults,
    }
    presets: ClassVar[Mapping[str, tuple[str, str]]] = {
        "experiment": ("default", "ready-made settings of several groups, such as those of a comparison")
    }
    often: ClassVar[tuple[str, ...]] = (
        *OFTEN,
        *("audio.sample_rate", "tokenizer.codebook_size", "tokenizer.patch.frames"),
        *("lm.gpt.layers", "lm.gpt.model_dim", "lm.fit.steps", "vocoder.fit.steps"),
        *("compare.methods", "compare.folds", "listening.evaluated_clips"),
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
    audio: SpectrogramConfig = option(SpectrogramConfig(), "the log-mel front end", command_line_type=AudioSettings)
    unlabelled: tuple[str, ...] | None = option(
        None, "such as [embedded,FOLDER]: more recordings for pre-training", distinct=True
    )
    unlabelled_hours: float | None = option(
        None, "hours of the unlabelled recordings that are used; null: all, 0: none", least=0
    )
    compare: ComparisonConfig = option(
        REQUIRED, "the comparison of representations", command_line_type=ComparisonConfig
    )
    listening: ListeningConfig = option(ListeningConfig(), "decoded sounds, to listen to in the report, or evaluated")
    tokenizer: TokenizerSettings = option(TokenizerSettings(), "the autoencoder and the codebook", group="small")
    lm: LanguageModelSettings = option(LanguageModelSettings(), "the GPT over the codes", group="small")
    vocoder: VocoderSettings = option(VocoderSettings(), "the WaveNet that turns codes into sound", group="small")
    plugins: Mapping[str, Options] = field(default_factory=dict)  # the options of every plugin, by its name

    def with_seed(self, number: int) -> RunSettings:
        """Return the settings of training ``number``, from 0: it is added to all seeds but those of clips and tests."""
        if not number and self.seeds == 1:
            return self
        moved: dict[str, Any] = {name: move_seeds(getattr(self, name), number, name=name) for name in SEEDED}
        seeded = {
            each.name: move_seeds(self.plugins[each.name], number, name=each.name) for each in plugins() if each.seeded
        }
        return replace(self, seed=self.seed + number, seeds=1, plugins={**self.plugins, **seeded}, **moved)

    def with_recordings(self, clips: Clips, unlabelled: Sequence[Clips] = ()) -> RunSettings:
        """Return the settings with the steps that follow from the training clips of a split, and from more sources."""
        more = [clip for each in unlabelled for clip in each.clips]
        groups = {name: attrgetter(name)(self) for name in FOLLOWING}
        frame_seconds = self.audio.hop_length / self.audio.sample_rate
        changed: dict[str, Any] = {}
        for name, group in following(groups, clips.of("train"), more, frame_seconds=frame_seconds).items():
            outer, _, inner = name.partition(".")
            own = changed.get(outer, getattr(self, outer))
            changed[outer] = replace(own, **{inner: group}) if inner else group
        return replace(self, **changed) if changed else self

    def of(self, kind: type[OptionsKind]) -> OptionsKind:
        """Return the options of a plugin, by their class."""
        return next(each for each in self.plugins.values() if isinstance(each, kind))

    @property
    def chosen(self) -> tuple[Plugin, ...]:
        return plugins(self.stages)

    def needed(self, need: Need) -> bool:
        """Whether a plugin of the run needs something."""
        return any(need in each.needs for each in self.chosen)

    @property
    def reads_codes(self) -> bool:
        return reads_codes(self.stages)

    @cached_property
    def readable_corpus(self) -> CorpusConfig:
        """The corpus of clips that are long enough for every probed method."""
        own, rate = self.corpus.inspection, self.audio.sample_rate
        seconds = [self.backbone(method).least_seconds(method, rate) for method in self.probed_methods]
        inspection = replace(own, min_seconds=max([own.min_seconds, *seconds]))
        return with_values(self.corpus, inspection=inspection)

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

    def backbone(self, method: Method) -> BackboneSettings:
        """Return the options of the backbone that a method reads."""
        found: BackboneSettings = getattr(self, method.backbone) if method.backbone else BackboneSettings()
        return found

    @property
    def backbones(self) -> tuple[BackboneSettings, ...]:
        return tuple(getattr(self, name) for name in BACKBONES)

    def learned_by(self, row: Method) -> str:
        """Return what a row's network has learned to predict, with the length of its target."""
        if row.target != WINDOW:
            return row.learns
        patch = self.tokenizer.patch.frames * self.audio.hop_length / self.audio.sample_rate
        return f"the code of the {self.denoising.window_patches(patch) * patch:g} s around, unchanged"

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
    def names_labels(self) -> bool:
        """Whether a classifier names the labels of sounds."""
        listening = self.listening
        decoded = "vocoder" in self.stages and listening.evaluated_clips > 0 and listening.asks("label_accuracy")
        return self.needed("evaluator") or decoded


def reads_codes(stages: Sequence[str]) -> bool:
    """Return whether any of the stages of a run needs codes: all but some plugins."""
    without = {each.name for each in plugins(stages) if not each.reads_codes}
    return not without or bool({*stages} - without - {"report"})


def choose_workers(wanted: int, engine: EngineConfig, *, seconds: float) -> int:
    """Return the workers for ``seconds`` of sound: starting processes takes as long as encoding some minutes."""
    return engine.workers(wanted, enough=seconds > 3600)


def require_one_training(stage: str, settings: RunSettings, remedy: str) -> None:
    """Refuse several folds or seeds for a stage."""
    folds = f"compare.folds is {settings.compare.folds}" if settings.compare.folds else ""
    if several := " and ".join(filter(None, (folds, f"seeds is {settings.seeds}" if settings.seeds > 1 else ""))):
        problem = f"{several}, which trains all several times, and the stage {stage} is of one training"
        raise InputError(f"{problem}: {remedy}")


OF_TRAININGS = ("seed", "checkpoint_minutes")  # options of a command that all its trainings follow


def of_trainings(settings: CorpusCommand) -> dict[str, object]:
    """Return the options of a command that all its trainings follow."""
    return {name: getattr(settings, name) for name in OF_TRAININGS if hasattr(settings, name)}


def corpus_command(kind: type[C], config: Mapping[str, object]) -> C:
    """Build the settings of a command that uses a finished run from its completed config.

    A corpus may suggest a front end and lengths of training, which are left out unless the command has such options.
    """
    suggested = {*PLUGINS, *(each.name for each in fields(RunSettings))} - {each.name for each in fields(kind)}
    values = {name: value for name, value in with_embedded_corpus(config).items() if name not in suggested}
    settings = build(kind, values, name="")
    return follow(settings, **of_trainings(settings))


def with_choices(config: Mapping[str, object]) -> dict[str, Any]:
    """Return a copy of the config with values in place of null, where other options decide them.

    Plugins may join a run on the built-in corpus that names no stages.
    """
    values: dict[str, Any] = deepcopy(dict(config))
    own = plugins(values)
    alone, unheard = is_embedded(values["corpus"]), max([0, *(values[of.name][of.voices] for of in own if of.voices)])
    voices = min(VOICES_OF_SENTENCES, len(VOICES) - unheard) if unheard < len(VOICES) else VOICES_OF_SENTENCES
    values["embedded"] = fill_in(values["embedded"], alone=alone, voices=voices)
    if "stages" not in values:  # of another command than run
        return values
    of_sentences = alone and values["embedded"]["sentences"] > 0
    for name, with_sentences, with_others, _ in _CHOICES:
        *places, last = name.split(".")
        group = reduce(getitem, places, values)
        if group[last] is None:
            group[last] = with_sentences if of_sentences else with_others
    if values["tokenizer"]["level"] is None:
        plain = all(reduce(getitem, name.split("."), values) == own for name, own in LEVEL_NEEDS.items())
        values["tokenizer"]["level"] = plain and not alone
    if values["stages"] is None:
        values["stages"] = usual_stages(values)
    return values


def usual_stages(config: Mapping[str, Any]) -> list[str]:
    """Return the stages of a run that names none."""
    joining = [each.name for each in plugins(config) if is_embedded(config["corpus"]) and each.joins(config) == ""]
    return [*USUAL[:-1], *joining, USUAL[-1]]


def is_embedded(corpus: Mapping[Any, object]) -> bool:
    """Return whether a corpus names no other recordings than the built-in ones."""
    return all(corpus.get(name) is None for name in (*LISTED, "dataset"))


def with_embedded_corpus(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a completed config, with the embedded corpus if no recordings are named; refuse two places."""
    copied = deepcopy({**config})
    corpus: dict[str, Any] = copied["corpus"]
    listed, packed = [name for name in LISTED if corpus.get(name)], corpus.get("dataset")
    if listed and packed:  # a data set is unpacked into a folder with a table
        first, second = f"corpus.dataset={packed}", f"corpus.{listed[0]}={corpus[listed[0]]}"
        raise InputError(f"{first} has its own recordings, and {second} names others; leave one of them out")
    if is_embedded(corpus):
        plain = {"pattern": None, **{f"columns.{name}": value for name, value in asdict(ColumnConfig()).items()}}
        given = {**corpus, **{f"columns.{name}": column for name, column in corpus.get("columns", {}).items()}}
        for name, default in plain.items():
            if (value := given.get(name, default)) != default:
                raise InputError(
                    f"corpus.{name}={value}, but no corpus.root, corpus.table or corpus.dataset says "
                    f"where the recordings are: add one of them; the built-in corpus takes no corpus.{name}"
                )
        corpus.update(root=EMBEDDED, embedded=copied["embedded"])
    return copied


def corpus_options(config: Mapping[str, Any]) -> CorpusConfig:
    """Build the options of the corpus of a completed config."""
    corpus = with_embedded_corpus(config)["corpus"]
    if "embedded" in corpus:
        build(EmbeddedConfig, corpus["embedded"], name="embedded")  # refuses values at the place where they were set
    return build(CorpusConfig, corpus, name="corpus")
