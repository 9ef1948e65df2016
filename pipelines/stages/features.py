"""Features of recordings and codes: one vector per clip for each compared representation.

Each stage's entry holds ``features.safetensors``: tensors ``(clips, dim)``, rows in the order of the manifest, named
``method[/layer]:pooling``. The method is a row of the comparison; its layers and poolings are what validation may
choose from.
"""

import inspect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from audio.recordings.hearings import AS_RECORDED, Hearing, hearings
from audio.recordings.inspection import require_finite
from audio.recordings.manifest import SPLITS, Clip, Manifest, audio_hash, recordings_hash
from foundation.threads import one_thread
from lm.embeddings import RESIDUAL, States, layer_features
from lm.gpt import GPTConfig
from lm.model import LanguageModel
from lm.pooling import POOLINGS, FloatArray, Pooling, RunningPools, bag_of_codes, pool
from lm.vectors import ONE_HEARING, VectorConfig, average
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, text_hash
from pipelines.store.stored_features import FEATURES, GPT, method_of_key, stacked_rows, write_features
from tokenizer.codes import Codes
from tokenizer.encoder import Encoder
from tokenizer.parquet import read_codes
from tokenizer.signals import signals

Frames = partial[FloatArray]  # of a function of a module: samples (num_samples,) -> (time, dims)


def signal_features(
    session: Session,
    manifest: Manifest,
    tokenizer_entry: Entry,
    autoencoder: str,
    methods: Collection[str],
    vectors: VectorConfig = ONE_HEARING,
) -> Entry:
    """Compute log-mel, which needs only a learned normalisation, and the autoencoder's bottlenecks, pooled.

    They are the same for every codebook of an autoencoder; ``autoencoder`` is its key or fingerprint.
    """
    inputs = {"autoencoder": autoencoder, "manifest": audio_hash(manifest, SPLITS)}
    recipe = Recipe("signal_features", 2, config={**vectors.key, "methods": sorted(methods)}, inputs=inputs)

    def make(folder: Path) -> None:
        encoder = Encoder(folder=tokenizer_entry.folder, root=manifest.root, device=str(session.gang.device))
        rows = session.each("log-mel and bottlenecks", partial(audio_vectors, encoder, vectors), manifest.clips)
        wanted = ({key: vector for key, vector in row.items() if method_of_key(key) in methods} for row in rows)
        write_features(folder, stacked_rows(wanted))

    return session.obtain(recipe, f"log-mel and bottlenecks of {len(manifest.clips)} clips", make, files=[FEATURES])


def audio_vectors(encoder: Encoder, vectors: VectorConfig, clip: Clip) -> dict[str, FloatArray]:
    """Average `audio_features` over the hearings of a clip."""
    heard = hearings(vectors.hearings, spread=vectors.hearing_rates)
    return average(audio_features(encoder, clip, hearing, poolings=vectors.poolings) for hearing in heard)


def audio_features(
    encoder: Encoder, clip: Clip, hearing: Hearing = AS_RECORDED, *, poolings: Sequence[Pooling] = POOLINGS
) -> dict[str, FloatArray]:
    """Compute each pooling of a clip's normalised log-mel and bottlenecks while the clip is read.

    With ``audio.remove_mean`` there are two versions of log-mel: the tokenizer's, and the recorded one, which has the
    level of each band. With ``remove_mean=clip`` the mean of the first is constant, and left out.
    """
    tokenizer = encoder.tokenizer
    audio = tokenizer.config.audio
    num_samples = hearing.num_samples(clip, audio.sample_rate)
    steps = tokenizer.format.steps(num_samples)
    frames, twice = steps * tokenizer.patch_frames, audio.remove_mean != "none"
    own, recorded = "log_mel/as_heard" if twice else "log_mel", "log_mel/as_recorded"
    pools = RunningPools({own: frames, **({recorded: frames} if twice else {}), "bottleneck": steps}, poolings)
    blocks, decibels = hearing.blocks(encoder.root, clip, audio.sample_rate), hearing.decibels(audio.dynamic_range)
    pool_recorded = (lambda piece: pools.add(recorded, piece.cpu().numpy())) if twice else (lambda piece: None)
    found = signals(tokenizer, blocks, num_samples, as_recorded=pool_recorded, dynamic_range=decibels)
    for spectrogram, bottlenecks in found:
        pools.add(own, spectrogram.cpu().numpy())
        pools.add("bottleneck", bottlenecks.cpu().numpy())
    features = pools.pooled
    if audio.remove_mean == "clip":
        features.pop(f"{own}:mean", None)
    for row in features.values():
        require_finite(row, clip, "pooled log-mel and bottlenecks")
    return features


