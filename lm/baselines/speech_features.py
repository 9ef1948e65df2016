"""Features of a speech model: states of its layers, pooled over time as a recording is read."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from lm.baselines.speech_classifier import SpeechClassifier, load_speech_classifier
from lm.baselines.supervised import class_scores
from lm.pooling import RunningPools
from lm.vectors import CLASS_SCORES, ONE_HEARING, VectorConfig, average
from wordless.audio.recordings.hearings import Hearing, hearings
from wordless.audio.recordings.inspection import require_finite
from wordless.audio.recordings.manifest import Clip
from wordless.audio.speech_models.encoder import SpeechEncoder, load_speech_encoder
from wordless.audio.waveform import FloatArray


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
