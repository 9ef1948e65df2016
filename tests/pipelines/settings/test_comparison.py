"""Which folds and seeds a run compares over."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.methods.table import METHODS
from pipelines.settings.comparison import ComparisonConfig
from pipelines.settings.run import run_settings
from tests.pipelines.tiny_chain import composed
from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.base.errors import InputError

GROUPS = ("a", "b", "c", "d")


def clip(group: str, number: int, fold: str | None = None) -> Clip:
    path = f"{group}{number}.wav"
    return Clip(path=path, num_samples=100, sample_rate=100, size=200, sha256="", label="x", group=group, fold=fold)


MANIFEST = Manifest(root=Path("here"), clips=tuple(clip(group, number) for group in GROUPS for number in range(2)))


PLAIN: dict[str, Any] = {"methods": ("gpt",), "folds": "group", "states": ("residual",)}


def config(**changes: Any) -> ComparisonConfig:
    return ComparisonConfig(**{**PLAIN, **changes})


def test_each_group_is_held_out_once() -> None:
    folds = config().divide(MANIFEST, quick=False)
    assert [fold.name for fold in folds] == list(GROUPS)
    for fold in folds:
        assert {each.group for each in fold.manifest.of("test")} == {fold.name}


def test_a_quick_comparison_takes_two_folds_as_they_are() -> None:
    assert all(fold in config().divide(MANIFEST, quick=False) for fold in config().divide(MANIFEST, quick=True))
    assert len(config().divide(MANIFEST, quick=True)) == 2


def test_without_folds_there_is_the_split_of_the_corpus() -> None:
    (fold,) = config(folds=None).divide(MANIFEST, quick=False)
    assert fold.manifest == MANIFEST


def test_a_group_that_given_folds_cut_is_refused_unless_allowed() -> None:
    clips = tuple(clip(group, number, fold=str(number)) for group in GROUPS for number in range(3))
    cut = Manifest(root=Path("here"), clips=clips)
    with pytest.raises(InputError, match=r"group 'a'.*\bsplits\b.*corpus\.split\.shared_groups=true\b"):
        config(folds="fold").divide(cut, quick=False)
    allowed = config(folds="fold").divide(cut, quick=False, shared_groups=True)
    assert [fold.name for fold in allowed] == ["0", "1", "2"]
    whole = Manifest(root=cut.root, clips=tuple(clip(group, 0, fold=group) for group in GROUPS))
    assert [fold.name for fold in config(folds="fold").divide(whole, quick=False)] == list(GROUPS)


def test_a_comparison_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"methods"):
        config(methods=())


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"states": ()}, r"^states\b.*\[\]"), ({"states": ("inner", "inner")}, r"^states\b.*\[inner, inner\]")],
)
def test_states_that_will_not_do(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        config(**changes)


def test_an_input_beside_no_candidate_is_refused() -> None:
    with pytest.raises(InputError, match=r"^input\b.*\btogether\b.*\blayers\b"):
        config(layers=("last",), input=True)
    assert config(layers=("last", "together"), input=True).input


WITHOUT_INPUT = [name for name in METHODS if re.search("wav2vec2|ast$|audio_transformer", name)]


@pytest.mark.parametrize("name", WITHOUT_INPUT)
def test_an_input_that_a_network_does_not_have_is_refused(name: str, tmp_path: Path) -> None:
    words = (f"compare.methods=[log_mel,{name}]", "compare.layers=[last,together]")
    run_settings(composed(tmp_path, *words))
    with pytest.raises(InputError, match=rf"\b{name}\b.*compare\.input=false\b"):
        run_settings(composed(tmp_path, *words, "compare.input=true"))
