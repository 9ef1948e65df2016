"""Settings that no machine has the memory for, and seeds that no library takes."""

from pathlib import Path

import pytest
import torch

from lm.bodies.convolutional import ConvEncoder
from lm.bodies.options import ConvEncoderConfig
from lm.gpt import GPT
from lm.options import GPTConfig
from lm.tokens import Vocabulary
from pipelines.settings.run import run_settings
from tests.pipelines.tiny_chain import composed
from tokenizer.options import AutoencoderConfig
from tokenizer.sources import Autoencoder
from vocoder.options import WaveNetConfig
from vocoder.wavenet import WaveNet
from wordless.base.errors import InputError

CONTEXT = ("stages=[next_sample,report]", "next_sample.models=[transformer_context]")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("lm.gpt.model_dim=1200000",), r"lm\.gpt\.model_dim\b.*\b1200000\b.*\b192\b"),
        (("lm.gpt.layers=1000000000",), r"lm\.gpt\.layers\b.*\b1000000000\b.*language model"),
        (("lm.gpt.context=10000000",), r"lm\.gpt\.context\b.*\b10000000\b"),
        (("tokenizer.autoencoder.hidden=10000000",), r"tokenizer\.autoencoder\.hidden\b.*\b10000000\b.*autoencoder"),
        (("tokenizer.sample_patches=10000000000000",), r"tokenizer\.sample_patches\b.*\b10000000000000\b.*patches"),
        (("vocoder.wavenet.skip_channels=10000000",), r"vocoder\.wavenet\.skip_channels\b.*\b10000000\b.*vocoder"),
        (("vocoder.wavenet.layers=100000000",), r"vocoder\.wavenet\.layers\b.*\b100000000\b.*samples"),
        (("vocoder.crops.crop_codes=10000000000",), r"vocoder\.crops\.crop_codes\b.*\b10000000000\b.*crops"),
        (("baselines.encoder.channels=[32,20000000]",), r"baselines\.encoder\.channels\b.*\b20000000\b.*encoder"),
        (("wav2vec2.model.ffn_dim=100000000000", "compare.methods=[wav2vec2]"), r"wav2vec2\.model\.ffn_dim\b"),
        ((*CONTEXT, "next_sample.transformer_context.context.channels=1000000"), r"context\.context\.channels\b"),
        (("audio.window_length=1000000000",), "audio.window_length"),
        (("seed=99999999999999999999999",), r"seed is 99999999999999999999999\b"),
        (("lm.fit.seed=4294967296",), r"lm\.fit\.seed\b.*\b4294967296\b.*\b4294967295\b"),
        (("vocoder.crops.seed=-1",), r"vocoder\.crops\.seed\b.*-1\b.*\b4294967295\b"),
        (("seed=4294967295", "seeds=2", "stages=[tokenizer,lm]"), r"seed . seeds\b.*\b4294967296\b"),
        (("tokenizer.fit.steps=99999999999999999999999",), r"tokenizer\.fit\.steps is 99999999999999999999999\b"),
    ],
)
def test_what_no_machine_can_do_is_refused_at_once(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        run_settings(composed(tmp_path, "device=cpu", *words))
    assert "\n" not in str(error.value)


def test_the_largest_seed_is_taken(tmp_path: Path) -> None:
    assert run_settings(composed(tmp_path, "seed=4294967295")).lm.fit.seed == 4294967295


def counted(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("streams", [1, 3])
def test_parameters_of_a_gpt_are_counted(streams: int) -> None:
    config, vocabulary = (
        GPTConfig(model_dim=16, layers=3, heads=2, ffn_dim=20),
        Vocabulary(per_stream=7, streams=streams),
    )
    assert config.parameters(vocabulary) == counted(GPT(config, vocabulary))


@pytest.mark.parametrize(
    "config",
    [
        WaveNetConfig(),
        WaveNetConfig(
            layers=6, cycles=3, kernel_size=3, condition_layers=1, code_position=True, groups=("a", "b", "c")
        ),
        WaveNetConfig(condition="embedding", codebook="x", codebook_size=5, streams=2, gate_channels=10),
    ],
)
def test_parameters_of_a_wavenet_are_counted(config: WaveNetConfig) -> None:
    assert config.parameters == counted(WaveNet(config))


def test_parameters_of_encoders_are_counted() -> None:
    small = AutoencoderConfig(hidden=12, bottleneck=5)
    assert small.parameters(30) == counted(Autoencoder(small, 30))
    assert ConvEncoderConfig().parameters == counted(ConvEncoder(ConvEncoderConfig()))
