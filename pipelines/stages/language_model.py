"""Training of the language model on the codes of the training clips; the weights of the best validation are kept.

With ``lm.start`` it begins with the weights of an earlier run, and its key has their hash, not their place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lm.gpt import GPTConfig
from lm.language_tests import perplexities
from lm.model import LanguageModel
from lm.tokens import BatchConfig, CodeSequences, TrainingBatches, fitting_batches, loss, validation_batches
from pipelines.stages.stage_options import LanguageModelSettings
from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.start_models import LM, TOKENS, require_equal, start_folder, undamaged
from pipelines.store.store import CachedArtifact, other_options, write_json
from tokenizer.codes import Codes, join_rates
from tokenizer.parquet import read_codes
from wordless.base.arrays import IndexArray
from wordless.base.files import find_object
from wordless.base.messages import InputError, counted, written
from wordless.base.options import build
from wordless.base.saved_models import CONFIG, HASH, LANGUAGE_MODEL
from wordless.training import Examples

PERPLEXITY = "perplexity.json"


@dataclass(frozen=True, kw_only=True)
class CodesAndViews:
    """The codes of some clips at one rate."""

    codes: CachedArtifact
    views: CachedArtifact | None  # of the training clips


Sources = Sequence[CodesAndViews]  # the corpus, then each source of clips without labels, which are all for training


def gpt_hash(start: str) -> str:
    """Return the hash of the weights of ``lm.start``, as its config names it; loading checks it."""
    path = start_folder(start, LANGUAGE_MODEL, option=LM) / CONFIG
    if not isinstance(found := (find_object(path) or {}).get(HASH), str):
        raise InputError(f"{LM}={start}: {path} is damaged: {HASH} is {written(found)}; copy it again from its run")
    return found


def require_same_gpt(start: str, wanted: GPTConfig, *, codebook_size: int) -> None:
    """Refuse a language model of another architecture, or of a codebook of another size than that of the run."""
    folder = start_folder(start, LANGUAGE_MODEL, option=LM)
    content = find_object(folder / CONFIG) or {}
    gpt, codes = content.get("gpt"), content.get("codes")
    with undamaged(LM, start, folder):
        found = build(GPTConfig, gpt if isinstance(gpt, dict) else {}, name="lm.gpt")
    values = {f"lm.gpt.{name}": (value, found.architecture[name]) for name, value in wanted.architecture.items()}
    if isinstance(codes, dict) and isinstance(size := codes.get("codebook_size"), int):
        values["tokenizer.codebook_size"] = codebook_size, size
    require_equal(LM, start, values)


def language_model(session: Session, rates: Sequence[Sources], settings: LanguageModelSettings) -> CachedArtifact:
    """Train a GPT on codes of one rate; of several ``rates``, coarse to fine, an upsampler to the last."""
    name, start = ("lm", settings.start) if len(rates) == 1 else ("upsampler", None)
    return _trained(session, name, rates, settings, start)


@stage(
    "{name}",
    title="GPT, {settings.fit.summary}",
    # The artifacts in `rates` say what the views are, and a hash which weights the training begins with.
    keys={
        "settings": lambda settings: other_options(settings, "views", "start"),
        "start": lambda start: start and gpt_hash(start),
    },
    together=True,
)
def _trained(
    run: StageRun, name: str, rates: Sequence[Sources], settings: LanguageModelSettings, start: str | None
) -> None:
    """Train on the training clips in all their views and on clips without labels; validation uses only the corpus."""
    corpus, *unlabelled = zip(*rates, strict=True)  # the rates of each source
    own, validation = _joined_views(corpus)
    train = [*own, *(views for source in unlabelled for views in _joined_views(source)[0])]
    codes_format, seed = own[0][0].format, settings.fit.seed
    model = LanguageModel.create(settings.gpt, codes_format, seed=seed, look_ahead=settings.look_ahead)
    if start is not None:
        begin_at(model, start)
    gpt = model.gpt
    sequences = CodeSequences(views=[[model.rows(codes) for codes in views] for views in train])
    sizes = fitting_batches(
        settings.batches,
        sequences,
        gpt.capacity,
        batch_tokens=settings.batch_tokens,
        positions_per_step=settings.gpt.positions_per_step(gpt.vocabulary.streams),
        least=settings.fit.accumulation,
        processes=run.gang.size,
    )
    batches = TrainingBatches(sequences, gpt.vocabulary, sizes, capacity=gpt.capacity)
    seconds = sum(views[0].num_samples for views in train) / codes_format.sample_rate
    for notice in batches_notices(settings, sizes, sequences.lengths, gpt.capacity, hours=seconds / 3600):
        run.terminal.say(f"  {notice}")
    windows = -(-sequences.lengths // gpt.capacity)  # of each clip in an epoch
    steps = np.average(np.minimum(sequences.lengths, gpt.capacity), weights=windows)
    examples = Examples(
        batch_size=sizes.batch_size,
        seconds=float(steps) * seconds / int(sequences.lengths.sum()),
        hours=seconds / 3600,
    )
    held_out = validation_batches(
        CodeSequences(views=[[model.rows(codes)] for codes in validation]),
        gpt.vocabulary,
        batch_size=32,
        capacity=gpt.capacity,
        at_most=settings.validation_windows,
    )
    run.fit("lm.fit", gpt, batches, [*held_out], loss, settings.fit, examples)
    if run.gang.rank == 0:
        plain = [views[0] for views in own]
        errors = model.fit_side_streams(plain, validation)
        model.save_pretrained(run.folder)
        write_json(run.folder / PERPLEXITY, perplexities(model, plain, validation) | errors)


MEASURED_HOURS = 8  # the most hours of recordings of GPTs of the default size whose figures are in the docs


def batches_notices(
    settings: LanguageModelSettings, sizes: BatchConfig, lengths: IndexArray, capacity: int, *, hours: float
) -> Iterator[str]:
    """Say what a user may not expect: smaller batches than asked for, clips that are cut, and a GPT that is small."""
    wanted, longer = settings.batches.batch_size, int((lengths > capacity).sum())
    if sizes.batch_size != wanted:
        positions = f"lm.batch_tokens={settings.batch_tokens} positions"
        yield f"lm.batches.batch_size={wanted} is {sizes.batch_size} here, so that a step has about {positions}"
    if longer:
        clips = f"{longer:,} of {counted(len(lengths), 'training clip')}"
        verb = "is" if longer == 1 else "are"
        yield f"{clips} {verb} longer than the context of {capacity} codes, and read in random windows of this length"
    if hours > MEASURED_HOURS and settings.gpt.model_dim <= GPTConfig().model_dim:
        measured = f"this size was measured up to {MEASURED_HOURS} hours"
        yield f"a larger GPT (lm=medium) may learn more from {hours:.0f} hours; {measured}"


def begin_at(model: LanguageModel, start: str) -> None:
    """Give an untrained model the weights of another one, which must be of the same codebook."""
    other = LanguageModel.from_pretrained(start_folder(start, LANGUAGE_MODEL, option=LM))
    if other.format.codebook != model.format.codebook:
        raise InputError(
            f"{LM}={start} belongs to codebook {other.format.codebook}, and the codes of this run to codebook "
            f"{model.format.codebook}: use the tokenizer of that model, {TOKENS}={start}"
        )
    model.gpt.load_state_dict(other.gpt.state_dict())
    model.began_at = gpt_hash(start)


def _joined_views(rates: Sequence[CodesAndViews]) -> tuple[list[list[Codes]], list[Codes]]:
    """Read all views of each training clip, the plain one first, and the validation clips, with the codes of all rates.

    Clips without a code are left out.
    """
    train, validation = zip(*map(_read_views, rates), strict=True)
    views = [[join_rates(parts) for parts in zip(*each, strict=True)] for each in zip(*train, strict=True)]
    return views, [join_rates(parts) for parts in zip(*validation, strict=True)]


def _read_views(clips: CodesAndViews) -> tuple[list[list[Codes]], list[Codes]]:
    views: dict[str, list[Codes]] = {}
    validation: list[Codes] = []
    for clip in read_codes(clips.codes.folder)[1]:
        if len(clip.codes.values) and clip.split == "train":
            views[clip.name] = [clip.codes]
        elif len(clip.codes.values) and clip.split == "validation":
            validation.append(clip.codes)
    for other in read_codes(clips.views.folder)[1] if clips.views else ():
        if len(other.codes.values) and other.name in views:
            views[other.name].append(other.codes)
    return list(views.values()), validation


@stage("rate_lm", title="language models of {models} rates")
def rate_language_model(run: StageRun, models: Sequence[CachedArtifact]) -> None:
    """Write the language models of all rates, coarse to fine, as one folder."""
    LanguageModel.of_rates([LanguageModel.from_pretrained(each.folder) for each in models]).save_pretrained(run.folder)
