"""Linear probes on any labelled recordings, with the tokenizer and language model of a finished run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from lm.model import LanguageModel
from lm.probing.task import require_labels
from pipelines.chain.corpus import MANIFEST, find_corpus, read_corpus, seen_of
from pipelines.chain.unlabelled import unlabelled_of_run
from pipelines.methods.codes import BAGS, STATES
from pipelines.methods.signals import BOTTLENECK, LOG_MEL
from pipelines.pages.phrasing import sentences
from pipelines.probe import ProbeRunConfig
from pipelines.results.comparison import ProbedFolds, compare
from pipelines.results.tables import PREDICTIONS, as_markdown, print_methods, write_predictions
from pipelines.settings.comparison import ReadingConfig
from pipelines.settings.run import choose_workers, own_options
from pipelines.stages.codes import codes
from pipelines.stages.features import (
    BAG_OF_CODES,
    ClipReading,
    CodedViews,
    CodesOfViews,
    SoftlyCodedViews,
    bottleneck_features,
    code_features,
    gpt_features,
    log_mel_features,
)
from pipelines.stages.probe import collect_probes, probe_methods, require_probeable
from pipelines.store.run_folder import part_of
from pipelines.store.session import Session
from pipelines.store.store import Entry, Store, write_json
from pipelines.store.stored_features import GPT, PROBE
from tokenizer.codes import CodesFormat, require_same_codebook
from tokenizer.tokenizer import Tokenizer
from wordless.audio.recordings.manifest import Clips, overlap_notices, read_manifest
from wordless.base.errors import named, require
from wordless.base.files import NO_PERMISSION, file_hash, write_aside
from wordless.base.machine import choose_device
from wordless.base.options import follow_seed
from wordless.base.progress import Terminal
from wordless.base.saved_models import rate_folder
from wordless.base.values import build
from wordless.training.gangs import open_gang

PROBES = "probes"  # folder for the figures of other corpora


@dataclass(frozen=True, kw_only=True)
class RateModels:
    """The models of one rate, and the methods that read them."""

    tokenizer: Entry
    model: Entry
    bag: str
    gpt: str


def probe_run(config: dict[str, object]) -> None:
    """Encode the recordings, pool every representation, probe each method, save and print how they compare."""
    own = {field.name for field in fields(ProbeRunConfig)}
    settings = build(ProbeRunConfig, own_options(config, own), name="")
    settings = follow_seed(settings, settings.seed)
    rates = models_of_run(settings.model, settings.compare)
    terminal = Terminal()
    options, found = find_corpus(settings.corpus, settings, require=require_labels, terminal=terminal)
    with open_gang(choose_device(settings.device)) as gang:
        audio = Tokenizer.from_pretrained(rates[-1].tokenizer.folder).front_end
        corpus = read_corpus(options, found, settings, gang=gang, terminal=terminal, audio=audio)
        notices = require_probeable([replace(corpus, name="test")], settings.probe, by=None)
        if (settings.model / MANIFEST).is_file():  # what the run in the folder knows of the probed recordings
            trained = read_manifest(settings.model / MANIFEST, corpus.root)
            unlabelled = unlabelled_of_run(settings.model, corpus.root)
            shared = overlap_notices(corpus, trained, owner=settings.model, unlabelled=unlabelled)
            notices = [*notices, *(named(each, "corpus") for each in shared)]
        for notice in notices:
            terminal.say(f"probe     {notice}")
        models = [entry.folder for rate in rates for entry in (rate.tokenizer, rate.model)]
        session = Session(
            store=Store(settings.store.root),
            gang=gang,
            terminal=terminal,
            folder=settings.folder,
            workers=choose_workers(settings.workers, settings.engine, seconds=corpus.seconds),
            engine=settings.engine,
            shared=(*seen_of(corpus), *models),
        )
        pooled = pooled_features(session, corpus, rates, settings.compare)
        inputs = {rate.gpt: rate.bag for rate in rates} if settings.compare.input else {}
        methods = probe_methods(session, corpus, settings.probe, pooled, pooled, inputs=inputs)
        entry = collect_probes(session, corpus, settings.probe, methods)
    if gang.rank:
        return
    measured = entry.read_json(PROBE)
    per_fold = {("test", settings.probe.seed): measured}
    compared = compare(ProbedFolds(probes=per_fold, by="split", config=settings.probe))
    print_methods(compared)
    for sentence in sentences("gap", compared):
        terminal.say(f"probe     {sentence}")
    if compared.single_group:
        terminal.say(f"probe     {compared.single_group}")
    name = re.sub(r"[^\w.-]+", "_", corpus.name).strip("_.") or "corpus"
    # one file for each corpus and set of options
    path = settings.output or settings.model / PROBES / f"{name}_{entry.key[:8]}.json"
    predictions, separator = path.with_suffix(f".{PREDICTIONS}"), settings.probe.label_separator
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, measured)
        write_aside(path.with_suffix(".md"), as_markdown(compared))
        write_predictions(predictions, per_fold, corpus, by="split", separator=separator)
    except OSError as error:
        if settings.output is not None or error.errno not in NO_PERMISSION:
            raise
        return terminal.say(
            f"the figures are not saved, since {path.parent} cannot be written; choose output=FILE.json"
        )
    terminal.say(f"figures: {path}, and as a table: {path.with_suffix('.md')}; predictions: {predictions}")


def pooled_features(
    session: Session, manifest: Clips, rates: Sequence[RateModels], reading: ReadingConfig
) -> dict[str, Entry]:
    """Pool the representations of all clips, averaged over their views, by method; codes and states of each rate."""
    finest = rates[-1].tokenizer
    config = Tokenizer.from_pretrained(finest.folder).config
    read = ClipReading(session=session, manifest=manifest, audio=config.audio, vectors=reading.vectors)
    made = {LOG_MEL.name: log_mel_features(read, finest)}
    if config.speech_layer is None:  # a speech model has no bottleneck
        made[BOTTLENECK.name] = bottleneck_features(read, finest, finest.key)
    coarser: list[CodedViews] = []
    for rate in rates:
        own: CodesOfViews
        joined: CodesOfViews
        if reading.assignments == "soft":  # of one rate
            own = joined = SoftlyCodedViews(reading=read, tokenizer=rate.tokenizer)
        else:
            own = hard = read.coded_in(rate.tokenizer, codes(session, manifest, rate.tokenizer))
            joined = replace(hard, coarser=tuple(coarser))
            coarser.append(hard)
        made[rate.bag] = code_features(session, own, of=rate.bag)
        made[rate.gpt] = gpt_features(session, joined, rate.model, states=reading.states, of=rate.gpt)
    return made


def models_of_run(folder: Path, reading: ReadingConfig) -> list[RateModels]:
    """Return tokenizer and language model of each rate of a run, coarse to fine; most runs have one."""
    tokenizer, model = part_of(folder, "tokenizer"), part_of(folder, "lm")
    loaded, language_model = Tokenizer.from_pretrained(tokenizer), LanguageModel.from_pretrained(model)
    codes_format = loaded.format
    rule = "a speech model makes the codes of this run, and other hearings are spectrograms: choose 1"
    works = loaded.finest.speech_layer is None or reading.hearings == 1
    require(works, "compare.hearings", reading.hearings, rule)
    rule = "codes at several rates and codes of a speech model are hard: choose hard"
    works = reading.assignments == "hard" or (loaded.finest.speech_layer is None and not codes_format.rates)
    require(works, "compare.assignments", reading.assignments, rule)
    require_same_codebook(language_model.format, codes_format, owner=language_model.name)
    if not codes_format.rates:
        return [_rate(tokenizer, model, codes_format, bag=BAG_OF_CODES, gpt=GPT)]
    methods = zip(codes_format.formats, BAGS, STATES, strict=False)  # methods of more rates than there are
    return [
        _rate(rate_folder(tokenizer, number), rate_folder(model, number), own, bag=bag.name, gpt=gpt.name)
        for number, (own, bag, gpt) in enumerate(methods, 1)
    ]


def _rate(tokenizer: Path, model: Path, codes_format: CodesFormat, *, bag: str, gpt: str) -> RateModels:
    """Return the models of one rate as entries; their keys are fingerprints of their content."""
    weights = file_hash(model / "model.safetensors")[:16]
    return RateModels(
        tokenizer=Entry(stage="tokenizer", key=codes_format.codebook, place=tokenizer, reused=True),
        model=Entry(stage="lm", key=weights, place=model, reused=True),
        bag=bag,
        gpt=gpt,
    )
