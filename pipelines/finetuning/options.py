"""Options of ``wordless finetune``."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, TypeVar

from lm.bodies.body import BodyOptions, FrozenLayers, require_frozen_layers
from lm.bodies.options import WaveformBatchConfig
from lm.bodies.table import BODIES
from lm.heads.head import FigureConfig, HeadOptions
from lm.heads.table import HEADS
from lm.options import ProbeConfig
from pipelines.commandline.outputs import require_kind
from pipelines.settings.completed import EMBEDDED
from pipelines.settings.parallel import MAX_THREADS, require_equal_share
from pipelines.settings.run import own_options
from pipelines.store.run_folder import require_output
from pipelines.store.store import StoreConfig
from pipelines.tracking.tracking import require_trackers
from wordless.audio.decoding import Channel, require_choice
from wordless.audio.recordings.corpus import CorpusConfig
from wordless.audio.recordings.embedded import EmbeddedConfig
from wordless.base.configuration import build
from wordless.base.devices import Device
from wordless.base.engine import LOCAL, EngineConfig
from wordless.base.errors import InputError
from wordless.base.options import Options, option
from wordless.base.ranges import require
from wordless.base.seeds import require_seeds
from wordless.base.text import suggestion
from wordless.training.options import FitConfig

T = TypeVar("T")
Opponent = Literal["scratch", "probe"]
NUMBERS = ("speed", "pitch")  # labels of the embedded corpus that are numbers

# Options of probes that have no effect here, with their values in conf/finetune.yaml.
UNUSED: Mapping[str, tuple[object, str]] = {
    "label_separator": (None, ", and set head.label_separator"),
    "learning_curve": ((), ", and set shares"),
    "resamples": (1000, ", and set figures.resamples"),
    "confidence": (0.95, ", and set figures.confidence"),
}


@dataclass(frozen=True, kw_only=True)
class BodyConfig:
    """Options that all bodies have."""

    name: str  # in the table of bodies
    weights: str  # none: random weights; else pre-trained weights, as each body explains
    frozen_layers: FrozenLayers  # layers, from the inputs on, whose weights stay; all: only the head is trained
    learning_rates: tuple[float, ...] | None  # each is tried, and validation chooses; None: fit.lr
    batches: WaveformBatchConfig
    fit: FitConfig

    def __post_init__(self) -> None:
        require_known(self.name, BODIES, "body")
        require_frozen_layers(self.frozen_layers)
        rates = self.learning_rates
        rule = "list learning rates above 0, each once, or null for body.fit.lr"
        fitting = rates is None or (len(rates) == len({*rates}) > 0 and min(rates) > 0)
        require(fitting, "body.learning_rates", list(rates or ()), rule)

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates that are tried."""
        return self.learning_rates or (self.fit.lr,)


@dataclass(frozen=True, kw_only=True)
class ChannelConfig:
    """How recordings are read, where their body does not say it."""

    channel: Channel | None  # None: that of the run's tokenizer, or the mean of all

    def __post_init__(self) -> None:
        if self.channel is not None:
            require_choice(self.channel, "audio.channel")


