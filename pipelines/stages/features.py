"""Features of recordings and codes: one vector per clip for each compared representation.

Each stage's entry holds ``features.safetensors``: tensors ``(clips, dim)``, rows in the order of the manifest, named
``method[/layer]:pooling``. The method is a row of the comparison; its layers and poolings are what validation may
choose from.
"""

import inspect
from collections.abc import Collection, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from audio.reading import read_blocks, resampled_length
from audio.recordings.inspection import require_finite
from audio.recordings.manifest import SPLITS, Clip, Manifest, audio_hash, recordings_hash
from foundation.threads import one_thread
from lm.embeddings import RESIDUAL, States, layer_features
from lm.gpt import GPTConfig
from lm.model import LanguageModel
from lm.pooling import POOLINGS, FloatArray, RunningPools, bag_of_codes, pool
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, text_hash
from pipelines.store.stored_features import FEATURES, GPT, method_of_key, stacked_rows, write_features
from tokenizer.encoder import Encoder
from tokenizer.parquet import read_codes
from tokenizer.signals import signals

Frames = partial[FloatArray]  # of a function of a module: samples (num_samples,) -> (time, dims)


def signal_features(
    session: Session, manifest: Manifest, tokenizer_entry: Entry, autoencoder: str, methods: Collection[str]
) -> Entry:
    """Compute log-mel, which needs only a learned normalisation, and the autoencoder's bottlenecks, pooled.

    They are the same for every codebook of an autoencoder; ``autoencoder`` is its key or fingerprint.
    """
    inputs = {"autoencoder": autoencoder, "manifest": audio_hash(manifest, SPLITS)}
    recipe = Recipe("signal_features", 2, config={"poolings": POOLINGS, "methods": sorted(methods)}, inputs=inputs)

    def make(folder: Path) -> None:
        encoder = Encoder(folder=tokenizer_entry.folder, root=manifest.root, device=str(session.gang.device))
        rows = session.each("log-mel and bottlenecks", partial(audio_features, encoder), manifest.clips)
        wanted = ({key: vector for key, vector in row.items() if method_of_key(key) in methods} for row in rows)
        write_features(folder, stacked_rows(wanted))

    return session.obtain(recipe, f"log-mel and bottlenecks of {len(manifest.clips)} clips", make, files=[FEATURES])


def audio_features(encoder: Encoder, clip: Clip) -> dict[str, FloatArray]:
    """Compute each pooling of a clip's normalised log-mel and bottlenecks while the clip is read.

    With ``audio.remove_mean`` there are two versions of log-mel: the tokenizer's, and the recorded one, which has the
    level of each band. With ``remove_mean=clip`` the mean of the first is constant, and left out.
    """
    tokenizer = encoder.tokenizer
    audio = tokenizer.config.audio
    num_samples = resampled_length(clip.num_samples, clip.sample_rate, audio.sample_rate)
    steps = tokenizer.format.steps(num_samples)
    frames, twice = steps * tokenizer.patch_frames, audio.remove_mean != "none"
    own, recorded = "log_mel/as_heard" if twice else "log_mel", "log_mel/as_recorded"
    pools = RunningPools({own: frames, **({recorded: frames} if twice else {}), "bottleneck": steps})
    blocks = read_blocks(encoder.root / clip.path, audio.sample_rate, part=clip.part)
    pool_recorded = (lambda piece: pools.add(recorded, piece.cpu().numpy())) if twice else (lambda piece: None)
    for spectrogram, bottlenecks in signals(tokenizer, blocks, num_samples, as_recorded=pool_recorded):
        pools.add(own, spectrogram.cpu().numpy())
        pools.add("bottleneck", bottlenecks.cpu().numpy())
    features = pools.pooled
    if audio.remove_mean == "clip":
        del features[f"{own}:mean"]
    for row in features.values():
        require_finite(row, clip, "pooled log-mel and bottlenecks")
    return features


