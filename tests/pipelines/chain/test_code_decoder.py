"""The code decoder of a run: what it learns of real recordings, what reads it, and what stays as it was."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.store.store import CURVE
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import make_one
from tests.vocoder.sounds import random_decoder
from tokenizer.code_decoder import CodeDecoderNetwork
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from vocoder.frames import log_mel_of
from wordless.audio.reading import read
from wordless.audio.spectrogram import mel_power
from wordless.base.arrays import DoubleArray

WORDS = (
    *("stages=[tokenizer,vocoder]", "vocoder.fit.steps=1", "listening.evaluated_clips=1"),
    *("listening.temperatures=[]", "threads=1"),
)
LEARNED = (
    "tokenizer.decoder.fit.steps=120",
    "tokenizer.decoder.channels=32",
    "tokenizer.decoder.fit.validate_every=40",
)


def errors(tokenizer: Tokenizer, codes: Path, root: Path) -> tuple[DoubleArray, float]:
    """Absolute errors of the log-mel of validation clips, and their decoded power over the recorded one in dB."""
    audio, found, powers = tokenizer.front_end, list[float](), np.zeros(2)
    for clip in read_codes(codes)[1]:
        if clip.split == "test":
            continue
        samples = read(root / clip.path, audio.sample_rate).samples
        steps = len(samples) // tokenizer.config.samples_per_code
        recorded = tokenizer.log_mel(torch.from_numpy(samples)[None])[0][: steps * tokenizer.patch_frames]
        decoded = log_mel_of(clip.codes.values, tokenizer)[: len(recorded)]
        if clip.split == "validation":
            found.append(float((decoded - recorded).abs().mean()))
        else:
            powers += [float(mel_power(each, audio).sum()) for each in (decoded, recorded)]
    return np.array(found), float(10 * np.log10(powers[0] / powers[1]))


def test_codes_in_context_are_nearer_to_the_recordings_and_as_loud(finished_run: FinishedRun, tmp_path: Path) -> None:
    manifest = finished_run.manifest
    made = make_one(manifest, tmp_path, *WORDS, *LEARNED)
    alone, in_context = (Tokenizer.from_pretrained(made[name].folder) for name in ("tokenizer", "code_decoder"))
    assert in_context.format == alone.format
    assert (alone.reach, in_context.reach) == (0, 8)
    before, _ = errors(alone, made["codes"].folder, manifest.root)
    after, level = errors(in_context, made["codes"].folder, manifest.root)
    assert after.mean() < 0.9 * before.mean()
    assert abs(level) < 0.5  # of training clips, on which the gain was measured
    recordings = read_codes(made["codes"].folder)[1]
    clip = next(clip for clip in recordings if clip.split == "test")
    assert in_context.encode_file(manifest.root / clip.path) == clip.codes


@pytest.mark.parametrize("rates", ["null", "[8,2]"])
def test_sound_reads_the_decoder_and_everything_else_keeps_its_keys(
    rates: str, finished_run: FinishedRun, tmp_path: Path
) -> None:
    words = (*WORDS, f"tokenizer.rates={rates}")
    with_it, without = (
        make_one(finished_run.manifest, tmp_path, *words, *more) for more in ((), ("tokenizer.decoder=null",))
    )
    assert with_it.keys() - without.keys() == {"code_decoder"}
    changed = {name for name in without if with_it[name].key != without[name].key}
    joined = {"rate_tokenizer"} if rates != "null" else set()
    assert changed == {"vocoder", "decoded", "evaluated", "listening", "label_accuracy", *joined}
    if joined:
        several = Tokenizer.from_pretrained(with_it["rate_tokenizer"].folder)
        assert (several.reach, several.finest.reach) == (8, 8)
        assert Tokenizer.from_pretrained(without["rate_tokenizer"].folder).reach == 0


def start_of(folder: Path, decoder: CodeDecoderNetwork | None, *, gain: float) -> str:
    """A copy of the tokenizer of a run with this decoder, whose make-up gain without one is 1.5 dB."""
    tokenizer = Tokenizer.from_pretrained(folder / "tokenizer")
    tokenizer.drop_decoder()
    tokenizer.gain = 1.5
    if decoder is not None:
        tokenizer.use_decoder(decoder)
        tokenizer.gain = gain
    return str(saved_tokenizer(tokenizer, folder.with_name(f"start_{gain:g}")))


def saved_tokenizer(tokenizer: Tokenizer, run: Path) -> Path:
    tokenizer.save_pretrained(run / "tokenizer")
    return run


def test_a_start_with_another_decoder_has_the_same_codes(finished_run: FinishedRun, tmp_path: Path) -> None:
    own = shutil.copytree(finished_run.folder / "tokenizer", tmp_path / "run/tokenizer").parent
    size = Tokenizer.from_pretrained(own / "tokenizer").config
    starts = [
        start_of(own, random_decoder(size.patch.frames * size.audio.n_mels, seed=number), gain=gain)
        for number, gain in enumerate((0.5, 2.5))
    ]
    made = [
        make_one(finished_run.manifest, tmp_path, *WORDS, f"tokenizer.start='{start}'", *more)
        for start in starts
        for more in ((), ("tokenizer.decoder=null",))
    ]
    for each in made[1:]:
        assert all(each[name].key == made[0][name].key for name in ("tokenizer", "codes", "health", "waveforms"))
    one, alone, other, _ = made
    assert one["code_decoder"].key != other["code_decoder"].key
    assert len({each["vocoder"].key for each in made}) == 3  # without a decoder they are the same
    assert "code_decoder" not in alone
    for artifacts, gain in ((one, 0.5), (other, 2.5)):
        sounding = Tokenizer.from_pretrained(artifacts["code_decoder"].folder)
        assert (sounding.reach, sounding.gain, sounding.alone_gain) == (3, gain, 1.5)
    without = Tokenizer.from_pretrained(alone["tokenizer"].folder)
    assert (without.reach, without.gain, without.alone_gain) == (0, 1.5, None)


def test_a_start_without_a_decoder_gets_one(finished_run: FinishedRun, tmp_path: Path) -> None:
    own = shutil.copytree(finished_run.folder / "tokenizer", tmp_path / "run/tokenizer").parent
    start = f"tokenizer.start='{start_of(own, None, gain=0.0)}'"
    made, silent, alone = (
        make_one(finished_run.manifest, tmp_path, *words, start)
        for words in (WORDS, ("stages=[tokenizer]",), (*WORDS, "tokenizer.decoder=null"))
    )
    assert "code_decoder" not in alone.keys() | silent.keys()
    tokenizer = Tokenizer.from_pretrained(made["code_decoder"].folder)
    assert (tokenizer.reach, tokenizer.alone_gain) == (8, 1.5)
    assert (made["code_decoder"].folder / CURVE).is_file()
    assert made["codes"].key == alone["codes"].key
