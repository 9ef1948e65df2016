"""The work of ``wordless run``: recordings are read, the chain makes its artifacts, and the run's folder is written.

The folder says how to make it again: command, config, versions, machine and commit.
"""

import json
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import torch
from hydra.core.hydra_config import HydraConfig

from lm.probing.probe import FittedProbe, VectorRecipe
from lm.probing.task import require_labels
from pipelines.chain.chain import make_folds
from pipelines.commandline.command_words import command_line
from pipelines.commandline.composed_config import completed
from pipelines.commandline.run_folders import LOG, link_latest, logged
from pipelines.jobs.clips_of_run import (
    CLIPS_TABLE,
    MANIFEST,
    REJECTED,
    UNLABELLED,
    find_corpus,
    find_sources,
    notices,
    read_corpus,
    read_unlabelled,
    seen_of,
    shared_paths,
    voice_notices,
    write_unlabelled,
)
from pipelines.jobs.run_rules import run_settings
from pipelines.jobs.sound_probe import MADE_BY, KeptMethod, KeptProbes
from pipelines.jobs.sweep_runs import going_on
from pipelines.methods.methods_table import BACKBONES
from pipelines.pages.phrasing import LATEX, methods_latex, methods_table, sentences, summary
from pipelines.pages.report import report_pictures, write_report
from pipelines.plugins.table import plugins
from pipelines.results.probes import PREDICTIONS, probes_of_run, write_predictions
from pipelines.results.results import gross_pitch_error_clips, write_results
from pipelines.results.run_record import (
    RESAMPLES,
    Made,
    Results,
    Section,
    gross_error_file,
    parameters,
    read_results,
    values_by_name,
)
from pipelines.settings.run_settings import (
    EMBEDDED,
    RunSettings,
    choose_workers,
    corpus_options,
    usual_stages,
)
from pipelines.stages.codebooks import wants_pitch
from pipelines.stages.features import BAG_OF_CODES
from pipelines.stages.listening import LISTENING, wav_name
from pipelines.store.run_parts import REPORT, RESULTS, RUNS
from pipelines.store.stage import Session
from pipelines.store.store import CURVE, ENTRY, CachedArtifact, Store
from pipelines.store.stored_features import GPT_METHOD, PROBE_RECORD
from pipelines.store.tensorboard import TensorBoard
from wordless.audio.recordings.manifest import (
    Clip,
    Clips,
    read_manifest,
    write_clips_table,
    write_manifest,
    write_rejected,
)
from wordless.audio.recordings.splits import UNDIVIDED
from wordless.base.devices import choose_device
from wordless.base.files import copy_file, replace_folder, write_aside
from wordless.base.messages import InputError, counted, listed
from wordless.base.progress import Terminal
from wordless.base.saved_models import CONFIG
from wordless.base.saved_models import PROBE as KIND
from wordless.base.threads import cores, use_threads
from wordless.base.versions import installed_version, library_versions
from wordless.training.fit import Gang, open_gang


def run(config: dict[str, Any]) -> None:
    """Run the chain that a composed config describes, in the folder that Hydra has made."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    with going_on(), logged(folder):
        config = completed(RunSettings, config)
        corpus_options(config)  # refuses those that contradict each other, at the place where they were set
        run_chain(config, folder)


def run_chain(config: dict[str, Any], folder: Path) -> None:
    """Make or reuse the artifacts of the stages that a completed config wants, and write the run's ``folder``."""
    # The gang comes first, because its devices say what `precision=auto` means, and the settings are built once.
    with open_gang(choose_device(config["device"])) as gang:
        settings = run_settings(config, gang)
        use_threads(settings.threads)
        terminal = Terminal(log=folder / LOG)
        require = require_labels if "probe" in settings.stages else None
        own = settings.readable_corpus
        undivided = replace(own, split=UNDIVIDED) if settings.compare.folds else own
        found = find_corpus(undivided, settings, require=require, terminal=terminal)
        sources = find_sources(settings, terminal)
        # Refusals come before recordings are decoded and models are trained: they must not cost hours.
        if gang.rank == 0:
            require_own_parts(folder)
        place: dict[str, Any] = {"gang": gang, "terminal": terminal}
        listed = folder / REJECTED
        corpus = read_corpus(found, settings, audio=settings.audio, rejected=listed, **place)
        # While the folder still has the lists of an earlier run, which `write_run_folder` replaces.
        compare = gang.rank == 0 and not settings.replace
        if compare:
            require_same_clips(folder, MANIFEST, corpus.clips, "clip")
        unlabelled = read_unlabelled(settings, corpus, sources, folder=folder, **place)
        if compare:
            others = [clip for each in unlabelled for clip in each.clips]
            require_same_clips(folder, UNLABELLED, others, "unlabelled clip")
        if not settings.compare.folds:
            settings = settings.with_recordings(corpus, unlabelled)
        corpus = replace(corpus, notices=(*corpus.notices, *notices(corpus, unlabelled, settings, folder)))
        terminal.say(f"audio     {rates(settings)}")
        usual = settings.corpus.root == EMBEDDED and [*settings.stages] == usual_stages(config)
        for each in plugins() if usual else ():
            if why := each.joins(config):
                terminal.say(f"notice    {why}")
        for notice in voice_notices(settings):
            terminal.say(f"vocoder   {notice}")
        seconds = corpus.seconds + sum(each.seconds for each in unlabelled)
        session = Session(
            store=Store(settings.store.root),
            gang=gang,
            terminal=terminal,
            folder=folder,
            workers=choose_workers(settings.workers, settings.engine, seconds=seconds),
            engine=settings.engine,
            shared=(*seen_of(corpus), *shared_paths(settings, unlabelled)),
            tensorboard=TensorBoard(folder, terminal.say) if settings.tensorboard and gang.rank == 0 else None,
        )
        made = make_folds(session, corpus, unlabelled, settings)
        if gang.rank == 0:
            models = next(iter(made.values()))  # models of the other folds and seeds have the same sizes
            source = provenance(command_line("run"), config, gang, models)
            results = write_run_folder(session, corpus, unlabelled, settings, made, source)
            if session.tensorboard is not None:
                files = [path for path in (folder / name for name in _FILES) if path.is_file()]
                values = values_by_name(results["figures"])
                session.tensorboard.conclude(source, values, files, report_pictures(folder, results))


