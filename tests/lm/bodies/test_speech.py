"""Speech models as classifiers and as bodies."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForAudioClassification, Wav2Vec2FeatureExtractor

from lm.bodies.body import freeze, read_states
from lm.bodies.clips import ClipViews, LabelledBatches
from lm.bodies.finetuning import Wav2vec2Options
from lm.bodies.options import ClipBatchConfig, MaskConfig, Wav2vec2Config, WaveformAugmentationConfig
from lm.bodies.wav2vec2 import (
    SpeechClassifier,
    SpeechNetwork,
    Wav2vec2Body,
    as_read,
    create_speech_classifier,
    load_speech_classifier,
    save_speech_classifier,
)
from lm.heads.classification import ClassLoss, class_targets
from tests.lm.bodies.freezing import require_frozen_before
from tests.lm.bodies.speech import tones
from tests.pipelines.tiny import sweep
from tests.wordless.audio.speech_models.checkpoints import FIELD, KINDS, STRIDE, save_checkpoint
from wordless.audio.speech_models.encoder import load_speech_encoder
from wordless.base.errors import InputError

CLASSES = ("high", "low")


def _classifier(
    folder: Path, *, multi_label: bool = False, share: float = 0.2, freeze: bool = True, seed: int = 0
) -> SpeechClassifier:
    return create_speech_classifier(
        folder,
        CLASSES,
        multi_label=multi_label,
        masking=MaskConfig(share=share, length=3),
        freeze_convolutions=freeze,
        option="weights",
        seed=seed,
    )


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert-base"])
def test_it_learns_to_tell_tones_apart_and_leaves_a_folder_of_transformers(kind: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "body", kind)
    model = _classifier(tmp_path / "body").train()
    clips, names = tones(16)
    views = ClipViews(clips, ClipBatchConfig(batch_size=8, max_frames=1000), as_read)
    targets = class_targets(names, CLASSES, multi_label=False)
    batches = LabelledBatches(views=views, targets=targets)
    optimiser = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], lr=3e-3)
    for step in range(25):
        torch.manual_seed(step)
        total, count = ClassLoss(label_smoothing=0.0)(model, batches.batch(step, 0, 1))
        optimiser.zero_grad()
        (total / count).backward()
        optimiser.step()
    save_speech_classifier(model, tmp_path / "tuned", inputs=tmp_path / "body")
    again = load_speech_classifier(tmp_path / "tuned", device="cpu")
    samples, lengths = tones(8, seed=1)[0].read(torch.arange(8).numpy(), at_most=2000)
    with torch.no_grad():
        logits = again(samples, lengths)
        torch.testing.assert_close(logits, model.eval()(samples, lengths))
    assert logits.argmax(1).tolist() == [0, 1] * 4
    theirs = AutoModelForAudioClassification.from_pretrained(tmp_path / "tuned").eval()
    assert theirs.config.id2label == {0: "high", 1: "low"}
    inputs = Wav2Vec2FeatureExtractor.from_pretrained(tmp_path / "tuned")
    alone = inputs(samples[0, : lengths[0]].numpy(), sampling_rate=16_000, return_tensors="pt").input_values
    with torch.no_grad():
        torch.testing.assert_close(theirs(alone).logits[0], logits[0], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_that_is_trained_gets_a_gradient(kind: str, tmp_path: Path) -> None:
    """Processes that train together wait for the gradient of each."""
    save_checkpoint(tmp_path, kind)
    samples, lengths = torch.randn(2, 1200), torch.tensor([1200, 700])
    for frozen in (True, False):
        model = _classifier(tmp_path, freeze=frozen).train()
        torch.manual_seed(0)
        model(samples, lengths).sum().backward()
        without = [name for name, each in model.named_parameters() if each.requires_grad and each.grad is None]
        assert not without
        kept = {name.split(".")[2] for name, each in model.named_parameters() if not each.requires_grad}
        assert kept == ({"feature_extractor", "masked_spec_embed"} if frozen else {"masked_spec_embed"})


def test_hidden_frames_follow_from_pytorchs_seed(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "wav2vec2")
    model = _classifier(tmp_path, share=0.6).train()
    samples, lengths = torch.randn(2, 1500), torch.tensor([1500, 900])
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(model(samples, lengths).detach())
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])
    model.eval()
    torch.testing.assert_close(model(samples, lengths), model(samples, lengths))


def test_the_heads_weights_follow_from_the_seed(tmp_path: Path) -> None:
    save_checkpoint(tmp_path)
    one, again, other = (_classifier(tmp_path, seed=seed, multi_label=True) for seed in (0, 0, 1))
    assert one.multi_label
    means = torch.ones(1, 32)
    assert torch.equal(one.logits(means), again.logits(means))
    assert not torch.allclose(one.logits(means), other.logits(means))


def test_a_folder_with_a_head_gets_a_new_one(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "body", "wav2vec2")
    first = _classifier(tmp_path / "body", seed=1)
    save_speech_classifier(first, tmp_path / "tuned", inputs=tmp_path / "body")
    for seed in (1, 2):
        own = _classifier(tmp_path / "body", seed=seed).state_dict()
        for name, values in _classifier(tmp_path / "tuned", seed=seed).state_dict().items():
            assert torch.equal(values, own[name]), name
    three = create_speech_classifier(
        tmp_path / "tuned",
        ("a", "b", "c"),
        multi_label=False,
        masking=MaskConfig(),
        freeze_convolutions=True,
        option="weights",
        seed=0,
    )
    assert three.logits(torch.zeros(1, three.encoder.width)).shape == (1, 3)


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
        first = network(inputs[:, :samples], torch.tensor([samples]))
        second = network(inputs[:, 4 * STRIDE : 4 * STRIDE + samples], torch.tensor([samples]))
    assert states.shape[1] == counts[0] == 20
    torch.testing.assert_close(states[0, :8], first[0])
    torch.testing.assert_close(states[0, 8:12], second[0, 4:])


def test_frames_are_masked_in_training_alone(tmp_path: Path) -> None:
    body, network = opened(tmp_path, masking=MaskConfig(share=0.5, length=2))
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    inputs, lengths = read(body, 0.2, 0.3)
    whole = network(inputs, lengths)
    network.train()
    torch.manual_seed(0)
    masked = network(inputs, lengths)
    torch.manual_seed(0)
    torch.testing.assert_close(network(inputs, lengths), masked)
    assert not torch.allclose(masked, whole, atol=1e-3)


@pytest.mark.parametrize(("count", "trainable"), [(0, [0, 1, 2, 3]), ("inputs", [1, 2, 3]), (1, [2, 3]), ("all", [])])
def test_convolutions_are_frozen_before_layers(count: int, trainable: list[int], tmp_path: Path) -> None:
    _, network = opened(tmp_path)
    freeze(network, count)
    free = [any(weight.requires_grad for weight in layer.parameters()) for layer in network.layers]
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
