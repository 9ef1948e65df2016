"""What the targets of `gpt_sound` teach: one network with two inputs, and with one target after another.

A row is an input and a target. The input is log-mel, or the codes of the same augmented log-mel, which the tokenizer
computes in each batch. Clips, augmentation, transformer, batches and probe are those of the experiment. Features are
the input of the transformer and the inner states of its layers side by side. Targets belong to the unchanged clips. The
target ``input`` needs no network: pooled log-mel, or a bag of codes. As in the experiment, a network is trained with
hard codes, and features are those of soft codes::

    patches       [ 0 ][ 1 ][ 2 ][ 3 ][ 4 ][ 5 ][ 6 ]    position 2 has read the patches 0, 1 and 2
    read                    [   ]                        the code of the patch that was just read
    later                        [   ][   ]     [   ]    the codes of the patches 1, 2 and 4 later
    before           <---------->                        windows that end with the patch
    around             <------ . ------>                 windows around the patch, half of which comes later
    all                                                  read, later, and around of these four patches: `gpt_sound`
    vectors                                              the same as all, before k-means: squared errors

Each row is a line of FOLDER/rows.jsonl as soon as it is there. A row that has a line is skipped, and training goes on
from its last checkpoint. Accuracy is that of a ridge regression that reads labels of training people alone, with each
share of labels in ``probe.learning_curve``. The same fits are scored on validation people, who choose, and on test
people, whom only the last command shows::

    python -m tests.benchmarks.targets FOLDER all|INPUT:TARGET,... experiment=arabic_commands corpus.table=... WORDS
    python -m tests.benchmarks.targets FOLDER validation|test [INPUT:TARGET]    the rows, or each minus another row
"""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Literal
from unittest.mock import patch

import numpy as np
import torch
from hydra import initialize_config_module
from safetensors.numpy import load_file
from torch import Tensor, nn

from lm.batches import UNCOUNTED, CodeBatch, loss
from lm.bodies import sound_gpt
from lm.bodies.body import Pieces
from lm.bodies.clips import StoredClips, batches_by_length
from lm.bodies.convolutional import log_mel_pieces, statistics
from lm.bodies.sound_gpt import (
    CodedClips,
    CodePrediction,
    CodeStem,
    SoundBatches,
    SoundGPT,
    SoundShape,
    WindowCodebook,
    create_sound_gpt,
    validation_batches,
    window_vectors,
)
from lm.pooled_states import states_of
from lm.probing.comparison import over_groups
from lm.probing.probe import learning_curve
from lm.probing.vectors import pool_states
from pipelines.chain.corpus import find_corpus, read_corpus
from pipelines.chain.language import make_codes
from pipelines.chain.study import Study
from pipelines.commandline.choices import with_choices
from pipelines.commandline.composition import compose, resolved
from pipelines.settings.run_rules import run_settings
from pipelines.stages.features import code_features, log_mel_features
from pipelines.stages.pretraining import coded_clips, window_codebooks
from pipelines.store.session import Session
from pipelines.store.store import Store
from pipelines.store.stored_features import FEATURES
from tokenizer.tokenizer import Tokenizer
from wordless.base.array_types import FloatArray, IntArray
from wordless.base.files import aside
from wordless.base.machine import choose_device, use_threads
from wordless.base.progress import Terminal
from wordless.training.fit import fit, with_precision
from wordless.training.gangs import Gang

