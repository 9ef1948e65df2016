"""The recipe of the vocoder weights that ship, from sound to files.

``python tests/benchmarks/shipped_voice.py collect DATA FOLDER`` puts 8,100 eSpeak words, and recordings of people whose
licences allow it, into a new folder. DATA holds ``arabic_commands`` and ``intents`` (Picovoice's spoken orders), each
with a table ``clips.tsv``; only training parts are taken. docs/log.md has the training's command. Then

``python tests/benchmarks/shipped_voice.py pack RUN vocoder/universal/RATE``

The network reads log-mel as it is, and so serves every tokenizer of its front end. README.md is written by hand.
"""

import csv
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from pipelines.stages.voices import require_absolute, statistics_of
from pipelines.store.start_models import VOICE, start_folder
from vocoder.vocoder import Vocoder
from vocoder.wavenet import as_it_is, transferred
from wordless.audio.recordings.embedded import EmbeddedConfig, speak, utterances
from wordless.base.saved_models import VOCODER, write_model

WORDS = EmbeddedConfig(
    other=True, voices=30, words=270, repetitions=1, sentences=0
)  # no voice, no word of the default corpus
EACH = {"arabic_commands": 2, "intents": 1}  # every second recording, and all of them


def collect(data: str, folder: str) -> None:
    """Write the sound of the training into a new folder: one file for each recording."""
    target = Path(folder)
    target.mkdir()
    with tempfile.TemporaryDirectory(dir=target.absolute().parent) as made:
        for path in Path(speak(utterances(WORDS), Path(made), seed=0)).rglob("*.wav"):
            os.link(path, target / f"espeak_{path.name}")
    for name, step in EACH.items():
        for path in [*_training_files(Path(data, name))][::step]:
            flat = "_".join(path.relative_to(data).parts[1:]).replace(" ", "_")
            shutil.copy(path, target / f"{name.partition('_')[0]}_{flat}")


def _training_files(corpus: Path) -> Iterator[Path]:
    with (corpus / "clips.tsv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            if row["split"] == "train":
                yield corpus / row["path"]


def pack(run: str, output: str) -> None:
    """Write model.safetensors and config.json; of a vocoder with groups, their average."""
    config, audio = require_absolute(run)
    vocoder = Vocoder.from_pretrained(start_folder(run, VOCODER, option=VOICE))
    for_all = replace(config, groups=())
    known, new = statistics_of(run), as_it_is(config.n_mels)
    model = transferred(vocoder.model, for_all, known=known, new=new, seed=0)
    write_model(Path(output), model, {"log_mel": asdict(audio), "wavenet": asdict(for_all)})


if __name__ == "__main__":
    {"collect": collect, "pack": pack}[sys.argv[1]](*sys.argv[2:])
