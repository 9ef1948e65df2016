"""Soft codes: how near the sound is to each code of the codebook. A hard code names the nearest alone.

A code is a hard decision about a bottleneck that may lie between two centroids. The bag of codes and the GPT can read
soft codes in the place of hard ones.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from lm.options import VectorConfig
from lm.probing.vectors import FloatArray, average
from pipelines.stages.features import ClipReading, CodesVectors
from pipelines.store.store import Entry
from pipelines.store.stored_features import joined_rows
from tokenizer.codes import CodesFormat, SoftCodes
from tokenizer.encoder import Encoder, bottlenecks_of_frames, log_mel_pieces, signals, soft_codes
from wordless.audio.reading import read_blocks, resampled_length
from wordless.audio.recordings.hearings import HeardFrames
from wordless.audio.recordings.inspection import require_finite
from wordless.audio.recordings.manifest import Clip

SOFT = "soft, 2"  # with the version of soft codes, in the keys of their readers; raise it when their values change
BOTTLENECKS_AT_ONCE = 1 << 16  # whose bottlenecks are in memory; batches of a GPT do not reach across them


@dataclass(frozen=True, kw_only=True)
class HeardSoftCodes:
    """The soft codes of a corpus: of the recordings as they are, and of the other hearings.

    Each method that reads them computes the bottlenecks again, which costs less time than the GPT and no disk.
    """

    reading: ClipReading
    tokenizer: Entry

    @property
    def vectors(self) -> VectorConfig:
        """How clips become vectors."""
        return self.reading.vectors

    @property
    def inputs(self) -> Mapping[str, object]:
        """The inputs of a recipe."""
        return {"tokenizer": self.tokenizer, **self.reading.frames, "soft codes": SOFT}

    @property
    def format(self) -> CodesFormat:
        """Meaning of the codes."""
        return self.reading.encoder(self.tokenizer).tokenizer.format

    def pooled(self, pool_clips: CodesVectors) -> dict[str, FloatArray]:
        """Pool the codes of all clips, `BOTTLENECKS_AT_ONCE` at a time, and average the vectors over the hearings."""
        return joined_rows(average(map(pool_clips, zip(*block, strict=True))) for block in self._blocks())

    def _blocks(self) -> Iterator[list[list[SoftCodes]]]:
        """Give the hearings of each clip, clips after clips until they have many time steps."""
        encoder, reading = self.reading.encoder(self.tokenizer), self.reading
        work = partial(bottlenecks_of_hearings, encoder, reading.heard)
        block, steps = list[list[SoftCodes]](), 0
        for found in reading.session.each("soft codes", work, reading.manifest.clips):
            block.append([soft_codes(encoder.tokenizer, torch.from_numpy(bottlenecks)) for bottlenecks in found])
            steps += sum(map(len, found))
            if steps >= BOTTLENECKS_AT_ONCE:
                yield block
                block, steps = [], 0
        if block:
            yield block


@torch.inference_mode()
def bottlenecks_of_hearings(encoder: Encoder, heard: HeardFrames | None, clip: Clip) -> list[FloatArray]:
    """Compute the bottlenecks ``(time, bands * bottleneck)`` of a clip in each hearing, the recording itself first.

    They are arrays, because each tensor that comes from another process keeps a file open.
    """
    tokenizer = encoder.tokenizer
    rate = tokenizer.config.audio.sample_rate
    blocks = read_blocks(encoder.root / clip.path, rate, part=clip.part)
    num_samples = resampled_length(clip.num_samples, clip.sample_rate, rate)
    own = torch.cat([each for _, each in signals(tokenizer, log_mel_pieces(tokenizer, blocks, num_samples))])
    others = [] if heard is None else bottlenecks_of_frames(tokenizer, heard.of(clip))
    found = [own.cpu().numpy(), *(each.numpy() for each in others)]
    for bottlenecks in found:
        require_finite(bottlenecks, clip, "bottlenecks")
    return found
