"""A fold and a seed of a run: recordings, options, and the artifacts that are made so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from lm.probing.task import ProbeTask
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.codebooks import sample_statistics
from pipelines.stages.features import ClipReading, CodedViews
from pipelines.stages.probing import probe_task
from pipelines.stages.voices import CodedIn
from pipelines.store.stage import Session
from pipelines.store.store import CachedArtifact
from tokenizer.frame_sample import VectorSource
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.recordings.corpus import noise_recordings
from wordless.audio.recordings.manifest import Clips

E = TypeVar("E", CachedArtifact, CachedArtifact | None)


def rate_prefix(number: int) -> str:
    """Return the prefix of names of one of several rates, from 1."""
    return f"rate_{number}_"


def unlabelled_prefix(number: int) -> str:
    """Return the prefix of names of one of several sources of clips without labels, from 1."""
    return f"unlabelled_{number}_" if number > 1 else "unlabelled_"


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """A fold and a seed of a run: each step adds its artifacts, and reads those of the steps before it."""

    session: Session
    settings: RunSettings
    reading: ClipReading  # how the methods of the comparison read the recordings
    unlabelled: tuple[Clips, ...]  # more recordings, for training without labels
    # By their names in ``results.json``, in the order of the data: the name of a stage, behind a prefix for each
    # coarser rate and source of clips without labels; features and probes have the name of their method.
    artifacts: dict[str, CachedArtifact] = field(default_factory=dict)
    by_rate: dict[int, CodedIn] = field(default_factory=dict)  # by the numbers of the rates, from 1, coarse to fine
    coded: dict[int, CodedViews] = field(default_factory=dict)  # codes of the views, as `coded_at` has made them

    @classmethod
    def of(cls, session: Session, manifest: Clips, settings: RunSettings, unlabelled: Sequence[Clips] = ()) -> "Trial":
        compare, folders = settings.compare, settings.compare.noise_folders.items()
        reading = ClipReading(
            manifest=manifest,
            audio=settings.audio,
            device=session.gang.device,
            vectors=compare.vectors,
            noises=compare.noises,
            noise_recordings={name: noise_recordings(each, "compare.noise") for name, each in folders},
        )
        return cls(session=session, settings=settings, reading=reading, unlabelled=tuple(unlabelled))

    def add(self, artifact: E, name: str = "", *, prefix: str = "") -> E:
        """Name an artifact, by default after its stage; a name is given once. None stays None."""
        if artifact is not None:
            self.artifacts.setdefault(name or f"{prefix}{artifact.stage}", artifact)
        return artifact

    def add_unlabelled(self, sources: Iterable[Iterable[CachedArtifact | None]]) -> None:
        """Name the artifacts of each source of clips without labels."""
        for number, artifacts in enumerate(sources, 1):
            for artifact in artifacts:
                self.add(artifact, prefix=unlabelled_prefix(number))

    @property
    def manifest(self) -> Clips:
        """The recordings, divided into splits."""
        return self.reading.manifest

    @property
    def audio(self) -> SpectrogramConfig:
        """The front end."""
        return self.reading.audio

    @property
    def plain(self) -> ClipReading:
        """The recordings as they are: without test-time augmentation, and without noise."""
        return ClipReading(manifest=self.manifest, audio=self.audio, device=self.reading.device)

    def add_for_evaluator(self, artifact: CachedArtifact, name: str) -> None:
        """Name an artifact of the evaluator of labels; the comparison may have made it, or another of the same name."""
        own = self.artifacts.get(name, artifact).key == artifact.key
        self.add(artifact, name if own else f"judging_{name}")

    @property
    def trained_on(self) -> list[CachedArtifact]:
        """The codes of all splits, of the corpus first, whose training clips the GPT has learned."""
        others = [name for name in self.artifacts if name.startswith("unlabelled_") and name.endswith("_codes")]
        return [self.artifacts[name] for name in ("codes", *others)]

    @cached_property
    def task(self) -> ProbeTask:
        return probe_task(self.manifest, self.settings.probe)

    @property
    def autoencoder(self) -> CachedArtifact:
        """The artifact that makes bottlenecks: the tokenizer itself if this run did not train it."""
        return self.artifacts.get("autoencoder", self.artifacts["tokenizer"])

    @property
    def sounding(self) -> CachedArtifact:
        """The tokenizer whose codes become sound: with the code decoder, if this run has trained one."""
        return self.artifacts.get("code_decoder", self.artifacts["tokenizer"])

    @property
    def layer(self) -> VectorSource | None:
        """The layer of a speech model whose states are the columns of the sample; None: they are log-mel."""
        return self.settings.speech_layer if self.settings.tokenizer.start is None else None

    # No cached_property: before Python 3.12 all trials share its lock, and a trial waits here until the sample is made.
    @property
    def statistics(self) -> CachedArtifact:
        """The sample, under a key of its statistics alone, for networks of log-mel."""
        return sample_statistics(self.artifacts["sample"])

    def coded_at(self, number: int) -> CodedViews:
        """Return the codes of all views at a rate; 0: those of the run, the finest."""
        if number not in self.coded:
            rate = self.by_rate[number or len(self.by_rate)]
            self.coded[number] = self.reading.coded_in(self.session, rate.tokenizer, rate.codes)
            self.add(self.coded[number].others)
        return self.coded[number]

    def coded_up_to(self, number: int) -> CodedViews:
        """Return the codes of a rate, with those of all coarser rates; 0: those of the run alone."""
        *coarser, own = map(self.coded_at, range(1, number + 1) if number else (0,))
        return replace(own, coarser=tuple(coarser))
