"""Run folders: claimed by one command at a time, with names, a link to the latest one, and ``log.txt``."""

import json
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
import soundfile
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.commandline.command_words import parse_values, spell
from pipelines.commandline.run_folders import LOG, link_latest, logged, require_name, require_same_run
from pipelines.store.claims import RUN_LOCK, SWEEP_LOCK, claim, claims, hold, make_new
from tests.calling import python
from tests.killing import call
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import sweep
from wordless.base.messages import InputError
from wordless.base.progress import Terminal


def tried(project: Path, *words: str, **environment: str) -> tuple[int, str]:
    """Exit code of a command, and what it says."""
    done = python("try_it.py", *words, cwd=project, before=project, **environment)
    return done.returncode, done.stderr


def wishes(folder: Path) -> dict[str, str]:
    """Name of each folder -> the wish in its results."""
    return {path.parent.name: json.loads(path.read_text())["wish"] for path in folder.glob("*/results.json")}


def test_a_command_without_a_result_removes_the_folders_that_it_created_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for wanted in ("mine/run", "mine/a/b/run"):
        with claims():
            claim(tmp_path / wanted, option="name", lock=RUN_LOCK, new=False)
        assert [*tmp_path.rglob("*")] == [tmp_path / "mine"]


def test_each_of_many_gets_a_new_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(make_new, [tmp_path / "runs" / "x"] * 64))
    assert sorted(path.name for path in made) == sorted(["x", *(f"x_{number}" for number in range(2, 65))])


def test_a_place_where_no_folder_can_be_created_is_refused() -> None:
    for new in (True, False):
        with (
            claims(),
            pytest.raises(InputError, match=r"^hydra\.run\.dir is /proc/runs/x; .*/proc\b.*hydra\.run\.dir="),
        ):
            claim(Path("/proc/runs/x"), option="hydra.run.dir", lock=RUN_LOCK, new=new)


@pytest.mark.parametrize(
    ("switches", "option", "lock", "results"),
    [((), "hydra.run.dir", RUN_LOCK, "one"), (("-m",), "hydra.sweep.dir", SWEEP_LOCK, "one/0")],
)
def test_a_named_folder_is_written_by_one_command_at_a_time_and_used_again(
    project: Path, switches: tuple[str, ...], option: str, lock: str, results: str
) -> None:
    words = (*switches, f"{option}=one")
    (project / "one").mkdir()
    with hold(project / "one", option=option, lock=lock):
        code, told = tried(project, *words, "wish=a")
    assert (code, told.count("\n")) == (2, 1), told
    assert re.search(rf"{option}=one: .*\bwriting\b.*{option}=", told)
    for wish in ("b", "c"):
        assert tried(project, *words, f"wish={wish}")[0] == 0
        assert json.loads((project / results / "results.json").read_text())["wish"] == wish
    assert not (project / "one_2").exists()


def test_other_ranks_write_into_no_run_folder_but_a_pod_with_a_rank_does(project: Path) -> None:
    second = {"RANK": "1", "WORLD_SIZE": "2"}
    assert tried(project, TORCHELASTIC_RUN_ID="none", **second) == (0, "")
    assert not (project / "runs").exists()
    assert tried(project, "name=a", **second) == (0, "")
    assert wishes(project / "runs") == {"a": None}


def test_a_refused_run_leaves_no_folder_and_one_that_fails_later_keeps_it(project: Path) -> None:
    """Artifacts of the store that only this run uses would else count as unused."""
    assert tried(project, "wish=refuse")[0] == 2
    assert not (project / "runs").exists()
    assert tried(project, "wish=fail") == (2, "wordless try: the training fails\n")
    (kept,) = (project / "runs").iterdir()
    assert tried(project, "wish=a")[0] == 0
    assert wishes(project / "runs") == {f"{kept.name}_2": "a"}  # of the same time


def record(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / ".hydra").iterdir()}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("option", "followed"), [("hydra.job.chdir=true", "chdir=false"), ("hydra.output_subdir=null", "subdir=.hydra")]
)
def test_options_of_hydra_that_a_run_depends_on_change_nothing_and_are_told(
    option: str, followed: str, named: bool, project: Path
) -> None:
    """Many have them in a configuration of their own."""
    folder = "runs/one" if named else "one"
    words = ("name=one",) if named else ("hydra.run.dir=one",)
    assert tried(project, "wish=here", *words) == (0, "")
    assert (project / "made").is_file()
    (project / "made").unlink()
    for _ in range(2):  # the second time the same command is recognised
        code, told = tried(project, "wish=here", option, *words)
        assert code == 0, told
        assert f"notice    {option} is not followed" in told
        assert (project / "made").is_file()  # paths are those of the folder in which the command was called
        (project / "made").unlink()
    assert (project / folder / ".hydra/overrides.yaml").is_file()
    place = ("name=both",) if named else ("hydra.sweep.dir=sweeps/both",)
    code, told = tried(project, "-m", *place, "wish=here,x", option)
    assert code == 0, told
    assert told.count("is not followed") == 1
    assert (project / "made").is_file()
    assert (project / "sweeps/both/1/.hydra/overrides.yaml").is_file()
    assert followed.partition("=")[2] in (project / "sweeps/both/1/.hydra/hydra.yaml").read_text()


