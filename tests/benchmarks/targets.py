"""What the targets of `denoising` and `gpt_sound` teach: one network with two inputs and one target after another.

A row is an input and a target. The input is log-mel, or the codes of the same augmented log-mel, which the tokenizer
computes in each batch. Clips, augmentation, transformer, batches and probe are those of the experiment. Features are
the input of the transformer and the inner states of its layers side by side. Targets belong to the unchanged clips. As
in the experiment, networks over codes read the nearest code of each patch, in training and for features (the tables of
docs/log.md were made with features of similarities). Two targets need no network: ``input`` is pooled log-mel or the
bag of codes, and ``bag_0.08s`` is the bag of the targets themselves beside the input. Row ``alone:bag_0.08s`` is this
bag without the input::

    patches       [ 0 ][ 1 ][ 2 ][ 3 ][ 4 ][ 5 ][ 6 ]    position 2 has read the patches 0, 1 and 2
    read                    [   ]                        the code of the patch that was just read
    later                        [   ][   ]     [   ]    the codes of the patches 1, 2 and 4 later
    0.08s              <------ . ------>                 the code of the window around the patch, 0.02s to 1.28s

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
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from hydra import initialize_config_module
from safetensors.numpy import load_file

from lm.backbones.backbone import Pieces
from lm.backbones.clips import StoredClips, batches_by_length
from lm.backbones.convolutional import log_mel_pieces
from lm.backbones.sound_gpt import (
    CodedClips,
    CodePrediction,
    CodeStem,
    SoundBatches,
    SoundGPT,
    SoundShape,
    WindowCodebook,
    create_sound_gpt,
    fit_window_codebook,
    validation_batches,
)
from lm.layer_reader import states_of
from lm.probing.intervals import over_groups
from lm.probing.probe import learning_curve
from lm.probing.vectors import RunningPools, pool_states
from lm.tokens import UNCOUNTED, loss
from pipelines.backbones.features_of_backbones import spectrograms_of
from pipelines.backbones.networks import stored_clips
from pipelines.chain.chain import make_codes
from pipelines.chain.trial import Trial
from pipelines.commandline.composed_config import resolved
from pipelines.jobs.clips_of_run import find_corpus, read_corpus
from pipelines.jobs.run_rules import run_settings
from pipelines.methods.methods_table import METHODS
from pipelines.stages.features import code_features, log_mel_features
from pipelines.stages.stored_arrays import stored_names
from pipelines.store.stage import Session
from pipelines.store.store import Store
from pipelines.store.stored_features import FEATURES
from tests.calling import completed, compose
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.recordings.manifest import Split
from wordless.audio.spectrogram import frame_statistics
from wordless.base.arrays import FloatArray, IntArray
from wordless.base.devices import choose_device
from wordless.base.files import aside
from wordless.base.progress import Terminal
from wordless.base.threads import use_threads
from wordless.training.fit import Gang, fit, with_precision

ROWS, POOLING = "rows.jsonl", "thirds_max"
AT_ONCE = 64  # views whose features are computed together
ALONE = "alone"
# what stands beside the layers of a network, or beside the bag of targets, by the input
INPUTS = {"codes": f"bag_of_codes:{POOLING}", "log_mel": f"log_mel/as_heard:{POOLING}", ALONE: ""}
LATER = (1, 2, 4)  # patches


@dataclass(frozen=True)
class Target:
    """What is predicted at each position."""

    kind: Literal["input", "none", "read", "later", "window", "bag"]
    seconds: float = 0.0  # of a window


SECONDS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
TARGETS = {
    "input": Target("input"),
    "none": Target("none"),  # random weights
    "read": Target("read"),
    "later": Target("later"),
    **{f"{seconds:g}s": Target("window", seconds) for seconds in SECONDS},
    **{f"bag_{seconds:g}s": Target("bag", seconds) for seconds in SECONDS},
}


def create(source: str, trial: Trial, tokenizer: Tokenizer, streams: int) -> SoundGPT:
    """Create the network of an input; all rows begin with the same random weights, but those that predict."""
    settings = trial.settings.gpt_sound
    shape = SoundShape(
        frames=settings.longest,
        mels=trial.audio.n_mels,
        patch_frames=tokenizer.patch_frames,
        streams=streams,
        codebook_size=tokenizer.format.codebook_size,
    )
    codes = CodeStem(tokenizer, *frame_statistics(trial.artifacts["sample"].folder)) if source == "codes" else None
    return create_sound_gpt(settings.model, shape, seed=settings.fit.seed, codes=codes)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Training and validation clips, and the targets of several rows."""

    trial: Trial

    def clips(self, split: Split) -> CodedClips:
        """Read the clips of a split with the codes of their patches."""
        spectrograms, codes = spectrograms_of(self.trial), read_codes(self.trial.artifacts["codes"].folder)[1]
        by_name = {each.name: each.codes.spectral.values.astype(np.int32) for each in codes}
        return CodedClips(
            spectrograms=stored_clips(spectrograms, split),
            codes=StoredClips.together([by_name[name] for name in stored_names(spectrograms, split)]),
            patch_frames=self.trial.settings.tokenizer.patch.frames,
        )

    @lru_cache(maxsize=len(SECONDS))  # noqa: B019  # one corpus lives as long as the process
    def codebook(self, seconds: float) -> WindowCodebook:
        """Fit the codes of windows as a run does."""
        settings, audio = self.trial.settings, self.trial.audio
        own, patch_frames = replace(settings.gpt_sound, window_seconds=seconds), settings.tokenizer.patch.frames
        patches = own.window_patches(patch_frames * audio.hop_length / audio.sample_rate)
        fit = {"size": settings.tokenizer.codebook_size, "seed": own.fit.seed, "patch_frames": patch_frames}
        return fit_window_codebook(stored_clips(spectrograms_of(self.trial), "train"), patches=patches, **fit)

    def targets(self, target: Target, split: Split) -> CodedClips:
        """Return the clips of a split with the codes that are predicted."""
        clips = self.clips(split)
        if target.kind == "window":
            return CodedClips.of_windows(clips.spectrograms, self.codebook(target.seconds))
        if target.kind == "later":
            codes = [later(clips.codes.clip(row)) for row in range(len(clips.codes))]
            return replace(clips, codes=StoredClips.together(codes))
        return clips


