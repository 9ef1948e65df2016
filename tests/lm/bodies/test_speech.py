"""Speech models as classifiers and as bodies."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForAudioClassification

from lm.bodies.body import freeze, read_states
from lm.bodies.clips import ClipViews, LabelledBatches
from lm.bodies.finetuning import Wav2vec2Options
from lm.bodies.options import ClipBatchConfig, MaskConfig, Wav2vec2Config, WaveformAugmentationConfig
from lm.bodies.wav2vec2 import SpeechNetwork, Wav2vec2Body, as_read, speech_source
from lm.finetuned import FineTunedModel, TaskLoss, create_network
from lm.heads.classification import ClassificationTask
from lm.heads.options import ClassificationOptions
from tests.lm.bodies.freezing import require_frozen_before
from tests.lm.bodies.speech import tones
from tests.pipelines.tiny import sweep
from tests.wordless.audio.speech_models.checkpoints import FIELD, KINDS, STRIDE, save_checkpoint
from wordless.audio.speech_models.encoder import load_speech_encoder
from wordless.base.errors import InputError

CLASSES = ("high", "low")


def _classifier(folder: Path, *, share: float = 0.2, freeze_inputs: bool = True, seed: int = 0) -> FineTunedModel:
    source = speech_source(folder, masking=MaskConfig(share=share, length=3))
    options = ClassificationOptions(pooling="mean", dropout=0.0, label_smoothing=0.0)
    task = ClassificationTask(options=options, classes=CLASSES, projected=24)
    network = create_network(source.body, source.create(seed=seed), task, seed=seed)
    freeze(network.body, "inputs" if freeze_inputs else 0)
    return FineTunedModel(network, source.body, "classification", task)


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert-base"])
def test_it_learns_to_tell_tones_apart_and_the_folder_knows_them(kind: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "body", kind)
    tuned = _classifier(tmp_path / "body")
    model = tuned.network.train()
    clips, names = tones(16)
    views = ClipViews(clips, ClipBatchConfig(batch_size=8, max_frames=1000), as_read)
    batches = LabelledBatches(views=views, targets=tuned.task.targets(names))
    optimiser = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], lr=3e-3)
    for step in range(25):
        torch.manual_seed(step)
        total, count = TaskLoss(task=tuned.task)(model, batches.batch(step, 0, 1))
        optimiser.zero_grad()
        (total / count).backward()
        optimiser.step()
    tuned.write(tmp_path / "tuned")
    again, new = FineTunedModel.from_pretrained(tmp_path / "tuned"), tones(8, seed=1)[0]
    model.eval()
    assert all(np.allclose(*pair, atol=1e-5) for pair in zip(again.outputs(new), tuned.outputs(new), strict=True))
    assert [row["label"] for row in again.task.rows(again.outputs(new))] == ["high", "low"] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_that_is_trained_gets_a_gradient(kind: str, tmp_path: Path) -> None:
    """Processes that train together wait for the gradient of each."""
    save_checkpoint(tmp_path, kind)
    samples, lengths = torch.randn(2, 1200), torch.tensor([1200, 700])
    for frozen in (True, False):
        model = _classifier(tmp_path, freeze_inputs=frozen).network.train()
        torch.manual_seed(0)
        model(samples, lengths)[0].sum().backward()
        without = [name for name, each in model.named_parameters() if each.requires_grad and each.grad is None]
        assert not without
        kept = {name.split(".")[2] for name, each in model.named_parameters() if not each.requires_grad}
        assert kept == ({"feature_extractor", "masked_spec_embed"} if frozen else {"masked_spec_embed"})


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert"])
def test_the_head_begins_as_that_of_transformers(kind: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, kind)
    torch.manual_seed(3)
    theirs = AutoModelForAudioClassification.from_pretrained(tmp_path, classifier_proj_size=24, mask_time_prob=0.5)
    head = _classifier(tmp_path, seed=3).network.head.state_dict()
    for name, layer in (("projection", theirs.projector), ("linear", theirs.classifier)):
        assert torch.equal(head[f"{name}.weight"], layer.weight)
        assert torch.equal(head[f"{name}.bias"], layer.bias)


RATE = 16_000
SIZES = Wav2vec2Config(
    channels=8, kernels=(10, 3, 3), strides=(5, 4, 4), width=16, layers=2, heads=2, ffn_dim=24, positions=4
)


def opened(folder: Path, kind: str = "wav2vec2", **options: object) -> tuple[Wav2vec2Body, SpeechNetwork]:
    """The body of a checkpoint, and its network."""
    save_checkpoint(folder, kind)
    source = Wav2vec2Options(**options, weights=str(folder)).open({})  # type: ignore[arg-type]  # any option
    assert isinstance(source.body, Wav2vec2Body)
    network = source.create(seed=0)
    assert isinstance(network, SpeechNetwork)
    return source.body, network.eval()


def read(body: Wav2vec2Body, *seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The inputs of sweeps, as they are stored and read, and their lengths."""
    front_end = body.front_end(Path(), device="cpu")
    clips = [torch.from_numpy(front_end([sweep(each, RATE)]).astype(np.float32)) / 32768 for each in seconds]
    return torch.nn.utils.rnn.pad_sequence(clips, batch_first=True), torch.tensor([len(clip) for clip in clips])


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_of_the_speech_model(kind: str, tmp_path: Path) -> None:
    body, network = opened(tmp_path, kind)
    inputs, lengths = read(body, 0.1, 0.25, FIELD / RATE)
    with torch.no_grad():
        states, counts = read_states(network, body.reading, inputs, lengths)
        layers = network.layer_states(inputs, lengths)
        encoder = load_speech_encoder(tmp_path, option="folder")
        for clip, length in enumerate(lengths.tolist()):
            alone = encoder.states(inputs[clip : clip + 1, :length], lengths[clip : clip + 1], layers=[1, 2, 3])
            assert counts[clip] == 1 + (length - FIELD) // STRIDE
            torch.testing.assert_close(states[clip, : counts[clip]], alone[-1, 0], atol=1e-4, rtol=1e-3)
            torch.testing.assert_close(layers[:, clip, : counts[clip]], alone[:, 0], atol=1e-4, rtol=1e-3)


