"""Training of the language model on the codes of the training clips; the weights of the best validation are kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from foundation.ranges import require, require_least
from lm.batches import MIN_PAIRS, BatchConfig, TokenBatch, TrainingBatches, fitting_batches, loss, validation_batches
from lm.contrast import ContrastConfig
from lm.contrasted_gpt import ContrastedLoss, create_contrasted
from lm.gpt import GPT, GPTConfig
from lm.model import LanguageModel
from lm.perplexity import perplexities
from lm.sequences import CodeSequences
from pipelines.store.session import Session
from pipelines.store.store import MODEL, Entry, Recipe, write_json
from pipelines.store.training_curve import CURVE, numeric
from tokenizer.codes import Codes
from tokenizer.parquet import read_codes
from tokenizer.views import ViewsConfig
from training.fit import LossFunction
from training.state import FitConfig

PERPLEXITY = "perplexity.json"


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings:
    """Options of the language model's stage."""

    batch_tokens: int  # positions per step: limits the number of windows when they are long
    views: ViewsConfig  # augmented views of the training clips
    validation_windows: int  # for the training curve, at most, evenly spaced; the final perplexity uses all
    contrast_weight: float  # weight of NT-Xent per view relative to nats per code; 0: no contrastive loss
    contrast: ContrastConfig  # of the contrastive loss between two views of each clip
    gpt: GPTConfig
    batches: BatchConfig
    fit: FitConfig

    def __post_init__(self) -> None:
        require_least(self, "lm", "batch_tokens", "validation_windows", least=1)
        require(self.contrast_weight >= 0, "lm.contrast_weight", self.contrast_weight, "choose 0 (no contrast) or more")

    @property
    def contrasts(self) -> bool:
        """Whether views of a clip are contrasted; two windows of a step are then views of one clip."""
        return self.contrast_weight > 0

    @property
    def least_windows(self) -> int:
        """Smallest number of windows per process and step: some for each accumulation step."""
        return self.fit.accumulation * (2 * MIN_PAIRS if self.contrasts else 1)

    def fitting(self, sequences: CodeSequences, capacity: int, *, processes: int) -> BatchConfig:
        """Limit the batch size to about ``batch_tokens`` positions; see `lm.batches.fitting_batches`."""
        return fitting_batches(
            self.batches,
            sequences,
            capacity,
            batch_tokens=self.batch_tokens,
            positions_per_step=self.gpt.positions_per_step(sequences.values.shape[1]),
            least=self.least_windows,
            processes=processes,
            paired=self.contrasts,
        )


@dataclass(frozen=True, kw_only=True)
class CodedCorpus:
    """The codes of a corpus."""

    codes: Entry
    views: Entry | None  # of the training clips


def language_model(
    session: Session, corpus: CodedCorpus, settings: LanguageModelSettings, *, unlabelled: Sequence[CodedCorpus] = ()
) -> Entry:
    """Train a GPT on the codes of the training clips, in all their views; the entry is a language model folder.

    The codes of each source of ``unlabelled`` clips are used for training as well; validation uses only the corpus.
    """
    fit = settings.fit
    inputs = _inputs("", corpus)
    for place, source in enumerate(unlabelled):
        inputs |= _inputs(unlabelled_prefix(place), source)
    recipe = Recipe("lm", 1, config=_config(settings), inputs=inputs)

    def make(folder: Path) -> None:
        train, validation = _views(corpus)
        more = [views for source in unlabelled for views in _views(source)[0]]
        model = LanguageModel.create(settings.gpt, read_codes(corpus.codes.folder)[0], seed=fit.seed)
        batches = _training_batches(model.gpt, [*train, *more], settings, processes=session.gang.size)
        held_out = _validation_batches(model.gpt, validation, settings)
        trained, objective = _objective(model.gpt, settings)
        session.train("lm", "lm.fit", trained, batches, held_out, objective, fit, folder)
        if session.gang.rank == 0:
            model.save_pretrained(folder)
            write_json(folder / PERPLEXITY, perplexities(model, [views[0] for views in train], validation))

    return session.obtain(recipe, f"GPT, {fit.steps} steps", make, files=[*MODEL, CURVE, PERPLEXITY], together=True)


def unlabelled_prefix(place: int) -> str:
    """Return the prefix of names of the unlabelled source at a place, from 0; the first source has no number."""
    return f"unlabelled_{place + 1}_" if place else "unlabelled_"


def _config(settings: LanguageModelSettings) -> dict[str, object]:
    """Return the options that decide the weights."""
    parts = {"gpt": asdict(settings.gpt), "batches": asdict(settings.batches), "fit": numeric(settings.fit)}
    if settings.contrasts:  # entries without the contrastive loss keep their key
        parts["contrast"] = {**asdict(settings.contrast), "weight": settings.contrast_weight}
    return {**parts, "batch_tokens": settings.batch_tokens, "validation_windows": settings.validation_windows}


def _inputs(prefix: str, corpus: CodedCorpus) -> dict[str, str]:
    return {f"{prefix}codes": corpus.codes.key, f"{prefix}views": corpus.views.key if corpus.views else ""}


def _views(corpus: CodedCorpus) -> tuple[list[list[Codes]], list[Codes]]:
    """Read all views of each training clip, the plain one first, and the validation clips; both without empty clips."""
    clips = [clip for clip in read_codes(corpus.codes.folder)[1] if len(clip.codes.values)]
    views = {clip.name: [clip.codes] for clip in clips if clip.split == "train"}
    for other in read_codes(corpus.views.folder)[1] if corpus.views else ():
        if len(other.codes.values) and other.name in views:
            views[other.name].append(other.codes)
    return list(views.values()), [clip.codes for clip in clips if clip.split == "validation"]


def _training_batches(
    gpt: GPT, clips: Sequence[Sequence[Codes]], settings: LanguageModelSettings, *, processes: int
) -> TrainingBatches:
    sequences = CodeSequences.of([[codes.values for codes in views] for views in clips])
    fitting = settings.fitting(sequences, gpt.capacity, processes=processes)
    return TrainingBatches(sequences, gpt.vocabulary, fitting, capacity=gpt.capacity, paired=settings.contrasts)


def _validation_batches(gpt: GPT, clips: Sequence[Codes], settings: LanguageModelSettings) -> list[TokenBatch]:
    sequences, windows = CodeSequences.of([codes.values] for codes in clips), settings.validation_windows
    batches = validation_batches(sequences, gpt.vocabulary, batch_size=32, capacity=gpt.capacity, at_most=windows)
    return list(batches)


def _objective(gpt: GPT, settings: LanguageModelSettings) -> tuple[nn.Module, LossFunction[TokenBatch]]:
    """Return the trained module around the GPT, and its loss."""
    if not settings.contrasts:
        return gpt, loss
    objective = ContrastedLoss(weight=settings.contrast_weight, temperature=settings.contrast.temperature)
    return create_contrasted(gpt, settings.contrast, seed=settings.fit.seed), objective
