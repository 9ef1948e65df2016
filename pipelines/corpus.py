"""The recordings that a command works on: the embedded corpus, or the user's own."""

from dataclasses import dataclass, replace
from pathlib import Path

from audio.corpus import CorpusConfig, build_manifest, find_recordings
from audio.embedded import EmbeddedConfig, embedded_corpus
from audio.manifest import Manifest, Rejected
from pipelines.gangs import Gang
from pipelines.probe_stage import require_labels
from pipelines.progress import Terminal
from pipelines.settings import EMBEDDED, choose_workers

FOLDER = "embedded"  # in the store, for the embedded corpus


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The recordings of a run."""

    name: str
    manifest: Manifest
    rejected: tuple[Rejected, ...]


def corpus_config(
    config: CorpusConfig, embedded: EmbeddedConfig, store: Path, *, probed: bool, terminal: Terminal
) -> CorpusConfig:
    """Where the recordings are. What is wrong with their folder, names or labels shows before any is decoded.

    Raises:
        InputError: there are none, or they are to be probed and have no labels.
    """
    if config.root == EMBEDDED:
        terminal.say("corpus    spoken by eSpeak NG; the first time it takes some seconds")
        return replace(config, root=str(embedded_corpus(embedded, store / FOLDER)))
    _, described, _ = find_recordings(config)
    if probed:
        require_labels([description.label for description in described.values()])
    return config


def read_corpus(config: CorpusConfig, store: Path, *, workers: int, gang: Gang, terminal: Terminal) -> Corpus:
    """Inspect and divide the recordings; rank 0 listens first, the others find in the cache what it heard."""
    if gang.rank:
        gang.barrier()
    with terminal.working("inspecting", 0, "files") as progress:
        manifest, rejected = build_manifest(
            config,
            workers=choose_workers(workers, seconds=float("inf")),
            cache=store / "inspected.jsonl",
            progress=progress.advance_to,
        )
    if not gang.rank:
        gang.barrier()
    name = "embedded corpus (eSpeak NG)" if manifest.root.parent == store / FOLDER else manifest.root.name
    terminal.say(
        f"corpus    {name}: {len(manifest.clips)} clips, {manifest.seconds / 60:.1f} minutes, {len(rejected)} set aside"
    )
    return Corpus(name=name, manifest=manifest, rejected=rejected)