def rates(settings: RunSettings) -> str:
    """Describe sample rate, window and hop of the front end, and the codes per second with their side streams."""
    audio, tokenizers = settings.audio, [own.config(settings.audio) for own in settings.tokenizer.by_rate]
    window, hop = (1000 * samples / audio.sample_rate for samples in (audio.window_length, audio.hop_length))
    codes = listed([f"{audio.sample_rate / each.samples_per_code:.4g}" for each in tokenizers])
    streams = tokenizers[0].bands
    where = "in 1 stream" if streams == 1 else f"in each of {streams} streams"
    where += " and level" if settings.tokenizer.by_rate[0].level else ""
    where += " and pitch (of recordings with voices)" if wants_pitch(audio, settings.tokenizer.by_rate[0]) else ""
    return f"{audio.sample_rate:,} Hz, window {window:.4g} ms, hop {hop:.4g} ms, {codes} codes per second {where}"


COMPARISON = "comparison.md"
# folder of a run -> the stages whose artifact is copied there, the first that the run has
_PARTS = {
    "tokenizer": ("rate_tokenizer", "code_decoder", "tokenizer"),
    "lm": ("rate_lm", "lm"),
    **{part: (part,) for backbone in BACKBONES.values() for part in backbone.parts},
    "vocoder": ("vocoder",),
    "listening": ("listening",),
    **{part: (stage,) for each in plugins() for part, stage in each.parts.items()},
}


def require_own_parts(folder: Path) -> None:
    """Refuse a folder in which something that no run wrote has the name of a part, which a run replaces."""
    for name in (*_PARTS, KIND.part):
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
    except InputError:  # damaged: nobody can tell
        return
    then, now = ({(*clip.key, clip.label, clip.group, clip.fold) for clip in each} for each in (before, clips))
    if then != now:
        new = f"{counted(len(then), noun)} then, {len(now)} now, {len(now - then)} of them new or changed"
        remedy = "choose another name or folder, or add replace=true"
        raise InputError(f"{folder} holds a finished run of other recordings: {new}", remedy=remedy)


def write_run_folder(
    session: Session, corpus: Clips, unlabelled: Sequence[Clips], settings: RunSettings, made: Made, source: Section
) -> Results:
    """Write the folder of a run in the place of an earlier one, and return its results, as others read them."""
    folder, terminal = session.folder, session.terminal
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (COMPARISON, LATEX, PREDICTIONS, RESAMPLES):  # left by an earlier run in this folder with other stages
        (folder / stale).unlink(missing_ok=True)
    write_manifest(corpus, folder / MANIFEST)
    write_clips_table(corpus, folder / CLIPS_TABLE)
    write_rejected(corpus.rejected, folder / REJECTED)
    write_unlabelled(unlabelled, folder)
    first, *others = made.values()
    only = {name: artifact for name, artifact in first.items() if not any(name in each for each in others)}
    # models of several folds stay in the store
    for part, names in _PARTS.items():
        replace_folder(folder / part, next((only[name].folder for name in names if name in only), None))
    if "evaluated" in only:
        for row in gross_pitch_error_clips(only["evaluated"]):
            for kind in row["sounds"]:
                place = folder / gross_error_file(row["number"], kind)
                copy_file(only["decoded"].folder / wav_name(row["number"], kind), place)
    if probes := probes_of_run(corpus, settings, made):
        separator = settings.probe.label_separator
        write_predictions(folder / PREDICTIONS, probes.probes, corpus, by=probes.by, separator=separator)
    write_probe(folder, only, corpus, settings)
    if "listening" in first:
        corpus = replace(corpus, notices=(*corpus.notices, comb_notice(first["listening"], settings)))
    # After the parts that it describes, and before the report, which is drawn from what others will read.
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
        report = write_report(folder, results)
        terminal.record(str(report))
        print(report, flush=True)
    if (whole := folder.absolute()).parent.name == RUNS:
        link_latest(whole)
    return results


