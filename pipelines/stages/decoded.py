"""Test clips -> codes -> sound again: more of them than anyone listens to, to be judged by figures.

All lie in files, originals included: what is measured of a sound can be heard, and measured again.
"""

from pathlib import Path
from typing import Literal, get_args

from audio.manifest import Manifest, audio_hash
from audio.reading import read, read_beginning
from audio.spectrogram import SpectrogramConfig
from audio.waveform import Waveform
from pipelines.session import Session
from pipelines.speaker import speaking
from pipelines.stages.choosing import drawn
from pipelines.stages.listening import HEARD, ListeningConfig, sounding_here, spoken, unlearned, voice
from pipelines.store import Entry, Recipe, write_json

Kind = Literal["original", "noise_vocoder", "griffin_lim", "wavenet"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CLIPS = "clips.json"
GUARD = "guard.json"  # blocks of WaveNet's sound that ran away; where the vocoder knows what that is


def decoded(
    session: Session,
    manifest: Manifest,
    tokenizer_entry: Entry,
    vocoder_entry: Entry,
    audio: SpectrogramConfig,
    config: ListeningConfig,
) -> Entry:
    """WAV files at the tokenizer's rate: each clip's original, and its codes by all `KINDS` of vocoder."""
    clips = drawn(manifest.of("test"), config.judged_clips, seed=config.seed)
    recipe = Recipe(
        stage="decoded",
        version=4,
        config={
            "clips": config.judged_clips,
            "seconds": config.seconds,
            "vocoder_temperature": config.vocoder_temperature,
            "seed": config.seed,
            **sounding_here(session, audio, config),
            "groups": [clip.group for clip in clips],
        },
        inputs={
            "tokenizer": tokenizer_entry.key,
            "vocoder": vocoder_entry.key,
            "manifest": audio_hash(manifest, HEARD),
        },
    )

    def make(folder: Path) -> None:
        tokenizer, vocoder = voice(session, tokenizer_entry, vocoder_entry, config)
        for number, clip in enumerate(clips):
            original = read_beginning(manifest.root / clip.path, audio.sample_rate, config.seconds, part=clip.part)
            original.write(folder / wav_name(number, "original"))
        codes = [tokenizer.encode(sound_of(folder, number, "original")) for number in range(len(clips))]
        for number, each in enumerate(codes):
            for kind, plain in unlearned(each, tokenizer, seed=config.seed).items():
                plain.write(folder / wav_name(number, kind))
        with speaking(vocoder, audio, lambda told: session.terminal.say(f"decoded   {told}")):
            sounds = spoken(session, vocoder, tokenizer, clips, codes, config, title="decoding test clips")
        for number, sound in enumerate(sounds):
            sound.write(folder / wav_name(number, "wavenet"))
        if vocoder.guard is not None:
            write_json(folder / GUARD, {"found": vocoder.guard.found, "left": vocoder.guard.left})
        write_json(folder / CLIPS, [clip.name for clip in clips])

    return session.obtain(recipe, f"{len(clips)} test clips decoded", make)


def wav_name(number: int, kind: Kind) -> str:
    """The file of a clip's sound in the entry."""
    return f"{number}_{kind}.wav"


def sound_of(folder: Path, number: int, kind: Kind) -> Waveform:
    """One sound of the entry, as it lies there."""
    path = folder / wav_name(number, kind)
    return read(path, _rate(path))


def _rate(path: Path) -> int:
    import soundfile

    rate: int = soundfile.info(path).samplerate
    return rate
