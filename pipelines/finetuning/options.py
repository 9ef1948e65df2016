"""Options of ``wordless finetune``."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, Literal

from lm.bodies.finetuning import BODY_OPTIONS, BodyOptions, GptOptions
from lm.heads.options import HEAD_OPTIONS, ClassificationOptions, FigureConfig, HeadOptions
from lm.options import ProbeConfig
from pipelines.commandline.inputs import DEVICE, MODEL
from pipelines.commandline.outputs import require_kind
from pipelines.settings.completed import EMBEDDED
from pipelines.settings.parallel import MAX_THREADS, require_equal_share
from pipelines.settings.run import EMBEDDED_TYPED, OWN_SEEDS, TRACKING, own_options
from pipelines.store.run_folder import require_output
from pipelines.store.store import StoreConfig
from pipelines.tracking.tracking import require_trackers
from wordless.audio.decoding import Channel, require_choice
from wordless.audio.recordings.corpus import CORPUS, CorpusConfig
from wordless.audio.recordings.embedded import EmbeddedConfig
from wordless.base.configuration import build
from wordless.base.devices import Device
from wordless.base.engine import LOCAL, EngineConfig
from wordless.base.errors import InputError
from wordless.base.options import REQUIRED, Options, Typed, option
from wordless.base.ranges import require
from wordless.base.seeds import MAX_SEED, require_seeds

Opponent = Literal["scratch", "probe"]
NUMBERS = ("speed", "pitch")  # labels of the embedded corpus that are numbers
LINEAR = ProbeConfig(choose_by="validation", learning_curve=())
UNUSED: Mapping[str, str] = {  # options of probes that have no effect here, and what has
    "label_separator": ", and set head.label_separator",
    "learning_curve": ", and set shares",
    "resamples": ", and set figures.resamples",
    "confidence": ", and set figures.confidence",
}


@dataclass(frozen=True, kw_only=True)
class ChannelConfig(Options):
    """How recordings are read, where their body does not say it."""

    channel: Channel | None = option(
        None,
        "mean | loudest | 0 | 1 | ...: the mean of a recording's channels, the channel with the highest power, or a "
        "channel by its number; null: as the run",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channel is not None:
            require_choice(self.channel, "audio.channel")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(Options):
    """Options of ``wordless finetune``.

    examples: wordless finetune model=runs/x head=classification corpus.root=recordings
              wordless finetune model=runs/x study=label_shares corpus=fsdd corpus.root=fsdd/recordings
    """

    typed: ClassVar[Mapping[str, Typed]] = EMBEDDED_TYPED
    own_seeds: ClassVar[tuple[str, ...]] = (*OWN_SEEDS, "figures.seed")
    presets: ClassVar[Mapping[str, tuple[str, str]]] = {"study": ("none", "ready-made comparisons")}

    model: Path | None = option(None, f"{MODEL}; body=gpt takes its tokenizer and its GPT")
    output: Path | None = option(
        None, "folder of the fine-tuned model and its figures; null: a folder in the folder of the run"
    )
    upsample: bool = option(
        False, "true: recordings may have a lower sample rate than the body; it then reads bands that are empty"
    )
    audio: ChannelConfig = option(ChannelConfig(), "how recordings are read")
    shares: tuple[float, ...] = option(
        (1.0,), "shares of the training labels, ascending; the model of the largest share is saved"
    )
    seeds: int = option(
        1, "number of seeds: trains everything once with each of seed, seed + 1, ...", least=1, most=MAX_SEED
    )
    seed: int = option(0, "seed of everything random; a group may set a seed of its own", least=0, most=MAX_SEED)
    beside: tuple[Opponent, ...] = option(
        ("scratch", "probe"),
        "what the fine-tuned body is compared with: scratch (the same body with random weights), probe (a linear probe "
        "of the frozen body)",
        distinct=True,
    )
    device: Device = option("auto", DEVICE)
    threads: int | None = option(None, "number of computing threads; null: all", least=1, most=MAX_THREADS)
    workers: int = option(0, "processes that read; 0: all cores if the corpus is large", least=0)
    engine: EngineConfig = option(LOCAL, "what reads: processes of this machine, or a Ray cluster")
    tracking: tuple[str, ...] = option(("tensorboard",), TRACKING)
    store: StoreConfig = option(StoreConfig(), "the results of finished stages, which later runs reuse")
    embedded: EmbeddedConfig = option(EmbeddedConfig(), "the built-in corpus of spoken sentences or words")
    probe: ProbeConfig = option(LINEAR, "the linear probe; validation clips choose it, nothing else is possible")
    figures: FigureConfig = option(FigureConfig(), "the figures on test clips")
    body: BodyOptions = option(
        GptOptions(),
        "the network that gives states over time, pre-trained or not, and its training",
        group=GptOptions.name,
        variants=BODY_OPTIONS,
    )
    head: HeadOptions = option(
        ClassificationOptions(),
        "what is predicted from the states",
        group=ClassificationOptions.name,
        variants=HEAD_OPTIONS,
    )
    corpus: CorpusConfig = option(REQUIRED, CORPUS, given_as=CorpusConfig, group="embedded")

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
        rule = "the probe is compared with a network whose weights the validation clips choose: leave it at validation"
        require(self.probe.choose_by == "validation", "probe.choose_by", self.probe.choose_by, rule)
        for name, instead in UNUSED.items():
            value = getattr(self.probe, name)
            changes = value != getattr(LINEAR, name)
            require(not changes, f"probe.{name}", value, f"it changes nothing here; leave it out{instead}")
        require_seeds(self.seed, self.seeds)
        self._require_labels()
        require_equal_share("body.batches", self.body.batches.batch_size, accumulation=self.body.fit.accumulation)

    def _require_labels(self) -> None:
        """Refuse a corpus whose labels are not those of the head."""
        wanted, corpus = self.head.label_type, self.corpus
        if corpus.label_type not in ("class", wanted):
            raise InputError(
                f"corpus.label_type={corpus.label_type}, but head={self.head.name} learns labels of the type {wanted}: "
                "leave corpus.label_type out, or choose another head"
            )
        if corpus.root == EMBEDDED and wanted == "number" and self.embedded.label not in NUMBERS:
            raise InputError(
                f"head={self.head.name} learns numbers, and embedded.label is {self.embedded.label}; choose "
                f"{' or '.join(NUMBERS)}, or recordings of your own: corpus.table=FILE"
            )
        if self.head.reads_whole_clips and corpus.segment_seconds is not None:
            raise InputError(
                f"corpus.segment_seconds is {corpus.segment_seconds:g}, but head={self.head.name} learns the whole "
                "text of a clip, and each segment would have the text of its recording: leave it out, or give a "
                "corpus.table with the columns start and end, and the text of each part"
            )


def finetune_settings(config: Mapping[str, object]) -> FinetuneConfig:
    """Build the settings from a composed config; the head decides the type of the labels."""
    values = own_options(config, {field.name for field in fields(FinetuneConfig)})
    if isinstance(audio := values.get("audio"), Mapping):  # a corpus may suggest the front end of a run
        values["audio"] = {"channel": audio.get("channel")}
    return build(FinetuneConfig, values, name="")
