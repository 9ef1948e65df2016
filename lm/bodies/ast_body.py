"""AST, the Audio Spectrogram Transformer, as a body, and its features for probes: ten states per second.

A state is the mean over the patches of all frequencies, after the last normalisation. See
`lm.bodies.spectrogram_transformer`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from lm.bodies.augmentation import augmenting
from lm.bodies.body import Body, BodyNetwork, FrontEnd, Reading, Source
from lm.bodies.finetuning import RANDOM, AstOptions
from lm.bodies.options import LAYERS, AstConfig
from lm.bodies.spectrogram_transformer import (
    AUDIOSET_STATISTICS,
    BANDS,
    N_MELS,
    PATCH,
    SAMPLE_RATE,
    STRIDE,
    AstClassifier,
    AstEncoder,
    create_ast,
    filter_bank_stream,
    frames_of,
    is_audio_model,
    layer_norm_epsilon,
    load_classifier,
    patches_of,
    stored_filter_bank,
    weights_hash,
)
from lm.heads.classification import class_scores
from lm.options import ONE_HEARING, VectorConfig
from lm.probing.vectors import CLASS_SCORES, RunningPools, average
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.hearings import AS_RECORDED, Hearing, hearings
from wordless.audio.recordings.manifest import Clip
from wordless.audio.waveform import FloatArray
from wordless.base.arrays import Array
from wordless.base.ranges import require
from wordless.base.saved_models import learned_labels

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


OPTION = "body.weights"  # names the folder of the weights in messages
SAMPLES_PER_FRAME = 160
LEAST_SAMPLES = 400  # a window of the filter bank; the rest of a patch is silence
ALL_LAYERS = tuple(range(1, LAYERS + 1))
DEFAULT_EPSILON = 1e-6  # of layer normalisations with random weights


class AstNetwork(BodyNetwork):
    """AST, with its states over time."""

    def __init__(self, encoder: AstEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map filter banks ``(batch, time, 128)`` to states ``(batch, patches, width)``."""
        states = self.encoder.states(_log_energies(inputs), lengths, layers=(LAYERS,)).layers[LAYERS]
        normalised: Tensor = self.encoder.transformer.layernorm(states)
        return normalised

    @torch.no_grad()
    def layer_states(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Compute the states of each layer ``(layers, batch, patches, width)``."""
        found = self.encoder.states(_log_energies(inputs), lengths, layers=ALL_LAYERS).layers
        return torch.stack([found[layer] for layer in ALL_LAYERS])

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The embedding of patches, then each layer."""
        return [self.encoder.transformer.embeddings, *self.encoder.transformer.encoder.layer]


def _log_energies(stored: Tensor) -> Tensor:
    """Undo the normalisation with which filter banks are stored."""
    return stored * AUDIOSET_STATISTICS.std + AUDIOSET_STATISTICS.mean


def _filter_banks(blocks: Iterable[FloatArray]) -> Array:
    """Convert blocks of samples to stored filter banks ``(time, 128)``."""
    return np.concatenate([np.zeros((0, N_MELS), np.float32), *stored_pieces(blocks)]).astype(np.float16)


@dataclass(frozen=True, kw_only=True)
class AstBody(Body):
    """The sizes of an AST."""

    ast: AstConfig  # without weights
    epsilon: float = DEFAULT_EPSILON  # of the layer normalisations

    name: ClassVar[str] = "ast"
    title: ClassVar[str] = "Audio Spectrogram Transformer"

    def __post_init__(self) -> None:
        require(self.epsilon > 0, "epsilon", self.epsilon, "it must be above 0")

    @property
    def reading(self) -> Reading:
        """Patches of 16 frames begin every 10 frames; the last one is padded with silence."""
        return Reading(
            sample_rate=SAMPLE_RATE,
            samples_per_state=STRIDE * SAMPLES_PER_FRAME,
            window=self.ast.patches,
            inputs_per_state=STRIDE,
            shared_inputs=PATCH - STRIDE,
            least_samples=LEAST_SAMPLES,
            input_type="float16",
            input_width=(N_MELS,),
            key="filter bank",
        )

    @property
    def dim(self) -> int:
        """Width of a state."""
        return self.ast.width

    @property
    def parameters(self) -> int:
        """Number of weights of the positions and of the matrices of all layers; biases come on top."""
        positions = (2 + BANDS * self.ast.patches) * self.ast.width
        return positions + LAYERS * 12 * self.ast.width**2

    def num_inputs(self, num_samples: int) -> int:
        """Count the frames of a recording, padded to whole patches."""
        return frames_of(patches_of(num_samples))

    def create(self, *, seed: int, weights: Path | None = None) -> AstNetwork:
        """Create the network with the weights of a local Hugging Face folder, or with random ones."""
        config = replace(self.ast, weights=None if weights is None else str(weights))
        frames = frames_of(self.ast.patches)
        return AstNetwork(create_ast(config, frames, seed=seed, epsilon=self.epsilon, option=OPTION))

    def front_end(self, folder: Path, *, device: str) -> FrontEnd:
        """Create the conversion of sound to filter banks, which needs no folder."""
        return _filter_banks


def open_ast(options: AstOptions) -> Source:
    """Describe AST with the weights of a local Hugging Face folder of an AST, DeiT or ViT, or with random ones."""
    folder = None if options.weights == RANDOM else Path(options.weights).expanduser()
    epsilon = DEFAULT_EPSILON if folder is None else layer_norm_epsilon(folder, options.model.size, option=OPTION)
    std = torch.full((N_MELS,), AUDIOSET_STATISTICS.std)
    return Source(
        body=AstBody(ast=options.model, epsilon=epsilon),
        weights=folder,
        fingerprint="" if folder is None else weights_hash(str(folder))[:16],
        change=augmenting(options.augmentation, std=std),
        learned_labels=folder is not None and is_audio_model(folder) and learned_labels(folder),
    )
