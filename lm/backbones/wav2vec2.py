"""wav2vec 2.0 with the model of `transformers`: masked prediction of waveforms, and, with its kin, a backbone.

Baevski, Zhou, Mohamed and Auli, "wav2vec 2.0: a framework for self-supervised learning of speech representations",
2020 (arXiv:2006.11477)::

    samples      |  |  |  |  |  |  |  |  |
    convolutions [ z ][ z ][ z ][ z ][ z ]  ──quantise──▶ q     targets: Gumbel softmax over learned codes
    masked         z    M    M    M    z                        spans of frames are masked
    transformer    c    c    c    c    c                        c of a masked frame is to be nearest to its own q,
                                                                among those of other masked frames of the clip

The variant is that of the larger models, with layer normalisation throughout, because padding then changes nothing.
Masked spans of frames are drawn by `transformers` from a seed, and a batch follows from seed and step.

A backbone (wav2vec 2.0, HuBERT, WavLM, data2vec-audio) has a state for each frame of the convolutions. The network and
its weights are those of a local Hugging Face folder, or of a run that pre-trained wav2vec 2.0; without weights, the
options give its sizes. Each window of samples is normalised. In training, spans of frames are masked, as in the paper's
fine-tuning. See `wordless.audio.speech_models`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lm.backbones.backbone import (
    WEIGHTS_OPTION,
    Backbone,
    BackboneNetwork,
    BackboneReading,
    BackboneSource,
    MakeView,
    Pieces,
)
from lm.backbones.clips import (
    ClipBatchConfig,
    ClipViews,
    StoredClips,
    trim_rows,
)
from lm.probing.vectors import Frames
from wordless.audio.audio_options import Convolutions
from wordless.audio.padding import inside, read_by_length, similar_ratio
from wordless.audio.speech_models import (
    MASK_EMBEDDING,
    PIECE_FRAMES,
    SpeechEncoder,
    SpeechModel,
    compute_time_first,
    load_speech_encoder,
    normalise,
)
from wordless.audio.views import View
from wordless.base.devices import Batch, copy_to
from wordless.base.options import Options, TransformerSizes, option
from wordless.base.saved_models import hugging_face_hash, learned_labels
from wordless.base.seeds import MAX_SEED


@dataclass(frozen=True, kw_only=True)
class MaskConfig(Options):
    """Options of masked spans of frames."""

    share: float = 0.65  # share of the frames that is masked, if spans did not overlap; 0: none
    length: int = 10  # frames of a span


MASKING = MaskConfig(share=0.1, length=5)  # of fine-tuning, a regularisation
_LEAST_FRAMES = 2  # of a masked span: each frame is told from others


@dataclass(frozen=True, kw_only=True)
class TargetConfig(Options):
    """Options of masked frames and their targets."""

    masking: MaskConfig = MaskConfig(length=5)  # spans of masked frames
    negatives: int = 50  # negatives of the contrastive loss for each masked frame: other masked frames of the clip
    diversity_weight: float = 0.5  # weight of the penalty for codes that are not used
    temperature: float = 2.0  # temperature of the Gumbel softmax over codes at the first step
    final_temperature: float = 0.5  # temperature of the Gumbel softmax at the last step

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_if(self.masking.share == 0, "masking.share", "something must be masked")
        rule = f"choose {_LEAST_FRAMES} or more, so that a masked frame has others beside it"
        self.refuse_if(self.masking.length < _LEAST_FRAMES, "masking.length", rule)

    def temperature_at(self, progress: float) -> float:
        """Return the temperature of the Gumbel softmax after a share of the steps."""
        return float(self.temperature * (self.final_temperature / self.temperature) ** progress)


TARGET_CODEBOOKS = 2


@dataclass(frozen=True, kw_only=True)
class Wav2vec2Config(TransformerSizes):
    """Sizes of a model that is pre-trained here."""

    channels: int = option(128, "channels of each convolution", least=1)
    kernels: tuple[int, ...] = option((10, 3, 3, 3, 3, 2, 2), "kernel sizes of the convolutions", least=1)
    strides: tuple[int, ...] = option(
        (5, 2, 2, 2, 2, 2, 2), "strides of the convolutions: a frame for each 320 samples", least=1
    )
    width: int = option(192, "width of the transformer", least=1)
    layers: int = 4
    heads: int = 4
    ffn_dim: int = 768
    positions: int = 32  # frames that the convolution of positions sees
    codes: int = 64  # codes of each of the two codebooks of targets
    code_dim: int = 128  # width of a target
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"give as many numbers as kernels has, {len(self.kernels)}, and at least one"
        self.refuse_if(len(self.kernels) != len(self.strides) or not self.kernels, "strides", rule)
        for name, divisor in (("width", self.heads), ("code_dim", TARGET_CODEBOOKS)):
            self.refuse_if(getattr(self, name) % divisor, name, f"choose a multiple of {divisor}")

    @property
    def convolutions(self) -> Convolutions:
        """The frames of the model."""
        return Convolutions(kernels=self.kernels, strides=self.strides)


if TYPE_CHECKING:
    from transformers import Wav2Vec2Config as TransformersConfig
    from transformers import Wav2Vec2ForPreTraining


Masks = npt.NDArray[np.bool_]  # (batch, frames)
NO_MASKS = MaskConfig(share=0.0)


def draw_masks(frames: npt.NDArray[np.int64], config: MaskConfig, *, seed: int, least: int = 0) -> Masks:
    """Draw masked frames ``(batch, longest)`` of ``frames (batch,)``: ``least`` spans for each clip longer than one."""
    from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices

    longest = int(frames.max())
    inside = torch.arange(longest) < torch.from_numpy(frames)[:, None]
    with numpy_seed(seed):
        masked = _compute_mask_indices(
            (len(frames), longest),
            mask_prob=config.share,
            mask_length=min(config.length, longest),
            attention_mask=cast(torch.LongTensor, inside.long()),
            min_masks=least,
        )
    return np.asarray(masked & inside.numpy())


def draw_negatives(masked: Masks, count: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Draw ``count`` other masked frames of the clip for each, by their numbers ``(batch, frames, count)``."""
    from transformers.models.wav2vec2.modeling_wav2vec2 import _sample_negative_indices

    with numpy_seed(seed):
        drawn = _sample_negative_indices(masked.shape, count, masked)
    first = np.arange(len(masked))[:, None, None] * masked.shape[1]
    return np.where(masked[..., None], drawn - first, 0).astype(np.int64)


