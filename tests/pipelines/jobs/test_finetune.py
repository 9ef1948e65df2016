"""``wordless finetune``: figures, the saved model, repetition, heads of numbers and text, and what is refused."""

import json
import re
import shutil
from pathlib import Path
from typing import cast

import pytest

from lm.backbones.audio_transformer import AudioTransformerBackbone, AudioTransformerConfig
from lm.finetuned import FineTunedModel, create_network, create_task
from lm.finetuning import ClassificationOptions
from lm.heads import PredictionRow
from pipelines.plugins.finetune import finetune_settings
from pipelines.store.claims import hold
from pipelines.store.run_parts import JOB
from tests.pipelines.jobs.conftest import PITCHES, Finetuned, composed, fine_tune, rows_of, write_tone, write_tones
from tests.pipelines.tiny import AUDIO
from tests.pipelines.tiny_chain import stored
from tests.rejected import read_rejected
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from wordless.audio.reading import read
from wordless.audio.recordings.corpus import build_manifest
from wordless.audio.recordings.manifest import write_manifest
from wordless.base.messages import InputError


def test_every_opponent_has_its_figures(classifier: Finetuned) -> None:
    record = json.loads((classifier.folder / "figures.json").read_text())
    assert record["clips"] == {"train": 12, "validation": 6, "test": 9}
    for row in record["table"]:
        assert 0 <= row["figures"][0]["low"] <= row["figures"][0]["value"] <= row["figures"][0]["high"] <= 1
    assert record["table"][-1]["figures"][0]["value"] == pytest.approx(1 / 3)
    assert record["provenance"]["parameters"]["finetuned"] > 0
    assert record["over"] == "clips"  # the test clips have no groups
    rows = rows_of(classifier.folder / "predictions.tsv")
    names = ["path", "truth", "label", "probability", *(f"probability of {n}" for n in ("high", "low", "middle"))]
    assert ([*rows[0]], len(rows)) == (names, 9)


def test_the_same_bytes_come_out_again(classifier: Finetuned, tmp_path: Path) -> None:
    words = (f"output={tmp_path / 'model'}", f"store.root={tmp_path / 'store'}")
    fine_tune(*classifier.words, *words)
    assert stored(tmp_path / "store") == stored(classifier.store)