def test_other_commands_stay_in_the_folder_in_which_they_were_called(finished_run: FinishedRun, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run.folder, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    soundfile.write(tmp_path / "a.wav", sweep(0.5, 16_000), 16_000)
    place = ("hydra.run.dir=run", "hydra.job.chdir=true")
    done = call("encode", "model=run", "input=a.wav", "output=codes.parquet", *place, place=tmp_path)
    assert done.code == 0, done.told
    assert (tmp_path / "codes.parquet").is_file()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_finished_run_keeps_the_record_of_its_command_until_another_one_has_replaced_it(project: Path) -> None:
    place = ("hydra.run.dir=one",)
    assert tried(project, "wish=a", *place)[0] == 0
    before = record(project / "one")
    assert "wish=a" in before["overrides.yaml"].decode()
    for words in (["wish=refuse"], ["wish=fail"], ["wish=bug"], ["wish=b", "--cfg", "job"], ["wish=b", "--info"]):
        tried(project, *words, *place)
        assert record(project / "one") == before, words
    assert tried(project, "wish=b", *place)[0] == 0
    after = record(project / "one")
    assert after.keys() == before.keys()
    assert "wish=b" in after["overrides.yaml"].decode()
    assert after["hydra.yaml"].replace(b"wish=b", b"wish=a") == before["hydra.yaml"]


def test_a_name_is_a_folder_in_which_the_same_command_resumes(project: Path) -> None:
    for words in (["name=1e5", "wish=a"], ["wish=a", "name=1e5"]):
        assert tried(project, *words) == (0, "")
    for words, told in (
        (["name=1e5", "wish=b"], r"name=1e5: runs/1e5 .*wish=b.*wish=a"),
        (["name=a", "hydra.run.dir=b"], r"name=a and hydra\.run\.dir=b"),
    ):
        code, line = tried(project, *words)
        assert (code, line.count("\n")) == (2, 1)
        assert re.search(told, line)
    assert wishes(project / "runs") == {"1e5": "a"}
    assert tried(project, "-m", "name=both", "wish=x,y")[0] == 0
    assert sorted(wishes(project / "sweeps/both").values()) == ["x", "y"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", ".hidden", "-x", "a b", "a\nb", "latest", "x" * 101, "a$b"]
)
def test_other_names_than_of_a_folder_are_refused_in_one_line(name: str) -> None:
    for taken in ("wake", "1", "a.b", "größe_2", "x" * 100, "2025-01-31_12-00-00"):
        require_name(taken)
    with pytest.raises(InputError, match=r"letters, digits, _, \., \+ and -") as error:
        require_name(name)
    assert " ".join(str(error.value).split()).count("name=wake") == 1


STEPS = r"steps=9 .*{part}\.start=\S*/wake\b"  # more steps are another run that begins with this one
DAMAGED = ("", "{", "a: 1", "!!python/object:os.system {}", "3")


@pytest.mark.parametrize(
    ("before", "written", "now", "told"),
    [
        (["seed=1", "lm=tiny", "name=wake", "workers=2"], "manifest.tsv", ["lm=tiny", "seed=1", "name=wake"], None),
        (["seed=1", "lm.fit.steps=-1"], "log.txt", ["seed=1"], None),  # it failed before it wrote anything
        (["seed=1", "name=wake"], "manifest.tsv", ["seed=2", "lm=tiny"], r"lm=tiny.*seed=2.*seed=1.*rm -r \S*wake"),
        (["lm.fit.steps=5"], "manifest.tsv", ["lm.fit.steps=9"], STEPS.format(part="lm")),
        (["vocoder.fit.steps=5"], "manifest.tsv", ["vocoder.fit.steps=9"], STEPS.format(part="vocoder")),
        *((damaged, "manifest.tsv", [], "no run") for damaged in DAMAGED),
    ],
)
def test_a_named_run_is_of_the_same_options_in_any_order(
    before: list[str] | str, written: str, now: list[str], told: str | None, tmp_path: Path
) -> None:
    folder = tmp_path / "wake"
    (folder / ".hydra").mkdir(parents=True)  # as Hydra begins it
    (folder / ".hydra/overrides.yaml").write_text(before if isinstance(before, str) else yaml.safe_dump(before))
    (folder / written).touch()
    with pytest.raises(InputError, match=told) if told else nullcontext():
        require_same_run(folder, now, "run")
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        require_same_run(tmp_path / name, now, "run")


def test_what_is_no_run_and_no_link_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").touch()
    (tmp_path / "link").symlink_to("mine")
    for name, told in (("mine", "no run"), ("link", "no folder")):
        with pytest.raises(InputError, match=told):
            require_same_run(tmp_path / name, [], "run")
    (tmp_path / "a").mkdir()
    (tmp_path / "latest").write_text("mine")
    link_latest(tmp_path / "a")
    assert (tmp_path / "latest").read_text() == "mine"


def test_a_sweep_is_told_by_its_own_record(tmp_path: Path) -> None:
    (tmp_path / "codes").mkdir()
    content = {"hydra": {"overrides": {"task": ["tokenizer.codebook_size=64,256", "name=codes"]}}}
    (tmp_path / "codes/multirun.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "codes/0").mkdir()
    for sizes in ("64,256", "64,512", "512", "choice(64,1)"):
        require_same_run(tmp_path / "codes", [f"tokenizer.codebook_size={sizes}"], "sweep")
    for others in (["seed=1"], ["lm=tiny,small"]):
        with pytest.raises(InputError, match=others[0]):
            require_same_run(tmp_path / "codes", ["tokenizer.codebook_size=64,512", *others], "sweep")


SAME = [
    ("lm.fit.lr=1e-3", "lm.fit.lr=0.0010"),
    ("lm.fit.lr=1", "++lm.fit.lr=1.0"),
    ("stages=[a,b]", "stages=[ 'a', \"b\" ]"),
    ("stages=[a]", "stages=a"),
    ("seed=1,2", "seed=choice(1, 2)"),
    ("seed=1,2", "seed=range(1,3)"),
    ("x={a: 1, b: 2}", "x={b:2,a:1}"),
    ("tokenizer.codebook_size=1_000", "tokenizer.codebook_size=1000"),
]
OTHER = [
    ("x=1", "x='1'"),
    ("x=null", "x='null'"),
    ("x=true", "x=1"),
    ("x=[a,b]", "x=[b,a]"),
    ("x=['a,b',c]", "x=[a,b,c]"),
    ("x=1", "~x"),
    ("x=${y}", "x=y"),
    ("lm.fit.lr=1e-3", "lm.fit.lr=1e-4"),
]


def test_options_are_compared_by_their_values() -> None:
    for one, other in SAME:
        assert parse_values(["z=0", one]) == parse_values(["z=0", other])
    for one, other in OTHER:
        assert parse_values(["z=0", one]) != parse_values(["z=0", other])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_a_value_has_one_spelling_and_others_another(value: object) -> None:
    assert spell([value, 1]) == spell((value, 1.0))
    assert spell(value) != spell([value, value])
    assert isinstance(value, list) or spell([value]) == spell(value)
    assert parse_values([f"x={spell(['b', value], inside=True)}"]) == {"x": (spell(["b", value]),)}


def test_the_latest_run_is_a_link_that_moves_with_its_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        link_latest(tmp_path / "runs" / name)
    (tmp_path / "runs").rename(tmp_path / "moved")
    link = tmp_path / "moved/latest"
    assert link.resolve() == (tmp_path / "moved/b").resolve()


def failing(folder: Path, error: BaseException) -> None:
    with logged(folder):
        Terminal(log=folder / LOG).say("computing lm")
        raise error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InputError("seed is -1; choose 0 or more"), "wordless run: seed is -1; choose 0 or more\n"),
        (KeyboardInterrupt(), "interrupted\n"),
        (ZeroDivisionError("x"), "ZeroDivisionError: x\n"),
    ],
    ids=str,
)
def test_the_log_ends_with_the_error(
    tmp_path: Path, error: BaseException, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other ranks write none, and a log that cannot be written ends no run."""
    monkeypatch.setattr(sys, "argv", ["wordless run", "lm=tiny", "name=a b"])
    with pytest.raises(type(error)):
        failing(tmp_path, error)
    log = (tmp_path / LOG).read_text()
    assert log.splitlines()[0].endswith("  wordless run lm=tiny 'name=a b'")
    assert log.splitlines()[1] == "computing lm"
    assert log.endswith(told)
    with pytest.raises(InputError):
        failing(tmp_path, InputError("again"))
    assert (again := (tmp_path / LOG).read_text()).startswith(log)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("RANK", "1")
    with logged(tmp_path):
        Terminal(log=tmp_path / "none" / LOG).say("computing lm")
    assert (tmp_path / LOG).read_text() == again
    assert capsys.readouterr().err.endswith("computing lm\n")
