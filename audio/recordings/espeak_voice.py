"""eSpeak NG in its own process: reads utterances as JSON from standard input and writes one WAV file for each.

Its argument is the number of a pipe's reading end; the process ends when the caller closes the other end.

The engine keeps state between utterances, even when reseeded. Only a fresh process that synthesises everything in a
fixed order repeats the same bytes. So `audio.recordings.embedded` runs this file and never imports it.

eSpeak NG is licensed under GPL-3; it comes with the package espeakng-loader, and is called here through ctypes.
"""

import ctypes
import io
import json
import os
import sys
import threading
from pathlib import Path

import espeakng_loader
import numpy as np
import numpy.typing as npt
import soundfile

# Values of eSpeak NG's speak_lib.h.
_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: hand samples to the callback, return when done
_RATE, _VOLUME, _PITCH = 1, 2, 3  # espeak_PARAMETER
_BY_CHARACTER, _UTF8 = 1, 1  # espeak_POSITION_TYPE, flags
_BUFFER_MS = 1 << 15

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Voice:
    """The engine. It is stateful: each utterance depends on all earlier ones."""

    def __init__(self, seed: int) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = str(espeakng_loader.get_data_path()).encode()
        self.sample_rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, data, 0)
        if self.sample_rate <= 0:
            raise OSError(f"eSpeak NG does not start with the data in {data.decode()}")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._blocks: list[npt.NDArray[np.int16]] = []
        self._callback = _Callback(self._receive)  # a reference: the library keeps only its address
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, *, voice: str, speed: int, pitch: int, volume: int) -> npt.NDArray[np.int16]:
        """Synthesise ``(samples,)``; speed in words per minute, pitch 0-100 (default 50), volume in percent."""
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise OSError(f"eSpeak NG has no voice {voice}")
        for parameter, value in ((_RATE, speed), (_PITCH, pitch), (_VOLUME, volume)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._blocks.clear()
        data = text.encode() + b"\0"
        size, flags = ctypes.c_size_t(len(data)), ctypes.c_uint(_UTF8)
        self._library.espeak_Synth(data, size, 0, _BY_CHARACTER, 0, flags, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate(self._blocks)

    def _receive(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: int | None) -> int:
        if samples and count:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


def _leave_with(lifeline: int) -> None:
    """Exit this process as soon as the pipe's other end is closed, because the caller was killed."""
    os.read(lifeline, 1)
    os._exit(1)


def main() -> None:
    """Synthesise ``{"folder", "seed", "volume", "utterances": [{"file", "text", "voice", "speed", "pitch"}, ...]}``."""
    threading.Thread(target=_leave_with, args=[int(sys.argv[1])], daemon=True).start()
    request = json.load(sys.stdin)
    voice = Voice(request["seed"])
    for each in request["utterances"]:
        file = Path(request["folder"]) / each.pop("file")
        samples = voice.say(**each, volume=request["volume"])
        wav = io.BytesIO()
        soundfile.write(wav, samples, voice.sample_rate, subtype="PCM_16", format="WAV")
        # Python writes the file: its errors distinguish a full disk from others, libsndfile's do not.
        file.write_bytes(wav.getvalue())


if __name__ == "__main__":
    main()
