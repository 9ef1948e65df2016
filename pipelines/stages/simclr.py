"""SimCLR: training of the convolutional encoder of spectrograms without labels."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from lm.bodies.augmentation import augment
from lm.bodies.clips import ClipViews
from lm.bodies.convolutional import PairBatches, create_simclr, pair_loss, validation_pairs
from pipelines.stages.options import BaselineSettings
from pipelines.stages.stored_arrays import TRAINED_ON, stored_spectrograms, stored_std
from pipelines.store.session import Session
from pipelines.store.store import TRAINED, Entry, Recipe, some_options
from wordless.base.saved_models import write_model


def simclr(session: Session, spectrograms: Entry, extra: Sequence[Entry], settings: BaselineSettings) -> Entry:
    """Train SimCLR on the training clips and on each ``extra`` source of clips; the entry holds its weights."""
    own = settings.simclr
    config = {"baselines": some_options(settings, "encoder", "simclr")}
    recipe = Recipe("simclr", 4, config=config, inputs={"spectrograms": spectrograms, "unlabelled": extra})

    def make(folder: Path) -> None:
        train, held_out = (stored_spectrograms(spectrograms, split)[0] for split in TRAINED_ON)
        for source in extra:
            train = train.followed_by(stored_spectrograms(source, "train")[0])
        make_view = partial(augment, config=own.augmentation, std=stored_std(spectrograms))
        temperature = own.contrast.temperature
        views = ClipViews(train, own.batches, make_view, device=session.gang.device)
        batches = PairBatches(views=views, temperature=temperature)
        pairs = validation_pairs(held_out, own.batches, make_view, temperature=temperature)
        model = create_simclr(settings.encoder, own.contrast, seed=own.fit.seed)
        session.train("simclr", "baselines.simclr.fit", model, batches, pairs, pair_loss, own.fit, folder)
        if session.gang.rank == 0:
            write_model(folder, model, {"encoder": asdict(settings.encoder), "contrast": asdict(own.contrast)})

    return session.obtain(recipe, f"SimCLR, {own.fit.summary}", make, files=TRAINED, together=True)
