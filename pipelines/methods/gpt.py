"""States of the language model over the codes, trained and untrained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Row

if TYPE_CHECKING:
    from pipelines.methods.study import Options, Study


def _candidates(options: Options, poolings: int) -> int:
    """Count the candidates: all layers side by side are one more layer; two options of the comparison add more."""
    return (options.lm.gpt.layers + 1) * (poolings + options.compare.attentive) + options.compare.surprise


def _features(study: Study) -> Made:
    from pipelines.stages.features import gpt_features

    assert study.codec.lm is not None, "the chain trains the language model before it compares the GPT"
    own = study.options.compare
    made = gpt_features(
        study.session, study.codec.codes, study.codec.lm, attentive=own.attentive, surprise=own.surprise
    )
    return Made(features=(made,))


def _untrained_features(study: Study) -> Made:
    from pipelines.stages.features import random_gpt_features

    own = study.options.lm
    return Made(features=(random_gpt_features(study.session, study.codec.codes, own.gpt, seed=own.fit.seed),))


GPT = Method(
    row=Row(
        name="gpt",
        kind="codes",
        title="GPT",
        line=Line(marker="D"),
        places=frozenset({"learning curves", "groups"}),
    ),
    candidates=_candidates,
    features=_features,
)
RANDOM_GPT = Method(
    row=Row(
        name="random_gpt",
        kind="untrained",
        title="GPT, untrained",
        places=frozenset({"summary"}),
    ),
    candidates=lambda options, poolings: (options.lm.gpt.layers + 1) * poolings,
    features=_untrained_features,
)
