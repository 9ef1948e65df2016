"""Judges that listen to speech: models that lie inside their packages, so nothing is downloaded (``wordless[judges]``).

Each hears one sound at a time. It knows neither the codes nor the recording that a sound was decoded from, so
recordings have scores, too, and decoded sound is read beside them. This module imports the packages and PyTorch within
functions only: commands refuse a missing package before they import anything large.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordless.base.array_types import FloatArray
from wordless.base.compiling import importing
from wordless.base.errors import InputError

if TYPE_CHECKING:
    from wordless.audio.waveform import Waveform

RATE = 16_000  # Hz, of all models
INSTALL = "pip install 'wordless[judges]'"


def require_installed() -> None:
    """Refuse a run on a machine that lacks a package of a judge."""
    needed = [module for judge in SPEECH_JUDGES.values() for module in judge.modules]
    if missing := [each for each in needed if find_spec(each) is None]:
        rule = f"speech_judges needs {' and '.join(missing)}, not installed here"
        raise InputError(option="stages", value="speech_judges", rule=rule, remedy=INSTALL)


def unfit_rate(sample_rate: int) -> str | None:
    """Say why the judges cannot hear sounds of a sample rate; None if they can."""
    return None if sample_rate >= RATE else f"it needs sounds of {RATE:,} Hz or more, and these have {sample_rate:,} Hz"


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
    explanation: str  # a sentence of the report
    listen: Callable[[Waveform], dict[str, float] | None]  # its figures; None of a silent sound
    overall: str  # the figure that is the judge's opinion as a whole


SPEECH_JUDGES = {
    "dnsmos": SpeechJudge(
        distribution="speechmos",
        modules=("speechmos", "onnxruntime", "requests"),
        explanation="DNSMOS (Reddy et al. 2021, 2022) predicts how people rate noisy speech, from 1 to 5: P.808 as a "
        "whole, and P.835 the voice, the background, and both.",
        listen=dnsmos,
        overall="dnsmos_overall",
    ),
    "distillmos": SpeechJudge(
        distribution="distillmos",
        modules=("distillmos", "xls_r_sqa"),
        explanation="DistillMOS (Stahl and Gamper 2025) predicts how people rate the quality of speech, from 1 to 5.",
        listen=distillmos,
        overall="distillmos",
    ),
}
