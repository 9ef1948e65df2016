"""A speech model with a classification head, fine-tuned end to end. Model and head are those of `transformers`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from lm.baselines.masking import NO_MASKS, MaskConfig, training_masks
from lm.pooling import pool_batch
from wordless.audio.speech_models.description import describe_speech_model
from wordless.audio.speech_models.encoder import MASK_EMBEDDING, SpeechEncoder, load_transformer
from wordless.base.files import write_aside
from wordless.base.saved_models import PREPROCESSOR

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
