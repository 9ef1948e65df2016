"""``wordless finetune``: a backbone learns to predict from labelled recordings. Its options."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from lm.backbones.backbone import BackboneSource
from lm.backbones.code_gpt import GptBackbone, replace_codes
from lm.finetuning import HEAD_OPTIONS, ClassificationOptions, HeadOptions
from lm.model import LanguageModel
from lm.probing.probe_options import FigureConfig, ProbeConfig
from pipelines.backbones.ast_backbone import AstFinetuneSettings
from pipelines.backbones.audio_transformer_backbone import AudioTransformerFinetuneSettings
from pipelines.backbones.network_options import RUN, FinetuneSettings, RunPart
from pipelines.backbones.wav2vec2_backbone import Wav2vec2FinetuneSettings
from pipelines.commandline.composed_config import completed
from pipelines.settings.run_settings import OFTEN, TrainingCommand, corpus_command
from pipelines.store.outputs import require_kind
from pipelines.store.run_parts import require_output
from pipelines.store.shared_options import MODEL, RateOptions
from tokenizer.codes import require_same_codebook
from tokenizer.tokenizer import Tokenizer
from wordless.audio.audio_options import Channel, require_choice
from wordless.base.files import file_hash
from wordless.base.messages import require
from wordless.base.options import Options, option
from wordless.base.saved_models import WEIGHTS
from wordless.training import LargeFitConfig

Opponent = Literal["scratch", "probe"]
LINEAR = ProbeConfig(choose_by="validation", learning_curve=())


@dataclass(frozen=True, kw_only=True)
class GptFinetuneSettings(FinetuneSettings):
    """The GPT of the run, which reads codes."""

    name = "gpt"

    weights: Literal["run", "none"] = RUN
    dropout: float | None = option(
        None, "dropout of the GPT in this training; null: that of its own training", least=0, below=1
    )
    random_inputs: float = 0.1  # share of the training clips' codes that random codes replace
    fit: LargeFitConfig = LargeFitConfig(steps=400, warmup_steps=40, weight_decay=0.05, validate_every=50)

    @property
    def needs(self) -> tuple[RunPart, ...]:
        """The tokenizer and the GPT of the run, which gives its sizes even if its weights are not wanted."""
        return "tokenizer", "lm"

    def open(self, run: Mapping[str, Path]) -> "BackboneSource":
        """Describe the GPT of a run; random weights have the sizes of the run's GPT."""

        model = LanguageModel.from_pretrained(run["lm"])
        codes = Tokenizer.from_pretrained(run["tokenizer"]).format
        require_same_codebook(model.format, codes, owner=model.name)
        own = model.gpt.config
        gpt = own if self.dropout is None else replace(own, dropout=self.dropout)
        pretrained = self.weights == RUN
        return BackboneSource(
            backbone=GptBackbone(gpt=gpt, codes=model.predicted),
            folder=run["tokenizer"].parent,
            weights=run["lm"] if pretrained else None,
            fingerprint=file_hash(run["lm"] / WEIGHTS)[:16] if pretrained else "",
            change=partial(replace_codes, share=self.random_inputs, largest=codes.codebook_size - 1),
        )


FINETUNED_BACKBONES: dict[str, type[FinetuneSettings]] = {
    each.name: each
    for each in (GptFinetuneSettings, AstFinetuneSettings, AudioTransformerFinetuneSettings, Wav2vec2FinetuneSettings)
}


@dataclass(frozen=True, kw_only=True)
class ChannelConfig(Options):
    """How recordings are read, where their backbone does not say it."""

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
class FinetuneConfig(TrainingCommand, RateOptions):
    """Options of ``wordless finetune``.

    examples: wordless finetune model=runs/x head=classification corpus.root=recordings
              wordless finetune model=runs/x corpus=fsdd corpus.root=fsdd/recordings beside=[]
    """

    often: ClassVar[tuple[str, ...]] = (
        *OFTEN,
        "backbone.weights",
        "backbone.frozen_layers",
        "backbone.fit.steps",
        "backbone.fit.lr",
    )

    model: Path | None = option(None, f"{MODEL}; backbone=gpt takes its tokenizer and its GPT")
    output: Path | None = option(
        None, "folder of the fine-tuned model and its figures; null: a folder in the folder of the run"
    )
    audio: ChannelConfig = option(ChannelConfig(), "how recordings are read")
    beside: tuple[Opponent, ...] = option(
        ("scratch", "probe"),
        "what the fine-tuned backbone is compared with: scratch (the same one with random weights), probe (a linear "
        "probe of the frozen backbone)",
        distinct=True,
    )
    probe: ProbeConfig = option(LINEAR, "the linear probe; validation clips choose it, nothing else is possible")
    figures: FigureConfig = option(FigureConfig(), "the figures on test clips")
    backbone: FinetuneSettings = option(
        GptFinetuneSettings(),
        "the network that gives states over time, pre-trained or not, and its training",
        group=GptFinetuneSettings.name,
        variants=FINETUNED_BACKBONES,
    )
    head: HeadOptions = option(
        ClassificationOptions(),
        "what is predicted from the states",
        group=ClassificationOptions.name,
        variants=HEAD_OPTIONS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is not None:
            require_kind(self.output, (), possible="a folder")
        require_output(self.model, self.output, example="output=FOLDER")
        rule = "the probe is compared with a network whose weights the validation clips choose: leave it at validation"
        require(self.probe.choose_by == "validation", "probe.choose_by", self.probe.choose_by, rule)
        wanted = self.head.label_type
        rule = f"head={self.head.name} learns labels of the type {wanted}: leave it out, or choose another head"
        self.refuse_if(self.corpus.label_type not in ("class", wanted), "corpus.label_type", rule)
        rule = (
            f"head={self.head.name} learns the whole text of a clip, and each segment would have the text of its "
            "recording: leave it out, or give a corpus.table with the columns start and end, and the text of each part"
        )
        parts = self.head.reads_whole_clips and self.corpus.segment_seconds is not None
        self.refuse_if(parts, "corpus.segment_seconds", rule)


def finetune_settings(config: Mapping[str, object]) -> FinetuneConfig:
    """Build the settings from a composed config; the head decides the type of the labels."""
    if isinstance(audio := config.get("audio"), Mapping):  # a corpus may suggest the front end of a run
        config = {**config, "audio": {"channel": audio.get("channel")}}
    return corpus_command(FinetuneConfig, completed(FinetuneConfig, config))