MASKS = 2  # second word of the seeds of masks: see `lm.backbones.clips`


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedBatch(Batch):
    """Clips with masked frames, and the other frames that each is told from."""

    on_host = ("lengths",)

    samples: Tensor  # (batch, time)
    lengths: Tensor  # (batch,) in samples
    masked: Tensor  # (batch, frames) bool
    places: Tensor  # (masked,) int64: numbers of the masked frames in (batch, frames), clip after clip
    negatives: Tensor  # (masked, count) int64: for each masked frame, numbers of masked frames of the same clip
    temperature: float  # of the Gumbel softmax


class MaskedBatches:
    """Training batches of clips with masked frames; each clip is longer than a span."""

    def __init__(
        self, clips: StoredClips, config: ClipBatchConfig, convolutions: Convolutions, targets: TargetConfig, steps: int
    ) -> None:
        self.views, self.batches = ClipViews(clips, config, as_read), config
        self.convolutions, self.targets, self.steps = convolutions, targets, steps

    def batch(self, step: int, part: int, parts: int) -> MaskedBatch:
        _, [(samples, lengths)] = self.views.batch(step, 0, 1, views=1)
        own = self.batches.share(part, parts)
        frames = self.convolutions.frames_of(lengths)
        seed = int(np.random.SeedSequence([self.batches.seed, MASKS, step]).generate_state(1)[0])
        masked = draw_masks(frames.numpy(), self.targets.masking, seed=seed, least=1)
        negatives = draw_negatives(masked, self.targets.negatives, seed=seed)
        samples, lengths = trim_rows(samples, lengths, own)
        longest = int(frames[own].max())
        masked, negatives = masked[own, :longest], negatives[own, :longest]
        return MaskedBatch(
            samples=samples,
            lengths=lengths,
            masked=torch.from_numpy(masked),
            places=torch.from_numpy(np.flatnonzero(masked)),
            negatives=torch.from_numpy(negatives[masked]),
            temperature=self.targets.temperature_at(step / self.steps),
        )


