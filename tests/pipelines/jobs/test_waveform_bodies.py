"""wav2vec 2.0 and the Audio Transformer as bodies, from recordings to predictions."""

import json
import re
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForAudioClassification

from lm.bodies.audio_transformer import AudioTransformerBody
from lm.bodies.options import AudioTransformerConfig
from lm.finetuned import FineTunedModel, create_network, create_task
from lm.finetuning import ClassificationOptions
from pipelines.labelled import finetune_settings
from tests.pipelines.jobs.conftest import composed, fine_tune
from tests.pipelines.tiny import AUDIO
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from wordless.audio.reading import read
from wordless.audio.recordings.corpus import build_manifest
from wordless.audio.recordings.manifest import write_manifest
from wordless.base.errors import InputError

RATE = AUDIO.sample_rate
AUDIO_TRANSFORMER = (
    *("body=audio_transformer", f"body.sample_rate={RATE}", "body.model.front_end=16", "body.model.width=16"),
    *("body.model.heads=2", "body.model.ffn_dim=16", "body.model.layers=2", "body.model.wavelet_levels=3"),
)


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, ...]]:
    """Options of each body."""
    folder = tmp_path_factory.mktemp("weights")
    save_checkpoint(folder, "hubert", sample_rate=RATE)
    speech = ("body=wav2vec2", f"body.weights={folder}", "body.frozen_layers=inputs")
    return {"wav2vec2": speech, "audio_transformer": AUDIO_TRANSFORMER}


@pytest.mark.parametrize("body", ["wav2vec2", "audio_transformer"])
def test_every_opponent_is_trained_and_the_folder_predicts(
    body: str, bodies: dict[str, tuple[str, ...]], tones: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    fine_tune(*bodies[body], f"corpus.root={tones}", f"output={model}", f"store.root={tmp_path / 's'}")
    record = json.loads((model / "figures.json").read_text())
    assert [row["of"] for row in record["table"]][:3] == ["fine-tuned", "from scratch", "linear probe"]
    loaded = FineTunedModel.from_pretrained(model)
    for line in (model / "predictions.tsv").read_text().splitlines()[1:]:
        path, _, label, probability, *_ = line.split("\t")
        (row,) = loaded.predict([read(tones / path, RATE)])
        assert row["label"] == label
        assert row["probability"] == pytest.approx(float(probability), abs=1e-3)


@pytest.fixture(scope="module")
def learned_run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose Audio Transformer learned the labels of the tones, divided as the fine-tuning divides them."""
    run = tmp_path_factory.mktemp("learned")
    settings = finetune_settings(composed(*AUDIO_TRANSFORMER, f"corpus.root={tones}", "output=nowhere"))
    manifest, _ = build_manifest(settings.corpus)
    write_manifest(manifest, run / "manifest.tsv")
    sizes = AudioTransformerConfig(front_end=16, width=16, heads=2, layers=2, ffn_dim=16, wavelet_levels=3)
    body = AudioTransformerBody(audio_transformer=sizes, sample_rate=RATE)
    task = create_task(ClassificationOptions(), ["low", "high"], [])
    network = create_network(body, body.create(seed=0), task, seed=0)
    FineTunedModel(network, body, task).write(run / "audio_transformer")
    return run


def of_the_run(run: Path, *, folder: bool) -> tuple[str, ...]:
    """Options of the weights: of a run, or of the folder in it."""
    named = (f"body.weights={run / 'audio_transformer'}",) if folder else ("body.weights=run", f"model={run}")
    return ("body=audio_transformer", *named)


@pytest.mark.parametrize("folder", [False, True])
def test_labels_that_the_weights_have_learned_are_refused(
    folder: bool, learned_run: Path, tones: Path, tmp_path: Path
) -> None:
    place = (f"corpus.root={tones}", f"output={tmp_path / 'model'}", f"store.root={tmp_path / 's'}")
    words = (*of_the_run(learned_run, folder=folder), *place)
    other = ("corpus.split.validation=['2-4']", "corpus.split.test=['6-7']")
    with pytest.raises(InputError, match=r"labels\b.*\b6 of 6 test clips\b"):
        fine_tune(*words, *other)
    assert not (tmp_path / "model").exists()


def test_all_labels_may_be_used_again(learned_run: Path, tones: Path, tmp_path: Path) -> None:
    quick = ("body.fit.steps=1", "beside=[]", f"corpus.root={tones}", f"store.root={tmp_path / 's'}")
    fine_tune(*of_the_run(learned_run, folder=True), *quick, f"output={tmp_path / 'same'}")
    assert json.loads((tmp_path / "same/figures.json").read_text())["notices"] == []
    moved = tmp_path / "moved"
    shutil.copytree(learned_run / "audio_transformer", moved / "audio_transformer")
    fine_tune(*of_the_run(moved, folder=True), *quick, f"output={tmp_path / 'unknown'}")
    (notice,) = json.loads((tmp_path / "unknown/figures.json").read_text())["notices"]
    assert re.search(r"body=audio_transformer learned labels\b.*manifest\.tsv\b", notice)


def test_weights_of_a_classifier_have_learned_labels(tones: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "body", "wav2vec2", sample_rate=RATE)
    AutoModelForAudioClassification.from_pretrained(tmp_path / "body").save_pretrained(tmp_path / "tuned")
    for file in (tmp_path / "body").glob("preprocessor*"):
        shutil.copy(file, tmp_path / "tuned")
    for folder, told in (("body", 0), ("tuned", 1)):
        words = ("body=wav2vec2", f"body.weights={tmp_path / folder}", "body.fit.steps=1", "beside=[]")
        place = (f"corpus.root={tones}", f"store.root={tmp_path / 's'}", f"output={tmp_path / f'of_{folder}'}")
        fine_tune(*words, *place)
        notices = json.loads((tmp_path / f"of_{folder}/figures.json").read_text())["notices"]
        assert len(notices) == told
        assert all("body=wav2vec2 learned labels" in notice for notice in notices)


def test_a_run_without_the_model_is_refused(run_folder: Path, tones: Path) -> None:
    for body in ("wav2vec2", "audio_transformer"):
        words = (f"body={body}", "body.weights=run", f"corpus.root={tones}", "output=nowhere")
        with pytest.raises(InputError, match=rf"{body}/config\.json\b.*\bstages\b.*\b{body}\b"):
            fine_tune(*words, f"model={run_folder}")
        with pytest.raises(InputError, match=rf"body={body}\b.*\b{body}\b.*body\.weights=none\b"):
            fine_tune(*words)
