"""Settings that no machine has the memory for, and seeds that no library takes."""

from pathlib import Path

import pytest
import torch

from foundation.errors import InputError
from lm.baselines.encoder import ConvEncoder, ConvEncoderConfig
from lm.gpt import GPT, GPTConfig
from lm.vocabulary import Vocabulary
from pipelines.settings.run import run_settings
from tests.pipelines.tiny_chain import composed
from tokenizer.autoencoder import Autoencoder, AutoencoderConfig
from vocoder.wavenet.network import WaveNet, WaveNetConfig


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("lm.gpt.model_dim=1200000",),
            r"lm.gpt.model_dim is 1200000: training the language model alone .* such as 192",
        ),
        (("lm.gpt.layers=1000000000",), "lm.gpt.layers is 1000000000: training the language model alone"),
        (("lm.gpt.context=10000000",), "lm.gpt.context is 10000000 positions; choose"),
        (
            ("tokenizer.autoencoder.hidden=10000000",),
            "tokenizer.autoencoder.hidden is 10000000: training the autoencoder",
        ),
        (
            ("tokenizer.sample_patches=10000000000000",),
            "tokenizer.sample_patches is 10000000000000: the sample of patches",
        ),
        (
            ("vocoder.wavenet.skip_channels=10000000",),
            "vocoder.wavenet.skip_channels is 10000000: training the vocoder",
        ),
        (
            ("vocoder.wavenet.layers=100000000",),
            "vocoder.wavenet.layers is 100000000, .* samples before it",
        ),
        (("vocoder.crops.crop_codes=10000000000",), "vocoder.crops.crop_codes is 10000000000: a batch of crops"),
        (
            ("baselines.encoder.channels=[32,20000000]",),
            "baselines.encoder.channels is 20000000: training the enc",
        ),
        (
            ("wav2vec2.model.ffn_dim=100000000000", "compare.methods=[wav2vec2]"),
            "wav2vec2.model.ffn_dim is 100000000000: training wav2vec 2.0 alone",
        ),
        (
            (
                *("stages=[next_sample,report]", "next_sample.models=[transformer_context]"),
                "next_sample.transformer_context.context.channels=1000000",
            ),
            "next_sample.transformer_context.context.channels is 1000000: training the transformer_context over",
        ),
        (("audio.window_length=1000000000",), "audio.window_length"),
        (("seed=99999999999999999999999",), "seed=99999999999999999999999 is too large"),
        (("lm.fit.seed=4294967296",), "lm.fit.seed is 4294967296; it must be 0 to 4294967295"),
        (("vocoder.crops.seed=-1",), "vocoder.crops.seed is -1; it must be 0 to 4294967295"),
        (("seed=4294967295", "seeds=2", "stages=[tokenizer,lm]"), "seed . seeds - 1 is 4294967296"),
        (("tokenizer.fit.steps=99999999999999999999999",), "tokenizer.fit.steps=99999999999999999999999 is too large"),
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
        Vocabulary(codebook_size=7, streams=streams),
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
