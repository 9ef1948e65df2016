"""Vectors of recordings by the models of a finished run: ``probe`` judges them, ``embed`` writes them.

Both call the stages of a run, so the vectors of the clips of a run are those that its probe read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import cast, get_args

from lm.model import LanguageModel
from lm.probing.probe import FittedProbe, ProbeDescription
from lm.probing.task import require_labels
from lm.probing.vectors import VECTORS, Pooling, States, write_vectors
from pipelines.backbones.features_of_backbones import denoising_features
from pipelines.commandline.composed_config import completed
from pipelines.jobs.clips_of_run import MANIFEST, find_corpus, overlap_notices, read_corpus, seen_of, unlabelled_of_run
from pipelines.jobs.coding import WarningsSummary, list_rejected
from pipelines.methods.methods_table import METHODS, reads_sound
from pipelines.pages.phrasing import methods_table, sentences
from pipelines.probe_run import ProbeRunConfig
from pipelines.recordings import ALL, EmbedConfig
from pipelines.results.probes import PREDICTIONS, Probes, side_by_side_probes, write_predictions
from pipelines.results.run_record import Results, read_results, recorded_options
from pipelines.settings.run_settings import ReadingConfig, choose_workers, corpus_command
from pipelines.stages.features import (
    BAG_OF_CODES,
    ClipReading,
    CodedViews,
    bottleneck_features,
    code_features,
    codes,
    gpt_features,
    log_mel_features,
)
from pipelines.stages.probing import probed, require_probeable
from pipelines.store.outputs import prepare_output
from pipelines.store.run_parts import RESULTS, ModelPart, part_of, run_of
from pipelines.store.stage import Session
from pipelines.store.store import CachedArtifact, Store, write_json
from pipelines.store.stored_features import (
    FEATURES,
    GPT_METHOD,
    WITH_INPUT,
    StoredFeatures,
    method_of_key,
    natural,
    parts_of_key,
    pooling_of,
)
from tokenizer.codes import require_same_codebook
from tokenizer.tokenizer import Tokenizer
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.recordings.corpus import build_manifest, clips_at
from wordless.audio.recordings.inspection import InspectionConfig, inspect
from wordless.audio.recordings.manifest import Clips, Rejected, read_manifest
from wordless.audio.recordings.summary import corpus_summary
from wordless.base.arrays import FloatArray
from wordless.base.devices import choose_device
from wordless.base.files import NO_PERMISSION, file_hash, list_hash, write_aside
from wordless.base.messages import InputError, counted, named, require, within
from wordless.base.options import build, match_choice
from wordless.base.pools import LOCAL
from wordless.base.progress import Terminal
from wordless.base.saved_models import CONFIG, WEIGHTS
from wordless.base.saved_models import PROBE as PROBE_KIND
from wordless.training.fit import Gang, open_gang

PROBES = "probes"  # folder for the figures of other corpora


@dataclass(frozen=True, kw_only=True)
class CodeModels:
    """Tokenizer and language model of a run as artifacts, whose keys are fingerprints of their content."""

    tokenizer: CachedArtifact
    model: CachedArtifact


def probe_run(config: Mapping[str, object]) -> None:
    """Probe the models of a run on other recordings: encode these, pool each method's states, compare probes."""
    settings = corpus_command(ProbeRunConfig, completed(ProbeRunConfig, config))
    own = models_of_run(settings.model, settings.compare)
    terminal = Terminal()
    found = find_corpus(settings.corpus, settings, require=require_labels, terminal=terminal)
    with open_gang(choose_device(settings.device)) as gang:
        audio = Tokenizer.from_pretrained(own.tokenizer.folder).front_end.absolute
        corpus = read_corpus(found, settings, gang=gang, terminal=terminal, audio=audio)
        notices = require_probeable([replace(corpus, name="test")], settings.probe, by=None)
        if (settings.model / MANIFEST).is_file():  # what the run in the folder knows of the probed recordings
            trained = read_manifest(settings.model / MANIFEST, corpus.root)
            unlabelled = unlabelled_of_run(settings.model, corpus.root)
            shared = overlap_notices(corpus, trained, owner=settings.model, unlabelled=unlabelled)
            notices = [*notices, *(named(each, "corpus") for each in shared)]
        for notice in notices:
            terminal.say(f"probe     {notice}")
        session = Session(
            store=Store(settings.store.root),
            gang=gang,
            terminal=terminal,
            folder=settings.folder,
            workers=choose_workers(settings.workers, settings.engine, seconds=corpus.seconds),
            engine=settings.engine,
            shared=(*seen_of(corpus), own.tokenizer.folder, own.model.folder),
        )
        pooled = pooled_features(session, corpus, own, settings.compare)
        inputs = {GPT_METHOD: BAG_OF_CODES} if settings.compare.input else {}
        read = {of: {each: pooled[each] for each in (of, inputs.get(of)) if each} for of in sorted(pooled, key=natural)}
        probes = [probed(session, corpus, settings.probe, of, each) for of, each in read.items()]
    if gang.rank:
        return
    measured = side_by_side_probes(corpus, settings.probe, probes)
    per_fold = {("test", settings.probe.seed): measured}
    compared = Probes(per_fold, settings.probe, by="split").comparison()
    print(*sentences("summary", {"figures": compared.figures, "comparison": compared}), sep="\n", flush=True)
    name = re.sub(r"[^\w.-]+", "_", corpus.name).strip("_.") or "corpus"
    # one file for each corpus and set of options
    path = settings.output or settings.model / PROBES / f"{name}_{list_hash(each.key for each in probes)[:8]}.json"
    predictions = path.with_suffix(f".{PREDICTIONS}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, measured)
        write_aside(path.with_suffix(".md"), methods_table(compared))
        write_predictions(predictions, per_fold, corpus, by="split", separator=settings.probe.label_separator)
    except OSError as error:
        if settings.output is not None or error.errno not in NO_PERMISSION:
            raise
        return terminal.say(
            f"the figures are not saved, since {path.parent} cannot be written; choose output=FILE.json"
        )
    terminal.say(f"figures: {path}, and as a table: {path.with_suffix('.md')}; predictions: {predictions}")


def pooled_features(
    session: Session, manifest: Clips, own: CodeModels, reading: ReadingConfig
) -> dict[str, CachedArtifact]:
    """Pool the representations of all clips, averaged over their views, by the name of their row."""
    config = Tokenizer.from_pretrained(own.tokenizer.folder).config
    read = ClipReading(manifest=manifest, audio=config.audio, device=session.gang.device, vectors=reading.vectors)
    made = {"log_mel": log_mel_features(session, read, own.tokenizer)}
    if config.speech_layer is None:  # a speech model has no bottleneck
        made["bottleneck"] = bottleneck_features(session, read, own.tokenizer, own.tokenizer.key)
    coded = _codes_of(session, read, own.tokenizer)
    states = gpt_features(session, coded, own.model, states=reading.states)
    return made | {BAG_OF_CODES: code_features(session, coded), GPT_METHOD: states}


def _codes_of(session: Session, read: ClipReading, tokenizer: CachedArtifact) -> CodedViews:
    return read.coded_in(session, tokenizer, codes(session, read.manifest, tokenizer))


def models_of_run(folder: Path, reading: ReadingConfig) -> CodeModels:
    """Return tokenizer and language model of a run, which must belong together and give what is to be read."""
    tokenizer, model = part_of(folder, "tokenizer"), part_of(folder, "lm")
    loaded, language_model = Tokenizer.from_pretrained(tokenizer), LanguageModel.from_pretrained(model)
    rule = "a speech model makes the codes of this run, and test-time augmentations are spectrograms: choose 1"
    works = loaded.reads_patches or reading.test_time_augmentation == 1
    require(works, "compare.test_time_augmentation", reading.test_time_augmentation, rule)
    require_same_codebook(language_model.format, loaded.format, owner=language_model.name)
    return CodeModels(tokenizer=_tokenizer_artifact(loaded, tokenizer), model=_model_artifact("lm", model))


def _tokenizer_artifact(tokenizer: Tokenizer, folder: Path) -> CachedArtifact:
    return CachedArtifact(stage="tokenizer", key=tokenizer.format.codebook, place=folder, reused=True)


def _model_artifact(stage: str, folder: Path) -> CachedArtifact:
    return CachedArtifact(stage=stage, key=file_hash(folder / WEIGHTS)[:16], place=folder, reused=True)


def embed_recordings(settings: EmbedConfig) -> None:
    """Compute the vectors of recordings with the models of a run, and write the output."""
    part = cast("ModelPart", settings.method) if reads_sound(settings.method) else None
    part_of(settings.model, part or "lm")
    run = run_of(settings.model)
    found = clips_at(str(settings.input), settings.columns, root=settings.root)
    prepare_output(settings.output)
    terminal = Terminal()
    saved = run / PROBE_KIND.part
    probe = FittedProbe.from_pretrained(saved).description if (saved / CONFIG).is_file() else None
    results = read_results(run) if (run / RESULTS).is_file() else Results()
    chosen = _chosen(settings, results, probe)
    reading = _reading(settings, results, probe, chosen)
    own = None if reads_sound(settings.method) else models_of_run(run, reading)
    inputs = {GPT_METHOD: BAG_OF_CODES} if own else {settings.method: str(METHODS[settings.method].input)}
    tokenizer = Tokenizer.from_pretrained(run / "tokenizer")
    bottlenecks = ("bottleneck",) if tokenizer.reads_patches else ()
    match_choice((*inputs, *inputs.values(), "log_mel", *bottlenecks), settings.method, option="method")
    if settings.method not in inputs and settings.layer not in (None, ALL):
        remedy = f"leave layer out, or choose the method of a language model, such as method={[*inputs][-1]}"
        raise InputError(f"layer={settings.layer}, but {settings.method} has no layers; {remedy}")
    manifest = _recordings(settings, found, tokenizer.front_end, _trim_db(run, results, probe, own), terminal)
    session = Session(
        store=Store(settings.store.root),
        gang=Gang(choose_device(settings.device)),
        terminal=terminal,
        folder=run,
        workers=choose_workers(settings.workers, LOCAL, seconds=manifest.seconds),
    )
    pooled = (
        sound_features(session, manifest, run, tokenizer, reading, settings.method)
        if own is None
        else pooled_features(session, manifest, own, reading)
    )
    arrays = _wanted(settings, pooled, inputs.get(settings.method) if reading.input else None, chosen)
    write_vectors(settings.output, manifest.names, arrays)
    for key, array in arrays.items():
        terminal.say(f"{key}: {counted(len(array), 'row')} of {array.shape[1]:,} numbers")
    terminal.say(f"{settings.output}")


def _trim_db(run: Path, results: Results, probe: ProbeDescription | None, own: CodeModels | None) -> float | None:
    """Return how many dB below the loudest 20 ms the run cut off the ends of recordings; None: it did not."""
    if probe is not None:
        return probe.trim_db
    if own is not None or not recorded_options(results) or not (run / MANIFEST).is_file():
        return None
    wanted = recorded_options(results)["corpus"]["inspection"]["trim_db"]
    return read_manifest(run / MANIFEST, run).effective_trim_db(None if wanted is None else float(wanted))


def _reading(
    settings: EmbedConfig, results: Results, probe: ProbeDescription | None, chosen: str | None
) -> ReadingConfig:
    """Return what the run's probe could choose from, and the wanted layer and pooling beside it.

    What the probe could choose from stays, because another number of poolings may change the last bits of each.
    """
    if probe is not None:
        recipe = probe.recipe
        reading = ReadingConfig(**vars(recipe.vectors), states=recipe.states)
    else:
        names = {field.name for field in fields(ReadingConfig)}
        compared = dict(recorded_options(results).get("compare", {})) if reads_sound(settings.method) else {}
        reading = build(ReadingConfig, {name: compared[name] for name in names & {*compared}}, name="compare")
    layer = settings.layer or _layer_of(chosen or "")
    more = [each for each in get_args(Pooling) if each == settings.pooling and each not in reading.poolings]
    state: States = "inner" if "inner" in layer else "residual"
    return replace(
        reading,
        poolings=(*reading.poolings, *more),
        layers=reading.layers if settings.layer in (None, ALL) else VECTORS.layers,
        states=reading.states if state in reading.states or layer in ("", ALL) else (*reading.states, state),
        input=WITH_INPUT in (chosen or "" if settings.layer in (None, ALL) else layer),
    )


def _layer_of(key: str) -> str:
    return parts_of_key(key)[0] or ""


def _wanted(
    settings: EmbedConfig, pooled: Mapping[str, CachedArtifact], beside: str | None, chosen: str | None
) -> dict[str, FloatArray]:
    """Return what is written: what the options name, else what the run's probe reads, else the last layer.

    ``beside`` is a method whose vectors may be read with those of the wanted one.
    """
    candidates = StoredFeatures.of(pooled[settings.method].folder / FEATURES)
    if beside is not None:
        candidates = candidates.with_input(StoredFeatures.of(pooled[beside].folder / FEATURES))
    layer, pooling = settings.layer, str(settings.pooling or "")
    if layer != ALL:
        alone = [name for key in candidates if not (name := _layer_of(key)).startswith("all_")]
        last = [name for name in alone if name.startswith("layer_")] or alone or [""]
        layer = layer or (_layer_of(chosen) if chosen else last[-1])
        pooling = pooling or (pooling_of(chosen) if chosen else "mean")
    wanted = [key for key in candidates if layer in (ALL, _layer_of(key)) and pooling in ("", pooling_of(key))]
    if not wanted:
        rule = f"{settings.method} has no layer {layer} with pooling {pooling}: choose among {', '.join(candidates)}"
        raise InputError(option="layer", value=settings.layer, rule=rule)
    return {key.partition("/")[2] or key: candidates[key] for key in wanted}


def _chosen(settings: EmbedConfig, results: Results, probe: ProbeDescription | None) -> str | None:
    """Return the candidate that validation chose for a method; None if the run did not probe it."""
    if probe is not None and method_of_key(probe.of) == settings.method:
        return probe.of
    comparison = results.get("comparison")
    row = None if comparison is None else comparison.tested.get(settings.method)
    return row.candidate if row else None


def _recordings(
    settings: EmbedConfig, found: Clips, audio: SpectrogramConfig, trim_db: float | None, terminal: Terminal
) -> Clips:
    """Inspect recordings, of which nothing is trained: copies, silent and short ones have their rows, too."""
    inspection = InspectionConfig(min_seconds=0, silence_peak=-1, trim_db=trim_db)
    unfit: list[Rejected] = []
    try:
        with within("", root="input"), terminal.working("inspecting", 0, "files") as progress:
            inspector = partial(
                inspect,
                workers=LOCAL.workers(settings.workers, enough=True),
                cache=settings.store.root / "inspected.jsonl",
                progress=progress.advance_to,
                channel=audio.channel,
                sample_rate=audio.sample_rate,
            )
            own = replace(settings.corpus, inspection=inspection)
            manifest, rejected = build_manifest(own, found=found, inspector=inspector, rejected=unfit, duplicates=True)
    except InputError as error:
        if not unfit:
            raise
        raise error.also(list_rejected(sorted(unfit, key=lambda each: each.path), settings.output, terminal)) from error
    for line in (*corpus_summary(manifest, highest=audio.highest), *manifest.notices):
        terminal.say(line)
    WarningsSummary(read=len(manifest.clips), rejected=[*rejected]).tell(terminal, settings.output, option="input")
    return manifest


def sound_features(
    session: Session, manifest: Clips, run: Path, tokenizer: Tokenizer, reading: ReadingConfig, method: str
) -> dict[str, CachedArtifact]:
    """Pool the layers of a GPT of a run that reads sound, and its input: log-mel, or a bag of codes."""
    tokens = _tokenizer_artifact(tokenizer, run / "tokenizer")
    read = ClipReading(
        manifest=manifest, audio=tokenizer.front_end.absolute, device=session.gang.device, vectors=reading.vectors
    )
    sound = denoising_features(session, read, method, _model_artifact(method, run / method))
    return {BAG_OF_CODES: code_features(session, _codes_of(session, read, tokens)), method: sound}