def later(codes: IntArray) -> IntArray:
    """Return the codes ``(patches, streams)`` of later patches side by side; there are none after the end."""
    padded = np.pad(codes, ((0, max(LATER)), (0, 0)), constant_values=UNCOUNTED)
    return np.concatenate([padded[ahead : ahead + len(codes)] for ahead in LATER], axis=1)


def train(source: str, name: str, corpus: Corpus, folder: Path) -> SoundGPT:
    """Train the network of a row; without a target it keeps its random weights."""
    trial, target = corpus.trial, TARGETS[name]
    settings, tokenizer = trial.settings.gpt_sound, Tokenizer.from_pretrained(trial.artifacts["tokenizer"].folder)
    if target.kind == "none":
        return create(source, trial, tokenizer, 1).eval()
    train, held_out = corpus.targets(target, "train"), corpus.targets(target, "validation")
    model, own = create(source, trial, tokenizer, train.codes.width), settings.batches
    std = frame_statistics(trial.artifacts["sample"].folder)[1]
    batches = SoundBatches(train, own, settings.augmentation, std=std)
    fixed = validation_batches(held_out, batch_size=own.batch_size, at_most=own.max_frames)
    checkpoint = folder / f"{source}_{name}_{settings.fit.steps}_{settings.fit.seed}.safetensors"
    with trial.session.terminal.working(f"{source}:{name}", settings.fit.steps, "steps") as progress:
        others = {"gang": trial.session.gang, "checkpoint": checkpoint, "progress": progress}
        fit(CodePrediction(model), batches, fixed, loss, settings.fit, **others, track=lambda point: None)
    return model


def stored_views(trial: Trial, folder: Path) -> StoredClips:
    """Return the log-mel of all views of the clips, which all rows read, made at the first call."""
    frames, lengths = folder / f"views_{trial.settings.seed}.npy", folder / f"lengths_{trial.settings.seed}.npy"
    if not frames.exists():
        root, audio, sample = trial.manifest.root, trial.audio, trial.artifacts["sample"].folder
        made = [torch.cat([*log_mel_pieces(view, root, audio, sample)]).numpy() for view in trial.reading.views]
        np.save(lengths, [*map(len, made)])
        with aside(frames) as beside, beside.open("wb") as file:
            np.save(file, np.concatenate(made))
    return StoredClips.of(np.load(frames, mmap_mode="r"), np.cumsum([0, *np.load(lengths)]))


