"""The codebook and the language model of each rate; most runs have one rate.

The codebook of a rate is made by the stages of a run that has this rate alone, so the store shares its entries with
such a run. Of several rates, a GPT models the coarsest codes, and an upsampler each finer rate. An upsampler is trained
on the same clips and views as the GPT. At each position of its rate it reads the codes of all coarser rates that cover
this position, as `lm.tokens` draws it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from lm.model import LanguageModel
from pipelines.stages.codes import codes, views
from pipelines.stages.language_model import CodedClips, CodedCorpus, language_model
from pipelines.stages.options import LanguageModelSettings, TokenizerSettings
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
from tokenizer.options import ViewsConfig
from tokenizer.saved import Savable
from tokenizer.sources import ChosenLayer
from tokenizer.tokenizer import Tokenizer
from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.manifest import Manifest
from wordless.base.saved_models import rate_folder


@dataclass(frozen=True, kw_only=True)
class TokenizedCorpus:
    """The entries of one rate: those that make its tokenizer, the codes of the corpus, and the codebook's health."""

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


def tokenize_corpus(
    session: Session,
    manifest: Manifest,
    audio: SpectrogramConfig,
    settings: TokenizerSettings,
    layer: ChosenLayer | None = None,
    *,
    seed: int,
) -> TokenizedCorpus:
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
    else:
        sample = frame_sample(session, manifest, audio, settings, layer)
        inputs = input_sample(session, manifest, audio, settings) if layer is None else None
        trained = autoencoder(session, sample, audio, settings, inputs, layer)
        tokens = codebook(session, sample, trained, audio, settings, layer, pitched)
    coded = codes(session, manifest, tokens)
    healthy = health(session, manifest, tokens, coded, settings.health, seed=seed)
    return TokenizedCorpus(
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
class RateModels:
    """The language models of several rates."""

    coded: tuple[CodedClips, ...]  # of each rate, coarse to fine
    models: tuple[Entry, ...]  # of each rate
    together: Entry  # a folder for `LanguageModel`


def coded_clips(
    session: Session,
    manifest: Manifest,
    codebook: TokenizedCorpus,
    unlabelled: Sequence[Manifest],
    config: ViewsConfig,
    *,
    coarsest: int,
) -> CodedClips:
    """Encode the views of the training clips, and the clips of each unlabelled source with their views.

    The views are those of a tokenizer with ``coarsest`` frames per patch, the same at all rates.
    """

    def coded(clips: Manifest, own: Entry | None = None) -> CodedCorpus:
        tokens, frames = codebook.tokenizer, codebook.patch_frames
        own = own or codes(session, clips, tokens)
        return CodedCorpus(
            codes=own, views=views(session, clips, tokens, config, patch_frames=frames, coarsest=coarsest)
        )

    return CodedClips(own=coded(manifest, codebook.codes), unlabelled=tuple(map(coded, unlabelled)))


def rate_models(session: Session, coded: Sequence[CodedClips], settings: LanguageModelSettings) -> RateModels:
    """Train the model of each rate, coarse to fine; the layers of ``settings`` are divided among them."""
    models = [
        language_model(session.at_rate(number), coded[:number], own)
        for number, own in enumerate(settings.divided(len(coded)), 1)
    ]

    def read(folders: Sequence[Path]) -> LanguageModel:
        return LanguageModel.of_rates([LanguageModel.from_pretrained(folder) for folder in folders])

    together = _together(session, "rate_lm", models, read, "language models")
    return RateModels(coded=tuple(coded), models=tuple(models), together=together)
