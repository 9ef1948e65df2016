"""The sound that is encoded is the sound that was inspected, whatever other programs do to the files meanwhile."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file

from lm.backbones.spectrogram_transformer import AstConfig
from pipelines.backbones.ast_backbone import AstSettings
from pipelines.backbones.networks import filter_banks, spectrograms
from pipelines.jobs.run_rules import run_settings
from pipelines.methods.methods_table import METHODS
from pipelines.stages.codebooks import frame_sample, pitches
from pipelines.stages.features import (
    VectorFile,
    bottleneck_features,
    codes,
    log_mel_features,
    own_features,
    training_views,
)
from pipelines.stages.listening import decode_clips, listening
from pipelines.stages.stored_arrays import waveforms
from pipelines.store.store import CachedArtifact
from pipelines.store.stored_features import FEATURES
from tests.killing import Call, Ended, Kill, call
from tests.pipelines.tiny import AUDIO, LISTENING, corpus_of, parts_of, playback_of, reading_of, silent_session, sweep
from tests.pipelines.tiny_chain import OWN, composed, stored
from tests.rejected import read_rejected
from wordless.audio.recordings.corpus_config import CorpusConfig
from wordless.audio.recordings.manifest import Clips
from wordless.audio.views import Noise, Views, compared_views
from wordless.base.files import file_hash
from wordless.base.messages import InputError

BY_FOLDER = "{split}/*"
REFUSAL = r"has changed since.*call the same command again"


def write_sounds(root: Path, *, low: float = 150.0, count: int = 4) -> Path:
    for split in ("train", "validation", "test"):
        (root / split).mkdir(parents=True)
        for number in range(count):
            sound = sweep(0.6 + 0.1 * number, 8_000, low=low + 20 * number + 7 * len(split))
            soundfile.write(root / split / f"{number}.wav", sound, 8_000, subtype="PCM_16")
    return root


def replaced(path: Path, *, same_time: bool = False) -> bytes:
    """Put another sound of the same size in the place of a recording; return the bytes that were there."""
    before, status = path.read_bytes(), path.stat()
    sound, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path.with_name("other.wav"), np.roll(sound[::-1], 100), rate, subtype="PCM_16")
    path.with_name("other.wav").replace(path)
    assert path.stat().st_size == len(before)
    assert path.read_bytes() != before
    if same_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return before


@pytest.fixture
def manifest(tmp_path: Path) -> Clips:
    return corpus_of(CorpusConfig(root=str(write_sounds(tmp_path / "sounds")), pattern=BY_FOLDER), tmp_path)


def stages(manifest: Clips, run: Path, place: Path) -> dict[str, Callable[[], CachedArtifact | None]]:
    """Each stage that reads recordings; what these read of others is made now."""
    session = silent_session(place)
    settings = run_settings(composed(place, "tokenizer.sample_patches=200", "tokenizer.codebook_size=8")).tokenizer
    tokenizer, vocoder = parts_of(run)
    sample, reading = frame_sample(session, manifest, AUDIO, settings), reading_of(manifest)
    playback = playback_of(manifest, tokenizer, vocoder, config=replace(LISTENING, seconds=0.3))
    ast = AstSettings(model=AstConfig(layers=(1,), patches=4))
    noises = compared_views(manifest, noises=[Noise("white", 10.0), Noise("babble", 10.0)])
    other = silent_session(place / "other")
    return {
        "frame_sample": lambda: frame_sample(other, manifest, AUDIO, settings),
        "pitches": lambda: pitches(session, manifest, replace(AUDIO, sample_rate=8_000), settings),
        "codes": lambda: codes(session, manifest, tokenizer),
        "views": lambda: training_views(session, Views(root=manifest.root, views=noises), tokenizer),
        "log_mel": lambda: log_mel_features(session, reading, tokenizer),
        "bottleneck": lambda: bottleneck_features(session, reading, tokenizer, "a"),
        "spectrograms": lambda: spectrograms(session, manifest, AUDIO, sample),
        "filter_banks": lambda: filter_banks(session, manifest),
        "ast": lambda: ast.network(reading, METHODS["random_ast"], None).features(session, reading, "random_ast"),
        "waveforms": lambda: waveforms(session, manifest, AUDIO.sample_rate),
        "listening": lambda: listening(session, playback),
        "decoded": lambda: decode_clips(session, playback),
    }


def test_every_stage_refuses_another_sound_in_the_place_of_a_recording(
    manifest: Clips, run_folder: Path, tmp_path: Path
) -> None:
    every = stages(manifest, run_folder, tmp_path / "place")
    before = {clip.path: replaced(manifest.root / clip.path, same_time=True) for clip in manifest.clips}
    for name, make in every.items():
        with pytest.raises(InputError, match=REFUSAL) as refused:
            make()
        assert any(str(manifest.root / path) in str(refused.value) for path in before), name
        assert "\n" not in str(refused.value)
    for path, content in before.items():  # the stamps are others, and the bytes are those that were inspected
        (manifest.root / path).write_bytes(content)
    for name, make in every.items():
        assert make() is not None or name == "pitches", name


def test_vectors_of_another_program_are_those_whose_hash_is_in_the_key(tmp_path: Path) -> None:
    path, names = tmp_path / "mine.npz", ["a.wav", "b.wav"]
    np.savez(path, paths=np.array(names), **{"x:mean": np.zeros((2, 3), np.float32)})
    file = VectorFile(path)
    assert file.key == file_hash(path)
    status, before = path.stat(), path.read_bytes()
    np.savez(path, paths=np.array(names), **{"x:mean": np.ones((2, 3), np.float32)})
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(InputError, match=rf"mine\.npz {REFUSAL}"):
        own_features(silent_session(tmp_path), "mine", names, file)
    path.write_bytes(before)
    artifact = own_features(silent_session(tmp_path), "mine", names, file)
    assert not load_file(artifact.folder / FEATURES)["mine/x:mean"].any()


def stopped(process: Call) -> None:
    """Wait until the process has stopped itself."""
    deadline = time.monotonic() + 120
    while " T " not in Path(f"/proc/{process.pid}/stat").read_text():
        assert time.monotonic() < deadline, process.told
        assert not process.ended_within(0.05), process.told


def disturbed(command: str, *words: str, place: Path, at: str, act: Callable[[], object]) -> Ended:
    """Call a command, and let something happen at the moment at which it writes a file or folder."""
    process = Call(command, *words, place=place, kill=Kill(path=at, signal=signal.SIGSTOP))
    stopped(process)
    act()
    process.end(signal.SIGCONT)
    return process.wait()


@pytest.mark.parametrize("same_time", [False, True])
def test_no_wrong_codes_are_used_again_when_the_old_recording_is_back(same_time: bool, tmp_path: Path) -> None:
    root = write_sounds(tmp_path / "sounds", count=3)
    words = (*OWN, "stages=[tokenizer]", f"corpus.root={root}", f"corpus.pattern='{BY_FOLDER}'", "workers=1")
    for place in ("whole", "changed"):
        (tmp_path / place).mkdir()
    whole, changed = ((*words, "store.root=store", f"hydra.run.dir={name}") for name in ("run", "run"))
    assert call("run", *whole, place=tmp_path / "whole").code == 0
    path, before = root / "train/1.wav", list[bytes]()
    done = disturbed(
        "run",
        *changed,
        place=tmp_path / "changed",
        at="store/codes/*.partial",
        act=lambda: before.append(replaced(path, same_time=same_time)),
    )
    told = [line for line in done.told.splitlines() if line.startswith("wordless run:")]
    assert (done.code, len(told)) == (2, 1), done.told
    assert str(path) in told[0]
    assert re.search(REFUSAL, told[0])
    path.write_bytes(before[0])
    done = call("run", *changed, place=tmp_path / "changed")
    assert done.code == 0, done.told
    assert stored(tmp_path / "changed/store") == stored(tmp_path / "whole/store")


def test_a_recording_that_was_copied_over_itself_goes_on(tmp_path: Path) -> None:
    root = write_sounds(tmp_path / "sounds", count=2)

    def copied() -> None:
        for path in sorted(root.rglob("*.wav")):
            shutil.copy(path, path.with_suffix(".copy"))
            path.with_suffix(".copy").replace(path)
            path.touch()

    words = (*OWN, "stages=[tokenizer]", f"corpus.root={root}", f"corpus.pattern='{BY_FOLDER}'", "store.root=store")
    done = disturbed("run", *words, "workers=1", place=tmp_path, at="store/codes/*.partial", act=copied)
    assert done.code == 0, done.told


def test_encode_stores_nothing_of_a_recording_that_changes_after_its_key_was_made(
    run_folder: Path, tmp_path: Path
) -> None:
    root, output = write_sounds(tmp_path / "sounds", count=2), "out.parquet"
    words = ("encode", f"model={run_folder}", f"input={root}", "workers=1", f"output={output}")
    for name in ("whole", "changed"):
        (tmp_path / name).mkdir()
    assert call(*words, place=tmp_path / "whole").code == 0
    path, kept = root / "train/1.wav", tmp_path / "kept.wav"
    os.link(path, kept)  # so that the old file can come back with its inode
    place = tmp_path / "changed"
    done = disturbed(*words, place=place, at="store/encoded/*.partial", act=lambda: replaced(path, same_time=True))
    assert done.code == 2, done.told
    assert str(path) in done.told
    assert re.search(REFUSAL, done.told)
    kept.replace(path)
    done = call(*words, place=place)
    assert done.code == 0, done.told
    assert (place / output).read_bytes() == (tmp_path / "whole" / output).read_bytes()
    assert not (place / f"{output}.rejected.tsv").exists() or not read_rejected(place / f"{output}.rejected.tsv")
