"""Recordings, words and fine-tuned models that several tests share."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.commandline.command import perform
from pipelines.commandline.command_words import prepare
from pipelines.commands import COMMANDS
from pipelines.plugins.finetune.finetune_backbone import finetune_backbone
from tests.calling import index
from tests.pipelines.tiny import AUDIO
from tests.pipelines.tiny_chain import config_of, run

Calling = Callable[..., Path]
OWN: dict[str, dict[str, object]] = {
    "encode": {"clips_per_shard": 2},
    "decode": {"temperature": 1.0},
    "generate": {"seconds": 0.21, "num_samples": 2, "top_k": 0, "vocoder_temperature": 1.0},
}


@pytest.fixture
def call(run_folder: Path, recordings: Path, tmp_path: Path) -> Calling:
    """Calls a command with the tiny run and the shared recordings, if its options name no others; returns the output.

    The output and the store of the command lie in a place of the test's own.
    """

    def call(command: str, output: str, /, **options: object) -> Path:
        given = {"model": run_folder, "input": recordings, "output": tmp_path / output, "device": "cpu", "workers": 1}
        given["store"] = {"root": str(tmp_path / "store")}
        known = {each.name for each in fields(COMMANDS[command].options)}
        whole = {name: value for name, value in given.items() if name in known} | OWN.get(command, {}) | options
        perform(
            COMMANDS[command], {name: str(value) if isinstance(value, Path) else value for name, value in whole.items()}
        )
        return tmp_path / output

    return call


def run_of(place: Path, **parts: Path) -> Path:
    """A run folder with parts of other runs."""
    place.mkdir()
    for part, folder in parts.items():
        (place / part).symlink_to(folder / part)
    return place


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """27 tones of three pitches."""
    return write_tones(tmp_path_factory.mktemp("tones") / "tones")


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """A finished fine-tuning."""

    folder: Path
    store: Path
    words: tuple[str, ...]


@pytest.fixture(scope="session")
def classifier(run_folder: Path, tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Finetuned:
    """A classifier of tones."""
    place = tmp_path_factory.mktemp("classifier")
    words = (f"model={run_folder}", f"corpus.root={tones}")
    fine_tune(*words, f"output={place / 'model'}", f"store.root={place / 'store'}")
    return Finetuned(folder=place / "model", store=place / "store", words=words)


STEPS = 6
QUICK = (
    *(
        f"backbone.fit.steps={STEPS}",
        "backbone.fit.validate_every=2",
        "backbone.fit.warmup_steps=2",
        "backbone.batches.batch_size=4",
    ),
    *("corpus.split.by=index", "corpus.split.validation=['0-1']", "corpus.split.test=['2-4']"),
    *("corpus.pattern={label}_{index}.wav", "corpus.inspection.min_seconds=0.001"),
    *("figures.resamples=20", "probe.regularisation_strengths=3", "threads=1"),
)
TONES = tuple(word for word in QUICK if word.startswith("corpus."))
PITCHES = {"low": 200.0, "middle": 500.0, "high": 1200.0}


def write_tone(path: Path, pitch: float, seconds: float, *, rate: int = AUDIO.sample_rate, seed: int = 0) -> None:
    """A tone in a little noise."""
    time = np.arange(round(rate * seconds)) / rate
    noise = np.random.default_rng([seed, round(pitch)]).normal(0, 0.02, len(time))
    soundfile.write(path, (0.3 * np.sin(2 * np.pi * pitch * time) + noise).astype(np.float32), rate)


def write_tones(root: Path, label: Callable[[str], str] = str) -> Path:
    """Tones of three pitches and several lengths: ``{label}_{index}.wav``."""
    root.mkdir()
    for name, pitch in PITCHES.items():
        for number in range(9):
            write_tone(root / f"{label(name)}_{number}.wav", pitch, 0.1 + 0.05 * number, seed=number)
    return root


def fine_tune(*words: str) -> None:
    """Do the work of ``wordless finetune`` with these words."""
    finetune_backbone(composed(*words))


def composed(*words: str) -> dict[str, object]:
    """The config of ``wordless finetune`` with these words, after those of a quick training."""
    return config_of("finetune", *prepare((*QUICK, *words), index("finetune")).overrides)


def rows_of(table: Path) -> list[dict[str, str]]:
    """The rows of a TSV file."""
    with table.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file, delimiter="\t")]


@pytest.fixture(scope="session")
def sound_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with the folder ``run``, of a run that has no language model of codes, and its ``store``."""
    place = tmp_path_factory.mktemp("sound")
    words = (
        "stages=[tokenizer,probe]",
        "compare.methods=[log_mel,bag_of_codes,denoising]",
        "compare.test_time_augmentation=2",
    )
    sound = ("denoising=tiny", "denoising.fit.steps=4", "denoising.fit.validate_every=2")
    reading = ("compare.input=true", "compare.layers=[last,together]")
    assert run(place / "store", place / "run", *words, *sound, *reading) == 0
    return place


@pytest.fixture(scope="session")
def tone_run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose probes know three pitches."""
    place = tmp_path_factory.mktemp("tone run")
    corpus = prepare((f"corpus.root={tones}", *TONES), index("run")).overrides
    audio = (f"audio.sample_rate={AUDIO.sample_rate}", "audio.n_mels=16", "audio.window_ms=25", "audio.hop_ms=10")
    methods = ("stages=[tokenizer,probe]", "compare.methods=[log_mel,mfcc]", "compare.poolings=[mean]")
    assert run(place / "store", place / "run", *corpus, *audio, *methods) == 0
    return place / "run"
