"""All figures of a decoded sound: its own faults, and its distance from its original."""

from dataclasses import asdict, dataclass

import torch

from tokenizer.codes import Codes
from vocoder.judging.intelligibility import pesq, stoi
from vocoder.judging.metrics import code_agreement, log_mel_distance, mel_cepstral_distortion, sound_levels
from vocoder.judging.pitch import PitchArray, pitch, pitch_error, voicing_error
from vocoder.runaway import RunawayGuard
from wordless.audio.options import SpectrogramConfig
from wordless.audio.waveform import Waveform

CLIPPED = 1e-3  # share of its samples at full scale from which on a clip counts as clipped

Figures = dict[str, float | None]  # None: there is too little to measure


@dataclass(frozen=True, kw_only=True, eq=False)
class Original:
    """A recording that decoded sounds are compared with."""

    waveform: Waveform
    codes: Codes
    pitch: PitchArray | None  # None: it cannot be measured here


def by_itself(sound: Waveform, guard: RunawayGuard | None) -> Figures:
    """Measure the faults of a sound; ``runaway_clips`` is None without a guard that knows what is too loud."""
    levels, samples = sound_levels(sound), torch.from_numpy(sound.samples)
    # Silence has its own figure; older vocoders have no loudness range.
    loud = None if guard is None else float(guard.fault(samples, sound.sample_rate, meant=0.0) == "loud")
    return {
        **asdict(levels),
        "silent_clips": float(levels.silence == 1),
        "clipped_clips": float(levels.clipping > CLIPPED),
        "runaway_clips": loud,
    }


def beside(original: Original, sound: Waveform, codes: Codes, audio: SpectrogramConfig, *, with_pesq: bool) -> Figures:
    """Compare a decoded sound with its original.

    Args:
        original: the recording.
        sound: decoded from the recording's codes.
        codes: what the tokenizer makes of the decoded sound.
        audio: front end of the tokenizer.
        with_pesq: whether PESQ is measured, too.
    """
    long_enough = len(original.waveform.samples) >= audio.hop_length
    return {
        "log_mel_distance": log_mel_distance(original.waveform, sound, audio) if long_enough else None,
        "mel_cepstral_distortion": mel_cepstral_distortion(original.waveform, sound, audio) if long_enough else None,
        "stoi": stoi(original.waveform, sound),
        **({"pesq": pesq(original.waveform, sound)} if with_pesq else {}),
        **_pitch_errors(original.pitch, sound),
        "code_agreement": code_agreement(original.codes, codes),
    }


def _pitch_errors(original: PitchArray | None, sound: Waveform) -> Figures:
    if original is None:
        return {"pitch_error": None, "voicing_error": None}
    own = pitch(sound)
    return {"pitch_error": pitch_error(original, own), "voicing_error": voicing_error(original, own)}
