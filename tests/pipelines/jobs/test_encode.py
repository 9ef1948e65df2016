"""``wordless encode``, on recordings of several formats."""

import multiprocessing
import os
import shutil
import time
from itertools import groupby
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import soundfile

from pipelines.store.store import checkpoints_of, note_finished
from tests.calling import encode, find, options_of, score
from tests.hostile.audio_files import mp3_of_estimated_length
from tests.hostile.measured import at_most_seconds, write_special_files
from tests.rejected import read_rejected
from tests.wordless.audio.recordings.annotations.annotated_files import PARTS, raven, write_recording
from tests.wordless.audio.test_completeness import late
from tests.wordless.audio.test_decoding import encoded
from tokenizer.codes import Codes
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.audio.recordings.annotations import recordings_at
from wordless.audio.recordings.recording_sources import AnnotationOptions
from wordless.base.errors import InputError

options = options_of("encode", "input", "output", clips_per_shard=2)


def codes_at(path: Path) -> dict[str, Codes]:
    return {clip.path: clip.codes for clip in read_codes(path)[1]}


def test_a_folder_becomes_shards_of_the_codes_that_the_tokenizer_gives(
    run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    encode(options(run_folder, recordings, tmp_path / "codes"))
    tokenizer = Tokenizer.from_pretrained(run_folder / "tokenizer")
    found = codes_at(tmp_path / "codes")
    assert list(found) == ["a.wav", "b.flac", "c.ogg", "d.wav", "more of them/a.wav", "more of them/e.wav"]
    for path, codes in found.items():
        expected = tokenizer.encode_file(recordings / path)
        np.testing.assert_array_equal(codes.values, expected.values)
        assert (codes.num_samples, codes.format) == (expected.num_samples, tokenizer.format)
    shards = [f"codes-0000{number}.parquet" for number in range(3)]
    assert sorted(path.name for path in (tmp_path / "codes").iterdir()) == [*shards, "complete.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["codes"]


def test_other_formats_are_written_from_the_store(run_folder: Path, recordings: Path, tmp_path: Path) -> None:
    own = {"store": {"root": str(tmp_path / "store")}}
    encode(options(run_folder, recordings, tmp_path / "codes.parquet", **own))
    (entry,) = (tmp_path / "store/encoded").glob("????????????????")
    made = entry.stat().st_mtime_ns
    encode(options(run_folder, recordings, tmp_path / "units.jsonl", format="jsonl", **own))
    assert len((tmp_path / "units.jsonl").read_text().splitlines()) == 6
    assert [path.stat().st_mtime_ns for path in (tmp_path / "store/encoded").glob("?" * 16)] == [made]


@pytest.mark.parametrize("deduplicate", [False, True])
@pytest.mark.parametrize(
    ("suffix", "others"), [(".TextGrid", {}), (".selections.txt", {}), (".txt", {"format": "audacity"})]
)
def test_codes_over_time_are_written_for_other_programs(
    suffix: str, others: dict[str, object], deduplicate: bool, run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    shutil.copy(recordings / "a.wav", tmp_path)
    place = tmp_path / f"a{suffix}"
    encode(options(run_folder, tmp_path / "a.wav", place, deduplicate=deduplicate, **others))
    codes = Tokenizer.from_pretrained(run_folder / "tokenizer").encode_file(tmp_path / "a.wav")
    labels = codes.values[:, 0].tolist()
    runs = [(code, len([*run])) for code, run in groupby(labels)] if deduplicate else [(code, 1) for code in labels]
    clips = recordings_at(tmp_path / "a.wav", AnnotationOptions()).clips
    assert [clip.label for clip in clips] == [str(code) for code, _ in runs]
    begins = np.cumsum([0, *(size for _, size in runs)])[:-1] / codes.format.codes_per_second
    assert [(clip.span or (0.0,))[0] for clip in clips] == pytest.approx(begins.tolist(), abs=1e-3)


def test_another_sound_of_the_same_size_and_time_is_encoded(run_folder: Path, recordings: Path, tmp_path: Path) -> None:
    (root := tmp_path / "now").mkdir()
    sound, rate = soundfile.read(recordings / "a.wav")
    for number, gain in enumerate((1, 1, 0.003)):
        if number != 1:
            soundfile.write(root / "x.wav", gain * sound, rate)
            os.utime(root / "x.wav", (1e9, 1e9))
        own = {"store": {"root": str(tmp_path / "store")}}
        encode(options(run_folder, root, tmp_path / f"{number}.parquet", **own))
    assert len([*(tmp_path / "store/encoded").glob("?" * 16)]) == 2


def test_a_single_file_of_any_name_is_encoded(run_folder: Path, recordings: Path, tmp_path: Path) -> None:
    shutil.copy(recordings / "a.wav", tmp_path / "sound.of_the_day")
    encode(options(run_folder, tmp_path / "sound.of_the_day", tmp_path / "out/one.parquet"))
    assert list(codes_at(tmp_path / "out/one.parquet")) == ["sound.of_the_day"]


def test_annotated_parts_are_rows(run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_recording(folder / "field.wav")
    write_recording(folder / "whole.wav", seed=1, seconds=1)
    raven(folder, "field", PARTS)
    table = folder / "field.Table.1.selections.txt"
    unfit = "9\tSpectrogram 1\t1\t19\t25\t0\t1\towl\n10\tSpectrogram 1\t1\t3\t2\t0\t1\towl\n"
    table.write_text(table.read_text() + unfit)
    encode(options(run_folder, folder, tmp_path / "codes"))
    *parts, whole = read_codes(tmp_path / "codes")[1]
    assert [(clip.path, clip.span, clip.label, clip.group) for clip in parts] == [
        ("field.wav", (start, end), label, "field") for start, end, label in PARTS
    ]
    assert (whole.name, whole.label) == ("whole.wav", None)
    tokenizer = Tokenizer.from_pretrained(run_folder / "tokenizer")
    samples, rate = soundfile.read(folder / "field.wav", dtype="float32")
    for clip, (start, end, _) in zip(parts, PARTS, strict=True):
        soundfile.write(tmp_path / "cut.wav", samples[round(start * rate) : round(end * rate)], rate)
        np.testing.assert_array_equal(clip.codes.values, tokenizer.encode_file(tmp_path / "cut.wav").values)
    rejected = read_rejected(tmp_path / "codes.rejected.tsv")
    assert ["selections.txt:" in each.reason for each in rejected] == [True] * 2
    encode(options(run_folder, folder, tmp_path / "whole", annotations="none"))
    assert [clip.name for clip in read_codes(tmp_path / "whole")[1]] == ["field.wav", "whole.wav"]
    with pytest.raises(InputError, match="annotations=none"):
        encode(options(run_folder, folder, tmp_path / "u.km", format="fairseq"))
    raven(folder, "field", [(30, 31, "owl")])  # behind the end
    for _ in range(2):
        with pytest.raises(InputError, match=r"no recording\b.*rejected\.tsv"):
            encode(options(run_folder, table, tmp_path / "none"))
    assert not (tmp_path / "none").exists()
    raven(folder, "field", PARTS[:2])  # other labels are other codes
    encode(options(run_folder, folder, tmp_path / "fewer"))
    assert len([*read_codes(tmp_path / "fewer")[1]]) == 3


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_any_number_of_workers_of_each_engine_writes_the_same_bytes(
    engine: str, run_folder: Path, recordings: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if engine == "ray":
        request.addfinalizer(pytest.importorskip("ray", reason="needs pip install 'wordless[ray]'").shutdown)
    for workers, name in ((1, "local"), (2, engine)):
        own = {"workers": workers, "engine": {"name": name}, "store": {"root": str(tmp_path / f"store_{workers}")}}
        encode(options(run_folder, recordings, tmp_path / f"{workers}.parquet", **own))
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["1.parquet", "2.parquet"]


def test_a_killed_worker_is_one_line_and_the_same_command_goes_on(
    run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    own, killer = {"store": {"root": str(tmp_path / "c")}}, Thread(target=kill_a_child)
    killer.start()
    with pytest.raises(InputError, match=r"worker process\b.*workers=1\b"):
        encode(options(run_folder, recordings, tmp_path / "codes.parquet", workers=2, **own))
    killer.join()
    encode(options(run_folder, recordings, tmp_path / "codes.parquet", **own))
    encode(options(run_folder, recordings, tmp_path / "undisturbed.parquet", store={"root": str(tmp_path / "u")}))
    assert (tmp_path / "codes.parquet").read_bytes() == (tmp_path / "undisturbed.parquet").read_bytes()


def kill_a_child() -> None:
    """Send SIGKILL to the first of two processes that this one starts, as the kernel does where memory runs out.

    Both must have started: CPython's pool waits for ever for a process that starts while the pool ends the others.
    """
    while len(children := multiprocessing.active_children()) < 2:
        time.sleep(0.01)
    time.sleep(0.1)
    children[0].kill()


def test_what_is_no_recording_is_set_aside_and_never_waited_for(
    run_folder: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(recordings, folder)
    kinds = write_special_files(folder) | {"torn.wav": "RIFF and then nothing", "infinite.wav": "not finite"}
    (folder / "torn.wav").write_bytes(b"RIFF and then nothing")
    soundfile.write(folder / "infinite.wav", np.array([0.1, np.inf, 0.1] * 900), 4000, subtype="FLOAT")
    with at_most_seconds(60):
        encode(options(run_folder, folder, tmp_path / "codes.parquet"))
    assert len(codes_at(tmp_path / "codes.parquet")) == 6
    rejected = {each.path: each.reason for each in read_rejected(tmp_path / "codes.parquet.rejected.tsv")}
    assert rejected.keys() == kinds.keys()
    assert all(kinds[name] in reason for name, reason in rejected.items())
    assert f"{len(kinds)} set aside" in capsys.readouterr().err


def test_damaged_recordings_are_listed_by_each_command_that_reads_and_silence_is_told(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1.6 of 4.0 s were encoded, scored and searched, and nothing was listed."""
    folder = tmp_path / "in"
    folder.mkdir()
    late(folder / "late.mka", "flac", begin=1.5)
    soundfile.write(folder / "whole.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 8_000), 4_000)
    damaged = {
        "cut.wav": ("WAV", None),
        "cut.mp3": ("MP3", None),
        "cut.ogg": ("OGG", "VORBIS"),
        "flipped.ogg": ("OGG", "VORBIS"),
    }
    for name, (kind, subtype) in damaged.items():
        content = encoded(kind, subtype, seconds=4)
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        (folder / name).write_bytes(flipped if name == "flipped.ogg" else content[:middle])
    own = {"store": {"root": str(tmp_path / "store")}}
    encode(options(run_folder, folder, tmp_path / "codes.parquet", **own))
    assert "late.mka: its sound begins later" in capsys.readouterr().err
    assert [*codes_at(tmp_path / "codes.parquet")] == ["late.mka", "whole.wav"]
    places = {"input": str(folder), "model": str(run_folder), "device": "cpu", "workers": 1}
    score({**places, "output": str(tmp_path / "scores.tsv")})
    assert "late.mka: its sound begins later" in capsys.readouterr().err
    find({**places, **own, "query": str(folder / "whole.wav"), "output": str(tmp_path / "hits.tsv")})
    for output in ("codes.parquet", "scores.tsv", "hits.tsv"):
        rejected = read_rejected(tmp_path / f"{output}.rejected.tsv")
        listed = {Path(each.path).name: each.reason for each in rejected}
        assert sorted(listed) == sorted(damaged)
        assert all("damaged" in reason for reason in listed.values())


@pytest.mark.parametrize("lost", ["codes-00000.parquet", "codes-00000.told", "codes-00001.told", "codes-00002.parquet"])
def test_what_is_set_aside_is_listed_after_a_kill_that_leaves_a_part_of_a_shard(
    lost: str, run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    shutil.copytree(recordings, folder := tmp_path / "in")
    (folder / "broken.wav").write_bytes(b"RIFF")
    own = {"store": {"root": str(tmp_path / "store")}}
    encode(options(run_folder, folder, tmp_path / "whole.parquet", **own))
    (entry,) = (tmp_path / "store/encoded").glob("?" * 16)
    entry.rename(partial := entry.with_suffix(".partial"))
    checkpoints_of(partial).mkdir()
    assert lost in [path.name for path in partial.iterdir()]
    for path in partial.iterdir():
        if path.name != lost:  # whose note is damaged, or was not written
            note_finished(path)
    encode(options(run_folder, folder, tmp_path / "again.parquet", **own))
    for name in ("parquet", "parquet.rejected.tsv"):
        assert (tmp_path / f"again.{name}").read_bytes() == (tmp_path / f"whole.{name}").read_bytes()


def test_fairseq_units_come_with_a_manifest_of_the_same_order_and_of_the_lengths_that_are_decoded(
    run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    path = mp3_of_estimated_length(tmp_path / "z.mp3")
    shutil.copytree(recordings, tmp_path / "in")
    shutil.copy(path, tmp_path / "in")
    encode(options(run_folder, tmp_path / "in", tmp_path / "train.km", format="fairseq"))
    lines = (tmp_path / "train.tsv").read_text().splitlines()
    assert len(lines) - 1 == len((tmp_path / "train.km").read_text().splitlines()) == 7
    assert lines[2] == f"b.flac\t{soundfile.info(recordings / 'b.flac').frames}"
    assert lines[-1].split()[-1] == str(len(read(path, soundfile.info(path).samplerate).samples))


def test_what_is_there_is_not_written_over(run_folder: Path, recordings: Path, tmp_path: Path) -> None:
    for name in ("a.parquet", "file", "train.tsv"):
        (tmp_path / name).touch()
    for output, others, told in (
        ("train.km", {"format": "fairseq"}, "exists"),  # its list of the recordings
        *((output, {}, "exists") for output in ("a.parquet", "", "file")),
        ("file/codes.parquet", {}, r"\bfile\b.* output=PATH"),
        ("codes.TextGrid", {}, "format=textgrid"),  # of one recording
        ("codes.txt", {"format": "audacity"}, "format=audacity"),
    ):
        with pytest.raises(InputError, match=told):
            encode(options(run_folder, recordings, tmp_path / output, **others))
    assert not (tmp_path / "train.km").exists()


def test_the_log_says_why_there_is_silence_and_which_bands_are_empty(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Recordings whose channels cancel or almost cancel, and two of a lower rate."""
    (folder := tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, rate := 4000)
    for name, other in (("cancel.wav", -noise), ("almost.wav", -0.95 * noise), ("fine.wav", 0.5 * noise)):
        soundfile.write(folder / name, np.stack([noise, other], axis=1), rate, subtype="FLOAT")
    for name in ("low_1.wav", "low_2.wav"):
        soundfile.write(folder / name, noise, rate // 2)
    encode(options(run_folder, folder, tmp_path / "codes.parquet"))
    told = capsys.readouterr().err
    assert "fine.wav" not in told
    assert all(each in told for each in ("cancel.wav", "almost.wav", "low_1.wav"))
