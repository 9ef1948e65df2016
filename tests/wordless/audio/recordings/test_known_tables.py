"""Tables as well-known data sets have them: recordings, labels and speakers are found in their usual places."""

import json
import unicodedata
from pathlib import Path

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


def told(table: Path, **options: object) -> str:
    return " ".join(find_recordings(CorpusConfig(table=str(table), **options)).notices)  # type: ignore[arg-type]


def test_common_voice(tmp_path: Path, tone: Tone) -> None:
    tone("cv/en/clips/common_voice_en_1.mp3")
    tone("cv/en/clips/common_voice_en_2.mp3")
    table = tmp_path / "cv/en/validated.tsv"
    table.write_text(
        "client_id\tpath\tsentence_id\tsentence\tup_votes\tage\tgender\tsegment\n"
        f'{"a" * 128}\tcommon_voice_en_1.mp3\t1\tShe said "yes".\t2\t\tfemale\t\n'
        f"{'b' * 128}\tcommon_voice_en_2\t2\tIt's 5, or 6; no.\t2\ttwenties\t\t\n"
    )
    assert facts(table, label_type="text") == [
        ("common_voice_en_1.mp3", 'She said "yes".', "a" * 128),
        ("common_voice_en_2.mp3", "It's 5, or 6; no.", "b" * 128),
    ]
    assert [clip.label for clip in clips(table, columns=ColumnConfig(label="gender"))] == ["female", None]
    assert all(each in told(table, label_type="text") for each in ("client_id", "sentence", "clips"))


def test_esc_50(tmp_path: Path, tone: Tone) -> None:
    for name in ("1-100032-A-0.wav", "2-100038-A-14.wav"):
        tone(f"ESC-50/audio/{name}")
    table = tmp_path / "ESC-50/meta/esc50.csv"
    table.parent.mkdir()
    table.write_text(
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-100032-A-0.wav,1,0,dog,True,100032,A\n2-100038-A-14.wav,2,14,chirping_birds,False,100038,A\n"
    )
    by_fold = SplitConfig(by="fold", test=("2",), validation_fraction=0)
    assert [(clip.path, clip.label, clip.fold, clip.split) for clip in clips(table, split=by_fold)] == [
        ("1-100032-A-0.wav", "dog", "1", "train"),
        ("2-100038-A-14.wav", "chirping_birds", "2", "test"),
    ]
    assert [clip.label for clip in clips(table, columns=ColumnConfig(label="target"))] == ["0", "14"]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_audio_folder(tmp_path: Path, tone: Tone, name: str) -> None:
    tone("train/a.wav")
    tone("train/x/b.wav")
    rows = [{"file_name": "a.wav", "transcription": "one", "speaker_id": "7"}]
    rows.append({"file_name": "x/b.wav", "transcription": "two, three", "speaker_id": "8"})
    table = tmp_path / "train" / name
    if name.endswith(".csv"):
        table.write_text('file_name,transcription,speaker_id\na.wav,one,7\nx/b.wav,"two, three",8\n')
    else:
        table.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert facts(table, label_type="text") == [("a.wav", "one", "7"), ("x/b.wav", "two, three", "8")]


def test_urban_sound_8k(tmp_path: Path, tone: Tone) -> None:
    for name in ("fold5/100032-3-0-0.wav", "fold10/100263-2-0-117.wav"):
        tone(f"UrbanSound8K/audio/{name}")
    table = tmp_path / "UrbanSound8K/metadata/UrbanSound8K.csv"
    table.parent.mkdir()
    table.write_text(
        "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
        "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n"
        "100263-2-0-117.wav,100263,58.5,62.5,1,10,2,children_playing\n"
    )
    assert [(clip.path, clip.label, clip.fold, clip.segment) for clip in clips(table)] == [
        ("fold10/100263-2-0-117.wav", "children_playing", "10", None),
        ("fold5/100032-3-0-0.wav", "dog_bark", "5", None),
    ]


LJ_SPEECH = (  # the first lines of the data set: a text with commas, and one without
    "LJ001-0001|Printing, in the only sense with which we are at present concerned, differs from most if not from all "
    "the arts and crafts represented in the Exhibition|Printing, in the only sense with which we are at present "
    "concerned, differs from most if not from all the arts and crafts represented in the Exhibition\n"
    "LJ001-0002|in being comparatively modern.|in being comparatively modern.\n"
)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.txt"])
def test_lj_speech(tmp_path: Path, tone: Tone, name: str) -> None:
    for take in ("LJ001-0001.wav", "LJ001-0002.wav"):
        tone(f"LJSpeech-1.1/wavs/{take}")
    table = tmp_path / "LJSpeech-1.1" / name
    table.write_text(LJ_SPEECH)
    first, second = facts(table, label_type="text")
    assert (first[0], second) == ("LJ001-0001.wav", ("LJ001-0002.wav", "in being comparatively modern.", None))
    assert str(first[1]).startswith("Printing, in the only sense")
    assert facts(table, label_type="text", columns=ColumnConfig(audio="1", label=3)) == [first, second]
    assert [label for _, label, _ in facts(table)] == [None, None]
    assert "`columns.label`=3" in told(table, label_type="text")
    table.write_text(LJ_SPEECH.partition("\n")[0])
    assert facts(table, label_type="text") == [first]


def test_lj_speech_with_quotation_marks(tmp_path: Path, tone: Tone) -> None:
    for name in ("LJ001-0001.wav", "LJ001-0002.wav"):
        tone(f"LJSpeech-1.1/wavs/{name}")
    table = tmp_path / "LJSpeech-1.1/metadata.csv"
    table.write_text('LJ001-0001|"Printing," in 2|"Printing," in two\nLJ001-0002|in being|in being\n')
    assert [label for _, label, _ in facts(table, label_type="text")] == ['"Printing," in two', "in being"]
    written = facts(table, label_type="text", columns=ColumnConfig(label=2))
    assert [label for _, label, _ in written] == ['"Printing," in 2', "in being"]


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


def test_backslashes_separate_folders_unless_a_file_has_them(tmp_path: Path, tone: Tone) -> None:
    tone("x/y/a.wav")
    table = tmp_path / "t.csv"
    table.write_text("path,label\nx\\y\\a.wav,up\n")
    assert facts(table) == [("x/y/a.wav", "up", None)]
    tone("x\\y\\a.wav")
    assert facts(table) == [("x\\y\\a.wav", "up", None)]


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


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"root": "ROOT", "columns": ColumnConfig(group="speaker")}, "columns.group is speaker"),
        ({"root": "ROOT", "labels": "none", "label_names": {"a": "b"}}, "label_names"),
        ({"root": "ROOT", "label_names": {"left": "right"}}, "label_names"),
    ],
)
def test_options_without_an_effect_are_refused(
    tmp_path: Path, tone: Tone, options: dict[str, object], named: str
) -> None:
    tone("a/up_ann.wav")
    (tmp_path / "t.csv").write_text("path,label,speaker,word\na/up_ann.wav,up,ann,down\n")
    places = {"ROOT": str(tmp_path), "TABLE": str(tmp_path / "t.csv")}
    given = {name: places.get(value, value) if isinstance(value, str) else value for name, value in options.items()}
    with pytest.raises(InputError) as caught:
        find_recordings(CorpusConfig(**given))  # type: ignore[arg-type]  # what a user may give
    assert named in str(caught.value)