def comb_notice(played: CachedArtifact, settings: RunSettings) -> str:
    """Say whether a pitch comb follows the vocoder's network, and why if not."""
    own, strength = settings.listening, settings.listening.postfilter
    if played.read_json(LISTENING)["pitch_comb"]:
        return "WaveNet's sound passes a pitch comb, which makes its voice more periodic"
    if not (strength and settings.audio.keeps_levels):
        why = f"its post-filter is off (listening.postfilter={strength:g})"
    elif not own.pitch_comb:
        why = "listening.pitch_comb is false"
    else:
        why = "its codes or its training recordings have too little of a voice"
    return f"WaveNet's sound has no pitch comb, because {why}"


def write_probe(folder: Path, artifacts: Mapping[str, CachedArtifact], manifest: Clips, settings: RunSettings) -> None:
    """Save the probes that new sound can be given to, with what their vectors are made of, and the list of all.

    That of the GPT, or else of the bag of codes, is the run's own, which other commands read.
    """
    place, compare = folder / KIND.part, settings.compare
    names = [method.name for method in settings.probed_methods]
    probed = {name: artifacts[stage] for name in names if (stage := f"probed_{name}") in artifacts}
    # Of several rates, the GPT of the comparison is not the run's own.
    usable = [name for name in MADE_BY if name in probed and (not settings.tokenizer.rates or name == BAG_OF_CODES)]
    if not usable:
        replace_folder(place, None)
        return
    own = next((name for name in (GPT_METHOD, BAG_OF_CODES) if name in usable), usable[0])
    recipe = VectorRecipe(vectors=compare.vectors, states=compare.states)
    trim_db = manifest.effective_trim_db(settings.corpus.inspection.trim_db)
    with tempfile.TemporaryDirectory() as saved:
        for name in usable:
            probe = FittedProbe.from_pretrained(probed[name].folder)
            about = replace(probe.description, recipe=recipe, trim_db=trim_db)
            FittedProbe(probe.network, about).save_pretrained(Path(saved, "" if name == own else name))
        places = {name: "" if name == own else name for name in usable}
        found = [
            KeptMethod(
                method=name, validation=artifact.read_json(PROBE_RECORD)["validation_accuracy"], folder=places.get(name)
            )
            for name, artifact in probed.items()
        ]
        found.sort(key=lambda each: (-each.validation, each.folder is None))
        KeptProbes(methods=tuple(found)).write(Path(saved))
        replace_folder(place, Path(saved))


_FILES = (REPORT, RESULTS, COMPARISON, MANIFEST, CLIPS_TABLE, REJECTED, UNLABELLED, LOG)
CHECKOUT = Path(__file__).parents[2]


def provenance(
    command: str, config: Mapping[str, object], gang: Gang, artifacts: Mapping[str, CachedArtifact]
) -> Section:
    """Describe software, machine and options of a run, none of which decides a key; ``artifacts`` hold the models."""

    name = torch.cuda.get_device_name(gang.device) if gang.device.type == "cuda" else platform.machine()
    return {
        "version": installed_version(),
        "commit": commit_of(CHECKOUT),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": _without_home(command),
        "machine": {"cpu": _cpu(), "cores": cores(), "memory": machine_memory()},
        "system": platform.platform(),
        "python": platform.python_version(),
        "device": f"{gang.device.type} ({name})",
        "threads": torch.get_num_threads(),
        "ranks": gang.size,
        "parameters": {
            name: parameters(each.folder) for name, each in artifacts.items() if (each.folder / CURVE).is_file()
        },
        "libraries": library_versions(),
        "config": _without_home(config),
    }


def commit_of(checkout: Path) -> str | None:
    """Return the git commit of a checkout, with "+changes" if tracked files differ; None without a checkout or git."""
    if not (checkout / ".git").exists():  # an installed package may lie in the checkout of another project
        return None
    git = ("git", "--no-optional-locks", "-C", str(checkout))
    words = ("describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes")
    try:
        return subprocess.run([*git, *words], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


Named = TypeVar("Named")  # a command, or options


def _without_home(value: Named) -> Named:
    """Replace the user's home folder by ``~``: reports may be public."""
    home = os.path.expanduser("~")  # noqa: PTH111  Path raises without a home
    begin = r"(?<![^\s='\"\[,:])" + re.escape(json.dumps(home)[1:-1]) + r"(?=[/\s'\"\],]|$)"  # of a value
    found: Named = json.loads(re.sub(begin, "~", json.dumps(value))) if home not in ("", "/") else value
    return found


CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # versions 2 and 1


def machine_memory() -> int:
    """Return the bytes of main memory: the machine's, or the limit of this process's container if it is lower."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # there is no limit: the file is missing or says "max"
            limits.append(int(Path(path).read_text()))
    return min(limits)
