"""Judges that listen to speech: models that lie inside their packages, so nothing is downloaded (``wordless[judges]``).

Each hears one sound at a time. It knows neither the codes nor the recording that a sound was decoded from, so
recordings have scores, too, and decoded sound is read beside them. This module imports the packages and PyTorch within
functions only: commands refuse a missing package before they import anything large.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wordless.base.array_types import FloatArray
from wordless.base.compiling import importing
from wordless.base.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from wordless.audio.waveform import Waveform

JudgeOfSpeech = Literal["dnsmos", "distillmos", "words", "speaker"]
RATE = 16_000  # Hz, of all models
INSTALL = "pip install 'wordless[judges]'"


def require_installed(judges: Iterable[str], *, option: str) -> None:
    """Refuse judges whose packages are not installed here."""
    for name, judge in SPEECH_JUDGES.items():
        if name in judges and (missing := [each for each in judge.modules if find_spec(each) is None]):
            rule = f"{name} needs {' and '.join(missing)}, not installed here"
            raise InputError(option=option, value=[*judges], rule=rule, remedy=INSTALL)


def unfit_rate(name: JudgeOfSpeech, sample_rate: int) -> str | None:
    """Say why a judge cannot hear sounds of a sample rate; None if it can."""
    least = SPEECH_JUDGES[name].least_rate
    if sample_rate >= least:
        return None
    return f"it was trained on sounds of {RATE:,} Hz and needs {least:,} Hz or more, and these have {sample_rate:,} Hz"


def at_rate(sound: Waveform) -> FloatArray:
    """Return the samples ``(time,)`` at `RATE`, within [-1, 1]."""
    import soxr

    samples: FloatArray = soxr.resample(sound.samples, sound.sample_rate, RATE)
    return samples.astype(np.float32).clip(-1, 1)


def dnsmos(sound: Waveform) -> dict[str, float] | None:
    """Predict four mean opinion scores, 1 to 5; a sound shorter than 9 s is repeated. None of a silent sound."""
    from wordless.base.machine import one_thread

    samples = at_rate(sound)
    if not samples.any():
        return None
    with one_thread():
        found = _dnsmos()(samples, RATE, False)
    names = {"dnsmos": "p808_mos", "dnsmos_overall": "ovrl_mos", "dnsmos_voice": "sig_mos"}
    return {name: float(found[key]) for name, key in {**names, "dnsmos_background": "bak_mos"}.items()}


@cache
def _dnsmos() -> Any:  # speechmos has no types
    with importing("librosa.feature"):  # which computes the mel spectrogram of P.808
        import librosa.feature  # noqa: F401  # at once: librosa itself waits until it is used
    from onnxruntime import InferenceSession, SessionOptions
    from speechmos.dnsmos import DNSMOS

    folder = Path(_folder("speechmos"), "dnsmos_models")
    paths = [str(folder / name) for name in ("sig_bak_ovr.onnx", "model_v8.onnx")]
    judge, options = DNSMOS(*paths), SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the order of sums, and so the last digits
    judge.onnx_sess, judge.p808_onnx_sess = (InferenceSession(path, options) for path in paths)
    return judge


def distillmos(sound: Waveform) -> dict[str, float] | None:
    """Predict the mean opinion score, 1 to 5; None of a silent sound."""
    import torch

    from wordless.base.machine import one_thread

    samples = at_rate(sound)
    if not samples.any():
        return None
    with one_thread(), torch.inference_mode():
        return {"distillmos": float(_distillmos()(torch.from_numpy(samples)[None]))}


@cache
def _distillmos() -> Any:  # distillmos has no types
    from distillmos import ConvTransformerSQAModel

    with redirect_stdout(io.StringIO()):  # it prints where its weights lie
        return ConvTransformerSQAModel().eval()


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """The sentences that `recognise_words` can hear."""

    words: tuple[str, ...]  # sorted; empty: all words of the dictionary, by PocketSphinx's language model
    several: bool = False  # whether a sentence has any number of the words, rather than one


def spelled(text: str) -> list[str]:
    """Split a label or a sentence into words of lower case: ``red_apple`` and ``Red apple.`` are ``red``, ``apple``."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())


