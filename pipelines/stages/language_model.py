"""Training of the language model on the codes of the training clips; the weights of the best validation are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lm.batches import CodeSequences, TokenBatch, TrainingBatches, loss, validation_batches
from lm.judging.scores import perplexities
from lm.merges import Merges
from lm.model import LanguageModel
from pipelines.stages.options import LanguageModelSettings
from pipelines.stages.start import LM, TOKENS, gpt_hash, start_folder
from pipelines.store.session import Session
from pipelines.store.store import CURVE, MODEL, Entry, Recipe, other_options, write_json
from tokenizer.codes import Codes, CodesFormat
from tokenizer.parquet import read_codes
from wordless.base.errors import InputError
from wordless.base.saved_models import LANGUAGE_MODEL

MERGES, MERGES_FILE = "merges", "merges.json"
PERPLEXITY = "perplexity.json"
FILES = (*MODEL, CURVE, PERPLEXITY)


@dataclass(frozen=True, kw_only=True)
class CodedCorpus:
    """The codes of a corpus."""

    codes: Entry
    views: Entry | None  # of the training clips


def language_model(
    session: Session,
    corpus: CodedCorpus,
    settings: LanguageModelSettings,
    *,
    unlabelled: Sequence[CodedCorpus] = (),
    merges: Entry | None = None,
) -> Entry:
    """Train a GPT on the codes of the training clips, in all their views; the entry is a language model folder.

    The codes of each source of ``unlabelled`` clips are used for training as well; validation uses only the corpus.
    With ``merges``, an entry of `learn_merges`, the GPT reads runs of codes as one token.
    """
    fit = settings.fit
    start = None if settings.start is None else gpt_hash(settings.start)
    merged = {} if merges is None else {MERGES: merges}
    inputs = {**inputs_of(corpus, unlabelled), LM: start, **merged}
    recipe = Recipe("lm", 1, config={"lm": config_of(settings)}, inputs=inputs)

    def make(folder: Path) -> None:
        codes_format = read_codes(corpus.codes.folder)[0]
        joined = read_merges(merges, codes_format)
        model = LanguageModel.create(settings.gpt, codes_format, seed=fit.seed, merges=joined)
        if settings.start is not None:
            begin_at(model, settings.start)
        clips, more = read_views(corpus), [views for source in unlabelled for views in read_views(source).train]
        train_model(session, folder, model, clips, settings, more=more, stage=recipe.stage)

    return session.obtain(recipe, f"GPT, {fit.summary}", make, files=FILES, together=True)


def learn_merges(session: Session, codes: Entry, count: int) -> Entry:
    """Learn at most ``count`` merges of the codes of a corpus's training clips, without their other views.

    The entry has ``merges.json``: the size of the codebook, and the two tokens of each merge.
    """
    recipe = Recipe(MERGES, 1, config={"lm": {"bpe": count}}, inputs={"codes": codes})

    def make(folder: Path) -> None:
        codes_format, clips = read_codes(codes.folder)
        train = (clip.codes.values for clip in clips if clip.split == "train")
        write_json(folder / MERGES_FILE, Merges.learn(train, codes_format, count=count).as_dict())

    return session.obtain(recipe, f"BPE, at most {count} merges", make, files=[MERGES_FILE])


def read_merges(entry: Entry | None, codes_format: CodesFormat) -> Merges | None:
    """Read the merges of an entry of `learn_merges`; None if there are none."""
    pairs = [] if entry is None else entry.read_rows(MERGES_FILE, "merges")
    return Merges(pairs, codes_format) if pairs else None


def begin_at(model: LanguageModel, start: str) -> None:
    """Give an untrained model the weights of another one, which must be of the same codebook."""
    other = LanguageModel.from_pretrained(start_folder(start, LANGUAGE_MODEL, option=LM))
    if other.format.codebook != model.format.codebook:
        raise InputError(
            f"{LM}={start} belongs to codebook {other.format.codebook}, and the codes of this run to codebook "
            f"{model.format.codebook}, where the same numbers mean other sounds: use the tokenizer of that model, "
            f"{TOKENS}={start}, or repeat the options and recordings of its run"
        )
    if other.merges is not None:
        raise InputError(f"{LM}={start} reads merged codes; begin with a model that was trained with lm.bpe=null")
    model.gpt.load_state_dict(other.gpt.state_dict())
    model.began_at = gpt_hash(start)


def train_model(
    session: Session,
    folder: Path,
    model: LanguageModel,
    clips: "TrainingClips",
    settings: LanguageModelSettings,
    *,
    more: Sequence[Sequence[Codes]],
    stage: str,
) -> None:
    """Train a model on all views of the clips, and of ``more`` clips; write the model and its perplexities."""
    batches = _training_batches(model, [*clips.train, *more], settings, processes=session.gang.size)
    held_out = _validation_batches(model, clips.validation, settings)
    fit = settings.fit
    session.train(stage, "lm.fit", model.gpt, batches, held_out, loss, fit, folder, sharding=fit.sharding)
    if session.gang.rank == 0:
        model.save_pretrained(folder)
        write_json(folder / PERPLEXITY, perplexities(model, [views[0] for views in clips.train], clips.validation))


def unlabelled_prefix(place: int) -> str:
    """Return the prefix of names of the unlabelled source at a place, from 0; the first source has no number."""
    return f"unlabelled_{place + 1}_" if place else "unlabelled_"


def config_of(settings: LanguageModelSettings) -> dict[str, object]:
    """Return the options that decide the weights."""
    return other_options(settings, "views", "look_ahead", "start", "bpe")


def inputs_of(corpus: CodedCorpus, unlabelled: Sequence[CodedCorpus]) -> dict[str, object]:
    """Return the inputs of a recipe."""
    named = {"": corpus, **{unlabelled_prefix(place): source for place, source in enumerate(unlabelled)}}
    return {
        f"{prefix}{name}": entry
        for prefix, each in named.items()
        for name, entry in (("codes", each.codes), ("views", each.views))
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingClips:
    """The codes of the clips that a language model is trained on, and chosen by; none is empty."""

    train: Sequence[Sequence[Codes]]  # all views of each clip, the plain one first
    validation: Sequence[Codes]


def read_views(corpus: CodedCorpus) -> TrainingClips:
    """Read all views of the training clips, and the validation clips."""
    views: dict[str, list[Codes]] = {}
    validation: list[Codes] = []
    for clip in read_codes(corpus.codes.folder)[1]:
        if len(clip.codes.values) and clip.split == "train":
            views[clip.name] = [clip.codes]
        elif len(clip.codes.values) and clip.split == "validation":
            validation.append(clip.codes)
    for other in read_codes(corpus.views.folder)[1] if corpus.views else ():
        if len(other.codes.values) and other.name in views:
            views[other.name].append(other.codes)
    return TrainingClips(train=list(views.values()), validation=validation)


def _training_batches(
    model: LanguageModel, clips: Sequence[Sequence[Codes]], settings: LanguageModelSettings, *, processes: int
) -> TrainingBatches:
    gpt, sequences = model.gpt, CodeSequences.of([[model.reading(codes).steps for codes in views] for views in clips])
    fitting = settings.fitting(sequences, gpt.capacity, streams=gpt.vocabulary.streams, processes=processes)
    return TrainingBatches(sequences, gpt.vocabulary, fitting, capacity=gpt.capacity, lengths=model.token_lengths)


def _validation_batches(
    model: LanguageModel, clips: Sequence[Codes], settings: LanguageModelSettings
) -> list[TokenBatch]:
    gpt, windows = model.gpt, settings.validation_windows
    sequences = CodeSequences.of([model.reading(codes).steps] for codes in clips)
    batches = validation_batches(
        sequences,
        gpt.vocabulary,
        batch_size=32,
        capacity=gpt.capacity,
        at_most=windows,
        lengths=model.token_lengths,
    )
    return list(batches)
