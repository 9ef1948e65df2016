"""A tokenizer that any process can load, beside the recordings that it reads."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizer.codes import CodesFormat
from tokenizer.parquet import CodedClip
from tokenizer.rate_tokenizer import RateTokenizer, load_tokenizer
from tokenizer.signals import codes_of_frames
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.hearings import HeardFrames
from wordless.audio.recordings.manifest import Clip
from wordless.audio.waveform import skip_samples

Job = tuple[Clip, int]  # a clip, and the frames of it to skip


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A tokenizer that any process can load, and the recordings that it is to encode."""

    folder: Path  # of the tokenizer
    root: Path  # of the recordings
    device: str = "cpu"

    @property
    def format(self) -> CodesFormat:
        """Meaning of the codes."""
        return self.of_any_rates.format

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded once in each process; of several rates, the finest."""
        return self.of_any_rates.finest

    @property
    def of_any_rates(self) -> Tokenizer | RateTokenizer:
        """The tokenizer, which may have several rates."""
        return _load(self.folder, self.device)


@lru_cache(maxsize=1)
def _load(folder: Path, device: str) -> Tokenizer | RateTokenizer:
    return load_tokenizer(folder, device=device)


def encode_clip(encoder: Encoder, job: Job) -> CodedClip:
    """Encode one clip from a frame on. Labels stay in the manifest, so a corrected label changes no codes file."""
    clip, offset = job
    audio = encoder.tokenizer.config.audio
    blocks = read_blocks(encoder.root / clip.path, audio.sample_rate, part=clip.part)
    codes = encoder.tokenizer.encode_blocks(skip_samples(blocks, offset * audio.hop_length), audio.sample_rate)
    return CodedClip(path=clip.path, span=clip.span, codes=codes, split=clip.split, offset_frames=offset)


def encode_hearings(heard: HeardFrames, encoder: Encoder, clip: Clip) -> list[CodedClip]:
    """Encode one clip in each of its stored hearings."""
    coded = codes_of_frames(encoder.tokenizer, heard.of(clip))
    return [CodedClip(path=clip.path, span=clip.span, codes=codes, split=clip.split) for codes in coded]
