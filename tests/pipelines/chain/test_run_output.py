"""What a run replaces in its folder."""

from pathlib import Path

import pytest

from pipelines.chain.run_output import require_own_parts
from pipelines.store.store import ENTRY
from tests.pipelines.tiny_chain import called_at_once, refusal
from wordless.base.errors import InputError


def test_parts_of_an_earlier_run_may_be_replaced(tmp_path: Path) -> None:
    for part in ("lm", "tokenizer"):
        (tmp_path / part).mkdir()
        (tmp_path / part / ENTRY).touch()
    (tmp_path / "notes").mkdir()
    require_own_parts(tmp_path)


@pytest.mark.parametrize("part", ["tokenizer", "lm", "rates", "wav2vec2"])
def test_a_folder_of_the_user_is_never_replaced(part: str, tmp_path: Path) -> None:
    (tmp_path / part).mkdir()
    (tmp_path / part / "work.py").touch()
    with pytest.raises(InputError, match=rf"no run\b.*{part}\b"):
        require_own_parts(tmp_path)


def test_a_run_refuses_the_folder_before_it_reads_anything(tmp_path: Path) -> None:
    (tmp_path / "run/lm").mkdir(parents=True)
    told = refusal(called_at_once(tmp_path, "experiment=smoke", f"store.root={tmp_path / 'store'}"))
    assert "hydra.run.dir=PATH" in told
    assert (tmp_path / "run/lm").is_dir()
    assert not (tmp_path / "store/sample").exists()
