"""``wordless finetune``: figures, the saved model, repetition, and what is refused."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lm.finetuned import FineTunedModel
from lm.model import LanguageModel
from lm.probing.comparison import Hits, bootstrap, outcome_interval, whole_groups
from pipelines.finetuning.job import finetune_body
from tests.pipelines.finetuning.conftest import Finetuned
from tests.pipelines.finetuning.tiny_finetuning import composed, write_tone, write_tones
from tests.pipelines.tiny import AUDIO
from tests.pipelines.tiny_chain import stored
from wordless.audio.reading import read
from wordless.base.errors import InputError
from wordless.base.files import file_hash
from wordless.training.gangs import Alone
from wordless.training.precision import choose_precision


def test_every_opponent_has_a_figure_for_each_share(classifier: Finetuned) -> None:
    record = json.loads((classifier.folder / "figures.json").read_text())
    assert record["clips"] == {"train": 12, "validation": 6, "test": 9}
    rows = [(row["of"], row["share"], row["clips"]) for row in record["table"]]
    opponents = ("fine-tuned", "from scratch", "linear probe")
    assert rows == [
        *((of, 0.5, 6) for of in opponents),
        *((of, 1.0, 12) for of in opponents),
        ("the same answer for every clip", None, None),
    ]
    for row in record["table"]:
        assert [figure["name"] for figure in row["figures"]] == ["accuracy", "macro F1"]
        assert 0 <= row["figures"][0]["low"] <= row["figures"][0]["value"] <= row["figures"][0]["high"] <= 1
    assert record["table"][-1]["figures"][0]["value"] == pytest.approx(1 / 3)
    table = (classifier.folder / "figures.md").read_text().splitlines()
    assert len(table) == 2 + len(rows)
    assert record["provenance"]["parameters"]["finetuned"] > 0
    assert record["resampled"] == "clip"  # the test clips have no groups


def test_the_folder_predicts_what_the_figures_were_measured_on(classifier: Finetuned, tones: Path) -> None:
    lines = (classifier.folder / "predictions.tsv").read_text().splitlines()
    header = ["path", "truth", "label", "probability", *(f"probability of {n}" for n in ("high", "low", "middle"))]
    assert lines[0].split("\t") == header
    model = FineTunedModel.from_pretrained(classifier.folder)
    for line in lines[1:]:
        path, truth, label, probability, *_ = line.split("\t")
        assert path.startswith(truth)
        (row,) = model.predict([read(tones / path, AUDIO.sample_rate)])
        assert row["label"] == label
        assert row["probability"] == pytest.approx(float(probability), abs=1e-4)
    assert len(lines) == 1 + 9


def test_a_second_call_reuses_every_training(
    classifier: Finetuned, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = (f"output={tmp_path / 'again'}", f"store.root={classifier.store}")
    finetune_body(composed(*classifier.words, *words))
    told = capsys.readouterr()
    assert "computing" not in told.err
    assert "fine-tuned" in told.out
    for name in ("model.safetensors", "config.json", "predictions.tsv", "figures.md", "tokenizer/config.json"):
        assert file_hash(tmp_path / "again" / name) == file_hash(classifier.folder / name)


def test_the_same_bytes_come_out_again(classifier: Finetuned, tmp_path: Path) -> None:
    words = (f"output={tmp_path / 'model'}", f"store.root={tmp_path / 'store'}")
    finetune_body(composed(*classifier.words, *words))
    assert stored(tmp_path / "store") == stored(classifier.store)


def test_frozen_layers_keep_the_weights_of_the_run(run_folder: Path, tones: Path, tmp_path: Path) -> None:
    words = (f"model={run_folder}", f"corpus.root={tones}", f"store.root={tmp_path / 'store'}", "beside=[]")
    for frozen in ("all", "0"):
        finetune_body(composed(*words, f"output={tmp_path / frozen}", f"body.frozen_layers={frozen}"))
    before = FineTunedModel.from_pretrained(tmp_path / "all").network.body.state_dict()
    after = FineTunedModel.from_pretrained(tmp_path / "0").network.body.state_dict()
    own = LanguageModel.from_pretrained(run_folder / "lm").gpt.state_dict()
    assert all(np.array_equal(value, before[f"gpt.{name}"]) for name, value in own.items())
    assert not all(np.array_equal(value, after[f"gpt.{name}"]) for name, value in own.items())


def test_seeds_have_an_interval_and_validation_chooses_the_learning_rate(
    run_folder: Path, tones: Path, tmp_path: Path
) -> None:
    words = (f"model={run_folder}", f"corpus.root={tones}", f"store.root={tmp_path / 'store'}", "beside=[probe]")
    finetune_body(composed(*words, f"output={tmp_path / 'model'}", "seeds=2", "body.learning_rates=[1e-6,1e-2]"))
    record = json.loads((tmp_path / "model/figures.json").read_text())
    trained = [trial for trial in record["trials"] if trial["arm"] == "finetuned"]
    assert [trial["seed"] for trial in trained] == [0, 1]
    for trial in trained:
        kept: dict[float, float] = {}
        for recipe in (tmp_path / "store/finetuned").glob("*/entry.json"):
            fit = json.loads(recipe.read_text())["config"]["fit"]
            if fit["seed"] == trial["seed"]:
                curve = json.loads((recipe.parent / "curve.json").read_text())
                kept[fit["lr"]] = next(p["validation_loss"] for p in curve["curve"] if p["step"] == curve["kept_step"])
        assert len(kept) == 2
        assert trial["chosen"] == f"learning rate {min(kept, key=lambda rate: kept[rate]):g}"
    values = [trial["figures"][0]["value"] for trial in trained]
    row = record["table"][0]
    assert row["seeds"] == 2
    assert row["figures"][0]["value"] == pytest.approx(np.mean(values))
    assert len(list((tmp_path / "store/finetuned").glob("*/entry.json"))) == 4
    probes = [trial["figures"][0]["value"] for trial in record["trials"] if trial["arm"] == "probe"]
    (ahead,) = (row for row in record["table"] if row["of"] == "fine-tuned minus linear probe")
    gains = np.array(values) - np.array(probes)  # of trials with the same seed
    assert ahead["figures"][0]["value"] == pytest.approx(gains.mean())
    assert gains.mean() - ahead["figures"][0]["low"] == pytest.approx(12.706 * gains.std(ddof=1) / np.sqrt(2), rel=1e-4)


def test_short_and_unlabelled_clips_are_set_aside_and_counted(
    run_folder: Path, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "more"
    shutil.copytree(tones, root)
    soundfile.write(root / "low_99.wav", np.full(70, 0.1, np.float32), AUDIO.sample_rate)
    soundfile.write(root / "98.wav", np.full(4000, 0.1, np.float32), AUDIO.sample_rate)
    table = tmp_path / "clips.tsv"
    rows = [f"{path.name}\t{path.stem.rpartition('_')[0]}\t{split_of(path)}" for path in sorted(root.glob("*.wav"))]
    table.write_text("\n".join(["path\tlabel\tsplit", *rows]) + "\n")
    recordings = (
        f"corpus.root={root}",
        f"corpus.table={table}",
        "corpus.split.by=table",
        "corpus.pattern=null",
        "corpus.split.validation=[]",
        "corpus.split.test=[]",
    )
    words = (f"model={run_folder}", *recordings, f"store.root={tmp_path / 'store'}", "beside=[]")
    finetune_body(composed(*words, "corpus.labels=folder", f"output={tmp_path / 'model'}"))
    told = capsys.readouterr().err
    assert re.search(r"\b1 clip set aside\b.*\b20 ms\b", told)
    assert re.search(r"\b1 clip set aside\b.*\bno label\b", told)
    rejected = (tmp_path / "model/rejected.tsv").read_text()
    assert "low_99.wav" in rejected
    assert re.search(r"98\.wav\t.*no label", rejected)


def test_whole_speakers_are_resampled_where_there_are_many(run_folder: Path, tmp_path: Path) -> None:
    (root := tmp_path / "tones").mkdir()
    for name, pitch in (("low", 200.0), ("high", 1200.0)):
        for number in range(63):  # three indices of nine are test clips: 21 speakers
            write_tone(root / f"{name}_s{number}_{number % 9}.wav", pitch, 0.1, seed=number)
    words = (f"model={run_folder}", f"corpus.root={root}", f"store.root={tmp_path / 'store'}", "beside=[]")
    pattern = ("corpus.pattern={label}_{group}_{index}.wav", "body.fit.steps=1", "figures.resamples=200")
    finetune_body(composed(*words, *pattern, f"output={tmp_path / 'model'}"))
    record = json.loads((tmp_path / "model/figures.json").read_text())
    rows = [line.split("\t") for line in (tmp_path / "model/predictions.tsv").read_text().splitlines()[1:]]
    outcome = Hits(hits=np.array([[float(row[1] == row[2]) for row in rows]]))
    groups = whole_groups([row[0].split("_")[1] for row in rows])
    assert groups is not None
    found = record["trials"][0]["figures"][0]
    draws = bootstrap([outcome], resamples=200, seed=0, groups=groups)[:, 0]
    assert (found["low"], found["high"]) == pytest.approx(outcome_interval([outcome], draws, 0.95, groups=groups))
    assert record["resampled"] == "group"


def split_of(path: Path) -> str:
    number = int(path.stem.rpartition("_")[2])
    return "validation" if number < 2 else "test" if number < 5 else "train"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("model=null",), r"model=null\b.*body=gpt\b.*\btokenizer and lm\b"),
        (("body.frozen_layers=7",), r"body\.frozen_layers\b.*\b7\b.*\b1 layer\b.*\b0\b.*\b1\b.*\ball\b"),
        (("probe.choose_by=group",), r"probe\.choose_by\b.*\bgroup\b"),
        (("body.weights=here",), r"body\.weights is here\b.*\brun\b"),
        (("shares=[0.5,0.1]",), r"shares\b.*\b0\b.*\b1\b.*\bascending\b"),
        (("shares=[0.0,0.1]",), r"shares\b.*\b0\b.*\b1\b.*\bascending\b"),
        (("beside=[probe,probe]",), r"beside\b.*\bonce\b"),
        (("body.learning_rates=[0.0]",), r"body\.learning_rates\b.*\[0\]"),
        (("body.fit.accumulation=3",), r"body\.batches\.batch_size\b.*\b4\b.*\b3\b"),
        (("probe.label_separator=';'",), r"probe\.label_separator\b.*;.*head\.label_separator\b"),
        (("probe.confidence=0.9",), r"probe\.confidence\b.*\b0\.9\b.*figures\.confidence\b"),
        (("probe.learning_curve=[0.1]",), r"probe\.learning_curve\b.*\(0\.1,\).*\bshares\b"),
        (("head=sequence", "corpus.segment_seconds=0.2"), r"corpus\.segment_seconds\b.*\b0\.2\b.*head=sequence\b"),
        (("body.batches.batch_size=1",), r"body\.batches\.batch_size\b.*\b1\b.*\b2\b"),
        (("corpus.label_type=number",), r"corpus\.label_type=number\b.*head=classification\b"),
        (("corpus.pattern=low_{label}_{index}.wav",), r"corpus\.pattern\b.*low_\{label\}_\{index\}\.wav"),
        (("corpus.split.test=['90-99']",), r"corpus\.split\b.*'90-99'"),
    ],
)
def test_refusals_come_before_training(
    words: tuple[str, ...], problem: str, run_folder: Path, tones: Path, tmp_path: Path
) -> None:
    place = (f"output={tmp_path / 'model'}", f"store.root={tmp_path / 'store'}")
    with pytest.raises(InputError, match=problem):
        finetune_body(composed(f"model={run_folder}", f"corpus.root={tones}", *place, *words))
    assert not (tmp_path / "store/finetuned").exists()
    assert not (tmp_path / "model").exists()


def test_one_class_is_refused_before_recordings_are_decoded(run_folder: Path, tmp_path: Path) -> None:
    root = write_tones(tmp_path / "one", label=lambda name: f"tone_{name}")
    words = (f"model={run_folder}", f"corpus.root={root}", f"store.root={tmp_path / 'store'}")
    with pytest.raises(InputError, match=r"\b2 classes\b.*\b27 clips\b.*'tone'"):
        finetune_body(composed(*words, "corpus.pattern={label}_{group}_{index}.wav"))
    assert not (tmp_path / "store/inspected.jsonl").exists()


def test_recordings_of_a_lower_rate_are_refused_unless_allowed(run_folder: Path, tones: Path, tmp_path: Path) -> None:
    root = tmp_path / "low"
    shutil.copytree(tones, root)
    write_tone(root / "low_0.wav", 200, 0.3, rate=2000)
    words = (f"model={run_folder}", f"corpus.root={root}", f"store.root={tmp_path / 'store'}", "beside=[]")
    with pytest.raises(InputError, match=r"\b1 clip of 27\b.*\b4000 Hz\b.*low_0\.wav\b"):
        finetune_body(composed(*words, f"output={tmp_path / 'model'}"))
    finetune_body(composed(*words, f"output={tmp_path / 'model'}", "upsample=true"))
    assert (tmp_path / "model/config.json").is_file()


@pytest.mark.parametrize("part", ["tokenizer", "finetuned"])
def test_folders_of_another_kind_are_refused(part: str, classifier: Finetuned, run_folder: Path, tones: Path) -> None:
    folder = classifier.folder if part == "finetuned" else run_folder / part
    named = r"fine-tuned model\b.*\blm\b" if part == "finetuned" else r"\bpart\b"
    with pytest.raises(InputError, match=named):
        finetune_body(composed(f"model={folder}", f"corpus.root={tones}", "output=nowhere"))


def test_an_output_of_another_job_is_refused(classifier: Finetuned, tmp_path: Path) -> None:
    words = (*classifier.words, f"store.root={classifier.store}")
    with pytest.raises(InputError, match="other values"):
        finetune_body(composed(*words, f"output={classifier.folder}", "seeds=2"))
    with pytest.raises(InputError, match="other values"):  # an option of this body alone
        finetune_body(composed(*words, f"output={classifier.folder}", "body.random_inputs=0.2"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("mine")
    with pytest.raises(InputError, match="other things"):
        finetune_body(composed(*words, f"output={tmp_path / 'other'}"))


@pytest.mark.slow
def test_ast_needs_no_run(tmp_path: Path) -> None:
    root = tmp_path / "tones"
    root.mkdir()
    for label, pitch in (("low", 200), ("high", 1500)):
        for number in range(7):
            write_tone(root / f"{label}_{number}.wav", pitch, 0.2 + 0.05 * number, rate=16_000, seed=number)
    place = (f"output={tmp_path / 'model'}", f"store.root={tmp_path / 'store'}")
    words = ("body=ast", "body.model.patches=6", "body.fit.steps=2", f"corpus.root={root}", "beside=[probe]")
    words = (*words, "probe.penalties=3", "body.fit.precision=auto")
    finetune_body(composed(*words, *place))
    (entry,) = (tmp_path / "store").glob("finetuned/*/entry.json")
    assert json.loads(entry.read_text())["config"]["fit"]["precision"] == choose_precision(Alone(torch.device("cpu")))
    model = FineTunedModel.from_pretrained(tmp_path / "model")
    (row,) = model.predict([read(root / "low_3.wav", 16_000)])
    line = (tmp_path / "model/predictions.tsv").read_text().splitlines()[5].split("\t")
    assert line[:3] == ["low_3.wav", "low", row["label"]]
    assert json.loads((tmp_path / "model/figures.json").read_text())["body"] == "ast"
