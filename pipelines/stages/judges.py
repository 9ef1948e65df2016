"""Classifiers that name the label of decoded sound; each was trained on the training clips alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from audio.recordings.manifest import Clip
from audio.spectrogram import SpectrogramConfig
from lm.baselines.block_features import EncoderLoader, block_features, head_scores
from lm.baselines.encoder import ConvEncoderConfig
from lm.baselines.spectrogram_reader import SpectrogramReader
from lm.pooling import POOLINGS, FloatArray
from lm.probe import ProbeConfig, penalties_up_to, scores_of_others
from lm.probe_task import ProbeTask
from pipelines.stages.features import audio_features
from pipelines.store.store import Entry
from pipelines.store.stored_features import FEATURES, PROBE, features_by_method
from tokenizer.encoder import Encoder

JudgeName = Literal["probe", "supervised"]
JUDGES: dict[JudgeName, str] = {"probe": "a linear probe of log-mel", "supervised": "a supervised network"}
LOG_MEL = "log_mel"  # the method of the judging probe
Describe = Callable[[Clip], dict[str, FloatArray]]


@dataclass(frozen=True, kw_only=True)
class ProbeJudge:
    """The linear probe of log-mel that the comparison chose on validation."""

    features: Entry  # log-mel of all clips, pooled
    probe: Entry  # which pooling and penalty validation chose
    tokenizer: Entry
    task: ProbeTask
    config: ProbeConfig
    name: Literal["probe"] = "probe"

    @property
    def inputs(self) -> dict[str, str]:
        """The keys of the entries that decide its answers; the probe's also depends on the features and the labels."""
        return {"probe": self.probe.key}

    def describe(self, root: Path, device: str) -> Describe:
        """Return the function that pools features ``(dim,)`` of a sound below ``root``; other processes can call it."""
        return partial(audio_features, Encoder(folder=self.tokenizer.folder, root=root, device=device))

    def scores(self, features: Mapping[str, FloatArray]) -> FloatArray:
        """Compute probabilities ``(sounds, classes)`` from pooled features ``(sounds, dim)``.

        The chosen probe is fitted again, since the store keeps its figures and not its weights.
        """
        found = self.probe.read_json(PROBE)
        chosen, penalty = str(found["chosen"]), float(str(found["penalty"]))
        candidates = features_by_method([self.features.folder / FEATURES])[LOG_MEL]
        penalties = penalties_up_to(penalty, list(candidates), chosen, self.config, of=LOG_MEL)
        return scores_of_others(candidates[chosen], features[chosen], self.task, self.config, penalties=penalties)


@dataclass(frozen=True, kw_only=True)
class NetworkJudge:
    """The supervised encoder with its own head."""

    classifier: Entry
    sample: Entry
    audio: SpectrogramConfig
    encoder: ConvEncoderConfig
    name: Literal["supervised"] = "supervised"

    @property
    def inputs(self) -> dict[str, str]:
        """The keys of the weights, and of the statistics that normalise its inputs."""
        return {"classifier": self.classifier.key, "sample": self.sample.key}

    def describe(self, root: Path, device: str) -> Describe:
        reader = SpectrogramReader(root=root, audio=self.audio, sample=self.sample.folder)
        loader = EncoderLoader(folder=self.classifier.folder, config=self.encoder, seed=0, device=device)
        return partial(block_features, loader, reader)

    def scores(self, features: Mapping[str, FloatArray]) -> FloatArray:
        last = f"block_{len(self.encoder.channels)}"
        return head_scores(self.classifier.folder, {pooling: features[f"{last}:{pooling}"] for pooling in POOLINGS})


Judge: TypeAlias = ProbeJudge | NetworkJudge  # a classifier of sounds
