"""The whole chain: recordings -> codes -> language model -> vocoder -> probes -> report."""

import shutil
from pathlib import Path

from audio.errors import InputError
from audio.manifest import Manifest, write_manifest, write_rejected
from pipelines.corpus import Corpus, corpus_config, read_corpus
from pipelines.devices import choose_device
from pipelines.disk import require_space
from pipelines.gangs import gathered
from pipelines.language_model_stage import language_model
from pipelines.listening_stage import listening
from pipelines.phrasing import summary
from pipelines.probe_stage import features, probe_task, probes
from pipelines.progress import Terminal
from pipelines.report import write_report
from pipelines.results import write_results
from pipelines.run_record import RESULTS, read_results
from pipelines.session import Session
from pipelines.settings import RunSettings, choose_workers, run_settings
from pipelines.store import Entry, Store
from pipelines.tokenizer_stages import autoencoder, codebook, codes, frame_sample, health, views
from pipelines.vocoder_stage import vocoder, waveforms

PARTS = ("tokenizer", "lm", "vocoder", "listening")  # entries that are copied into the run folder


def run_chain(config: dict[str, object], folder: Path) -> None:
    """Make what the stages ask for, or reuse it, and write the run's ``folder``."""
    settings = run_settings(config)
    store = settings.store.root
    require_space(store, "store.root=PATH")
    terminal = Terminal()
    recordings = corpus_config(
        settings.corpus, settings.embedded, store, probed="probe" in settings.stages, terminal=terminal
    )
    with gathered(choose_device(settings.device)) as gang:
        if gang.rank == 0:
            require_space(folder, "hydra.run.dir=PATH")
        corpus = read_corpus(recordings, store, workers=settings.workers, gang=gang, terminal=terminal)
        seconds = corpus.manifest.seconds
        require_space(store, "store.root=PATH", seconds=seconds)
        session = Session(
            store=Store(store),
            gang=gang,
            terminal=terminal,
            folder=folder,
            workers=choose_workers(settings.workers, seconds=seconds),
        )
        entries = make_stages(session, corpus.manifest, settings)
        if gang.rank == 0:
            _write_folder(folder, corpus, settings, entries, terminal)


def make_stages(session: Session, manifest: Manifest, settings: RunSettings) -> dict[str, Entry]:
    """The entries that the wanted stages need, by stage, in the order of the data.

    Raises:
        InputError: the splits do not hold what the stages need; shown before anything is trained.
    """
    wanted = settings.stages
    _require_validation(manifest)
    if "probe" in wanted:
        probe_task(manifest)
    made: list[Entry] = [frame_sample(session, manifest, settings.audio, settings.tokenizer)]
    made.append(autoencoder(session, made[0], settings.audio, settings.tokenizer))
    tokens = codebook(session, made[0], made[1], settings.audio, settings.tokenizer)
    coded = codes(session, manifest, tokens)
    made += [tokens, coded, health(session, manifest, tokens, coded, settings.tokenizer.health, seed=settings.seed)]
    model = None
    if {"lm", "probe"} & {*wanted}:
        others = range(1, settings.tokenizer.patch.frames) if settings.lm.all_offsets else range(0)
        more = views(session, manifest, tokens, offsets=others) if others else None
        model = language_model(session, coded, more, settings.lm)
        made += [*([more] if more else []), model]
    if model and "probe" in wanted:
        pooled = features(session, manifest, tokens, coded, model)
        made += [pooled, probes(session, manifest, pooled, settings.probe)]
    if "vocoder" in wanted:
        sound = waveforms(session, manifest, settings.audio.sample_rate)
        wavenet = vocoder(session, manifest, tokens, coded, sound, settings.vocoder)
        made += [sound, wavenet, listening(session, manifest, tokens, wavenet, model, settings.listening)]
    return {entry.stage: entry for entry in made}


def _require_validation(manifest: Manifest) -> None:
    if not manifest.of("validation"):
        raise InputError(
            f"there are {len(manifest.of('train'))} train clips and none for validation, which judges codebook and "
            "weights: raise corpus.split.validation_fraction, or name some in corpus.split.validation"
        )


def _write_folder(
    folder: Path, corpus: Corpus, settings: RunSettings, entries: dict[str, Entry], terminal: Terminal
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(corpus.manifest, folder / "manifest.tsv")
    write_rejected(corpus.rejected, folder / "rejected.tsv")
    for part in PARTS:
        place_part(folder / part, entries[part].folder if part in entries else None)
    write_results(
        folder,
        manifest=corpus.manifest,
        rejected=corpus.rejected,
        name=corpus.name,
        protocol=settings.corpus.split.by,
        entries=entries,
    )
    for line in summary(read_results(folder)):
        terminal.say(f"          {line}")
    terminal.say(f"results   {folder / RESULTS}")
    if "report" in settings.stages:
        print(write_report(folder), flush=True)


def place_part(place: Path, made: Path | None) -> None:
    """Put what a stage made into the run folder, whole, instead of what an earlier run left there."""
    beside = place.with_name(f"{place.name}.aside")
    shutil.rmtree(beside, ignore_errors=True)
    if made is not None:
        shutil.copytree(made, beside)
    if place.exists():
        shutil.rmtree(place)
    if made is not None:
        beside.rename(place)
