"""Inputs of AST (filter banks) and its features (states of its layers, pooled over time) for recordings."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from lm.baselines.filter_bank import PATCH, SAMPLE_RATE, STRIDE, filter_bank_stream, patches_of
from lm.baselines.spectrogram_transformer import (
    AstClassifier,
    AstConfig,
    AstEncoder,
    create_ast,
    load_classifier,
    stored_filter_bank,
)
from lm.baselines.supervised import class_scores
from lm.pooling import RunningPools
from lm.vectors import CLASS_SCORES, ONE_HEARING, VectorConfig, average
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.hearings import AS_RECORDED, Hearing, hearings
from wordless.audio.recordings.manifest import Clip
from wordless.audio.waveform import FloatArray

PATCHES_AT_ONCE = 100  # that are read of a recording at once and written to disk


def patches_along(clip: Clip, hearing: Hearing = AS_RECORDED) -> int:
    """Return the number of patches along time that cover a recording."""
    return patches_of(hearing.num_samples(clip, SAMPLE_RATE))


def stored_filter_banks(root: Path, clip: Clip) -> Iterator[FloatArray]:
    """Give the stored filter bank ``(time, 128)`` of a recording below ``root``, piece by piece, without overlap."""
    return stored_pieces(read_blocks(root / clip.path, SAMPLE_RATE, part=clip.part))


def stored_pieces(blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """Give the stored filter bank of blocks of samples, as `stored_filter_banks` does."""
    overlap = 0  # each piece except the first begins with the last frames of the previous piece
    for piece in filter_bank_stream(blocks, patches=PATCHES_AT_ONCE):
        yield stored_filter_bank(piece).numpy()[overlap:]
        overlap = PATCH - STRIDE


@dataclass(frozen=True, kw_only=True)
class AstReader:
    """An AST that any process can create or load, and the recordings that it reads."""

    root: Path
    config: AstConfig
    classifier: Path | None  # folder of a fine-tuned model; None: the model that the config describes
    frames: int  # length that position embeddings are fitted to, if the model is not fine-tuned
    seed: int
    device: str
    vectors: VectorConfig = ONE_HEARING


@lru_cache(maxsize=1)
def _load(reader: AstReader) -> tuple[AstEncoder, AstClassifier | None]:
    """Load the encoder and, if it was fine-tuned, the whole model; once in each process."""
    if reader.classifier is None:
        return create_ast(reader.config, reader.frames, seed=reader.seed).eval().to(reader.device), None
    model = load_classifier(reader.classifier, device=reader.device)
    return model.encoder, model


def ast_layers(reader: AstReader, clip: Clip) -> dict[str, FloatArray]:
    """Compute each pooling of each layer of a clip, its clip vector, and `CLASS_SCORES` if the model was fine-tuned.

    Each is the average over the hearings.
    """
    heard = hearings(reader.vectors.hearings, spread=reader.vectors.hearing_rates)
    return average(_layers(reader, clip, hearing) for hearing in heard)


@torch.inference_mode()
def _layers(reader: AstReader, clip: Clip, hearing: Hearing) -> dict[str, FloatArray]:
    encoder, model = _load(reader)
    layers, patches = reader.config.layers, patches_along(clip, hearing)
    pools = RunningPools({f"layer_{layer}": patches for layer in layers}, reader.vectors.poolings)
    vector = torch.zeros(encoder.width, device=reader.device)
    blocks = hearing.blocks(reader.root, clip, SAMPLE_RATE)
    for piece in filter_bank_stream(blocks, patches=reader.config.patches):
        lengths = torch.tensor([len(piece)], device=reader.device)
        states = encoder.states(piece[None].to(reader.device), lengths, layers=layers)
        vector += states.clip[0] * (int(states.patches) / patches)
        for layer, kept in states.layers.items():
            pools.add(f"layer_{layer}", kept[0].cpu().numpy())
    features = {**pools.pooled, "class_token:mean": vector.cpu().numpy()}
    if model is not None:
        features[CLASS_SCORES] = class_scores(model.head(vector), multi_label=model.multi_label).cpu().numpy()
    return features
