"""The table of all methods, which options, probes, results, charts and sentences read; and the user's own features.

To add a method, describe it in a file of this folder and add it here. Sentences and charts keep this order. Vectors of
any other program are compared under the same protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.methods import networks
from pipelines.methods.codes import BAG_OF_CODES, BAGS, GPT, RANDOM_GPT, STATES
from pipelines.methods.method import Line, Method, Place, Row
from pipelines.methods.signals import BOTTLENECK, CHROMA, LOG_MEL, MFCC
from wordless.base.errors import InputError

if TYPE_CHECKING:
    from pipelines.methods.study import Study
    from pipelines.store.store import Entry
    from wordless.audio.recordings.manifest import Clips


_ALL = (
    GPT,
    networks.GPT_SOUND,
    networks.SIMCLR,
    networks.WAV2VEC2,
    networks.FINETUNED,
    networks.AST,
    networks.AUDIO_TRANSFORMER,
    *networks.AUDIO_TRANSFORMER_VARIANTS,
    BAG_OF_CODES,
    RANDOM_GPT,
    networks.SUPERVISED,
    networks.RANDOM_GPT_SOUND,
    networks.RANDOM_CONV,
    networks.RANDOM_AST,
    networks.RANDOM_WAV2VEC2,
    networks.RANDOM_AUDIO_TRANSFORMER,
    LOG_MEL,
    BOTTLENECK,
    MFCC,
    CHROMA,
    *STATES,
    *BAGS,
)
METHODS = {method.name: method for method in _ALL}
assert len(METHODS) == len(_ALL), "two methods of the table have the same name"
# All rows that a comparison can have, the heads of classifiers included.
ROWS: dict[str, Row] = {
    row.name: row for method in METHODS.values() for row in (method, method.head) if row is not None
}


def row_of(name: str) -> Row:
    """Return the row with a name; rows of the user's own features are not in the table."""
    return ROWS.get(name) or own_row(name)


def shown_in(place: Place, names: Iterable[str]) -> list[str]:
    """Select the rows that a part of the report shows, in the order of the table; the user's features come last."""
    wanted = dict.fromkeys(names)
    ordered = [*(name for name in ROWS if name in wanted), *(name for name in wanted if name not in ROWS)]
    return [name for name in ordered if place in row_of(name).places]


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
MARKERS = "Pphd<>*8"  # of matplotlib


def own_row(name: str) -> Row:
    """Return the row of the user's features with this name."""
    return Row(
        name=name,
        kind="own",
        title=name,
        line=Line(marker=MARKERS[sum(name.encode()) % len(MARKERS)], dashes="-."),
        places=("learning curves", "groups"),
    )


def own_method(name: str, file: Path) -> Method:
    """Make a method of the comparison from a file of `lm.probing.features_file`; its name stands in keys and charts."""
    if not NAME.fullmatch(name):
        raise InputError(f"compare.features has the name {name!r}; use up to 40 letters, digits, '_', '.' and '-'")
    if not file.is_file():
        raise InputError(f"compare.features has {name}: {file}, which is no file; name a file of features")
    features, clips = partial(_features, name=name, file=file), partial(_require_clips, file)
    return Method(**vars(own_row(name)), features=features, require_clips=clips)


def _require_clips(file: Path, manifest: Clips) -> None:
    from lm.probing.features_file import read_features

    read_features(file).require_clips([clip.name for clip in manifest.clips])


def _features(study: Study, name: str, file: Path) -> Entry:
    from pipelines.stages.features import own_features

    return own_features(study.session, name, [clip.name for clip in study.manifest.clips], file)
