"""Features of soft codes: how near the sound is to each code of the codebook. A hard code names the nearest alone.

The bag of codes and the GPT can read them in the place of hard codes; a filter weighs them by the GPT's predictions. A
code is a hard decision about a bottleneck that may lie between two centroids. A filter combines the evidence of the
sound with the prediction from the past, as Bayes' rule does with a prior::

    f(k) = o(k) q(k) / sum over j of o(j) q(j)

with o the soft assignment of the bottleneck to the centroids, and q the GPT's probability of each code before it is
heard.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor

from lm.model import LanguageModel
from lm.options import Pooling, VectorConfig
from lm.probing.vectors import FloatArray, RunningPools, average
from lm.windows import windows
from pipelines.stages.features import CodesVectors
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe
from pipelines.store.stored_features import FEATURES, joined_rows, stacked_rows, write_features
from tokenizer.codes import CodesFormat, SoftCodes
from tokenizer.encoder import Encoder
from tokenizer.signals import bottlenecks_of_frames, log_mel_pieces, signals, soft_codes
from wordless.audio.reading import read_blocks, resampled_length
from wordless.audio.recordings.hearings import HeardFrames
from wordless.audio.recordings.inspection import require_finite
from wordless.audio.recordings.manifest import SPLITS, Clip, Manifest, audio_hash

FILTERED = "filtered_codes"
SOFT = "soft, 2"  # with the version of soft codes, in the keys of their readers; raise it when their values change
BOTTLENECKS_AT_ONCE = 1 << 16  # whose bottlenecks are in memory; batches of a GPT do not reach across them


@dataclass(frozen=True, kw_only=True)
class HeardSoftCodes:
    """The soft codes of a corpus: of the recordings as they are, and of the other hearings.

    Each method that reads them computes the bottlenecks again, which costs less time than the GPT and no disk.
    """

    session: Session
    manifest: Manifest
    tokenizer: Entry
    heard: HeardFrames | None
    vectors: VectorConfig

    @property
    def inputs(self) -> Mapping[str, object]:
        """The inputs of a recipe."""
        return _inputs(self.manifest, self.tokenizer, self.heard)

    @property
    def format(self) -> CodesFormat:
        """Meaning of the codes."""
        return self._encoder.tokenizer.format

    @property
    def _encoder(self) -> Encoder:
        device = str(self.session.gang.device)
        return Encoder(folder=self.tokenizer.folder, root=self.manifest.root, device=device)

    def pooled(self, pool_clips: CodesVectors) -> dict[str, FloatArray]:
        """Pool the codes of all clips, `BOTTLENECKS_AT_ONCE` at a time, and average the vectors over the hearings."""
        return joined_rows(average(map(pool_clips, zip(*block, strict=True))) for block in self._blocks())

    def _blocks(self) -> Iterator[list[list[SoftCodes]]]:
        """Give the hearings of each clip, clips after clips until they have many time steps."""
        tokenizer = self._encoder.tokenizer
        work = partial(bottlenecks_of_hearings, self._encoder, self.heard)
        block, steps = list[list[SoftCodes]](), 0
        for found in self.session.each("soft codes", work, self.manifest.clips):
            block.append([soft_codes(tokenizer, torch.from_numpy(bottlenecks)) for bottlenecks in found])
            steps += sum(map(len, found))
            if steps >= BOTTLENECKS_AT_ONCE:
                yield block
                block, steps = [], 0
        if block:
            yield block


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A tokenizer and a language model that any process can load."""

    encoder: Encoder
    lm: Path  # its folder
    poolings: tuple[Pooling, ...]
    heard: HeardFrames | None


@lru_cache(maxsize=1)
def _load(folder: Path, device: str) -> LanguageModel:
    return LanguageModel.from_pretrained(folder, device=device)


def filtered_features(
    session: Session,
    manifest: Manifest,
    tokenizer: Entry,
    lm: Entry,
    vectors: VectorConfig,
    heard: HeardFrames | None,
) -> Entry:
    """Compute filtered codes ``(time, streams * codes)`` of each clip, pooled."""
    inputs = {**_inputs(manifest, tokenizer, heard), "lm": lm}
    recipe = Recipe("filtered_features", 1, config={"compare": vectors.key}, inputs=inputs)
    device = str(session.gang.device)

    def make(folder: Path) -> None:
        encoder = Encoder(folder=tokenizer.folder, root=manifest.root, device=device)
        own = Filter(encoder=encoder, lm=lm.folder, poolings=vectors.poolings, heard=heard)
        write_features(folder, stacked_rows(session.each("filtered codes", partial(_of_clip, own), manifest.clips)))

    return session.obtain(recipe, f"filtered codes of {len(manifest.clips)} clips", make, files=[FEATURES])


def _inputs(manifest: Manifest, tokenizer: Entry, heard: HeardFrames | None) -> dict[str, object]:
    recordings = audio_hash(manifest, SPLITS)
    return {"tokenizer": tokenizer, "recordings": recordings, "hearings": heard and heard.key, "soft codes": SOFT}


@torch.inference_mode()
def _of_clip(own: Filter, clip: Clip) -> dict[str, FloatArray]:
    hearings = bottlenecks_of_hearings(own.encoder, own.heard, clip)
    features = average(_of_hearing(own, torch.from_numpy(bottlenecks)) for bottlenecks in hearings)
    for row in features.values():
        require_finite(row, clip, "filtered codes")
    return features


def _of_hearing(own: Filter, bottlenecks: Tensor) -> dict[str, FloatArray]:
    """Pool the filtered codes of bottlenecks ``(time, bands * bottleneck)``."""
    pools = RunningPools({FILTERED: len(bottlenecks)}, own.poolings)
    for frames in filtered_codes(own.encoder, _load(own.lm, own.encoder.device), bottlenecks):
        pools.add(FILTERED, frames.flatten(1).cpu().numpy())
    return pools.pooled


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


@torch.inference_mode()
def filtered_codes(encoder: Encoder, model: LanguageModel, bottlenecks: Tensor) -> Iterator[Tensor]:
    """Give filtered codes ``(time, streams, codes)`` of bottlenecks ``(time, bands * bottleneck)``.

    They come window after window of the language model, so memory does not grow with a recording's length.
    """
    soft, streams = soft_codes(encoder.tokenizer, bottlenecks), model.format.streams
    codes = soft.codes.values
    for window in windows(len(codes), model.gpt.capacity):
        tokens = model.tokens(codes[window.start : window.stop])
        logits = model.gpt(tokens[None, :-1])[0].float()
        logits = logits.reshape(-1, streams, logits.shape[1])  # (time, streams, codes)
        assigned = soft.shares(window.counted, window.stop)
        yield filtered(assigned, logits[window.counted - window.start :].softmax(-1).to(assigned.device))


def filtered(assigned: Tensor, predicted: Tensor) -> Tensor:
    """Combine assignments o and predictions q, both ``(..., codes)``, to f of the same shape; rows sum to 1."""
    product = assigned * predicted
    return product / product.sum(-1, keepdim=True).clamp(min=1e-30)
