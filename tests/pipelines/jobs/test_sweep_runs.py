"""The page and the table of a sweep: of results built here, of a small project under Hydra, and of a real sweep."""

import csv
import json
import math
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.stats import ttest_1samp

from pipelines.commandline.run_folders import Job, conclude, note, plan, read_jobs
from pipelines.jobs.sweep_runs import finish, resuming
from pipelines.pages.sweep_page import Runs, reuse, swept, write_sweep
from pipelines.results.run_record import count_codes
from tests.calling import python
from tests.killing import Call
from tests.pipelines.pages_apart import Page, figure, says
from tests.pipelines.tiny_chain import TINY

SIZES = (16, 32, 64, 128, 256, 512, 1024, 2048)
RATE = 50.0  # codes per second
HOSTILE = "<script>alert('1')</script> & $x_1$"


def at(size: int, *, shift: float = 0.0) -> dict[str, object]:
    """Results as they might come: accuracy has its best at 256 codes, error and steadiness fall."""
    bits = math.log2(size)
    gpt, bag = 0.72 - 0.011 * (bits - 8) ** 2 + shift, 0.55 - 0.004 * (bits - 9) ** 2 + shift
    rows = [
        figure("tokenizer", "codes_per_second", RATE),
        figure("tokenizer", "reconstruction_mse", 0.05),
        figure("tokenizer", "quantised_mse", 0.05 + 0.6 * 2 ** (-bits / 3)),
        *(
            figure("tokenizer", "total_variation", start + rise * bits, of=of)
            for of, start, rise in (("noise", 0.05, 0.05), ("gain", 0.02, 0.06), ("shift", 0.0, 0.065))
        ),
        figure("lm", "bits_per_second", RATE * 0.6 * bits),
        *probed("gpt", gpt),
        *probed("bag_of_codes", bag),
        *probed("log_mel", 0.5),
    ]
    stages = [
        {"stage": "autoencoder", "key": "a", "seconds": 9.0, "peak_memory": 1e9, "reused": size != 16},
        {"stage": "lm", "key": "b", "seconds": 9.0, "peak_memory": 1e9, "reused": False},
    ]
    return {"figures": rows, "stages": stages, "comparison": PROTOCOL}


def probed(of: str, accuracy: float) -> list[dict[str, object]]:
    """A method's figures on test and on validation, and the gap between them, which is no more than chance."""
    row, gap = figure("probe", "accuracy", accuracy, of=of), 0.02
    ends = {"low": accuracy - 0.03, "high": accuracy + 0.03, "count": 300}
    judged = {"value": accuracy + gap, "low": accuracy + gap - 0.05, "high": accuracy + gap + 0.05}
    apart = figure("probe", "gap", gap, of=of) | {"low": gap - 0.09, "high": gap + 0.09}
    return [row | ends, row | judged | {"split": "validation", "count": 100}, apart | {"split": "validation - test"}]


# of one speaker each for validation and test
PROTOCOL = {
    "folds": ["test"],
    "classes": ["a", "b"],
    "clips": 300,
    "clips_key": "k",
    "split_groups": {"validation": ["bea"], "test": ["cem"]},
}


