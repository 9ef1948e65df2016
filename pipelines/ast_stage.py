"""Recordings -> AST: fine-tuned end to end on labelled clips, and its layers as representations to probe.

AST is the Audio Spectrogram Transformer (Gong, Chung and Glass, 2021, arXiv:2104.01778): as it comes, with the weights
of a local folder or random ones, and trained by the one training loop.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from audio.errors import InputError
from audio.files import file_hash
from audio.manifest import Clip, Manifest, Split, audio_hash
from audio.reading import read_blocks, resampled_length
from audio.waveform import FloatArray
from lm.baselines.ast_weights import AUDIOSET_STATISTICS, is_audio_model
from lm.baselines.augmentation import AugmentationConfig
from lm.baselines.filter_bank import (
    N_MELS,
    PATCH,
    SAMPLE_RATE,
    STRIDE,
    filter_bank_stream,
    frames_of,
    patches_of,
)
from lm.baselines.spectrogram_transformer import (
    AstClassifier,
    AstConfig,
    AstEncoder,
    create_ast,
    create_classifier,
    load_classifier,
    save_classifier,
    stored_filter_bank,
)
from lm.baselines.spectrograms import SpectrogramBatchConfig, Spectrograms
from lm.baselines.supervised import Label, LabelledBatches, class_scores, class_targets, loss, validation_clips
from lm.pooling import POOLINGS, RunningPool
from pipelines.encoding import encoding_pool, in_order
from pipelines.session import Session
from pipelines.store import Entry, Recipe, text_hash, write_json
from pipelines.training import FitConfig
from pipelines.training_curve import numeric

TRAINED_ON: tuple[Split, ...] = ("train", "validation")  # in the order in which their frames are kept
SCORES = "scores"
PATCHES_AT_ONCE = 100  # of a recording that is written to disk


@dataclass(frozen=True, kw_only=True)
class AstSettings:
    """Options of AST's stages.

    Raises:
        InputError: a value is out of range.
    """

    model: AstConfig
    augmentation: AugmentationConfig
    batches: SpectrogramBatchConfig
    label_smoothing: float = 0.1  # share of the target that all classes divide; of single labels only
    fit: FitConfig

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"ast.label_smoothing is {self.label_smoothing}; choose 0 (none) or a share below 1")


# Fine-tuning


def filter_banks(session: Session, manifest: Manifest) -> Entry:
    """Filter banks of all training and validation clips, 16 bits, in one array on disk, and statistics of training."""
    recipe = Recipe(stage="filter_banks", version=1, config={}, inputs={"manifest": audio_hash(manifest, TRAINED_ON)})
    clips = [clip for split in TRAINED_ON for clip in manifest.of(split)]
    training = len(manifest.of("train"))

    def make(folder: Path) -> None:
        ends = np.cumsum([0, *(frames_of(_patches(clip)) for clip in clips)])
        frames = folder / "frames.npy"
        np.lib.format.open_memmap(frames, mode="w+", dtype=np.float16, shape=(int(ends[-1]), N_MELS)).flush()
        jobs = [(manifest.root / clip.path, int(start)) for clip, start in zip(clips, ends[:-1], strict=True)]
        sums = np.zeros(3)  # of values, of their squares, and their number
        with (
            session.terminal.working("filter banks", len(clips), "clips") as progress,
            encoding_pool(session.workers) as pool,
        ):
            for done, own in enumerate(in_order(partial(_write_frames, frames), jobs, pool), 1):
                sums += own if done <= training else 0
                progress.advance_to(done)
        mean = sums[0] / max(sums[2], 1)
        std = max(sums[1] / max(sums[2], 1) - mean**2, 1e-8) ** 0.5
        np.save(folder / "offsets.npy", ends)
        given = AUDIOSET_STATISTICS
        write_json(folder / "statistics.json", {"mean": mean * given.std + given.mean, "std": std * given.std})

    return session.obtain(recipe, f"filter banks of {len(clips)} clips", make)


def _write_frames(frames: Path, job: tuple[Path, int]) -> tuple[float, float, int]:
    """Write a recording where it begins in the array of all; the sum of its values, of their squares, their number."""
    path, start = job
    array = np.lib.format.open_memmap(frames, mode="r+")
    sums = np.zeros(2)
    written = 0
    for piece in filter_bank_stream(read_blocks(path, SAMPLE_RATE), patches=PATCHES_AT_ONCE):
        new = stored_filter_bank(piece).numpy()[
            PATCH - STRIDE if written else 0 :
        ]  # a piece begins with the last frames of the one before
        array[start + written : start + written + len(new)] = new
        sums += (new.sum(dtype=np.float64), np.square(new).sum(dtype=np.float64))
        written += len(new)
    array.flush()
    return float(sums[0]), float(sums[1]), written * N_MELS


def ast(
    session: Session,
    manifest: Manifest,
    labels: Mapping[str, Label | None],
    classes: Sequence[str],
    settings: AstSettings,
    *,
    multi_label: bool = False,
) -> Entry:
    """Fine-tune AST end to end on the training clips that have a label; the entry is a classifier's folder.

    It hears the same disturbances as the supervised encoder. ``labels`` are those of the clips by path: a class, or
    several where ``multi_label``; None and clips not named are left out.
    """
    banks = filter_banks(session, manifest)
    config, fit = settings.model, settings.fit
    train, held_out = (_labelled(manifest, split, banks, labels) for split in TRAINED_ON)
    recipe = Recipe(
        stage="ast",
        version=1,
        config={
            "model": _sizes(config),
            "augmentation": asdict(settings.augmentation),
            "batches": asdict(settings.batches),
            "label_smoothing": settings.label_smoothing,
            "fit": numeric(fit),
            "classes": list(classes),
            "multi_label": multi_label,
        },
        inputs={
            "filter_banks": banks.key,
            "labels": text_hash(json.dumps([train[1], held_out[1]])),
            "weights": _weights_hash(config),
        },
    )

    def make(folder: Path) -> None:
        targets, wanted = (
            class_targets(list(own.values()), classes, multi_label=multi_label) for _, own in (train, held_out)
        )
        batches = LabelledBatches(
            train[0],
            targets,
            settings.batches,
            settings.augmentation,
            std=torch.full((N_MELS,), AUDIOSET_STATISTICS.std),
            label_smoothing=settings.label_smoothing,
        )
        validation = validation_clips(held_out[0], wanted, batch_size=settings.batches.batch_size)
        longest = min(int(train[0].lengths.max()), settings.batches.max_frames)
        model = create_classifier(config, longest, len(classes), multi_label=multi_label, seed=fit.seed)
        _normalise(model.encoder, config, banks)
        session.train("AST", "ast.fit", model, batches, validation, loss, fit, folder)
        if session.gang.rank == 0:
            save_classifier(model, config, classes, folder)

    return session.obtain(recipe, f"AST {config.size}, {fit.steps} steps", make, together=True)


def _labelled(
    manifest: Manifest, split: Split, banks: Entry, labels: Mapping[str, Label | None]
) -> tuple[Spectrograms, dict[str, Label]]:
    """The clips of one split that have a label, and what they are. Training clips stand before validation clips."""
    clips = Spectrograms.of(np.load(banks.folder / "frames.npy", mmap_mode="r"), np.load(banks.folder / "offsets.npy"))
    first = 0 if split == "train" else len(manifest.of("train"))
    rows, known = [], {}
    for row, clip in enumerate(manifest.of(split), first):
        if (label := labels.get(clip.path)) is not None:
            rows.append(row)
            known[clip.path] = label
    return clips.of_rows(rows), known


def _normalise(encoder: AstEncoder, config: AstConfig, banks: Entry) -> None:
    """By the training clips, unless AST's own weights come with the statistics that they expect."""
    if config.weights is None or not is_audio_model(Path(config.weights)):
        measured = banks.read_json("statistics.json")
        encoder.mean.fill_(float(str(measured["mean"])))
        encoder.std.fill_(float(str(measured["std"])))


