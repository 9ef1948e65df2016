"""Causal transformers that read an augmented copy of a clip and predict codes of sound around each patch.

A patch of 20 ms hardly says which word it belongs to. So the window of 160 ms around each patch is clustered as a
whole, and a network that predicts the code of the window has to know more of the word. The window is that of the
unchanged clip. The copy has by default another speed, shifted formants, noise and masks, which the network learns to
ignore (Gat et al., arXiv:2209.15483)::

    patches of the augmented copy    [ 0 ][ 1 ][ 2 ][ 3 ][ 4 ][ 5 ]    position 2 reads the patches 0, 1 and 2
    window of the unchanged clip      <------- . ------->              centred on the sound of patch 2

A window may reach beyond the clip. It is reduced to `WINDOW_BANDS` mel bands and `BINS` times, projected onto the
principal components of the training clips' windows, and quantised by k-means. Verma (2021, arXiv:2110.03183) describes
sound by codes of patches of several lengths; here such codes are targets.

This is denoising prediction of clustered units, as in HuBERT (Hsu et al., arXiv:2106.07447), WavLM (Chen et al.,
arXiv:2110.13900) and BEST-RQ (Chiu et al., arXiv:2202.01855), by a causal network: no language model, since it cannot
continue a sound. It reads codes, which a tokenizer makes of the copy. Without a tokenizer, causal convolutions over
log-mel stand in the place of the embedding of codes, because codes lack what k-means discards. The targets stay
codes, which are easier to predict than frames (NEST-RQ, Han et al., arXiv:2409.08680; Whisper-GPT, Verma,
arXiv:2412.11449).

Spectrograms are ``(batch, time, mels)``, normalised as for SimCLR.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from lm.backbones.backbone import WEIGHTS_OPTION, BackboneNetwork, BackboneReading, load_part
from lm.backbones.clips import (
    CPU,
    AugmentationConfig,
    ClipBatchConfig,
    FrameArray,
    Order,
    StoredClips,
    augment,
    batches_by_length,
    draw_crops,
    draw_ratios,
    trim_rows,
)
from lm.backbones.convolutional import CONVOLVED_FRAMES, LogMelBackbone
from lm.probing.vectors import Frames
from lm.tokens import UNCOUNTED, CodeBatch
from tokenizer.kmeans import fit_codebook, nearest
from tokenizer.tokenizer import Tokenizer
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.spectrogram import at_reference, frame_statistics, warp
from wordless.base.arrays import FloatArray, IndexArray, IntArray
from wordless.base.causal_transformer import create_causal_transformer, full_rows, layer_states, not_compiled
from wordless.base.devices import copy_to, fast_products
from wordless.base.messages import InputError
from wordless.base.options import CausalSizes, build
from wordless.base.saved_models import CONFIG


@dataclass(frozen=True, kw_only=True)
class DenoisingConfig(CausalSizes):
    """Sizes of the causal transformer."""

    model_dim: int = 128
    layers: int = 4
    heads: int = 4
    ffn_dim: int = 336
    channels: tuple[int, ...] = (16, 32)  # of each causal convolution of a network that reads log-mel
    dropout: float = 0.1  # also on the inputs


if TYPE_CHECKING:
    from fairseq2.nn import BatchLayout

WINDOW_BANDS, BINS = 20, 8
COMPONENTS = 24
_SAMPLE = 100_000  # windows that components and codes are fitted to
_ITERATIONS = 25
KERNEL = 3  # frames and bands that a convolution of the stem reads
TOKENIZER_FOLDER = "tokenizer"  # sub-folder of a model that reads codes


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowCodebook:
    """The codes of windows of whole patches."""

    patches: int  # of a window
    patch_frames: int
    mean: FloatArray  # (bins * bands,)
    components: FloatArray  # (bins * bands, components)
    centroids: FloatArray  # (codes, components)

    def codes(self, log_mel: FrameArray) -> IntArray:
        """Return the code ``(patches,)`` of the window around each patch of ``(time, mels)`` log-mel."""
        frames = self.patches * self.patch_frames
        vectors = window_vectors(log_mel, frames=frames, patch_frames=self.patch_frames)
        points = np.asarray((vectors - self.mean) @ self.components, np.float32)
        return nearest(points, self.centroids).astype(np.int32)


def fit_window_codebook(clips: StoredClips, *, patches: int, patch_frames: int, size: int, seed: int) -> WindowCodebook:
    """Fit ``size`` codes to windows of ``patches`` patches of clips that the seed draws; refuse too few windows."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(clips))
    counts = accumulate((-(-clips.lengths[order] // patch_frames)).tolist())
    drawn = order[: 1 + sum(count < _SAMPLE for count in counts)]
    vectors = partial(window_vectors, frames=patches * patch_frames, patch_frames=patch_frames)
    windows = np.concatenate([vectors(clips.clip(row)) for row in drawn])
    mean = windows.mean(0, dtype=np.float64).astype(np.float32)
    windows -= mean
    covariance = windows.T @ windows  # (dim, dim): its eigenvectors need no decomposition of 100,000 windows
    components = np.ascontiguousarray(np.linalg.eigh(covariance)[1][:, : -COMPONENTS - 1 : -1])  # the largest first
    points = windows @ components
    centroids, _ = fit_codebook(points, size=size, iterations=_ITERATIONS, seed=seed)
    return WindowCodebook(
        patches=patches, patch_frames=patch_frames, mean=mean, components=components, centroids=centroids
    )


def window_vectors(log_mel: FrameArray, *, frames: int, patch_frames: int) -> FloatArray:
    """Average the window around each patch of log-mel to ``(patches, bins * bands)``; beyond the clip is silence."""
    frames_32 = torch.from_numpy(log_mel.astype(np.float32))
    bands = nn.functional.adaptive_avg_pool1d(frames_32, min(WINDOW_BANDS, log_mel.shape[1])).numpy()
    padded = np.pad(bands, ((frames, frames + patch_frames), (0, 0)), constant_values=bands.min())
    sums = np.concatenate([np.zeros((1, bands.shape[1])), padded.cumsum(0, dtype=np.float64)])
    middles = np.arange(0, len(log_mel), patch_frames) + patch_frames // 2
    bins = min(BINS, frames)
    borders = np.arange(bins + 1) * frames // bins  # within a window; bins may differ by a frame
    edges = (middles - frames // 2 + frames)[:, None] + borders  # (patches, bins + 1), in the padded frames
    means = (sums[edges[:, 1:]] - sums[edges[:, :-1]]) / np.diff(borders)[None, :, None]
    return np.asarray(means.reshape(len(middles), -1), np.float32)


@dataclass(frozen=True, kw_only=True)
class DenoisingShape:
    """What a model reads and predicts; follows from the tokenizer, and the longest sequence from the batches."""

    frames: int  # longest sequence
    mels: int
    patch_frames: int
    codebook_size: int


class Stem(nn.Module):
    """Causal 3 x 3 convolutions over time and mel bands: log-mel ``(batch, time, mels)`` -> ``(batch, steps, width)``.

    Each convolution halves the number of bands, and that of frames where a patch is still a whole number of steps then:
    of patches of 8 frames, two convolutions make steps of ``hop`` = 4 frames.
    """

    def __init__(self, channels: Sequence[int], *, patch_frames: int) -> None:
        super().__init__()
        self.hop = 1  # frames of a step
        self.convolutions = nn.ModuleList()
        for before, after in pairwise((1, *channels)):
            stride = 2 if patch_frames % (2 * self.hop) == 0 else 1
            self.convolutions.append(nn.Conv2d(before, after, KERNEL, stride=(stride, 2)))
            self.hop *= stride

    def forward(self, spectrograms: Tensor) -> Tensor:
        images = spectrograms[:, None]  # (N, 1, T, M)
        for each in self.convolutions:
            convolution = cast(nn.Conv2d, each)
            # Step t reads the frames up to stride * (t + 1) - 1, the last one that it stands for.
            padded = nn.functional.pad(images, (KERNEL // 2, KERNEL // 2, KERNEL - convolution.stride[0], 0))
            images = nn.functional.gelu(convolution(padded))
        return images.transpose(1, 2).flatten(2)  # (N, C, T, M) -> (N, T, C * M)


class CodeStem(nn.Module):
    """Log-mel ``(batch, time, mels)`` -> the nearest codes of its patches, one-hot ``(batch, steps, streams * codes)``.

    ``mean`` and ``std`` are those with which the log-mel is normalised. A speech model's codes, which are
    made from samples, are refused.
    """

    def __init__(self, tokenizer: Tokenizer, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        tokenizer = tokenizer.finest
        if not tokenizer.reads_patches:
            raise InputError("a speech model makes these codes from samples, and this network reads log-mel")
        self._encoder = (tokenizer,)  # in a tuple, so its weights are neither trained nor saved
        self._scale, self._shift = std, mean
        if tokenizer.front_end.levelling is None:
            self._scale, self._shift = std / tokenizer.std, (mean - tokenizer.mean) / tokenizer.std
        self.width = tokenizer.format.spectral_streams * tokenizer.format.codebook_size

    @not_compiled
    def forward(self, spectrograms: Tensor) -> Tensor:
        [encoder] = self._encoder
        return nn.functional.one_hot(self.codes(spectrograms), len(encoder.centroids)).flatten(2).float()

    def codes(self, spectrograms: Tensor) -> Tensor:
        """Return the nearest code of each patch ``(batch, steps, streams)``."""
        with _exactly(spectrograms.device):
            return self._encoder[0].nearest(self._bottlenecks(spectrograms))

    def _bottlenecks(self, spectrograms: Tensor) -> Tensor:
        [encoder], device = self._encoder, spectrograms.device
        encoder.to(device)
        own = spectrograms.float() * self._scale.to(device) + self._shift.to(device)
        if encoder.front_end.levelling is not None:
            own = encoder.normalise(at_reference(own, encoder.front_end)[0])
        return encoder.bottlenecks(own)  # (batch, steps, bands, dim)


@contextmanager
def _exactly(device: torch.device) -> Iterator[None]:
    """Compute without rounding, which changes codes, and without gradients."""
    with torch.no_grad(), torch.autocast(device.type, enabled=False), fast_products(device, fast=False):
        yield


class DenoisingNetwork(BackboneNetwork):
    """Log-mel ``(batch, time, mels)`` -> a state for each patch, which predicts codes."""

    def __init__(self, config: DenoisingConfig, shape: DenoisingShape) -> None:
        super().__init__()
        self.config = config
        self.shape = shape
        dim = config.model_dim
        stem = Stem(config.channels, patch_frames=shape.patch_frames)
        self.stem: Stem | CodeStem = stem
        self.hops = (stem.hop, *(shape.patch_frames,) * config.layers)
        bands = -(-shape.mels // (1 << len(config.channels)))  # after the convolutions
        self.project = nn.Linear(shape.patch_frames // stem.hop * config.channels[-1] * bands, dim)
        self.norm = nn.RMSNorm(dim)
        self.dropout = nn.Dropout(config.dropout)
        # Its embedding of tokens is left out: the convolutions stand in its place.
        positions = max(shape.frames, CONVOLVED_FRAMES) // shape.patch_frames + 1
        self.decoder = create_causal_transformer(config, positions=positions, tokens=1).decoder
        self.predict = nn.Linear(dim, shape.codebook_size, bias=False)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Frames:
        return self.decoder(*self._embed(self._images(inputs))), -(-lengths // self.hops[-1])

    def logits(self, spectrograms: Tensor) -> Tensor:
        """Compute logits ``(batch, positions, codebook_size)``."""
        logits: Tensor = self.predict(self.decoder(*self._embed(self._images(spectrograms))))
        return logits

    @property
    def stack(self) -> Sequence[nn.Module]:
        return [nn.ModuleList([self.stem, self.project, self.norm]), *self.decoder.get_submodule("layers").children()]

    def states(self, inputs: Tensor, lengths: Tensor) -> dict[str, Frames]:
        """Compute the outputs of the convolutions, and inner activations ``(batch, positions, ffn_dim)`` of layers."""
        images = self._images(inputs)
        first = [images] if isinstance(self.stem, Stem) else []
        of_layers = (inner for inner, _ in layer_states(self.decoder, *self._embed(images)))
        layers = zip([*first, *of_layers], self.hops, strict=True)
        return {f"layer_{number}": (each, -(-lengths // hop)) for number, (each, hop) in enumerate(layers, 1)}

    def _images(self, spectrograms: Tensor) -> Tensor:
        """Read whole patches by the stem, the last one padded ``(batch, steps, width)``."""
        images: Tensor = self.stem(nn.functional.pad(spectrograms, (0, 0, 0, -spectrograms.shape[1] % self.hops[-1])))
        return images

    def _embed(self, images: Tensor) -> tuple[Tensor, "BatchLayout"]:
        patches = images.reshape(len(images), -1, self.project.in_features)  # the steps of each patch side by side
        embedded = self.dropout(self.norm(self.project(patches)))
        return embedded, full_rows(embedded)


class CodePrediction(nn.Module):
    """A model with the task of its training: log-mel ``(batch, time, mels)`` -> `DenoisingNetwork.logits`."""

    def __init__(self, model: DenoisingNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, spectrograms: Tensor) -> Tensor:
        return self.model.logits(spectrograms)


def create_denoising(
    config: DenoisingConfig, shape: DenoisingShape, *, seed: int, codes: CodeStem | None = None
) -> DenoisingNetwork:
    """Create a model whose weights follow from the seed; with ``codes`` it reads these instead of log-mel."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DenoisingNetwork(config, shape)
        if codes is not None:
            torch.manual_seed(seed)
            model.stem, model.hops = codes, model.hops[1:]
            # of one number for each code of a stream: the sum of their embeddings
            model.project = nn.Linear(codes.width, config.model_dim)
        return model.float()  # whatever PyTorch's default type is


@dataclass(frozen=True, kw_only=True, eq=False)
class CodedClips:
    """Log-mel of clips, and the codes that are predicted: patch ``p`` has row ``p``; a clip may end within a patch."""

    spectrograms: StoredClips
    codes: StoredClips  # int32 (time, 1); UNCOUNTED where a patch has no code
    patch_frames: int

    @classmethod
    def of_windows(cls, spectrograms: StoredClips, codebook: WindowCodebook) -> "CodedClips":
        """Compute the code of the window around each patch."""
        codes = [codebook.codes(spectrograms.clip(row))[:, None] for row in range(len(spectrograms))]
        return cls(spectrograms=spectrograms, codes=StoredClips.together(codes), patch_frames=codebook.patch_frames)

    def batch(self, clips: IndexArray, starts: Tensor, speeds: Tensor, lengths: Tensor, frames: Tensor) -> CodeBatch:
        """Return the batch of copies of clips in ``frames``, with the codes of the patches that they cover."""
        targets, size = [], self.patch_frames
        copies = zip(clips, starts.tolist(), speeds.tolist(), lengths.tolist(), strict=True)
        for clip, start, speed, length in copies:
            covered = covered_patches(start, speed, positions=-(-length // size), patch_frames=size)
            own = self.codes.clip(clip)
            codes = own[np.minimum(covered, len(own) - 1)].astype(np.int64)
            targets.append(torch.from_numpy(np.where((covered < len(own))[:, None], codes, UNCOUNTED)))
        padded = nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=UNCOUNTED)
        return CodeBatch(inputs=frames, targets=padded, codes=int((padded != UNCOUNTED).sum()))


def covered_patches(start: int, speed: float, *, positions: int, patch_frames: int) -> IntArray:
    """Return the patch of the unchanged clip at the middle of each patch of a copy ``(positions,)``."""
    # At another speed a patch covers parts of several patches of the clip: that at its middle counts.
    middle = start + (np.arange(positions) + 0.5) * patch_frames * speed
    return np.asarray(np.floor(middle / patch_frames), np.int32)


class DenoisingBatches:
    """Endless shuffled epochs of augmented copies on ``device``; as clips may be mixed, all of a batch are made."""

    def __init__(
        self,
        clips: CodedClips,
        config: ClipBatchConfig,
        augmentation: AugmentationConfig,
        *,
        std: Tensor,
        device: torch.device = CPU,
    ) -> None:
        self._clips, self._device, self._config, self._std = clips, device, config, std
        self._augmentation = augmentation
        self._order = Order(clips.spectrograms.lengths, config)

    def batch(self, step: int, part: int, parts: int) -> CodeBatch:
        """Return share ``part`` of ``parts`` of the batch of a step."""
        rows, own = self._config.share(part, parts), self._augmentation
        clips, generator = self._order.clips(step), self._order.generator(step)
        whole = torch.from_numpy(self._clips.spectrograms.lengths[clips])
        kept, starts = draw_crops(whole, own.crop, generator, at_most=self._config.max_frames)
        speeds, formants = (draw_ratios(len(clips), most, generator) for most in (own.speed, own.formant))
        places = self._clips.spectrograms.drawn(clips, generator).places
        places = np.stack([places[:, 0], places[:, 1] + starts.numpy(), places[:, 1] + (starts + kept).numpy()], axis=1)
        passages = replace(self._clips.spectrograms, places=places)
        read, _ = passages.read(np.arange(len(clips)), at_most=int(kept.max()))
        warped, lengths = warp(copy_to(read, self._device), kept, speeds=speeds, formants=formants)
        in_place = replace(own, crop=1.0, speed=0.0, formant=0.0)  # time and bands stay where they are from here on
        augmented, lengths = augment(warped, lengths, generator, config=in_place, std=self._std)
        frames, lengths = trim_rows(augmented, lengths, rows)
        return self._clips.batch(clips[rows], starts[rows], speeds[rows], lengths, frames)


def validation_batches(clips: CodedClips, *, batch_size: int, at_most: int) -> list[CodeBatch]:
    """Return the first ``at_most`` frames of every clip, unchanged, in batches of similar length."""
    return [
        clips.batch(rows, torch.zeros_like(lengths), torch.ones(len(rows)), lengths, frames)
        for rows, frames, lengths in batches_by_length(clips.spectrograms, batch_size=batch_size, at_most=at_most)
    ]


@dataclass(frozen=True, kw_only=True)
class DenoisingBackbone(LogMelBackbone):
    """A model in a folder, which has its sizes, and the log-mel that it reads."""

    folder: Path
    audio: SpectrogramConfig

    name: ClassVar[str] = "denoising"
    title: ClassVar[str] = "denoising unit prediction"

    @property
    def sizes(self) -> tuple[DenoisingConfig, DenoisingShape]:
        about = json.loads((self.folder / CONFIG).read_text())
        config = build(DenoisingConfig, about[self.name], name=f"{self.name} of {self.folder / CONFIG}")
        return config, DenoisingShape(**about["shape"])

    @property
    def reading(self) -> BackboneReading:
        config, shape = self.sizes
        return self.reading_of(hop=shape.patch_frames, dim=config.model_dim)

    def create(self, *, seed: int, weights: Path | None = None, option: str = WEIGHTS_OPTION) -> DenoisingNetwork:
        """Load the model of the folder, whether it was trained or has random weights."""
        tokenizer, codes = self.folder / TOKENIZER_FOLDER, None
        if tokenizer.is_dir():
            codes = CodeStem(Tokenizer.from_pretrained(tokenizer), *frame_statistics(self.folder))
        network = create_denoising(*self.sizes, seed=seed, codes=codes)
        load_part(network, self.folder, "")
        return network
