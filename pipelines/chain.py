"""The whole chain: recordings -> codes -> language model -> vocoder -> probes -> report."""

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from audio.corpus import CorpusConfig, build_manifest, find_recordings
from audio.embedded import PATTERN, embedded_corpus
from audio.inspection import InspectionConfig
from audio.manifest import Manifest, Rejected, write_manifest, write_rejected
from pipelines.disk import require_space
from pipelines.gangs import Gang, current_gang
from pipelines.language_model_stage import language_model
from pipelines.listening_stage import listening
from pipelines.probe_stage import features, probes, require_labels
from pipelines.progress import Terminal
from pipelines.report import write_report
from pipelines.results import write_results
from pipelines.session import Session
from pipelines.settings import RunSettings, choose_device, choose_workers, run_settings
from pipelines.store import Entry, Store
from pipelines.tokenizer_stages import autoencoder, codebook, codes, frame_sample, health
from pipelines.vocoder_stage import vocoder, waveforms

ARTIFACTS = ("tokenizer", "lm", "vocoder")  # entries that `from_pretrained` reads, copied into the run folder


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The recordings of a run."""

    name: str
    manifest: Manifest
    rejected: tuple[Rejected, ...]


def run_chain(config: dict[str, object], folder: Path) -> None:
    """Make what the stages ask for, or reuse it, and write the run's ``folder``."""
    settings = run_settings(config)
    require_space(Path(settings.store.root), "store.root=PATH")
    require_space(folder, "hydra.run.dir=PATH")
    recordings = _recordings(settings)
    with closing(current_gang(choose_device(settings.device))) as gang:
        terminal = Terminal(silent=gang.rank != 0)
        corpus = _corpus(settings, recordings, gang, terminal)
        seconds = corpus.manifest.seconds
        require_space(Path(settings.store.root), "store.root=PATH", seconds=seconds)
        session = Session(
            store=Store(Path(settings.store.root)),
            gang=gang,
            terminal=terminal,
            folder=folder,
            workers=choose_workers(settings.workers, seconds=seconds),
        )
        entries = make_stages(session, corpus.manifest, settings)
        if gang.rank == 0:
            _write_folder(folder, corpus, settings, entries, terminal)


def make_stages(session: Session, manifest: Manifest, settings: RunSettings) -> dict[str, Entry]:
    """The entries that the wanted stages need, by stage, in the order of the data."""
    wanted = settings.stages
    made: list[Entry] = [frame_sample(session, manifest, settings.audio, settings.tokenizer)]
    made.append(autoencoder(session, made[0], settings.audio, settings.tokenizer))
    tokens = codebook(session, made[0], made[1], settings.audio, settings.tokenizer)
    coded = codes(session, manifest, tokens, settings.tokenizer, all_offsets=settings.lm.all_offsets)
    made += [tokens, coded, health(session, manifest, tokens, coded, settings.tokenizer.health, seed=settings.seed)]
    model = language_model(session, coded, settings.lm) if {"lm", "probe"} & {*wanted} else None
    if model:
        made.append(model)
    if model and "probe" in wanted:
        pooled = features(session, manifest, tokens, coded, model)
        made += [pooled, probes(session, manifest, pooled, settings.probe)]
    if "vocoder" in wanted:
        sound = waveforms(session, manifest, settings.audio.sample_rate)
        wavenet = vocoder(session, manifest, tokens, coded, sound, settings.vocoder)
        made += [sound, wavenet, listening(session, manifest, tokens, wavenet, model, settings.listening)]
    return {entry.stage: entry for entry in made}


def _recordings(settings: RunSettings) -> CorpusConfig:
    """Where the recordings are. What is wrong with their folder, names or labels shows before any is decoded."""
    if settings.corpus is None:
        cache = Path(settings.store.root) / "embedded"
        root = embedded_corpus(settings.embedded, cache)
        return CorpusConfig(root=str(root), pattern=PATTERN, labels="pattern", inspection=InspectionConfig())
    if "probe" in settings.stages:
        _, described, _ = find_recordings(settings.corpus)
        require_labels([description.label for description in described.values()])
    return settings.corpus


def _corpus(settings: RunSettings, config: CorpusConfig, gang: Gang, terminal: Terminal) -> Corpus:
    """The manifest; rank 0 listens first, the others find in the cache what it heard."""
    cache = Path(settings.store.root) / "inspected.jsonl"
    if gang.rank:
        gang.barrier()
    with terminal.working("inspecting", 0, "files") as progress:
        workers = choose_workers(settings.workers, seconds=float("inf"))
        manifest, rejected = build_manifest(config, workers=workers, cache=cache, progress=progress.advance_to)
    if not gang.rank:
        gang.barrier()
    name = "embedded corpus (eSpeak NG)" if settings.corpus is None else manifest.root.name
    terminal.say(
        f"corpus    {name}: {len(manifest.clips)} clips, {manifest.seconds / 60:.1f} minutes, {len(rejected)} set aside"
    )
    return Corpus(name=name, manifest=manifest, rejected=rejected)


def _write_folder(
    folder: Path, corpus: Corpus, settings: RunSettings, entries: dict[str, Entry], terminal: Terminal
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(corpus.manifest, folder / "manifest.tsv")
    write_rejected(corpus.rejected, folder / "rejected.tsv")
    for stage in ARTIFACTS:
        if stage in entries:
            shutil.copytree(entries[stage].folder, folder / stage, dirs_exist_ok=True)
    if "listening" in entries:
        shutil.copytree(entries["listening"].folder, folder / "listening", dirs_exist_ok=True)
    protocol = settings.corpus.split.by if settings.corpus else "voices held out"
    write_results(
        folder, manifest=corpus.manifest, rejected=corpus.rejected, name=corpus.name, protocol=protocol, entries=entries
    )
    terminal.say(f"results   {folder / 'results.json'}")
    if "report" in settings.stages:
        print(write_report(folder), flush=True)
