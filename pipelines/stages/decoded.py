"""Decoding of test clips to sound for figures, in larger numbers than for listening.

All sounds are files, including the originals, so each can be heard and measured again.
"""

from pathlib import Path

import soundfile

from audio.reading import read
from audio.recordings.choosing import drawn
from audio.recordings.manifest import Manifest, audio_hash
from audio.spectrogram import SpectrogramConfig
from audio.waveform import Waveform
from pipelines.stages.listening import HEARD, ListeningConfig, excerpt_of, excerpt_row, opened, sounding_here, spoken
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from vocoder.kinds.table import JUDGED_KINDS, ORIGINAL
from vocoder.kinds.wavenet import WAVENET
from vocoder.synthesis import speaking

CLIPS = "clips.json"  # the clips, and the starts of their excerpts
GUARD = "guard.json"  # runaway blocks of WaveNet's sound, if the vocoder has a guard


def decoded(
    session: Session,
    manifest: Manifest,
    tokenizer_entry: Entry,
    vocoder_entry: Entry,
    audio: SpectrogramConfig,
    config: ListeningConfig,
) -> Entry:
    """Write WAV files at the tokenizer's rate: each clip's original, and its codes decoded to every kind of sound."""
    clips = drawn(manifest.of("test"), config.judged_clips, seed=config.seed)
    recipe = Recipe(
        stage="decoded",
        version=5,
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
        tokenizer, syntheses = opened(session, tokenizer_entry, vocoder_entry, config)
        places = []
        for number, clip in enumerate(clips):
            excerpt = excerpt_of(manifest, clip, tokenizer, config)
            excerpt.waveform.write(folder / wav_name(number, ORIGINAL))
            places.append(excerpt_row(clip, excerpt))
        codes = [tokenizer.encode(sound_of(folder, number, ORIGINAL)) for number in range(len(clips))]
        with speaking([*syntheses.values()], lambda told: session.terminal.say(f"decoded   {told}")):
            for kind, synthesis in syntheses.items():
                sounds = spoken(session, synthesis, clips, codes, title="decoding test clips")
                for number, sound in enumerate(sounds):
                    sound.write(folder / wav_name(number, kind))
        if (guard := syntheses[WAVENET.key].guard) is not None:
            write_json(folder / GUARD, {"found": guard.found, "left": guard.left})
        write_json(folder / CLIPS, {"clips": places})

    wavs = [wav_name(number, kind) for number in range(len(clips)) for kind in JUDGED_KINDS]
    return session.obtain(recipe, f"{len(clips)} test clips decoded", make, files=[CLIPS, *wavs, "guard*.json"])


def decoded_paths(entry: Entry) -> list[str]:
    """List the names of the entry's clips, in the order of their files."""
    return [row["path"] for row in entry.read_rows(CLIPS, "clips")]


def wav_name(number: int, kind: str) -> str:
    """Return the file name of a clip's sound in the entry."""
    return f"{number}_{kind}.wav"


def sound_of(folder: Path, number: int, kind: str) -> Waveform:
    """Read one sound of the entry."""
    path = folder / wav_name(number, kind)
    return read(path, soundfile.info(path).samplerate)
