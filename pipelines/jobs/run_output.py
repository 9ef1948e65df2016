"""The folder of a run, written from the entries of the store: models, probe, sounds, results; and for trackers."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lm.probing.probe import FittedProbe, VectorRecipe
from pipelines.bodies.table_of_bodies import BODIES
from pipelines.chain.clips_of_run import MANIFEST, REJECTED
from pipelines.chain.sound_stages import comb_notice
from pipelines.commandline.run_folders import LOG, link_latest
from pipelines.extras.table import extras
from pipelines.jobs.notices import UNLABELLED, write_unlabelled
from pipelines.methods.sound_probe import MADE_BY, KeptMethod, KeptProbes
from pipelines.pages.phrasing import LATEX, methods_latex, methods_table, sentences, summary
from pipelines.pages.runs_table import RUNS
from pipelines.results.predictions import PREDICTIONS, write_predictions
from pipelines.results.probes import probes_of_run
from pipelines.results.results import write_results
from pipelines.results.rows import Made
from pipelines.results.run_record import RESAMPLES, Section, lost_file, read_results
from pipelines.results.sound_figures import lost_clips
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.features import BAG_OF_CODES
from pipelines.stages.listening import wav_name
from pipelines.store.run_folder import REPORT, RESULTS
from pipelines.store.stage import Session
from pipelines.store.store import ENTRY, Entry
from pipelines.store.stored_features import GPT, PROBE
from wordless.audio.recordings.manifest import Clip, Clips, read_manifest, write_manifest, write_rejected
from wordless.base.files import copy_file, replace_folder, write_aside
from wordless.base.messages import InputError, counted
from wordless.base.saved_models import CONFIG
from wordless.base.saved_models import PROBE as KIND

COMPARISON = "comparison.md"
# folder of a run -> the stages whose entry is copied there, the first that the run has
PARTS = {
    "tokenizer": ("rate_tokenizer", "tokenizer"),
    "lm": ("rate_lm", "lm"),
    **{part: (part,) for body in BODIES.values() for part in body.parts},
    "vocoder": ("vocoder",),
    "listening": ("listening",),
    **{part: (stage,) for each in extras() for part, stage in each.parts.items()},
}


def require_own_parts(folder: Path) -> None:
    """Refuse a folder in which something that no run wrote has the name of a part, which a run replaces."""
    for name in (*PARTS, KIND.part):
        place = folder / name
        if place.exists() and not (place / (CONFIG if name == KIND.part else ENTRY)).is_file():
            problem = f"no run wrote {place}, and this run would replace it"
            raise InputError(f"{problem}; move it, or choose another folder, hydra.run.dir=PATH")


def require_same_clips(folder: Path, listed: str, clips: Iterable[Clip], noun: str) -> None:
    """Refuse to replace a finished run whose list of clips, the file ``listed``, names other sounds, labels or splits.

    A run without results has nothing to lose, and its finished stages are reused as far as they fit.
    """
    if not (folder / RESULTS).is_file():
        return
    try:
        before = read_manifest(folder / listed, folder).clips if (folder / listed).exists() else ()
    except InputError:  # of an earlier version, or damaged: nobody can tell
        return
    then, now = ({(*clip.key, clip.label, clip.group, clip.fold) for clip in each} for each in (before, clips))
    if then != now:
        new = f"{counted(len(then), noun)} then, {len(now)} now, {len(now - then)} of them new or changed"
        remedy = "choose another name or folder, or add replace=true"
        raise InputError(f"{folder} holds a finished run of other recordings: {new}", remedy=remedy)


def write_run_folder(
    session: Session, corpus: Clips, unlabelled: Sequence[Clips], settings: RunSettings, made: Made, source: Section
) -> None:
    """Write the folder of a run in the place of an earlier one; if it is in ``runs``, also the page of runs."""
    folder, terminal = session.folder, session.terminal
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (COMPARISON, LATEX, PREDICTIONS, RESAMPLES):  # left by an earlier run in this folder with other stages
        (folder / stale).unlink(missing_ok=True)
    write_manifest(corpus, folder / MANIFEST)
    write_rejected(corpus.rejected, folder / REJECTED)
    write_unlabelled(unlabelled, folder)
    first, *others = made.values()
    only = {name: entry for name, entry in first.items() if not any(name in each for each in others)}
    # models of several folds stay in the store
    for part, names in PARTS.items():
        replace_folder(folder / part, next((only[name].folder for name in names if name in only), None))
    if "judged" in only:
        for row in lost_clips(only["judged"]):
            for kind in row["sounds"]:
                place = folder / lost_file(row["number"], kind)
                copy_file(only["decoded"].folder / wav_name(row["number"], kind), place)
    if probes := probes_of_run(corpus, settings, made):
        separator = settings.probe.label_separator
        write_predictions(folder / PREDICTIONS, probes.probes, corpus, by=probes.by, separator=separator)
    write_probe(folder, only, corpus, settings)
    if "listening" in first:
        corpus = replace(corpus, notices=(*corpus.notices, comb_notice(first["listening"], first["vocoder"], settings)))
    write_results(folder, corpus, settings, made, probes, source)
    results = read_results(folder)
    if comparison := results.get("comparison"):
        write_aside(folder / COMPARISON, methods_table(comparison))
        write_aside(folder / LATEX, methods_latex(comparison))
    for line in sentences("weak_judge", results.get("listening", {}).get("warning")):
        terminal.say(f"WARNING   {line}")
    for line in summary(results):
        terminal.say(f"          {line}")
    terminal.say(f"results   {folder / RESULTS}")
    if "report" in settings.stages:
        from pipelines.pages.report import write_report  # matplotlib takes its time to import

        report = write_report(folder)
        terminal.record(str(report))
        print(report, flush=True)
    if (whole := folder.absolute()).parent.name == RUNS:
        link_latest(whole)


def write_probe(folder: Path, entries: Mapping[str, Entry], manifest: Clips, settings: RunSettings) -> None:
    """Save the probes that new sound can be given to, with what their vectors are made of, and the list of all.

    That of the GPT, or else of the bag of codes, is the run's own, which other commands read.
    """
    place, compare = folder / KIND.part, settings.compare
    names = [method.name for method in settings.probed_methods]
    probed = {name: entries[stage] for name in names if (stage := f"probed_{name}") in entries}
    # Of several rates, the GPT of the comparison is not the run's own.
    usable = [name for name in MADE_BY if name in probed and (not settings.tokenizer.rates or name == BAG_OF_CODES)]
    if not usable:
        replace_folder(place, None)
        return
    own = next((name for name in (GPT, BAG_OF_CODES) if name in usable), usable[0])
    recipe = VectorRecipe(vectors=compare.vectors, states=compare.states, assignments=compare.assignments)
    trim_db = manifest.effective_trim_db(settings.corpus.inspection.trim_db)
    with tempfile.TemporaryDirectory() as saved:
        for name in usable:
            probe = FittedProbe.from_pretrained(probed[name].folder)
            about = replace(probe.description, recipe=recipe, trim_db=trim_db)
            FittedProbe(probe.network, about).save_pretrained(Path(saved, "" if name == own else name))
        places = {name: "" if name == own else name for name in usable}
        found = [
            KeptMethod(method=name, validation=entry.read_json(PROBE)["validation_accuracy"], folder=places.get(name))
            for name, entry in probed.items()
        ]
        found.sort(key=lambda each: (-each.validation, each.folder is None))
        seconds = float(np.median([clip.seconds for clip in manifest.of("train")]))
        KeptProbes(methods=tuple(found), seconds=seconds).write(Path(saved))
        replace_folder(place, Path(saved))


FILES = (REPORT, RESULTS, COMPARISON, MANIFEST, REJECTED, UNLABELLED, LOG)
