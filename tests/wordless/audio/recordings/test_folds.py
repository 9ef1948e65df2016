"""Folds: each group (or given fold) once as test."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.audio.recordings.splits import folds, require_disjoint_groups
from wordless.base.errors import InputError

values = st.lists(st.sampled_from("abcdefg"), min_size=3, max_size=40).filter(lambda each: len(set(each)) >= 3)


def corpus(groups: list[str | None], given_folds: list[str | None] | None = None) -> Manifest:
    """A clip of each group in a row."""
    clips = tuple(
        Clip(path=f"{number:03}.wav", num_samples=1, sample_rate=8000, size=1, sha256="", group=group, fold=fold)
        for number, (group, fold) in enumerate(zip(groups, given_folds or [None] * len(groups), strict=True))
    )
    return Manifest(root=Path("here"), clips=clips)


@given(values)
def test_each_group_is_test_once_and_the_next_validates(groups: list[str]) -> None:
    made = folds(corpus([*groups]), "group")
    names = sorted(set(groups))
    assert [fold.name for fold in made] == names
    for place, fold in enumerate(made):
        splits = {split: {clip.group for clip in fold.manifest.of(split)} for split in ("train", "validation", "test")}
        following = names[(place + 1) % len(names)]
        assert splits == {
            "test": {fold.name},
            "validation": {following},
            "train": {*names} - {fold.name, following},
        }
        assert [clip.path for clip in fold.manifest.clips] == [clip.path for clip in corpus([*groups]).clips]


@given(values, st.integers(1, 8))
def test_some_folds_are_folds_of_all_and_spread_out(groups: list[str], at_most: int) -> None:
    every, some = folds(corpus([*groups]), "group"), folds(corpus([*groups]), "group", at_most=at_most)
    places = [every.index(fold) for fold in some]
    assert len(some) == min(at_most, len(every))
    steps = {later - earlier for earlier, later in pairwise(places)}
    assert max(steps, default=1) - min(steps, default=1) <= 1


def test_given_folds_are_taken_as_they_are() -> None:
    made = folds(corpus([*"abcabc"], ["1", "2", "3", "1", "2", "3"]), "fold")
    assert [[clip.path for clip in fold.manifest.of("test")] for fold in made] == [
        ["000.wav", "003.wav"],
        ["001.wav", "004.wav"],
        ["002.wav", "005.wav"],
    ]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a", "b", None], r"1 of 3 clips .*group.*002\.wav"),
        (["a", "b", "a"], r"\b2 groups \(a, b\).*\b3\b"),
        ([], r"\b0 groups\b.*\b3\b"),
    ],
)
def test_what_makes_no_folds_is_refused(groups: list[str | None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        folds(corpus(groups), "group")


def test_no_folds_at_all_are_refused() -> None:
    with pytest.raises(InputError, match=r"\b0 folds"):
        folds(corpus(["a", "b", "c"]), "group", at_most=0)


def test_a_group_in_train_and_test_is_caught() -> None:
    """The mutation: one clip of the speaker who is held out stands in train."""
    fold = folds(corpus(["a", "b", "c", "a", "b", "c"]), "group")[0]
    require_disjoint_groups(fold.manifest)
    leaked = replace(fold.manifest.of("test")[0], split="train")
    clips = tuple(leaked if clip.path == leaked.path else clip for clip in fold.manifest.clips)
    with pytest.raises(InputError, match=r"group 'a'.*splits"):
        require_disjoint_groups(replace(fold.manifest, clips=clips))


def test_folds_by_group_divide_no_recording() -> None:
    whole = corpus(["a", "b", "c", "d"])
    shared = tuple(replace(clip, path="one.wav", segment=number) for number, clip in enumerate(whole.clips[:2]))
    with pytest.raises(InputError, match=r"one\.wav.*'a'.*'b'"):
        folds(replace(whole, clips=(*shared, *whole.clips[2:])), "group")


def test_given_folds_share_no_sound() -> None:
    whole = corpus([*"abc"], ["1", "2", "3"])
    parts = tuple(
        replace(clip, path="one.wav", segment=n, start=n, num_samples=2) for n, clip in enumerate(whole.clips)
    )
    with pytest.raises(InputError, match=r"one\.wav.*fold"):
        folds(replace(whole, clips=parts), "fold")
    apart = tuple(replace(clip, num_samples=1) for clip in parts)
    assert len(folds(replace(whole, clips=apart), "fold")) == 3