@dataclass(frozen=True, kw_only=True)
class CommandConfig(Options):
    """Options of the command outside body and head."""

    model: Path | None  # folder of a run; None: the body needs no run
    output: Path | None  # folder; None: a folder in the folder of the run
    upsample: bool  # whether recordings may have a lower rate than the body
    audio: ChannelConfig
    shares: tuple[float, ...]  # of the training labels, ascending; the model of the largest share is saved
    seeds: int  # trainings of everything, with consecutive seeds from `seed` on
    seed: int
    beside: tuple[Opponent, ...]  # scratch: the same body with random weights; probe: a linear probe
    corpus: CorpusConfig
    embedded: EmbeddedConfig
    probe: ProbeConfig
    figures: FigureConfig
    device: Device
    threads: int | None = option(None, "number of computing threads; null: all", least=1, most=MAX_THREADS)
    workers: int = option(0, "processes that read; 0: all cores if the corpus is large", least=0)
    engine: EngineConfig = LOCAL
    store: StoreConfig
    tracking: tuple[str, ...] = ()  # names in the table of trackers

    def __post_init__(self) -> None:
        super().__post_init__()
        require_trackers(self.tracking)
        if self.output is not None:
            require_kind(self.output, (), possible="a folder")
        require_output(self.model, self.output, example="output=FOLDER")
        shares = list(self.shares)
        rule = "list shares of the labels above 0, up to 1, ascending: [0.01, 0.1, 1]"
        fitting = shares == sorted({*shares}) and shares and all(0 < share <= 1 for share in shares)
        require(bool(fitting), "shares", shares, rule)
        require(len({*self.beside}) == len(self.beside), "beside", list(self.beside), "name each once")
        rule = "the probe is compared with a network whose weights the validation clips choose: leave it at validation"
        require(self.probe.choose_by == "validation", "probe.choose_by", self.probe.choose_by, rule)
        for name, (left_out, instead) in UNUSED.items():
            value = getattr(self.probe, name)
            require(value == left_out, f"probe.{name}", value, f"it changes nothing here; leave it out{instead}")
        require_seeds(self.seed, self.seeds)


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """All options of ``wordless finetune``."""

    command: CommandConfig
    body: BodyConfig
    body_options: BodyOptions
    head: str  # its name in the table
    head_options: HeadOptions

    def __post_init__(self) -> None:
        wanted, corpus, embedded = self.head_options.label_type, self.command.corpus, self.command.embedded
        if corpus.label_type not in ("class", wanted):
            raise InputError(
                f"corpus.label_type={corpus.label_type}, but head={self.head} learns labels of the type {wanted}: "
                "leave corpus.label_type out, or choose another head"
            )
        if corpus.root == EMBEDDED and wanted == "number" and embedded.label not in NUMBERS:
            raise InputError(
                f"head={self.head} learns numbers, and embedded.label is {embedded.label}; choose "
                f"{' or '.join(NUMBERS)}, or recordings of your own: corpus.table=FILE"
            )
        if self.head_options.reads_whole_clips and corpus.segment_seconds is not None:
            raise InputError(
                f"corpus.segment_seconds is {corpus.segment_seconds:g}, but head={self.head} learns the whole text of "
                "a clip, and each segment would have the text of its recording: leave it out, or give a corpus.table "
                "with the columns start and end, and the text of each part"
            )
        require_equal_share("body.batches", self.body.batches.batch_size, accumulation=self.body.fit.accumulation)


def finetune_settings(config: Mapping[str, object]) -> FinetuneSettings:
    """Build the settings from a composed config; the head decides the type of the labels."""
    own = {field.name for field in fields(CommandConfig)}
    values = own_options(config, {*own, "body", "head"})
    if isinstance(audio := values.get("audio"), Mapping):  # a corpus may suggest the front end of a run
        values["audio"] = {"channel": audio.get("channel")}
    body, head = _group(values, "body"), _group(values, "head")
    common = {field.name for field in fields(BodyConfig)}
    chosen = build(BodyConfig, {name: value for name, value in body.items() if name in common}, name="body")
    others = {name: value for name, value in body.items() if name not in common}
    head_name = str(head.pop("name", None))
    require_known(head_name, HEADS, "head")
    return FinetuneSettings(
        command=build(CommandConfig, values, name=""),
        body=chosen,
        body_options=build(BODIES[chosen.name].options, others, name="body"),
        head=head_name,
        head_options=build(HEADS[head_name].options, head, name="head"),
    )


def _group(values: dict[str, object], name: str) -> dict[str, object]:
    """Take a group of options out of the values."""
    group = values.pop(name, None)
    if not isinstance(group, Mapping):
        raise InputError(f"{name}={group} is not a group of options; choose one, such as {name}=...")
    return {str(key): value for key, value in group.items()}


def require_known(name: str, table: Mapping[str, object], group: str) -> None:
    """Refuse a name that is not in a table."""
    if name not in table:
        raise InputError(f"{group}.name={name} is not one of the table; {suggestion(name, table)}")
