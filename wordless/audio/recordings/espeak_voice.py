"""eSpeak NG in its own process: reads utterances as JSON from standard input and writes one WAV file for each.

With ``"phones": true`` the texts are phonemes in eSpeak's own notation, such as ``h'aUs``. A request with
``transcribe`` prints phonemes instead of speaking.

The engine keeps state between utterances, even when reseeded. Only a fresh process that synthesises everything in a
fixed order repeats the same bytes. So `wordless.audio.recordings.embedded` runs this file and never imports it.

eSpeak NG is licensed under GPL-3; it comes with the package espeakng-loader, and is called here through ctypes.
"""

import ctypes
import io
import json
import sys
from pathlib import Path

import espeakng_loader
import numpy as np
import numpy.typing as npt
import soundfile

# Values of eSpeak NG's speak_lib.h.
_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: hand samples to the callback, return when done
_RATE, _VOLUME, _PITCH = 1, 2, 3  # espeak_PARAMETER
_BY_CHARACTER, _UTF8, _PHONEMES = 1, 1, 0x100  # espeak_POSITION_TYPE, flags
_SEPARATED = ord("_") << 8  # phonememode: eSpeak's names of phonemes, with "_" between them
_BUFFER_MS = 1 << 15

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Voice:
    """The engine. It is stateful: each utterance depends on all earlier ones."""

    def __init__(self, seed: int, *, phones: bool = False) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = str(espeakng_loader.get_data_path()).encode()
        self.sample_rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, data, 0)
        if self.sample_rate <= 0:
            raise OSError(f"eSpeak NG does not start with the data in {data.decode()}")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._flags = _UTF8 | (_PHONEMES if phones else 0)
        self._blocks: list[npt.NDArray[np.int16]] = []
        self._callback = _Callback(self._take)  # a reference: the library keeps only its address
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, *, voice: str, speed: int, pitch: int, volume: int) -> npt.NDArray[np.int16]:
        """Synthesise ``(samples,)``; speed in words per minute, pitch 0-100 (default 50), volume in percent."""
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise OSError(f"eSpeak NG has no voice {voice}")
        for parameter, value in ((_RATE, speed), (_PITCH, pitch), (_VOLUME, volume)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._blocks.clear()
        data = text.encode() + b"\0"
        size, flags = ctypes.c_size_t(len(data)), ctypes.c_uint(self._flags)
        self._library.espeak_Synth(data, size, 0, _BY_CHARACTER, 0, flags, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate(self._blocks)

    def transcribe(self, text: str, *, language: str) -> str:
        """Write a text in eSpeak's phonemes, with "_" between them: ``h_'aU_s``."""
        if self._library.espeak_SetVoiceByName(language.encode()):
            raise OSError(f"eSpeak NG has no language {language}")
        function = self._library.espeak_TextToPhonemes
        function.restype = ctypes.c_char_p
        place = ctypes.c_char_p(text.encode())
        return str(function(ctypes.byref(place), _UTF8, _SEPARATED).decode())

    def _take(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: int | None) -> int:
        if samples and count:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


def _main() -> None:
    """Serve one request.

    ``{"folder", "seed", "volume", "utterances": [{"file", "text", "voice", "speed", "pitch"}, ...]}`` writes a WAV file
    for each utterance; ``{"transcribe": [texts], "languages": [names]}`` prints the phonemes of each text by language.
    """
    request = json.load(sys.stdin)
    if "transcribe" in request:
        voice = Voice(0)
        texts = request["transcribe"]
        written = {name: [voice.transcribe(text, language=name) for text in texts] for name in request["languages"]}
        print(json.dumps(written))
        return
    folder, voice = Path(request["folder"]), Voice(request["seed"], phones=bool(request.get("phones")))
    for each in request["utterances"]:
        name = each.pop("file")
        samples = voice.say(**each, volume=request["volume"])
        wav = io.BytesIO()
        soundfile.write(wav, samples, voice.sample_rate, subtype="PCM_16", format="WAV")
        # Python writes the file: its errors distinguish a full disk from others, libsndfile's do not.
        (folder / name).write_bytes(wav.getvalue())


if __name__ == "__main__":
    _main()
