"""Fine-tuning of speech models: what is trained, what it learns, and the folder that it leaves."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForAudioClassification, Wav2Vec2FeatureExtractor

from lm.baselines.clip_batches import ClipBatchConfig, ClipViews
from lm.baselines.labelled_batches import LabelledBatches
from lm.baselines.masked_batches import as_read
from lm.baselines.masking import MaskConfig
from lm.baselines.speech_classifier import (
    SpeechClassifier,
    create_speech_classifier,
    load_speech_classifier,
    save_speech_classifier,
)
from lm.baselines.supervised import ClassLoss, class_targets
from tests.lm.baselines.speech import tones
from tests.wordless.audio.speech_models.checkpoints import KINDS, save_checkpoint

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
    for freeze in (True, False):
        model = _classifier(tmp_path, freeze=freeze).train()
        torch.manual_seed(0)
        model(samples, lengths).sum().backward()
        without = [name for name, each in model.named_parameters() if each.requires_grad and each.grad is None]
        assert not without
        frozen = {name.split(".")[2] for name, each in model.named_parameters() if not each.requires_grad}
        assert frozen == ({"feature_extractor", "masked_spec_embed"} if freeze else {"masked_spec_embed"})


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
