"""How many candidates each method offers its probe, before anything is made: every method has the same tries."""

from audio.spectrogram import SpectrogramConfig
from lm.baselines.encoder import ConvEncoderConfig
from lm.baselines.spectrogram_transformer import AstConfig
from lm.gpt import GPTConfig
from lm.pooling import POOLINGS
from pipelines.settings.comparison import ComparisonConfig, Method


def candidates(
    method: Method,
    compare: ComparisonConfig,
    *,
    audio: SpectrogramConfig,
    gpt: GPTConfig,
    encoder: ConvEncoderConfig,
    ast: AstConfig,
) -> int:
    """The keys that a method will have in features.safetensors: layers times poolings, and what is offered beside."""
    poolings = len(POOLINGS)
    match method:
        case "log_mel":
            twice = 1 if audio.remove_mean == "none" else 2  # as heard, and as recorded
            return poolings * twice - (audio.remove_mean == "clip")  # without a clip's mean, its mean says nothing
        case "bottleneck" | "bag_of_codes":
            return poolings
        case "gpt":
            return (gpt.layers + 1) * (poolings + compare.attentive) + compare.surprise  # + 1: all layers side by side
        case "random_gpt":
            return (gpt.layers + 1) * poolings
        case "simclr" | "supervised" | "random_conv":
            return (len(encoder.channels) + 1) * poolings  # + 1: all blocks
        case "ast" | "random_ast":
            return len(set(ast.layers)) * poolings + 1  # + 1: the class token
