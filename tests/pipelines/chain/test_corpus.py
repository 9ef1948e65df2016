"""The recordings of a run."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from pipelines.chain.corpus import FoundCorpus, read_corpus
from wordless.audio.recordings.corpus import CorpusConfig
from wordless.audio.recordings.manifest import read_rejected
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.errors import InputError
from wordless.base.progress import Terminal
from wordless.training.gangs import Alone


def test_where_every_file_is_refused_the_reasons_are_written_and_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "b.wav", "tab\there.wav"):
        (tmp_path / "in" / name).write_text(f"no sound, but {name}")
    config = CorpusConfig(root=str(tmp_path / "in"))
    alone, silent = Alone(torch.device("cpu")), Terminal(silent=True)
    with pytest.raises(InputError, match=r"\b3 recordings\b.*run/rejected\.tsv") as refusal:
        read_corpus(
            FoundCorpus(config=config), tmp_path, workers=1, gang=alone, terminal=silent, folder=tmp_path / "run"
        )
    assert "\n" not in str(refusal.value)
    listed = read_rejected(tmp_path / "run" / "rejected.tsv")
    assert [each.path for each in listed] == ["a.wav", "b.wav", "tab\\there.wav"]
    assert "no sound, but a.wav" in listed[0].reason


def test_equal_sounds_of_different_labels_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name in ("cat/one.wav", "cat/two.wav", "dog/three.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, rng.uniform(-0.5, 0.5, 4_000), 8_000)
    (tmp_path / "dog" / "four.wav").write_bytes((tmp_path / "cat" / "one.wav").read_bytes())
    config = CorpusConfig(root=str(tmp_path), split=SplitConfig(validation_fraction=0, test_fraction=0))
    read_corpus(
        FoundCorpus(config=config), tmp_path / "store", workers=1, gang=Alone(torch.device("cpu")), terminal=Terminal()
    )
    said = " ".join(capsys.readouterr().err.split())
    assert all(each in said for each in ("1 file", "label", "dog/four.wav"))