def test_the_code_of_the_model_card_predicts(classifier: Finetuned, tones: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (classifier.folder / "README.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(code.replace("path/of/this/folder", str(classifier.folder)).replace("a.wav", str(tones / "low_2.wav")), names)
    predicted = {row["path"]: row["label"] for row in rows_of(classifier.folder / "predictions.tsv")}
    assert [row["label"] for row in cast("list[PredictionRow]", names["rows"])] == [predicted["low_2.wav"]]


def test_validation_chooses_the_learning_rate(run_folder: Path, tones: Path, tmp_path: Path) -> None:
    words = (f"model={run_folder}", f"corpus.root={tones}", f"store.root={tmp_path / 'store'}", "beside=[]")
    fine_tune(*words, f"output={tmp_path / 'model'}", "backbone.learning_rates=[1e-6,1e-2]")
    kept: dict[float, float] = {}
    for recipe in (tmp_path / "store/finetuned").glob("*/entry.json"):
        curve = json.loads((recipe.parent / "curve.json").read_text())
        rate = json.loads(recipe.read_text())["arguments"]["training"]["fit"]["lr"]
        kept[rate] = next(p["validation_loss"] for p in curve["curve"] if p["step"] == curve["kept_step"])
    row = json.loads((tmp_path / "model/figures.json").read_text())["table"][0]
    assert len(kept) == 2
    assert row["chosen"] == f"learning rate {min(kept, key=lambda rate: kept[rate]):g}"


def test_short_and_unlabelled_clips_are_set_aside_and_counted(run_folder: Path, tones: Path, tmp_path: Path) -> None:
    root, table = tmp_path / "more", tmp_path / "clips.tsv"
    shutil.copytree(tones, root)
    write_tone(root / "low_99.wav", 400.0, 70 / AUDIO.sample_rate)
    write_tone(root / "98.wav", 400.0, 1.0)
    rows = [f"{path.name}\t{path.stem.rpartition('_')[0]}\t{split_of(path)}" for path in sorted(root.glob("*.wav"))]
    table.write_text("\n".join(["path\tlabel\tsplit", *rows]) + "\n")
    recordings = (f"corpus.root={root}", f"corpus.table={table}", "corpus.split.by=table", "corpus.pattern=null")
    recordings = (*recordings, "corpus.split.validation=[]", "corpus.split.test=[]")
    words = (f"model={run_folder}", *recordings, f"store.root={tmp_path / 'store'}", "beside=[]")
    fine_tune(*words, f"output={tmp_path / 'model'}", "corpus.inspection.trim_db=30", "audio.channel=0")
    model = FineTunedModel.from_pretrained(tmp_path / "model")
    assert (model.trim_db, model.channel) == (30, 0)
    rejected = (tmp_path / "model/rejected.tsv").read_text()
    assert re.search(r"low_99\.wav\t.*20 ms", rejected)
    assert re.search(r"98\.wav\t.*no label", rejected)


def test_clips_too_short_for_their_text_are_set_aside_but_for_those_of_test(
    run_folder: Path, tones: Path, tmp_path: Path
) -> None:
    """``middle`` needs seven steps, because a blank must stand between its two equal letters; a code lasts 20 ms."""
    root = Path(shutil.copytree(tones, tmp_path / "more"))
    for number, codes in ((2, 6), (97, 6), (98, 7)):
        write_tone(root / f"middle_{number}.wav", 500.0, codes * 0.02, seed=number)
    words = (f"model={run_folder}", f"corpus.root={root}", f"store.root={tmp_path / 's'}", "beside=[]", "head=sequence")
    fine_tune(*words, f"output={tmp_path / 'model'}")
    record = json.loads((tmp_path / "model/figures.json").read_text())
    assert record["clips"] == {"train": 13, "validation": 5, "test": 9}
    assert [each for each in record["notices"] if each.startswith("2 clips set aside: too short for its text")]
    rejected = read_rejected(tmp_path / "model/rejected.tsv")
    assert {each.path for each in rejected} == {"middle_0.wav", "middle_97.wav"}


def split_of(path: Path) -> str:
    number = int(path.stem.rpartition("_")[2])
    return "validation" if number < 2 else "test" if number < 5 else "train"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("model=null",), r"^model is null\b.*backbone=gpt\b.*\btokenizer and lm\b"),
        (("backbone.frozen_layers=7",), r"backbone\.frozen_layers\b.*\b7\b.*\b1 layer\b.*\b0\b.*\b1\b.*\ball\b"),
        (("probe.choose_by=group",), r"probe\.choose_by\b.*\bgroup\b"),
        (("backbone.weights=here",), r"backbone\.weights is here\b.*\brun\b"),
        (("beside=[probe,probe]",), r"beside\b.*\bonce\b"),
        (("backbone.learning_rates=[0.0]",), r"backbone\.learning_rates\b.*\[0\]"),
        (("head=sequence", "corpus.segment_seconds=0.2"), r"corpus\.segment_seconds\b.*\b0\.2\b.*head=sequence\b"),
        (("backbone.batches.batch_size=1",), r"backbone\.batches\.batch_size\b.*\b1\b.*\b2\b"),
        (("corpus.label_type=number",), r"corpus\.label_type is number\b.*head=classification\b"),
        (("corpus.pattern=low_{label}_{index}.wav",), r"corpus\.pattern\b.*low_\{label\}_\{index\}\.wav"),
        (("backbone=wav2vec2", "backbone.weights=run"), r"wav2vec2/config\.json\b.*\bstages\b.*\bwav2vec2\b"),
        (
            ("backbone=audio_transformer", "backbone.weights=run", "model=null"),
            r"backbone=audio_transformer\b.*backbone\.weights=none\b",
        ),
        (("backbone=audio_transformer", "backbone.sample_rate=8000"), r"\b27 clips\b.*\b8000 Hz\b.*upsample=true"),
        (("corpus.split.test=['90-99']",), r"corpus\.split\b.*'90-99'"),
    ],
)
def test_refusals_come_before_training(
    words: tuple[str, ...], problem: str, run_folder: Path, tones: Path, tmp_path: Path
) -> None:
    place = (f"output={tmp_path / 'model'}", f"store.root={tmp_path / 'store'}")
    with pytest.raises(InputError, match=problem):
        fine_tune(f"model={run_folder}", f"corpus.root={tones}", *place, *words)
    assert not (tmp_path / "store/finetuned").exists()
    assert not (tmp_path / "model").exists()


def test_an_output_of_another_job_or_of_one_that_is_writing_is_refused(classifier: Finetuned, tmp_path: Path) -> None:
    words = (*classifier.words, f"store.root={classifier.store}")
    for other in ("seed=2", "backbone.dropout=0.2"):  # an option of this backbone alone
        with pytest.raises(InputError, match="other values"):
            fine_tune(*words, f"output={classifier.folder}", other)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="other things"):
        fine_tune(*words, f"output={tmp_path}")
    with hold(classifier.folder, option="output", lock=JOB), pytest.raises(InputError, match="another run"):
        fine_tune(*words, f"output={classifier.folder}")


RATE = AUDIO.sample_rate
AUDIO_TRANSFORMER = (
    *(
        "backbone=audio_transformer",
        f"backbone.sample_rate={RATE}",
        "backbone.model.front_end=16",
        "backbone.model.width=16",
    ),
    *(
        "backbone.model.heads=2",
        "backbone.model.ffn_dim=16",
        "backbone.model.layers=2",
        "backbone.model.wavelet_levels=3",
    ),
)
SPEECH = ("backbone=wav2vec2", "backbone.weights=hubert", "backbone.frozen_layers=inputs")
FIGURES = {
    "classification": ["accuracy", "macro F1"],
    "regression": ["R2", "mean absolute error"],
    "sequence": ["character error rate, greedy", "character error rate, beam search", "texts without error"],
}


