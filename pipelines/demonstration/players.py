"""Sounds as elements of the page: players that hold their sound, and the pieces of a stream."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
from markupsafe import Markup

from wordless.audio.waveform import FloatArray, Waveform

STYLE = """
.players { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: .75rem 1rem; }
.players b { display: block; font-weight: 600; }
.players small { display: block; color: var(--muted); min-height: 1.2em; }
.players audio { display: block; width: 100%; height: 2.6rem; margin: .3rem 0; color-scheme: light; }
.dark .players audio { color-scheme: dark; }
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlayedSound:
    """A sound of the page; None: it is not made yet."""

    title: str
    note: str  # a sentence
    sound: Waveform | None


def players(sounds: Sequence[PlayedSound]) -> Markup:
    """Write a player for each sound."""
    return Markup('<div class="players">{}</div>').format(Markup("").join(map(_player, sounds)))


def _player(played: PlayedSound) -> Markup:
    head = Markup("<div><b>{}</b>").format(played.title)
    if played.sound is None:
        return head + Markup("<small>{}</small></div>").format("is being made …")
    source = f"data:audio/wav;base64,{base64.b64encode(wav_bytes(played.sound)).decode()}"
    audio = Markup('<audio controls src="{}" aria-label="{}"></audio>').format(source, played.title)
    return head + audio + Markup("<small>{}</small></div>").format(played.note)


def wav_bytes(sound: Waveform) -> bytes:
    """Return a 16-bit PCM WAV file; samples outside [-1, 1] are clipped."""
    written = io.BytesIO()
    soundfile.write(written, np.clip(sound.samples, -1, 1), sound.sample_rate, subtype="PCM_16", format="WAV")
    return written.getvalue()


class StreamText:
    """A stream of sound as text that grows, which ``player.js`` plays as it grows.

    The first line is a name of the stream and the sample rate. Each other line is a piece: samples of 16 bits, little
    end first, in base64.
    """

    def __init__(self, name: str, sample_rate: int) -> None:
        self.text = f"{name} {sample_rate}"

    def add(self, samples: FloatArray) -> str:
        """Append a piece ``(time,)``, and return the whole text."""
        levels = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
        self.text += "\n" + base64.b64encode(levels.tobytes()).decode()
        return self.text
