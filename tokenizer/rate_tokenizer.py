"""A tokenizer of several rates: one tokenizer for each rate, which encode a recording side by side.

Each has its own patches, autoencoder and codebook; all share the front end. `tokenizer.rates` draws the layout of their
codes.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, tee
from pathlib import Path

from torch import Tensor

from tokenizer.codes import Codes, GatheredCodes
from tokenizer.model_card import rates_card
from tokenizer.rates import combined_format, join_rates, read_rates, require_saved_format, writing_rates
from tokenizer.tokenizer import Tokenizer, sound_for, sounds_for
from wordless.audio.mono import Samples
from wordless.audio.options import SpectrogramConfig
from wordless.audio.reading import read_blocks, resample_blocks
from wordless.audio.waveform import FloatArray, Waveform
from wordless.base.errors import InputError
from wordless.base.saved_models import TOKENIZER, holds_rates, model_folder

Turn = list[list[tuple[Tensor, int]]]  # blocks of codes of each rate that cover the same samples; see `encode_stream`


class RateTokenizer:
    """Encoder of sound to codes at several rates; one of its tokenizers decodes the codes of its rate.

    Args:
        tokenizers: of each rate, coarse to fine, with the same front end.
    """

    def __init__(self, tokenizers: Sequence[Tokenizer]) -> None:
        for each in tokenizers[1:]:
            if each.front_end != tokenizers[0].front_end:
                raise InputError("the tokenizers of several rates differ in their front end; train them in one run")
        self.tokenizers = tuple(tokenizers)
        self.format = combined_format([each.format for each in tokenizers])

    @property
    def finest(self) -> Tokenizer:
        """The tokenizer of the finest rate, whose codes a vocoder decodes."""
        return self.tokenizers[-1]

    @property
    def front_end(self) -> SpectrogramConfig:
        """The spectrogram that the codes of all rates represent."""
        return self.finest.front_end

    def encode(self, waveform: Waveform | Samples, sample_rate: int | None = None) -> Codes:
        """Encode a whole recording; see `Tokenizer.encode`."""
        whole = sound_for(self.front_end, waveform, sample_rate, name="samples")
        return self.encode_blocks([whole.samples], whole.sample_rate)

    def encode_batch(
        self, recordings: Sequence[Waveform | Samples] | Samples, sample_rate: int | None = None
    ) -> list[Codes]:
        """Encode several recordings; see `Tokenizer.encode_batch`."""
        sounds = sounds_for(self.front_end, recordings, sample_rate)
        return [self.encode_blocks([each.samples], each.sample_rate) for each in sounds]

    def encode_file(self, path: Path | str) -> Codes:
        """Encode a recording that libsndfile can read."""
        channel = self.front_end.channel
        return self._gather(read_blocks(Path(path), self.format.sample_rate, channel=channel))

    def encode_blocks(self, blocks: Iterable[FloatArray], sample_rate: int) -> Codes:
        """Encode a waveform that arrives in blocks of any sizes.

        The codes of a rate are those that its tokenizer alone gives. `Tokenizer.encode_stream` says which options need
        the whole recording in memory.
        """
        return self._gather(resample_blocks(blocks, sample_rate, self.format.sample_rate))

    def _gather(self, samples: Iterable[FloatArray]) -> Codes:
        gathered = [GatheredCodes(each.format) for each in self.tokenizers]
        for turn in self._turns(samples):
            for rate, blocks in zip(gathered, turn, strict=True):
                for block, covered in blocks:
                    rate.add(block, covered)
        return join_rates([rate.codes for rate in gathered])

    def _turns(self, samples: Iterable[FloatArray]) -> Iterator[Turn]:
        """Let each tokenizer encode the samples of one block of the coarsest, in turn.

        A block has equally many codes at each rate, so finer rates take several blocks::

            rate 1   [          block          ]
            rate 2   [   block    ][   block   ]
        """
        copies = tee(samples, len(self.tokenizers))
        streams = [tokenizer.encode_stream(copy) for tokenizer, copy in zip(self.tokenizers, copies, strict=True)]
        coarsest = self.format.samples_per_code
        shares = [coarsest // each.format.samples_per_code for each in self.tokenizers]
        while any(turn := [list(islice(stream, share)) for stream, share in zip(streams, shares, strict=True)]):
            yield turn

    # Artifacts

    def save_pretrained(self, folder: Path | str) -> None:
        """Write a folder for each rate's tokenizer, a model card and, last, ``config.json``."""
        with writing_rates(Path(folder).expanduser(), self.format, card=rates_card(self.format)) as folders:
            for tokenizer, own in zip(self.tokenizers, folders, strict=True):
                tokenizer.save_pretrained(own)

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, device: str = "cpu") -> "RateTokenizer":
        """Load a folder that `save_pretrained` wrote, or ``user/name`` of the Hugging Face hub."""
        folder = model_folder(folder, TOKENIZER)
        saved = read_rates(folder, "tokenizer")
        tokenizer = cls([Tokenizer.from_pretrained(own, device=device) for own in saved.folders(folder)])
        require_saved_format(folder, saved.codes, tokenizer.format)
        return tokenizer


def load_tokenizer(folder: Path | str, *, device: str = "cpu") -> Tokenizer | RateTokenizer:
    """Load the tokenizer of a run, which has one rate or several."""
    folder = model_folder(folder, TOKENIZER)
    if holds_rates(folder):
        return RateTokenizer.from_pretrained(folder, device=device)
    return Tokenizer.from_pretrained(folder, device=device)
