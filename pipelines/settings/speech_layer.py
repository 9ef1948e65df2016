"""The layer of a speech model that makes the codes, and what such codes cannot be combined with."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines.stages.options import OPTION, TokenizerSettings, Wav2vec2Settings
from tokenizer.speech_layer import ChosenLayer
from wordless.base.errors import InputError
from wordless.base.text import listed

if TYPE_CHECKING:
    from pipelines.settings.run import RunSettings

FEATURES, LAYER = "tokenizer.features=wav2vec2", "tokenizer.feature_layer"
READ_LOG_MEL = ("bottleneck",)  # methods that read the autoencoder


def choose_layer(tokenizer: TokenizerSettings, wav2vec2: Wav2vec2Settings) -> ChosenLayer:
    """Return the wanted layer of the model in the user's folder; by default the middle one.

    Raises:
        InputError: there is no folder, it holds no model that can be read, or the model has no such layer.
    """
    if wav2vec2.weights is None:
        raise InputError(
            f"{OPTION} is null, and {FEATURES} reads a layer of a speech model: name its local folder, such as the "
            f"folder wav2vec2 of a run that pre-trained one ({OPTION}=runs/x/wav2vec2)"
        )
    found = wav2vec2.described
    layer = max(found.layers // 2, 1) if tokenizer.feature_layer is None else tokenizer.feature_layer
    if not 1 <= layer <= found.layers:
        raise InputError(
            f"{LAYER} is {layer}, and the {found.name} model in {found.folder} has layers 1 to {found.layers}"
        )
    return ChosenLayer(folder=found.folder, layer=layer, width=found.width, option=OPTION)


def require_speech_layer(settings: "RunSettings") -> None:
    """Refuse a layer that cannot make the codes of a run, and options that codes of a speech model cannot follow."""
    own, audio = settings.tokenizer, settings.audio
    if own.features == "autoencoder":
        if own.feature_layer is not None:
            problem = f"{LAYER} is {own.feature_layer}, and codes are made by the autoencoder"
            raise InputError(f"{problem}; add {FEATURES} and {OPTION}=FOLDER, or leave it out")
        return
    assert settings.speech_layer is not None, "other features are those of a speech model"
    found = settings.wav2vec2.described
    found.require_rate(audio.sample_rate, option=OPTION)
    if (step := own.patch.frames * audio.hop_length) != (stride := found.convolutions.stride):
        raise InputError(
            f"{found.name} has a state for each {stride} samples, and codes have {step} (tokenizer.patch.frames="
            f"{own.patch.frames} frames of {audio.hop_length} samples); set {_patch(stride, audio.hop_length)}"
        )
    if others := [f"{option} ({reason})" for option, reason in _impossible(settings)]:
        raise InputError(f"{FEATURES} makes codes from samples, so these options do not work: {listed(others)}")


def _patch(stride: int, hop: int) -> str:
    """Return options that give each code one state."""
    return (
        f"tokenizer.patch.frames={stride // hop}"
        if stride % hop == 0
        else f"audio.hop_length={stride // 2} tokenizer.patch.frames=2"
    )


def _impossible(settings: "RunSettings") -> Iterator[tuple[str, str]]:
    """Give the options that a run cannot combine with codes of a speech model, and the remedy for each."""
    own, views = settings.tokenizer, settings.lm.views
    if own.rates is not None:
        yield f"tokenizer.rates={list(own.rates)}", "use null: a model has states at one rate"
    if own.patch.mels is not None:
        yield f"tokenizer.patch.mels={own.patch.mels}", "use null: a state is of all mel bands"
    if own.max_formants:
        yield f"tokenizer.max_formants={own.max_formants}", "use 0"
    if own.dynamic_ranges is not None:
        yield "tokenizer.dynamic_ranges", "use null"
    if views.warps:
        yield f"lm.views.warps={views.warps}", "use 0: warped copies are spectrograms"
    if settings.probed_methods and settings.compare.hearings > 1:
        yield f"compare.hearings={settings.compare.hearings}", "use 1: other hearings are spectrograms"
    if settings.probed_methods and settings.compare.assignments == "soft":
        yield "compare.assignments=soft", "use hard"
    if read := [name for name in READ_LOG_MEL if settings.probes(name)]:
        yield f"compare.methods with {' and '.join(read)}", "leave out; the method wav2vec2 probes the states"
