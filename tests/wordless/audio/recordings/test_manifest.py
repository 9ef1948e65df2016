"""Manifests: an exact round trip, and a hash that moves with the corpus."""

import pickle
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.measured import succeeds_or_names
from tests.rejected import read_rejected
from wordless.audio.recordings import manifest
from wordless.audio.recordings.inspection import frequent_reasons
from wordless.audio.recordings.manifest import Clip, Clips, Rejected, choose_randomly, write_manifest
from wordless.audio.waveform import Part
from wordless.base.arrays import write_table
from wordless.base.messages import InputError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n"), min_size=1)
COUNT = st.integers(0, 10**12)
CLIPS = st.builds(
    Clip,
    path=TEXT,
    segment=st.none() | COUNT,
    start=COUNT,
    num_samples=COUNT,
    trimmed=COUNT,
    sample_rate=st.integers(1, 10**6),
    size=COUNT,
    sha256=TEXT,
    label=st.none() | TEXT,
    group=st.none() | TEXT,
    index=st.none() | COUNT,
    fold=st.none() | TEXT,
    table_channel=st.none() | COUNT,
    split=st.sampled_from(manifest.SPLITS),
)
CLIP = Clip(path="a b/(ü)\x85\u2028.wav", num_samples=8_000, sample_rate=16_000, size=16_044, sha256="0" * 64)
CLIP = replace(CLIP, label="up")


@given(st.lists(CLIPS))
def test_a_manifest_is_read_as_it_was_written(clips: list[Clip]) -> None:
    table = Clips.from_rows(Path("corpus"), clips)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.tsv"
        write_manifest(table, path)
        assert manifest.read_manifest(path, Path("corpus")) == table


QUOTED = ["tick", '"un', '7 inch"', '"two" words', "'em", '"whole"', '""', '"']


def test_pandas_reads_all_cells_with_quotation_marks(tmp_path: Path) -> None:
    clips = [replace(CLIP, path=f"{number} {label}.wav", label=label) for number, label in enumerate(QUOTED)]
    write_manifest(Clips.from_rows(tmp_path, clips), tmp_path / "manifest.tsv")
    for options in ({"dtype": str, "keep_default_na": False}, {}):
        frame = pandas.read_csv(tmp_path / "manifest.tsv", sep="\t", **options)  # type: ignore[call-overload]  # named
        assert frame.label.tolist() == QUOTED
        assert frame["clip"].tolist() == [clip.path for clip in clips]
    rejected = [Rejected(path=clip.path, reason=f"it is {clip.label}") for clip in clips]
    manifest.write_rejected(rejected, tmp_path / "rejected.tsv")
    assert pandas.read_csv(tmp_path / "rejected.tsv", sep="\t").path.tolist() == [clip.path for clip in clips]
    write_table(tmp_path / "scores.tsv", [{"path": clip.path, "value": 1.5} for clip in clips])
    assert pandas.read_csv(tmp_path / "scores.tsv", sep="\t").path.tolist() == [clip.path for clip in clips]


@pytest.mark.parametrize("value", ["tab\t", "line\n", "return\r", "half \ud800"])
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError, match="label of clip"):
        write_manifest(Clips.from_rows(tmp_path, (replace(CLIP, label=value),)), tmp_path / "manifest.tsv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train", "trian", r"split\b.*'trian'"), ("8000", "8e3", r"num_samples\b.*'8e3'"),
        ("\tup", "", r"\d+ cells, not \d+"), ("8000", "9" * 5000, r"num_samples\b.*'9{30,40}[^9]"),
        ("16000\t16044", "0\t16044", r"sample_rate\b.*\b0\b"),
    ],
)  # fmt: skip
def test_a_spoilt_manifest_names_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "manifest.tsv"
    write_manifest(Clips.from_rows(tmp_path, (CLIP,)), path)
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    with pytest.raises(InputError, match=rf"manifest\.tsv:2: {message}"):
        manifest.read_manifest(path, tmp_path)


def test_seconds_are_those_that_are_used_and_a_segment_has_a_name_of_its_own() -> None:
    cut = replace(CLIP, start=4_000, num_samples=8_000, trimmed=6_000)
    table = Clips.from_rows(Path("/"), (cut, replace(CLIP, num_samples=16_000)))
    assert (table.seconds, table.trimmed_seconds) == (1.5, 0.375)
    assert cut.part == Part(start=4_000, num_samples=8_000)
    assert (CLIP.name, CLIP.span) == (CLIP.path, None)
    long = replace(CLIP, path="a.wav", segment=0, start=160_000, num_samples=168_000)
    assert (long.name, long.span) == ("a.wav#t=10,20.5", (10.0, 20.5))
    neighbours = [replace(long, sample_rate=1_000_000, start=start) for start in (999_999, 1_000_000, 1_000_001)]
    assert len({clip.name for clip in neighbours}) == 3