ROWS, POOLING = "rows.jsonl", "thirds_max"
AT_ONCE = 64  # views whose features are computed together
# what a network has beside its layers, by its input
INPUTS = {"codes": f"bag_of_codes:{POOLING}", "log_mel": f"log_mel/as_heard:{POOLING}"}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is predicted at each position."""

    ahead: tuple[int, ...] = (0,)  # patches later than the one that was just read
    patches: bool = False  # codes of patches
    windows: Literal["none", "around", "before"] = "none"  # codes of windows, and where they lie
    quantised: bool = True  # False: the vectors before k-means


RECIPE = Target(ahead=(0, 1, 2, 4), patches=True, windows="around")
TARGETS: dict[str, Target | None] = {
    "input": None,
    "none": None,  # random weights
    "read": Target(patches=True),
    "later": Target(ahead=(1, 2, 4), patches=True),
    "before": Target(windows="before"),
    "around": Target(windows="around"),
    "all": RECIPE,
    "vectors": replace(RECIPE, quantised=False),
}


def create(source: str, study: Study, tokenizer: Tokenizer, target: Target, streams: int, values: int) -> SoundGPT:
    """Create the network of an input; all rows begin with the same random weights, but those that predict."""
    settings = study.settings.gpt_sound
    shape = SoundShape(
        frames=settings.longest,
        mels=study.audio.n_mels,
        patch_frames=tokenizer.patch_frames,
        streams=streams,
        codebook_size=values,
    )
    codes = CodeStem(tokenizer, *statistics(study.entries["sample"].folder)) if source == "codes" else None
    return create_sound_gpt(replace(settings.model, ahead=target.ahead), shape, seed=settings.fit.seed, codes=codes)


def ending_vectors(log_mel: FloatArray, *, frames: int, patch_frames: int) -> FloatArray:
    """Compute `window_vectors` of the windows that end with each patch, by a clip that is late by half a window."""
    bands = nn.functional.adaptive_avg_pool1d(torch.from_numpy(log_mel.astype(np.float32)), sound_gpt.BANDS)
    silence = np.full((frames // 2 - patch_frames // 2, log_mel.shape[1]), float(bands.min()), np.float32)
    late = np.concatenate([silence, log_mel.astype(np.float32)])
    return window_vectors(late, frames=frames, patch_frames=patch_frames)[: -(-len(log_mel) // patch_frames)]


def squared_error(model: nn.Module, batch: CodeBatch, *, table: Tensor, parts: int) -> tuple[Tensor, int]:
    """Sum the squared errors of vectors, whose rows in ``table (patches, values)`` are the targets of the batch."""
    counted = batch.targets[..., 0] != UNCOUNTED  # (batch, positions, ahead)
    wanted = table[batch.targets[..., 0][counted]]
    error = (model(batch.inputs)[..., 0, :][counted].float() - wanted).square().sum()
    return error, batch.codes * parts  # a part of the vector counts as much as a code


Targets = tuple[list[CodedClips], int, int, partial[tuple[Tensor, int]]]


@dataclass(frozen=True, eq=False)
class Corpus:
    """Training and validation clips, and the targets of several rows."""

    study: Study

    @cached_property
    def splits(self) -> list[CodedClips]:
        """Clips with the codes of their patches."""
        entries = self.study.spectrograms, self.study.entries["codes"]
        size = self.study.settings.tokenizer.patch.frames
        return [coded_clips(entries, split, size) for split in ("train", "validation")]

    @lru_cache(maxsize=2)  # noqa: B019  # one corpus lives as long as the process
    def with_windows(self, placement: str) -> tuple[list[WindowCodebook], list[CodedClips]]:
        """Fit the codebooks of windows before the end of each patch, or around it, and append the windows' codes."""
        settings, audio = self.study.settings, self.study.audio
        with patch.object(sound_gpt, "window_vectors", ending_vectors if placement == "before" else window_vectors):
            size, frame_rate = settings.tokenizer.codebook_size, audio.sample_rate / audio.hop_length
            windows = window_codebooks(self.splits[0], settings.gpt_sound, size=size, frame_rate=frame_rate)
            return windows, [each.with_windows(windows) for each in self.splits]

    def targets(self, target: Target, tokenizer: Tokenizer) -> Targets:
        """Return the clips with their targets, the streams, the values of each, and the loss."""
        if not target.quantised:
            return vectors_of(self.splits, tokenizer, self.with_windows("around")[0])
        coded = self.splits if target.windows == "none" else self.with_windows(target.windows)[1]
        first = 0 if target.patches else self.splits[0].codes.width
        streams = [np.ascontiguousarray(each.codes.sources[0][:, first:]) for each in coded]
        return with_sources(coded, streams), streams[0].shape[1], tokenizer.format.codebook_size, partial(loss)


def vectors_of(splits: Sequence[CodedClips], tokenizer: Tokenizer, windows: Sequence[WindowCodebook]) -> Targets:
    """Return the same with vectors as targets: bottlenecks of patches, and principal components of windows."""
    size, widths = tokenizer.patch_frames, [tokenizer.codebooks.shape[2]] * tokenizer.format.spectral_streams
    widths += [each.components.shape[1] for each in windows]
    vectors = list[FloatArray]()  # of each split (patches, values)
    for clips in splits:
        rows = list[FloatArray]()
        for row in range(len(clips.codes)):
            own, log_mel = len(clips.codes.clip(row)), clips.spectrograms.clip(row).astype(np.float32)
            whole = np.pad(log_mel, ((0, -len(log_mel) % size), (0, 0)))
            with torch.no_grad():
                parts = [tokenizer.bottlenecks(torch.from_numpy(whole)[None])[0].flatten(1).numpy()]
            for each in windows:
                found = window_vectors(log_mel, frames=each.frames, patch_frames=size)
                parts.append((found - each.mean) @ each.components)
            rows.append(np.concatenate([part[:own] for part in parts], axis=1))
        vectors.append(np.concatenate(rows))
    table = np.concatenate(vectors) - vectors[0].mean(0)
    for part in np.split(table, np.cumsum(widths)[:-1], axis=1):  # of the table itself: each gets a mean square of 1
        part /= np.sqrt(np.square(part[: len(vectors[0])]).sum(1).mean())
    numbers = np.split(np.arange(len(table), dtype=np.int32)[:, None], [len(vectors[0])])
    error = partial(squared_error, table=torch.from_numpy(table.astype(np.float32)), parts=len(widths))
    return with_sources(splits, numbers), 1, table.shape[1], error


