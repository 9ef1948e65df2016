import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import gain_of_patches
from tests.tokenizer.conftest import RATE, fitted, sound
from tokenizer.fitting import PATCHES, measure_gain
from tokenizer.options import PatchConfig
from tokenizer.tokenizer import Tokenizer
from vocoder.judging import sound_levels
from vocoder.kinds import UNLEARNED
from vocoder.sampling import Sampling
from vocoder.synthesis import create_synthesis
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError


def columns_of(tokenizer: Tokenizer, samples: np.ndarray) -> Tensor:
    """Patches of all bands ``(n, frames, mels)``."""
    frames = tokenizer.log_mel(torch.from_numpy(np.float32(samples))[None])[0]
    whole = len(frames) // tokenizer.patch_frames * tokenizer.patch_frames
    return frames[:whole].unflatten(0, (-1, tokenizer.patch_frames))


@pytest.mark.parametrize(("patch", "levels"), [(PatchConfig(frames=2), 1), (PatchConfig(frames=4, mels=8), 2)])
def test_gain_is_the_power_that_decoded_patches_lack(patch: PatchConfig, levels: int) -> None:
    tokenizer = fitted(patch, 16, levels)
    columns = columns_of(tokenizer, sound(3.0, seed=1))
    gain = measure_gain(tokenizer, columns)
    assert gain == pytest.approx(gain_of_patches(tokenizer, columns), abs=0.01)
    assert gain > 0.2  # a mean of logarithms is below the logarithm of a mean


def test_sound_of_codes_has_the_level_of_the_recording() -> None:
    """Of few codes, which mean far too little power."""
    tokenizer = fitted(PatchConfig(frames=2), 16)
    recording = Waveform(samples=sound(6.0), sample_rate=RATE)
    codes = tokenizer.encode(recording)
    quiet = tokenizer.gain
    tokenizer.gain = measure_gain(tokenizer, columns_of(tokenizer, recording.samples))
    wanted = sound_levels(recording).rms
    for kind in UNLEARNED:
        (made,) = create_synthesis(kind, tokenizer, Sampling()).sounds([codes], [None], names=["a"])
        assert sound_levels(made).rms == pytest.approx(wanted, abs=1.5)
        assert sound_levels(made).clipping == 0
    assert quiet == 0


def test_a_large_sample_is_measured_in_part(tokenizer: Tokenizer) -> None:
    columns = columns_of(tokenizer, sound(2.0))
    many = columns.repeat(-(-3 * PATCHES // len(columns)), 1, 1)
    assert measure_gain(tokenizer, many) == pytest.approx(measure_gain(tokenizer, columns), abs=0.1)


def test_where_levels_are_unknown_there_is_none(tokenizer: Tokenizer) -> None:
    columns = columns_of(tokenizer, sound(1.0))
    parts = (tokenizer.mean, tokenizer.std, tokenizer.autoencoder, tokenizer.centroids)
    for changes in ({"remove_mean": "clip"}, {"dynamic_range": 40.0}):
        audio = replace(tokenizer.config.audio, **changes)
        relative = Tokenizer(replace(tokenizer.config, audio=audio), *parts)
        assert measure_gain(relative, columns) == 0
    assert measure_gain(tokenizer, columns_of(tokenizer, np.zeros(RATE))) == 0  # silence
    assert measure_gain(tokenizer, columns[:0]) == 0


def test_is_saved_with_the_codebook_and_changes_no_code(tokenizer: Tokenizer, tmp_path: Path) -> None:
    parts = (tokenizer.mean, tokenizer.std, tokenizer.autoencoder, tokenizer.centroids)
    louder = Tokenizer(tokenizer.config, *parts, gain=3.25)
    assert louder.format == tokenizer.format
    louder.save_pretrained(tmp_path)
    assert Tokenizer.from_pretrained(tmp_path).gain == 3.25
    config = json.loads((tmp_path / "config.json").read_text())
    for damaged in (1e9, -21.0, float("nan"), "loud"):
        (tmp_path / "config.json").write_text(json.dumps(config | {"gain": damaged}))
        with pytest.raises(InputError, match="gain"):
            Tokenizer.from_pretrained(tmp_path)
