"""Both GPTs side by side: what one knows of the order of codes, and what the other hears in the sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.methods.codes import GPT
from pipelines.methods.method import Line, Method, Row
from pipelines.methods.sound_gpt import GPT_SOUND
from wordless.base.errors import InputError

if TYPE_CHECKING:
    from pipelines.methods.study import Options


def _require_together(options: Options) -> None:
    if "together" not in options.compare.vectors.layers:
        rule = "gpts puts all layers of both GPTs side by side: add together, or leave the method out"
        raise InputError(option="compare.layers", value=[*options.compare.vectors.layers], rule=rule)


GPTS = Method(
    row=Row(
        name="gpts",
        kind="self_supervised",
        title="both GPTs",
        explanation="the vectors of `gpt` and `gpt_sound` side by side",
        line=Line(marker="h"),
        places=("learning curves", "groups", "summary", "key figures"),
    ),
    parts=(GPT.name, GPT_SOUND.name),
    vector_size=lambda options: 0,  # it stores none of its own
    require_options=_require_together,
)
