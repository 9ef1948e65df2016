"""Recordings and their facts in tar shards."""

import gzip
import io
import json
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from tests.wordless.audio.recordings.packed_files import samples, sound, takes, write_tar
from wordless.audio.recordings.packed import DamageError, open_shards


class Read:
    """What a shard holds: recordings and their facts, and parts that are set aside, or the damage of the shard."""

    def __init__(self, path: Path) -> None:
        self.sounds: dict[str, bytes] = {}
        self.facts: dict[str, dict[str, str]] = {}
        self.broken: dict[str, str] = {}
        self.damage = ""
        try:
            for row, blocks in open_shards(str(path)).files[0].read():
                if row.reason:
                    self.broken[row.path] = row.reason
                else:
                    self.sounds[row.path], self.facts[row.path] = b"".join(blocks), row.fields
        except DamageError as error:
            self.damage = str(error)


def test_members_of_one_name_are_a_sample(tmp_path: Path) -> None:
    read = Read(write_tar(tmp_path / "a.tar", samples(takes(3))))
    assert read.sounds == {each.path: each.content for each in takes(3)}
    assert read.facts["clip_01.wav"] == {"cls": "1", "speaker": "s0"}
    assert not read.broken


def test_samples_are_those_of_webdataset(tmp_path: Path) -> None:
    """The oracle: keys and members as `webdataset` divides and groups them, without decoding."""
    webdataset = pytest.importorskip("webdataset", reason="needs pip install 'wordless[datasets]'")
    members = [
        *("a/x.wav", "a/x.cls", "a/y.v2.wav", "a/y.txt", "b.c/z.flac", "b.c/z.json", "__meta__.wav", "noending"),
        *("UP.WAV", "UP.CLS"),
    ]
    contents = [(name, b'{"label": 1}' if name.endswith("json") else b"7") for name in members]
    path = write_tar(tmp_path / "a.tar", contents)
    read = Read(path)
    endings = ("wav", "flac")
    wanted: dict[str, set[str]] = {}
    for sample in webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False):
        found = {ending for ending in sample if ending.split(".")[-1] in endings}
        wanted |= {sample["__key__"]: found} if found else {}
    assert {f"{key}.{ending}".lower() for key, all_of in wanted.items() for ending in all_of} == {
        name.lower() for name in read.sounds
    }
    assert read.facts["a/x.wav"] == read.facts["UP.WAV"] == {"cls": "7"}
    assert (read.facts["a/y.v2.wav"], read.facts["b.c/z.flac"]) == ({"txt": "7"}, {"label": "1"})


def linked(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ("../up.wav", "leads out"),
        ("a/../../up.wav", "leads out"),
        ("/tmp/up.wav", "leads out"),
        ("a\\..\\up.wav", "leads out"),
        ("C:up.wav", "leads out"),
        ("tab\there.wav", "control characters"),
        ("not utf-8 \udcff.wav", "control characters"),
        (f"{'l' * 240}.wav", "too long"),
        ("/".join("d" * 40) + "/a.wav", "too long"),
        (linked("a.wav", tarfile.SYMTYPE), "a link to '/etc/passwd'"),
        (linked("a.wav", tarfile.LNKTYPE), "a link to '/etc/passwd'"),
        (linked("a.wav", tarfile.FIFOTYPE), "not a regular file"),
        (linked("a.wav", tarfile.CHRTYPE), "not a regular file"),
    ],
)
def test_unsafe_members_are_set_aside(member: str | tarfile.TarInfo, told: str, tmp_path: Path) -> None:
    content = b"" if isinstance(member, tarfile.TarInfo) else sound(0)
    read = Read(write_tar(tmp_path / "a.tar", [(member, content), ("good.wav", sound(1))]))
    assert read.sounds == {"good.wav": sound(1)}
    assert [told in reason for reason in read.broken.values()] == [True]


def test_an_unsafe_member_takes_no_other_of_its_name_with_it(tmp_path: Path) -> None:
    link = linked("a.wav", tarfile.SYMTYPE)
    assert Read(write_tar(tmp_path / "a.tar", [(link, b""), ("a.wav", sound(1))])).sounds == {"a.wav": sound(1)}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", b"{no json", "JSON"),
        ("a.json", b"[1]", "object"),
        ("a.txt", b"\xff\xfe", "UTF-8"),
        ("a.txt", b"x" * (1 << 21), "bytes"),
        ("A.wav", sound(2), "same name"),
    ],
)
def test_broken_facts_are_set_aside_with_their_sample(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("a.wav", sound(0)), (name, content), ("b.wav", sound(1))])
    read = Read(path)
    assert list(read.sounds) == ["a.wav", "b.wav"] if name == "A.wav" else ["b.wav"]
    assert [(broken, told in reason) for broken, reason in read.broken.items()] == [(name, True)]


