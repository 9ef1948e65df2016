"""Features of codes that the GPT filters: soft assignments of the sound, weighed by the GPT's predictions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from audio.reading import read_blocks, resampled_length
from audio.recordings.heard_frames import HeardFrames
from audio.recordings.inspection import require_finite
from audio.recordings.manifest import SPLITS, Clip, Manifest, audio_hash
from lm.filtered import filtered
from lm.model import LanguageModel
from lm.pooling import FloatArray, Pooling, RunningPools
from lm.vectors import VectorConfig, average
from lm.windows import windows
from pipelines.stages.features import heard_key
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe
from pipelines.store.stored_features import FEATURES, stacked_rows, write_features
from tokenizer.assignments import soft_assignments
from tokenizer.encoder import Encoder
from tokenizer.signals import log_mel_pieces, signals, whole_patches

FILTERED = "filtered_codes"


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
    """Compute filtered codes ``(time, streams * codebook_size)`` of each clip, pooled."""
    inputs = {"tokenizer": tokenizer.key, "lm": lm.key, "manifest": audio_hash(manifest, SPLITS), **heard_key(heard)}
    recipe = Recipe("filtered_features", 1, config=vectors.key, inputs=inputs)
    device = str(session.gang.device)

    def make(folder: Path) -> None:
        encoder = Encoder(folder=tokenizer.folder, root=manifest.root, device=device)
        own = Filter(encoder=encoder, lm=lm.folder, poolings=vectors.poolings, heard=heard)
        write_features(folder, stacked_rows(session.each("filtered codes", partial(_of_clip, own), manifest.clips)))

    return session.obtain(recipe, f"filtered codes of {len(manifest.clips)} clips", make, files=[FEATURES])


def _of_clip(own: Filter, clip: Clip) -> dict[str, FloatArray]:
    tokenizer = own.encoder.tokenizer
    rate = tokenizer.config.audio.sample_rate
    blocks = read_blocks(own.encoder.root / clip.path, rate, part=clip.part)
    num_samples = resampled_length(clip.num_samples, clip.sample_rate, rate)
    others = [] if own.heard is None else own.heard.of(clip)
    heard: Iterable[Iterable[Tensor]] = chain(
        [log_mel_pieces(tokenizer, blocks, num_samples)],
        ([whole_patches(frames, tokenizer.patch_frames)] for frames in others),
    )
    features = average(_of_hearing(own, list(pieces)) for pieces in heard)
    for row in features.values():
        require_finite(row, clip, "filtered codes")
    return features


@torch.inference_mode()
def _of_hearing(own: Filter, pieces: Sequence[Tensor]) -> dict[str, FloatArray]:
    """Pool the filtered codes of a recording's log-mel ``(time, mels)``, given in pieces of whole patches."""
    found = torch.cat([bottlenecks for _, bottlenecks in signals(own.encoder.tokenizer, pieces)])
    pools = RunningPools({FILTERED: len(found)}, own.poolings)
    for frames in filtered_codes(own.encoder, _load(own.lm, own.encoder.device), found):
        pools.add(FILTERED, frames.flatten(1).cpu().numpy())
    return pools.pooled


@torch.inference_mode()
def filtered_codes(encoder: Encoder, model: LanguageModel, bottlenecks: Tensor) -> Iterator[Tensor]:
    """Give filtered codes ``(time, streams, codebook_size)`` of bottlenecks ``(time, bands * bottleneck)``.

    They come window after window of the language model, so memory does not grow with a recording's length.
    """
    tokenizer, streams = encoder.tokenizer, model.format.streams
    by_band = bottlenecks.reshape(len(bottlenecks), tokenizer.config.bands, -1).to(tokenizer.centroids.device)
    codes = tokenizer.nearest(by_band).to("cpu", torch.int32).numpy()
    for window in windows(len(codes), model.gpt.capacity):
        tokens = model.tokens(codes[window.start : window.stop])
        logits = model.gpt(tokens[None, :-1])[0].float()
        logits = logits.reshape(-1, streams, logits.shape[1])  # (time, streams, codes)
        assigned = soft_assignments(by_band[window.counted : window.stop], tokenizer.codebooks)
        yield filtered(assigned, logits[window.counted - window.start :].softmax(-1).to(assigned.device))
