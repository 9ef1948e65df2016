"""The GPT of a run as a body of ``wordless finetune``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipelines.bodies.network_options import RUN, BodyOptions, RunPart
from wordless.base.options import option
from wordless.training.fit_options import LargeFitConfig

if TYPE_CHECKING:
    from lm.bodies.body import Source


@dataclass(frozen=True, kw_only=True)
class GptOptions(BodyOptions):
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

    def open(self, run: Mapping[str, Path]) -> Source:
        """Describe the GPT of a run; random weights have the sizes of the run's GPT."""
        from lm.bodies.body import Source
        from lm.bodies.code_gpt import GptBody, replace_codes
        from lm.model import LanguageModel
        from tokenizer.codes import require_same_codebook
        from tokenizer.tokenizer import Tokenizer
        from wordless.base.files import file_hash
        from wordless.base.saved_models import WEIGHTS

        model = LanguageModel.from_pretrained(run["lm"])
        codes = Tokenizer.from_pretrained(run["tokenizer"]).format
        require_same_codebook(model.format, codes, owner=model.name)
        own = model.gpt.config
        gpt = own if self.dropout is None else replace(own, dropout=self.dropout)
        pretrained = self.weights == RUN
        return Source(
            body=GptBody(gpt=gpt, codes=model.predicted),
            folder=run["tokenizer"].parent,
            weights=run["lm"] if pretrained else None,
            fingerprint=file_hash(run["lm"] / WEIGHTS)[:16] if pretrained else "",
            change=partial(replace_codes, share=self.random_inputs, largest=codes.codebook_size - 1),
        )
