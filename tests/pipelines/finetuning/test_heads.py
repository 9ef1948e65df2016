"""The heads of numbers and of text, from recordings to figures."""

import json
import math
import re
from pathlib import Path

import pytest

from lm.finetuned import FineTunedModel
from pipelines.finetuning.job import finetune_body
from tests.pipelines.finetuning.tiny_finetuning import PITCHES, composed, write_tones
from tests.pipelines.tiny import AUDIO
from wordless.audio.reading import read
from wordless.base.errors import InputError


def figures(folder: Path) -> dict[str, list[str]]:
    """The names of the figures of each row of the table."""
    table = json.loads((folder / "figures.json").read_text())["table"]
    return {row["of"]: [figure["name"] for figure in row["figures"]] for row in table}


def test_numbers_are_learned_beside_a_ridge_probe_and_the_mean(run_folder: Path, tmp_path: Path) -> None:
    root = write_tones(tmp_path / "tones", label=lambda name: str(PITCHES[name]))
    place = (f"output={tmp_path / 'model'}", f"store.root={tmp_path / 'store'}")
    finetune_body(composed(f"model={run_folder}", f"corpus.root={root}", "head=regression", *place))
    names = ["R2", "mean absolute error"]
    rows = ("fine-tuned", "from scratch", "linear probe", "the same answer for every clip")
    assert figures(tmp_path / "model") == dict.fromkeys(rows, names)
    model = FineTunedModel.from_pretrained(tmp_path / "model")
    (row,) = model.predict([read(root / "500.0_2.wav", AUDIO.sample_rate)])
    lines = (tmp_path / "model/predictions.tsv").read_text().splitlines()
    (line,) = (line.split("\t") for line in lines if line.startswith("500.0_2.wav"))
    assert lines[0] == "path\ttruth\tvalue"
    assert line[1] == "500.0"
    assert float(line[2]) == pytest.approx(row["value"], abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "head", "column"),
    [("speed", "regression", "value"), ("pitch", "regression", "value"), ("text", "sequence", "text")],
)
def test_the_built_in_corpus_has_numbers_and_texts_of_held_out_voices(
    label: str, head: str, column: str, run_folder: Path, tmp_path: Path
) -> None:
    place = (f"output={tmp_path / 'model'}", f"store.root={tmp_path / 'store'}", "beside=[probe]")
    embedded = ("embedded.voices=6", "embedded.words=3", "embedded.takes=2", f"embedded.label={label}")
    # the group is the voice, which each file names: whole voices are held out
    split = (
        "corpus.split.by=group",
        "corpus.split.validation=[]",
        "corpus.split.test=[]",
        "corpus.split.test_fraction=0.2",
    )
    pattern = ("corpus.pattern=null", "corpus.labels=folder", "corpus.split.validation_fraction=0.2")
    finetune_body(composed(f"model={run_folder}", f"head={head}", *embedded, *split, *pattern, *place))
    lines = [line.split("\t") for line in (tmp_path / "model/predictions.tsv").read_text().splitlines()]
    assert lines[0][:3] == ["path", "truth", column]
    assert len({line[1] for line in lines[1:]}) > 1
    assert head == "sequence" or all(math.isfinite(float(line[2])) for line in lines[1:])
    voices = {path.name.split("_")[1] for path in (tmp_path / "store/embedded").rglob("*.wav")}
    assert 0 < len({line[0].split("_")[1] for line in lines[1:]}) < len(voices)


def test_texts_are_spelled_beside_a_linear_layer_on_the_frozen_body(
    run_folder: Path, tones: Path, tmp_path: Path
) -> None:
    place = (f"output={tmp_path / 'model'}", f"store.root={tmp_path / 'store'}")
    words = (f"model={run_folder}", f"corpus.root={tones}", "head=sequence", "head.beam_size=5")
    finetune_body(composed(*words, *place))
    names = ["character error rate, greedy", "character error rate, beam search", "texts without error"]
    rows = ("fine-tuned", "from scratch", "CTC on the frozen last layer", "the same answer for every clip")
    assert figures(tmp_path / "model") == dict.fromkeys(rows, names)
    recipes = [json.loads(path.read_text()) for path in tmp_path.glob("store/finetuned/*/entry.json")]
    assert sorted(str(recipe["config"]["frozen_layers"]) for recipe in recipes) == ["0", "0", "all"]
    assert "".join(FineTunedModel.from_pretrained(tmp_path / "model").task.summary).endswith("deghilmow")


def test_clips_without_room_for_their_text_are_set_aside(
    run_folder: Path, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = (f"output={tmp_path / 'model'}", f"store.root={tmp_path / 'store'}", "beside=[]")
    long = 'corpus.label_names={low: "so very low a tone"}'  # 18 characters; 50 states per second
    words = ("head=sequence", "corpus.split.validation=['0-1']", "corpus.split.test=['2-3']", long)
    finetune_body(composed(f"model={run_folder}", f"corpus.root={tones}", *words, *place))
    assert re.search(r"\b1 clip set aside\b.*\bshort\b.*\blabel\b.*\b50 states\b", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("label", "words", "problem"),
    [
        ("7", "head=sequence", r"letters\b.*\b27 labels\b.*'7'"),
        ("inf", "head=regression", r"corpus\.label_type is number\b.*inf_0\.wav\b.*'inf'"),
        ("nan", "head=regression", r"corpus\.label_type is number\b.*nan_0\.wav\b.*'nan'"),
        ("3", "head=regression", r"\b2 different numbers\b.*\b3\b"),
    ],
)
def test_labels_are_refused_before_recordings_are_decoded(
    label: str, words: str, problem: str, run_folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "tones"
    root.mkdir()
    for number in range(27):
        (root / f"{label}_{number}.wav").write_bytes(b"not yet decoded")
    with pytest.raises(InputError, match=problem):
        finetune_body(composed(f"model={run_folder}", f"corpus.root={root}", words, f"store.root={tmp_path / 's'}"))
    assert not (tmp_path / "s/inspected.jsonl").exists()


def test_words_of_the_built_in_corpus_are_no_numbers(run_folder: Path) -> None:
    with pytest.raises(InputError, match=r"head=regression\b.*embedded\.label\b.*\bword\b.*\bspeed\b"):
        finetune_body(composed(f"model={run_folder}", "head=regression", "corpus.pattern=null", "corpus.labels=folder"))
