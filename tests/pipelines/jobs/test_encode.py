"""``wordless encode``, on recordings of several formats."""

import multiprocessing
import os
import re
import shutil
import time
from itertools import groupby
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import soundfile

from pipelines.store.store import checkpoints_of, note_finished
from tests.hostile.audio_files import mp3_of_estimated_length
from tests.hostile.measured import at_most_seconds, write_special_files
from tests.pipelines.jobs.conftest import Calling
from tests.rejected import read_rejected
from tests.wordless.audio.test_decoding_by_ffmpeg import late
from tokenizer.codes import Codes
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.base.messages import InputError


def codes_at(path: Path) -> dict[str, Codes]:
    return {clip.path: clip.codes for clip in read_codes(path)[1]}


def test_a_folder_becomes_shards_of_the_codes_that_the_tokenizer_gives(
    call: Calling, run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    codes = call("encode", "codes")
    tokenizer = Tokenizer.from_pretrained(run_folder / "tokenizer")
    found = codes_at(codes)
    assert list(found) == ["a.wav", "b.flac", "c.ogg", "d.wav", "more of them/a.wav", "more of them/e.wav"]
    for path, own in found.items():
        expected = tokenizer.encode_file(recordings / path)
        np.testing.assert_array_equal(own.values, expected.values)
        assert (own.num_samples, own.format) == (expected.num_samples, tokenizer.format)
    shards = [f"codes-0000{number}.parquet" for number in range(3)]
    assert sorted(path.name for path in codes.iterdir()) == [*shards, "complete.json"]
    assert {path.name for path in tmp_path.iterdir()} == {"codes", "store"}


def test_a_file_of_any_name_is_encoded_once_for_all_formats_and_again_when_its_sound_changes(
    call: Calling, recordings: Path, tmp_path: Path
) -> None:
    file, (sound, rate) = tmp_path / "sound.of_the_day", soundfile.read(recordings / "a.wav")

    def write(gain: float) -> None:
        """Write a sound of the same size and time."""
        soundfile.write(file, gain * sound, rate, format="WAV")
        os.utime(file, (1e9, 1e9))

    def artifacts() -> int:
        return len([*(tmp_path / "store/encoded").glob("?" * 16)])

    write(1)
    assert list(codes_at(call("encode", "a.parquet", input=file))) == ["sound.of_the_day"]
    assert len(call("encode", "a.km", input=file).read_text().splitlines()) == artifacts() == 1
    write(0.003)
    call("encode", "b.parquet", input=file)
    assert artifacts() == 2


PARTS = [(0.5, 1.5, "wren"), (2.0, 2.75, "robin"), (3.0, 4.0, "wren")]


def test_parts_that_a_table_names_are_rows(call: Calling, run_folder: Path, tmp_path: Path) -> None:
    rng, table = np.random.default_rng(0), tmp_path / "calls.csv"
    soundfile.write(tmp_path / "field.wav", rng.uniform(-0.3, 0.3, 20 * 4000), 4000)
    rows = [f"field.wav,{start},{end},{label}" for start, end, label in PARTS]
    table.write_text("\n".join(["path,begin,end,label", *rows, "field.wav,19,25,owl"]) + "\n")
    options: dict[str, Any] = {"columns": {"start": "begin"}, "most_rejected": 0.3}
    parts = [*read_codes(call("encode", "codes", input=table, **options))[1]]
    found = [(clip.path, clip.span, clip.label) for clip in parts]
    assert found == [("field.wav", (start, end), label) for start, end, label in PARTS]
    tokenizer = Tokenizer.from_pretrained(run_folder / "tokenizer")
    samples, rate = soundfile.read(tmp_path / "field.wav", dtype="float32")
    for clip, (start, end, _) in zip(parts, PARTS, strict=True):
        soundfile.write(tmp_path / "cut.wav", samples[round(start * rate) : round(end * rate)], rate)
        np.testing.assert_array_equal(clip.codes.values, tokenizer.encode_file(tmp_path / "cut.wav").values)
    assert ["behind the end" in each.reason for each in read_rejected(tmp_path / "codes.rejected.tsv")] == [True]
    with pytest.raises(InputError, match="most_rejected"):
        call("encode", "all", input=table, columns={"start": "begin"})
    with pytest.raises(InputError, match="whole recordings"):
        call("encode", "u.km", input=table, **options)
    table.write_text("\n".join(["path,begin,end,label", *rows[:2]]) + "\n")  # other labels are other codes
    assert len([*read_codes(call("encode", "fewer", input=table, columns={"start": "begin"}))[1]]) == 2


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_any_number_of_workers_of_each_engine_writes_the_same_bytes(
    engine: str, call: Calling, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if engine == "ray":
        request.addfinalizer(pytest.importorskip("ray", reason="needs pip install 'wordless[ray]'").shutdown)
    other = {"store": {"root": str(tmp_path / "other")}, "workers": 2, "engine": {"name": engine}}
    assert call("encode", "1.parquet").read_bytes() == call("encode", "2.parquet", **other).read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.parquet")) == ["1.parquet", "2.parquet"]


def test_a_killed_worker_is_one_line_and_the_same_command_goes_on(call: Calling, tmp_path: Path) -> None:
    killer = Thread(target=kill_a_child)
    killer.start()
    with pytest.raises(InputError, match=r"worker process\b.*workers=1\b"):
        call("encode", "codes.parquet", workers=2)
    killer.join()
    undisturbed = call("encode", "undisturbed.parquet", store={"root": str(tmp_path / "other")})
    assert call("encode", "codes.parquet").read_bytes() == undisturbed.read_bytes()


def kill_a_child() -> None:
    """Send SIGKILL to the first of two processes that this one starts, as the kernel does where memory runs out.

    Both must have started: CPython's pool waits for ever for a process that starts while the pool ends the others.
    """
    while len(children := multiprocessing.active_children()) < 2:
        time.sleep(0.01)
    time.sleep(0.1)
    children[0].kill()


def test_what_cannot_be_read_is_listed_by_each_command_and_never_waited_for(
    call: Calling, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder := tmp_path / "in").mkdir()
    kinds = write_special_files(folder) | {"infinite.wav": "not finite"}
    soundfile.write(folder / "infinite.wav", np.array([0.1, np.inf, 0.1] * 900), 4000, subtype="FLOAT")
    soundfile.write(folder / "whole.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 8000), 4000)
    late(folder / "late.mka", "flac", begin=1.5)
    del kinds["folder.wav"]  # no file
    with at_most_seconds(60):
        codes = codes_at(call("encode", "codes.parquet", input=folder))
        told = [capsys.readouterr().err]
        call("score", "scores.tsv", input=folder)
        told.append(capsys.readouterr().err)
    assert [*codes] == ["late.mka", "whole.wav"]
    assert f"{len(kinds)} set aside" in told[0]
    assert all("late.mka: its sound begins later" in each for each in told)
    for output in ("codes.parquet", "scores.tsv"):
        rejected = read_rejected(tmp_path / f"{output}.rejected.tsv")
        reasons = {Path(each.path).name: each.reason for each in rejected}
        assert reasons.keys() == kinds.keys()
        assert all(kinds[name] in reason for name, reason in reasons.items())


@pytest.mark.parametrize("lost", ["codes-00000.parquet", "codes-00000.told", "codes-00001.told", "codes-00002.parquet"])
def test_what_is_set_aside_is_listed_after_a_kill_that_leaves_a_part_of_a_shard(
    lost: str, call: Calling, recordings: Path, tmp_path: Path
) -> None:
    shutil.copytree(recordings, folder := tmp_path / "in")
    (folder / "broken.wav").write_bytes(b"RIFF")
    call("encode", "whole.parquet", input=folder)
    (artifact,) = (tmp_path / "store/encoded").glob("?" * 16)
    artifact.rename(partial := artifact.with_suffix(".partial"))
    checkpoints_of(partial).mkdir()
    assert lost in [path.name for path in partial.iterdir()]
    for path in partial.iterdir():
        if path.name != lost:  # whose note is damaged, or was not written
            note_finished(path)
    call("encode", "again.parquet", input=folder)
    for name in ("parquet", "parquet.rejected.tsv"):
        assert (tmp_path / f"again.{name}").read_bytes() == (tmp_path / f"whole.{name}").read_bytes()


def test_units_come_with_a_list_of_the_same_order_and_of_the_lengths_that_are_decoded(
    call: Calling, recordings: Path, tmp_path: Path
) -> None:
    shutil.copytree(recordings, folder := tmp_path / "in")
    path = mp3_of_estimated_length(folder / "z.mp3")
    units = call("encode", "train.km", input=folder).read_text().splitlines()
    merged = call("encode", "merged.km", input=folder, deduplicate=True).read_text().splitlines()
    assert merged == [" ".join(unit for unit, _ in groupby(line.split())) for line in units]
    codes = codes_at(call("encode", "train.parquet", input=folder))
    assert units == [" ".join(map(str, each.values[:, 0])) for each in codes.values()]
    lines = (tmp_path / "train.tsv").read_text().splitlines()
    assert len(lines) - 1 == len(units) == 7
    assert lines[2] == f"b.flac\t{soundfile.info(recordings / 'b.flac').frames}"
    assert lines[-1].split()[-1] == str(len(read(path, soundfile.info(path).samplerate).samples))


def test_a_list_of_other_recordings_is_kept(call: Calling, tmp_path: Path) -> None:
    (tmp_path / "train.tsv").touch()
    with pytest.raises(InputError, match="exists"):
        call("encode", "train.km")
    assert not (tmp_path / "train.km").exists()


def test_the_log_says_why_there_is_silence_and_which_bands_are_empty(
    call: Calling, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Recordings whose channels cancel or almost cancel, and two of a lower rate."""
    (folder := tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, rate := 4000)
    for name, other in (("cancel.wav", -noise), ("almost.wav", -0.95 * noise), ("fine.wav", 0.5 * noise)):
        soundfile.write(folder / name, np.stack([noise, other], axis=1), rate, subtype="FLOAT")
    for name in ("low_1.wav", "low_2.wav"):
        soundfile.write(folder / name, noise, rate // 2)
    call("encode", "codes.parquet", input=folder)
    told = capsys.readouterr().err
    assert "fine.wav" not in told
    assert all(each in told for each in ("cancel.wav", "almost.wav"))
    assert re.search(r"low_1\.wav and 1 other recording: .*\b2000 Hz\b.*\b4000 Hz\b.*\b1000 Hz are empty", told)