def with_sources(splits: Sequence[CodedClips], codes: Sequence[IntArray]) -> list[CodedClips]:
    """Replace the codes ``(patches, streams)`` of each split."""
    return [
        replace(each, codes=StoredClips(sources=(own,), places=each.codes.places))
        for each, own in zip(splits, codes, strict=True)
    ]


def train(source: str, name: str, corpus: Corpus, folder: Path) -> SoundGPT:
    """Train the network of a row; without a target it keeps its random weights."""
    study = corpus.study
    settings, tokenizer = study.settings.gpt_sound, Tokenizer.from_pretrained(study.entries["tokenizer"].folder)
    if (target := TARGETS[name]) is None:
        return create(source, study, tokenizer, Target(), 1, 1).eval()
    (train, held_out), streams, values, own_loss = corpus.targets(target, tokenizer)
    model = create(source, study, tokenizer, target, streams, values)
    std = statistics(study.entries["sample"].folder)[1]
    batches = SoundBatches(train, settings.batches, settings.augmentation, ahead=target.ahead, std=std)
    fixed = validation_batches(
        held_out, ahead=target.ahead, batch_size=settings.batches.batch_size, at_most=settings.batches.max_frames
    )
    checkpoint = folder / f"{source}_{name}_{settings.fit.steps}_{settings.fit.seed}.safetensors"
    with study.session.terminal.working(f"{source}:{name}", settings.fit.steps, "steps") as progress:
        others = {"gang": study.session.gang, "checkpoint": checkpoint, "progress": progress}
        fit(CodePrediction(model), batches, fixed, own_loss, settings.fit, **others, track=lambda point: None)
    return model


def stored_views(study: Study, folder: Path) -> StoredClips:
    """Return the log-mel of all views of the clips, which all rows read, made at the first call."""
    frames, lengths = folder / f"views_{study.settings.seed}.npy", folder / f"lengths_{study.settings.seed}.npy"
    if not frames.exists():
        root, audio, sample = study.manifest.root, study.audio, study.entries["sample"].folder
        made = [torch.cat([*log_mel_pieces(view, root, audio, sample)]).numpy() for view in study.views]
        np.save(lengths, [*map(len, made)])
        with aside(frames) as beside, beside.open("wb") as file:
            np.save(file, np.concatenate(made))
    return StoredClips.of(np.load(frames, mmap_mode="r"), np.cumsum([0, *np.load(lengths)]))