def resamples(content: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Resampled values of each method: mostly the difficulty of the clips, which the runs share."""
    shared = np.random.default_rng(0).normal(0, 0.02, 1000)
    draws = {}
    for row in content["figures"]:
        if (row["stage"], row["name"], row["split"]) != ("probe", "accuracy", "test"):
            continue
        own = np.random.default_rng(round(1e6 * np.nan_to_num(row["value"]))).normal(0, 0.004, 1000)
        draws[row["of"]] = (row["value"] + shared + own).astype(np.float32)
    return draws


def add(sweep: Path, number: int, overrides: Mapping[str, str], content: Mapping[str, object], size: int = 0) -> None:
    """One job and its run folder, with a codebook of a size; without content, one that was killed."""
    folder = sweep / str(number)
    folder.mkdir(parents=True)
    note(sweep, Job(number=number, overrides=dict(overrides), folder=str(number)))
    if content:
        (folder / "results.json").write_text(json.dumps({**content, "codebook": {"counts": [1] * size}}))
        save_file(resamples(content), folder / "resamples.safetensors")
        (folder / "report.html").write_text("<!DOCTYPE html>")
        conclude(sweep, folder)


def sizes(sweep: Path, tried: tuple[int, ...] = SIZES) -> Path:
    for number, size in enumerate(tried):
        words = {"tokenizer.codebook_size": str(size), "lm": "tiny"}
        add(sweep, number, words, at(size), size)
    return sweep


def test_few_labels_and_the_inputs_and_targets_of_methods_are_those_of_the_chosen_run(tmp_path: Path) -> None:
    for number, size in enumerate((16, 256)):  # of which 256 is best
        content = at(size)
        few = [
            figure("probe", "accuracy", 0.01 * size / 16 + place / 10, of=of, share=share, labels=labels)
            for place, of in enumerate(("gpt", "bag_of_codes", "log_mel"))
            for share, labels in ((0.1, 40.0), (1.0, 4000.0))
        ]
        content["figures"] = [*content["figures"], *few]  # type: ignore[misc]  # a list
        add(tmp_path, number, {"tokenizer.codebook_size": str(size)}, content)
    page, _, _ = written(tmp_path)
    assert any("Test values by number of labels" in (each.get("aria-label") or "") for each in page.named("svg"))
    assert says(page.text, "GPT over codes", "reads codes → the next code", "16.0 %")
    assert says(page.text, "bag of codes", "codes, no network", "26.0 %")
    assert "no network" not in written(sizes(tmp_path / "whole", (16, 32)))[0].text


Written = tuple[Page, list[dict[str, str]], Runs]  # page, rows of the table, and the runs


def written(sweep: Path) -> Written:
    runs, _ = write_sweep(sweep, read_jobs(sweep), command="wordless run -m x=1,2")
    with (sweep / "sweep.csv").open(encoding="utf-8", newline="") as file:
        return Page((sweep / "sweep.html").read_text(encoding="utf-8")), list(csv.DictReader(file)), runs


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Written]:
    """A sweep over eight sizes of the codebook, and what is written of it."""
    sweep = sizes(tmp_path_factory.mktemp("sweep"))
    return sweep, written(sweep)


def test_pairs_differ_by_more_than_chance_and_no_size_is_best(eight: tuple[Path, Written]) -> None:
    """256 codes are best by a point, which is less than chance for 28 pairs."""
    _, (page, rows, runs) = eight
    apart = [pair for pair in runs.pairs if pair.row.excludes_zero]
    found = {(runs.short_name(pair.one.job), runs.short_name(pair.other.job)) for pair in apart}
    assert {("256", other) for other in ("16", "32", "64", "1024", "2048")} <= found
    assert not {("256", "128"), ("256", "512"), ("128", "512"), ("512", "128")} & found
    assert runs.winner is None
    pairs = [row for row in rows if row["against_job"]]
    assert len(pairs) == 28
    for row in pairs:
        one, other = SIZES[int(row["job"])], SIZES[int(row["against_job"])]
        assert (row["name"], row["of"], row["split"]) == ("difference", "gpt", "test")
        assert ((str(one), str(other)) in found) == (float(row["low"]) > 0)
    assert f"+{100 * 0.011 * 16:.1f} points" in page.text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("by", ["folds", "groups"])
@pytest.mark.parametrize("gains", [(0.2, -0.05, 0.15, -0.04), (0.08, 0.05, 0.07, 0.06)])
def test_runs_are_compared_over_folds_or_groups(by: str, gains: tuple[float, ...], tmp_path: Path) -> None:
    """64 codes are better by 6.5 points, which is more than chance over clips in both cases."""
    for number, (size, each) in enumerate({16: (0.0,) * 4, 64: gains}.items()):
        rows = [*probed("bag_of_codes", 0.3), *probed("log_mel", 0.4), *probed("gpt", 0.6 + float(np.mean(each)))]
        for name, gain in zip("abcd", each, strict=True):
            place = {"fold": name, "seed": 0} if by == "folds" else {"group": name}
            rows.append(figure("probe", "accuracy", 0.6 + gain, of="gpt") | {"count": 75, **place})
        comparison = PROTOCOL | ({"folds": [*"abcd"], "by": "group"} if by == "folds" else {})
        add(tmp_path, number, {"tokenizer.codebook_size": str(size)}, {"figures": rows, "comparison": comparison}, size)
    page, table, runs = written(tmp_path)
    (pair,) = [row for row in table if row["against_job"]]
    wanted = ttest_1samp(gains, 0)
    low, high = wanted.confidence_interval()
    assert float(pair["low"]) > 0
    found = [float(pair[name]) for name in ("value", "p", "fold_low", "fold_high")]
    assert found == pytest.approx([np.mean(gains), wanted.pvalue, low, high])
    assert (runs.winner is not None) == (wanted.pvalue < 0.05)
    assert says(page.text, "strongest rival on test", "log-mel")


def test_runs_on_other_test_clips_are_not_paired(tmp_path: Path) -> None:
    for number, size in enumerate((16, 64, 256)):
        content: Any = at(size)
        content["comparison"] = PROTOCOL | {"clips_key": "another" if size == 256 else "k"}
        add(tmp_path, number, {"tokenizer.codebook_size": str(size)}, content, size)
    _, _, runs = written(tmp_path)
    assert [count_codes(point.results) for point in runs.paired] == [16, 64]
    assert runs.winner is None  # 64 codes beat 16, and nobody knows about 256
    assert [count_codes(point.results) for point in runs.unpaired] == [256]


def test_the_page_needs_nothing_but_itself(eight: tuple[Path, Written]) -> None:
    sweep, (page, _, _) = eight
    text = (sweep / "sweep.html").read_text(encoding="utf-8")
    assert not page.named("script")
    assert not page.named("link")
    assert "http:" not in text.replace("http://www.w3.org", "")
    assert len(page.named("svg")) == 1
    assert [link["href"] for link in page.named("a")] == [f"{number}/report.html" for number in range(len(SIZES))]
    written(sweep)
    assert (sweep / "sweep.html").read_text("utf-8") == text


def test_the_table_is_tidy(eight: tuple[Path, Written]) -> None:
    sweep, (_, rows, runs) = eight
    figures = sum(len(point.results["figures"]) for point in runs.points)
    assert len([row for row in rows if not row["against_job"]]) == figures
    keys = {(row["job"], row["against_job"], row["stage"], row["name"], row["of"], row["split"]) for row in rows}
    assert len(keys) == len(rows)
    found = [row for row in rows if (row["name"], row["of"], row["split"]) == ("accuracy", "gpt", "test")]
    assert [int(row["tokenizer.codebook_size"]) for row in found] == list(SIZES)
    for row in found:
        bits = math.log2(int(row["codebook_size"]))
        assert float(row["nominal_bits_per_second"]) == pytest.approx(RATE * bits)
        assert float(row["lm_bits_per_second"]) == pytest.approx(0.6 * RATE * bits)
        assert float(row["low"]) < float(row["value"]) < float(row["high"])
        assert (sweep / row["run"] / "results.json").is_file()


def test_a_failed_job_is_listed_and_the_others_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = sizes(tmp_path, SIZES[:4])
    for number, size in ((4, "256"), (5, "512")):
        add(sweep, number, {"tokenizer.codebook_size": size, "lm": "tiny"}, {})
    conclude(sweep, sweep / "5", reason=f"there are only 300 patches {HOSTILE}\ud800")
    with pytest.raises(SystemExit) as ended:
        finish(sweep, command="wordless run -m tokenizer.codebook_size=16,32 hydra.sweep.dir=old")
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == [str(sweep / "sweep.html"), str(sweep / "sweep.csv")]
    text = (sweep / "sweep.html").read_text(encoding="utf-8")
    page = Page(text)
    assert f"there are only 300 patches {HOSTILE}" in page.text
    assert "<script" not in text
    assert f"hydra.sweep.dir={sweep}" in page.text
    assert "hydra.sweep.dir=old" not in page.text
    command = "wordless run -m name=sizes tokenizer.codebook_size=16,32"  # a name and a folder together are refused
    assert resuming(command, tmp_path / "multirun/sizes") == command
    (sweep / ".jobs/2.json").unlink()  # of an earlier sweep, whose results are there
    note(sweep, Job(number=2, overrides={"tokenizer.codebook_size": "64"}, folder="2"))
    assert {row["job"] for row in written(sweep)[1]} == {"0", "1", "3"}
    assert next(iter(reuse(written(sweep)[2].finished).values())) == (1, 2)


def test_any_option_can_be_swept_and_runs_that_other_clips_choose_are_not_compared(tmp_path: Path) -> None:
    """A validation speaker may be easier than those of cross-validation."""
    names = {"tiny": 0.0, "small": 0.05, HOSTILE: -0.2, "one_speaker": 0.1}
    for number, (name, shift) in enumerate(names.items()):
        choose_by = "validation" if name == "one_speaker" else "group"
        content = {**at(256, shift=shift), "comparison": PROTOCOL | {"choose_by": choose_by}}
        add(tmp_path, number, {"lm": name}, content, 256)
    page, rows, runs = written(tmp_path)
    assert runs.best is not None
    assert runs.best.job.overrides == {"lm": "small"}
    assert [point.job.overrides["lm"] for point in runs.apart] == ["one_speaker"]
    table = page.text.partition("The runs")[2]
    assert table.index("tiny") < table.index(HOSTILE)
    assert {row["lm"] for row in rows} == {*names}


def test_jobs_are_named_by_what_is_swept() -> None:
    jobs = plan(["lm.fit.lr=1e-3,2e-3", "vocoder.fit.lr=1,2", "lm=tiny", "corpus.root=a/b,'c d'", "workers=3"], [])
    assert [job.number for job in jobs] == list(range(8))
    assert jobs[1].name == "lm.fit.lr=0.001, vocoder.fit.lr=1, root=c d"
    assert jobs[0].folder == "lm.fit.lr=0.001,vocoder.fit.lr=1,root=a_b"
    assert len({job.folder for job in jobs}) == 8
    assert jobs[0].overrides == {"lm.fit.lr": "0.001", "vocoder.fit.lr": "1", "lm": "tiny", "corpus.root": "a/b"}
    assert [job.folder for job in plan(["seed=1"], [])] == ["0"]
    assert [job.folder for job in plan(["x='a/b','a?b',a_b"], [])] == ["x=a_b", "x=a_b_2", "x=a_b_3"]
    words = [{"a": "1", "b": size, "tokenizer.codebook_size": size} for size in ("2", "3")]
    jobs = [Job(number=n, overrides=each, folder=str(n)) for n, each in enumerate(words)]
    assert swept(jobs) == ("tokenizer.codebook_size", "b")


def test_a_value_more_is_a_job_more() -> None:
    before = plan(["seed=1", "tokenizer.codebook_size=64,256"], [])
    for words in ("tokenizer.codebook_size=1024,64 seed=1 workers=2", "seed=1 tokenizer.codebook_size=1024"):
        jobs = plan(words.split(), before)
        assert (jobs[0].number, jobs[0].folder) == (2, "codebook_size=1024")
        assert jobs[1:] == ([before[0]] if len(jobs) > 1 else [])
    wider = plan(["seed=1,2", "tokenizer.codebook_size=64"], before)
    assert wider[0] == before[0]
    assert wider[1].folder == "seed=2,codebook_size=64"


SCRIPT = """
import json
from dataclasses import dataclass
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from wordless.base.messages import InputError
from wordless.base.options import Options, option
from pipelines.commandline.command import Command, command
from pipelines.jobs.sweep_runs import RUN_FOLDERS, going_on

@dataclass(frozen=True, kw_only=True)
class Sizes(Options):
    codebook_size: int = option(2, "a size")

@dataclass(frozen=True, kw_only=True)
class TryConfig(Options):
    tokenizer: Sizes = option(Sizes(), "sizes")
    seed: int = option(0, "a seed")
    name: str | None = option(None, "a name")

SWEEP = {**RUN_FOLDERS["sweep"], "dir": "sweeps/${now:%Y}"}

def task(config):
    folder, size = Path(HydraConfig.get().runtime.output_dir), config["tokenizer"]["codebook_size"]
    with going_on():
        if size == 3:
            raise InputError("three is refused")
        if size == 4:
            raise KeyError("a bug")
        row = {"stage": "lm", "name": "perplexity", "of": None, "value": size, "low": None, "high": None}
        row |= {"unit": "codes", "protocol": None, "split": None, "seeds": 1, "artifact": "0"}
        (folder / "results.json").write_text(json.dumps({"figures": [row]}))

if __name__ == "__main__":
    folders = {**RUN_FOLDERS, "sweep": SWEEP}
    command(Command(name="try", purpose="", options=TryConfig, run=print, folders=folders), task)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A command of its own whose jobs take no time."""
    (tmp_path / "try_it.py").write_text(SCRIPT)
    return tmp_path


def tried(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return python("try_it.py", *words, cwd=project, before=project)


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.slow)])
def test_a_sweep_goes_on_after_a_failure(project: Path, launcher: str) -> None:
    """The jobs of an earlier sweep in the same folder are no part of it."""
    words = ["-m", f"hydra/launcher={launcher}", "hydra.sweep.dir=a sweep"]
    done = tried(project, *words, "tokenizer.codebook_size=2,3,4,5")
    assert done.returncode == 1, done.stderr  # one of the failures is a bug
    assert "three is refused" in done.stderr
    assert "KeyError: 'a bug'" in done.stderr
    assert "codebook_size=5" in (project / "a sweep/codebook_size=5/log.txt").read_text()
    assert done.stdout.splitlines() == ["a sweep/sweep.html", "a sweep/sweep.csv"]
    with (project / "a sweep/sweep.csv").open() as file:
        found = [(row["tokenizer.codebook_size"], row["run"], float(row["value"])) for row in csv.DictReader(file)]
    assert found == [(size, f"codebook_size={size}", float(size)) for size in ("2", "5")]
    again = tried(project, *words, "tokenizer.codebook_size=2,3")
    assert again.returncode == 2, again.stderr  # nothing but the user's own
    assert [job.state for job in read_jobs(project / "a sweep")] == ["finished", "failed"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_jobs_of_a_killed_sweep_end(tmp_path: Path, number: signal.Signals) -> None:
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    endless = ("tokenizer.fit.steps=1000000", "checkpoint_minutes=0", "seed=1,2", "threads=1")
    running = Call("run", "-m", *launcher, *TINY, *endless, f"store.root={tmp_path / 'store'}", place=tmp_path)
    while len(list(tmp_path.glob("store/autoencoder/*.checkpoints/fit.safetensors"))) < 2:
        assert not running.ended_within(0.05), running.told
    running.end(number)
    done = running.wait(60)  # it waits for all processes of the sweep
    assert done.code == -number, done.told
    assert "Traceback" not in done.told


@pytest.mark.slow
def test_a_mistyped_value_leaves_a_named_sweep(project: Path) -> None:
    """A failed job stays until a command does not repeat it; finished jobs stay always."""

    def jobs(*sizes: str) -> tuple[int, list[tuple[str, str]]]:
        done = tried(project, "-m", "name=s", "seed=1", f"tokenizer.codebook_size={','.join(sizes)}")
        recorded = read_jobs(project / "sweeps/s")
        return done.returncode, [(job.overrides["tokenizer.codebook_size"], job.state) for job in recorded]

    finished = [("2", "finished"), ("5", "finished")]
    assert jobs("2", "5") == (0, finished)
    assert jobs("3") == (2, [*finished, ("3", "failed")])
    assert jobs("3", "6") == (2, [*finished, ("3", "failed"), ("6", "finished")])
    assert jobs("7") == (0, [*finished, ("6", "finished"), ("7", "finished")])
    page = (project / "sweeps/s/sweep.html").read_text()
    assert "codebook_size=7" in page
    assert "codebook_size=3" not in page
