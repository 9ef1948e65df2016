"""Features of the user: vectors of any other program, compared under the same protocol."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Row
from pipelines.store.store import METHOD, Recipe, text_hash
from wordless.base.errors import InputError
from wordless.base.files import file_hash

if TYPE_CHECKING:
    from lm.probing.features_file import FeaturesFile
    from pipelines.methods.study import Study
    from wordless.audio.recordings.manifest import Manifest

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
MARKERS = "Pphd<>*8"  # of matplotlib


def own_row(name: str) -> Row:
    """Return the row of the user's features with this name."""
    return Row(
        name=name,
        kind="own",
        title=name,
        line=Line(marker=MARKERS[sum(name.encode()) % len(MARKERS)], dashes="-."),
        places=("learning curves", "groups", "summary"),
    )


def own_method(name: str, file: Path) -> Method:
    """Make a method of the comparison from a file of `lm.probing.features_file`; its name stands in keys and charts."""
    if not NAME.fullmatch(name):
        raise InputError(f"compare.features has the name {name!r}; use up to 40 letters, digits, '_', '.' and '-'")
    _checked(file)
    return Method(
        row=own_row(name),
        vector_size=lambda options: sum(values.shape[1] for values in _checked(file).arrays.values()),
        features=partial(_features, name, file),
        require_clips=partial(_require_clips, file),
    )


def _checked(file: Path) -> FeaturesFile:
    """Check the file's values and return the file without them; it is read again only after a change."""
    state = file.stat() if file.is_file() else None
    return _read(file, (state.st_size, state.st_mtime_ns) if state else None)


@lru_cache
def _read(file: Path, state: tuple[int, int] | None) -> FeaturesFile:
    from lm.probing.features_file import read_features

    content = read_features(file)
    return replace(content, arrays={key: values[:0] for key, values in content.arrays.items()})


def _require_clips(file: Path, manifest: Manifest) -> None:
    _checked(file).require_clips([clip.name for clip in manifest.clips])


def _features(name: str, file: Path, study: Study) -> Made:
    """Make a store entry whose key depends on the content of the file and the names of the clips."""
    from lm.probing.features_file import read_features
    from pipelines.store.stored_features import FEATURES, write_features

    clips = [clip.name for clip in study.manifest.clips]
    inputs = {"file": file_hash(file), "clips": text_hash("\n".join(clips))}
    recipe = Recipe("own_features", 1, config={METHOD: name}, inputs=inputs)

    def make(folder: Path) -> None:
        arrays = read_features(file).ordered(clips)
        keys = {key: key if ":" in key else f"{key}:given" for key in arrays}  # the user chose the pooling
        write_features(folder, {f"{name}/{keys[key]}": values for key, values in arrays.items()})

    entry = study.session.obtain(recipe, f"{name} of {len(clips)} clips from {file}", make, files=[FEATURES])
    return Made(features=replace(entry, stage=f"own_{name}"))
