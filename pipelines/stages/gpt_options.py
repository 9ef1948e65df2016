"""Options of the stage of the GPT."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lm.lm_options import LOOK_AHEAD, BatchConfig, GPTConfig
from tokenizer.tokenizer_options import ViewsConfig
from wordless.base.messages import InputError
from wordless.base.options import Options, option
from wordless.training.fit_options import FitConfig, LargeFitConfig


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Options):
    fit: FitConfig = option(FitConfig(), "training")


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings(TrainingSettings):
    batch_tokens: int = option(2048, "most positions per step: long windows reduce lm.batches.batch_size", least=1)
    views: ViewsConfig = option(ViewsConfig(), "changed copies of training clips, on which the GPT is trained as well")
    validation_windows: int = 512  # at most, for the validation loss in training; the final perplexity uses all
    look_ahead: int = LOOK_AHEAD  # codes of each coarser rate that a finer rate's model reads after the covering one
    gpt: GPTConfig = option(GPTConfig(context=256, dropout=0.2), "the language model")
    batches: BatchConfig = option(BatchConfig(), "the batch of one training step")
    fit: LargeFitConfig = LargeFitConfig(warmup_steps=100, weight_decay=0.1, ema_decay=0.99)
    start: str | None = option(
        None,
        "folder of a run or hf://user/name: training begins with the weights of its language model, of the same sizes "
        "and codebook, and has a warm-up and decay of its own; null: random weights",
    )

    def divided(self, rates: int) -> tuple[LanguageModelSettings, ...]:
        """Divide the layers among the models of the rates, coarse first: together they are as large as one GPT."""
        if (layers := self.gpt.layers) < rates:
            rule = f"each of {rates} rates has at least one of the layers: choose {rates} or more, or fewer rates"
            raise InputError(option="gpt.layers", value=layers, rule=rule)
        shares = [layers // rates + (number < layers % rates) for number in range(rates)]
        return tuple(replace(self, gpt=replace(self.gpt, layers=share)) for share in shares)
