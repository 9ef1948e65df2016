from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.reference import noise_vocoded_as_a_whole
from tests.vocoder.sounds import (
    MEAN,
    PATCH_FRAMES,
    SCALE,
    SPECTROGRAM,
    Table,
    clips_of_own_meaning,
    random_table,
    recordings,
)
from tokenizer.codes import Codes
from vocoder import unlearned
from vocoder.frames import log_mel_of
from vocoder.judging import log_mel_distance
from vocoder.unlearned import noise_vocoder
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import Waveform


def decode(codes: Codes, table: Table, *, seed: int = 0) -> Waveform:
    pieces = [np.zeros(0, np.float32), *(piece.numpy() for piece in noise_vocoder(codes, table, seed=seed))]
    return Waveform(samples=np.concatenate(pieces), sample_rate=codes.format.sample_rate)


@pytest.mark.parametrize("index", [0, 1])
def test_speech_comes_back_as_a_whisper(index: int) -> None:
    sounds = recordings(2)[index : index + 1]
    clips, table = clips_of_own_meaning(sounds)
    codes = table.codes(list(range(len(clips.codes))), len(sounds[0]))
    whisper, original = decode(codes, table), (sounds[0] / 32768).astype(np.float32)
    assert len(whisper.samples) == len(original)
    assert np.abs(whisper.samples).max() <= 1
    white = 0.05 * torch.randn(len(original), generator=torch.Generator().manual_seed(0)).numpy()
    spoken, unshaped = (Waveform(samples=samples, sample_rate=8000) for samples in (original, white))
    assert log_mel_distance(spoken, whisper, SPECTROGRAM) < 0.5 * log_mel_distance(spoken, unshaped, SPECTROGRAM)


def test_noise_is_as_loud_as_it_is_meant_to_be() -> None:
    """Four seconds of white noise of 0.1, by what a front end hears of it on average."""
    white = 0.1 * torch.randn(32_000, generator=torch.Generator().manual_seed(1))
    level = (LogMel(SPECTROGRAM)(white[None])[0].exp().mean(dim=0).log() - MEAN) / SCALE  # (mels,)
    table = Table(level.expand(1, PATCH_FRAMES, -1))
    samples = decode(table.codes([0] * 200), table).samples
    assert 20 * np.log10(samples.std() / 0.1) == pytest.approx(0, abs=0.4)  # dB


@pytest.mark.parametrize("codes", [1, 33, 51, 101])
def test_blocks_are_those_of_the_whole(codes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of frames whose samples are, and are not, a multiple of the 16 values that PyTorch draws at a time."""
    for hop in (SPECTROGRAM.hop_length, SPECTROGRAM.hop_length - 1):
        table = random_table()
        table.front_end = replace(SPECTROGRAM, hop_length=hop)
        table.format = replace(table.format, samples_per_code=PATCH_FRAMES * hop)
        clip = table.codes([number % 12 for number in range(codes)])
        meant = log_mel_of(clip.values, table)
        whole = noise_vocoded_as_a_whole(meant, table.front_end, seed=1)
        for block in (1, 33, 201):
            monkeypatch.setattr(unlearned, "BLOCK_FRAMES", block)
            assert np.abs(decode(clip, table, seed=1).samples - whole).max() <= 1e-5
