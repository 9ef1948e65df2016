"""The architecture of a speech model as plain values, and networks of it with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from wordless.audio.speech_models.description import SpeechModel, describe_speech_model, describe_values
from wordless.audio.speech_models.encoder import load_transformer
from wordless.base.ranges import require

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# No word of these decides what a network computes.
LEFT_OUT = {"architectures", "transformers_version", "dtype", "torch_dtype", "id2label", "label2id"}
# Nor do private names; and the code of the attention is never named by a file.
NOT_TAKEN = ("_", "attn_implementation")
# An encoder drops no whole layer, has no adapter, and always has an embedding of masked frames.
CHANGES: dict[str, Any] = {"layerdrop": 0.0, "mask_feature_prob": 0.0, "mask_time_prob": 0.5, "add_adapter": False}
MOST_POSITIONS = 1000  # a convolution each in data2vec


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The values of the two JSON files of a speech model's folder."""

    config: dict[str, object] = field(hash=False)  # of config.json
    sample_rate: int = 16_000  # Hz
    normalises: bool = True  # whether the model takes samples of mean 0 and variance 1

    def __post_init__(self) -> None:
        _ = self.described
        positions = self.config.get("num_conv_pos_embeddings", 0)
        fitting = type(positions) is int and 0 <= positions <= MOST_POSITIONS
        require(fitting, "num_conv_pos_embeddings", positions, f"choose at most {MOST_POSITIONS}")

    @classmethod
    def of_folder(cls, folder: Path, *, option: str) -> Architecture:
        """Read the architecture of a local Hugging Face folder; ``option`` names the folder in messages."""
        from transformers import AutoConfig

        found = describe_speech_model(folder, option=option)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return cls.of_config(config, sample_rate=found.sample_rate, normalises=found.normalises)

    @classmethod
    def of_config(cls, config: PretrainedConfig, *, sample_rate: int, normalises: bool = True) -> Architecture:
        """Take the values of a config of `transformers`."""
        return cls(config=_deciding(config.to_diff_dict()), sample_rate=sample_rate, normalises=normalises)

    @cached_property
    def described(self) -> SpeechModel:
        """The sizes."""
        inputs = {"sampling_rate": self.sample_rate, "do_normalize": self.normalises}
        return describe_values(self.config, inputs, folder=Path())

    @property
    def parameters(self) -> int:
        """Number of weights; no memory is taken for them."""
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in self._create().parameters())

    def create(self, *, seed: int) -> PreTrainedModel:
        """Create a network with random weights that follow from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._create()

    def load_network(self, folder: Path, *, option: str) -> PreTrainedModel:
        """Load the network of the folder that this architecture was read from; it has the weights of `create`."""
        from transformers import AutoModel

        changes = {name: CHANGES[name] for name in ("mask_time_prob", "add_adapter")}
        return load_transformer(AutoModel, folder, option=option, **changes)

    def _create(self) -> PreTrainedModel:
        from transformers import AutoConfig, AutoModel

        config = AutoConfig.for_model(**_deciding(self.config))
        model = cast(Any, AutoModel).from_config(config, trust_remote_code=False)
        return cast("PreTrainedModel", model)


def _deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    """Select the values that decide what an encoder computes."""
    values = {name: value for name, value in config.items() if name not in LEFT_OUT and not name.startswith(NOT_TAKEN)}
    return values | CHANGES
