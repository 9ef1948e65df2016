"""The tokenizers: the table of their kinds, by which `Tokenizer` opens the right one."""

from functools import lru_cache
from pathlib import Path

from tokenizer.patch_tokenizer import Tokenizer as Tokenizer
from tokenizer.patch_tokenizer import TokenizerKinds
from tokenizer.rates_tokenizer import RatesTokenizer
from tokenizer.speech_layer import SpeechTokenizer

# A base cannot import its subclasses: the package imports this file, so the table is always there.
Tokenizer.kinds = TokenizerKinds(
    join_rates=RatesTokenizer, open_rates=RatesTokenizer.of_folder, of_speech_model=SpeechTokenizer.with_copy
)


@lru_cache(maxsize=1)
def load_tokenizer(folder: Path, device: str) -> Tokenizer:
    """Load a tokenizer, once in each process."""
    return Tokenizer.from_pretrained(folder, device=device)
