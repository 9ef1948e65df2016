"""The sounds at the top of a report: a recording, its codes as sound, and a continuation, equally loud."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
from markupsafe import Markup

from pipelines.pages.phrasing import duration, percent
from pipelines.pages.report_sounds import ClipSounds, Sound, sound_path
from pipelines.pages.sound_charts import code_strip, sound_spectrograms
from pipelines.results.run_record import Pictures
from vocoder.kinds import ORIGINAL, WAVENET
from wordless.audio.excerpts import equally_loud
from wordless.audio.waveform import Waveform

MOSTLY_SILENT = 0.5  # share of silent frames in the new part of a continuation


@dataclass(frozen=True, kw_only=True)
class Player:
    """A sound with its caption."""

    title: str
    caption: str
    source: str  # data URI


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The first test clip that was decoded and continued."""

    name: str
    players: list[Player]
    picture: Markup


def headline(folder: Path, clips: Sequence[ClipSounds], pictures: Pictures, *, largest: int | None) -> Headline | None:
    """Make the players and the picture at the top of a report; None for a run without sounds.

    The clip and the continuation are the first ones of the run, so they are not chosen by how good they sound.
    """
    if not clips:
        return None
    by_file = {sound.file: sound for sound in clips[0].sounds}
    found = [by_file[file] for kind in (ORIGINAL, WAVENET.key) if (file := f"0_{kind}.wav") in by_file]
    sounds = {sound_path(folder, each.file): each for each in (*found, *clips[0].continuations[:1])}
    codes = pictures.get("0:codes")
    strip = code_strip(codes, next(iter(sounds)), largest) if codes is not None and largest is not None else None
    picture = sound_spectrograms(0, sounds, name=clips[0].name, chart="headline", below_first=strip)
    return Headline(name=clips[0].name, players=_players(sounds), picture=picture)


def silence_warning(sounds: Sequence[Sound]) -> str | None:
    """Warn of continuations whose new part is mostly silence; None if there are none."""
    silent = [sound for sound in sounds if mostly_silent(sound)]
    if not silent:
        return None
    share = percent(MOSTLY_SILENT).replace(".0", "")
    return (
        f"{len(silent)} of {len(sounds)} sounds of the language model are mostly silence (more than {share} of their "
        "frames are softer than −60 dB). A language model learns the pauses of its recordings: cut silent ends off "
        "(corpus.inspection.trim_db=30), or train it longer."
    )


def mostly_silent(sound: Sound) -> bool:
    """Return whether most of the new part of a generated sound is silent."""
    return sound.figures.get("silence", 0.0) > MOSTLY_SILENT


def _players(sounds: dict[Path, Sound]) -> list[Player]:
    waveforms = []
    for path in sounds:
        samples, rate = soundfile.read(path, dtype="float32")
        waveforms.append(Waveform(samples=samples, sample_rate=rate))
    return [
        Player(title=sound.title, caption=_caption(sound), source=_data_uri(waveform))
        for sound, waveform in zip(sounds.values(), equally_loud(waveforms), strict=True)
    ]


def _caption(sound: Sound) -> str:
    """Say what is heard: the length of the prompt, and whether what follows is silence."""
    prompt = sound.figures.get("prompt_seconds")
    if prompt is None:
        return ""
    begin = f"the first {duration(prompt)} are the recording"
    return f"{begin}; most of the rest is silence" if mostly_silent(sound) else begin


def _data_uri(sound: Waveform) -> str:
    written = io.BytesIO()
    soundfile.write(written, sound.samples, sound.sample_rate, subtype="PCM_16", format="WAV")
    return f"data:audio/wav;base64,{base64.b64encode(written.getvalue()).decode()}"
