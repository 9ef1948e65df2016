"""A tokenizer of codes at several rates: one for each rate, coarse to fine, with the same front end."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from torch import nn

from tokenizer.codes import Codes, CodesFormat, join_rates
from tokenizer.rate_folders import load_rates, save_rates
from tokenizer.tokenizer import Tokenizer, tokenizer_card
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError
from wordless.base.saved_models import TOKENIZER


class RatesTokenizer(Tokenizer):
    """The tokenizers of all rates, coarse to fine: it encodes at each, and else it is the tokenizer of the finest."""

    def __init__(self, tokenizers: Sequence[Tokenizer]) -> None:
        own = tokenizers[-1]
        if any(each.front_end != own.front_end for each in tokenizers):
            raise InputError("the tokenizers of several rates differ in their front end; train them in one run")
        parts = own.config, own.mean, own.std, own.autoencoder, own.centroids
        super().__init__(*parts, gain=own.gain, decoder=own.decoder)
        self._rates = nn.ModuleList(tokenizers)
        self.format = CodesFormat.of_rates([each.format for each in tokenizers])

    @classmethod
    def of_folder(cls, folder: Path, *, device: str) -> "RatesTokenizer":
        """Load what `save_pretrained` wrote."""
        load = partial(Tokenizer.from_pretrained, device=device)
        return cls(load_rates(folder, TOKENIZER.name, load, lambda each: cls(each).format))

    @property
    def rates(self) -> tuple[Tokenizer, ...]:
        """The tokenizer of each rate alone, coarse to fine."""
        return tuple(each for each in self._rates if isinstance(each, Tokenizer))

    @property
    def finest(self) -> Tokenizer:
        return self.rates[-1]

    def encode_own(self, blocks: Iterable[FloatArray], *, side_streams: bool = True) -> Codes:
        """Encode blocks at the tokenizer's sample rate at each rate; the samples are kept in memory."""
        samples = [*blocks]
        return join_rates([each.encode_own(samples, side_streams=side_streams) for each in self.rates])

    def _encode_all(self, recordings: Sequence[FloatArray]) -> list[Codes]:
        by_rate = [each._encode_all(recordings) for each in self.rates]
        return [join_rates(parts) for parts in zip(*by_rate, strict=True)]

    def save_pretrained(self, folder: Path | str) -> None:
        """Write a folder for each rate."""
        card = tokenizer_card(self.format, self.facts)
        saves = [each.save_pretrained for each in self.rates]
        save_rates(Path(folder).expanduser(), saves, self.format, card=card)