def unknown_words(words: Collection[str]) -> list[str]:
    """List the words that PocketSphinx's dictionary lacks, in their order."""
    path = Path(_folder("pocketsphinx"), "model", "en-us", "cmudict-en-us.dict")
    known = {line.split(maxsplit=1)[0] for line in path.read_text(encoding="utf-8").splitlines() if line}
    return [word for word in words if word not in known]


def recognise_words(sound: Waveform, grammar: Grammar) -> list[str]:
    """Return the words that PocketSphinx hears; none if it hears no speech."""
    samples = np.pad(at_rate(sound), round(PAUSE_SECONDS * RATE))
    decoder = _decoder(grammar)
    decoder.start_utt()
    decoder.process_raw(np.round(samples * (2**15 - 1)).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return [] if hypothesis is None else hypothesis.hypstr.split()


PAUSE_SECONDS = 0.2  # before and after a sound, because recordings are often cut at the word


@cache
def _decoder(grammar: Grammar) -> Any:  # pocketsphinx has no types
    from pocketsphinx import Decoder

    model = Path(_folder("pocketsphinx"), "model", "en-us")
    files = {"hmm": str(model / "en-us"), "dict": str(model / "cmudict-en-us.dict")}
    language = None if grammar.words else str(model / "en-us.lm.bin")
    # Without batch, the mean of one sound would normalise the next one.
    decoder = Decoder(**files, lm=language, samprate=float(RATE), cmn="batch", loglevel="FATAL")
    if grammar.words:
        sentence = "<word>+" if grammar.several else "<word>"
        rules = f"public <sentence> = {sentence};\n<word> = {' | '.join(grammar.words)};\n"
        decoder.add_jsgf_string("labels", f"#JSGF V1.0;\ngrammar labels;\n{rules}")
        decoder.activate_search("labels")
    return decoder


def word_error_rate(heard: Sequence[str], spoken: Sequence[str]) -> float:
    """Count wrong, missing and added words, relative to the number of spoken words, of which there is one or more."""
    from torchaudio.functional import edit_distance

    return float(edit_distance(heard, spoken)) / len(spoken)


# Resemblyzer's network and its input. The package itself imports webrtcvad, which setuptools 82 and newer break; its
# weights need nothing but PyTorch.
MELS, WINDOW, HOP = 40, 400, 160
PART_FRAMES, STEP_FRAMES = 160, 77  # of a part, and from part to part: 1.6 s and 1.3 parts a second
LEAST_PART = 0.75  # of the last part that must be sound
QUIETEST = 10 ** (-30 / 20)  # root mean square that softer sounds are raised to


def voice(sound: Waveform) -> FloatArray | None:
    """Embed a voice ``(256,)`` with length 1; None of a silent sound. A sound shorter than 1.6 s is repeated."""
    import torch

    from wordless.base.machine import one_thread

    samples = at_rate(sound)
    if not samples.any():
        return None
    samples = samples * max(QUIETEST / float(np.sqrt(np.mean(samples**2))), 1.0)
    if len(samples) < PART_FRAMES * HOP:
        samples = np.resize(samples, PART_FRAMES * HOP)
    frames = (len(samples) + HOP) // HOP
    starts = [*range(0, max(frames - PART_FRAMES + STEP_FRAMES + 1, 1), STEP_FRAMES)]
    if len(starts) > 1 and len(samples) - starts[-1] * HOP < LEAST_PART * PART_FRAMES * HOP:
        starts.pop()
    samples = np.pad(samples, (0, max((starts[-1] + PART_FRAMES) * HOP - len(samples), 0)))
    encoder, mel = _voice_encoder()
    with one_thread(), torch.inference_mode():
        power = mel(torch.from_numpy(samples)).T  # (frames, mels)
        parts = encoder(torch.stack([power[start : start + PART_FRAMES] for start in starts]))
        mean = parts.mean(dim=0)
        embedding: FloatArray = (mean / mean.norm()).numpy()
    return embedding


@cache
def _voice_encoder() -> tuple[nn.Module, nn.Module]:
    import torch
    from torch import nn
    from torchaudio.transforms import MelSpectrogram

    class VoiceEncoder(nn.Module):
        """Three LSTM layers and a projection, whose last state is the embedding (Wan et al. 2018)."""

        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(MELS, 256, 3, batch_first=True)
            self.linear = nn.Linear(256, 256)

        def forward(self, mels: Tensor) -> Tensor:  # (parts, frames, mels) -> (parts, 256)
            _, (hidden, _) = self.lstm(mels)
            return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)

    weights = torch.load(Path(_folder("resemblyzer"), "pretrained.pt"), map_location="cpu", weights_only=True)
    encoder = VoiceEncoder()
    encoder.load_state_dict(weights["model_state"], strict=False)  # two of its values belong to the loss
    shape = {"n_fft": WINDOW, "hop_length": HOP, "n_mels": MELS, "pad_mode": "constant"}
    mel = MelSpectrogram(RATE, **shape, norm="slaney", mel_scale="slaney")  # librosa's
    return encoder.eval(), mel


