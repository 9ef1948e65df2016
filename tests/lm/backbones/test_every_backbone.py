"""What holds for every backbone: a clip's states, windows, seeds, frozen layers, the model's folder; the GPT as one."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import HubertModel

from lm.backbones.audio_transformer import VARIANTS, AudioTransformerBackbone
from lm.backbones.backbone import Backbone, BackboneReading
from lm.backbones.clips import StoredClips
from lm.backbones.code_gpt import GptBackbone, GptNetwork, replace_codes
from lm.backbones.convolutional import ConvBackbone, ConvEncoderConfig
from lm.backbones.spectrogram_transformer import AstBackbone, AstConfig
from lm.backbones.wav2vec2 import MaskConfig, Wav2vec2Backbone
from lm.finetuned import BACKBONE_CLASSES as CLASSES
from lm.finetuned import FineTunedModel, FineTunedNetwork, create_network, create_task, freeze, read_states
from lm.finetuning import ClassificationOptions
from lm.model import LanguageModel
from lm.probing.vectors import Frames
from pipelines.backbones.ast_backbone import AstFinetuneSettings
from pipelines.backbones.audio_transformer_backbone import AudioTransformerFinetuneSettings
from pipelines.backbones.network_options import RANDOM, FinetuneSettings
from pipelines.backbones.wav2vec2_backbone import Wav2vec2FinetuneSettings
from pipelines.plugins.finetune import FINETUNED_BACKBONES, GptFinetuneSettings
from tests.lm.backbones.sounds import AUDIO_TRANSFORMER
from tests.lm.tiny import TINY, codes_format, random_codes
from tests.pipelines.tiny import AUDIO, save_run, sweep
from tests.threads import require_alike
from tests.wordless.audio.speech_models.checkpoints import KINDS, save_checkpoint
from tokenizer.tokenizer import Tokenizer
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.speech_models import SpeechModel
from wordless.base.messages import InputError

LONG_PATCHES = replace(AUDIO_TRANSFORMER, patch_ms=20.0)
BACKBONES: dict[str, Backbone] = {
    "gpt": GptBackbone(gpt=TINY, codes=codes_format(3)),
    "gpt_parallel": GptBackbone(gpt=replace(TINY, interleaving="parallel"), codes=codes_format(3)),
    "convolutional": ConvBackbone(encoder=ConvEncoderConfig(channels=(4, 8)), audio=SpectrogramConfig(n_mels=16)),
    "ast": AstBackbone(ast=AstConfig(patches=4)),
    **{
        f"audio_transformer_{variant}": AudioTransformerBackbone(
            audio_transformer=replace(LONG_PATCHES, variant=variant), sample_rate=4000
        )
        for variant in VARIANTS
    },
    **{
        kind: Wav2vec2Backbone(
            architecture=SpeechModel.of_config(sizes(), sample_rate=16_000), masking=MaskConfig(share=0.3)
        )
        for kind, (_, sizes) in KINDS.items()
    },
}
EVERY = pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES.keys())


def test_every_backbone_is_here_and_what_is_fine_tuned_is_read_again() -> None:
    assert {type(backbone) for backbone in BACKBONES.values()} >= {*CLASSES.values()}
    assert CLASSES.keys() >= FINETUNED_BACKBONES.keys()


def inputs_of(backbone: Backbone, *lengths: int) -> tuple[Tensor, Tensor]:
    """Random inputs, also beyond the ends of the clips, and the lengths of the clips."""
    draw = torch.Generator().manual_seed(0)
    shape = (len(lengths), max(lengths), *backbone.reading.input_width)
    if isinstance(backbone, GptBackbone):
        return torch.randint(7, shape, generator=draw), torch.tensor(lengths)
    return 0.1 * torch.randn(shape, generator=draw), torch.tensor(lengths)


@EVERY
@torch.no_grad()
def test_padding_and_company_change_nothing(backbone: Backbone) -> None:
    reading, network = backbone.reading, backbone.create(seed=0).eval()
    part = (-1 if reading.rounded_up else 1) * (reading.inputs_per_state // 3)  # of a state, at the end
    inputs, lengths = inputs_of(backbone, *(reading.num_inputs(n) + part for n in (min(reading.window, 5), 1, 2)))
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


@EVERY
def test_four_threads_with_one_network_get_the_states_of_one(backbone: Backbone) -> None:
    network = backbone.create(seed=0).eval()
    given = [inputs_of(backbone, backbone.reading.num_inputs(states)) for states in (3, 1, 4)]

    def answer(number: int) -> list[bytes]:
        with torch.no_grad():  # which each thread has for itself
            found = [network(*given[number]), *network.states(*given[number]).values()]
        return [states.numpy().tobytes() for states, _ in found]

    require_alike(answer, len(given))


@pytest.mark.parametrize("name", ["audio_transformer_plain", "wav2vec2"])
def test_the_inputs_of_a_waveform_are_its_samples_in_16_bits(name: str) -> None:
    blocks = np.split(np.linspace(-1, 1, 50, dtype=np.float32), [0, 7])
    found = BACKBONES[name].front_end(Path(), device="cpu")(blocks)
    assert found.dtype == np.int16
    np.testing.assert_allclose(found / 32768, np.concatenate(blocks), atol=2 / 32768)


@EVERY
def test_weights_follow_from_the_seed_and_leave_the_random_state_alone(backbone: Backbone) -> None:
    drawn = torch.random.get_rng_state()
    one, same, other = (backbone.create(seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@EVERY
def test_all_that_feeds_a_frozen_layer_is_frozen(backbone: Backbone) -> None:
    """It has no trainable weight and no dropout; the layers behind it learn."""
    network, inputs = backbone.create(seed=0), inputs_of(backbone, backbone.reading.num_inputs(2))
    count = len(network.stack) - 2
    freeze(network, count)
    FineTunedNetwork(network, nn.Identity(), backbone.reading).train()
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
    network = backbone.create(seed=0)
    freeze(network, "inputs")
    assert [any(weight.requires_grad for weight in part.parameters()) for part in network.stack][:2] == [False, True]
    with pytest.raises(InputError, match=rf"backbone\.frozen_layers\b.*\b{count + 2}\b.*\b{count + 1} layer"):
        freeze(network, count + 2)


@EVERY
def test_a_saved_model_scores_as_before(backbone: Backbone, tmp_path: Path) -> None:
    model = saved(backbone, tmp_path)
    again = FineTunedModel.from_pretrained(tmp_path)
    assert again.backbone == backbone
    clips = [inputs_of(backbone, backbone.reading.num_inputs(states))[0][0] for states in (2, 1)]
    stored = StoredClips.together(
        [
            (clip if isinstance(backbone, GptBackbone) else 1000 * clip).numpy().astype(backbone.reading.input_type)
            for clip in clips
        ]
    )
    assert all(map(np.array_equal, again.outputs(stored), model.outputs(stored)))


def saved(backbone: Backbone, folder: Path) -> FineTunedModel:
    """A classifier with a backbone of random weights, written into a folder."""
    task = create_task(ClassificationOptions(), ["a", "b"], [])
    model = FineTunedModel(create_network(backbone, backbone.create(seed=5), task, seed=5), backbone, task)
    model.write(folder)
    return model


def weights_in(folder: Path, name: str) -> tuple[FinetuneSettings, dict[str, Path], dict[str, Tensor]]:
    """Options with the weights of a folder, the parts of a run, and the weights."""
    match name:
        case "gpt":
            run = save_run(folder / "run", seed=3)
            own = LanguageModel.from_pretrained(run / "lm").gpt.state_dict()
            parts = {part: run / part for part in ("tokenizer", "lm")}
            return GptFinetuneSettings(), parts, {f"gpt.{key}": own[key] for key in own}
        case "ast":
            network = AstBackbone(ast=AstConfig(patches=4)).create(seed=0)
            network.transformer.save_pretrained(folder)
            return AstFinetuneSettings(model=AstConfig(patches=4), weights=str(folder)), {}, network.state_dict()
        case "wav2vec2":
            save_checkpoint(folder, "hubert")
            own = HubertModel.from_pretrained(folder).state_dict()
            del own["masked_spec_embed"]
            return Wav2vec2FinetuneSettings(), {"wav2vec2": folder}, {f"transformer.{key}": own[key] for key in own}
        case _:
            model = saved(BACKBONES["audio_transformer_pooling"], folder)
            options = AudioTransformerFinetuneSettings(weights="run" if name == "run" else str(folder))
            return options, {"audio_transformer": folder}, model.network.backbone.state_dict()


@pytest.mark.parametrize("name", ["gpt", "ast", "wav2vec2", "run", "folder"])
def test_a_backbone_is_opened_with_its_weights_and_without(name: str, tmp_path: Path) -> None:
    """Random weights have the same sizes, and no fingerprint."""
    options, parts, wanted = weights_in(tmp_path, name)
    source = options.open(parts)
    loaded, random = (each.create(seed=7).state_dict() for each in (source, source.untrained))
    assert all(torch.equal(value, loaded[key]) for key, value in wanted.items())
    assert loaded.keys() == random.keys()
    assert not all(torch.equal(value, random[key]) for key, value in loaded.items())
    assert source.fingerprint
    assert not source.untrained.fingerprint
    if isinstance(options, AudioTransformerFinetuneSettings):
        assert source.backbone == BACKBONES["audio_transformer_pooling"]


CODES = BackboneReading(
    sample_rate=8000, dim=1, samples_per_state=160, window=8, least_samples=1, input_type="float32", key=""
)
PATCHES = replace(CODES, samples_per_state=80, inputs_per_state=5, shared_inputs=3)
SAMPLES = replace(CODES, samples_per_state=4, inputs_per_state=4, shared_inputs=2, rounded_up=False)


def sums(reading: BackboneReading) -> Callable[[Tensor, Tensor], Frames]:
    """A network of which each state is the sum of its own inputs, beside the sum of those of the state before."""

    def network(inputs: Tensor, lengths: Tensor) -> Frames:
        longest = int(reading.states_of(lengths).max())
        padded = nn.functional.pad(inputs, (0, reading.num_inputs(longest)))
        inside = torch.arange(padded.shape[1]) < lengths[:, None]
        own = (padded * inside).unfold(1, reading.num_inputs(1), reading.inputs_per_state).sum(2)[:, :longest]
        before = nn.functional.pad(own, (1, 0))[:, :-1]
        return torch.stack([own, before], dim=2), reading.states_of(lengths)

    return network


@pytest.mark.parametrize("reading", [CODES, PATCHES, SAMPLES])
@given(lengths=st.lists(st.integers(6, 150), min_size=1, max_size=4))
def test_windows_give_the_states_of_whole_clips(reading: BackboneReading, lengths: list[int]) -> None:
    inputs = torch.randn(len(lengths), max(lengths), generator=torch.Generator().manual_seed(sum(lengths)))
    sizes = torch.tensor(lengths)
    states, counts = read_states(sums(reading), reading, inputs, sizes)
    whole, _ = sums(reading)(inputs, sizes)
    assert counts.tolist() == [reading.num_states(length) for length in lengths]
    for clip, count in enumerate(counts.tolist()):
        torch.testing.assert_close(states[clip, :count], whole[clip, :count])


def test_an_incomplete_last_state_is_read_or_left_out() -> None:
    assert [PATCHES.num_states(inputs) for inputs in (1, 8, 9, 13, 14)] == [1, 1, 2, 2, 3]
    assert [SAMPLES.num_states(inputs) for inputs in (6, 9, 10)] == [1, 1, 2]
    assert PATCHES.num_inputs(2) == 13
    assert CODES.states_per_second == 50


def test_states_are_those_of_the_language_model(model: LanguageModel) -> None:
    backbone, network = GptBackbone(gpt=model.gpt.config, codes=model.format), GptNetwork(model.gpt)
    steps = (5, 60, 1, 8)  # 60 are several windows
    clips = [random_codes(count, streams=model.format.streams, seed=count) for count in steps]
    inputs = nn.utils.rnn.pad_sequence([torch.tensor(codes.values).long() for codes in clips], batch_first=True)
    lengths = torch.tensor(steps)
    layers = model.gpt.config.layers
    with torch.no_grad():
        states, counts = read_states(network, backbone.reading, inputs, lengths)
    assert counts.tolist() == list(steps)
    for clip, (count, codes) in enumerate(zip(steps, clips, strict=True)):
        last = model.hidden_states(codes, [layers])[0]  # (time * streams, dim)
        norm, by_step = model.gpt.transformer.decoder.layer_norm, partial(_mean_of_steps, count)
        # where each stream has its position, the norm comes before the mean over streams
        expected = norm(by_step(last)) if model.gpt.by_step else by_step(norm(last))
        torch.testing.assert_close(states[clip, :count], expected, atol=1e-4, rtol=1e-3)
    for number, found in enumerate(network.layer_states(inputs[:1, :5], lengths[:1]), 1):  # of layers, for probes
        wanted = _mean_of_steps(5, model.hidden_states(clips[0], [number])[0])
        torch.testing.assert_close(found[0], wanted)


def _mean_of_steps(steps: int, states: torch.Tensor) -> torch.Tensor:
    """The mean over the streams of each time step: (steps * streams, dim) -> (steps, dim)."""
    return states.reshape(steps, -1, states.shape[-1]).mean(1)


def test_the_front_end_is_the_tokenizer(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", seed=3)
    parts = {part: run / part for part in ("tokenizer", "lm")}
    source = GptFinetuneSettings(dropout=0.5).open(parts)
    assert not GptFinetuneSettings(weights=RANDOM).open(parts).fingerprint
    samples = sweep(0.33, AUDIO.sample_rate)
    inputs = source.backbone.front_end(source.folder, device="cpu")([samples])
    codes = Tokenizer.from_pretrained(run / "tokenizer").encode(samples, AUDIO.sample_rate)
    np.testing.assert_array_equal(inputs, codes.values)
    assert len(inputs) == source.backbone.num_inputs(len(samples))
    assert (source.backbone.reading.input_type, source.backbone.reading.least_samples) == (inputs.dtype, 80)
    assert source.backbone.create(seed=0).gpt.config.dropout == 0.5  # type: ignore[attr-defined]  # a GptNetwork
    with pytest.raises(InputError, match=r"weights.*folder\b.*\brun\b"):
        GptFinetuneSettings(weights="folder")  # type: ignore[arg-type]


def test_a_share_of_the_codes_is_replaced() -> None:
    codes = torch.full((50, 40, 2), 9)
    changed, lengths = replace_codes(
        codes, torch.full((50,), 40), torch.Generator().manual_seed(0), share=0.2, largest=3
    )
    replaced = changed != 9
    assert abs(float(replaced.float().mean()) - 0.2) < 0.02
    assert {*changed[replaced].tolist()} == {0, 1, 2, 3}
    assert lengths.tolist() == [40] * 50
    assert np.array_equal(codes, np.full((50, 40, 2), 9))