def test_another_process_is_sent_the_table_alone() -> None:
    clips = Clips.from_rows(Path("corpus"), [CLIP, replace(CLIP, path="b.wav", split="test")])
    before = pickle.dumps(clips)
    assert len(clips.clips) == 2 * len(clips.only("test").clips)
    assert len(pickle.dumps(clips)) == len(before)
    sent = pickle.loads(pickle.dumps(clips))
    assert sent == clips
    assert sent.only("test") == clips.only("test")


def test_another_table_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.tsv").write_text("path\tlabel\n")
    with pytest.raises(InputError, match=r"manifest\.tsv:1: .*header"):
        manifest.read_manifest(tmp_path / "manifest.tsv", tmp_path)


def test_rejected_files_are_read_as_they_were_written_and_counted_by_kind(tmp_path: Path) -> None:
    rejected = (Rejected(path="a.wav", reason="empty"), Rejected(path="b c.wav", reason="too short: 0.01 s"))
    manifest.write_rejected(rejected, tmp_path / "rejected.tsv")
    assert read_rejected(tmp_path / "rejected.tsv") == rejected
    rejected = [Rejected(path=f"{n}.wav", reason=f"damaged: {n} of 9 samples", kind="damaged") for n in range(3)]
    manifest.write_rejected(rejected, tmp_path / "rejected.tsv")
    assert frequent_reasons(read_rejected(tmp_path / "rejected.tsv")) == "3 damaged"
    manifest.write_rejected([Rejected(path="a\t\udcff.wav", reason="empty")], tmp_path / "rejected.tsv")
    assert read_rejected(tmp_path / "rejected.tsv")[0].path == r"a\t\udcff.wav"


def test_the_hash_of_the_sound_is_of_what_is_heard_alone() -> None:
    clip = Clip(path="a/b.wav", num_samples=10, sample_rate=8000, size=44, sha256="ab", label="a", group="b")
    test = replace(clip, path="a/c.wav", split="test")
    usual = Clips.from_rows(Path("/"), (clip, test)).only("train").key

    def hashed(*clips: Clip) -> str:
        return Clips.from_rows(Path("elsewhere"), clips).only("train").key

    mended = replace(clip, label="b", group=None, index=3, fold="4")
    assert hashed(mended, replace(test, sha256="cd")) == hashed(clip) == usual
    others = ({"path": "b.wav"}, {"size": 45}, {"segment": 0}, {"sha256": "c"}, {"start": 1}, {"num_samples": 9})
    for other in (replace(clip, **changes) for changes in others):  # type: ignore[arg-type]  # a test's shorthand
        assert hashed(other) != usual
    assert hashed(clip, replace(test, split="train")) != usual


CELLS = st.text(max_size=10) | st.sampled_from(["", "0", "7", "9" * 5000, "train", "\t", "\r", "-1", "a.wav"])


@given(rows=st.lists(st.lists(CELLS, min_size=10, max_size=13), max_size=3), binary=st.binary(max_size=50))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_manifest_holds_it_is_read_or_refused(tmp_path: Path, rows: list[list[str]], binary: bytes) -> None:
    path = tmp_path / "manifest.tsv"
    write_manifest(Clips.from_rows(tmp_path, (CLIP,)), path)
    table = "".join("\t".join(row) + "\n" for row in rows).encode("utf-8", "surrogatepass")
    for content in (path.read_bytes() + table, path.read_bytes() + binary, binary):
        path.write_bytes(content)
        with succeeds_or_names(path, []):
            assert manifest.read_manifest(path, tmp_path).seconds >= 0


MANY = st.lists(st.integers(), max_size=40, unique=True)


@given(items=MANY, count=st.integers(1, 50), seed=st.integers(0, 3))
def test_as_many_as_asked_for_in_their_order_by_the_seed(items: list[int], count: int, seed: int) -> None:
    for chosen in (manifest.choose_evenly(items, count), choose_randomly(items, count, seed=seed)):
        assert len(chosen) == min(count, len(items))
        assert [item for item in items if item in chosen] == chosen
    many = range(100)
    assert choose_randomly(many, 5, seed=seed) == choose_randomly(many, 5, seed=seed) != manifest.choose_evenly(many, 5)
    assert choose_randomly(many, 5, seed=seed) != choose_randomly(many, 5, seed=seed + 1)