@pytest.mark.parametrize(
    ("head", "words"),
    [
        *(("classification", SPEECH), ("classification", AUDIO_TRANSFORMER)),
        *(("regression", ()), ("sequence", ("head.beam_size=5",))),
    ],
)
def test_every_opponent_of_each_backbone_and_head_has_figures_and_the_folder_predicts(
    head: str, words: tuple[str, ...], run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts are not probed, but spelled by a linear layer on the frozen backbone."""
    monkeypatch.chdir(tmp_path)
    save_checkpoint(tmp_path / "hubert", "hubert", sample_rate=RATE)
    root = write_tones(tmp_path / "tones", label=lambda name: str(PITCHES[name]) if head == "regression" else name)
    fine_tune(f"model={run_folder}", f"corpus.root={root}", f"head={head}", "output=model", "store.root=s", *words)
    probe = "CTC on the frozen last layer" if head == "sequence" else "linear probe"
    opponents = ("fine-tuned", "from scratch", probe, "the same answer for every clip")
    table = json.loads(Path("model/figures.json").read_text())["table"]
    figures = {row["of"]: [figure["name"] for figure in row["figures"]] for row in table}
    assert figures == dict.fromkeys(opponents, FIGURES[head])
    frozen = {"sequence": ["0", "0", "all"], "regression": ["0", "0"]}
    if head in frozen:
        recipes = [json.loads(path.read_text()) for path in Path("s/finetuned").glob("*/entry.json")]
        assert sorted(str(recipe["arguments"]["training"]["frozen"]) for recipe in recipes) == frozen[head]
    loaded = FineTunedModel.from_pretrained(Path("model"))
    rows = rows_of(Path("model/predictions.tsv"))
    assert ([*rows[0]][:2], len(rows)) == (["path", "truth"], 9)
    for row in rows:
        path = row.pop("path")
        assert path.startswith(row.pop("truth"))
        (answer,) = loaded.predict([read(root / path, RATE)])
        for name, cell in row.items():
            assert cell == str(answer[name]) or float(cell) == pytest.approx(answer[name], abs=1e-2)
    assert head != "sequence" or "".join(loaded.task.summary).endswith("deghilmow")


@pytest.fixture(scope="module")
def learned_run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose Audio Transformer learned the labels of the tones, divided as the fine-tuning divides them."""
    run = tmp_path_factory.mktemp("learned")
    settings = finetune_settings(composed(*AUDIO_TRANSFORMER, f"corpus.root={tones}", "output=nowhere"))
    manifest, _ = build_manifest(settings.corpus)
    write_manifest(manifest, run / "manifest.tsv")
    sizes = AudioTransformerConfig(front_end=16, width=16, heads=2, layers=2, ffn_dim=16, wavelet_levels=3)
    backbone = AudioTransformerBackbone(audio_transformer=sizes, sample_rate=RATE)
    task = create_task(ClassificationOptions(), ["low", "high"], [])
    network = create_network(backbone, backbone.create(seed=0), task, seed=0)
    FineTunedModel(network, backbone, task).write(run / "audio_transformer")
    return run


def of_the_folder(run: Path) -> tuple[str, ...]:
    """The option of the weights in a folder of a run."""
    return (f"backbone.weights={run / 'audio_transformer'}",)


def test_labels_that_the_weights_have_learned_are_refused(learned_run: Path, tones: Path, tmp_path: Path) -> None:
    place = (f"corpus.root={tones}", f"output={tmp_path / 'model'}", f"store.root={tmp_path / 's'}")
    other = ("corpus.split.validation=['2-4']", "corpus.split.test=['6-7']")
    for weights in (("backbone.weights=run", f"model={learned_run}"), of_the_folder(learned_run)):
        with pytest.raises(InputError, match=r"labels\b.*\b6 of 6 test clips\b"):
            fine_tune("backbone=audio_transformer", *weights, *place, *other)
    assert not (tmp_path / "model").exists()


def test_all_labels_may_be_used_again(learned_run: Path, tones: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(learned_run / "audio_transformer", moved / "audio_transformer")
    quick = ("backbone.fit.steps=1", "beside=[]", f"corpus.root={tones}", f"store.root={tmp_path / 's'}")
    for run, told in ((learned_run, []), (moved, ["manifest.tsv"])):
        output = tmp_path / f"{len(told)}"
        fine_tune("backbone=audio_transformer", *of_the_folder(run), *quick, f"output={output}")
        notices = json.loads((output / "figures.json").read_text())["notices"]
        assert [word for word, notice in zip(told, notices, strict=True) if word in notice] == told