@pytest.mark.parametrize(("name", "content"), [("a.wav", sound(2)), ("a.cls", b"2")])
def test_of_two_members_of_one_name_the_first_is_kept(name: str, content: bytes, tmp_path: Path) -> None:
    members = [("a.wav", sound(0)), ("a.cls", b"1"), (name, content)]
    read = Read(write_tar(tmp_path / "a.tar", members))
    assert (read.sounds, read.facts) == ({"a.wav": sound(0)}, {"a.wav": {"cls": "1"}})
    assert list(read.broken) == [name]


def test_members_that_are_not_read_take_no_memory(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [(f"{number}.npy", b"") for number in range(3_000)])
    tracemalloc.start()
    try:
        assert list(Read(path).broken) == ["*.npy"]
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_hidden_members_are_left_alone_and_those_of_other_kinds_are_counted(tmp_path: Path) -> None:
    others = [("a.pyd", b"cos\n"), ("b.PYD", b"cos\n"), ("a/._b.wav", b"?"), ("a/.b", b"?"), ("README", b"?")]
    path = write_tar(tmp_path / "a.tar", [("a.wav", sound(0)), *others])
    read = Read(path)
    assert (read.facts, set(read.broken)) == ({"a.wav": {}}, {"*.pyd", "*"})
    assert all(each in read.broken["*.pyd"] for each in ("2 members", "a.pyd"))


def test_a_thousand_kinds_of_members_are_few_lines(tmp_path: Path) -> None:
    read = Read(write_tar(tmp_path / "a.tar", [(f"a.{number}", b"") for number in range(1_000)]))
    assert len(read.broken) < 30


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_compressed_shards_are_read(mode: str, tmp_path: Path) -> None:
    path = write_tar(tmp_path / f"a.tar.{mode[2:]}", samples(takes(3)), mode)
    assert len(Read(path).sounds) == 3
    path.write_bytes(path.read_bytes()[:-200])
    assert Read(path).damage


def members_of(count: int) -> bytes:
    """The bytes of a tar file with so many recordings, and its end mark."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for each in takes(count):
            member = tarfile.TarInfo(each.path)
            member.size = len(each.content)
            archive.addfile(member, io.BytesIO(each.content))
    return file.getvalue()


@pytest.mark.parametrize("part", [0.3, 0.5, 0.7])
def test_a_shard_that_is_cut_off_is_damaged(part: float, tmp_path: Path) -> None:
    content = members_of(10)
    (tmp_path / "a.tar").write_bytes(content[: round(len(content) * part)])
    assert Read(tmp_path / "a.tar").damage


def test_a_shard_that_is_cut_off_between_two_members_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(members_of(4)[: tarfile.BLOCKSIZE * 8 * 2])
    assert "end mark" in Read(tmp_path / "a.tar").damage


def test_a_damaged_header_is_noticed(tmp_path: Path) -> None:
    """The standard library takes the first header that it does not understand for the end."""
    content = bytearray(members_of(4))
    header = tarfile.BLOCKSIZE * 8 * 2
    assert bytes(content[header : header + 7]) == b"clip_02"
    content[header : header + 512] = b"\x80" * 512
    (tmp_path / "a.tar").write_bytes(content)
    assert Read(tmp_path / "a.tar").damage


def test_what_is_no_shard_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar file")
    (tmp_path / "b.tar").write_bytes(gzip.compress(b"no tar file either"))
    assert Read(tmp_path / "a.tar").damage
    assert Read(tmp_path / "b.tar").damage


def test_a_member_that_claims_to_be_huge_costs_nothing(tmp_path: Path) -> None:
    member = tarfile.TarInfo("huge.wav")
    member.size = 1 << 50
    (tmp_path / "a.tar").write_bytes(member.tobuf(format=tarfile.GNU_FORMAT) + sound(0))
    assert Read(tmp_path / "a.tar").damage


def test_facts_of_json_are_text(tmp_path: Path) -> None:
    values = {"n": 3, "x": 1.5, "on": True, "none": None, "several": ["a", "b"], "deep": {"a": 1}, "cls": "not this"}
    members = [("a.wav", sound(0)), ("a.cls", b"7\n"), ("a.json", json.dumps(values).encode())]
    read = Read(write_tar(tmp_path / "a.tar", members))
    assert read.facts["a.wav"] == {"cls": "7", "n": "3", "x": "1.5", "on": "True", "several": "a;b"}
