"""Names of runs, the link to the latest one, and ``log.txt``."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.commandline.overrides import parse_values, remember, spell
from pipelines.commandline.run_log import LOG, logged
from pipelines.commandline.run_names import (
    link_latest,
    option_of,
    read_words,
    relink_latest,
    require_name,
    require_same_run,
)
from tests.pipelines.conftest import FinishedRun
from wordless.base.errors import InputError
from wordless.base.progress import Terminal


def write_words(folder: Path, *words: str) -> Path:
    """A run folder as Hydra begins it."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra/overrides.yaml").write_text(yaml.safe_dump(list(words)))
    return folder


@pytest.mark.parametrize("name", ["wake", "1", "a.b", "größe_2", "x" * 100, "2025-01-31_12-00-00"])
def test_a_name_of_a_folder_is_taken(name: str) -> None:
    require_name(name, option="name")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", ".hidden", "-x", "a b", "a\nb", "latest", "x" * 101, "a$b"]
)
def test_other_names_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match=r"letters, digits, _, \., \+ and -") as error:
        require_name(name, option="name")
    assert " ".join(str(error.value).split()).count("name=wake") == 1


def test_the_same_options_in_any_order_resume(tmp_path: Path) -> None:
    folder = write_words(tmp_path / "wake", "seed=1", "lm=tiny", "name=wake", "workers=2")
    require_same_run(folder, ["lm=tiny", "seed=1", "name=wake"], "run")
    require_same_run(tmp_path / "new", ["seed=1"], "run")
    (tmp_path / "empty").mkdir()
    require_same_run(tmp_path / "empty", ["seed=1"], "run")


def test_another_run_is_not_overwritten(tmp_path: Path) -> None:
    folder = write_words(tmp_path / "wake", "seed=1", "name=wake")
    (folder / "manifest.tsv").touch()
    with pytest.raises(InputError, match=r"lm=tiny.*seed=2.*seed=1.*--delete wake"):
        require_same_run(folder, ["seed=2", "lm=tiny"], "run")


@pytest.mark.parametrize("part", ["lm", "vocoder"])
def test_more_steps_of_a_named_run_are_another_run_that_begins_with_it(tmp_path: Path, part: str) -> None:
    folder = write_words(tmp_path / "wake", f"{part}.fit.steps=500")
    (folder / "manifest.tsv").touch()
    with pytest.raises(InputError, match=rf"{part}\.fit\.steps=1000 .*{part}\.start={folder}"):
        require_same_run(folder, [f"{part}.fit.steps=1000"], "run")


def test_a_run_that_failed_before_it_wrote_anything_leaves_its_name_to_others(tmp_path: Path) -> None:
    folder = write_words(tmp_path / "wake", "seed=1", "lm.fit.steps=-1", "name=wake")
    (folder / "log.txt").touch()
    require_same_run(folder, ["seed=1"], "run")


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
    ("x=null", "x=NULL"),
    ("x=true", "x=True"),
    ("x={a: 1, b: 2}", "x={b:2,a:1}"),
    ("corpus.root='a b'", 'corpus.root="a b"'),
    ("tokenizer.codebook_size=1_000", "tokenizer.codebook_size=1000"),
    ("~x", "~x"),
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


@pytest.mark.parametrize(
    ("one", "other", "same"), [*((*pair, True) for pair in SAME), *((*pair, False) for pair in OTHER)]
)
def test_options_are_compared_by_their_values(one: str, other: str, same: bool) -> None:
    assert (parse_values(["z=0", one]) == parse_values(["z=0", other])) == same


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_a_value_has_one_spelling_and_others_another(value: object) -> None:
    assert spell([value, 1]) == spell((value, 1.0))
    assert spell(value) != spell([value, value])
    assert isinstance(value, list) or spell([value]) == spell(value)


@pytest.mark.parametrize("content", ["", "{", "a: 1", "!!python/object:os.system {}", "3"])
def test_a_damaged_record_is_no_record(tmp_path: Path, content: str) -> None:
    folder = write_words(tmp_path / "wake")
    (folder / ".hydra/overrides.yaml").write_text(content)
    assert read_words(folder) is None


@pytest.mark.parametrize("word", ["lm.fit.steps=5", "+lm.fit.steps=5", "++lm.fit.steps=a=b", "~lm.fit.steps"])
def test_an_option_has_its_name_in_each_way_to_write_it(word: str) -> None:
    assert option_of(word) == "lm.fit.steps"


def test_the_latest_run_is_a_link_that_moves_with_its_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        link_latest(tmp_path / "runs" / name)
    (tmp_path / "runs").rename(tmp_path / "moved")
    link = tmp_path / "moved/latest"
    assert link.resolve() == (tmp_path / "moved/b").resolve()
    relink_latest(tmp_path / "moved")
    assert link.is_symlink()
    (tmp_path / "moved/b").rmdir()
    relink_latest(tmp_path / "moved")
    assert sorted(path.name for path in (tmp_path / "moved").iterdir()) == ["a"]


def failing(folder: Path, error: BaseException) -> None:
    with remember(["lm=tiny", "name=a b"]), logged(folder):
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
def test_the_log_ends_with_the_error(tmp_path: Path, error: BaseException, told: str) -> None:
    with pytest.raises(type(error)):
        failing(tmp_path, error)
    log = (tmp_path / LOG).read_text()
    assert log.splitlines()[0].endswith("  wordless run lm=tiny 'name=a b'")
    assert log.splitlines()[1] == "computing lm"
    assert log.endswith(told)
    with pytest.raises(InputError):
        failing(tmp_path, InputError("again"))
    assert (tmp_path / LOG).read_text().startswith(log)


def test_other_ranks_write_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(InputError):
        failing(tmp_path, InputError("x"))
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written_ends_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(log=tmp_path / "none" / LOG).say("computing lm")
    assert capsys.readouterr().err == "computing lm\n"


def test_a_run_logs_what_it_printed(finished_run: FinishedRun) -> None:
    command, *lines = (finished_run.folder / LOG).read_text().splitlines()
    assert "wordless run experiment=smoke" in command
    printed = [line for line in finished_run.log.splitlines() if line.startswith(("computing", "corpus", "results"))]
    assert len(printed) > 5
    assert [line for line in lines if line in printed] == printed
    assert lines[-1] == finished_run.printed.strip()
