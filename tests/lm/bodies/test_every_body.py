"""What holds for every body: a clip's states are its own, windows, seeds, frozen layers, and the folder of a model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import HubertModel

from lm.bodies.audio_transformer import VARIANTS, AudioTransformerBody
from lm.bodies.body import Body, freeze, read_states
from lm.bodies.clips import StoredClips
from lm.bodies.convolutional import ConvBody
from lm.bodies.gpt import GptBody
from lm.bodies.options import AstConfig, AudioTransformerConfig, ConvEncoderConfig, MaskConfig
from lm.bodies.spectrogram_transformer import AstBody
from lm.bodies.wav2vec2 import Wav2vec2Body
from lm.finetuned import FineTunedModel, FineTunedNetwork, create_network, create_task, open_body
from lm.finetuning import (
    AstOptions,
    AudioTransformerOptions,
    BodyOptions,
    ClassificationOptions,
    GptOptions,
    Wav2vec2Options,
)
from lm.model import LanguageModel
from tests.lm.tiny import TINY, codes_format
from tests.pipelines.tiny import save_run
from tests.wordless.audio.speech_models.checkpoints import KINDS, save_checkpoint
from wordless.audio.options import SpectrogramConfig
from wordless.audio.speech_models import SpeechModel
from wordless.base.errors import InputError

# Models of earlier versions may have other patches and masks than the only ones that can be chosen now.
AUDIO_TRANSFORMER = AudioTransformerConfig(
    patch_ms=20.0, front_end=24, width=16, layers=3, heads=2, ffn_dim=32, pool_every=1, wavelet_levels=3, patches=8
)
BODIES: dict[str, Body] = {
    "gpt": GptBody(gpt=TINY, codes=codes_format(3)),
    "gpt_parallel": GptBody(gpt=replace(TINY, interleaving="parallel"), codes=codes_format(3)),
    "convolutional": ConvBody(encoder=ConvEncoderConfig(channels=(4, 8)), audio=SpectrogramConfig(n_mels=16)),
    "ast": AstBody(ast=AstConfig(patches=4)),
    **{
        f"audio_transformer_{variant}": AudioTransformerBody(
            audio_transformer=replace(AUDIO_TRANSFORMER, variant=variant), sample_rate=4000
        )
        for variant in VARIANTS
    },
    **{
        kind: Wav2vec2Body(
            architecture=SpeechModel.of_config(sizes(), sample_rate=16_000), masking=MaskConfig(share=0.3)
        )
        for kind, (_, sizes) in KINDS.items()
    },
}
EVERY = pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())


def inputs_of(body: Body, *lengths: int) -> tuple[Tensor, Tensor]:
    """Random inputs, also beyond the ends of the clips, and the lengths of the clips."""
    draw = torch.Generator().manual_seed(0)
    shape = (len(lengths), max(lengths), *body.reading.input_width)
    if isinstance(body, GptBody):
        return torch.randint(7, shape, generator=draw), torch.tensor(lengths)
    return 0.1 * torch.randn(shape, generator=draw), torch.tensor(lengths)


@EVERY
@torch.no_grad()
def test_padding_and_company_change_nothing(body: Body) -> None:
    reading, network = body.reading, body.create(seed=0).eval()
    part = (-1 if reading.rounded_up else 1) * (reading.inputs_per_state // 3)  # of a state, at the end
    inputs, lengths = inputs_of(body, *(reading.num_inputs(n) + part for n in (min(reading.window, 5), 1, 2)))
    states, counts = read_states(network, reading, inputs, lengths)
    assert counts.tolist() == [reading.num_states(length) for length in lengths.tolist()]
    assert states.shape == (3, int(counts.max()), reading.dim)
    layers = network.states(inputs, lengths)
    assert len(layers) == len(network.stack) - 1
    for row, length in enumerate(lengths.tolist()):
        clip, own = inputs[row : row + 1, :length], lengths[row : row + 1]
        alone, _ = network(clip, own)
        torch.testing.assert_close(states[row, : counts[row]], alone[0], atol=1e-4, rtol=1e-3)
        for name, (wanted, (steps,)) in network.states(clip, own).items():
            together, ends = layers[name]
            assert ends[row] == steps == wanted.shape[1]
            torch.testing.assert_close(together[row, :steps], wanted[0], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["audio_transformer_plain", "wav2vec2"])
def test_the_inputs_of_a_waveform_are_its_samples_in_16_bits(name: str) -> None:
    blocks = np.split(np.linspace(-1, 1, 50, dtype=np.float32), [0, 7])
    found = BODIES[name].front_end(Path(), device="cpu")(blocks)
    assert found.dtype == np.int16
    np.testing.assert_allclose(found / 32768, np.concatenate(blocks), atol=2 / 32768)


@EVERY
def test_weights_follow_from_the_seed(body: Body) -> None:
    one, same, other = (body.create(seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@EVERY
def test_all_that_feeds_a_frozen_layer_is_frozen(body: Body) -> None:
    """It has no trainable weight and no dropout; the layers behind it learn."""
    network, inputs = body.create(seed=0), inputs_of(body, body.reading.num_inputs(2))
    count = len(network.stack) - 2
    freeze(network, count)
    FineTunedNetwork(network, nn.Identity(), body.reading).train()
    done: list[nn.Module] = []
    before: list[nn.Module] = []
    for module in network.modules():
        module.register_forward_hook(lambda module, *_: done.append(module))
    network.stack[1 + count].register_forward_pre_hook(lambda *_: before.extend(done))
    network(*inputs)
    assert before
    assert not [each for each in before if each.training or any(w.requires_grad for w in each.parameters())]
    assert all(weight.requires_grad for weight in network.stack[1 + count].parameters())
    freeze(network, "all")
    assert not any(weight.requires_grad for weight in network.parameters())
    network = body.create(seed=0)
    freeze(network, "inputs")
    assert [any(weight.requires_grad for weight in part.parameters()) for part in network.stack][:2] == [False, True]
    with pytest.raises(InputError, match=rf"body\.frozen_layers\b.*\b{count + 2}\b.*\b{count + 1} layer"):
        freeze(network, count + 2)


@EVERY
def test_a_saved_model_scores_as_before(body: Body, tmp_path: Path) -> None:
    model = saved(body, tmp_path)
    again = FineTunedModel.from_pretrained(tmp_path)
    assert again.body == body
    clips = [inputs_of(body, body.reading.num_inputs(states))[0][0] for states in (2, 1)]
    stored = StoredClips.together(
        [(clip if isinstance(body, GptBody) else 1000 * clip).numpy().astype(body.reading.input_type) for clip in clips]
    )
    assert all(map(np.array_equal, again.outputs(stored), model.outputs(stored)))


def saved(body: Body, folder: Path) -> FineTunedModel:
    """A classifier with a body of random weights, written into a folder."""
    task = create_task(ClassificationOptions(), ["a", "b"], [])
    model = FineTunedModel(create_network(body, body.create(seed=5), task, seed=5), body, task)
    model.write(folder)
    return model


def weights_in(folder: Path, name: str) -> tuple[BodyOptions, dict[str, Path], dict[str, Tensor]]:
    """Options with the weights of a folder, the parts of a run, and the weights."""
    match name:
        case "gpt":
            run = save_run(folder / "run", seed=3)
            own = LanguageModel.from_pretrained(run / "lm").gpt.state_dict()
            parts = {part: run / part for part in ("tokenizer", "lm")}
            return GptOptions(), parts, {f"gpt.{key}": own[key] for key in own}
        case "ast":
            network = AstBody(ast=AstConfig(patches=4)).create(seed=0)
            network.transformer.save_pretrained(folder)
            return AstOptions(model=AstConfig(patches=4), weights=str(folder)), {}, network.state_dict()
        case "wav2vec2":
            save_checkpoint(folder, "hubert")
            own = HubertModel.from_pretrained(folder).state_dict()
            del own["masked_spec_embed"]
            return Wav2vec2Options(), {"wav2vec2": folder}, {f"transformer.{key}": own[key] for key in own}
        case _:
            model = saved(BODIES["audio_transformer_pooling"], folder)
            weights = "run" if name == "run" else str(folder)
            return (
                AudioTransformerOptions(weights=weights),
                {"audio_transformer": folder},
                model.network.body.state_dict(),
            )


@pytest.mark.parametrize("name", ["gpt", "ast", "wav2vec2", "run", "folder"])
def test_a_body_is_opened_with_its_weights_and_without(name: str, tmp_path: Path) -> None:
    """Random weights have the same sizes, and no fingerprint."""
    options, parts, wanted = weights_in(tmp_path, name)
    source = open_body(options, parts)
    loaded, random = (each.create(seed=7).state_dict() for each in (source, source.untrained))
    assert all(torch.equal(value, loaded[key]) for key, value in wanted.items())
    assert loaded.keys() == random.keys()
    assert not all(torch.equal(value, random[key]) for key, value in loaded.items())
    assert source.fingerprint
    assert not source.untrained.fingerprint
    if isinstance(options, AudioTransformerOptions):
        assert source.body == BODIES["audio_transformer_pooling"]
