"""Letters of labels: what is refused, what is kept and what looks alike, the same wherever labels are read."""

import json
import unicodedata
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wordless.audio.conftest import corpus_config
from tests.wordless.audio.recordings.annotations.annotated_files import textgrid_text, write_recording
from tests.wordless.audio.recordings.packed_files import save, sound, table
from tests.wordless.audio.recordings.packed_files import takes as packed_takes
from wordless.audio.recordings import letters
from wordless.audio.recordings.corpus import find_recordings
from wordless.audio.recordings.corpus_config import CorpusConfig, Making
from wordless.audio.recordings.description import ColumnConfig
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.messages import InputError
from wordless.base.progress import Terminal

KEPT = {  # text -> label
    "mi\u200cravam": "mi\u200cravam",  # Persian, a non-joiner
    "k\u094d\u200dya": "k\u094d\u200dya",  # Hindi, a joiner
    "donau\u00addampfer": "donau\u00addampfer",
    "\U0001f468\u200d\U0001f469": "\U0001f468\u200d\U0001f469",
    "vraiment\u00a0?": "vraiment ?",
    "a\u2003\u3000b": "a b",
    "\u202fup\u00a0": "up",
    "cafe\u0301": "caf\u00e9",
    "\ufeffup": "up",
    "u\ufeffp": "up",
    "\ue000": "\ue000",  # letters of private use, as fonts of phonetics have them
}
REFUSED = ("a\x1bb", "a\x7f", "a\x85b", "up\x85", "a\u2028b", "\u2029up", "a\x1fb", "a\ufdd0b")
Surface = Callable[[Path, str], CorpusConfig]
LABEL = ColumnConfig(label="label")


def _table(name: str, content: Callable[[str], str]) -> Surface:
    def write(folder: Path, text: str) -> CorpusConfig:
        write_recording(folder / "a.wav", seconds=2)
        (folder / name).write_text(content(text), encoding="utf-8")
        return CorpusConfig(table=str(folder / name))

    return write


def _annotations(name: str, content: Callable[[str], str]) -> Surface:
    def write(folder: Path, text: str) -> CorpusConfig:
        write_recording(folder / "field.wav", seconds=2)
        (folder / name).write_text(content(text), encoding="utf-8")
        return CorpusConfig(root=str(folder))

    return write


def _parquet_table(folder: Path, text: str) -> CorpusConfig:
    write_recording(folder / "a.wav", seconds=2)
    pq.write_table(pa.table({"path": ["a.wav"], "label": [text]}), folder / "t.parquet")
    return CorpusConfig(table=str(folder / "t.parquet"))


def _parquet_data_set(folder: Path, text: str) -> CorpusConfig:
    pq.write_table(pa.table({"audio": [sound(0)], "label": [text]}), folder / "d.parquet")
    return CorpusConfig(dataset=str(folder / "d.parquet"), columns=LABEL)


def _saved_data_set(folder: Path, text: str) -> CorpusConfig:
    save(folder / "saved", [table(packed_takes(1), text=[text])])
    return CorpusConfig(dataset=str(folder / "saved"), columns=ColumnConfig(label="text"))


def _folder(folder: Path, text: str) -> CorpusConfig:
    write_recording(folder / "corpus" / text / "a.wav", seconds=2)
    return CorpusConfig(root=str(folder / "corpus"))


def _name(folder: Path, text: str) -> CorpusConfig:
    write_recording(folder / "corpus" / f"{text}_1.wav", seconds=2)
    return CorpusConfig(root=str(folder / "corpus"), pattern="{label}_{index}.wav", labels="pattern")


def _group(folder: Path, text: str) -> CorpusConfig:
    write_recording(folder / "a.wav", seconds=2)
    (folder / "t.csv").write_text(f'path,label,group\na.wav,x,"{text}"\n', encoding="utf-8")
    return CorpusConfig(table=str(folder / "t.csv"))


def _elan(text: str) -> str:
    slots = "".join(f'<TIME_SLOT TIME_SLOT_ID="{n}" TIME_VALUE="{500 * n}"/>' for n in (1, 2))
    span = 'ANNOTATION_ID="a" TIME_SLOT_REF1="1" TIME_SLOT_REF2="2"'
    value = f"<ALIGNABLE_ANNOTATION {span}><ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>"
    tier = f"<TIER TIER_ID='x'><ANNOTATION>{value}</ANNOTATION></TIER>"
    return f"<ANNOTATION_DOCUMENT><TIME_ORDER>{slots}</TIME_ORDER>{tier}</ANNOTATION_DOCUMENT>"


RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\tWaveform 1\t1\t0.5\t1.0\t"
SURFACES: dict[str, Surface] = {
    "CSV": _table("t.csv", lambda text: f'path,label\na.wav,"{text}"\n'),
    "TSV": _table("t.tsv", lambda text: f"path\tlabel\na.wav\t{text}\n"),
    "JSON lines": _table("t.jsonl", lambda text: f"{json.dumps({'path': 'a.wav', 'label': text})}\n"),
    "Parquet table": _parquet_table,
    "Parquet data set": _parquet_data_set,
    "saved data set": _saved_data_set,
    "folder": _folder,
    "file name": _name,
    "group": _group,
    "TextGrid": _annotations("field.TextGrid", lambda text: textgrid_text({"x": [(0.5, 1.0, text)]}, seconds=2)),
    "ELAN": _annotations("field.eaf", _elan),
    "Raven": _annotations("field.Table.1.selections.txt", lambda text: f"{RAVEN}{text}\n"),
    "Audacity": _annotations("field.txt", lambda text: f"0.5\t1.0\t{text}\n"),
    "label table": _annotations("field.csv", lambda text: f'start,end,label\n0.5,1.0,"{text}"\n'),
    "CTM": _annotations("field.ctm", lambda text: f"field 1 0.5 0.5 {text}\n"),
    "RTTM": _annotations("field.rttm", lambda text: f"SPEAKER field 1 0.5 0.5 <NA> <NA> {text} <NA> <NA>\n"),
    "HTK": _annotations("field.lab", lambda text: f"0.5 1.0 {text}\n"),
}
WRAPPED = ("TextGrid", "ELAN")  # formats in which a line break inside a text is a space


def read(surface: str, folder: Path, text: str) -> tuple[str | None, str]:
    """The label, or the reason why the text was refused."""
    if surface == "saved data set" and find_spec("datasets") is None:
        pytest.skip("needs pip install 'wordless[datasets]'")
    folder.mkdir(exist_ok=True)
    making = Making(folder=lambda: folder / "store", terminal=Terminal(silent=True))
    try:
        found = find_recordings(SURFACES[surface](folder, text), making)
    except InputError as error:
        return None, str(error)
    if not len(found.frame):
        return None, found.rejected[0].reason
    (label,) = found.frame.group if surface == "group" else found.frame.label
    return label, "; ".join(each.reason for each in found.rejected)


@pytest.mark.parametrize("surface", SURFACES)
def test_letters_are_kept_or_refused_alike(surface: str, tmp_path: Path) -> None:
    for number, (text, wanted) in enumerate(KEPT.items()):
        assert read(surface, tmp_path / f"kept{number}", text) == (wanted, ""), ascii(text)
    for number, text in enumerate(REFUSED):
        label, reason = read(surface, tmp_path / f"refused{number}", text)
        assert label is None, ascii(text)
        assert letters.refused(text).partition(" ")[0] in reason or (surface == "ELAN" and "XML" in reason), reason
        assert "\n" not in reason
        named = surface in ("folder", "file name", "ELAN") or any(f"{each}1" in reason for each in (":", "row "))
        assert named or any(f":{line}" in reason for line in range(2, 30)), reason


@pytest.mark.parametrize("surface", SURFACES)
def test_line_breaks_and_tabs_count_where_a_format_wraps_its_lines(surface: str, tmp_path: Path) -> None:
    if surface in ("TSV", "Raven", "Audacity", "CTM", "RTTM", "HTK"):  # there they end a cell or a line
        return
    for number, text in enumerate(("a\nb", "a\tb")):
        label, reason = read(surface, tmp_path / f"{number}", text)
        if surface in WRAPPED:
            assert (label, reason) == ("a b", "")
        else:
            assert label is None
            assert reason


def test_names_of_files_are_found_as_they_are_on_the_disk(tmp_path: Path) -> None:
    names = ("\u00a0a\u2003b.wav", "e\u0301.wav", "mi\u200cr.wav", "x \u2028y.wav")
    for name in names:
        write_recording(tmp_path / "no\u00a0break" / name, seconds=2)
    rows = "".join(f"no\u00a0break/{name}\tno\u00a0break\n" for name in names)
    (tmp_path / "t.tsv").write_text(f"path\tlabel\n{rows}", encoding="utf-8")
    for config in (corpus_config(tmp_path, table="t.tsv"), corpus_config(tmp_path)):
        found = find_recordings(config)
        assert {path.rpartition("/")[2] for path in found.frame.path} == {*names}
        assert all((tmp_path / path).is_file() for path in found.frame.path)
        assert {*found.frame.label} == {"no break"}
    held_out = SplitConfig(by="folder", test=("no\u00a0break",), train=("x",))
    write_recording(tmp_path / "x/a.wav", seconds=2)
    assert "folder" in str(find_recordings(corpus_config(tmp_path, split=held_out)).split_by)