def _folder(module: str) -> str:
    """Return the folder of an installed package without importing it."""
    found = find_spec(module)
    assert found is not None, "missing packages are refused with the options"
    assert found.submodule_search_locations is not None, f"{module} is a package"
    return found.submodule_search_locations[0]


@dataclass(frozen=True, kw_only=True)
class SpeechJudge:
    """What is known of a judge beside its model."""

    distribution: str  # that holds the model; its version decides the scores
    modules: tuple[str, ...]  # that must be installed
    least_rate: int  # Hz, of the sounds that it can judge
    explanation: str  # a sentence of the report
    needs: str  # of the recordings, beside their rate
    listen: Callable[..., Any]  # to a sound, and for words with a grammar; its answer
    overall: str = ""  # the figure that is the judge's opinion as a whole


SPEECH_JUDGES: dict[JudgeOfSpeech, SpeechJudge] = {
    "dnsmos": SpeechJudge(
        distribution="speechmos",
        modules=("speechmos", "onnxruntime", "requests"),
        least_rate=RATE,
        explanation="DNSMOS (Reddy et al. 2021, 2022) predicts how people rate noisy speech, from 1 to 5: P.808 as a "
        "whole, and P.835 the voice, the background, and both.",
        needs="speech",
        listen=dnsmos,
        overall="dnsmos_overall",
    ),
    "distillmos": SpeechJudge(
        distribution="distillmos",
        modules=("distillmos", "xls_r_sqa"),
        least_rate=RATE,
        explanation="DistillMOS (Stahl and Gamper 2025) predicts how people rate the quality of speech, from 1 to 5.",
        needs="speech",
        listen=distillmos,
        overall="distillmos",
    ),
    "words": SpeechJudge(
        distribution="pocketsphinx",
        modules=("pocketsphinx",),
        least_rate=8_000,
        explanation="PocketSphinx, a recogniser of American English, hears words; the rate counts wrong, missing and "
        "added words.",
        needs="English words as labels, or the built-in sentences",
        listen=recognise_words,
    ),
    "speaker": SpeechJudge(
        distribution="Resemblyzer",
        modules=("resemblyzer",),
        least_rate=8_000,
        explanation="Resemblyzer (Wan et al. 2018) compares voices: the similarity is the cosine between a sound and "
        "the other recordings of its group, and a sound has the group whose recordings are most similar.",
        needs="groups that are people, with two judged clips or more",
        listen=voice,
    ),
}
