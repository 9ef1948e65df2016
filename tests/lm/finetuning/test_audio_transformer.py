"""The Audio Transformer as a body."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lm.baselines.audio_transformer import (
    VARIANTS,
    AudioTransformerConfig,
    SavedAudioTransformer,
    Variant,
    create_classifier,
    save_classifier,
)
from lm.baselines.supervised import HeadConfig
from lm.finetuning.bodies.audio_transformer import AudioTransformerBody, AudioTransformerOptions
from lm.finetuning.body import freeze
from lm.finetuning.reading import read_states
from tests.lm.finetuning.freezing import require_frozen_before
from tests.pipelines.tiny import sweep
from wordless.base.errors import InputError

RATE, PATCH = 8000, 200


def sizes(variant: Variant) -> AudioTransformerConfig:
    """Three layers, of which pooling halves the rate twice."""
    return AudioTransformerConfig(
        variant=variant,
        front_end=24,
        width=16,
        heads=2,
        layers=3,
        ffn_dim=32,
        pool_every=1,
        wavelet_levels=3,
        patches=8,
    )


def body_of(variant: Variant) -> AudioTransformerBody:
    return AudioTransformerBody(audio_transformer=sizes(variant), sample_rate=RATE)


def read(*seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The inputs of sweeps, as they are stored and read, and their lengths."""
    front_end = body_of("plain").front_end(Path(), device="cpu")
    clips = [torch.from_numpy(front_end([sweep(each, RATE)]).astype(np.float32)) / 32768 for each in seconds]
    return torch.nn.utils.rnn.pad_sequence(clips, batch_first=True), torch.tensor([len(clip) for clip in clips])


@pytest.mark.parametrize(("variant", "patches"), [("plain", 1), ("pooling", 4), ("wavelet", 1)])
def test_every_variant_has_states_over_time(variant: Variant, patches: int) -> None:
    body = body_of(variant)
    network = body.create(seed=0).eval()
    inputs, lengths = read(0.2, 0.11)  # 8 patches, and 5 with a part of a patch
    with torch.no_grad():
        states, counts = read_states(network, body.reading, inputs, lengths)
        layers = network.layer_states(inputs, lengths)
        alone = network(inputs[1:, :880], lengths[1:])
    assert counts.tolist() == [-(-8 // patches), -(-5 // patches)]
    assert body.reading.states_per_second == 40 / patches
    assert states.shape == (2, counts[0], body.dim)
    assert layers.shape == (3, *states.shape)
    torch.testing.assert_close(layers[-1], states)
    torch.testing.assert_close(states[1, : counts[1]], alone[0], atol=1e-5, rtol=1e-4)


def test_layers_are_averaged_to_the_rate_of_the_last_one() -> None:
    network = body_of("pooling").create(seed=0).eval()
    inputs, lengths = read(0.2)
    layers = network.layer_states(inputs, lengths)
    with torch.no_grad():
        first, _ = network.encoder.blocks(inputs, lengths)[0]
    torch.testing.assert_close(layers[0, 0], first[0].reshape(2, 4, -1).mean(1))


@pytest.mark.parametrize("variant", VARIANTS)
def test_long_recordings_are_read_in_windows(variant: Variant) -> None:
    body = body_of(variant)
    network = body.create(seed=0).eval()
    inputs, lengths = read(0.5)
    with torch.no_grad():
        states, counts = read_states(network, body.reading, inputs, lengths)
        first = network(inputs[:, : 8 * PATCH], torch.tensor([8 * PATCH]))
        second = network(inputs[:, 4 * PATCH : 12 * PATCH], torch.tensor([8 * PATCH]))
    window = body.reading.window
    assert states.shape[1] == counts[0] > window
    torch.testing.assert_close(states[0, :window], first[0])
    torch.testing.assert_close(states[0, window : window + window // 2], second[0, window // 2 :])


def test_the_front_end_is_frozen_before_layers() -> None:
    network = body_of("wavelet").create(seed=0)
    assert len(network.layers) == 4
    freeze(network, "inputs")
    free = {name.split(".")[1] for name, weight in network.named_parameters() if weight.requires_grad}
    assert free == {"layers", "norm"}
    assert body_of("wavelet").parameters == sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_that_feeds_a_frozen_layer_is_frozen(variant: Variant) -> None:
    body = body_of(variant)
    require_frozen_before(2, body, body.create(seed=0), *read(0.2))


def test_the_weights_of_a_run_are_loaded_with_their_sizes(tmp_path: Path) -> None:
    saved = SavedAudioTransformer(
        audio_transformer=sizes("pooling"), sample_rate=RATE, head=HeadConfig(), classes=("a", "b"), multi_label=False
    )
    model = create_classifier(saved, seed=5)
    save_classifier(model, saved, tmp_path)
    options = AudioTransformerOptions()
    for source in (
        options.open({"audio_transformer": tmp_path}, weights="run"),
        options.open({}, weights=str(tmp_path)),
    ):
        assert source.body == body_of("pooling")
        loaded = source.create(seed=0).state_dict()
        own = model.encoder.state_dict()
        assert all(torch.equal(value, loaded[f"encoder.{name}"]) for name, value in own.items())
        assert source.fingerprint
        assert not source.untrained.fingerprint


def test_what_cannot_be_a_body_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json\b"):
        AudioTransformerOptions().open({}, weights=str(tmp_path))
    with pytest.raises(InputError, match=r"body\.sample_rate\b.*-1\b"):
        AudioTransformerOptions(sample_rate=-1)
