"""Decoded test clips -> figures of each: how near it comes to its original, and what is wrong with it by itself."""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from audio.waveform import Waveform
from pipelines.stages.decoded import decoded_paths, sound_of
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from tokenizer.codes import Codes
from tokenizer.encoder import Encoder
from vocoder.judging.intelligibility import HOW_TO_GET_PESQ, has_pesq, pesq, stoi
from vocoder.judging.metrics import (
    code_agreement,
    log_mel_distance,
    mel_cepstral_distortion,
    sound_levels,
)
from vocoder.judging.pitch import HOW_TO_GET_PITCH, PitchArray, has_pitch, pitch, pitch_error, voicing_error
from vocoder.kinds.table import JUDGED_KINDS, ORIGINAL
from vocoder.runaway import RunawayGuard
from vocoder.vocoder import Vocoder

JUDGED = "judged.json"
CLIPPED = 1e-3  # share of its samples at full scale from which on a clip counts as clipped

Figures = dict[str, float | None]  # None: there is too little to measure


def judged(session: Session, tokenizer_entry: Entry, vocoder_entry: Entry, decoded_entry: Entry) -> Entry:
    """The figures of every sound of `decoded`; the vocoder knows how loud its training clips were."""
    with_pesq, with_pitch = has_pesq(), has_pitch()
    recipe = Recipe(
        stage="judged",
        version=2,
        config={"pesq": with_pesq, "pitch": with_pitch},
        inputs={"tokenizer": tokenizer_entry.key, "decoded": decoded_entry.key},
    )

    def make(folder: Path) -> None:
        if not with_pesq:
            session.terminal.say(f"judged    without PESQ: {HOW_TO_GET_PESQ}")
        if not with_pitch:
            session.terminal.say(f"judged    without pitch: {HOW_TO_GET_PITCH}")
        paths = decoded_paths(decoded_entry)
        numbers = range(len(paths))
        encoder = Encoder(folder=tokenizer_entry.folder, root=decoded_entry.folder)
        guard = Vocoder.from_pretrained(vocoder_entry.folder).guard
        judge = partial(_judge, encoder, guard, with_pesq, with_pitch)
        rows = list(session.each("judging", judge, numbers))
        clips = [{"path": path, "sounds": sounds} for path, sounds in zip(paths, rows, strict=True)]
        write_json(folder / JUDGED, {"clips": clips})

    return session.obtain(recipe, "decoded test clips judged", make, files=[JUDGED])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Original:
    """What a recording is compared by."""

    waveform: Waveform
    codes: Codes
    pitch: PitchArray | None  # None: it cannot be measured here


def _judge(
    encoder: Encoder, guard: RunawayGuard | None, with_pesq: bool, with_pitch: bool, number: int
) -> dict[str, Figures]:
    """The figures of each kind of one clip."""
    sounds = {kind: sound_of(encoder.root, number, kind) for kind in JUDGED_KINDS}
    waveform = sounds[ORIGINAL]
    original = _Original(
        waveform=waveform,
        codes=encoder.tokenizer.encode(waveform),
        pitch=pitch(waveform) if with_pitch else None,
    )
    figures = {kind: by_itself(sound, guard) for kind, sound in sounds.items()}
    for kind, sound in sounds.items():
        if kind != ORIGINAL:
            figures[kind] |= _compared(encoder, original, sound, with_pesq=with_pesq)
    return figures


def by_itself(sound: Waveform, guard: RunawayGuard | None) -> Figures:
    """What is wrong with a sound by itself; ``runaway_clips`` is None where no guard knows what is too loud."""
    levels, samples = sound_levels(sound), torch.from_numpy(sound.samples)
    # Silence is told for itself; a vocoder from before loudness was kept cannot say what is too loud.
    loud = None if guard is None else float(guard.odd(samples, sound.sample_rate, meant=0.0))
    return {
        **asdict(levels),
        "silent_clips": float(levels.silence == 1),
        "clipped_clips": float(levels.clipping > CLIPPED),
        "runaway_clips": loud,
    }


def _compared(encoder: Encoder, original: _Original, sound: Waveform, *, with_pesq: bool) -> Figures:
    audio = encoder.tokenizer.config.audio
    long_enough = len(original.waveform.samples) >= audio.hop_length
    return {
        "log_mel_distance": log_mel_distance(original.waveform, sound, audio) if long_enough else None,
        "mel_cepstral_distortion": mel_cepstral_distortion(original.waveform, sound, audio) if long_enough else None,
        "stoi": stoi(original.waveform, sound),
        **({"pesq": pesq(original.waveform, sound)} if with_pesq else {}),
        **_pitch_errors(original.pitch, sound),
        "code_agreement": code_agreement(original.codes, encoder.tokenizer.encode(sound)),
    }


def _pitch_errors(original: PitchArray | None, sound: Waveform) -> Figures:
    if original is None:
        return {"pitch_error": None, "voicing_error": None}
    heard = pitch(sound)
    return {"pitch_error": pitch_error(original, heard), "voicing_error": voicing_error(original, heard)}
