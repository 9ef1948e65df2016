"""What the weights of a body know of the recordings before they are fine-tuned on them.

Weights know the training clips of the run that made them, which its ``manifest.tsv`` lists. Some bodies have learned
the labels of these clips, too; the others also know the clips of the run's ``unlabelled.tsv``.
"""

from pathlib import Path

from lm.bodies.body import Source
from pipelines.chain.corpus import MANIFEST
from pipelines.chain.unlabelled import unlabelled_of_run
from pipelines.finetuning.options import FinetuneSettings
from tokenizer.tokenizer import Tokenizer
from wordless.audio.decoding import Channel
from wordless.audio.recordings.manifest import Manifest, read_manifest
from wordless.audio.recordings.notices import overlap_notices, trained_on
from wordless.base.errors import InputError
from wordless.base.saved_models import CONFIG


def require_unseen_labels(settings: FinetuneSettings, source: Source, manifest: Manifest) -> tuple[str, ...]:
    """Refuse what labels that the weights have learned would make untrue; return notices, a sentence each.

    Raises:
        InputError: weights that learned labels have learned those of test clips, or those of training clips of which
            only a share has a label in the fine-tuning.
    """
    owner = _owner(settings, source)
    if owner is None:
        return _unknown(settings) if source.learned_labels else ()
    trained = read_manifest(owner / MANIFEST, manifest.root)
    if source.learned_labels:
        _require_unseen(settings, manifest, trained, owner)
    readers = f"the pre-trained weights of body={settings.body.name}"
    unlabelled = () if source.learned_labels else unlabelled_of_run(owner, manifest.root)
    return overlap_notices(manifest, trained, owner=owner, readers=readers, unlabelled=unlabelled)


def _owner(settings: FinetuneSettings, source: Source) -> Path | None:
    """Return the folder of the run that made what the body uses; None if there is no list of its recordings."""
    model, parts = settings.command.model, settings.body_options.needs(settings.body.weights)
    folder = model if parts else source.weights and source.weights.parent
    return folder if folder is not None and (folder / MANIFEST).is_file() else None


def _require_unseen(settings: FinetuneSettings, manifest: Manifest, trained: Manifest, owner: Path) -> None:
    """Refuse test clips, and shares of training clips, whose labels the weights have learned."""
    command, test, train = settings.command, manifest.of("test"), manifest.of("train")
    weights = f"the weights of body={settings.body.name}, which {owner} trained, learned the labels"
    if known := trained_on(test, trained.of("train")):
        raise InputError(
            f"{weights} of {known} of {len(test)} test clips: divide the recordings as that run did (corpus.split), "
            "name other recordings, or choose body.weights=none"
        )
    if command.shares[0] < 1 and (known := trained_on(train, trained.of("train"))):
        raise InputError(
            f"shares={list(command.shares)}, but {weights} of {known} of {len(train)} training clips, and with them "
            "more labels than the share: choose shares=[1.0], name other recordings, or choose body.weights=none"
        )


def _unknown(settings: FinetuneSettings) -> tuple[str, ...]:
    return (
        f"the weights of body={settings.body.name} learned labels, and no {MANIFEST} beside them lists the recordings: "
        "test clips and small shares of labels mean nothing if these recordings are among them",
    )


def channel_of(settings: FinetuneSettings, source: Source) -> Channel:
    """Return the channel of recordings that is read: the chosen one, or that of the run's tokenizer."""
    if settings.command.audio.channel is not None:
        return settings.command.audio.channel
    run = settings.command.model
    folders = [source.folder / "tokenizer", *([run / "tokenizer"] if run is not None else [])]
    tokenizer = next((folder for folder in folders if (folder / CONFIG).is_file()), None)
    return "mean" if tokenizer is None else Tokenizer.from_pretrained(tokenizer).front_end.channel