def code_features(session: Session, codes_entry: Entry) -> Entry:
    """Compute the bag of codes: each code's share of the time."""
    recipe = Recipe("code_features", 1, config={"poolings": POOLINGS}, inputs={"codes": codes_entry.key})

    def make(folder: Path) -> None:
        clips = list(read_codes(codes_entry.folder)[1])
        bags = {
            f"bag_of_codes:{pooling}": np.stack([bag_of_codes(clip.codes, pooling) for clip in clips])
            for pooling in POOLINGS
        }
        write_features(folder, bags)

    return session.obtain(recipe, "bags of codes", make, files=[FEATURES])


def gpt_features(
    session: Session,
    codes_entry: Entry,
    model_entry: Entry,
    *,
    states: Sequence[States] = RESIDUAL,
    attentive: bool = False,
    surprise: bool = False,
) -> Entry:
    """Compute the pooled states of a language model: see `lm.embeddings.layer_features`."""
    config = {"poolings": POOLINGS, "attentive": attentive, "surprise": surprise, **_states(states)}
    recipe = Recipe("gpt_features", 1, config=config, inputs={"codes": codes_entry.key, "lm": model_entry.key})

    def make(folder: Path) -> None:
        model = LanguageModel.from_pretrained(model_entry.folder, device=str(session.gang.device))
        clips = read_codes(codes_entry.folder)[1]
        codes = [clip.codes for clip in clips]
        write_features(folder, layer_features(model, codes, of=states, attentive=attentive, surprise=surprise), of=GPT)

    return session.obtain(recipe, "states of the GPT", make, files=[FEATURES])


def random_gpt_features(
    session: Session, codes_entry: Entry, config: GPTConfig, *, seed: int, states: Sequence[States] = RESIDUAL
) -> Entry:
    """Compute states of an untrained GPT: a baseline for the architecture without learning."""
    options = {"poolings": POOLINGS, "gpt": asdict(config), "seed": seed, **_states(states)}
    recipe = Recipe("random_gpt_features", 1, config=options, inputs={"codes": codes_entry.key})

    @one_thread()
    def make(folder: Path) -> None:
        codes_format, clips = read_codes(codes_entry.folder)
        model = LanguageModel.create(config, codes_format, seed=seed)
        model.gpt.to(session.gang.device).eval()
        write_features(folder, layer_features(model, [clip.codes for clip in clips], of=states), of="random_gpt")

    return session.obtain(recipe, "states of an untrained GPT", make, files=[FEATURES])


def frame_features(session: Session, manifest: Manifest, frames: Frames, *, method: str, sample_rate: int) -> Entry:
    """Compute the frames of each clip, and pool them under the keys ``method:pooling``.

    A clip is in memory as a whole. All folds share the entry. The key contains the options and the source code of the
    function, so that a changed function is computed again; it does not contain the code of functions that it calls.
    """
    config = {"poolings": POOLINGS, **frames.keywords, "sample_rate": sample_rate}
    inputs = {"recordings": recordings_hash(manifest), "function": text_hash(inspect.getsource(frames.func))}
    recipe = Recipe(f"{method}_features", 1, config=config, inputs=inputs)
    work = partial(_pooled, frames, method, sample_rate, manifest.root)

    def make(folder: Path) -> None:
        write_features(folder, stacked_rows(session.each(method, work, manifest.clips)))

    return session.obtain(recipe, f"{method} of {len(manifest.clips)} clips", make, files=[FEATURES])


def _pooled(frames: Frames, method: str, sample_rate: int, root: Path, clip: Clip) -> dict[str, FloatArray]:
    blocks = read_blocks(root / clip.path, sample_rate, part=clip.part)
    with threadpool_limits(1):  # more threads round sums in another way
        made = frames(np.concatenate([np.zeros(0, np.float32), *blocks]))
        require_finite(made, clip, method)
        return {f"{method}:{pooling}": pool(made, pooling) for pooling in POOLINGS}


def _states(states: Sequence[States]) -> dict[str, object]:
    """Return the recipe's part about the states; residual states add nothing, so their entries keep their key."""
    return {} if tuple(states) == RESIDUAL else {"states": sorted(states)}
