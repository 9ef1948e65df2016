"""Tables as well-known data sets have them: recordings, labels and speakers are found in their usual places."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.wordless.audio.conftest import Tone
from wordless.audio.recordings.corpus import CorpusConfig, build_manifest, find_recordings
from wordless.audio.recordings.description import ColumnConfig
from wordless.audio.recordings.manifest import Clip
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.errors import InputError

ALL_TRAIN = SplitConfig(validation_fraction=0, test_fraction=0)


def clips(table: Path, **options: object) -> tuple[Clip, ...]:
    config = CorpusConfig(table=str(table), **{"split": ALL_TRAIN, **options})  # type: ignore[arg-type]  # of a user
    manifest, rejected = build_manifest(config)
    assert not rejected
    return manifest.clips


def facts(table: Path, **options: object) -> list[tuple[str, str | None, str | None]]:
    return [(clip.path, clip.label, clip.group) for clip in clips(table, **options)]


SETS = {  # table -> its recordings and its text
    "cv/validated.tsv": (
        ("cv/clips/common_voice_en_1.mp3", "cv/clips/common_voice_en_2.mp3"),
        "client_id\tpath\tsentence_id\tsentence\tup_votes\tage\tgender\tsegment\n"
        'ann\tcommon_voice_en_1.mp3\t1\tShe said "yes".\t2\t\tfemale\t\n'
        "bob\tcommon_voice_en_2\t2\tIt's 5, or 6; no.\t2\ttwenties\t\t\n",
    ),
    "ESC-50/meta/esc50.csv": (
        ("ESC-50/audio/1-A-0.wav", "ESC-50/audio/2-A-14.wav"),
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-A-0.wav,1,0,dog,True,100032,A\n2-A-14.wav,2,14,chirping_birds,False,100038,A\n",
    ),
    "train/metadata.csv": (
        ("train/a.wav", "train/x/b.wav"),
        'file_name,transcription,speaker_id\na.wav,one,7\nx/b.wav,"two, three",8\n',
    ),
    "UrbanSound8K/metadata/UrbanSound8K.csv": (  # start and end are times in the recording before
        ("UrbanSound8K/audio/fold5/3-0-0.wav", "UrbanSound8K/audio/fold10/2-0-117.wav"),
        "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
        "3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n2-0-117.wav,100263,58.5,62.5,1,10,2,children_playing\n",
    ),
    **{
        f"LJSpeech/{name}": (("LJSpeech/wavs/LJ001-0001.wav", "LJSpeech/wavs/LJ001-0002.wav"), text)
        for name in ("metadata.csv", "metadata.txt")
        for text in ('LJ001-0001|"Printing," in the 1|"Printing," in the one, differs\nLJ001-0002|in being|in being\n',)
    },
    "LJSpeech/one.csv": (("LJSpeech/wavs/LJ001-0001.wav",), "LJ001-0001|in 1, differs|in one, differs"),
    "slashes.csv": (("x/y/a.wav",), "path,label\nx\\y\\a.wav,up\n"),
    "backslashes.csv": (("x/y/a.wav", "x\\y\\a.wav"), "path,label\nx\\y\\a.wav,up\n"),
}
TEXT = {"label_type": "text"}
LJ = ("LJSpeech/metadata.csv", "LJSpeech/metadata.txt")


@pytest.mark.parametrize(
    ("table", "options", "expected"),
    [
        ("cv/validated.tsv", TEXT, [("common_voice_en_1.mp3", 'She said "yes".', "ann", None),
                                    ("common_voice_en_2.mp3", "It's 5, or 6; no.", "bob", None)]),
        ("cv/validated.tsv", {"columns": ColumnConfig(label="gender")},
         [("common_voice_en_1.mp3", "female", "ann", None), ("common_voice_en_2.mp3", None, "bob", None)]),
        ("ESC-50/meta/esc50.csv", {}, [("1-A-0.wav", "dog", None, "1"), ("2-A-14.wav", "chirping_birds", None, "2")]),
        ("ESC-50/meta/esc50.csv", {"columns": ColumnConfig(label="target")},
         [("1-A-0.wav", "0", None, "1"), ("2-A-14.wav", "14", None, "2")]),
        ("train/metadata.csv", TEXT, [("a.wav", "one", "7", None), ("x/b.wav", "two, three", "8", None)]),
        ("UrbanSound8K/metadata/UrbanSound8K.csv", {},
         [("fold10/2-0-117.wav", "children_playing", None, "10"), ("fold5/3-0-0.wav", "dog_bark", None, "5")]),
        *((table, options, [("LJ001-0001.wav", text, None, None), ("LJ001-0002.wav", "in being", None, None)])
          for table in LJ for options, text in (
              (TEXT, '"Printing," in the one, differs'),
              (TEXT | {"columns": ColumnConfig(audio="1", label=3)}, '"Printing," in the one, differs'),
              (TEXT | {"columns": ColumnConfig(label=2)}, '"Printing," in the 1'))),
        (LJ[0], {}, [("LJ001-0001.wav", None, None, None), ("LJ001-0002.wav", None, None, None)]),
        ("LJSpeech/one.csv", TEXT, [("LJ001-0001.wav", "in one, differs", None, None)]),
        ("slashes.csv", {}, [("x/y/a.wav", "up", None, None)]),
        ("backslashes.csv", {}, [("x\\y\\a.wav", "up", None, None)]),
    ],
)  # fmt: skip
def test_tables_of_well_known_data_sets_are_read_as_they_are(
    tmp_path: Path,
    tone: Tone,
    table: str,
    options: dict[str, object],
    expected: list[tuple[str, str | None, str | None, str | None]],
) -> None:
    """Paths, labels, groups and folds of whole recordings."""
    found = clips(write(tmp_path, tone, table), **options)
    assert [(clip.path, clip.label, clip.group, clip.fold) for clip in found] == expected
    assert {clip.segment for clip in found} == {None}


def write(folder: Path, tone: Tone, table: str) -> Path:
    recordings, text = SETS[table]
    for name in recordings:
        tone(name)
    (folder / table).parent.mkdir(parents=True, exist_ok=True)
    (folder / table).write_text(text)
    return folder / table


@pytest.mark.parametrize(
    ("table", "options", "told"),
    [("cv/validated.tsv", TEXT, ["client_id", "sentence", "clips"]), (LJ[0], TEXT, ["`columns.label`=3"])],
)
def test_columns_that_were_chosen_by_their_names_are_told(
    tmp_path: Path, tone: Tone, table: str, options: dict[str, Any], told: list[str]
) -> None:
    notices = find_recordings(CorpusConfig(table=str(write(tmp_path, tone, table)), **options)).notices
    assert not [each for each in told if each not in " ".join(notices)]


def test_texts_never_come_from_folders(tmp_path: Path, tone: Tone) -> None:
    tone("up/a.wav")
    table = tmp_path / "t.csv"
    table.write_text("path,words\nup/a.wav,hello\n")
    with pytest.raises(InputError) as caught:
        find_recordings(CorpusConfig(table=str(table), label_type="text"))
    assert all(each in str(caught.value) for each in ("columns.label", "text"))
    with pytest.raises(InputError, match=r"label_type is text"):
        find_recordings(CorpusConfig(root=str(tmp_path), label_type="text"))
    assert facts(table, label_type="text", columns=ColumnConfig(label="words")) == [("up/a.wav", "hello", None)]
    named = CorpusConfig(root=str(tmp_path), label_type="text", pattern="{label}/*")
    assert find_recordings(named).clips[0].label == "up"
    assert facts(table) == [("up/a.wav", "up", None)]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_path_in_another_form_of_unicode_is_found(tmp_path: Path, tone: Tone, form: str) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    folder, name = unicodedata.normalize(form, "été"), unicodedata.normalize(form, "Übung.wav")
    tone(f"{folder}/{name}")
    table = tmp_path / "t.tsv"
    table.write_text(f"path\n{unicodedata.normalize(other, f'{folder}/{name}')}\n")
    assert [clip.path for clip in clips(table)] == [f"{folder}/{name}"]


def test_missing_files_are_counted_or_set_aside(tmp_path: Path, tone: Tone) -> None:
    for take in range(9):
        tone(f"{take}.wav")
    table = tmp_path / "t.tsv"
    table.write_text("\n".join(["path\tlabel", *(f"{take}.wav\t{'ab'[take % 2]}" for take in range(12))]))
    with pytest.raises(InputError) as caught:
        find_recordings(CorpusConfig(table=str(table)))
    assert all(each in str(caught.value) for each in ("t.tsv:11: 9.wav", "3 of 12 files", "missing=list"))
    manifest, rejected = build_manifest(CorpusConfig(table=str(table), missing="list", split=ALL_TRAIN))
    assert len(manifest.clips) == 9
    assert [each.path for each in rejected] == ["10.wav", "11.wav", "9.wav"]
    assert all("t.tsv:" in each.reason for each in rejected)
    table.write_text("path\nx.wav\ny.wav\n")
    with pytest.raises(InputError, match="2 of 2 files"):
        find_recordings(CorpusConfig(table=str(table), missing="list"))
