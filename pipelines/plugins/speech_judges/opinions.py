"""MOS predictors: each rates the decoded test clips of a run, and their recordings.

Their models lie inside their packages, so nothing is downloaded (``wordless[judges]``). A predictor hears one sound at
a time, and knows neither its codes nor its recording.
"""

import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

from pipelines.chain.trial import Trial
from pipelines.plugins.speech_judges import PLUGIN
from pipelines.results.clip_figures import clip_figures
from pipelines.results.run_record import Made, Row, Section
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.listening import EVALUATED, decoded_paths, kinds_of, sound_of
from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.store import CachedArtifact, write_json
from vocoder.kinds import ORIGINAL
from wordless.audio.recordings.manifest import Clips
from wordless.audio.waveform import Waveform
from wordless.base.arrays import FloatArray
from wordless.base.compiling import importing
from wordless.base.messages import InputError
from wordless.base.threads import one_thread
from wordless.base.versions import version_of

MOS_RATE = 16_000  # Hz, of all models
MOSFigures = dict[str, float]  # figures of a sound


def unfit_rate(sample_rate: int) -> str | None:
    """Say why the predictors cannot hear sounds of a sample rate; None if they can."""
    return (
        None
        if sample_rate >= MOS_RATE
        else f"it needs sounds of {MOS_RATE:,} Hz or more, and these have {sample_rate:,} Hz"
    )


def at_rate(sound: Waveform) -> FloatArray:
    """Return the samples ``(time,)`` at `MOS_RATE`, within [-1, 1]."""
    samples: FloatArray = soxr.resample(sound.samples, sound.sample_rate, MOS_RATE)
    return samples.astype(np.float32).clip(-1, 1)


def dnsmos(samples: FloatArray) -> MOSFigures:
    """Predict four mean opinion scores, 1 to 5; a sound shorter than 9 s is repeated."""
    with one_thread():
        found = _dnsmos()(samples, MOS_RATE, False)
    names = {"dnsmos": "p808_mos", "dnsmos_overall": "ovrl_mos", "dnsmos_voice": "sig_mos"}
    return {name: float(found[key]) for name, key in {**names, "dnsmos_background": "bak_mos"}.items()}


@cache
def _dnsmos() -> Any:  # speechmos has no types
    with importing("librosa.feature"):  # which computes the mel spectrogram of P.808
        import librosa.feature  # noqa: F401  # at once: librosa itself waits until it is used
    from onnxruntime import InferenceSession, SessionOptions
    from speechmos.dnsmos import DNSMOS

    found = find_spec("speechmos")
    assert found is not None and found.submodule_search_locations, "missing packages are refused with the options"  # noqa: PT018
    folder = Path(found.submodule_search_locations[0], "dnsmos_models")
    paths = [str(folder / name) for name in ("sig_bak_ovr.onnx", "model_v8.onnx")]
    predictor, options = DNSMOS(*paths), SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the order of sums, and so the last digits
    predictor.onnx_sess, predictor.p808_onnx_sess = (InferenceSession(path, options) for path in paths)
    return predictor


def distillmos(samples: FloatArray) -> MOSFigures:
    """Predict the mean opinion score, 1 to 5."""
    with one_thread(), torch.inference_mode():
        return {"distillmos": float(_distillmos()(torch.from_numpy(samples)[None]))}


@cache
def _distillmos() -> Any:  # distillmos has no types
    from distillmos import ConvTransformerSQAModel

    with redirect_stdout(io.StringIO()):  # it prints where its weights lie
        return ConvTransformerSQAModel().eval()


@dataclass(frozen=True, kw_only=True)
class MOSPredictor:
    """What is known of a predictor beside its model."""

    distribution: str  # that holds the model; its version decides the scores
    modules: tuple[str, ...]  # that must be installed
    explanation: str  # a sentence of the report
    listen: Callable[[FloatArray], MOSFigures]  # its figures of samples (time,) at `MOS_RATE`
    overall: str  # the figure that is the predicted MOS as a whole

    def hear(self, sound: Waveform) -> MOSFigures | None:
        """Return the figures of a sound; None of a silent one."""
        samples = at_rate(sound)
        return self.listen(samples) if samples.any() else None


MOS_PREDICTORS = {
    "dnsmos": MOSPredictor(
        distribution="speechmos",
        modules=("speechmos", "onnxruntime", "requests"),
        explanation="DNSMOS (Reddy et al. 2021, 2022) predicts how people rate noisy speech, from 1 to 5: P.808 as a "
        "whole, and P.835 the voice, the background, and both.",
        listen=dnsmos,
        overall="dnsmos_overall",
    ),
    "distillmos": MOSPredictor(
        distribution="distillmos",
        modules=("distillmos", "xls_r_sqa"),
        explanation="DistillMOS (Stahl and Gamper 2025) predicts how people rate the quality of speech, from 1 to 5.",
        listen=distillmos,
        overall="distillmos",
    ),
}