@torch.inference_mode()
def features(model: SoundGPT, views: StoredClips, augmentations: int) -> FloatArray:
    """Pool the network's layers, and average over the views of each clip ``(clips, dim)``."""
    found = dict[int, FloatArray]()
    for rows, frames, lengths in batches_by_length(views, batch_size=AT_ONCE):
        read = [Pieces(steps=(), pieces=[own[:length]]) for own, length in zip(frames, lengths.tolist(), strict=True)]
        steps = [[-(-length // hop) for hop in model.hops] for length in lengths.tolist()]
        pooled = pool_states(states_of(model, read, device="cpu"), steps, [POOLING])
        for row, own in zip((rows // augmentations).tolist(), pooled, strict=True):
            vector = np.concatenate([*own.values()]) / augmentations
            found[row] = found[row] + vector if row in found else vector
    return np.stack([found[row] for row in sorted(found)]).astype(np.float32)


def bags(codebook: WindowCodebook, views: StoredClips, augmentations: int) -> FloatArray:
    """Compute the shares of the codes of windows, averaged over the views of each clip ``(clips, dim)``."""
    found = list[FloatArray]()
    for row in range(len(views)):
        codes = codebook.codes(views.clip(row))
        pools = RunningPools({"bag": len(codes)}, [POOLING])
        pools.add("bag", np.eye(len(codebook.centroids), dtype=np.float32)[codes])
        [bag] = pools.pooled.values()
        found.append(bag)
    return np.stack(found).reshape(-1, augmentations, len(found[0])).mean(1)


def row_features(source: str, name: str, corpus: Corpus, folder: Path) -> FloatArray:
    """Compute the features of a row ``(clips, dim)``, or read those of an earlier call."""
    trial, target = corpus.trial, TARGETS[name]
    own = trial.settings.gpt_sound.fit
    if (file := folder / f"{source}_{name}_{own.steps}_{own.seed}.npy").exists():
        return np.load(file)
    parts, augmentations = list[FloatArray](), trial.reading.vectors.test_time_augmentation
    if target.kind == "bag":
        parts.append(bags(corpus.codebook(target.seconds), stored_views(trial, folder), augmentations))
    elif target.kind != "input":
        parts.append(features(train(source, name, corpus, folder), stored_views(trial, folder), augmentations))
    if source != ALONE:
        of_codes, tokenizer = source == "codes", trial.artifacts["tokenizer"]
        artifact = (
            code_features(trial.session, trial.codes_of(METHODS["bag_of_codes"]))
            if of_codes
            else log_mel_features(trial.session, trial.reading, tokenizer)
        )
        parts.append(load_file(artifact.folder / FEATURES)[INPUTS[source]])
    found = np.concatenate(parts, axis=1)
    with aside(file) as place, place.open("wb") as written:
        np.save(written, found)
    return found


def measure(vectors: FloatArray, trial: Trial) -> dict[str, object]:
    """Measure features on validation and test people: the accuracy of each person, for each draw of the labels."""
    task = trial.task
    judged = np.concatenate([task.rows["validation"], task.rows["test"]])
    probe, task = trial.settings.probe, replace(task, rows={**task.rows, "test": judged})
    curve = learning_curve(vectors, task, probe, clipping=probe.feature_clipping[0])
    groups = [clip.group or "" for clip in trial.manifest.clips]
    people, held_out = sorted({groups[row] for row in judged}), {groups[row] for row in task.rows["validation"]}
    chooses = [person in held_out for person in people]
    return {
        split: {
            str(point["clips"]): [own for own, other in zip(point["values"], chooses, strict=True) if other == wanted]
            for point in curve
        }
        for split, wanted in (("validation", True), ("test", False))
    }


def trial_of(folder: Path, words: Sequence[str]) -> Trial:
    """Read the corpus of a run with these words, and make its tokenizer and codes, or find them in the store."""
    with initialize_config_module("conf", version_base="1.3"):
        config = completed("run", resolved(compose("run", [*words])))
    gang = Gang(choose_device("cpu"))
    settings = with_precision(run_settings(config), gang)
    use_threads(settings.threads)
    terminal = Terminal(log=folder / "log.txt")
    found = find_corpus(settings.readable_corpus, settings, require=None, terminal=terminal)
    manifest = read_corpus(found, settings, gang=gang, terminal=terminal, audio=settings.audio)
    session = Session(store=Store(settings.store.root), gang=gang, terminal=terminal, folder=folder, workers=1)
    trial = Trial.of(session, manifest, settings.with_recordings(manifest))
    make_codes(trial)
    return trial


def known_rows(folder: Path) -> list[dict[str, object]]:
    """Read the rows that are there."""
    file = folder / ROWS
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def measure_all(folder: Path, wanted: Sequence[str], words: Sequence[str]) -> None:
    """Measure the wanted rows that are not there yet with these shares of the labels."""
    folder.mkdir(parents=True, exist_ok=True)
    trial = trial_of(folder, words)
    corpus = Corpus(trial)
    own, shares = trial.settings.gpt_sound.fit, [*trial.settings.probe.learning_curve]
    for source, name in (row.split(":") for row in wanted):
        steps = 0 if TARGETS[name].kind in ("input", "none", "bag") else own.steps
        about = {"input": source, "target": name, "steps": steps, "seed": own.seed, "shares": shares}
        if any(about.items() <= row.items() for row in known_rows(folder)):
            continue
        started = time.monotonic()
        vectors = row_features(source, name, corpus, folder)
        described = time.monotonic()
        row = {**about, "precision": own.precision, "dimensions": vectors.shape[1], **measure(vectors, trial)}
        with (folder / ROWS).open("a") as file:
            file.write(json.dumps(row) + "\n")
        seconds = f"{described - started:.0f} s to its features, {time.monotonic() - described:.0f} s to probe them"
        trial.session.terminal.say(f"{source}:{name}, {steps} steps, seed {own.seed}: {seconds}")


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
        every = [
            f"{source}:{name}"
            for name, target in TARGETS.items()
            for source in INPUTS
            if source != ALONE or target.kind == "bag"
        ]
        measure_all(Path(place), every if what == "all" else what.split(","), rest)
