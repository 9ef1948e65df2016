"""The inputs of methods: recordings, options, and the tokenizer and language model of a run."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, TypeVar

from lm.options import States, VectorConfig
from lm.probing.task import ProbeTask
from pipelines.methods.run_entries import RunEntries
from pipelines.rates.models import Codebook
from pipelines.stages.codes import heard_codes
from pipelines.stages.features import CodesOfClips, HeardCodes
from pipelines.stages.labels import Labels
from pipelines.stages.options import LanguageModelSettings
from pipelines.stages.soft_codes import HeardSoftCodes
from pipelines.stages.stored_arrays import heard_frames, open_heard, spectrograms
from pipelines.store.session import Session
from pipelines.store.store import Entry
from tokenizer.options import Assignments
from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.hearings import HeardFrames
from wordless.audio.recordings.manifest import Manifest
from wordless.training.options import FitConfig

T = TypeVar("T")


class BatchOptions(Protocol):
    """Options that the batches of all trainings of methods have."""

    @property
    def batch_size(self) -> int: ...


class TrainingOptions(Protocol):
    """Options that all trainings of methods have."""

    @property
    def batches(self) -> BatchOptions: ...
    @property
    def fit(self) -> FitConfig: ...


class CompareOptions(Protocol):
    """Options of the comparison that methods read."""

    @property
    def vectors(self) -> VectorConfig: ...
    @property
    def states(self) -> tuple[States, ...]: ...
    @property
    def input(self) -> bool: ...
    @property
    def assignments(self) -> Assignments: ...


class Options(Protocol):
    """Options of a run that methods read."""

    @property
    def audio(self) -> SpectrogramConfig: ...
    @property
    def lm(self) -> LanguageModelSettings: ...
    @property
    def compare(self) -> CompareOptions: ...

    def group(self, kind: type[T]) -> T:
        """Return the options that one method or family has for itself, by their type."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """The inputs of the methods of a comparison."""

    session: Session
    manifest: Manifest
    options: Options
    wanted: frozenset[str]  # names of the methods
    entries: RunEntries  # that the run made before it compares anything
    unlabelled: tuple[Manifest, ...]  # more recordings, for training without labels
    task: ProbeTask

    @cached_property
    def spectrograms(self) -> Entry:
        """Log-mel of the training and validation clips."""
        return spectrograms(self.session, self.manifest, self.options.audio, self.entries.finest.sample)

    @cached_property
    def unlabelled_spectrograms(self) -> tuple[Entry, ...]:
        """Log-mel of each source of clips without labels."""
        audio, sample = self.options.audio, self.entries.finest.sample
        return tuple(spectrograms(self.session, each, audio, sample) for each in self.unlabelled)

    @property
    def vectors(self) -> VectorConfig:
        """How clips become vectors."""
        return self.options.compare.vectors

    @cached_property
    def heard_entries(self) -> tuple[Entry, ...]:
        """The entry with log-mel of the clips in all hearings but the first; none for one hearing."""
        entry = heard_frames(self.session, self.manifest, self.options.audio, self.vectors)
        return (entry,) if entry else ()

    @property
    def heard(self) -> HeardFrames | None:
        """What `heard_entries` holds; None for one hearing."""
        return open_heard(next(iter(self.heard_entries), None), self.vectors)

    @cached_property
    def coded(self) -> HeardCodes:
        """The codes of the clips in all hearings."""
        return self._heard_codes(self.entries.finest)

    @cached_property
    def read_codes(self) -> CodesOfClips:
        """The codes that the bag of codes and both GPTs read, hard or soft."""
        if self.options.compare.assignments == "hard":
            return self.coded
        tokenizer = self.entries.finest.tokenizer
        return HeardSoftCodes(
            session=self.session, manifest=self.manifest, tokenizer=tokenizer, heard=self.heard, vectors=self.vectors
        )

    @property
    def coded_entries(self) -> tuple[Entry, ...]:
        """The entries of hard codes in other hearings, where methods read them."""
        return self.coded.entries if self.options.compare.assignments == "hard" else ()

    def coded_at(self, number: int, *, alone: bool = False) -> HeardCodes:
        """The codes of a rate in all hearings, with those of all coarser rates unless it is ``alone``."""
        *coarser, own = map(self._heard_codes, self.entries.codebooks[:number])
        return own if alone else replace(own, coarser=tuple(coarser))

    def _heard_codes(self, codebook: Codebook) -> HeardCodes:
        others = None
        if self.heard is not None:
            others = heard_codes(self.session, self.manifest, codebook.tokenizer, self.heard)
        return HeardCodes(codes=codebook.codes, heard=others, vectors=self.vectors)

    @property
    def labels(self) -> Labels:
        """The labels of the clips."""
        return Labels.of(self.manifest, self.task)
