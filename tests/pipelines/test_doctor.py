"""What the doctor finds, on this machine."""

import io
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from rich.console import Console

from pipelines import doctor
from tests.calling import python


def test_the_command_prints_a_table_quickly(tmp_path: Path) -> None:
    done = python("-m", "pipelines.doctor", f"store.root={tmp_path / 'a (store)'}", COLUMNS="200")
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr == ""
    for name in ("python", "cuda", "libsndfile", "vocoder engine", "espeak-ng", "memory", "store", "runs"):
        assert f" {name}" in done.stdout
    assert "a (store)" in done.stdout
    assert (done.returncode == 1) == ("\nneeded: " in done.stdout)


@pytest.mark.parametrize(
    ("capability", "bf16", "told"),
    [
        ((9, 0), True, ["auto trains in bf16", "fp32 multiplies in TF32", "; flash attention"]),
        ((7, 5), False, ["auto trains in fp32", "fp32 is exact", "no flash attention"]),
    ],
)
def test_a_card_is_told_by_what_it_will_do(capability: tuple[int, int], bf16: bool, told: list[str]) -> None:
    found = doctor.card_work(capability, bf16=bf16, flash=True)
    assert all(each in found for each in told)


def need(requirement: str, *, by: str = "wordless") -> doctor.Need:
    return doctor.Need(requirement=Requirement(requirement), by=by)


def test_an_installed_library_that_fits_is_ok() -> None:
    found = doctor.library(need("numpy>=1"))
    assert (found.state, found.found) == ("ok", version("numpy"))


@pytest.mark.parametrize(
    ("wanted", "others", "state", "told"),
    [
        (need("no-such-thing>=2"), [], "missing", "pip install 'no-such-thing>=2'"),
        (need("no-such-thing; extra == 'slurm'"), [], "optional", "wordless[slurm]"),
        (need("numpy>=99"), [], "missing", "numpy>=99"),
        (need("torch"), [need("torch==0.1", by="fairseq2n")], "missing", "torch==0.1"),
    ],
)
def test_what_is_missing_or_does_not_fit_has_a_remedy(
    wanted: doctor.Need, others: list[doctor.Need], state: str, told: str
) -> None:
    found = doctor.library(wanted, others)
    assert found.state == state
    assert told in found.remedy


def test_needs_come_from_the_metadata_of_what_is_installed() -> None:
    wanted = {each.requirement.name: str(each) for each in doctor.needs("torchaudio")}
    assert wanted["torch"].startswith("torch==")
    assert list(doctor.needs("no-such-thing")) == []


def test_a_disk_is_judged_where_a_folder_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.disk("store", tmp_path / "not/yet/there", remedy="elsewhere").found.endswith("there")
    monkeypatch.setattr(doctor, "BASE_BYTES", 10**18)
    found = doctor.disk("store", tmp_path, remedy="choose another place: store.root=...")
    assert found.state == "missing"
    assert "store.root" in found.remedy


def test_brackets_in_findings_are_no_markup() -> None:
    text = io.StringIO()
    doctor.show(
        [doctor.Finding("x[bold]", "y", well=False, remedy="pip install 'a[b]'")], Console(file=text, width=100)
    )
    assert "x[bold]" in text.getvalue()
    assert "pip install 'a[b]'" in text.getvalue()
    assert "needed: x[bold]" in text.getvalue()
