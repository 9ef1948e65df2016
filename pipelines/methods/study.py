"""The inputs of methods: recordings, options, and the tokenizer and language model of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from lm.probing.task import ProbeTask
from pipelines.methods.run_entries import RunEntries
from pipelines.stages.features import ClipReading, CodesOfClips, HeardCodes
from pipelines.stages.soft_codes import HeardSoftCodes
from pipelines.stages.stored_arrays import spectrograms
from pipelines.store.store import Entry
from wordless.audio.recordings.manifest import Manifest

if TYPE_CHECKING:
    from pipelines.settings.run import RunSettings


@dataclass(frozen=True, kw_only=True)
class Study(ClipReading):
    """The inputs of the methods of a comparison."""

    options: RunSettings
    wanted: frozenset[str]  # names of the methods
    entries: RunEntries  # that the run made before it compares anything
    unlabelled: tuple[Manifest, ...]  # more recordings, for training without labels
    task: ProbeTask

    @cached_property
    def spectrograms(self) -> Entry:
        """Log-mel of the training and validation clips."""
        return spectrograms(self.session, self.manifest, self.audio, self.entries.finest.sample)

    @cached_property
    def unlabelled_spectrograms(self) -> tuple[Entry, ...]:
        """Log-mel of each source of clips without labels."""
        sample = self.entries.finest.sample
        return tuple(spectrograms(self.session, each, self.audio, sample) for each in self.unlabelled)

    @cached_property
    def coded(self) -> HeardCodes:
        """The codes of the clips in all hearings."""
        finest = self.entries.finest
        return self.coded_in(finest.tokenizer, finest.codes)

    @cached_property
    def read_codes(self) -> CodesOfClips:
        """The codes that the bag of codes and both GPTs read, hard or soft."""
        if self.options.compare.assignments == "hard":
            return self.coded
        return HeardSoftCodes(reading=self, tokenizer=self.entries.finest.tokenizer)

    @property
    def coded_entries(self) -> tuple[Entry, ...]:
        """The entries of hard codes in other hearings, where methods read them."""
        return self.coded.entries if self.options.compare.assignments == "hard" else ()

    def coded_at(self, number: int, *, alone: bool = False) -> HeardCodes:
        """The codes of a rate in all hearings, with those of all coarser rates unless it is ``alone``."""
        read = (self.coded_in(each.tokenizer, each.codes) for each in self.entries.codebooks[:number])
        *coarser, own = read
        return own if alone else replace(own, coarser=tuple(coarser))
