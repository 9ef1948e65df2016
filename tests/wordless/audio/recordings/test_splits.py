"""Splits: every protocol, lists of a data set, folds; groups kept whole, and errors that name what is wrong."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise, product, zip_longest
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wordless.audio.conftest import Tone
from wordless.audio.recordings import splits
from wordless.audio.recordings.corpus import build_manifest, find_recordings
from wordless.audio.recordings.corpus_config import CorpusConfig
from wordless.audio.recordings.manifest import SPLITS, Clip, Clips, Rejected, Split
from wordless.audio.recordings.splits import SplitConfig, folds, require_whole_groups
from wordless.base.messages import InputError


def clip(path: str, **known: object) -> Clip:
    return Clip(path=path, num_samples=1, sample_rate=1, size=1, sha256=path, **known)  # type: ignore[arg-type]  # a test's shorthand


def split_clips(clips: Sequence[Clip], config: SplitConfig) -> tuple[tuple[Clip, ...], tuple[Rejected, ...]]:
    divided, rejected = splits.split_clips(table(clips), config)
    return divided.clips, rejected


def table(clips: Iterable[Clip]) -> Clips:
    return Clips.from_rows(Path("here"), clips)


def digits(groups: Iterable[str] = ("ann", "bob", "cyd", "dan"), takes: int = 10) -> list[Clip]:
    return [
        clip(f"{label}_{group}_{index}.wav", label=label, group=group, index=index, fold=str(index % 5))
        for label in ("no", "yes")
        for group in groups
        for index in range(takes)
    ]


def splits_of(clips: Sequence[Clip], field: str) -> dict[object, set[str]]:
    found: dict[object, set[str]] = defaultdict(set)
    for each in clips:
        found[getattr(each, field)].add(each.split)
    return found


def test_named_clips_stand_in_their_split_and_others_are_set_aside() -> None:
    divided, rejected = split_clips(digits(), SplitConfig(by="index", test=("0-2",), validation=("3-4", 6)))
    indices = {split: {each.index for each in divided if each.split == split} for split in SPLITS}
    assert indices == {"test": {0, 1, 2}, "validation": {3, 4, 6}, "train": {5, 7, 8, 9}}
    assert not rejected
    divided, _ = split_clips(digits(), SplitConfig(by="group", test=("ann",), validation=("cyd",)))
    assert splits_of(divided, "group") == {"ann": {"test"}, "bob": {"train"}, "cyd": {"validation"}, "dan": {"train"}}
    config = SplitConfig(by="fold", test=(4,), validation=("0",), shared_groups=True)
    divided, _ = split_clips(digits(), config)
    assert splits_of(divided, "fold")["4"] == {"test"}
    assert splits_of(divided, "fold")["0"] == {"validation"}
    config = SplitConfig(by="group", train=("ann",), validation=("bob",), test=("cyd",))
    divided, rejected = split_clips(digits(), config)
    assert len(divided) == 60
    assert all("group" in each.reason for each in rejected)
    assert len(rejected) == 20


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 9)), min_size=13, max_size=60),
    st.integers(0, 5),
    st.sampled_from([0.0, 0.1, 0.4]),
    st.sampled_from([0.0, 0.1, 0.4]),
)
def test_drawn_splits_are_whole(known: list[tuple[str, int | None]], seed: int, validation: float, test: float) -> None:
    clips = [
        clip(f"{number}.wav", label=label, group=None if group is None else f"{label}{group}")
        for number, (label, group) in enumerate(known)
    ]
    if len({each.group or each.path for each in clips}) < 9:
        return
    config = SplitConfig(seed=seed, validation_fraction=validation, test_fraction=test)
    divided, rejected = split_clips(clips, config)
    assert not rejected
    assert [each.path for each in divided] == [each.path for each in clips]
    assert all(len(splits) == 1 for group, splits in splits_of(divided, "group").items() if group)
    wanted = {"train"} | ({"validation"} if validation else set()) | ({"test"} if test else set())
    assert {each.split for each in divided} == wanted
    shuffled, _ = split_clips(clips[::-1], config)
    assert sorted(shuffled, key=lambda each: each.path) == sorted(divided, key=lambda each: each.path)


def test_hash_draws_a_share_of_every_label_by_the_seed_also_of_odd_names() -> None:
    clips = [clip(f"{label}/{n}.wav", label=label) for label in "abc" for n in range(40)]
    divided, _ = split_clips(clips, SplitConfig())
    shares = Counter((each.label, each.split) for each in divided)
    assert all(shares[label, split] == (32 if split == "train" else 4) for label in "abc" for split in SPLITS)
    clips = [clip(f"{n}.wav") for n in range(50)]
    both = (split_clips(clips, SplitConfig(seed=seed))[0] for seed in (0, 1))
    drawn = [{each.path for each in divided if each.split == "test"} for divided in both]
    assert drawn[0] != drawn[1]
    clips = [clip(f"{number}\udcff.wav") for number in range(20)]
    assert {each.split for each in split_clips(clips, SplitConfig())[0]} == {"train", "validation", "test"}


def test_an_added_recording_moves_at_most_one_of_its_class_over_each_border() -> None:
    clips = [clip(f"{label}/{n}.wav", label=label) for label in "ab" for n in range(40)]
    before = {each.path: each.split for each in split_clips(clips, SplitConfig())[0]}
    moved = list[list[str]]()
    for number in range(30):
        more = [*clips, clip(f"a/new{number}.wav", label="a")]
        after = {each.path: each.split for each in split_clips(more, SplitConfig())[0]}
        moved.append([path for path, split in before.items() if after[path] != split])
    assert all(len(paths) <= 2 and all(path.startswith("a/") for path in paths) for paths in moved)
    assert any(not paths for paths in moved)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("big", "others"), [(100, 2), (40, 4), (30, 9)])
def test_groups_of_unequal_size_are_drawn_by_their_clips(seed: int, big: int, others: int) -> None:
    sizes = [others] * 7 + [big] + [others + 1] * 7
    clips = [
        clip(f"{group}/{number}.wav", label="xy"[number % 2], group=f"g{group}")
        for group, size in enumerate(sizes)
        for number in range(size)
    ]
    config = SplitConfig(seed=seed)
    divided, _ = split_clips(clips, config)
    shares = {split: sum(each.split == split for each in divided) / len(clips) for split in SPLITS}
    nearest = (others + 1) / len(clips)  # a group more or less
    assert all(abs(shares[split] - 0.1) <= nearest for split in ("validation", "test"))
    assert not splits.division_notices(table(divided), config)


def test_shares_that_groups_cannot_have_are_told() -> None:
    clips = [clip(f"{group}/{n}.wav", group=group) for group in "abc" for n in range(10)]
    divided, _ = split_clips(clips, SplitConfig())
    (told,) = splits.division_notices(table(divided), SplitConfig())
    assert all(each in told for each in ("validation has 33 %", "test has 33 %", "where 10 %", "`split.seed`"))
    named = SplitConfig(by="group", test=("a",))
    (told,) = splits.division_notices(table(split_clips(clips, named)[0]), named)
    assert "test has" not in told
    both = SplitConfig(by="group", test=("a",), validation=("b",))
    assert not splits.division_notices(table(split_clips(clips, both)[0]), both)


def test_names_of_options_are_one_in_each_form_of_unicode() -> None:
    clips = digits(["Jos\u00e9", "bob", "cyd"])
    divided, _ = split_clips(clips, SplitConfig(by="group", test=("Jose\u0301",), validation=("bob",)))
    assert splits_of(divided, "group")["Jos\u00e9"] == {"test"}


def test_rare_labels_train_where_others_suffice_and_are_else_drawn_together() -> None:
    common = [clip(f"{label}/{n}.wav", label=label) for label in "ab" for n in range(20)]
    rare = [clip(f"rare{label}/{n}.wav", label=f"rare{label}") for label in range(8) for n in range(label % 2 + 1)]
    for seed in range(5):
        divided, _ = split_clips([*common, *rare], SplitConfig(seed=seed))
        assert {each.split for each in divided if each.path.startswith("rare")} == {"train"}
        assert Counter(each.split for each in divided) == {"train": 32 + 12, "validation": 4, "test": 4}
    divided, _ = split_clips([clip(f"{n}.wav", label=f"{n}") for n in range(20)], SplitConfig())
    assert Counter(each.split for each in divided) == {"train": 16, "validation": 2, "test": 2}


def parts(path: str, *groups: str | None, step: int = 10) -> list[Clip]:
    return [
        replace(clip(path, group=group), segment=number, start=step * number, num_samples=10)
        for number, group in enumerate(groups)
    ]


@pytest.mark.parametrize("by", ["hash", "group"])
@pytest.mark.parametrize("seed", range(5))
def test_a_recording_of_several_groups_stays_in_one_split(by: Literal["hash", "group"], seed: int) -> None:
    clips = [each for number in range(8) for each in parts(f"{number}.wav", f"s{2 * number}", f"s{2 * number + 1}")]
    clips += [*parts("8.wav", "s1", "s2"), *(parts("9.wav", None, "s15") if by == "hash" else ())]
    divided, rejected = split_clips(clips, SplitConfig(by=by, seed=seed))
    assert not rejected
    assert len(divided) == len(clips)
    for field in ("path", "group"):
        found = splits_of([each for each in divided if getattr(each, field)], field)
        assert {len(splits) for splits in found.values()} == {1}
    assert {each.split for each in divided} == set(SPLITS)


def test_a_recording_of_a_group_to_test_trains_nothing() -> None:
    groups = {"a.wav": ("ann", "bob"), "b.wav": ("bob",), "c.wav": ("cyd", "ann"), "d.wav": ("cyd",)}
    clips = [each for path, of_path in groups.items() for each in parts(path, *of_path)]
    divided, rejected = split_clips(clips, SplitConfig(by="group", test=("ann",), validation=("cyd",)))
    assert {(each.path, each.group): each.split for each in divided} == {
        ("a.wav", "ann"): "test", ("b.wav", "bob"): "train", ("c.wav", "ann"): "test", ("d.wav", "cyd"): "validation",
    }  # fmt: skip
    assert [each.path.partition("#")[0] for each in rejected] == ["a.wav", "c.wav"]
    assert ["bob" in rejected[0].reason, "cyd" in rejected[1].reason] == [True, True]


def test_overlapping_parts_of_a_table_stand_in_one_split() -> None:
    order: list[tuple[Split, ...]] = [("train", "validation", "test"), ("validation", "test", "train")]
    clips = [
        replace(each, split=split)
        for number, splits in enumerate(order)
        for each, split in zip(parts(f"{number}.wav", None, None, None, step=8), splits, strict=True)
    ]
    config = SplitConfig(by="table")
    divided, rejected = split_clips(clips, config)
    assert [(each.path, each.start) for each in divided] == [("0.wav", 0), ("0.wav", 16), ("1.wav", 0), ("1.wav", 16)]
    assert len(rejected) == 2
    apart = tuple(replace(each, start=10 * each.start) for each in clips)
    assert split_clips(apart, config) == (apart, ())


@pytest.mark.parametrize(
    ("clips", "values", "message"),
    [
        (digits(), {"by": "group", "test": ("anne",)}, r"group 'anne'.*'ann', 'bob'"),
        (digits(), {"by": "group", "test": ("ann",), "validation": ("ann",)}, "group 'ann'"),
        (digits(), {"by": "index", "test": ("4-0",)}, r"index '4-0'"),
        (digits(), {"by": "index", "test": ("a",)}, r"index 'a'"),
        (digits(), {"by": "index", "test": ("0-9",)}, r"split\.by is index\b.*\b80 clips"),
        (
            digits(),
            {"by": "index", "test": ("0-4",), "validation": ("4-5",)},
            r"^split\.test\b.*index '4'.*\bvalidation\b",
        ),
        (digits(), {"by": "fold", "test": ("0",), "validation": ("1",)}, r"group 'ann'.* splits"),
        (digits(["ann", "bob"]), {"by": "group"}, r"\(40 in 2 groups\b.*groups"),
        ([clip("a.wav", group="x"), clip("b.wav")], {"by": "group"}, r"split\.by is group\b.*b\.wav\b"),
        ([clip("a.wav")], {}, r"split\b.*\(1\)"),
        ([], {"validation_fraction": 0.5, "test_fraction": 0.5}, r"0\.5\b.*train"),
        ([], {"by": "hash", "test": ("a",)}, r"hash.*names"),
        ([], {"by": "index"}, r"index.*names"),
        ([], {"by": "lists"}, r"lists.*names"),
        ([], {"by": "group", "shared_groups": True}, "shared_groups"),
    ],
)
def test_splits_that_cannot_be_made_say_why(clips: list[Clip], values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_clips(clips, SplitConfig(**values))


def test_large_shares_leave_a_group_to_train() -> None:
    divided, _ = split_clips(digits(), SplitConfig(by="group", validation_fraction=0.49, test_fraction=0.49))
    assert sorted(Counter(each.split for each in divided).values()) == [20, 20, 40]  # of two groups, and one each
    assert {each.split for each in divided} == {*SPLITS}


def test_three_groups_suffice() -> None:
    divided, _ = split_clips(digits(["ann", "bob", "cyd"]), SplitConfig(by="group"))
    assert sorted(map(sorted, splits_of(divided, "group").values())) == [["test"], ["train"], ["validation"]]


NUMBERS = st.text("0123456789-", max_size=6) | st.sampled_from(["9" * 5000, "0-" + "9" * 5000, str(2**63), "\u0663"])
NAMES = NUMBERS | st.text(max_size=5) | st.integers() | st.sampled_from([10**5000, "[", "*" * 50])


@given(
    by=st.sampled_from(["hash", "group", "index", "folder", "fold", "table", "lists"]),
    names=st.lists(NAMES),
    fraction=st.floats(),
)
def test_any_names_and_fractions_divide_clips_or_are_refused(by: str, names: list[str | int], fraction: float) -> None:
    clips = [
        clip(f"{number % 3}/{number}.wav", label="up", group=str(number % 4), index=number, fold=str(number))
        for number in range(6)
    ]
    try:
        config = SplitConfig(by=by, test=tuple(names), validation_fraction=fraction)  # type: ignore[arg-type]  # any text
        divided, rejected = split_clips(clips, config)
    except InputError:
        return
    assert len(divided) + len(rejected) == len(clips)


SPLIT = SplitConfig(by="lists", validation=("validation_list.txt",), test=("testing_list.txt",))
Write = Callable[..., CorpusConfig]

WORDS, SPEAKERS = ("bed", "cat"), ("0a", "0b", "0c")


@pytest.fixture
def commands(tmp_path: Path, tone: Tone) -> Write:
    """Two words by three speakers, and noise; ``lists`` are the contents of the lists by their names."""
    for number, (word, speaker) in enumerate(product(WORDS, SPEAKERS)):
        tone(f"{word}/{speaker}_nohash_0.wav", seconds=0.1 + 0.01 * number)
    tone("_background_noise_/pink_noise.wav", seconds=0.5)

    def write(split: SplitConfig = SPLIT, **lists: str | bytes) -> CorpusConfig:
        for name, content in lists.items():
            (tmp_path / f"{name}.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
        pattern = "{label}/{group}_nohash_{index}.wav"
        return CorpusConfig(root=str(tmp_path), split=split, pattern=pattern)

    return write


VALIDATION, TEST = "bed/0b_nohash_0.wav\ncat/0b_nohash_0.wav\n", "bed/0c_nohash_0.wav\r\n\n ./cat/0c_nohash_0.wav "


def paths_of_splits(manifest: Clips) -> list[list[str]]:
    return [[clip.path for clip in manifest.of(split)] for split in SPLITS]


def test_lists_name_the_clips_of_their_split_and_all_others_train(commands: Write) -> None:
    manifest, rejected = build_manifest(commands(validation_list=VALIDATION, testing_list=TEST))
    assert paths_of_splits(manifest) == [[f"{word}/{speaker}_nohash_0.wav" for word in WORDS] for speaker in SPEAKERS]
    assert [each.path for each in rejected] == ["_background_noise_/pink_noise.wav"]


def test_lists_need_not_name_every_split_nor_only_clips_of_the_corpus(commands: Write) -> None:
    config = commands(SplitConfig(by="lists", test=("testing_list.txt",)), testing_list=TEST)
    train, validation, test = paths_of_splits(build_manifest(config)[0])
    assert test == ["bed/0c_nohash_0.wav", "cat/0c_nohash_0.wav"]
    assert len(validation) == len(train) == 2  # one speaker each, with both words
    test_list = f"{TEST}\n_background_noise_/pink_noise.wav\n"
    config = commands(replace(SPLIT, train=("train.txt",)), train="cat/0a_nohash_0.wav", testing_list=test_list)
    manifest, rejected = build_manifest(commands(config.split, validation_list=VALIDATION))
    assert [each for each in manifest.notices if each.startswith("testing_list.txt names 1 recording")]
    assert [len(paths) for paths in paths_of_splits(manifest)] == [1, 2, 2]
    assert "`split`" in {each.path: each.reason for each in rejected}["bed/0a_nohash_0.wav"]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"validation": VALIDATION, "testing": VALIDATION},
         r"list\.txt:1: bed/0b\S+ .*\btest\b.*\bvalidation\b.*list\.txt:1\b"),
        ({"testing": TEST}, r"^split\.validation.*validation_list\.txt"),
        ({"testing": TEST, "validation": b"a.wav\n\xff"}, r"^split\.validation.*validation_list\.txt cannot be read"),
    ],
)  # fmt: skip
def test_contradicting_lists_are_refused_by_line(commands: Write, lists: dict[str, str | bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_recordings(commands(**{f"{name}_list": content for name, content in lists.items()}))


values = st.lists(st.sampled_from("abcdefg"), min_size=3, max_size=40).filter(lambda each: len(set(each)) >= 3)


def corpus(groups: Sequence[str | None], given_folds: Sequence[str] = ()) -> Clips:
    known = enumerate(zip_longest(groups, given_folds))
    return table(clip(f"{number:03}.wav", group=group, fold=fold) for number, (group, fold) in known)


@given(values)
def test_each_group_is_test_once_and_the_next_validates(groups: list[str]) -> None:
    made = folds(corpus(groups), "group")
    names = sorted(set(groups))
    assert [fold.name for fold in made] == names
    for place, fold in enumerate(made):
        splits = {split: {clip.group for clip in fold.of(split)} for split in SPLITS}
        following = names[(place + 1) % len(names)]
        assert splits == {"test": {fold.name}, "validation": {following}, "train": {*names} - {fold.name, following}}
        assert [clip.path for clip in fold.clips] == [clip.path for clip in corpus(groups).clips]


@given(values, st.integers(1, 8))
def test_some_folds_are_folds_of_all_and_spread_out(groups: list[str], at_most: int) -> None:
    every, some = folds(corpus(groups), "group"), folds(corpus(groups), "group", at_most=at_most)
    places = [every.index(fold) for fold in some]
    assert len(some) == min(at_most, len(every))
    steps = {later - earlier for earlier, later in pairwise(places)}
    assert max(steps, default=1) - min(steps, default=1) <= 1


def test_given_folds_are_taken_as_they_are() -> None:
    made = folds(corpus("abcabc", "123123"), "fold")
    tests = [[clip.path for clip in fold.of("test")] for fold in made]
    assert tests == [[f"{number:03}.wav", f"{number + 3:03}.wav"] for number in range(3)]


def test_a_group_in_train_and_test_is_caught() -> None:
    fold = folds(corpus("abcabc"), "group")[0]
    require_whole_groups(fold)
    leaked = replace(fold.of("test")[0], split="train")
    clips = tuple(leaked if clip.path == leaked.path else clip for clip in fold.clips)
    with pytest.raises(InputError, match=r"group 'a'.*splits"):
        require_whole_groups(table(clips))


def test_folds_divide_no_recording_and_share_no_sound() -> None:
    whole = corpus("abcd")
    shared = tuple(replace(clip, path="one.wav", segment=number) for number, clip in enumerate(whole.clips[:2]))
    with pytest.raises(InputError, match=r"one\.wav.*'a'.*'b'"):
        folds(Clips.from_rows(whole.root, (*shared, *whole.clips[2:])), "group")
    whole = corpus("abc", "123")
    numbered = enumerate(whole.clips)
    shared = tuple(replace(clip, path="one.wav", segment=n, start=n, num_samples=2) for n, clip in numbered)
    with pytest.raises(InputError, match=r"one\.wav.*fold"):
        folds(Clips.from_rows(whole.root, shared), "fold")
    apart = tuple(replace(clip, num_samples=1) for clip in shared)
    assert len(folds(Clips.from_rows(whole.root, apart), "fold")) == 3
    for few, message in ((["a", "b", None], r"1 of 3 clips .*002\.wav"), ("aba", r"2 groups.*\b3\b"), ("", "0 groups")):
        with pytest.raises(InputError, match=message):
            folds(corpus(few), "group")
