"""The log-mel spectrogram and the tokenizer's bottlenecks: neither depends on the codebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Row

if TYPE_CHECKING:
    from collections.abc import Collection

    from audio.recordings.manifest import Manifest
    from pipelines.methods.study import Codec, Options, Study
    from pipelines.store.session import Session
    from pipelines.store.store import Entry


def _log_mel_candidates(options: Options, poolings: int) -> int:
    """Count the candidates: removing a mean gives a second kind of log-mel; a constant mean is left out."""
    removal = options.audio.remove_mean
    return poolings * (1 if removal == "none" else 2) - (removal == "clip")


def signal_entry(session: Session, manifest: Manifest, codec: Codec, methods: Collection[str]) -> Entry:
    """Make the entry of pooled log-mel or bottlenecks of every clip, as ``methods`` names them."""
    from pipelines.stages.features import signal_features

    return signal_features(session, manifest, codec.tokenizer, autoencoder=codec.autoencoder.key, methods=methods)


def _features(study: Study) -> Made:
    """Make one entry with the features of both methods, if both are compared."""
    return Made(features=signal_entry(study.session, study.manifest, study.codec, study.wanted & SIGNALS))


LOG_MEL = Method(
    row=Row(
        name="log_mel",
        kind="signal",
        title="log-mel",
        line=Line(marker="X", filled=False, dashes=":"),
        places=("learning curves",),
    ),
    candidates=_log_mel_candidates,
    features=_features,
)
BOTTLENECK = Method(
    row=Row(name="bottleneck", kind="signal", title="bottleneck"),
    features=_features,
)
SIGNALS = frozenset({LOG_MEL.name, BOTTLENECK.name})  # methods that one entry of features holds
