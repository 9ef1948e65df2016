"""Several rates: their models as one folder."""

from collections.abc import Sequence

from lm.model import LanguageModel
from pipelines.store.session import Run
from pipelines.store.stage import stage
from pipelines.store.store import Entry
from tokenizer.tokenizer import Tokenizer


@stage("rate_tokenizer", version=2, title="tokenizers of {tokenizers} rates")
def rate_tokenizer(run: Run, tokenizers: Sequence[Entry]) -> None:
    """Write the tokenizers of all rates, coarse to fine, as one folder."""
    Tokenizer.of_rates([Tokenizer.from_pretrained(each.folder) for each in tokenizers]).save_pretrained(run.folder)


@stage("rate_lm", version=2, title="language models of {models} rates")
def rate_language_model(run: Run, models: Sequence[Entry]) -> None:
    """Write the language models of all rates, coarse to fine, as one folder."""
    LanguageModel.of_rates([LanguageModel.from_pretrained(each.folder) for each in models]).save_pretrained(run.folder)
