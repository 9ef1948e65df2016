"""The log-mel spectrogram and the tokenizer's bottlenecks: neither depends on the codebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Row

if TYPE_CHECKING:
    from pipelines.methods.study import Options, Study


def _log_mel_size(options: Options) -> int:
    return options.compare.vectors.size(options.audio.n_mels) * (1 if options.audio.remove_mean == "none" else 2)


def _bottleneck_size(options: Options) -> int:
    from pipelines.stages.tokenizer import TokenizerSettings

    config = options.group(TokenizerSettings).config(options.audio)
    return options.compare.vectors.size(config.bands * config.autoencoder.bottleneck)


def _features(study: Study) -> Made:
    """Make one entry with the features of both methods, if both are compared."""
    from pipelines.stages.features import signal_features

    codebook, methods = study.entries.finest, study.wanted & SIGNALS
    return Made(
        trained=study.heard_entries,
        features=signal_features(
            study.session,
            study.manifest,
            codebook.tokenizer,
            codebook.autoencoder.key,
            methods,
            study.vectors,
            study.heard,
        ),
    )


LOG_MEL = Method(
    row=Row(
        name="log_mel",
        kind="signal",
        title="log-mel",
        line=Line(marker="X", filled=False, dashes=":"),
        places=("learning curves",),
    ),
    vector_size=_log_mel_size,
    features=_features,
)
BOTTLENECK = Method(
    row=Row(name="bottleneck", kind="signal", title="bottleneck", line=Line(marker="v", dashes=":")),
    vector_size=_bottleneck_size,
    features=_features,
)
SIGNALS = frozenset({LOG_MEL.name, BOTTLENECK.name})  # methods that one entry of features holds
