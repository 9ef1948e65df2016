"""``wordless decode``, on codes of a tiny tokenizer."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.jobs import speaking as decode_job
from pipelines.jobs.speaking import sound_names
from pipelines.store.store import checkpoints_of, note_finished
from tests.killing import Call
from tests.pipelines.jobs.conftest import Calling, run_of
from tests.pipelines.tiny import sweep
from tokenizer.parquet import CodedClip, write_shard
from tokenizer.tokenizer import Tokenizer
from vocoder.vocoder import Vocoder
from wordless.base.messages import InputError
from wordless.base.seeds import sound_seed


@pytest.fixture(scope="module")
def clips(run_folder: Path) -> list[CodedClip]:
    """Three clips of different lengths, and a second view of one of them."""
    tokenizer = Tokenizer.from_pretrained(run_folder / "tokenizer")
    paths = ("a.wav", "b/a.wav", "b/c.ogg")
    codes = [tokenizer.encode(sweep(0.11 + 0.05 * number, 4000), 4000) for number in range(3)]
    clips = [CodedClip(path=path, codes=each, group="anna") for path, each in zip(paths, codes, strict=True)]
    return [*clips, replace(clips[0], offset_frames=1)]


@pytest.fixture(scope="module")
def parquet(clips: list[CodedClip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_codes(tmp_path_factory.mktemp("codes") / "codes.parquet", *clips)


def write_codes(path: Path, *clips: CodedClip) -> Path:
    write_shard(path, clips, clips[0].codes.format)
    return path


def sounds(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.wav")}


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_file_holds_what_the_vocoder_says_in_the_clips_own_voice(
    strength: float, call: Calling, run_folder: Path, parquet: Path, clips: list[CodedClip], tmp_path: Path
) -> None:
    out = call("decode", "out", input=parquet, seed=3, temperature=0.7, postfilter=strength)
    lengths = {name: soundfile.info(out / name).frames for name in sorted(sounds(out))}
    names = ("a.wav", "b/a.wav", "b/c.wav")
    assert lengths == {name: clip.codes.num_samples for name, clip in zip(names, clips, strict=False)}
    tokenizer = Tokenizer.from_pretrained(run_folder / "tokenizer")
    vocoder = Vocoder.from_pretrained(run_folder / "vocoder", postfilter=strength)
    seed = sound_seed(3, "b/a.wav")
    expected = vocoder.decode(clips[1].codes, tokenizer, group="anna", seed=seed, temperature=0.7)
    expected.write(tmp_path / "expected.wav")
    assert (out / "b/a.wav").read_bytes() == (tmp_path / "expected.wav").read_bytes()


def test_finished_sounds_are_kept_and_others_are_not_mixed_with_them(
    call: Calling, run_folder: Path, parquet: Path, tmp_path: Path
) -> None:
    whole = sounds(call("decode", "out", input=parquet))
    (artifact,) = (tmp_path / "store/sounds").glob("?" * 16)
    artifact.rename(partial := artifact.with_suffix(".partial"))  # as a kill leaves it
    checkpoints_of(partial).mkdir()
    note_finished(partial / "00000000.wav")
    kept = (partial / "00000000.wav").stat().st_mtime_ns
    assert sounds(call("decode", "again", input=parquet)) == whole
    assert (artifact / "00000000.wav").stat().st_mtime_ns == kept
    assert (artifact / "00000001.wav").stat().st_mtime_ns > kept
    shutil.copytree(run_folder, louder := tmp_path / "louder")
    config = json.loads((louder / "tokenizer/config.json").read_text())
    (louder / "tokenizer/config.json").write_text(json.dumps({**config, "gain": config["gain"] + 6}))
    griffin_lim = {"synthesis": "griffin_lim"}
    calls: list[tuple[Path, dict[str, object], int]] = [
        *((run_folder, other, 1) for other in ({"temperature": 0.5}, {"seed": 1}, {"engine": "torch"}, griffin_lim)),
        (run_folder, {**griffin_lim, "engine": "torch"}, 0),  # which generates WaveNet alone
        (louder, griffin_lim, 1),
    ]
    before = 1
    for number, (model, others, more) in enumerate(calls):
        call("decode", str(number), model=model, input=parquet, **others)
        assert (before := before + more) == len([*(tmp_path / "store/sounds").glob("?" * 16)])


def test_griffin_lim_needs_no_vocoder_and_codes_of_another_tokenizer_are_refused(
    call: Calling, run_folder: Path, other_run: Path, parquet: Path, tmp_path: Path
) -> None:
    run = run_of(tmp_path / "run", tokenizer=run_folder)
    assert len(sounds(call("decode", "out", model=run, input=parquet, synthesis="griffin_lim"))) == 3
    with pytest.raises(InputError, match=r"vocoder/config\.json\b.*synthesis=griffin_lim\b"):
        call("decode", "other", model=run, input=parquet)
    own, other = (Tokenizer.from_pretrained(run / "tokenizer").format.codebook for run in (other_run, run_folder))
    with pytest.raises(InputError, match=rf"{own}\b.*\bcodes\b.*{other}\b"):
        call("decode", "other", model=other_run, input=parquet)
    assert not (tmp_path / "other").exists()


def test_units_of_unknown_length_need_a_choice(call: Calling, run_folder: Path, parquet: Path, tmp_path: Path) -> None:
    (units := tmp_path / "units.txt").write_text("1 2 1 2\n")
    for refused in ({"input": units}, {"input": units, "codes_per_unit": 0}, {"input": parquet, "codes_per_unit": 1}):
        with pytest.raises(InputError, match="codes_per_unit"):
            call("decode", "sound.wav", synthesis="griffin_lim", **refused)
    sound = call("decode", "sound.wav", input=units, synthesis="griffin_lim", codes_per_unit=3)
    samples_per_code = Tokenizer.from_pretrained(run_folder / "tokenizer").format.samples_per_code
    assert soundfile.info(sound).frames == 12 * samples_per_code


def test_one_clip_becomes_one_file_of_any_length_and_is_told_where_it_lies_beside_others(
    call: Calling, parquet: Path, clips: list[CodedClip], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_codes(tmp_path / "one.parquet", clips[0])
    for name, told in (("new/x.wav", False), ("new/y.wav", True)):
        assert soundfile.info(call("decode", name, input=one)).frames == clips[0].codes.num_samples
        assert ("beside other sounds" in "".join(capsys.readouterr())) is told
    with pytest.raises(InputError, match=r"all\.wav\b.*input=.*\b3 clips"):
        call("decode", "all.wav", input=parquet)
    empty = replace(clips[0], codes=replace(clips[0].codes, values=np.zeros((0, 1), np.int32), num_samples=0))
    sound = call("decode", "out", input=write_codes(tmp_path / "empty.parquet", empty)) / "a.wav"
    assert soundfile.info(sound).frames == 0


LONG = [*(f"{'x' * 250}{number}.wav" for number in range(3)), "y/" * 2000 + "z", "ü" * 1500]
NESTED = ["a", "a.wav/b", "a.wav/b.wav.aside/c", "a.wav/b.wav.aside/c.wav/d"]  # one needs the other as a folder
ODD = st.sampled_from(["a.wav", "a.ogg", "../a.wav", "/x/a.wav", *LONG, *NESTED])


@given(st.lists(st.text(alphabet="ab./_2", max_size=6) | ODD))
@example([*LONG, *NESTED])
def test_names_are_distinct_stay_inside_and_are_taken_by_file_systems(paths: list[str]) -> None:
    names = sound_names(paths)
    assert len(set(names)) == len(paths)
    asides = {f"{name}.aside" for name in names}  # beside which a file is written
    for name in names:
        assert name.endswith(".wav")
        assert ".." not in Path(name).parts
        assert not Path(name).is_absolute()
        assert len(name.encode()) < 4000
        assert all(len(part.encode()) <= 249 for part in Path(name).parts)
        assert not {str(parent) for parent in Path(name).parents} & {*names, *asides}


def test_names_of_sounds_keep_what_they_can_and_lie_in_order_of_time() -> None:
    assert sound_names(["a/b.flac", "take.1", "c.wav", "c.ogg"]) == ["a/b.wav", "take.1.wav", "c.wav.wav", "c.ogg.wav"]
    names = sound_names(["a/b.ogg#t=0,10", "a/b.ogg#t=100,110.25", "a/b.wav#t=0,10", "a/b.ogg", "take.1#t=3.5,4"])
    assert names == [
        *("a/b.ogg_00000-00010.wav", "a/b_00100-00110.25.wav", "a/b.wav_00000-00010.wav"),
        *("a/b.wav", "take.1_00003.5-00004.wav"),
    ]


def long_clip(clip: CodedClip, seconds: float) -> CodedClip:
    steps = round(seconds * 4000 / 80)
    values = np.arange(steps, dtype=np.int32)[:, None] % 8
    return replace(clip, codes=replace(clip.codes, values=values, num_samples=steps * 80 - 13))


def test_a_long_clip_is_written_as_it_is_made_and_sounds_as_it_does_beside_others(
    call: Calling, clips: list[CodedClip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = long_clip(clips[0], 2.0), replace(long_clip(clips[1], 3.1), path="long.wav")
    codes = write_codes(tmp_path / "codes.parquet", short, long)
    together = call("decode", "together", input=codes)
    monkeypatch.setattr(decode_job, "LONG_SECONDS", 3.0)
    apart = call("decode", "apart", input=codes, store={"root": str(tmp_path / "other")})
    assert soundfile.info(apart / "long.wav").frames == long.codes.num_samples
    assert sounds(apart) == sounds(together)


@pytest.mark.slow
def test_an_interrupted_long_clip_keeps_what_is_done(run_folder: Path, clips: list[CodedClip], tmp_path: Path) -> None:
    hours = replace(long_clip(clips[0], 3 * 3600), path="hours.wav")
    write_codes(tmp_path / "codes.parquet", hours)
    words = (f"model={run_folder}", "input=codes.parquet", "output=out", "engine=torch")
    running = Call("decode", *words, place=tmp_path)
    while max((path.stat().st_size for path in tmp_path.rglob("*.aside")), default=0) <= 30_000:
        assert not running.ended_within(0.1), running.told
    running.end(signal.SIGINT)
    done = running.wait()
    assert done.code == 130, done.told
    kept, rate = soundfile.read(tmp_path / "out.partial.wav")
    assert rate == 4000
    assert len(kept) > 10_000
    assert f"{len(kept) / 4000:.1f} of 10800.0 s of hours.wav are in" in " ".join(done.told.split())
    assert not (tmp_path / "out").exists()