def test_a_recording_in_a_folder_that_cannot_be_a_label_is_set_aside_unless_labels_come_from_elsewhere(
    tmp_path: Path,
) -> None:
    for folder in ("up", "a\x1bb"):
        write_recording(tmp_path / folder / "0.wav", seconds=2)
    found = find_recordings(corpus_config(tmp_path))
    assert [*found.frame.path] == ["up/0.wav"]
    assert "U+001B" in found.rejected[0].reason
    assert len(find_recordings(corpus_config(tmp_path, labels="none")).frame) == 2


ALIKE = [
    ("robin", "Robin"), ("mir", "mi\u200cr"), ("fin", "\ufb01n"), ("a b", "a\u3164b"), ("\u03bcs", "\u00b5s"),
    ("STRASSE", "stra\u00dfe"), ("dog", "\uff24\uff4f\uff47"), ("\u2764", "\u2764\ufe0f"), ("ab", "a\u200bb"),
]  # fmt: skip


@pytest.mark.parametrize("pair", ALIKE)
def test_labels_that_look_alike_are_named_with_the_option_that_joins_them(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    rows = ["path\tlabel"]
    for number, label in enumerate([*pair, pair[0], "other"]):
        write_recording(tmp_path / f"{number}.wav", seconds=2)
        rows.append(f"{number}.wav\t{label}")
    (tmp_path / "t.tsv").write_text("\n".join(rows), encoding="utf-8")
    found = find_recordings(corpus_config(tmp_path, table="t.tsv"))
    (notice,) = (each for each in found.notices if "look alike" in each)
    assert "(2)" in notice
    assert notice.isprintable()
    name, _, other = notice.partition("'{")[2].partition("}'")[0].partition(":")
    joined = find_recordings(corpus_config(tmp_path, table="t.tsv", label_names={name: other}))
    assert {*joined.frame.label} == {pair[0], "other"}
    assert not any("look alike" in each for each in joined.notices)


def test_labels_of_several_looks_are_one_line_and_numbers_are_none(tmp_path: Path) -> None:
    for folder in ("a/Wren", "b/wren", "a/Robin", "b/robin", "c/ROBIN", "c/owl", "a/x", "b/X", "a/y", "b/Y"):
        write_recording(tmp_path / folder / "0.wav", seconds=2)
    (notice,) = (each for each in find_recordings(corpus_config(tmp_path)).notices if "look alike" in each)
    assert all(each in notice for each in ("ROBIN (1) and Robin (1) and robin (1)", "and 1 more", "`label_names`"))
    (tmp_path / "t.tsv").write_text("path\tlabel\na/x/0.wav\t1e3\nb/X/0.wav\t1E3\n")
    numbers = find_recordings(corpus_config(tmp_path, table="t.tsv", label_type="number"))
    assert not any("look alike" in each for each in numbers.notices)


def test_a_new_name_of_a_label_has_no_control_characters(tmp_path: Path) -> None:
    write_recording(tmp_path / "a/0.wav", seconds=2)
    with pytest.raises(InputError, match=r"label_names.*U\+0009"):
        find_recordings(corpus_config(tmp_path, label_names={"a": "x\ty"}))


@given(st.text(st.characters(codec="utf-8")) | st.text(st.sampled_from(letters.SPACES + "\t\n\ufeff\u200c\u0301eab")))
def test_a_plain_text_is_stable(text: str) -> None:
    plain = letters.plain(text)
    assert letters.plain(plain) == plain == unicodedata.normalize("NFC", plain)
    assert letters.plain(unicodedata.normalize("NFD", plain)) == plain
    assert not any(unicodedata.category(each) == "Zs" and each != " " for each in plain)
    kept = [each for each in text if unicodedata.category(each) == "Cf" and each != "\ufeff"]
    assert [each for each in plain if unicodedata.category(each) == "Cf"] == kept
    wrong = [each for each in plain if unicodedata.category(each) in ("Cc", "Zl", "Zp")]
    assert not wrong or letters.refused(plain)
    assert letters.unwrapped(text) == letters.plain(text.replace("\t", " ").replace("\n", " ").replace("\r", " "))
