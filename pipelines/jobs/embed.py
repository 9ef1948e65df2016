"""The work of ``wordless embed``, once its options are checked.

The stages of `wordless probe` compute the features, so the vectors of the clips of a run are those that its probe read.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

from lm.options import VECTORS, Pooling, States
from lm.probing.features_file import write_vectors
from lm.probing.fitted import FittedProbe, ProbeDescription
from pipelines.chain.corpus import MANIFEST
from pipelines.embed import ALL, EmbedConfig
from pipelines.jobs.probe import models_of_run, pooled_features
from pipelines.jobs.recordings import list_rejected
from pipelines.methods.networks import GPT_SOUND
from pipelines.methods.signals import BOTTLENECK, LOG_MEL
from pipelines.results.run_record import RESULTS, read_results, recorded_options
from pipelines.settings.comparison import ReadingConfig
from pipelines.settings.run import choose_workers
from pipelines.stages.features import ClipReading, log_mel_features
from pipelines.stages.pretraining import sound_gpt_features
from pipelines.store.session import Session
from pipelines.store.store import Entry, Store
from pipelines.store.stored_features import (
    FEATURES,
    WITH_INPUT,
    features_by_method,
    method_of_key,
    parts_of_key,
    pooling_of,
)
from tokenizer.tokenizer import Tokenizer
from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.corpus import CorpusConfig, build_manifest, find_recordings
from wordless.audio.recordings.inspection import InspectionConfig
from wordless.audio.recordings.manifest import Clips, Rejected, read_manifest
from wordless.audio.recordings.splits import UNDIVIDED
from wordless.base.errors import InputError, within
from wordless.base.files import file_hash
from wordless.base.machine import choose_device
from wordless.base.pools import LOCAL
from wordless.base.progress import Terminal
from wordless.base.saved_models import CONFIG, WEIGHTS, rate_folder
from wordless.base.saved_models import PROBE as PROBE_KIND
from wordless.base.text import counted
from wordless.base.values import build, match_choice
from wordless.training.gangs import Gang


def embed_recordings(settings: EmbedConfig, run: Path, recordings: Clips | None) -> None:
    """Compute the vectors of the recordings, or of those of a table, with the models of a run; write the output."""
    terminal = Terminal()
    with within("", table="input"):
        found = recordings or find_recordings(corpus_of(settings)).named("", table="input")
    for notice in found.notices:
        terminal.say(notice)
    probe = _probe_of(run)
    chosen = _chosen(settings, run, probe)
    reading = _reading(settings, run, probe, chosen)
    of_sound = settings.method == GPT_SOUND.name
    rates = () if of_sound else models_of_run(run, reading)
    inputs = {GPT_SOUND.name: LOG_MEL.name} if of_sound else {rate.gpt: rate.bag for rate in rates}
    match_choice((*inputs, *inputs.values(), LOG_MEL.name, BOTTLENECK.name), settings.method, option="method")
    if settings.method not in inputs and settings.layer not in (None, ALL):
        remedy = f"leave layer out, or choose the method of a language model, such as method={[*inputs][-1]}"
        raise InputError(f"layer={settings.layer}, but {settings.method} has no layers; {remedy}")
    front_end = Tokenizer.from_pretrained(rates[-1].tokenizer.folder if rates else _finest(run)).front_end
    manifest = _recordings(settings, found, front_end, _trim_db(settings, run, probe), terminal)
    session = Session(
        store=Store(settings.store.root),
        gang=Gang(choose_device(settings.device)),
        terminal=terminal,
        folder=run,
        workers=choose_workers(settings.workers, LOCAL, seconds=manifest.seconds),
    )
    if rates:
        made = pooled_features(session, manifest, rates, reading)
    else:
        made = sound_features_of_run(session, manifest, run, reading)
    by_method = features_by_method([entry.folder / FEATURES for entry in made.values()])
    candidates = by_method[settings.method]
    if reading.input and settings.method in inputs:
        candidates = candidates.with_input(by_method[inputs[settings.method]])
    arrays = {key.partition("/")[2] or key: candidates[key] for key in _wanted(settings, [*candidates], chosen)}
    write_vectors(settings.output, [clip.name for clip in manifest.clips], arrays)
    for key, array in arrays.items():
        terminal.say(f"{key}: {counted(len(array), 'row')} of {array.shape[1]:,} numbers")
    terminal.say(f"{settings.output}")


def corpus_of(settings: EmbedConfig) -> CorpusConfig:
    """Return the options of a corpus without labels and splits that holds the recordings."""
    if not settings.is_table:
        return CorpusConfig(root=str(settings.input), labels="none", annotations="none", split=UNDIVIDED)
    return CorpusConfig(
        root=None if settings.root is None else str(settings.root),
        table=str(settings.input),
        labels="none",
        annotations=settings.annotations,
        tier=settings.tier,
        missing="list",
        split=UNDIVIDED,
    )


def _reading(settings: EmbedConfig, run: Path, probe: ProbeDescription | None, chosen: str | None) -> ReadingConfig:
    """Return what the run's probe could choose from, and the wanted layer and pooling beside it.

    What the probe could choose from stays, because another number of poolings may change the last bits of each.
    """
    if probe is not None:
        recipe = probe.recipe
        reading = ReadingConfig(**vars(recipe.vectors), states=recipe.states, assignments=recipe.assignments)
    else:
        names = {field.name for field in fields(ReadingConfig)}
        compared = _options_of(run).get("compare", {}) if settings.method == GPT_SOUND.name else {}
        reading = build(ReadingConfig, {name: compared[name] for name in names & {*compared}}, name="compare")
    layer = settings.layer or layer_of(chosen or "")
    more = [each for each in get_args(Pooling) if each == settings.pooling and each not in reading.poolings]
    state: States = "inner" if "inner" in layer else "residual"
    return replace(
        reading,
        poolings=(*reading.poolings, *more),
        layers=reading.layers if settings.layer in (None, ALL) else VECTORS.layers,
        states=reading.states if state in reading.states or layer in ("", ALL) else (*reading.states, state),
        input=WITH_INPUT in (chosen or "" if settings.layer in (None, ALL) else layer),
    )


def layer_of(key: str) -> str:
    """Return the layer of a key; "" for a method without layers."""
    return parts_of_key(key)[0] or ""


def _wanted(settings: EmbedConfig, candidates: Sequence[str], chosen: str | None) -> list[str]:
    """Return the keys that are written: what the options name, else what the run's probe reads, else the last layer."""
    layer, pooling = settings.layer, str(settings.pooling or "")
    if layer != ALL:
        alone = [name for key in candidates if not (name := layer_of(key)).startswith("all_")]
        last = [name for name in alone if name.startswith("layer_")] or alone or [""]
        layer = layer or (layer_of(chosen) if chosen else last[-1])
        pooling = pooling or (pooling_of(chosen) if chosen else "mean")
    wanted = [key for key in candidates if layer in (ALL, layer_of(key)) and pooling in ("", pooling_of(key))]
    if not wanted:
        rule = f"{settings.method} has no layer {layer} with pooling {pooling}: choose among {', '.join(candidates)}"
        raise InputError(option="layer", value=settings.layer, rule=rule)
    return wanted


