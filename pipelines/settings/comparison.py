"""Options of the comparison, and the folds of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lm.options import ONE_HEARING, Layers, Pooling, States, VectorConfig
from pipelines.methods.method import Method
from pipelines.methods.own import own_method
from pipelines.methods.table import METHODS, ROWS
from tokenizer.options import Assignments
from wordless.audio.recordings.manifest import Manifest
from wordless.audio.recordings.splits import Fold, folds
from wordless.base.configuration import match_choice
from wordless.base.errors import InputError

QUICK_FOLDS = 2  # of a quick comparison


@dataclass(frozen=True, kw_only=True)
class ReadingConfig:
    """Options of the feature vectors that probes read."""

    layers: tuple[Layers, ...] = ONE_HEARING.layers  # of a network that are candidates
    poolings: tuple[Pooling, ...] = ONE_HEARING.poolings  # over time, for every method
    hearings: int = 1  # of each clip, for every method
    hearing_rates: float = ONE_HEARING.hearing_rates  # ratio: hearings are up to so much slower or faster
    states: tuple[States, ...]  # of the GPT's layers, which probes may read
    input: bool = False  # whether all layers of a network side by side include its input: codes or log-mel
    assignments: Assignments = "hard"  # of the sound to the codes that the bag of codes and the GPTs read

    def __post_init__(self) -> None:
        if not self.states or len({*self.states}) != len(self.states):
            raise InputError(f"compare.states is {list(self.states)}; choose [residual], [inner] or [residual,inner]")
        if self.input and "together" not in self.layers:
            raise InputError(
                "compare.input=true puts the input beside all layers, which are no candidate: add together to "
                "compare.layers, or choose compare.input=false"
            )
        _ = self.vectors  # its rules hold before anything is read

    @property
    def vectors(self) -> VectorConfig:
        """How clips become vectors, for every method."""
        return VectorConfig(
            layers=self.layers, poolings=self.poolings, hearings=self.hearings, hearing_rates=self.hearing_rates
        )


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig(ReadingConfig):
    """Options of the comparison: methods and folds."""

    methods: tuple[str, ...]  # names in the table of methods
    folds: Literal["group", "fold"] | None  # None: the corpus's one split; else each group or given fold held out once
    # rows that every other row is compared with; None: the GPT
    references: tuple[str, ...] | None = None
    features: Mapping[str, Path] | None = None  # more methods by name: files of `lm.probing.features_file`

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_hearings()
        if not self.all_methods:
            raise InputError(f"compare.methods is empty; name at least one of {', '.join(METHODS)}")
        self._require_references()

    def _require_references(self) -> None:
        """Refuse rows that the comparison does not have."""
        rows = [row.name for method in self.all_methods for row in (method.row, method.head) if row]
        for place, name in enumerate(self.references or ()):
            match_choice(tuple(rows), name, option=f"compare.references[{place}]")

    def _require_hearings(self) -> None:
        """Refuse options of vectors, and several hearings beside the user's features, which have one."""
        if self.vectors.hearings > 1 and self.features:
            raise InputError(
                f"compare.hearings is {self.hearings}, but compare.features.{min(self.features)} has one vector for "
                "each clip, and every method has as many hearings: choose compare.hearings=1, or leave the features out"
            )

    @property
    def all_methods(self) -> tuple[Method, ...]:
        """The methods, each once, in the order of the option, then the features that the user brings."""
        for place, name in enumerate(self.methods):
            match_choice(tuple(METHODS), name, option=f"compare.methods[{place}]")
        for name in {*ROWS} & {*(self.features or {})}:
            raise InputError(f"compare.features.{name} has the name of a method; give the features another name")
        named = tuple(METHODS[name] for name in dict.fromkeys(self.methods))
        return named + tuple(own_method(name, file) for name, file in (self.features or {}).items())

    def divide(self, manifest: Manifest, *, quick: bool, shared_groups: bool = False) -> tuple[Fold, ...]:
        """Return the folds of a corpus; without the option ``folds`` a single one, its own split.

        ``quick`` takes only two of them; ``shared_groups`` allows a group in several given folds.
        """
        if self.folds is None:
            return (Fold(name="test", manifest=manifest),)
        at_most = QUICK_FOLDS if quick else None
        return folds(manifest, by=self.folds, at_most=at_most, shared_groups=shared_groups)
