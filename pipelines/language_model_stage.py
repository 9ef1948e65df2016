"""Codes -> language model: a GPT trained on the training clips, its weights kept where validation was best."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from lm.batches import BatchConfig, TrainingBatches, loss, validation_batches
from lm.gpt import GPTConfig
from lm.model import LanguageModel
from lm.perplexity import bits_per_second, unigram_perplexity
from lm.sequences import CodeSequences
from pipelines.fit import FitConfig
from pipelines.session import Session
from pipelines.store import Entry, Recipe, write_json
from pipelines.training_curve import numeric
from tokenizer.codes import Codes, CodesFormat
from tokenizer.parquet import CodedClip, read_codes


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings:
    """Options of the language model's stage."""

    all_offsets: (
        bool  # let the GPT also see training clips cut into patches from each other frame: more data, same sound
    )
    gpt: GPTConfig
    batches: BatchConfig
    fit: FitConfig


def language_model(session: Session, codes_entry: Entry, settings: LanguageModelSettings) -> Entry:
    """Train a GPT on the codes of the training clips; the entry is a language model folder."""
    recipe = Recipe(
        stage="lm",
        version=1,
        config={"gpt": asdict(settings.gpt), "batches": asdict(settings.batches), "fit": numeric(settings.fit)},
        inputs={"codes": codes_entry.key},
    )

    def make(folder: Path) -> None:
        codes_format, clips = read_codes(codes_entry.folder)
        train, validation = _views(clips)
        model = LanguageModel.create(settings.gpt, codes_format, seed=settings.fit.seed)
        capacity, vocabulary = model.gpt.capacity, model.gpt.vocabulary
        sequences = CodeSequences.of([[codes.values for codes in views] for views in train])
        held_out = validation_batches(
            CodeSequences.of([codes.values] for codes in validation), vocabulary, batch_size=32, capacity=capacity
        )
        session.train(
            "language model",
            model.gpt,
            TrainingBatches(sequences, vocabulary, settings.batches, capacity=capacity),
            held_out,
            loss,
            settings.fit,
            folder,
        )
        if session.gang.rank == 0:
            model.save_pretrained(folder)
            write_json(folder / "perplexity.json", _perplexities(model, train, validation, codes_format))

    return session.obtain(recipe, f"GPT, {settings.fit.steps} steps", make, together=True)


def _views(clips: Iterable[CodedClip]) -> tuple[list[list[Codes]], list[Codes]]:
    """All views of each training clip, the plain one first; and the validation clips. Clips of no code are left out."""
    heard = (clip for clip in clips if len(clip.codes.values))
    views = [
        (rows[0].split, [row.codes for row in rows])
        for _, rows in ((path, list(rows)) for path, rows in groupby(heard, lambda clip: clip.path))
    ]
    train = [codes for split, codes in views if split == "train"]
    return train, [codes[0] for split, codes in views if split == "validation"]


def _perplexities(
    model: LanguageModel, train: list[list[Codes]], validation: list[Codes], codes_format: CodesFormat
) -> dict[str, float]:
    nats = model.nats_per_code(validation)
    return {
        "perplexity": math.exp(nats),
        "unigram_perplexity": unigram_perplexity([views[0] for views in train], validation),
        "bits_per_second": bits_per_second(nats, codes_format),
    }
