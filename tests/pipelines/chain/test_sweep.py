"""The page and the table of a sweep: of results built here, of a small project under Hydra, and of a real sweep."""

import csv
import json
import math
import signal
import subprocess
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from scipy.stats import ttest_1samp

from pipelines.chain.sweep import finish, resuming
from pipelines.pages.sweep import Runs, pareto, swept, write_sweep
from pipelines.results.run_record import count_codes
from pipelines.results.sweep_jobs import Job, conclude, note, plan, read_jobs
from tests.calling import python
from tests.killing import Call
from tests.pipelines.pages_apart import Page, figure, says
from tests.pipelines.tiny_chain import TINY, called, entries

SIZES = (16, 32, 64, 128, 256, 512, 1024, 2048)
GAP = 0.02  # of validation and test: no more than chance
RATE = 50.0  # codes per second
HOSTILE = "<script>alert('1')</script> & $x_1$"


def at(size: int, *, shift: float = 0.0) -> dict[str, object]:
    """Results as they might come: accuracy has its best at 256 codes, error and steadiness fall."""
    bits = math.log2(size)
    gpt, bag = 0.72 - 0.011 * (bits - 8) ** 2 + shift, 0.55 - 0.004 * (bits - 9) ** 2 + shift
    rows = [
        figure("tokenizer", "perplexity", 0.7 * size),
        figure("tokenizer", "used_codes", size),
        figure("tokenizer", "codes_per_second", RATE),
        figure("tokenizer", "reconstruction_mse", 0.05),
        figure("tokenizer", "quantised_mse", 0.05 + 0.6 * 2 ** (-bits / 3)),
        *(
            figure("tokenizer", "stability", start - fall * bits, of=of)
            for of, start, fall in (("noise", 1.05, 0.05), ("gain", 1.02, 0.06), ("shift", 1.0, 0.065))
        ),
        figure("lm", "perplexity", 2 ** (0.6 * bits)),
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


def probed(of: str, accuracy: float, *, gap: float = GAP) -> list[dict[str, object]]:
    """A method's figures on test and on validation, and the gap between them."""
    row = figure("probe", "accuracy", accuracy, of=of)
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


def add(
    sweep: Path,
    number: int,
    overrides: Mapping[str, str],
    content: Mapping[str, object] | None,
    size: int | None = None,
) -> Path:
    """One job and its run folder; without content, one that was killed."""
    folder = sweep / str(number)
    folder.mkdir(parents=True)
    note(sweep, Job(number=number, overrides=dict(overrides), folder=str(number)))
    if content is not None:
        content = content if size is None else {**content, "codebook": {"counts": [1] * size}}
        (folder / "results.json").write_text(json.dumps(content))
        save_file(resamples(content), folder / "resamples.safetensors")
        (folder / "report.html").write_text("<!DOCTYPE html>")
        conclude(sweep, folder)


def sizes(sweep: Path, tried: tuple[int, ...] = SIZES) -> Path:
    for number, size in enumerate(tried):
        words = {"tokenizer.codebook_size": str(size), "lm": "tiny"}
        add(sweep, number, words, at(size), size)
    return sweep


def written(sweep: Path) -> tuple[Page, list[dict[str, str]], Runs]:
    """Page, rows of the table, and the runs."""
    runs, _ = write_sweep(sweep, read_jobs(sweep), command="wordless run -m x=1,2")
    with (sweep / "sweep.csv").open(encoding="utf-8", newline="") as file:
        return Page((sweep / "sweep.html").read_text(encoding="utf-8")), list(csv.DictReader(file)), runs


def best(page: Page, runs: Runs) -> Mapping[str, str]:
    """The options of the run that validation chooses; the page names it."""
    assert runs.best is not None
    assert f"Validation chooses {runs.name(runs.best.job)}:" in page.text.partition(" The runs ")[0]
    return runs.best.job.overrides


def differing(runs: Runs) -> set[tuple[str, str]]:
    """Pairs of runs that differ by more than chance, the better one first."""
    return {
        (runs.short_name(pair.one.job), runs.short_name(pair.other.job))
        for pair in runs.pairs
        if pair.row.excludes_zero
    }


def test_the_page_says_which_pairs_differ_and_that_no_size_is_best(tmp_path: Path) -> None:
    """256 codes are best by a point, which is less than chance for 28 pairs."""
    page, rows, runs = written(sizes(tmp_path))
    found = differing(runs)
    assert {("256", other) for other in ("16", "32", "64", "1024", "2048")} <= found
    assert not {("256", "128"), ("256", "512"), ("128", "512"), ("512", "128")} & found
    assert runs.winner is None
    pairs = [row for row in rows if row["against_job"]]
    assert len(pairs) == 28
    for row in pairs:
        one, other = SIZES[int(row["job"])], SIZES[int(row["against_job"])]
        assert (row["name"], row["of"], row["split"]) == ("difference", "gpt", "test")
        assert ((str(one), str(other)) in found) == (float(row["low"]) > 0)
    text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "No value of tokenizer.codebook_size" in text
    assert f"of {len(pairs)} pairs" in text
    assert f"+{100 * 0.011 * 16:.1f} points" in text


def test_a_size_that_beats_each_other_is_best(tmp_path: Path) -> None:
    winner = written(sizes(tmp_path / "best", (16, 64, 256)))[2].winner
    assert winner is not None
    assert count_codes(winner.results) == 256


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
    assert says(page.text, "is shown to be best", "over 4 groups")
    assert says(page.text, "strongest rival on test", "log-mel")
    assert ("No value" in page.text) == (runs.winner is None)


def test_runs_on_other_test_clips_are_not_paired(tmp_path: Path) -> None:
    for number, size in enumerate((16, 64, 256)):
        content: Any = at(size)
        content["comparison"] = PROTOCOL | {"clips_key": "another" if size == 256 else "k"}
        add(tmp_path, number, {"tokenizer.codebook_size": str(size)}, content, size)
    page, _, runs = written(tmp_path)
    assert [count_codes(point.results) for point in runs.paired] == [16, 64]
    assert runs.winner is None  # 64 codes beat 16, and nobody knows about 256
    assert [count_codes(point.results) for point in runs.unpaired] == [256]
    assert "In no pair" in page.text


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    page, _, _ = written(sizes(tmp_path))
    text = (tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert not page.named("script")
    assert not page.named("link")
    assert "http:" not in text.replace("http://www.w3.org", "")
    assert len(page.named("svg")) == 3
    assert all(svg.get("aria-label") for svg in page.named("svg"))
    assert "--paper" in text  # the report's styles
    written(tmp_path)
    assert (tmp_path / "sweep.html").read_text("utf-8") == text


def test_the_table_is_tidy(tmp_path: Path) -> None:
    _, rows, runs = written(sizes(tmp_path))
    assert len([row for row in rows if not row["against_job"]]) == sum(
        len(point.results["figures"]) for point in runs.points
    )
    keys = [(row["job"], row["against_job"], row["stage"], row["name"], row["of"], row["split"]) for row in rows]
    assert len(set(keys)) == len(keys)
    found = [row for row in rows if (row["name"], row["of"], row["split"]) == ("accuracy", "gpt", "test")]
    assert [int(row["tokenizer.codebook_size"]) for row in found] == list(SIZES)
    for row in found:
        bits = math.log2(int(row["codebook_size"]))
        assert float(row["nominal_bits_per_second"]) == pytest.approx(RATE * bits)
        assert float(row["lm_bits_per_second"]) == pytest.approx(0.6 * RATE * bits)
        assert float(row["low"]) < float(row["value"]) < float(row["high"])
        assert (tmp_path / row["run"] / "results.json").is_file()
        assert row["artifact"] == "0123456789abcdef"


def test_a_failed_job_is_listed_and_the_others_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = sizes(tmp_path, SIZES[:4])
    add(sweep, 4, {"tokenizer.codebook_size": "256", "lm": "tiny"}, None, 256)
    add(sweep, 5, {"tokenizer.codebook_size": "512", "lm": "tiny"}, None, 512)
    conclude(sweep, sweep / "5", reason=f"there are only 300 patches {HOSTILE}\ud800")
    with pytest.raises(SystemExit) as ended:
        finish(sweep, command="wordless run -m tokenizer.codebook_size=16,32 hydra.sweep.dir=old")
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == [str(sweep / "sweep.html"), str(sweep / "sweep.csv")]
    assert "autoencoder  computed 1, reused 3 of 4" in said.err
    assert "2 of 6 jobs failed" in said.err
    text = (sweep / "sweep.html").read_text(encoding="utf-8")
    page = Page(text)
    assert f"there are only 300 patches {HOSTILE}" in page.text
    assert "<script" not in text
    assert "tokenizer.codebook_size=256 it was stopped before its end" in page.text
    assert f"hydra.sweep.dir={sweep}" in page.text
    assert "hydra.sweep.dir=old" not in page.text


def test_a_named_sweep_is_resumed_by_its_own_command(tmp_path: Path) -> None:
    """A name and a folder together are refused."""
    command = "wordless run -m name=sizes tokenizer.codebook_size=16,32"
    assert resuming(command, tmp_path / "multirun/sizes") == command


def test_a_failed_job_does_not_show_the_results_of_an_earlier_one(tmp_path: Path) -> None:
    sweep = sizes(tmp_path, SIZES[:3])
    (sweep / ".jobs/2.json").unlink()
    note(sweep, Job(number=2, overrides={"tokenizer.codebook_size": "64"}, folder="2"))
    page, rows, _ = written(sweep)
    assert {row["job"] for row in rows} == {"0", "1"}
    assert "1 job failed" in page.text


def test_any_option_can_be_swept(tmp_path: Path) -> None:
    for number, (name, shift) in enumerate({"tiny": 0.0, "small": 0.05, HOSTILE: -0.2}.items()):
        add(tmp_path, number, {"lm": name}, at(256, shift=shift), 256)
    page, rows, runs = written(tmp_path)
    assert best(page, runs) == {"lm": "small"}
    table = page.text.partition("The runs")[2]
    assert table.index("tiny") < table.index(HOSTILE)
    assert {row["lm"] for row in rows} == {"tiny", "small", HOSTILE}
    assert "codebook size" not in page.text.partition("The runs")[0]


def test_runs_that_other_clips_choose_are_not_compared(tmp_path: Path) -> None:
    """A validation speaker may be easier than those of cross-validation."""
    for number, (name, by) in enumerate({"none": "group", "wider": "group", "one_speaker": "validation"}.items()):
        content: dict[str, Any] = at(256, shift=0.05 * number)
        content["comparison"] = PROTOCOL | {"choose_by": by}
        add(tmp_path, number, {"ablation": name}, content, 256)
    page, _, runs = written(tmp_path)
    assert best(page, runs) == {"ablation": "wider"}
    assert [point.job.overrides["ablation"] for point in runs.apart] == ["one_speaker"]
    assert "(probe.choose_by): ablation=one_speaker." in page.text


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
    for words in (
        ["tokenizer.codebook_size=1024,64", "seed=1", "workers=2"],
        ["seed=1", "tokenizer.codebook_size=1024"],
    ):
        jobs = plan(words, before)
        assert (jobs[0].number, jobs[0].folder) == (2, "codebook_size=1024")
        assert jobs[1:] == ([before[0]] if len(jobs) > 1 else [])
    wider = plan(["seed=1,2", "tokenizer.codebook_size=64"], before)
    assert wider[0] == before[0]
    assert wider[1].folder == "seed=2,codebook_size=64"


few = st.integers(min_value=0, max_value=6).map(float) | st.just(math.nan)


@given(st.lists(st.tuples(few, few)))
def test_the_front_is_what_no_other_beats(points: list[tuple[float, float]]) -> None:
    def beats(other: tuple[float, float], point: tuple[float, float]) -> bool:
        return other != point and other[0] <= point[0] and other[1] >= point[1]

    known = [point for point in points if not any(map(math.isnan, point))]
    wanted = {
        index
        for index, point in enumerate(points)
        if point in known and not any(beats(other, point) for other in known)
    }
    found = pareto([cost for cost, _ in points], [gain for _, gain in points])
    assert set(found) == wanted
    assert len(found) == len(wanted)
    assert [points[index][0] for index in found] == sorted(points[index][0] for index in found)


CONFIG = """
defaults: [override hydra/job_logging: none, override hydra/hydra_logging: none, _self_]
tokenizer: {codebook_size: 1}
compare: {hearings: 1}
wish: null
hydra:
  sweep: {dir: a sweep, subdir: "job ${hydra.job.num}"}
  callbacks: {sweep: {_target_: pipelines.chain.sweep.SweepPage}}
"""
NAMED = """
defaults: [override hydra/job_logging: none, override hydra/hydra_logging: none, _self_]
tokenizer: {codebook_size: 2}
seed: 0
name: null
hydra:
  sweep:
    dir: "sweeps/${now:%Y}"
    subdir: ${oc.select:'hydra.callbacks.sweep.folders[${hydra.job.num}]'}
  callbacks:
    folder: {_target_: pipelines.commandline.run_folders.ClaimedFolder}
    sweep: {_target_: pipelines.chain.sweep.SweepPage, folders: []}
"""
SCRIPT = """
import json
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from wordless.base.errors import InputError
from pipelines.commandline.command import command
from pipelines.chain.sweep import going_on

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

main = command("try", task)
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A command of its own whose jobs take no time."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/__init__.py").touch()
    (tmp_path / "conf/try.yaml").write_text(CONFIG)
    (tmp_path / "try_it.py").write_text(SCRIPT)
    return tmp_path


def tried(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return python("try_it.py", *words, cwd=project, before=project)


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.slow)])
def test_a_sweep_goes_on_after_a_failure(project: Path, launcher: str) -> None:
    words = ["-m", f"hydra/launcher={launcher}"]
    done = tried(project, *words, "tokenizer.codebook_size=2,3,4,5")
    assert done.returncode == 1, done.stderr  # one of the failures is a bug
    assert "codebook_size=3" in done.stderr
    assert "three is refused" in done.stderr
    assert "2 of 4: codebook_size=3" in done.stderr
    assert "job 4 of 4: codebook_size=5" in (project / "a sweep/job 3/log.txt").read_text()
    assert "KeyError: 'a bug'" in done.stderr
    assert "2 of 4 jobs failed" in done.stderr
    assert done.stdout.splitlines() == ["a sweep/sweep.html", "a sweep/sweep.csv"]
    with (project / "a sweep/sweep.csv").open() as file:
        found = [(row["tokenizer.codebook_size"], row["run"], float(row["value"])) for row in csv.DictReader(file)]
    assert found == [("2", "job 0", 2), ("5", "job 3", 5)]
    again = tried(project, *words, "tokenizer.codebook_size=2,3")
    assert again.returncode == 2, again.stderr  # nothing but the user's own
    assert "1 of 2 jobs failed" in again.stderr  # the jobs of the first sweep are no part of the second


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_jobs_of_a_killed_sweep_end(tmp_path: Path, number: signal.Signals) -> None:
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    endless = ("tokenizer.fit.steps=1000000", "tokenizer.fit.checkpoint_minutes=0", "seed=1,2", "threads=1")
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
    (project / "conf/try.yaml").write_text(NAMED)

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


@pytest.mark.slow
def test_an_experiment_is_a_sweep_by_itself(tmp_path: Path) -> None:
    """The shipped one, of two sizes only, tiny: its rows link to reports that are there."""
    words = (*TINY[1:], "tokenizer=tiny", "lm=tiny", "audio.sample_rate=8000", "audio.n_mels=40")
    words = (*words, "experiment=codebook_sweep")
    places = (f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    done = called(*words, *places, "tokenizer.codebook_size=4,8")
    assert done.returncode == 0, done.stderr
    made = [folder.parent.name for folder in entries(tmp_path / "store")]
    assert (made.count("autoencoder"), made.count("lm"), made.count("vocoder")) == (1, 2, 0)
    page = Page((tmp_path / "sweep/sweep.html").read_text(encoding="utf-8"))
    links = [str(link["href"]) for link in page.named("a")]
    assert [unquote(link) for link in links] == ["codebook_size=4/report.html", "codebook_size=8/report.html"]
    assert all((tmp_path / "sweep" / unquote(link)).is_file() for link in links)
    with (tmp_path / "sweep/sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    splits = {(row["job"], row["split"]) for row in rows if (row["name"], row["of"]) == ("accuracy", "gpt")}
    assert splits == set(product("01", ("validation", "test")))
    (pair,) = [row for row in rows if row["against_job"]]
    assert (pair["name"], pair["of"]) == ("difference", "gpt")