LEAST_MOS = 2.0  # "poor": mean opinion score of recordings below which they are no speech, or too noisy
_Sound = tuple[int, str]  # number of its clip, and its kind
_Rows = list[dict[str, MOSFigures]]  # of each clip: the figures of each synthesis method


def predict_mos(session: Session, decoded: CachedArtifact, predictor: str) -> CachedArtifact:
    """Predict the MOS of each decoded clip and its recording; a predictor that suits none gives a reason instead."""
    package = MOS_PREDICTORS[predictor].distribution
    artifact = _opinions(session, predictor, f"{package} {version_of(package)}", decoded)
    told = f"mos       no figures by {predictor}: "
    session.when_made(artifact, lambda made: (why := made.read_json(EVALUATED)["unfit"]) and told + why)
    return artifact


@stage("opinions_{predictor}", title="decoded test clips rated by {predictor}")
def _opinions(run: StageRun, predictor: str, package: str, decoded: CachedArtifact) -> None:
    rows, paths, rules = _Rows(), decoded_paths(decoded), MOS_PREDICTORS[predictor]
    if (unfit := unfit_rate(sound_of(decoded.folder, 0, ORIGINAL).sample_rate)) is None:
        jobs = [(number, kind) for number in range(len(paths)) for kind in kinds_of(decoded.folder, number)]
        found = run.each(f"listening: {predictor}", partial(_hear, decoded.folder, rules), jobs)
        rows, unfit = _mean_scores(dict(zip(jobs, found, strict=True)), len(paths), rules.overall)
    clips = [{"path": path, "sounds": sounds} for path, sounds in zip(paths, rows, strict=False)]  # none if unfit
    write_json(run.folder / EVALUATED, {"unfit": unfit, "clips": clips})


def _hear(folder: Path, predictor: MOSPredictor, job: _Sound) -> MOSFigures | None:
    return predictor.hear(sound_of(folder, *job))


def _mean_scores(heard: Mapping[_Sound, MOSFigures | None], clips: int, overall: str) -> tuple[_Rows, str | None]:
    # Means of recordings: spoken orders 3.0 (DNSMOS) and 3.6 (DistillMOS), sounds of ESC-10 1.2 and 1.8.
    rows: _Rows = [
        {kind: found or {} for (of, kind), found in heard.items() if of == number} for number in range(clips)
    ]
    values = [row[ORIGINAL][overall] for row in rows if row[ORIGINAL]]
    if not values:
        return [], "the recordings are silent"
    if (mean := float(np.mean(values))) < LEAST_MOS:
        why = f"it gives the recordings {mean:.1f} of 5, less than {LEAST_MOS:g}"
        return [], f"{why}: they are no speech, or too noisy"
    return rows, None


def require_predictors(settings: RunSettings) -> None:
    """Refuse a run without decoded clips, and one on a machine that lacks a package of a predictor."""
    if "vocoder" not in settings.stages or not settings.listening.evaluated_clips:
        problem = "stages has speech_judges, which rate the decoded clips of the stage vocoder"
        raise InputError(
            f"{problem}: add vocoder, with listening.evaluated_clips=1 or more, or leave speech_judges out"
        )
    needed = [module for predictor in MOS_PREDICTORS.values() for module in predictor.modules]
    if missing := [each for each in needed if find_spec(each) is None]:
        rule = f"speech_judges needs {' and '.join(missing)}, not installed here"
        remedy = "pip install 'wordless[judges]'"
        raise InputError(option="stages", value="speech_judges", rule=rule, remedy=remedy)


def rate_speech(trial: Trial) -> None:
    """Rate the decoded clips by each predictor."""
    for name in MOS_PREDICTORS:
        trial.add(predict_mos(trial.session, trial.artifacts["decoded"], name))


def mos_rows(made: Made, manifest: Clips, settings: RunSettings) -> tuple[Section, list[Row]]:
    """Say which predictors gave figures, or why not, and give these figures; a vocoder has one training."""
    [artifacts] = made.values()
    about, figures, protocol = list[Section](), list[Row](), manifest.split_by
    for name, predictor in MOS_PREDICTORS.items():
        artifact = artifacts[f"opinions_{name}"]
        about.append(Section(name=name, about=predictor.explanation, unfit=artifact.read_json(EVALUATED)["unfit"]))
        row = Row(stage=PLUGIN.name, name="", value=np.nan, artifact=artifact.key, protocol=protocol, split="test")
        rows = artifact.read_rows(EVALUATED, "clips")
        figures += clip_figures(rows, settings.probe, row, with_recordings=PLUGIN.measures)
    return Section(judges=about, clips=len(decoded_paths(artifacts["decoded"]))), figures
