"""The codebook and the language model of each rate; most runs have one rate.

The codebook of a rate is made by the stages of a run that has this rate alone, so the store shares its entries with
such a run. Of several rates, a GPT models the coarsest codes, and an upsampler each finer rate. An upsampler is trained
on the same clips and views as the GPT. At each position of its rate it reads the codes of all coarser rates that cover
this position, as `lm.tokens` draws it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from lm.model import LanguageModel
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
from pipelines.stages.options import LanguageModelSettings, TokenizerSettings
from pipelines.stages.speech_layer import state_decoder, state_sample
from pipelines.stages.tokenizer import (
    autoencoder,
    codebook,
    frame_sample,
    health,
    input_sample,
    pitches,
    started_tokenizer,
)
from pipelines.store.session import Session
from pipelines.store.store import MODEL, Entry, Recipe
from tokenizer.codes import Codes, join_rates
from tokenizer.options import ViewsConfig
from tokenizer.rates import Savable
from tokenizer.speech_layer import ChosenLayer
from tokenizer.tokenizer import Tokenizer
from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.manifest import Manifest
from wordless.base.saved_models import rate_folder


@dataclass(frozen=True, kw_only=True)
class Codebook:
    """The entries of one rate."""

    patch_frames: int
    sample: Entry
    inputs: Entry | None  # the same columns in other dynamic ranges
    autoencoder: Entry  # of a tokenizer that was not trained here, the tokenizer itself
    tokenizer: Entry
    codes: Entry
    health: Entry

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries in the order of the data."""
        found = (getattr(self, field.name) for field in fields(self))
        return tuple(entry for entry in found if isinstance(entry, Entry))


def make_codebook(
    session: Session,
    manifest: Manifest,
    audio: SpectrogramConfig,
    settings: TokenizerSettings,
    layer: ChosenLayer | None = None,
    *,
    seed: int,
) -> Codebook:
    """Train the autoencoder and the codebook of one rate, encode the corpus, and measure the codebook's health.

    With the ``layer`` of a speech model, codes are clusters of its states, whose decoder is trained. With
    ``settings.start`` the tokenizer of an earlier run is used as it is, and the sample has only the statistics of
    frames, which other networks read.
    """
    inputs = None
    pitched = pitches(session, manifest, audio, settings) if settings.pitch.levels and settings.start is None else None
    if settings.start is not None:
        sample = frame_sample(session, manifest, audio, settings)
        trained = tokens = started_tokenizer(session, settings.start)
    elif layer is None:
        sample = frame_sample(session, manifest, audio, settings)
        inputs = input_sample(session, manifest, audio, settings)
        trained = autoencoder(session, sample, audio, settings, inputs)
        tokens = codebook(session, sample, trained, audio, settings, layer, pitched)
    else:
        sample = state_sample(session, manifest, audio, settings, layer)
        trained = state_decoder(session, sample, audio, settings, layer)
        tokens = codebook(session, sample, trained, audio, settings, layer, pitched)
    coded = codes(session, manifest, tokens)
    healthy = health(session, manifest, tokens, coded, settings.health, seed=seed)
    return Codebook(
        patch_frames=settings.patch.frames,
        sample=sample,
        inputs=inputs,
        autoencoder=trained,
        tokenizer=tokens,
        codes=coded,
        health=healthy,
    )


def rate_tokenizer(session: Session, tokenizers: Sequence[Entry]) -> Entry:
    """Write the tokenizers of all rates, coarse to fine, as one folder."""

    def read(folders: Sequence[Path]) -> Tokenizer:
        return Tokenizer.of_rates([Tokenizer.from_pretrained(folder) for folder in folders])

    return _together(session, "rate_tokenizer", tokenizers, read, "tokenizers")


def _together(
    session: Session, stage: str, entries: Sequence[Entry], read: Callable[[Sequence[Path]], Savable], title: str
) -> Entry:
    """Write the models of all rates, coarse to fine, as one folder."""
    folders = [rate_folder(Path(), number) for number in range(1, len(entries) + 1)]
    inputs = {str(folder): entry for folder, entry in zip(folders, entries, strict=True)}

    def make(folder: Path) -> None:
        read([entry.folder for entry in entries]).save_pretrained(folder)

    files = ["README.md", "config.json", *(str(folder / name) for folder in folders for name in MODEL)]
    recipe = Recipe(stage, 1, config={}, inputs=inputs)
    return session.obtain(recipe, f"{title} of {len(entries)} rates", make, files=files)


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
    return RateModels(
        corpora=tuple(corpora),
        models=tuple(models),
        together=_together(session, "rate_lm", models, _read_language_models, "language models"),
    )


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


def _read_language_models(folders: Sequence[Path]) -> LanguageModel:
    return LanguageModel.of_rates([LanguageModel.from_pretrained(folder) for folder in folders])