def as_read(samples: Tensor, lengths: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return clips without a change, as a `MakeView`."""
    return samples, lengths


def validation_batches(
    clips: StoredClips, config: ClipBatchConfig, convolutions: Convolutions, targets: TargetConfig
) -> list[MaskedBatch]:
    """Make batches of validation clips with fixed masks, each clip at most once; temperatures decide no target here."""
    fixed = replace(config, batch_size=max(min(config.batch_size, len(clips)), 2), pool_batches=1)
    batches = MaskedBatches(clips, fixed, convolutions, targets, steps=1)
    return [batches.batch(step, 0, 1) for step in range(len(clips) // fixed.batch_size)]


_TEMPERATURE = 0.1  # of the contrastive loss


class MaskedPrediction(nn.Module):
    """The model with the task of its pre-training.

    ``forward`` of `transformers` compares all frames with negatives, the padding too, and copies every negative and its
    gradient. Here masked frames alone have targets, and one product of matrices gives all similarities of a clip.
    """

    def __init__(self, model: Wav2Vec2ForPreTraining) -> None:
        super().__init__()
        self.model = model
        compute_time_first(model.wav2vec2.feature_extractor)

    def forward(
        self, samples: Tensor, lengths: Tensor, masked: Tensor, places: Tensor, negatives: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Return similarities as `compare_with_targets` does, and the codes' perplexity over their number."""
        model = self.model
        model.quantizer.temperature = temperature  # type: ignore[assignment]  # it is a number
        states, extracted = self._states(samples, lengths, masked)
        features = model.dropout_features(extracted).flatten(0, 1)[places]
        quantised, perplexity = model.quantizer(features[None])
        similarities = compare_with_targets(model.project_hid(states), model.project_q(quantised[0]), places, negatives)
        return similarities, perplexity / (TARGET_CODEBOOKS * int(model.config.num_codevectors_per_group))

    def _states(self, samples: Tensor, lengths: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
        """Compute states, and features before the mask ``(batch, frames, dim)``; like lengths are convolved at once."""
        transformer = cast(Any, self.model.wav2vec2)  # its functions are annotated with other types than they accept
        prepared = normalise(samples, lengths)

        def convolve(rows: Tensor, longest: int) -> Tensor:
            values = prepared[copy_to(rows, prepared.device), :longest][:, None]
            for layer in transformer.feature_extractor.conv_layers:
                values = layer(values)
            return values.transpose(1, 2)  # (N, C, T) -> (N, T, C)

        features = read_by_length(convolve, lengths, ratio=similar_ratio(prepared.device))
        within = inside(samples, lengths).long()
        within = transformer._get_feature_vector_attention_mask(features.shape[1], within, add_adapter=False)
        hidden, extracted = transformer.feature_projection(features)
        hidden = transformer._mask_hidden_states(hidden, mask_time_indices=masked, attention_mask=within)
        return transformer.encoder(hidden, attention_mask=within).last_hidden_state, extracted


def compare_with_targets(predicted: Tensor, targets: Tensor, places: Tensor, negatives: Tensor) -> Tensor:
    """Compute the cosine similarity of the prediction of each masked frame to its target and to the negatives.

    ``predicted (batch, frames, dim)`` are of all frames, ``targets (masked, dim)`` of the masked ones. The result is
    ``(masked, 1 + count)``, the target's first; minus infinity where a negative equals the target.
    """
    batch, frames, _ = predicted.shape
    # The meta device, on which placement is tested, has no autocast.
    with nullcontext() if predicted.is_meta else torch.autocast(predicted.device.type, enabled=False):
        of_frames = targets.new_zeros(batch * frames, targets.shape[1]).index_copy(0, places, targets)  # 0: no target
        directions = nn.functional.normalize(predicted.float(), dim=-1)
        wanted = nn.functional.normalize(of_frames.float(), dim=-1).view(batch, frames, -1)
        cosines = (directions @ wanted.mT).flatten(0, 1)[places]  # (N, T, T) -> (N * T, T) -> (masked, T)
    own = (places % frames)[:, None]
    others = of_frames.detach()[places[:, None] - own + negatives]  # (masked, count, dim)
    equal = (others == targets.detach()[:, None]).all(-1)
    return torch.cat([cosines.gather(1, own), cosines.gather(1, negatives).masked_fill(equal, -torch.inf)], dim=1)


def create_masked_prediction(config: Wav2vec2Config, *, diversity_weight: float, seed: int) -> MaskedPrediction:
    from transformers import Wav2Vec2ForPreTraining

    sizes = transformers_config(config, diversity_weight=diversity_weight)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MaskedPrediction(Wav2Vec2ForPreTraining(sizes))


def transformers_config(config: Wav2vec2Config, *, diversity_weight: float = 0.0) -> TransformersConfig:
    from transformers import Wav2Vec2Config

    count = len(config.kernels)
    return Wav2Vec2Config(  # type: ignore[no-untyped-call]  # transformers' own
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.ffn_dim,
        conv_dim=[config.channels] * count,
        conv_kernel=list(config.kernels),
        conv_stride=list(config.strides),
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=config.positions,
        num_conv_pos_embedding_groups=config.heads,
        hidden_dropout=config.dropout,
        attention_dropout=config.dropout,
        activation_dropout=0.0,
        layerdrop=0.0,
        mask_time_prob=0.65,  # above 0, so that there is an embedding of masked frames
        num_codevector_groups=TARGET_CODEBOOKS,
        num_codevectors_per_group=config.codes,
        codevector_dim=config.code_dim,
        proj_codevector_dim=config.code_dim,
        contrastive_logits_temperature=_TEMPERATURE,
        diversity_loss_weight=diversity_weight,
    )


def masked_loss(model: nn.Module, batch: MaskedBatch, *, diversity_weight: float) -> tuple[Tensor, int]:
    """Sum the nats of telling targets from negatives, with the gradient of a penalty for unused codes; and count."""
    masked = len(batch.places)
    similarities, perplexity_share = model(
        batch.samples, batch.lengths, batch.masked, batch.places, batch.negatives, batch.temperature
    )
    first = torch.zeros(masked, dtype=torch.long, device=similarities.device)  # place of the target
    nats = nn.functional.cross_entropy(similarities / _TEMPERATURE, first, reduction="sum")
    penalty = diversity_weight * masked * (1 - perplexity_share)
    return nats + penalty - penalty.detach(), masked


def save_pretrained(model: MaskedPrediction, folder: Path, *, sample_rate: int) -> None:
    """Write the folder of `wordless.audio.speech_models`, in the layout of Hugging Face."""
    from transformers import Wav2Vec2FeatureExtractor

    inputs = Wav2Vec2FeatureExtractor(  # type: ignore[no-untyped-call]  # transformers' own
        sampling_rate=sample_rate, do_normalize=True, return_attention_mask=True
    )
    inputs.save_pretrained(folder)
    model.model.save_pretrained(folder)


class SpeechNetwork(BackboneNetwork):
    """A speech model that gives the states of its last layer, in training with masked spans of frames."""

    def __init__(self, encoder: SpeechEncoder, masking: MaskConfig) -> None:
        super().__init__()
        self.transformer: nn.Module = encoder.transformer
        self.encoder = encoder
        self.masking = masking
        if (embedding := getattr(self.transformer, MASK_EMBEDDING, None)) is not None:
            embedding.requires_grad_(False)  # because a batch may have no masked frame

    def forward(self, inputs: Tensor, lengths: Tensor) -> Frames:
        """Map samples ``(batch, time)`` to states ``(batch, frames, width)``; PyTorch's generator draws the masks."""
        frames, masked = self.encoder.convolutions.frames_of(lengths), None
        if self.training and self.masking.share:
            seed = int(torch.randint(MAX_SEED, (1,)))
            masked = torch.from_numpy(draw_masks(frames.cpu().numpy(), self.masking, seed=seed)).to(inputs.device)
        return self.encoder.states(inputs, lengths, masked=masked)[0], frames

    def prepare(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return self.encoder.prepare(inputs, lengths)

    def states(self, inputs: Tensor, lengths: Tensor) -> dict[str, Frames]:
        frames, every = self.encoder.convolutions.frames_of(lengths), range(1, self.encoder.layers + 1)
        found = self.encoder.read(inputs, lengths, layers=every)
        return {f"layer_{number}": (states, frames) for number, states in zip(every, found, strict=True)}

    @property
    def stack(self) -> Sequence[nn.Module]:
        """The convolutions, then each layer; the first layer with all parts between the convolutions and itself."""
        model, transformer = self.transformer, self.transformer.get_submodule("encoder")
        first, *others = transformer.get_submodule("layers").children()
        before = [model.get_submodule("feature_projection"), transformer.get_submodule("pos_conv_embed")]
        before.append(transformer.get_submodule("dropout"))
        if not getattr(model.config, "do_stable_layer_norm", False):  # there, the norm comes after the last layer
            before.append(transformer.get_submodule("layer_norm"))
        return [model.get_submodule("feature_extractor"), nn.ModuleList([*before, first]), *others]


@dataclass(frozen=True, kw_only=True)
class Wav2vec2Backbone(Backbone):
    """The architecture of a speech model."""

    architecture: SpeechModel
    masking: MaskConfig = NO_MASKS

    name: ClassVar[str] = "wav2vec2"
    title: ClassVar[str] = "wav2vec 2.0 and its kin"

    @property
    def reading(self) -> BackboneReading:
        """A frame needs all samples of its receptive field."""
        rate, convolutions = self.architecture.sample_rate, self.architecture.convolutions
        stride, field = convolutions.stride, convolutions.receptive_field
        return BackboneReading(
            sample_rate=rate,
            dim=self.architecture.width,
            samples_per_state=stride,
            window=PIECE_FRAMES,
            inputs_per_state=stride,
            shared_inputs=field - stride,
            rounded_up=False,
            least_samples=field,
            key=f"16-bit samples at {rate} Hz",
        )

    def create(self, *, seed: int, weights: Path | None = None, option: str = WEIGHTS_OPTION) -> SpeechNetwork:
        if weights is not None:
            return SpeechNetwork(load_speech_encoder(weights, option=option), self.masking)
        own = self.architecture
        return SpeechNetwork(SpeechEncoder(own.create(seed=seed), normalises=own.normalises), self.masking)

    def pieces(self, view: View, root: Path, network: BackboneNetwork, statistics: Path) -> Pieces:
        """Return pieces of the whole clip, which is in memory and normalised before."""
        samples, encoder = view.samples(root, self.architecture.sample_rate), cast(SpeechNetwork, network).encoder
        count = encoder.convolutions.frames(len(samples))
        return Pieces(steps=[count] * encoder.layers, pieces=encoder.prepared_pieces(samples, count))


def speech_source(
    folder: Path,
    *,
    key: str | None = None,
    masking: MaskConfig = NO_MASKS,
    change: MakeView = as_read,
    option: str = WEIGHTS_OPTION,
) -> BackboneSource:
    """Describe the model of a local Hugging Face folder; ``key`` is its fingerprint, by default that of its files."""
    return BackboneSource(
        backbone=Wav2vec2Backbone(architecture=SpeechModel.of_folder(folder, option=option), masking=masking),
        weights=folder,
        fingerprint=hugging_face_hash(folder)[:16] if key is None else key,
        option=option,
        change=change,
        learned_labels=learned_labels(folder),
    )


@contextmanager
def numpy_seed(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator for a block, for libraries that draw from it; afterwards it is as it was."""
    before = np.random.get_state()  # noqa: NPY002  # the generator of those libraries
    np.random.seed(seed)  # noqa: NPY002  # as above
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002  # as above