def test_long_recordings_are_read_in_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lm.bodies.wav2vec2.PIECE_FRAMES", 8)
    body, network = opened(tmp_path)
    inputs, lengths = read(body, 0.1)
    with torch.no_grad():
        states, counts = read_states(network, body.reading, inputs, lengths)
        samples = body.reading.num_inputs(8)
        first, _ = network(inputs[:, :samples], torch.tensor([samples]))
        second, _ = network(inputs[:, 4 * STRIDE : 4 * STRIDE + samples], torch.tensor([samples]))
    assert states.shape[1] == counts[0] == 20
    torch.testing.assert_close(states[0, :8], first[0])
    torch.testing.assert_close(states[0, 8:12], second[0, 4:])


def test_frames_are_masked_in_training_alone(tmp_path: Path) -> None:
    body, network = opened(tmp_path, masking=MaskConfig(share=0.5, length=2))
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    inputs, lengths = read(body, 0.2, 0.3)
    whole, _ = network(inputs, lengths)
    network.train()
    torch.manual_seed(0)
    masked, _ = network(inputs, lengths)
    torch.manual_seed(0)
    torch.testing.assert_close(network(inputs, lengths)[0], masked)
    assert not torch.allclose(masked, whole, atol=1e-3)


@pytest.mark.parametrize(("count", "trainable"), [(0, [0, 1, 2, 3]), ("inputs", [1, 2, 3]), (1, [2, 3]), ("all", [])])
def test_convolutions_are_frozen_before_layers(count: int, trainable: list[int], tmp_path: Path) -> None:
    _, network = opened(tmp_path)
    freeze(network, count)
    free = [any(weight.requires_grad for weight in layer.parameters()) for layer in network.stack]
    assert [number for number, own in enumerate(free) if own] == trainable


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_feeds_a_frozen_layer_is_frozen(kind: str, tmp_path: Path) -> None:
    body, network = opened(tmp_path, kind)
    inputs, lengths = read(body, 0.1)
    require_frozen_before(2, body, network, inputs, lengths)


def test_options_give_the_sizes_of_random_weights() -> None:
    source = Wav2vec2Options(model=SIZES, sample_rate=8000, weights="none").open({})
    assert source.body.reading.sample_rate == 8000
    assert source.body.reading.dim == 16
    one, other, again = (source.create(seed=seed).state_dict() for seed in (1, 2, 1))
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    assert not all(torch.equal(value, other[name]) for name, value in one.items())
    assert source.body.parameters == sum(weight.numel() for weight in source.create(seed=0).parameters())


def test_the_same_body_is_opened_without_its_weights(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "hubert")
    source = Wav2vec2Options().open({"wav2vec2": tmp_path})
    assert source.fingerprint
    assert not source.untrained.fingerprint
    trained, random = (each.create(seed=1).state_dict() for each in (source, source.untrained))
    assert trained.keys() == random.keys()
    assert not all(torch.equal(value, random[name]) for name, value in trained.items())


def test_what_cannot_be_a_body_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"weights=.*config\.json\b"):
        Wav2vec2Options(weights=str(tmp_path)).open({})
    save_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"weights=.*pickle.*pytorch_model\.bin\b"):
        Wav2vec2Options(weights=str(tmp_path)).open({})
    with pytest.raises(InputError, match=r"augmentation\.crop\b.*\b0\.9\b"):
        Wav2vec2Options(augmentation=WaveformAugmentationConfig(crop=0.9))
    with pytest.raises(InputError, match=r"sample_rate\b.*\b0\b"):
        Wav2vec2Options(sample_rate=0)
