"""Equal loudness, so that sounds can be compared by ear."""

from collections.abc import Sequence

import numpy as np

from wordless.audio.excerpts import block_energies
from wordless.audio.waveform import Waveform

BLOCK_SECONDS = 0.02
ACTIVE_DB = 40.0  # blocks this far below the loudest block are pauses, which do not count
PEAK = 0.95  # of full scale, after the change


def active_level(sound: Waveform) -> float:
    """Compute the root mean square of a sound without its pauses; 0 for silence.

    A pause is a block of 20 ms that is 40 dB or more below the loudest block. The gate keeps silence around a word from
    changing the word's level, as in ITU-R BS.1770, but without its frequency weighting.
    """
    step = max(round(BLOCK_SECONDS * sound.sample_rate), 1)
    length, energies = block_energies([sound.samples], step)
    if not energies.size or energies.max() <= 0:
        return 0.0
    sizes = np.full(len(energies), step)
    sizes[-1] = length - step * (len(energies) - 1)
    powers = energies / sizes
    active = powers > powers.max() * 10 ** (-ACTIVE_DB / 10)
    return float(np.sqrt(energies[active].sum() / sizes[active].sum()))


def equally_loud(sounds: Sequence[Waveform]) -> list[Waveform]:
    """Scale sounds to one `active_level`: the highest that leaves every peak below full scale. Silence stays silent."""
    levels = [active_level(sound) for sound in sounds]
    peaks = [float(np.abs(sound.samples).max(initial=0)) for sound in sounds]
    wanted = min((PEAK * level / peak for level, peak in zip(levels, peaks, strict=True) if level), default=0.0)
    return [
        Waveform(samples=sound.samples * np.float32(wanted / level), sample_rate=sound.sample_rate) if level else sound
        for sound, level in zip(sounds, levels, strict=True)
    ]
