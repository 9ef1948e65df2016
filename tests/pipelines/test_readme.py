"""The commands and Python examples of README and docs/ do what they print.

Quick: the options of all commands exist, and Python examples run on the models of a tiny run. Slow: every command of
README and of the tutorials runs in bash, pasted as it is printed, one after the other in one folder. There, a program
``wordless`` stands first in PATH and adds options to each command, so that it takes seconds: see `tests.pasting`.
"""

import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from lm.model import LanguageModel
from pipelines.commands import COMMANDS
from tests.calling import index
from tests.pasting import ROOT, Printed, bash, environment, printed, set_up
from tests.pipelines.conftest import FinishedRun
from wordless.audio.reading import read

TUTORIALS = (
    *(
        "your_folder",
        "long_recordings",
        "annotations",
        "vocoder",
        "own_features",
        "codebook_sizes",
    ),
    "language_tests",
)
FOLLOWED = ("README.md", "docs/index.md", *(f"docs/tutorials/{name}.md" for name in TUTORIALS))
DOCUMENTS = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))
NOT_ITS_OWN = ("hydra",)  # options of Hydra and of its launchers
EXAMPLES_OF_NEW_CODE = ("lengths",)  # commands that docs/adding.md lets the reader write
INSTALLATION = ("make ", "source ")  # no test runs them: they make and activate an environment


# Options


def words_of(line: Printed) -> list[str]:
    return shlex.split(line.text, comments=True)


def commands(documents: tuple[str, ...]) -> list[Printed]:
    lines = [line for document in documents for line in printed(document)]
    return [line for line in lines if not line.python and words_of(line)[:1] == ["wordless"]]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_options_of_printed_commands_exist(document: str) -> None:
    assert len(commands(FOLLOWED)) > 40
    for line in commands((document,)):
        command, *words = words_of(line)[1:] or [""]
        if command in COMMANDS:
            known = index(command)
            options = [word.lstrip("+~").partition("=")[::2] for word in words if "=" in word]
            for name, value in options:
                if name in known.groups or name == "ablation":
                    more = {path.stem for path in (ROOT / "tests/experiments" / name).glob("*.yaml")}
                    group = known.groups.get(name)
                    missing = {*value.split(",")} - {*(group.choices if group else ())} - more
                    assert not missing, f"{line}: {name} has no {missing}"
                elif not name.startswith(NOT_ITS_OWN):
                    assert name in known.options or name in known.sections, f"{line}: {command} has no option {name}"
        else:
            assert command.startswith("-") or command in (*EXAMPLES_OF_NEW_CODE, "help"), line


# Python


OF_THE_FIELD = ("pathlib", "sklearn", "datasets", "transformers")  # libraries that the page of Python joins


