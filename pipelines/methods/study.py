"""The inputs of methods: recordings, options, and all entries that a run made for one fold and seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from lm.probing.task import ProbeTask
from pipelines.methods.method import Made
from pipelines.stages.features import ClipReading, CodedViews, CodesOfViews, SoftlyCodedViews
from pipelines.stages.language_model import CodedCorpus, unlabelled_prefix
from pipelines.stages.rates import RateModels, TokenizedCorpus
from pipelines.stages.stored_arrays import spectrograms
from pipelines.stages.vocoder import CodedIn
from pipelines.store.session import rate_prefix
from pipelines.store.store import Entry
from vocoder.speech_judges import JudgeOfSpeech
from wordless.audio.recordings.manifest import Clips

if TYPE_CHECKING:
    from pipelines.settings.run import RunSettings


@dataclass(frozen=True, kw_only=True)
class RunEntries:
    """The entries of one fold and seed, in the order of the data; None and empty: not made, or not yet.

    Each step of the chain takes what was made before it, and returns it with its own entries.
    """

    codebooks: tuple[TokenizedCorpus, ...] = ()  # of each rate, coarse to fine; the vocoder reads the finest
    rate_tokenizer: Entry | None = None  # of several rates
    rates: RateModels | None = None  # the language models of several rates
    views: Entry | None = None  # of the training clips
    unlabelled: tuple[CodedCorpus, ...] = ()  # the codes of each source of clips without labels
    lm: Entry | None = None
    spoken_pairs: Entry | None = None
    consistency: Entry | None = None
    abx: Entry | None = None
    code_table: Entry | None = None
    methods: tuple[Made, ...] = ()  # of the comparison
    probed: Mapping[str, Entry] = field(default_factory=dict)  # the probes of each method
    probe: Entry | None = None  # all of them together
    continuations: Entry | None = None  # by language models of several rates and a flat one
    continuation_labels: Entry | None = None
    waveforms: Entry | None = None  # of training and validation clips
    sized: Mapping[int, CodedIn] = field(default_factory=dict)  # other codebooks that the vocoder reads, by their size
    vocoder: Entry | None = None
    decoded: Entry | None = None
    judged: Entry | None = None
    judged_speech: Mapping[JudgeOfSpeech, Entry] = field(default_factory=dict)  # by judge
    listening: Entry | None = None
    judge: Mapping[str, Entry] = field(default_factory=dict)  # what the classifier of sounds is made of, by name
    recognised: Entry | None = None
    test_waveforms: Entry | None = None
    sample_models: Mapping[str, Entry] = field(default_factory=dict)  # language models of samples, by name
    sample_scores: Entry | None = None
    sample_sounds: Entry | None = None
    new: frozenset[str] | None = None  # names of the entries that count as made here; None: those that were not found

    @property
    def finest(self) -> TokenizedCorpus:
        """The codebook that the vocoder and most methods read."""
        return self.codebooks[-1]

    @cached_property
    def named(self) -> dict[str, Entry]:
        """All entries by their names in ``results.json``, in the order of the data; a name is given once.

        Most are named after their stage. Before the stage stands what several entries of one stage differ in.
        """
        found: dict[str, Entry] = {}

        def add(prefix: str, *entries: Entry | None) -> None:
            for entry in entries:
                if entry is not None:
                    found.setdefault(f"{prefix}{entry.stage}", entry)

        def add_unlabelled(sources: Iterable[Iterable[Entry | None]]) -> None:
            for place, entries in enumerate(sources):
                add(unlabelled_prefix(place), *entries)

        if self.codebooks:
            add("", *self.finest.entries)
        for number, coarser in enumerate(self.codebooks[:-1], 1):
            add(rate_prefix(number), *coarser.entries)
        add("", self.rate_tokenizer)
        if self.rates is not None:
            for number, (clips, model) in enumerate(zip(self.rates.coded, self.rates.models, strict=True), 1):
                add(rate_prefix(number), clips.own.views, model)
            add("", self.rates.together)
        add("", self.views)
        add_unlabelled((each.codes, each.views) for each in self.unlabelled)
        add("", self.lm, self.spoken_pairs, self.consistency, self.abx, self.code_table)
        for made in self.methods:
            add_unlabelled(made.unlabelled)
            add("", *made.trained)
        add("", *(made.features for made in self.methods))
        found |= {f"probed_{method}": entry for method, entry in self.probed.items()}
        add("", self.probe, self.continuations, self.continuation_labels, self.waveforms)
        for size, coded in self.sized.items():
            found |= {f"{entry.stage}_{size}": entry for entry in (coded.tokenizer, coded.codes)}
        add("", self.vocoder, self.decoded, self.judged, *self.judged_speech.values(), self.listening)
        for name, entry in self.judge.items():  # the comparison may have others of these names
            found.setdefault(name if found.get(name, entry).key == entry.key else f"judging_{name}", entry)
        add("", self.recognised, self.test_waveforms, *self.sample_models.values())
        add("", self.sample_scores, self.sample_sounds)
        if self.new is None:
            return found
        return {name: replace(entry, reused=name not in self.new) for name, entry in found.items()}


@dataclass(frozen=True, kw_only=True)
class Study(ClipReading):
    """The inputs of the methods of a comparison."""

    options: RunSettings
    entries: RunEntries  # that the run made before it compares anything
    unlabelled: tuple[Clips, ...]  # more recordings, for training without labels
    task: ProbeTask

    @cached_property
    def spectrograms(self) -> Entry:
        """Log-mel of the training and validation clips."""
        return spectrograms(self.session, self.manifest, self.audio, self.entries.finest.statistics)

    @cached_property
    def unlabelled_spectrograms(self) -> tuple[Entry, ...]:
        """Log-mel of each source of clips without labels."""
        statistics = self.entries.finest.statistics
        return tuple(spectrograms(self.session, each, self.audio, statistics) for each in self.unlabelled)

    @cached_property
    def read_codes(self) -> CodesOfViews:
        """The codes that the bag of codes and both GPTs read, hard or soft."""
        finest = self.entries.finest
        if self.options.compare.assignments == "soft":
            return SoftlyCodedViews(reading=self, tokenizer=finest.tokenizer)
        return self.coded_in(finest.tokenizer, finest.codes)

    def coded_at(self, number: int, *, alone: bool = False) -> CodedViews:
        """The codes of a rate, with those of all coarser rates unless it is ``alone``."""
        read = (self.coded_in(each.tokenizer, each.codes) for each in self.entries.codebooks[:number])
        *coarser, own = read
        return own if alone else replace(own, coarser=tuple(coarser))