def _probe_of(run: Path) -> ProbeDescription | None:
    folder = run / PROBE_KIND.part
    return FittedProbe.from_pretrained(folder).description if (folder / CONFIG).is_file() else None


def _chosen(settings: EmbedConfig, run: Path, probe: ProbeDescription | None) -> str | None:
    """Return the candidate that validation chose for a method; None if the run did not probe it."""
    if probe is not None and method_of_key(probe.of) == settings.method:
        return probe.of
    comparison = read_results(run).get("comparison") if (run / RESULTS).is_file() else None
    row = comparison.tested.get(settings.method) if comparison else None
    return row.candidate if row else None


def _recordings(
    settings: EmbedConfig, found: Clips, audio: SpectrogramConfig, trim_db: float | None, terminal: Terminal
) -> Clips:
    """Inspect the recordings, and write the list of those that cannot be read.

    Nothing is trained on them, so copies, silent and short recordings have their rows, too.
    """
    inspection = InspectionConfig(min_seconds=0, silence_peak=-1, trim_db=trim_db)
    unfit: list[Rejected] = []
    try:
        with within("", root="input"), terminal.working("inspecting", 0, "files") as progress:
            manifest, rejected = build_manifest(
                replace(corpus_of(settings), inspection=inspection),
                found=found,
                workers=LOCAL.workers(settings.workers, enough=True),
                cache=settings.store.root / "inspected.jsonl",
                progress=progress.advance_to,
                set_aside=unfit.extend,
                channel=audio.channel,
                sample_rate=audio.sample_rate,
                duplicates=True,
            )
    except InputError as error:
        if not unfit:
            raise
        raise error.also(list_rejected(sorted(unfit, key=lambda each: each.path), settings.output, terminal)) from error
    list_rejected(rejected, settings.output, terminal)
    return manifest


def _finest(run: Path) -> Path:
    """Return the folder of the tokenizer of a run; of several rates, of the finest."""
    rates = Tokenizer.from_pretrained(run / "tokenizer").format.formats
    return rate_folder(run / "tokenizer", len(rates)) if len(rates) > 1 else run / "tokenizer"


def _options_of(run: Path) -> dict[str, Any]:
    """Return the options that a run records; none if there is no record."""
    return recorded_options(read_results(run)) if (run / RESULTS).is_file() else {}


def _trim_db(settings: EmbedConfig, run: Path, probe: ProbeDescription | None) -> float | None:
    """Return how far the ends of the recordings are cut off, as in the run; None: not at all."""
    if probe is not None:
        return probe.trim_db
    options = _options_of(run) if settings.method == GPT_SOUND.name else {}
    if not options or not (run / MANIFEST).is_file():
        return None
    trim_db = options["corpus"]["inspection"]["trim_db"]
    return read_manifest(run / MANIFEST, run).effective_trim_db(None if trim_db is None else float(trim_db))


def sound_features_of_run(session: Session, manifest: Clips, run: Path, reading: ReadingConfig) -> dict[str, Entry]:
    """Pool the layers of the GPT of a run that reads sound, and log-mel, which is its input."""
    folder = _finest(run)
    tokenizer = Tokenizer.from_pretrained(folder)
    tokens = Entry(stage="tokenizer", key=tokenizer.format.codebook, place=folder, reused=True)
    weights = file_hash(run / GPT_SOUND.name / WEIGHTS)[:16]
    model = Entry(stage=GPT_SOUND.name, key=weights, place=run / GPT_SOUND.name, reused=True)
    read = ClipReading(session=session, manifest=manifest, audio=tokenizer.front_end, vectors=reading.vectors)
    sound = sound_gpt_features(read, GPT_SOUND.name, model)
    return {LOG_MEL.name: log_mel_features(read, tokens), GPT_SOUND.name: sound}
