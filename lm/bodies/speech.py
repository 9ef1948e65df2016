"""wav2vec 2.0 and its kin (HuBERT, WavLM, data2vec-audio): as bodies, as classifiers of `transformers`, and for probes.

A body has a state for each frame of the convolutions. The network and its pre-trained weights are those of a local
Hugging Face folder, or of a run that pre-trained wav2vec 2.0. Without weights, the options give the sizes of a wav2vec
2.0. Each window of samples is normalised. In training, spans of frames are masked, as in the paper's fine-tuning. See
`wordless.audio.speech_models`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn

from lm.bodies.body import Body, BodyNetwork, Reading, Source, waveform_reading
from lm.bodies.finetuning import RANDOM, Wav2vec2Options
from lm.bodies.options import MaskConfig
from lm.bodies.wav2vec2 import NO_MASKS, training_masks, transformers_config
from lm.bodies.waveforms import augmenting_waveforms
from lm.heads.classification import class_scores
from lm.options import ONE_HEARING, VectorConfig
from lm.probing.vectors import CLASS_SCORES, RunningPools, average, pool_batch
from wordless.audio.recordings.hearings import Hearing, hearings
from wordless.audio.recordings.inspection import require_finite
from wordless.audio.recordings.manifest import Clip
from wordless.audio.speech_models.description import describe_speech_model
from wordless.audio.speech_models.encoder import (
    MASK_EMBEDDING,
    PIECE_FRAMES,
    Architecture,
    SpeechEncoder,
    load_speech_encoder,
    load_transformer,
)
from wordless.audio.waveform import FloatArray
from wordless.base.files import write_aside
from wordless.base.saved_models import PREPROCESSOR, hugging_face_hash, learned_labels

if TYPE_CHECKING:
    from transformers import PreTrainedModel


HEAD = ("projector.", "classifier.")  # beginnings of the names of the head's weights


class SpeechClassifier(nn.Module):
    """An encoder, a projection, the mean over time, and a linear layer.

    In training, spans of frames are masked, drawn from PyTorch's generator. The embedding of masked frames is not
    trained, because a batch may have none.
    """

    def __init__(self, model: PreTrainedModel, *, normalises: bool, masking: MaskConfig = NO_MASKS) -> None:
        super().__init__()
        self.model = model
        self.encoder = SpeechEncoder(cast("PreTrainedModel", model.base_model), normalises=normalises)
        self.masking = masking
        if (embedding := getattr(model.base_model, MASK_EMBEDDING, None)) is not None:
            embedding.requires_grad_(False)

    @property
    def multi_label(self) -> bool:
        """Whether a clip may have several classes."""
        return bool(self.model.config.problem_type == "multi_label_classification")

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """Map samples ``(batch, time)`` of clips of ``lengths (batch,)`` to logits ``(batch, classes)``."""
        frames = self.encoder.convolutions.frames_of(lengths)
        masked = training_masks(frames, self.masking) if self.training else None
        states = self.encoder.states(samples, lengths, masked=masked)[0]
        return self.logits(pool_batch(states, frames, "mean"))

    def logits(self, means: Tensor) -> Tensor:
        """Map the mean of each clip's last states ``(batch, width)`` to logits ``(batch, classes)``.

        The projection is linear, so the mean of projected states is the projection of their mean.
        """
        projected = self.model.get_submodule("projector")(means)
        logits: Tensor = self.model.get_submodule("classifier")(projected)
        return logits


def create_speech_classifier(
    folder: Path,
    classes: Sequence[str],
    *,
    multi_label: bool,
    masking: MaskConfig,
    freeze_convolutions: bool,
    option: str,
    seed: int,
) -> SpeechClassifier:
    """Put a head, whose weights follow from the seed, on the model of a folder; ``option`` names it in messages."""
    from transformers import AutoModelForAudioClassification

    problem = "multi_label_classification" if multi_label else "single_label_classification"
    names = dict(enumerate(classes))
    model = load_transformer(
        AutoModelForAudioClassification,
        folder,
        option=option,
        new=HEAD,
        seed=seed,
        id2label=names,
        label2id={name: number for number, name in names.items()},
        problem_type=problem,
        mask_time_prob=0.5,  # above 0, so that there is an embedding of masked frames
    )
    if freeze_convolutions:
        cast(Any, model).freeze_feature_encoder()
    normalises = describe_speech_model(folder, option=option).normalises
    return SpeechClassifier(model, normalises=normalises, masking=masking)


def save_speech_classifier(model: SpeechClassifier, folder: Path, *, inputs: Path) -> None:
    """Write a folder in the layout of Hugging Face; the description of inputs is that of the folder ``inputs``."""
    model.model.save_pretrained(folder)
    if (inputs / PREPROCESSOR).is_file():
        write_aside(folder / PREPROCESSOR, (inputs / PREPROCESSOR).read_bytes())


def load_speech_classifier(folder: Path, *, device: str) -> SpeechClassifier:
    """Load a folder that `save_speech_classifier` wrote."""
    from transformers import AutoModelForAudioClassification

    model = load_transformer(AutoModelForAudioClassification, folder, option="folder")
    normalises = describe_speech_model(folder, option="folder").normalises
    return SpeechClassifier(model, normalises=normalises).eval().to(device)


@dataclass(frozen=True, kw_only=True)
class SpeechReader:
    """A speech model that any process can load, and the recordings that it reads."""

    root: Path  # of the recordings
    model: Path  # folder of the model
    classifier: bool  # whether it has a classification head
    sample_rate: int  # Hz
    device: str
    option: str  # names the folder of the model in messages
    vectors: VectorConfig = ONE_HEARING


@lru_cache(maxsize=1)
def _load(reader: SpeechReader) -> tuple[SpeechEncoder, SpeechClassifier | None]:
    """Load the encoder and, if it was fine-tuned, the whole model; once in each process."""
    if reader.classifier:
        model = load_speech_classifier(reader.model, device=reader.device)
        return model.encoder, model
    return load_speech_encoder(reader.model, option=reader.option, device=reader.device), None


def speech_layers(reader: SpeechReader, clip: Clip) -> dict[str, FloatArray]:
    """Compute the wanted poolings of the layers of a clip, and `CLASS_SCORES` if the model was fine-tuned.

    Each is the average over the hearings.
    """
    heard = hearings(reader.vectors.hearings, spread=reader.vectors.hearing_rates)
    return average(_layers(reader, clip, hearing) for hearing in heard)


@torch.inference_mode()
def _layers(reader: SpeechReader, clip: Clip, hearing: Hearing) -> dict[str, FloatArray]:
    encoder, model = _load(reader)
    samples = hearing.samples(reader.root, clip, reader.sample_rate)
    frames, numbers = encoder.convolutions.frames(len(samples)), range(1, encoder.layers + 1)
    pools = RunningPools({f"layer_{number}": frames for number in numbers}, reader.vectors.poolings)
    total = torch.zeros(encoder.width, device=reader.device)
    for piece in encoder.pieces(samples, numbers, frames=frames):
        total += piece[-1].sum(0)
        for number, states in zip(numbers, piece, strict=True):
            pools.add(f"layer_{number}", states.cpu().numpy())
    features = reader.vectors.select(pools.pooled, encoder.layers, layer="layer", together="all_layers")
    if model is not None:
        scores = class_scores(model.logits(total[None] / frames), multi_label=model.multi_label)
        features[CLASS_SCORES] = scores[0].cpu().numpy()
    for vector in features.values():
        require_finite(vector, clip, "states of a speech model")
    return features


OPTION = "body.weights"


class SpeechNetwork(BodyNetwork):
    """A speech model that gives the states of its last layer."""

    def __init__(self, encoder: SpeechEncoder, masking: MaskConfig) -> None:
        super().__init__()
        self.transformer: nn.Module = encoder.transformer
        self.encoder = encoder
        self.masking = masking
        getattr(self.transformer, MASK_EMBEDDING).requires_grad_(False)  # a batch may have no masked frame

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map samples ``(batch, time)`` to states ``(batch, frames, width)``."""
        frames = self.encoder.convolutions.frames_of(lengths)
        masked = training_masks(frames, self.masking) if self.training else None
        return self.encoder.states(inputs, lengths, masked=masked)[0]

    @torch.no_grad()
    def layer_states(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Compute the states of each layer ``(layers, batch, frames, width)``."""
        return self.encoder.states(inputs, lengths, layers=range(1, self.encoder.layers + 1))

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The convolutions, then each layer; the first layer with all parts between the convolutions and itself."""
        model, transformer = self.transformer, self.transformer.get_submodule("encoder")
        first, *others = transformer.get_submodule("layers").children()
        before = [model.get_submodule("feature_projection"), transformer.get_submodule("pos_conv_embed")]
        before.append(transformer.get_submodule("dropout"))
        if not getattr(model.config, "do_stable_layer_norm", False):  # there, the norm comes after the last layer
            before.append(transformer.get_submodule("layer_norm"))
        return [model.get_submodule("feature_extractor"), nn.ModuleList([*before, first]), *others]


@dataclass(frozen=True, kw_only=True)
class Wav2vec2Body(Body):
    """The architecture of a speech model."""

    architecture: Architecture
    masking: MaskConfig = NO_MASKS

    name: ClassVar[str] = "wav2vec2"
    title: ClassVar[str] = "wav2vec 2.0 and its kin"

    @property
    def reading(self) -> Reading:
        """A frame needs all samples of its receptive field."""
        convolutions = self.architecture.described.convolutions
        stride, field = convolutions.stride, convolutions.receptive_field
        return waveform_reading(
            self.architecture.sample_rate,
            stride,
            window=PIECE_FRAMES,
            least_samples=field,
            shared=field - stride,
            rounded_up=False,
        )

    @property
    def dim(self) -> int:
        """Width of a state."""
        return self.architecture.described.width

    @cached_property
    def parameters(self) -> int:
        """Number of weights."""
        return self.architecture.parameters

    def create(self, *, seed: int, weights: Path | None = None) -> SpeechNetwork:
        """Create the network with the weights of a local Hugging Face folder, or with random ones."""
        own = self.architecture
        transformer = own.create(seed=seed) if weights is None else own.load_network(weights, option=OPTION)
        return SpeechNetwork(SpeechEncoder(transformer, normalises=own.normalises), self.masking)


def open_wav2vec2(options: Wav2vec2Options, run: Mapping[str, Path]) -> Source:
    """Describe the model of a run, of a local Hugging Face folder, or of the options."""
    folder = None if options.weights == RANDOM else run.get("wav2vec2", Path(options.weights).expanduser())
    if folder is None:
        config = transformers_config(options.model)
        architecture = Architecture.of_config(config, sample_rate=options.sample_rate)
    else:
        architecture = Architecture.of_folder(folder, option=OPTION)
    return Source(
        body=Wav2vec2Body(architecture=architecture, masking=options.masking),
        weights=folder,
        fingerprint="" if folder is None else hugging_face_hash(folder)[:16],
        change=augmenting_waveforms(options.augmentation),
        learned_labels=folder is not None and learned_labels(folder),
    )