@dataclass(frozen=True, kw_only=True)
class HeardCodes:
    """The codes of a corpus: of the recordings as they are, and of the other hearings."""

    codes: Entry
    heard: Entry | None = None  # clip after clip in the second hearing, then in the third, ...
    vectors: VectorConfig = ONE_HEARING

    @property
    def keys(self) -> dict[str, str]:
        """The inputs of a recipe."""
        return {"codes": self.codes.key, **({"heard": self.heard.key} if self.heard else {})}

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entry of the other hearings, if there are any."""
        return (self.heard,) if self.heard else ()

    def by_hearing(self) -> Iterator[list[Codes]]:
        """Give the codes of all clips in each hearing."""
        first = [clip.codes for clip in read_codes(self.codes.folder)[1]]
        yield first
        others = iter(read_codes(self.heard.folder)[1]) if self.heard else iter(())
        while following := [clip.codes for clip in islice(others, len(first))]:
            yield following


def code_features(session: Session, coded: HeardCodes) -> Entry:
    """Compute the bag of codes: each code's share of the time."""
    poolings = coded.vectors.poolings
    recipe = Recipe("code_features", 1, config=coded.vectors.key, inputs=coded.keys)

    def bags(clips: Sequence[Codes]) -> dict[str, FloatArray]:
        return {f"bag_of_codes:{each}": np.stack([bag_of_codes(codes, each) for codes in clips]) for each in poolings}

    def make(folder: Path) -> None:
        write_features(folder, average(map(bags, coded.by_hearing())))

    return session.obtain(recipe, "bags of codes", make, files=[FEATURES])


def gpt_features(
    session: Session,
    coded: HeardCodes,
    model_entry: Entry,
    *,
    states: Sequence[States] = RESIDUAL,
    attentive: bool = False,
    surprise: bool = False,
) -> Entry:
    """Compute the pooled states of a language model: see `lm.embeddings.layer_features`."""
    config = {**coded.vectors.key, "attentive": attentive, "surprise": surprise, **_states(states)}
    recipe = Recipe("gpt_features", 1, config=config, inputs={**coded.keys, "lm": model_entry.key})

    def make(folder: Path) -> None:
        model = LanguageModel.from_pretrained(model_entry.folder, device=str(session.gang.device))
        rows = (
            layer_features(model, codes, of=states, vectors=coded.vectors, attentive=attentive, surprise=surprise)
            for codes in coded.by_hearing()
        )
        write_features(folder, average(rows), of=GPT)

    return session.obtain(recipe, "states of the GPT", make, files=[FEATURES])


def random_gpt_features(
    session: Session, coded: HeardCodes, config: GPTConfig, *, seed: int, states: Sequence[States] = RESIDUAL
) -> Entry:
    """Compute states of an untrained GPT: a baseline for the architecture without learning."""
    options = {**coded.vectors.key, "gpt": asdict(config), "seed": seed, **_states(states)}
    recipe = Recipe("random_gpt_features", 1, config=options, inputs=coded.keys)

    @one_thread()
    def make(folder: Path) -> None:
        model = LanguageModel.create(config, read_codes(coded.codes.folder)[0], seed=seed)
        model.gpt.to(session.gang.device).eval()
        rows = (layer_features(model, codes, of=states, vectors=coded.vectors) for codes in coded.by_hearing())
        write_features(folder, average(rows), of="random_gpt")

    return session.obtain(recipe, "states of an untrained GPT", make, files=[FEATURES])


def frame_features(
    session: Session,
    manifest: Manifest,
    frames: Frames,
    *,
    method: str,
    sample_rate: int,
    vectors: VectorConfig = ONE_HEARING,
) -> Entry:
    """Compute the frames of each clip, and pool them under the keys ``method:pooling``.

    A clip is in memory as a whole. All folds share the entry. The key contains the options and the source code of the
    function, so that a changed function is computed again; it does not contain the code of functions that it calls.
    """
    config = {**vectors.key, **frames.keywords, "sample_rate": sample_rate}
    inputs = {"recordings": recordings_hash(manifest), "function": text_hash(inspect.getsource(frames.func))}
    recipe = Recipe(f"{method}_features", 1, config=config, inputs=inputs)
    work = partial(_pooled, frames, method, sample_rate, manifest.root, vectors)

    def make(folder: Path) -> None:
        write_features(folder, stacked_rows(session.each(method, work, manifest.clips)))

    return session.obtain(recipe, f"{method} of {len(manifest.clips)} clips", make, files=[FEATURES])


def _pooled(
    frames: Frames, method: str, sample_rate: int, root: Path, vectors: VectorConfig, clip: Clip
) -> dict[str, FloatArray]:
    def hear(hearing: Hearing) -> dict[str, FloatArray]:
        made = frames(np.concatenate([np.zeros(0, np.float32), *hearing.blocks(root, clip, sample_rate)]))
        require_finite(made, clip, method)
        return {f"{method}:{pooling}": pool(made, pooling) for pooling in vectors.poolings}

    with threadpool_limits(1):  # more threads round sums in another way
        return average(map(hear, hearings(vectors.hearings, spread=vectors.hearing_rates)))


def _states(states: Sequence[States]) -> dict[str, object]:
    """Return the recipe's part about the states; residual states add nothing, so their entries keep their key."""
    return {} if tuple(states) == RESIDUAL else {"states": sorted(states)}
