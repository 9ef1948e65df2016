"""The codes of a clip without a language model: the bag of codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Row

if TYPE_CHECKING:
    from pipelines.methods.study import Study


def _features(study: Study) -> Made:
    from pipelines.stages.features import code_features

    return Made(features=(code_features(study.session, study.codec.codes),))


BAG_OF_CODES = Method(
    row=Row(
        name="bag_of_codes",
        kind="codes",
        title="bag of codes",
        line=Line(filled=False, dashes="--"),
        places=frozenset({"learning curves", "groups", "summary"}),
    ),
    features=_features,
)
