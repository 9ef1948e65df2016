"""Playback of test clips: their excerpts, and the sound of their codes, for listening and for figures.

All sounds that are measured are files, including the originals, so each can be heard and measured again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import soundfile

from pipelines.stages.options import JudgeName, ListeningConfig
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, some_options, write_json
from tokenizer.codes import Codes
from tokenizer.encoder import Encoder
from tokenizer.tokenizer import Tokenizer
from vocoder.engines.choice import choose_engine, precision
from vocoder.filters import in_force
from vocoder.generation import RunawayGuard
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
from vocoder.kinds import BY_KEY, JUDGED_KINDS, KINDS, ORIGINAL, WAVENET
from vocoder.synthesis import Synthesis, create_synthesis, speaking
from vocoder.vocoder import Vocoder
from wordless.audio.levels import Excerpt, read_loudest
from wordless.audio.options import SpectrogramConfig
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clip, Manifest, audio_hash, choose_randomly
from wordless.audio.waveform import Waveform

JUDGES: dict[JudgeName, str] = {
    "probe": "a linear probe of log-mel",
    "codes": "a linear probe of the codes of the sound",
    "supervised": "a supervised network",
}


@dataclass(frozen=True, kw_only=True)
class Playback:
    """The models that turn test clips into codes and back into sound, and the options of this sound."""

    session: Session
    manifest: Manifest
    tokenizer: Entry
    vocoder: Entry
    audio: SpectrogramConfig
    config: ListeningConfig

    def choose(self, count: int) -> list[Clip]:
        """Choose ``count`` test clips at random."""
        return choose_randomly(self.manifest.of("test"), count, seed=self.config.seed)

    def choose_long(self, count: int) -> list[Clip]:
        """Choose ``count`` test clips at random, long enough for a prompt of `ListeningConfig.prompt_seconds`.

        A prompt takes three quarters of a clip at most. If too few clips are long enough, the longest clips are chosen.
        """
        clips, seed = self.manifest.of("test"), self.config.seed
        long = [clip for clip in clips if 0.75 * clip.seconds >= self.config.prompt_seconds]
        if len(long) >= count:
            return choose_randomly(long, count, seed=seed)
        longest = sorted(clips, key=lambda clip: clip.seconds, reverse=True)[:count]
        return [clip for clip in clips if clip in longest]

    @property
    def filtered(self) -> dict[str, float | bool]:
        """What is in force of the filter of WaveNet's sound."""
        own, strength = self.config, in_force(self.config.postfilter, self.audio)
        return {
            "postfilter": strength,
            "postfilter_passes": own.postfilter_passes if strength else 0,
            "pitch_comb": own.pitch_comb and strength > 0,
        }

    def recipe(
        self, stage: str, version: int, clips: Sequence[Clip], config: Mapping[str, object], **inputs: Entry | None
    ) -> Recipe:
        """Return the recipe of a stage that plays ``clips``, with its own ``config`` and ``inputs``.

        The recipe also holds the active post-filter, the engine's precision, the versions of the kinds of sound, and
        the clips' groups.
        """
        engine = choose_engine(self.config.engine, self.session.gang.device.type).engine
        options = {"listening": {**config, **self.filtered}, "precision": precision(engine)}
        kinds = {f"version of {kind.key}": kind.version for kind in KINDS if kind.version}
        read = {"tokenizer": self.tokenizer, "vocoder": self.vocoder, **inputs}
        return Recipe(
            stage,
            version,
            config={**options, **kinds, "groups": [clip.group for clip in clips]},
            inputs={**read, "recordings": audio_hash(self.manifest, ["test"])},
        )

    def open(self) -> tuple[Tokenizer, dict[str, Synthesis]]:
        """Load the tokenizer and the synthesis of each kind of sound, on this run's device."""
        device, own = str(self.session.gang.device), self.config
        tokenizer = Tokenizer.from_pretrained(self.tokenizer.folder, device=device)
        sampling = own.sampled(temperature=own.vocoder_temperature, seed=own.seed)
        folder = self.vocoder.folder
        create = partial(create_synthesis, tokenizer=tokenizer, sampling=sampling, folder=folder, device=device)
        return tokenizer, {kind.key: create(kind) for kind in KINDS}

    def excerpt(self, clip: Clip, tokenizer: Tokenizer) -> Excerpt:
        """Read the excerpt of a clip: its loudest ``config.seconds``, or all of a shorter one.

        It begins where a code of the clip begins. The excerpt is encoded like a separate clip, so a front end that
        measures whole recordings measures the excerpt, as it does when decoded sound is encoded again.
        """
        path, step = self.manifest.root / clip.path, tokenizer.format.samples_per_code
        return read_loudest(path, tokenizer.format.sample_rate, self.config.seconds, step=step, part=clip.part)

    def speak(
        self, syntheses: Mapping[str, Synthesis], clips: Sequence[Clip], codes: Sequence[Codes], *, title: str
    ) -> Iterator[tuple[str, list[Waveform]]]:
        """Decode the clips' codes to each kind of sound, one kind after the other."""
        for kind, synthesis in syntheses.items():
            with self.session.terminal.working(title, 1, "samples") as progress:
                groups, names = [clip.group for clip in clips], [clip.name for clip in clips]
                sounds = synthesis.sounds(codes, groups, names=names, progress=progress.advance_to)
            yield kind, sounds


