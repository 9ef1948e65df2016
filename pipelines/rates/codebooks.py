"""The codebook of each rate: patches of some frames, their autoencoder, and the codes of the corpus.

Each rate is made by the stages of a run that has this rate alone, so the store shares its entries with such a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from pipelines.stages.codes import codes
from pipelines.stages.options import TokenizerSettings
from pipelines.stages.speech_layer import state_decoder, state_sample
from pipelines.stages.tokenizer import autoencoder, codebook, frame_sample, health, input_sample, started_tokenizer
from pipelines.store.session import Session
from pipelines.store.store import MODEL, Entry, Recipe
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
    if settings.start is not None:
        sample = frame_sample(session, manifest, audio, settings)
        trained = tokens = started_tokenizer(session, settings.start)
    elif layer is None:
        sample = frame_sample(session, manifest, audio, settings)
        inputs = input_sample(session, manifest, audio, settings)
        trained = autoencoder(session, sample, audio, settings, inputs)
        tokens = codebook(session, sample, trained, audio, settings, layer)
    else:
        sample = state_sample(session, manifest, audio, settings, layer)
        trained = state_decoder(session, sample, audio, settings, layer)
        tokens = codebook(session, sample, trained, audio, settings, layer)
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
    """Write the tokenizers of all rates, coarse to fine, as one folder for `Tokenizer`."""
    folders = [rate_folder(Path(), number) for number in range(1, len(tokenizers) + 1)]
    inputs = {str(folder): entry for folder, entry in zip(folders, tokenizers, strict=True)}
    recipe = Recipe("rate_tokenizer", 1, config={}, inputs=inputs)

    def make(folder: Path) -> None:
        Tokenizer.of_rates([Tokenizer.from_pretrained(entry.folder) for entry in tokenizers]).save_pretrained(folder)

    files = ["README.md", "config.json", *(str(folder / name) for folder in folders for name in MODEL)]
    return session.obtain(recipe, f"tokenizers of {len(tokenizers)} rates", make, files=files)
