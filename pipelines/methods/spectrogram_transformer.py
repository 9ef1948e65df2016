"""The Audio Spectrogram Transformer: fine-tuned, and untrained."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Row, Training, refuse_input, train_and_read

if TYPE_CHECKING:
    from pipelines.methods.study import Study
    from pipelines.settings.run import RunSettings


def _features(study: Study) -> Made:
    from pipelines.stages.networks import ast
    from pipelines.stages.stored_arrays import filter_banks

    banks = filter_banks(study.session, study.manifest)
    return train_and_read(study, AST.name, ast(study, study.options.ast), banks)


def _untrained_features(study: Study) -> Made:
    from pipelines.stages.networks import ast

    return Made(features=ast(study, study.options.ast).features(study, RANDOM_AST.name))


def _require_weights(options: RunSettings) -> None:
    """Refuse a folder of weights that do not fit, where one is given, and the input beside the layers."""
    from lm.bodies.spectrogram_transformer import require_weights

    refuse_input("ast", options)
    own = options.ast.model
    if own.weights is not None:
        require_weights(Path(own.weights), own.size)


AST = Method(
    row=Row(
        name="ast",
        kind="supervised",
        title="AST",
        explanation="layers of an Audio Spectrogram Transformer, trained with the labels",
        line=Line(marker="v", filled=False, dashes="--"),
        places=("learning curves", "summary"),
    ),
    head=Row(name="ast_head", kind="supervised", title="AST, own head"),
    labels="train",
    features=_features,
    training=Training(option="ast", loss="nats per clip"),
    require_options=_require_weights,
)
RANDOM_AST = Method(
    row=Row(
        name="random_ast", kind="untrained", title="AST, untrained", line=Line(marker="H", filled=False, dashes=":")
    ),
    features=_untrained_features,
    require_options=partial(refuse_input, "random_ast"),
)