# Representations


def ast_features(
    session: Session, manifest: Manifest, ast_entry: Entry | None, config: AstConfig, *, seed: int = 0
) -> Entry:
    """States of some layers and the clip vector of every clip, pooled, under the keys of `features`.

    The method is ``ast``: the model that ``ast_entry`` fine-tuned, or the weights of ``config``; or ``random_ast``
    where there are neither. Without ``ast_entry`` nothing is fitted, so all folds of a corpus share the entry. With it
    scores.safetensors holds the head's own ``scores (clips, classes)``.

    A clip is read in pieces of ``config.patches`` patches, which do not attend to each other; their borders fall on
    multiples of so many times 100 ms.
    """
    method = "ast" if ast_entry or config.weights else "random_ast"
    recipe = Recipe(
        stage=f"{method}_features",
        version=1,
        config={"method": method, "model": _sizes(config), "poolings": POOLINGS, "seed": seed},
        inputs={
            "recordings": _recordings_hash(manifest),
            "weights": ast_entry.key if ast_entry else _weights_hash(config),
        },
    )
    reader = AstReader(
        root=manifest.root,
        config=config,
        classifier=ast_entry.folder if ast_entry else None,
        frames=frames_of(min(max(map(_patches, manifest.clips), default=1), config.patches)),
        seed=seed,
        device=str(session.gang.device),
    )

    def make(folder: Path) -> None:
        jobs = [(clip.path, _patches(clip)) for clip in manifest.clips]
        rows: dict[str, list[FloatArray]] = {}
        with (
            session.terminal.working(method, len(jobs), "clips") as progress,
            encoding_pool(session.workers) as pool,
        ):
            for done, pooled in enumerate(in_order(partial(_pooled, reader), jobs, pool), 1):
                for name, values in pooled.items():
                    rows.setdefault(name, []).append(values)
                progress.advance_to(done)
        scores = rows.pop(SCORES, None)
        save_file(
            {f"{method}/{name}": np.stack(values) for name, values in rows.items()}, folder / "features.safetensors"
        )
        if scores is not None:
            save_file({SCORES: np.stack(scores)}, folder / "scores.safetensors")

    return session.obtain(recipe, f"{method} on {len(manifest.clips)} clips", make)


