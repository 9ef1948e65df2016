"""What the stages of a run are expected to cost, before anything is measured.

Costs are processor seconds of the default run on one core of an AMD EPYC, from its record: see docs/log.md. They only
say which stage takes most and about how long a run takes; `pipelines.store.run_progress` corrects them by what it
measures.
"""

from __future__ import annotations

from lm.gpt import GPTConfig
from pipelines.methods.methods_table import METHODS
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.codebooks import start_has_decoder
from pipelines.stages.features import BAG_OF_CODES
from pipelines.store.stored_features import GPT_METHOD
from wordless.audio.recordings.manifest import Clips
from wordless.training import FitConfig

Costs = dict[str, tuple[int, float]]  # stage -> number of its artifacts, seconds of each
# seconds for each hour of the recordings that a stage reads
_SAMPLE, _CHANGED, ENCODING, _STATES, _LOG_MEL, WAVEFORMS, SPECTROGRAMS = 8.0, 14.0, 41.0, 19.0, 8.0, 6.5, 8.0
# seconds of a step of each training with its default sizes
AUTOENCODER_STEP, DECODER_STEP, GPT_STEP, WAVENET_STEP = 0.022, 0.045, 0.56, 0.5
DENOISING_STEP, SIMCLR_STEP, SUPERVISED_STEP = 0.11, 0.7, 0.25
PROBE_OF_CLIP = 0.006  # seconds of one probe for each clip


def expected_costs(settings: RunSettings, clips: Clips, *, trials: int) -> Costs:
    """Return the stages of a run with ``trials`` folds and seeds, and the seconds of each on one core."""
    hours = clips.seconds / 3600
    train = sum(clip.seconds for clip in clips.of("train")) / 3600
    costs = Costs()
    if settings.reads_codes:
        sampled = min(train, settings.tokenizer.sample_hours)
        costs |= {
            "pitches": (1, 8.0),
            "sample": (1, _SAMPLE * sampled),
            "heard_sample": (1, _CHANGED * sampled),
            "autoencoder": (1, AUTOENCODER_STEP * settings.tokenizer.fit.steps),
            "tokenizer": (1, 4.0),
            "codes": (1, ENCODING * hours),
            "health": (1, 5.0),
        }
    if settings.trains_lm:
        costs |= {"views": (1, _CHANGED * train), "lm": (1, _gpt_step(settings) * settings.lm.fit.steps)}
    costs |= _of_probes(settings, hours, train, len(clips.clips))
    if "vocoder" in settings.stages:
        costs |= {
            "waveforms": (1, WAVEFORMS * hours),
            "vocoder": (1, 6.0 + WAVENET_STEP * settings.vocoder.fit.steps),
            "decoded": (1, 1.5 * settings.listening.evaluated_clips),
            "judged": (1, 2.0 * settings.listening.evaluated_clips),
            "listening": (1, 33.0),
            "recognised": (1, 2.0),
        }
        start = settings.tokenizer.start
        if settings.tokenizer.decoder is not None and (start is None or not start_has_decoder(start)):
            costs["code_decoder"] = (1, 5.0 + DECODER_STEP * settings.tokenizer.decoder.fit.steps)
    costs |= {name: (1, seconds) for plugin in settings.chosen for name, seconds in plugin.costs.items()}
    return {stage: (trials * count, seconds) for stage, (count, seconds) in costs.items()}


def _gpt_step(settings: RunSettings) -> float:
    """Return the seconds of a step of the GPT: they follow its weights and the positions of a batch."""
    lm = settings.lm
    positions = min(lm.batch_tokens, lm.batches.batch_size * lm.gpt.context)
    return GPT_STEP * (0.2 + 0.8 * _layer_weights(lm.gpt) / _layer_weights(GPTConfig())) * positions / 2048


def _layer_weights(gpt: GPTConfig) -> int:
    """Count the weights of the layers, without embeddings."""
    return gpt.layers * (4 * gpt.model_dim**2 + 3 * gpt.model_dim * gpt.ffn_dim)


def _of_probes(settings: RunSettings, hours: float, train: float, clips: int) -> Costs:
    """Return the costs of features, of the networks that are trained for them, and of probes."""
    methods = settings.probed_methods
    states = (GPT_METHOD, METHODS[GPT_METHOD].untrained)
    costs: Costs = {
        f"{method.name}_features": (1, (_STATES if method.name in states else _LOG_MEL) * hours)
        for method in methods
        if method.name != BAG_OF_CODES  # seconds for any number of hours
    }
    if methods:
        costs["probed"] = (len(settings.compare.all_methods), PROBE_OF_CLIP * clips)
    trained: dict[str, tuple[FitConfig, float]] = {
        "simclr": (settings.baselines.simclr.fit, SIMCLR_STEP),
        "supervised": (settings.baselines.supervised.fit, SUPERVISED_STEP),
        "gpt_sound": (settings.gpt_sound.fit, DENOISING_STEP),
        "denoising": (settings.gpt_sound.fit, DENOISING_STEP),
    }
    for name, (fit, step) in trained.items():
        if any(method.name == name for method in methods):
            costs[METHODS[name].trained_artifact] = (1, step * fit.steps)
            costs["spectrograms"] = (1, SPECTROGRAMS * train)
    return costs
