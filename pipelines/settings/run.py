"""Options of the whole chain, as dataclasses: built at once, before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeVar, get_args

from audio.recordings.corpus import CorpusConfig
from audio.recordings.embedded import EmbeddedConfig
from audio.spectrogram import SpectrogramConfig
from foundation.configuration import build, move_seeds
from foundation.devices import Device
from foundation.engine import LOCAL, EngineConfig
from foundation.errors import InputError
from foundation.hub import local_weights
from foundation.ranges import require
from foundation.seeds import require_seed
from lm.batches import MIN_PAIRS
from lm.probing.config import ProbeConfig, shared_tries
from pipelines.methods.method import Method
from pipelines.methods.table import METHODS
from pipelines.rates.continuations import RatesConfig
from pipelines.settings.comparison import ComparisonConfig
from pipelines.settings.completed import with_embedded_corpus, with_samples
from pipelines.settings.gang import processes, require_equal_share, require_sharding
from pipelines.settings.model_memory import require_memory
from pipelines.settings.parallel import choose_parallel, require_parallel
from pipelines.settings.speech_layer import choose_layer, require_speech_layer
from pipelines.stages.audio_transformer import AudioTransformerSettings
from pipelines.stages.baselines import BaselineSettings
from pipelines.stages.language_model import LanguageModelSettings
from pipelines.stages.next_sample import NextSampleSettings
from pipelines.stages.playback import ListeningConfig
from pipelines.stages.spectrogram_transformer import AstSettings
from pipelines.stages.tokenizer import TokenizerSettings
from pipelines.stages.vocoder import VocoderSettings
from pipelines.stages.wav2vec2 import Wav2vec2Settings
from pipelines.stages.zerospeech import ZerospeechConfig
from pipelines.store.store import StoreConfig
from pipelines.tracking.table import require_trackers
from tokenizer.speech_layer import ChosenLayer

T = TypeVar("T")
Stage = Literal["tokenizer", "lm", "probe", "vocoder", "zerospeech", "rates", "next_sample", "report"]
MAX_THREADS = 1024  # above it the system refuses threads, and libraries end the process
# groups of options of trainings and of their data
SEEDED = ("tokenizer", "lm", "compare", "baselines", "ast", "audio_transformer", "wav2vec2", "vocoder", "next_sample")
EMBEDDED_SOURCE = "embedded"  # in `unlabelled`, for the embedded corpus


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """All options of ``wordless run``."""

    corpus: CorpusConfig
    embedded: EmbeddedConfig
    audio: SpectrogramConfig
    tokenizer: TokenizerSettings
    lm: LanguageModelSettings
    unlabelled: tuple[str, ...] | None  # additional recordings for pre-training: "embedded", and folders
    unlabelled_hours: float | None  # of them all together; None: everything
    compare: ComparisonConfig
    baselines: BaselineSettings
    ast: AstSettings
    audio_transformer: AudioTransformerSettings
    wav2vec2: Wav2vec2Settings
    probe: ProbeConfig
    vocoder: VocoderSettings
    listening: ListeningConfig
    zerospeech: ZerospeechConfig
    next_sample: NextSampleSettings
    rates: RatesConfig
    stages: tuple[Stage, ...]
    seed: int
    seeds: int  # number of trainings of everything, with consecutive seeds from `seed` on
    quick: bool  # two of the folds only
    device: Device
    workers: int
    engine: EngineConfig = LOCAL
    threads: int | None  # per process; None: as many as it may use. Part of a training's key
    parallel: int | None  # (fold, seed) pairs at the same time; None: as many as the cores allow with `threads` each
    store: StoreConfig
    name: str | None = None  # of the folder; the command line has used it before
    tracking: tuple[str, ...] = ()  # names in the table of trackers

    def __post_init__(self) -> None:
        trainings = [each.training for each in self.probed_methods if each.training]
        networks = [each.network(self) for each in trainings if each.network]
        models = (self.tokenizer, self.lm, self.vocoder, self.baselines, self.next_sample)
        require_memory(self.device, self.audio, *models, networks)
        self.next_sample.require_rate(self.audio.sample_rate)
        if self.reads_codes:
            require_speech_layer(self)
        self._require_same_frames()
        self.lm.gpt.require_room(self.tokenizer.config(self.audio).streams)
        self.vocoder.crops.look_ahead(self.vocoder.wavenet)
        self._require_equal_shares()
        require_sharding(self.lm)
        self._require_pairs()
        self._require_rates()
        self._require_one_run()
        self._require_comparable()
        self._require_unlabelled()
        if (self.probed_methods or self.judges) and self.corpus.label_type != "class":
            raise InputError(
                f"corpus.label_type={self.corpus.label_type}, but probes and judges predict classes: leave the probes "
                "out (stages=[tokenizer,lm,report]), and learn such labels with wordless finetune"
            )
        if not self.stages:
            raise InputError(f"stages is empty; name at least one of {', '.join(get_args(Stage))}")
        require_trackers(self.tracking)
        require(self.workers >= 0, "workers", self.workers, "choose 0 (as many as fit) or a number of processes")
        rule = f"choose null (as many as this process may use), or 1 to {MAX_THREADS}"
        require(self.threads is None or 1 <= self.threads <= MAX_THREADS, "threads", self.threads, rule)
        require_parallel(self.parallel, threads=self.threads, device=self.device, engine=self.engine)
        if self.quick and self.compare.folds is None:
            raise InputError("quick=true takes two of the folds; name compare.folds=group or fold, too")
        require(self.seeds >= 1, "seeds", self.seeds, "choose 1 or more")
        require_seed(self.seed, "seed")
        require_seed(self.seed + self.seeds - 1, "seed + seeds - 1")

    def with_seed(self, number: int) -> "RunSettings":
        """Return the settings of training ``number`` of ``seeds``, from 0: all seeds are increased by it.

        The seeds of corpus, probes, listening and rates stay: they decide recordings, and what tests judge.
        """
        moved = {name: move_seeds(getattr(self, name), number, name=name) for name in SEEDED}
        return replace(self, seed=self.seed + number, seeds=1, **moved)

    def group(self, kind: type[T]) -> T:
        """Return the group of options of a type, which a method asks for its own options."""
        return next(value for value in vars(self).values() if isinstance(value, kind))

    @property
    def reads_codes(self) -> bool:
        """Whether any stage needs codes: all but a comparison of language models of samples."""
        return "next_sample" not in self.stages or bool({*self.stages} - {"next_sample", "report"})

    @cached_property
    def speech_layer(self) -> ChosenLayer | None:
        """The layer of a speech model that makes the codes; None: the autoencoder does."""
        return None if self.tokenizer.features == "autoencoder" else choose_layer(self.tokenizer, self.wav2vec2)

    @property
    def probed_methods(self) -> tuple[Method, ...]:
        """The methods that are probed."""
        return self.compare.all_methods if "probe" in self.stages else ()

    def probes(self, method: str) -> bool:
        """Return whether the method of this name is probed."""
        return any(one.name == method for one in self.probed_methods)

    @property
    def trains_lm(self) -> bool:
        """Whether a GPT over the finest codes is trained: for a stage of its own, or for a probed method."""
        own = {"zerospeech", "rates"} if self.tokenizer.rates else {"lm", "zerospeech"}
        return bool(own & {*self.stages}) or any(method.reads_lm for method in self.probed_methods)

    @property
    def trains_rates(self) -> bool:
        """Whether the language models of several rates are trained."""
        read = any(method.reads_rates for method in self.probed_methods)
        return self.tokenizer.rates is not None and (bool({"lm", "rates"} & {*self.stages}) or read)

    @property
    def pretrains_wav2vec2(self) -> bool:
        """Whether wav2vec 2.0 is pre-trained: for a probed method, and without weights of the user."""
        return self.wav2vec2.weights is None and (self.probes("wav2vec2") or self.probes("wav2vec2_finetuned"))

    @property
    def parallel_pairs(self) -> int:
        """Largest number of (fold, seed) pairs that are trained at the same time."""
        return choose_parallel(self.parallel, threads=self.threads, device=self.device, engine=self.engine)

    @property
    def judges(self) -> bool:
        """Whether decoded clips are judged."""
        return "vocoder" in self.stages and self.listening.judged_clips > 0

    @property
    def trains_supervised(self) -> bool:
        """Whether a supervised network is trained: to be compared, or to judge decoded clips."""
        return self.probes("supervised") or (self.judges and self.listening.judge == "supervised")

    def _require_comparable(self) -> None:
        """Refuse methods that cannot be made, or that offer more candidates than a probe has tries."""
        for method in self.probed_methods:
            shared_tries(method.candidates(self), self.probe.tries, of=method.name)
            method.require_options(self)

    def _require_unlabelled(self) -> None:
        """Refuse a source that is named twice, and hours of nothing."""
        sources, hours = self.unlabelled or (), self.unlabelled_hours
        for source in sources:
            if source != EMBEDDED_SOURCE and source.lower() == EMBEDDED_SOURCE:
                raise InputError(
                    f"unlabelled={source}: name a folder, such as ./{source}, or embedded (in small letters)"
                )
        if twice := [source for source in sources if sources.count(source) > 1]:
            raise InputError(f"unlabelled names {twice[0]} twice; name each folder once")
        if hours is None:
            return
        require(hours >= 0, "unlabelled_hours", hours, "choose null (all), 0 (none) or a number of hours")
        if hours and not sources:
            raise InputError(
                f"unlabelled_hours is {hours:g}, but unlabelled names no recordings: add unlabelled=embedded or "
                "unlabelled=[FOLDER], or leave unlabelled_hours out"
            )

    def _require_pairs(self) -> None:
        """Refuse a contrastive loss without two views of each clip, and several clips in each process."""
        own = self.lm
        if not own.contrasts:
            return
        if not own.views.of("", self.tokenizer.patch.frames):
            raise InputError(
                f"lm.contrast_weight is {own.contrast_weight}, but lm.views makes no other view of a clip: raise "
                "lm.views.warps"
            )
        least = own.least_windows * processes()
        if own.batches.batch_size < least:
            raise InputError(
                f"lm.batches.batch_size is {own.batches.batch_size}; with lm.contrast_weight each process tells "
                f"{MIN_PAIRS} pairs of windows or more apart in each accumulation step: choose {least} or more"
            )

    def _require_rates(self) -> None:
        """Refuse models of several rates without a layer for each, and a contrastive loss, which they do not have."""
        rates = self.tokenizer.rates
        if rates is None and "rates" in self.stages:
            raise InputError(
                "stages has rates, which compares codes at several rates, and tokenizer.rates is null: add "
                "tokenizer.rates=[8,4,2], or leave the stage out"
            )
        if rates is None or not self.trains_rates:
            return
        self.lm.divided(len(rates))
        if self.lm.contrasts:
            raise InputError(
                f"tokenizer.rates is {list(rates)} and lm.contrast_weight {self.lm.contrast_weight}; the models of "
                "several rates only predict codes: choose lm.contrast_weight=0 or tokenizer.rates=null"
            )

    def _require_one_run(self) -> None:
        """Refuse stages that need a single model in a run of several folds or seeds."""
        folds = [f"compare.folds is {self.compare.folds}"] if self.compare.folds else []
        several = [*folds, *([f"seeds is {self.seeds}"] if self.seeds > 1 else [])]
        if "rates" in self.stages and several:
            raise InputError(
                f"{' and '.join(several)}, which trains everything several times, and the stage rates compares one "
                "training: leave it out, or sweep over seeds (wordless run -m seed=0,1,2)"
            )
        if "vocoder" in self.stages and several:
            raise InputError(
                f"{' and '.join(several)}, which trains everything several times, and a run has one vocoder: leave the "
                "vocoder out, stages=[tokenizer,lm,probe,report]"
            )
        if "next_sample" in self.stages and folds:
            raise InputError(
                f"{folds[0]}, and the stage next_sample compares models on the corpus's one split, over seeds: use "
                "compare.folds=null and seeds=3"
            )

    def _require_equal_shares(self) -> None:
        """Refuse batches that processes and accumulation steps cannot divide equally, of what this run trains."""
        judge = [METHODS["supervised"]] if self.trains_supervised else []
        trainings = [each.training for each in dict.fromkeys([*self.probed_methods, *judge]) if each.training]
        baselines = [(f"{one.option}.batches", one.options(self)) for one in trainings]
        models = (
            ("lm.batches", self.lm.batches.batch_size, self.lm.fit.accumulation, self.trains_lm or self.trains_rates),
            ("vocoder.crops", self.vocoder.crops.batch_size, self.vocoder.fit.accumulation, "vocoder" in self.stages),
            (
                "next_sample.crops",
                self.next_sample.crops.batch_size,
                self.next_sample.fit.accumulation,
                "next_sample" in self.stages,
            ),
        )
        for name, size, accumulation in (
            *((name, size, accumulation) for name, size, accumulation, trained in models if trained),
            *((name, own.batches.batch_size, own.fit.accumulation) for name, own in baselines),
        ):
            views = 2 if name == "lm.batches" and self.lm.contrasts else 1
            require_equal_share(name, size, accumulation=accumulation, views=views)

    def _require_same_frames(self) -> None:
        """Refuse a vocoder whose rates differ from those of the tokenizer, and options that name its groups."""
        wavenet = self.vocoder.wavenet
        if wavenet.groups:
            raise InputError(
                f"vocoder.wavenet.groups is {', '.join(wavenet.groups)}, but the groups are those of the training "
                "clips: leave vocoder.wavenet.groups out"
            )
        listens = {**vars(self.audio), "patch_frames": self.tokenizer.patch.frames}
        for name in ("sample_rate", "hop_length", "n_mels", "patch_frames"):
            if getattr(wavenet, name) != listens[name]:
                raise InputError(
                    f"vocoder.wavenet.{name} is {getattr(wavenet, name)}, the tokenizer's {listens[name]}; they must "
                    f"be equal: leave vocoder.wavenet.{name} out"
                )


def run_settings(config: Mapping[str, object]) -> RunSettings:
    """Build the settings from a composed config; without root and table the corpus is the embedded one."""
    values = with_samples(with_embedded_corpus(config))
    for name in ("stages", "unlabelled", "tracking"):  # a single value needs no brackets
        if isinstance(values.get(name), str):
            values[name] = [values[name]]
    return _with_readable_clips(build(RunSettings, _with_local_weights(values), name=""))


def _with_local_weights(values: Mapping[str, object]) -> dict[str, object]:
    """Replace addresses of the Hugging Face hub in all options ``weights`` by local copies."""
    found = dict(values)
    for name, value in values.items():
        if isinstance(value, Mapping):
            found[name] = _with_local_weights(value)
        elif name == "weights" and isinstance(value, str):
            found[name] = local_weights(value)
    return found


def _with_readable_clips(settings: RunSettings) -> RunSettings:
    """Return the settings with a `min_seconds` that every probed method can read."""
    inspection = settings.corpus.inspection
    shortest = max([inspection.min_seconds, *(method.shortest(settings) for method in settings.probed_methods)])
    corpus = replace(settings.corpus, inspection=replace(inspection, min_seconds=shortest))
    return replace(settings, corpus=corpus)


def choose_workers(wanted: int, engine: EngineConfig, *, seconds: float) -> int:
    """Return the workers for ``seconds`` of sound: starting processes takes as long as encoding some minutes."""
    return engine.workers(wanted, enough=seconds > 3600)