@dataclass(frozen=True, kw_only=True)
class AstReader:
    """A model that any process can make or load, and the recordings that it reads."""

    root: Path
    config: AstConfig
    classifier: Path | None  # folder of a fine-tuned model; None: what the config describes
    frames: int  # that positions are fitted to, where it is not fine-tuned
    seed: int
    device: str


@lru_cache(maxsize=1)
def _loaded(reader: AstReader) -> tuple[AstEncoder, AstClassifier | None]:
    """Encoder and, where it was fine-tuned, the whole model; once in each process."""
    if reader.classifier is None:
        return create_ast(reader.config, reader.frames, seed=reader.seed).eval().to(reader.device), None
    model = load_classifier(reader.classifier, device=reader.device)
    return model.encoder, model


@torch.inference_mode()
def _pooled(reader: AstReader, job: tuple[str, int]) -> dict[str, FloatArray]:
    """Each pooling of each layer of a recording of so many patches, its clip vector, and its scores if there are."""
    path, patches = job
    encoder, model = _loaded(reader)
    layers = reader.config.layers
    pools = {(layer, pooling): RunningPool(patches, pooling) for layer in layers for pooling in POOLINGS}
    clip = torch.zeros(encoder.width, device=reader.device)
    for piece in filter_bank_stream(read_blocks(reader.root / path, SAMPLE_RATE), patches=reader.config.patches):
        states = encoder.states(
            piece[None].to(reader.device), torch.tensor([len(piece)], device=reader.device), layers=layers
        )
        clip += states.clip[0] * (int(states.patches) / patches)
        for (layer, _), pool in pools.items():
            pool.add(states.layers[layer][0].cpu().numpy())
    features = {f"layer_{layer}:{pooling}": pool.pooled for (layer, pooling), pool in pools.items()}
    features["class_token:mean"] = clip.cpu().numpy()
    if model is not None:
        features[SCORES] = class_scores(model.head(clip), multi_label=model.multi_label).cpu().numpy()
    return features


def _patches(clip: Clip) -> int:
    return patches_of(resampled_length(clip.num_samples, clip.sample_rate, SAMPLE_RATE))


# Keys


def _sizes(config: AstConfig) -> dict[str, object]:
    """What of a config decides the bytes, the weights apart."""
    return asdict(replace(config, weights=None))


def _weights_hash(config: AstConfig) -> str:
    """What the files of a weights folder hold, wherever it lies."""
    if config.weights is None:
        return ""
    names = ("config.json", "model.safetensors", "preprocessor_config.json")
    files = [Path(config.weights) / name for name in names]
    return text_hash(json.dumps([file_hash(file) if file.is_file() else None for file in files]))


def _recordings_hash(manifest: Manifest) -> str:
    """Of all recordings, in whichever split each stands."""
    together: Split = "train"
    clips = tuple(replace(clip, split=together) for clip in manifest.clips)
    return audio_hash(replace(manifest, clips=clips), [together])