@pytest.mark.parametrize("document", ["README.md", "docs/python.md"])
def test_the_python_example_of_a_document_runs(
    document: str,
    finished_run: FinishedRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """For a current folder in which ``runs/x`` is a run; examples of one document follow each other."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/x").symlink_to(finished_run.folder)
    (tmp_path / "recordings").symlink_to(finished_run.manifest.root)
    monkeypatch.chdir(tmp_path)
    trains = document == "docs/python.md" and find_spec("datasets") and find_spec("accelerate")  # or without `Trainer`
    examples = [each.text for each in printed(document) if each.python]
    example = "\n".join(each for each in examples if trains or "Trainer" not in each)
    known = {"wordless", "numpy", "torch", *(OF_THE_FIELD if document == "docs/python.md" else ())}
    assert set(re.findall(r"^(?:from|import) (\w+)", example, re.MULTILINE)) <= known
    names: dict[str, Any] = {}
    exec(compile(example, document, "exec"), names)
    told = capsys.readouterr().out
    match document:
        case "README.md":
            assert len(read(tmp_path / "more.wav", 8000).samples) == 8000
            assert len(read(tmp_path / "copy.wav", 8000).samples) > 0
        case _:
            count = re.match(r"(\d+) codes, perplexity \d", told)
            assert count
            assert getattr(names["states"], "shape", ())[1] == int(count[1])
            assert (tmp_path / "more.wav").is_file()
            assert read(tmp_path / "tuned.wav", 8000).seconds == pytest.approx(0.5, abs=0.02)
            assert 0 <= float(re.findall(r"accuracy (\S+)", told)[0]) <= 1
            folders = ("runs/x/lm", "tuned", *(["trained"] if trains else []))
            fresh, *own = (LanguageModel.from_pretrained(each).nats_per_code(names["coded"]) for each in folders)
            assert max(own) < fresh - 0.01
            assert "not finite" in told


def test_the_recipe_for_hear_embeds_sounds_of_any_length(finished_run: FinishedRun) -> None:
    spec = spec_from_file_location("hear_wordless", ROOT / "docs/hear_wordless.py")
    assert spec is not None
    assert spec.loader is not None
    recipe = module_from_spec(spec)
    spec.loader.exec_module(recipe)
    hear = recipe.load_model(str(finished_run.folder))
    step, rate = hear.tokenizer.format.samples_per_code, hear.sample_rate
    audio = torch.randn(3, 40 * step + 1, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    states, times = recipe.get_timestamp_embeddings(audio, hear)
    assert states.shape == (3, 40, hear.timestamp_embedding_size)
    assert times[2].tolist() == pytest.approx([(each + 0.5) * step / rate * 1000 for each in range(40)])
    for samples in (1, step, 5 * step + 1):  # an embedding has heard its code and nothing after
        alone, _ = recipe.get_timestamp_embeddings(audio[1:2, :samples], hear)
        whole = samples // step
        torch.testing.assert_close(alone[0, :whole], states[1, :whole])
    scenes = recipe.get_scene_embeddings(audio, hear)
    assert (scenes.shape, scenes.dtype) == ((3, hear.scene_embedding_size), torch.float32)


# Commands


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine on which the folders of the documents exist: in home/ and, for relative paths, in work/."""
    place = tmp_path_factory.mktemp("machine")
    set_up(place)
    done = bash("wordless run experiment=smoke name=x", place)
    assert done.returncode == 0, done.stderr
    (corpus,) = {path.parent for path in (place / "work/store/embedded").rglob("*.wav")}
    lay_out(sorted(corpus.glob("*.wav")), place)
    return place


def lay_out(clips: list[Path], place: Path) -> None:
    """Write the folders and tables that the documents name, from clips named ``{label}_{group}_{index}.wav``."""
    home, work = place / "home", place / "work"
    shutil.copytree(clips[0].parent, home / "digits", ignore=shutil.ignore_patterns("*.json"))
    for folder in (home / "words", home / "recordings", work / "labelled", work / "recordings"):
        for clip in clips:
            target = folder / clip.name.partition("_")[0] / clip.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip, target)
    (home / "field").mkdir()
    (home / "annotated").mkdir()
    for number in range(12):  # with labels of Audacity beside each
        chosen = [read(clip, 8000).samples for clip in clips[number::12]]
        soundfile.write(home / f"annotated/{number}.wav", np.concatenate(chosen), 8000)
        ends = np.cumsum([len(samples) / 8000 for samples in chosen])
        labels = [clip.name.partition("_")[0] for clip in clips[number::12]]
        spans = zip([0, *ends], ends, labels, strict=False)
        rows = [f"{start:.3f}\t{end:.3f}\t{label}\n" for start, end, label in spans]
        (home / f"annotated/{number}.txt").write_text("".join(rows))
    rng = np.random.default_rng(0)
    for number in range(3):  # as long as several segments, with a second of noise before each word
        chosen = [read(clip, 8000).samples for clip in clips[number::12]]
        noise = [rng.normal(0, 0.001, 8000).astype(np.float32) for _ in chosen]
        long = np.concatenate([part for pair in zip(noise, chosen, strict=True) for part in pair] * 3)
        soundfile.write(home / f"field/{number}.wav", long, 8000)
    shutil.copy(home / "field/0.wav", work / "monday.wav")
    written = [f"monday.wav\t{start / 2}\t{start / 2 + 0.5}\t{('bird', 'rain')[start % 2]}" for start in range(36)]
    (work / "parts.tsv").write_text("path\tstart\tend\tlabel\n" + "\n".join(written) + "\n")
    parts = [(clip.name, *clip.name.split("_")) for clip in clips]
    for folder, below in ((work, "labelled/"), (home / "recordings", "")):  # paths are relative to the table
        listed = [f"{below}{label}/{name}\t{label}\t{group}" for name, label, group, _ in parts]
        (folder / "clips.tsv").write_text("path\tlabel\tgroup\n" + "\n".join(listed) + "\n")
    names = np.array([f"{label}/{name}" for name, label, *_ in parts])
    (home / "saved").mkdir()
    sounds = [{"bytes": clip.read_bytes(), "path": clip.name} for clip in clips]
    packed = {"audio": sounds, "label": [part[1] for part in parts], "speaker": [part[2] for part in parts]}
    pq.write_table(pa.table(packed), home / "saved/clips.parquet")
    np.savez(work / "hubert.npz", paths=names, layer_6=rng.normal(size=(len(names), 4)).astype(np.float32))


def pasted() -> Iterator[Printed]:
    for document in FOLLOWED:
        for line in printed(document):
            if line.python and document == "README.md":
                continue  # runs above
            if line.python or (words_of(line) and not line.text.startswith(INSTALLATION)):
                yield line


@pytest.mark.slow
@pytest.mark.parametrize("line", pasted(), ids=str)
def test_printed_examples_run_as_they_are_printed(line: Printed, place: Path) -> None:
    if line.text.startswith("wordless demo"):
        pytest.importorskip("gradio", reason="needs pip install 'wordless[demo]'")
        serve(line, place)
        return
    if line.python:
        (place / "work/example.py").write_text(line.text)
    done = bash(f"PYTHONPATH={ROOT} {sys.executable} example.py" if line.python else line.text, place)
    assert done.returncode == 0, f"{line}: {line.text}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr


def serve(line: Printed, place: Path) -> None:
    """Start a command that serves a page until it is interrupted."""
    command = ["bash", "-c", f"exec {line.text}"]
    with subprocess.Popen(
        command, cwd=place / "work", env=environment(place), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 130)
