"""Training of the language models of several rates: a GPT over the coarsest codes, and an upsampler for each finer one.

An upsampler is trained on the same clips and views as the GPT. At each position of its rate it reads the codes of all
coarser rates that cover this position, as `lm.tokens` draws it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lm.model import LanguageModel
from pipelines.rates.codebooks import Codebook
from pipelines.stages.codes import codes, views
from pipelines.stages.language_model import (
    FILES,
    CodedCorpus,
    TrainingClips,
    config_of,
    inputs_of,
    language_model,
    read_views,
    train_model,
)
from pipelines.stages.options import LanguageModelSettings
from pipelines.store.session import Session
from pipelines.store.store import MODEL, Entry, Recipe
from tokenizer.codes import Codes, join_rates
from tokenizer.options import ViewsConfig
from wordless.audio.recordings.manifest import Manifest
from wordless.base.saved_models import rate_folder


@dataclass(frozen=True, kw_only=True)
class RateCorpora:
    """The codes of one rate."""

    own: CodedCorpus
    unlabelled: tuple[CodedCorpus, ...]  # of each source of clips without labels


@dataclass(frozen=True, kw_only=True)
class RateModels:
    """The language models of several rates."""

    corpora: tuple[RateCorpora, ...]  # of each rate, coarse to fine
    models: tuple[Entry, ...]  # of each rate
    together: Entry  # a folder for `LanguageModel`


def rate_corpora(
    session: Session,
    manifest: Manifest,
    codebooks: Sequence[Codebook],
    unlabelled: Sequence[Manifest],
    config: ViewsConfig,
) -> list[RateCorpora]:
    """Encode the views of the training clips and the clips of each unlabelled source at each rate, coarse to fine."""
    made, coarsest = [], codebooks[0].patch_frames
    for each in codebooks:
        coded = partial(views, session, tokenizer_entry=each.tokenizer, config=config, patch_frames=each.patch_frames)
        own = CodedCorpus(codes=each.codes, views=coded(manifest=manifest, coarsest=coarsest))
        others = (
            CodedCorpus(codes=codes(session, other, each.tokenizer), views=coded(manifest=other, coarsest=coarsest))
            for other in unlabelled
        )
        made.append(RateCorpora(own=own, unlabelled=tuple(others)))
    return made


def rate_models(session: Session, corpora: Sequence[RateCorpora], settings: LanguageModelSettings) -> RateModels:
    """Train the model of each rate, coarse to fine; the layers of ``settings`` are divided among them."""
    first, *finer = settings.divided(len(corpora))
    coarsest = corpora[0]
    models = [language_model(session.at_rate(1), coarsest.own, first, unlabelled=coarsest.unlabelled)]
    models += [upsampler(session.at_rate(number), corpora[:number], own) for number, own in enumerate(finer, 2)]
    return RateModels(corpora=tuple(corpora), models=tuple(models), together=_together(session, models))


def upsampler(session: Session, corpora: Sequence[RateCorpora], settings: LanguageModelSettings) -> Entry:
    """Train a model of the last of some rates that reads the codes of the others; the entry is its folder."""
    config = {"lm": {**config_of(settings), "look_ahead": settings.look_ahead}}
    inputs = {
        f"{name} of rate {number}": read
        for number, each in enumerate(corpora, 1)
        for name, read in inputs_of(each.own, each.unlabelled).items()
    }
    recipe = Recipe("upsampler", 1, config=config, inputs=inputs)

    def make(folder: Path) -> None:
        clips = joined_views([each.own for each in corpora])
        sources = zip(*(each.unlabelled for each in corpora), strict=True)
        more = [each for source in sources for each in joined_views(source).train]
        codes_format = clips.train[0][0].format
        model = LanguageModel.create(settings.gpt, codes_format, seed=settings.fit.seed, look_ahead=settings.look_ahead)
        train_model(session, folder, model, clips, settings, more=more, stage=recipe.stage)

    return session.obtain(
        recipe, f"upsampler to rate {len(corpora)}, {settings.fit.summary}", make, files=FILES, together=True
    )


def joined_views(rates: Sequence[CodedCorpus]) -> TrainingClips:
    """Read the codes of each clip and view at all rates."""
    clips = [read_views(each) for each in rates]
    return TrainingClips(
        train=[_joined(views) for views in zip(*(each.train for each in clips), strict=True)],
        validation=_joined([each.validation for each in clips]),
    )


def _joined(rates: Sequence[Sequence[Codes]]) -> list[Codes]:
    """Join the codes of some recordings at each rate."""
    return [join_rates(parts) for parts in zip(*rates, strict=True)]


def _together(session: Session, models: Sequence[Entry]) -> Entry:
    """Write the models of all rates as one folder for `LanguageModel`."""
    folders = [rate_folder(Path(), number) for number in range(1, len(models) + 1)]
    inputs = {str(folder): entry for folder, entry in zip(folders, models, strict=True)}
    recipe = Recipe("rate_lm", 1, config={}, inputs=inputs)

    def make(folder: Path) -> None:
        LanguageModel.of_rates([LanguageModel.from_pretrained(entry.folder) for entry in models]).save_pretrained(
            folder
        )

    files = ["README.md", "config.json", *(str(folder / name) for folder in folders for name in MODEL)]
    return session.obtain(recipe, f"language models of {len(models)} rates", make, files=files)
