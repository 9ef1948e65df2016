"""AST as a body."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lm.bodies.body import read_states
from lm.bodies.finetuning import AstOptions
from lm.bodies.options import LAYERS, AstConfig, AugmentationConfig
from lm.bodies.spectrogram_transformer import AstBody, AstEncoder, _log_energies
from tests.pipelines.tiny import sweep
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError

BODY = AstBody(ast=AstConfig(patches=4))


@pytest.fixture(scope="module")
def network() -> AstEncoder:
    return BODY.create(seed=0).eval()


def read(samples: FloatArray) -> torch.Tensor:
    """The inputs of a sound, whose blocks are uneven."""
    blocks = np.array_split(samples, [1000, 1001, 7000])
    return torch.from_numpy(BODY.front_end(Path(), device="cpu")(blocks).astype(np.float32))


@pytest.mark.parametrize("seconds", [0.03, 0.175, 0.2, 0.9, 2.1])
def test_inputs_are_as_long_as_they_are_said_to_be(seconds: float) -> None:
    samples = sweep(seconds, 16_000)
    inputs = read(samples)
    assert inputs.shape == (BODY.num_inputs(len(samples)), 128)
    assert BODY.reading.num_states(len(inputs)) == max(-(-(len(samples) - 1200) // 1600), 1)


def test_states_are_the_normalised_means_over_frequency(network: AstEncoder) -> None:
    clips = [read(sweep(seconds, 16_000)) for seconds in (0.3, 0.45)]
    inputs = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    lengths = torch.tensor([len(clip) for clip in clips])
    with torch.no_grad():
        states, counts = read_states(network, BODY.reading, inputs, lengths)
        layers = network.layer_states(inputs, lengths)
        own = network.states(_log_energies(clips[0][None]), lengths[:1], layers=(LAYERS,))
    assert counts.tolist() == [3, 4]
    assert layers.shape == (LAYERS, 2, 4, BODY.reading.dim)
    torch.testing.assert_close(layers[-1, 0, :3], own.layers[LAYERS][0], atol=1e-4, rtol=1e-3)
    expected = network.transformer.layernorm(own.layers[LAYERS][0])
    torch.testing.assert_close(states[0, :3], expected, atol=1e-4, rtol=1e-3)


def test_long_recordings_are_read_in_windows(network: AstEncoder) -> None:
    inputs = read(sweep(1.2, 16_000))[None]
    with torch.no_grad():
        states, counts = read_states(network, BODY.reading, inputs, torch.tensor([inputs.shape[1]]))
        first = network(inputs[:, : BODY.reading.num_inputs(4)], torch.tensor([BODY.reading.num_inputs(4)]))[0]
    assert states.shape[1] == counts[0] > 4
    torch.testing.assert_close(states[0, :4], first[0], atol=1e-4, rtol=1e-3)


def test_all_weights_are_counted(network: AstEncoder) -> None:
    numbers = sum(weight.numel() for weight in network.parameters())
    assert 0.95 * numbers < BODY.parameters <= numbers
    assert len(network.stack) == 1 + LAYERS


def test_weights_of_a_folder_are_needed_whole(tmp_path: Path) -> None:
    assert AstOptions().open({}).fingerprint == ""
    with pytest.raises(InputError, match=r"body\.weights=.*config\.json\b"):
        AstOptions(weights=str(tmp_path)).open({})
    (tmp_path / "config.json").write_text('{"model_type": "deit"}')
    with pytest.raises(
        InputError, match=r"hidden_size\b.*\b768\b.*body\.model\.size=tiny\b.*\b192\b.*body\.model\.size"
    ):
        AstOptions(weights=str(tmp_path)).open({})
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(InputError, match=r"body\.weights=.*model\.safetensors"):
        AstOptions(model=AstConfig(size="base"), weights=str(tmp_path)).open({})
    with pytest.raises(InputError, match=r"augmentation\.crop\b.*\b0\.5\b"):
        AstOptions(augmentation=AugmentationConfig(crop=0.5))
    with pytest.raises(InputError, match=r"model\.weights\b.*\bhere\b.*body\.weights\b"):
        AstOptions(model=AstConfig(weights="here"))


def test_the_weights_of_a_folder_are_loaded(tmp_path: Path, network: AstEncoder) -> None:
    network.transformer.save_pretrained(tmp_path)
    source = AstOptions(model=AstConfig(patches=4), weights=str(tmp_path)).open({})
    loaded = source.create(seed=5).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in network.state_dict().items())
    assert replace(source.body, epsilon=BODY.epsilon) == BODY  # type: ignore[type-var]  # a dataclass
    assert source.fingerprint