@torch.inference_mode()
def features(model: SoundGPT, views: StoredClips, hearings: int) -> FloatArray:
    """Pool the network's layers, and average over the views of each clip ``(clips, dim)``."""
    found = dict[int, FloatArray]()
    for rows, frames, lengths in batches_by_length(views, batch_size=AT_ONCE):
        read = [Pieces(steps=(), pieces=[own[:length]]) for own, length in zip(frames, lengths.tolist(), strict=True)]
        steps = [[-(-length // hop) for hop in model.hops] for length in lengths.tolist()]
        pooled = pool_states(states_of(model, read, device="cpu"), steps, [POOLING])
        for row, own in zip((rows // hearings).tolist(), pooled, strict=True):
            vector = np.concatenate([*own.values()]) / hearings
            found[row] = found[row] + vector if row in found else vector
    return np.stack([found[row] for row in sorted(found)]).astype(np.float32)


def row_features(source: str, name: str, corpus: Corpus, folder: Path) -> FloatArray:
    """Compute the features of a row ``(clips, dim)``, or read those of an earlier call."""
    study = corpus.study
    own = study.settings.gpt_sound.fit
    if (file := folder / f"{source}_{name}_{own.steps}_{own.seed}.npy").exists():
        return np.load(file)
    entry = (
        code_features(study.session, study.read_codes)
        if source == "codes"
        else log_mel_features(study, study.entries["tokenizer"])
    )
    beside: FloatArray = load_file(entry.folder / FEATURES)[INPUTS[source]]
    if name == "input":
        return beside
    model = train(source, name, corpus, folder)
    found = np.concatenate([features(model, stored_views(study, folder), study.vectors.hearings), beside], axis=1)
    with aside(file) as place, place.open("wb") as written:
        np.save(written, found)
    return found


def measure(vectors: FloatArray, study: Study) -> dict[str, object]:
    """Measure features on validation and test people: the accuracy of each person, for each draw of the labels."""
    task = study.task
    judged = np.concatenate([task.rows["validation"], task.rows["test"]])
    curve = learning_curve(vectors, replace(task, rows={**task.rows, "test": judged}), study.settings.probe)
    groups = [clip.group or "" for clip in study.manifest.clips]
    people, held_out = sorted({groups[row] for row in judged}), {groups[row] for row in task.rows["validation"]}
    chooses = [person in held_out for person in people]
    return {
        split: {
            str(point["clips"]): [own for own, other in zip(point["values"], chooses, strict=True) if other == wanted]
            for point in curve
        }
        for split, wanted in (("validation", True), ("test", False))
    }


def study_of(folder: Path, words: Sequence[str]) -> Study:
    """Read the corpus of a run with these words, and make its tokenizer and codes, or find them in the store."""
    with initialize_config_module("conf", version_base="1.3"):
        config = with_choices(resolved(compose("run", [*words])))
    gang = Gang(choose_device("cpu"))
    settings = with_precision(run_settings(config), gang)
    use_threads(settings.threads)
    terminal = Terminal(log=folder / "log.txt")
    options, found = find_corpus(settings.corpus, settings, require=None, terminal=terminal)
    manifest = read_corpus(options, found, settings, gang=gang, terminal=terminal, audio=settings.audio)
    session = Session(store=Store(settings.store.root), gang=gang, terminal=terminal, folder=folder, workers=1)
    study = Study.of(session, manifest, settings)
    make_codes(study)
    return study


def known_rows(folder: Path) -> list[dict[str, object]]:
    """Read the rows that are there."""
    file = folder / ROWS
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def measure_all(folder: Path, wanted: Sequence[str], words: Sequence[str]) -> None:
    """Measure the wanted rows that are not there yet with these shares of the labels."""
    folder.mkdir(parents=True, exist_ok=True)
    study = study_of(folder, words)
    corpus = Corpus(study)
    own, shares = study.settings.gpt_sound.fit, [*study.settings.probe.learning_curve]
    for source, name in (row.split(":") for row in wanted):
        steps = own.steps if TARGETS[name] else 0
        about = {"input": source, "target": name, "steps": steps, "seed": own.seed, "shares": shares}
        if any(about.items() <= row.items() for row in known_rows(folder)):
            continue
        started = time.monotonic()
        vectors = row_features(source, name, corpus, folder)
        described = time.monotonic()
        row = {**about, "precision": own.precision, "dimensions": vectors.shape[1], **measure(vectors, study)}
        with (folder / ROWS).open("a") as file:
            file.write(json.dumps(row) + "\n")
        seconds = f"{described - started:.0f} s to its features, {time.monotonic() - described:.0f} s to probe them"
        study.session.terminal.say(f"{source}:{name}, {steps} steps, seed {own.seed}: {seconds}")


def show(folder: Path, split: str, other: str = "") -> None:
    """Print the mean of each row over people, seeds and draws of the labels, with t intervals; or minus another row."""
    found: dict[tuple[str, int], dict[str, dict[int, FloatArray]]] = defaultdict(lambda: defaultdict(dict))
    for row in known_rows(folder):
        for labels, values in row[split].items():
            found[f"{row['input']}:{row['target']}", row["steps"]][labels][row["seed"]] = np.array(values)
    for (name, steps), by_labels in [*found.items()]:
        cells, most = list[str](), 0
        for labels, by_seed in by_labels.items():
            others = found[other, steps if (other, steps) in found else 0][labels] if other else {}
            if not (seeds := sorted(by_seed.keys() & others.keys() if other else by_seed)):
                continue
            most = max(most, len(seeds))
            values = np.stack([by_seed[each] - (others[each] if other else 0) for each in seeds], axis=1)
            mean, (low, high, _) = 100 * values.mean(), over_groups(100 * values, confidence=0.95)
            cells.append(f"{mean:+.1f} ({low:+.1f} to {high:+.1f})" if other else f"{mean:.1f} ({low:.1f}-{high:.1f})")
        if cells:
            print(f"| {name} | {steps} | {most} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    place, what, *rest = sys.argv[1:]
    if what in ("validation", "test"):
        show(Path(place), what, *rest)
    else:
        every = [f"{source}:{name}" for name in TARGETS for source in INPUTS]
        measure_all(Path(place), every if what == "all" else what.split(","), rest)
