"""Decoding of test clips to sound for figures, in larger numbers than for listening, and these figures.

All sounds are files, including the originals, so each can be heard and measured again.
"""

from functools import partial
from pathlib import Path

import soundfile

from pipelines.stages.playback import Playback, excerpt_row
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from tokenizer.encoder import Encoder
from vocoder.judging import (
    HOW_TO_GET_PESQ,
    HOW_TO_GET_PITCH,
    LEAST_RATE,
    Figures,
    Original,
    beside,
    by_itself,
    has_pesq,
    has_pitch,
    periodicity,
    pitch,
)
from vocoder.kinds import BY_KEY, JUDGED_KINDS, ORIGINAL, WAVENET
from vocoder.runaway import RunawayGuard
from vocoder.synthesis import speaking
from vocoder.vocoder import Vocoder
from wordless.audio.reading import read
from wordless.audio.waveform import Waveform

CLIPS = "clips.json"  # the clips, and the starts of their excerpts
GUARD = "guard.json"  # runaway blocks of WaveNet's sound, if the vocoder has a guard
JUDGED = "judged.json"


def decode_clips(playback: Playback) -> Entry:
    """Write WAV files at the tokenizer's rate: each clip's original, and its codes decoded to every kind of sound."""
    session, own = playback.session, playback.config
    clips = playback.choose(own.judged_clips)
    options = {"seconds": own.seconds, "vocoder_temperature": own.vocoder_temperature, "seed": own.seed}
    recipe = playback.recipe("decoded", 6, clips, {"clips": own.judged_clips, **options})

    def make(folder: Path) -> None:
        tokenizer, syntheses = playback.open()
        rows = []
        for number, clip in enumerate(clips):
            excerpt = playback.excerpt(clip, tokenizer)
            excerpt.waveform.write(folder / wav_name(number, ORIGINAL))
            rows.append(excerpt_row(clip, excerpt))
        codes = [tokenizer.encode(sound_of(folder, number, ORIGINAL)) for number in range(len(clips))]
        with speaking([*syntheses.values()], lambda notice: session.terminal.say(f"decoded   {notice}")):
            for kind, sounds in playback.speak(syntheses, clips, codes, title="decoding test clips"):
                for number, sound in enumerate(sounds):
                    sound.write(folder / wav_name(number, kind))
        if (guard := syntheses[WAVENET.key].guard) is not None:
            write_json(folder / GUARD, {"found": guard.found, "left": guard.left})
        write_json(folder / CLIPS, {"clips": rows})

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


def measure_clips(session: Session, tokenizer: Entry, vocoder: Entry, decoded: Entry) -> Entry:
    """Measure every decoded sound: its distance from its original, and its own faults.

    The vocoder has the loudness of its training clips.
    """
    encoder = Encoder(folder=tokenizer.folder, root=decoded.folder)
    voices = encoder.format.sample_rate >= LEAST_RATE
    with_pesq, with_pitch = has_pesq(), has_pitch() and voices
    inputs = {"tokenizer": tokenizer.key, "decoded": decoded.key}
    recipe = Recipe("judged", 3, config={"pesq": with_pesq, "pitch": with_pitch}, inputs=inputs)

    def make(folder: Path) -> None:
        if not with_pesq:
            session.terminal.say(f"judged    without PESQ: {HOW_TO_GET_PESQ}")
        if not voices:
            session.terminal.say(f"judged    without pitch, which is that of voices: from {LEAST_RATE} Hz on")
        elif not with_pitch:
            session.terminal.say(f"judged    without pitch: {HOW_TO_GET_PITCH}")
        paths = decoded_paths(decoded)
        measure = partial(_measure, encoder, Vocoder.from_pretrained(vocoder.folder).guard, with_pesq, with_pitch)
        rows = session.each("judging", measure, range(len(paths)))
        clips = [{"path": path, "sounds": sounds} for path, sounds in zip(paths, rows, strict=True)]
        write_json(folder / JUDGED, {"clips": clips})

    return session.obtain(recipe, "decoded test clips judged", make, files=[JUDGED])


def _measure(
    encoder: Encoder, guard: RunawayGuard | None, with_pesq: bool, with_pitch: bool, number: int
) -> dict[str, Figures]:
    sounds = {kind: sound_of(encoder.root, number, kind) for kind in JUDGED_KINDS}
    codes = {kind: encoder.tokenizer.encode(sound) for kind, sound in sounds.items()}
    contour = pitch(sounds[ORIGINAL]) if with_pitch else None
    original = Original(waveform=sounds[ORIGINAL], codes=codes[ORIGINAL], pitch=contour)
    figures = {
        kind: {"periodicity": periodicity(sound, sounds[ORIGINAL]), **by_itself(sound, guard)}
        for kind, sound in sounds.items()
    }
    audio = encoder.tokenizer.config.audio
    for kind in BY_KEY:
        figures[kind] |= beside(original, sounds[kind], codes[kind], audio, with_pesq=with_pesq)
    return figures
