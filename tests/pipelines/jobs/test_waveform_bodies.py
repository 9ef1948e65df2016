"""wav2vec 2.0 and the Audio Transformer as bodies, from recordings to predictions."""

import json
import shutil
from pathlib import Path

import pytest

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


def of_the_folder(run: Path) -> tuple[str, ...]:
    """The option of the weights in a folder of a run."""
    return (f"body.weights={run / 'audio_transformer'}",)


def test_labels_that_the_weights_have_learned_are_refused(learned_run: Path, tones: Path, tmp_path: Path) -> None:
    place = (f"corpus.root={tones}", f"output={tmp_path / 'model'}", f"store.root={tmp_path / 's'}")
    other = ("corpus.split.validation=['2-4']", "corpus.split.test=['6-7']")
    for weights in (("body.weights=run", f"model={learned_run}"), of_the_folder(learned_run)):
        with pytest.raises(InputError, match=r"labels\b.*\b6 of 6 test clips\b"):
            fine_tune("body=audio_transformer", *weights, *place, *other)
    assert not (tmp_path / "model").exists()


def test_all_labels_may_be_used_again(learned_run: Path, tones: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(learned_run / "audio_transformer", moved / "audio_transformer")
    quick = ("body.fit.steps=1", "beside=[]", f"corpus.root={tones}", f"store.root={tmp_path / 's'}")
    for run, told in ((learned_run, []), (moved, ["manifest.tsv"])):
        output = tmp_path / f"{len(told)}"
        fine_tune("body=audio_transformer", *of_the_folder(run), *quick, f"output={output}")
        notices = json.loads((output / "figures.json").read_text())["notices"]
        assert [word for word, notice in zip(told, notices, strict=True) if word in notice] == told
