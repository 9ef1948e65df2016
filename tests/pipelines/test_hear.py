"""The rules of the HEAR benchmark's common API (https://hearbenchmark.com/hear-api.html), on a tiny run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lm.model import LanguageModel
from lm.options import GPTConfig
from lm.pooled_states import layer_features
from pipelines.hear import HearModel, get_scene_embeddings, get_timestamp_embeddings, load_model
from tests.pipelines.tiny import sweep, tiny_tokenizer
from tokenizer.tokenizer import Tokenizer
from wordless.base.errors import InputError

STEP = 80  # samples per code


@pytest.fixture(scope="module", params=[None, 8], ids=["one_stream", "two_streams"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of random weights whose codes are what noise and a tone sound like, so that each sound has several."""
    blank = tiny_tokenizer(0, mels=request.param)
    heard = torch.cat([noise(1, 4000), torch.from_numpy(sweep(1, 4000))[None]], dim=1)
    with torch.inference_mode():
        found = blank.bottlenecks(blank.normalise(blank.log_mel(heard))).flatten(0, 2)
    centroids = found[:: len(found) // 8][:8].clone()
    tokenizer = Tokenizer(blank.config, blank.mean, blank.std, blank.autoencoder, centroids)
    folder = tmp_path_factory.mktemp("run")
    tokenizer.save_pretrained(folder / "tokenizer")
    gpt = GPTConfig(model_dim=8, layers=6, heads=1, ffn_dim=16, context=64, dropout=0.1, init_std=0.3)
    LanguageModel.create(gpt, tokenizer.format, seed=0).save_pretrained(folder / "lm")
    return folder


@pytest.fixture(scope="module")
def model(run: Path) -> HearModel:
    return load_model(str(run))


def noise(sounds: int, samples: int) -> Tensor:
    return 2 * torch.rand(sounds, samples, generator=torch.Generator().manual_seed(samples)) - 1


@pytest.mark.parametrize("seconds", [0.002, 1.07, 1.98, 4.0])
def test_timestamps_rise_evenly_and_end_with_the_sound(model: HearModel, seconds: float) -> None:
    samples = int(seconds * model.sample_rate)
    embeddings, timestamps = get_timestamp_embeddings(noise(2, samples), model)
    assert embeddings.dtype == timestamps.dtype == torch.float32
    assert embeddings.shape == (2, timestamps.shape[1], model.timestamp_embedding_size)
    assert torch.equal(timestamps[0], timestamps[1])
    hop = 1000 * STEP / model.sample_rate
    np.testing.assert_allclose(np.diff(timestamps[0]), hop, rtol=1e-4)
    assert timestamps[0, 0] == pytest.approx(min(hop / 2, 1000 * samples / model.sample_rate))
    assert 1000 * samples / model.sample_rate - hop <= timestamps[0, -1] <= 1000 * samples / model.sample_rate


def test_an_embedding_has_heard_its_code_and_nothing_after(model: HearModel) -> None:
    sound = noise(1, 60 * STEP)
    changed = sound.clone()
    changed[:, 30 * STEP :] = torch.from_numpy(sweep(30 * STEP / model.sample_rate, model.sample_rate))
    (before, _), (after, _) = (get_timestamp_embeddings(audio, model) for audio in (sound, changed))
    assert torch.equal(before[:, :30], after[:, :30])
    assert not torch.allclose(before[:, 30:], after[:, 30:])


@pytest.mark.parametrize("samples", [1, STEP, 5000, 100 * STEP])
def test_alone_in_a_batch_and_again_are_the_same(model: HearModel, samples: int) -> None:
    audio = noise(3, samples)
    scenes, (states, timestamps) = get_scene_embeddings(audio, model), get_timestamp_embeddings(audio, model)
    assert torch.equal(scenes, get_scene_embeddings(audio, model))
    for row in range(3):
        alone, times = get_timestamp_embeddings(audio[row : row + 1], model)
        assert torch.equal(alone[0], states[row])
        assert torch.equal(times[0], timestamps[row])
        torch.testing.assert_close(get_scene_embeddings(audio[row : row + 1], model)[0], scenes[row])


def chosen_by_probe(run: Path, layer: str, pooling: str) -> None:
    """Write results in which a probe chose this layer."""
    shared = {"stage": "probe", "name": "accuracy", "split": "test", "value": 0.5, "artifact": "k"}
    rows = [shared | {"of": "log_mel", "pooling": "mean"}, shared | {"of": "gpt", "layer": layer, "pooling": pooling}]
    (run / "results.json").write_text(json.dumps({"figures": rows, "comparison": {"folds": ["test"], "classes": []}}))


def test_the_layer_that_the_probe_chose_is_taken(run: Path, tmp_path: Path) -> None:
    assert load_model(str(run)).layers == (3, 4)
    run = shutil.copytree(run, tmp_path / "run")
    chosen_by_probe(run, "layer_1", "mean")
    model = load_model(str(run))
    assert (model.layers, model.pooling) == ((1,), "mean")
    audio = noise(1, 1000)
    codes = model.tokenizer.encode(audio[0].numpy(), model.sample_rate)
    expected = layer_features(model.language_model, [codes])["layer_1:mean"]
    np.testing.assert_allclose(get_scene_embeddings(audio, model), expected, atol=1e-6)
    chosen_by_probe(run, "all_layers_with_input", "thirds")  # HEAR reads the layers alone
    model = load_model(str(run))
    assert (model.layers, model.pooling) == ((1, 2, 3, 4, 5, 6), "thirds")
    for layer in ("layer_9", "inner_2"):
        chosen_by_probe(run, layer, "mean")
        with pytest.raises(InputError, match=rf"gpt/{layer}:mean\b.*HEAR\b.*\b6 layers\b.*compare\.states\b"):
            load_model(str(run))
    (run / "results.json").write_text('{"figures": []}')
    assert load_model(str(run)).layers == (3, 4)


@pytest.mark.parametrize(
    ("path", "told"), [("", r"model_file_path\b"), ("none", r"/none\b.*\bfolder\b"), (".", r"tokenizer/config\.json")]
)
def test_paths_that_hold_no_run_are_refused(path: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        load_model(str(tmp_path / path) if path else "")


@pytest.mark.parametrize("shape", [(100,), (1, 0), (0, 10), (1, 10, 1), None])
def test_what_is_no_batch_of_sounds_is_refused(model: HearModel, shape: tuple[int, ...] | None) -> None:
    audio = torch.zeros(shape) if shape else torch.zeros(1, 10).short()
    for embeddings in (get_scene_embeddings, get_timestamp_embeddings):
        with pytest.raises(InputError, match=r"\(n_sounds, n_samples\)"):
            embeddings(audio, model)