def excerpt_row(clip: Clip, excerpt: Excerpt) -> dict[str, object]:
    """Describe an excerpt: its clip, its start in the clip, and the lengths of excerpt and clip in seconds."""
    seconds = {"seconds": excerpt.waveform.seconds, "clip_seconds": clip.seconds}
    return {"path": clip.name, "start": excerpt.start_seconds, **seconds}


CLIPS = "clips.json"  # the clips, and the starts of their excerpts
GUARD = "guard.json"  # runaway blocks of WaveNet's sound, if the vocoder has a guard
JUDGED = "judged.json"


def decode_clips(playback: Playback) -> Entry:
    """Write WAV files at the tokenizer's rate: each clip's original, and its codes decoded to every kind of sound."""
    session, own = playback.session, playback.config
    clips = playback.choose(own.judged_clips)
    options = some_options(own, "judged_clips", "seconds", "vocoder_temperature", "seed")
    recipe = playback.recipe("decoded", 6, clips, options)

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


def measures_pitch(config: ListeningConfig, sample_rate: int) -> bool:
    """Return whether the pitch of sounds is asked for, and can be measured here."""
    return config.asks("pitch") and sample_rate >= LEAST_RATE and has_pitch()


def measure_clips(session: Session, tokenizer: Entry, vocoder: Entry, decoded: Entry, config: ListeningConfig) -> Entry:
    """Measure every decoded sound: its distance from its original, and its own faults.

    The vocoder has the loudness of its training clips. ``config`` says which judges are asked.
    """
    encoder = Encoder(folder=tokenizer.folder, root=decoded.folder)
    rate = encoder.format.sample_rate
    with_stoi, with_pesq = config.asks("stoi"), config.asks("pesq") and has_pesq()
    with_pitch = measures_pitch(config, rate)
    measured = {"pesq": with_pesq, "pitch": with_pitch, **({} if with_stoi else {"stoi": False})}
    recipe = Recipe("judged", 3, config=measured, inputs={"tokenizer": tokenizer, "decoded": decoded})

    def make(folder: Path) -> None:
        if config.asks("pesq") and not with_pesq:
            session.terminal.say(f"judged    without PESQ: {HOW_TO_GET_PESQ}")
        if config.asks("pitch") and rate < LEAST_RATE:
            session.terminal.say(f"judged    without pitch, which is that of voices: from {LEAST_RATE} Hz on")
        elif config.asks("pitch") and not with_pitch:
            session.terminal.say(f"judged    without pitch: {HOW_TO_GET_PITCH}")
        paths = decoded_paths(decoded)
        guard = Vocoder.from_pretrained(vocoder.folder).guard
        measure = partial(_measure, encoder, guard, with_stoi=with_stoi, with_pesq=with_pesq, with_pitch=with_pitch)
        rows = session.each("judging", measure, range(len(paths)))
        clips = [{"path": path, "sounds": sounds} for path, sounds in zip(paths, rows, strict=True)]
        write_json(folder / JUDGED, {"clips": clips})

    return session.obtain(recipe, "decoded test clips judged", make, files=[JUDGED])


def _measure(
    encoder: Encoder, guard: RunawayGuard | None, number: int, *, with_stoi: bool, with_pesq: bool, with_pitch: bool
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
        compared = beside(original, sounds[kind], codes[kind], audio, with_stoi=with_stoi, with_pesq=with_pesq)
        figures[kind] |= compared
    return figures
