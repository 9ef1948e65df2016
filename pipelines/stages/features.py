"""Features of recordings, codes and soft codes: one vector per clip for each compared representation.

Each stage's entry holds ``features.safetensors``: tensors ``(clips, dim)``, rows in the order of the manifest, named
``method[/layer]:pooling``. The method is a row of the comparison; its layers and poolings are what validation may
choose from.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from lm.layers import LayerReader, head_scores, layer_features
from lm.model import LanguageModel
from lm.options import ONE_HEARING, POOLINGS, RESIDUAL, GPTConfig, Pitch, Pooling, States, VectorConfig
from lm.probing.vectors import FloatArray, RunningPools, average, bags_of_codes, pool
from pipelines.stages.codes import heard_codes
from pipelines.stages.stored_arrays import heard_frames
from pipelines.store.session import Session
from pipelines.store.store import METHOD, Entry, Recipe, text_hash
from pipelines.store.stored_features import (
    FEATURES,
    GPT,
    SCORES,
    joined_rows,
    stacked_rows,
    write_features,
)
from tokenizer.codes import Codes, CodesFormat, SoftCodes, join_rates
from tokenizer.config import fingerprint
from tokenizer.encoder import (
    PATCHES_AT_ONCE,
    Encoder,
    bottlenecks_of_frames,
    encode_clips,
    log_mel_pieces,
    signals,
    soft_codes,
    whole_patches,
)
from tokenizer.parquet import read_codes
from wordless.audio.options import SpectrogramConfig
from wordless.audio.reading import read_blocks, resampled_length
from wordless.audio.recordings.hearings import HeardFrames, Hearing, hearings
from wordless.audio.recordings.inspection import require_finite
from wordless.audio.recordings.manifest import Clip, Manifest, audio_hash, recordings_hash
from wordless.audio.spectrogram import subtract_mean
from wordless.base.machine import one_thread

BAG_OF_CODES = "bag_of_codes"  # the method
CLIPS_AT_ONCE = 1 << 15  # whose codes are in memory; batches of a GPT do not reach across them, so it decides last bits
CodesVectors = Callable[[Sequence[Codes | SoftCodes]], Mapping[str, FloatArray]]  # a row for each recording
Frames = partial[FloatArray]  # of a function of a module: samples (num_samples,) -> (time, dims)


@dataclass(frozen=True, kw_only=True)
class ClipReading:
    """The recordings that methods describe, the front end, and how clips become vectors."""

    session: Session
    manifest: Manifest
    audio: SpectrogramConfig
    vectors: VectorConfig = ONE_HEARING

    @cached_property
    def heard_entries(self) -> tuple[Entry, ...]:
        """The entry with log-mel of the clips in all hearings but the first; none for one hearing."""
        entry = heard_frames(self.session, self.manifest, self.audio, self.vectors)
        return (entry,) if entry else ()

    @property
    def heard(self) -> HeardFrames | None:
        """The frames of `heard_entries`; None for one hearing."""
        found = (
            HeardFrames(folder=each.folder, hearings=self.vectors.hearings, key=each.key) for each in self.heard_entries
        )
        return next(found, None)

    @property
    def frames(self) -> dict[str, str | None]:
        """The inputs of a recipe of a method that reads frames of the recordings and of their stored hearings."""
        return {"recordings": audio_hash(self.manifest), "hearings": self.heard.key if self.heard else None}

    @property
    def sound(self) -> dict[str, str | None]:
        """The inputs of a recipe of a method that reads samples; `VectorConfig.key` does not say what hearings are."""
        several = self.vectors.hearings > 1
        heard = repr(hearings(self.vectors.hearings))
        return {"recordings": recordings_hash(self.manifest), "hearings": text_hash(heard) if several else None}

    def coded_in(self, tokenizer: Entry, codes: Entry) -> "HeardCodes":
        """Return the codes of the clips by a tokenizer, and those of their other hearings."""
        heard = heard_codes(self.session, self.manifest, tokenizer, self.heard) if self.heard else None
        return HeardCodes(codes=codes, heard=heard, vectors=self.vectors)

    def encoder(self, tokenizer: Entry) -> Encoder:
        """Return what converts the recordings to codes, in any process."""
        return Encoder(folder=tokenizer.folder, root=self.manifest.root, device=str(self.session.gang.device))


WHOLE = 2  # frames: the end of a recording's log-mel is made a multiple of them, whatever patches its codes have


def log_mel_features(reading: ClipReading, tokenizer: Entry) -> Entry:
    """Compute pooled log-mel. Of the tokenizer it reads the front end, and mean and deviation, and no patch."""
    encoder = reading.encoder(tokenizer)
    own = encoder.tokenizer
    front_end = fingerprint(asdict(own.config.audio), {"mean": own.mean, "std": own.std})
    return _signal_features(reading, "log_mel", partial(log_mel_vectors, encoder), {"front end": front_end})


def bottleneck_features(reading: ClipReading, tokenizer: Entry, autoencoder: str) -> Entry:
    """Compute pooled bottlenecks, the same for every codebook of an autoencoder, whose key or fingerprint is given."""
    work = partial(bottleneck_vectors, reading.encoder(tokenizer))
    return _signal_features(reading, "bottleneck", work, {"autoencoder": autoencoder})


def _signal_features(
    reading: ClipReading, method: str, work: "partial[dict[str, FloatArray]]", inputs: Mapping[str, object]
) -> Entry:
    session, clips, vectors = reading.session, reading.manifest.clips, reading.vectors
    recipe = Recipe(f"{method}_features", 1, config={"compare": vectors.key}, inputs={**inputs, **reading.frames})
    work = partial(work, poolings=vectors.poolings, heard=reading.heard)

    def make(folder: Path) -> None:
        write_features(folder, stacked_rows(session.each(method, work, clips)))

    return session.obtain(recipe, f"{method} of {len(clips)} clips", make, files=[FEATURES])


def log_mel_vectors(
    encoder: Encoder, clip: Clip, *, poolings: Sequence[Pooling] = POOLINGS, heard: HeardFrames | None = None
) -> dict[str, FloatArray]:
    """Pool the normalised log-mel of a clip and of its stored hearings, while the clip is read.

    With ``audio.remove_mean`` there are two versions of log-mel: the tokenizer's, and the recorded one. The recorded
    one has the level of each band above the front end's floor, so its largest magnitude is its loudest frame. With
    ``remove_mean=clip`` the mean of the first is constant, and left out.
    """
    tokenizer, audio = encoder.tokenizer, encoder.tokenizer.config.audio
    twice, floor = audio.remove_mean != "none", math.log(audio.floor)
    own, recorded = "log_mel/as_heard" if twice else "log_mel", "log_mel/as_recorded"

    def pool_pieces(pieces: Iterable[Tensor], frames: int) -> dict[str, FloatArray]:
        pools = RunningPools({own: frames, **({recorded: frames} if twice else {})}, poolings)

        def above_floor() -> Iterator[Tensor]:
            for piece in pieces:
                if twice:
                    pools.add(recorded, piece.cpu().numpy() - floor)
                yield piece

        for piece in subtract_mean(above_floor(), audio.remove_mean):
            pools.add(own, tokenizer.normalise(piece.to(tokenizer.mean.device)).cpu().numpy())
        features = pools.pooled
        if audio.remove_mean == "clip":
            features.pop(f"{own}:mean", None)
        return features

    return _pooled_hearings(encoder, clip, heard, pool_pieces, WHOLE)


def bottleneck_vectors(
    encoder: Encoder, clip: Clip, *, poolings: Sequence[Pooling] = POOLINGS, heard: HeardFrames | None = None
) -> dict[str, FloatArray]:
    """Pool the bottlenecks of a clip and of its stored hearings, while the clip is read."""
    tokenizer = encoder.tokenizer

    def pool_pieces(pieces: Iterable[Tensor], frames: int) -> dict[str, FloatArray]:
        pools = RunningPools({"bottleneck": frames // tokenizer.patch_frames}, poolings)
        for _, bottlenecks in signals(tokenizer, pieces):
            pools.add("bottleneck", bottlenecks.cpu().numpy())
        return pools.pooled

    return _pooled_hearings(encoder, clip, heard, pool_pieces, tokenizer.patch_frames)


@torch.inference_mode()
def _pooled_hearings(
    encoder: Encoder,
    clip: Clip,
    heard: HeardFrames | None,
    pool_pieces: Callable[[Iterable[Tensor], int], dict[str, FloatArray]],
    whole: int,
) -> dict[str, FloatArray]:
    """Average what ``pool_pieces`` makes of a clip and of its hearings.

    It takes the pieces of log-mel ``(time, mels)`` of a recording, before ``audio.remove_mean``, and the number of
    their frames, which is a multiple of ``whole``.
    """
    tokenizer, audio = encoder.tokenizer, encoder.tokenizer.config.audio
    num_samples = resampled_length(clip.num_samples, clip.sample_rate, audio.sample_rate)
    blocks = read_blocks(encoder.root / clip.path, audio.sample_rate, part=clip.part)
    pieces = log_mel_pieces(tokenizer, blocks, num_samples, patch_frames=whole)
    own = pool_pieces(pieces, -(-num_samples // (whole * audio.hop_length)) * whole)
    for row in own.values():
        require_finite(row, clip, "pooled log-mel and bottlenecks")
    others = (whole_patches(frames, whole) for frames in (heard.of(clip) if heard else ()))
    rows = (pool_pieces(torch.split(frames, PATCHES_AT_ONCE * whole), len(frames)) for frames in others)
    return average(chain([own], rows))


@dataclass(frozen=True, kw_only=True)
class HeardCodes:
    """The codes of a corpus: of the recordings as they are, and of the other hearings."""

    codes: Entry
    heard: Entry | None = None  # of `stages.codes.heard_codes`
    vectors: VectorConfig = ONE_HEARING
    coarser: tuple["HeardCodes", ...] = ()  # the same clips at coarser rates, coarse to fine

    @property
    def inputs(self) -> Mapping[str, object]:
        rates = enumerate(self.coarser, 1)
        coarser = {f"{name} of rate {number}": read for number, each in rates for name, read in each.inputs.items()}
        return {"codes": self.codes, "codes of hearings": self.heard, **coarser}

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entry of the other hearings, if there are any."""
        return (self.heard,) if self.heard else ()

    @property
    def format(self) -> CodesFormat:
        return read_codes(self.codes.folder)[0]

    def pooled(self, pool_clips: CodesVectors) -> dict[str, FloatArray]:
        """Pool the codes of all clips, `CLIPS_AT_ONCE` at a time, and average the vectors over the hearings."""
        return joined_rows(average(map(pool_clips, block)) for block in self._blocks())

    def _blocks(self) -> Iterator[list[list[Codes]]]:
        """Give for each block of clips their codes in each hearing, joined with those of coarser rates."""
        for rates in zip(*(each._of_own_rate() for each in (*self.coarser, self)), strict=True):
            yield [[join_rates(parts) for parts in zip(*each, strict=True)] for each in zip(*rates, strict=True)]

    def _of_own_rate(self) -> Iterator[list[list[Codes]]]:
        """Give the same at this rate alone; the other hearings of a clip follow one after the other in their files."""
        clips, places = read_codes(self.codes.folder)[1], self.vectors.hearings - 1
        others = read_codes(self.heard.folder)[1] if self.heard else iter(())
        while block := [clip.codes for clip in islice(clips, CLIPS_AT_ONCE)]:
            heard = [clip.codes for clip in islice(others, places * len(block))]
            yield [block, *(heard[place::places] for place in range(places if self.heard else 0))]


SOFT = "soft, 2"  # with the version of soft codes, in the keys of their readers; raise it when their values change
BOTTLENECKS_AT_ONCE = 1 << 16  # whose bottlenecks are in memory; batches of a GPT do not reach across them


@dataclass(frozen=True, kw_only=True)
class HeardSoftCodes:
    """The soft codes of a corpus, of the recordings as they are and of the other hearings: how near each code is.

    A code is a hard decision about a bottleneck that may lie between two centroids. The bag of codes and the GPT can
    read soft codes in the place of hard ones.
    Each method that reads them computes the bottlenecks again, which costs less time than the GPT and no disk.
    """

    reading: ClipReading
    tokenizer: Entry

    @property
    def vectors(self) -> VectorConfig:
        return self.reading.vectors

    @property
    def inputs(self) -> Mapping[str, object]:
        return {"tokenizer": self.tokenizer, **self.reading.frames, "soft codes": SOFT}

    @property
    def format(self) -> CodesFormat:
        return self.reading.encoder(self.tokenizer).tokenizer.format

    def pooled(self, pool_clips: CodesVectors) -> dict[str, FloatArray]:
        """Pool the codes of all clips, `BOTTLENECKS_AT_ONCE` at a time, and average the vectors over the hearings."""
        return joined_rows(average(map(pool_clips, zip(*block, strict=True))) for block in self._blocks())

    def _blocks(self) -> Iterator[list[list[SoftCodes]]]:
        """Give the hearings of each clip, clips after clips until they have many time steps."""
        encoder, reading = self.reading.encoder(self.tokenizer), self.reading
        work = partial(bottlenecks_of_hearings, encoder, reading.heard)
        block, steps = list[list[SoftCodes]](), 0
        for found in reading.session.each("soft codes", work, reading.manifest.clips):
            block.append([soft_codes(encoder.tokenizer, torch.from_numpy(bottlenecks)) for bottlenecks in found])
            steps += sum(map(len, found))
            if steps >= BOTTLENECKS_AT_ONCE:
                yield block
                block, steps = [], 0
        if block:
            yield block


@torch.inference_mode()
def bottlenecks_of_hearings(encoder: Encoder, heard: HeardFrames | None, clip: Clip) -> list[FloatArray]:
    """Compute the bottlenecks ``(time, bands * bottleneck)`` of a clip in each hearing, the recording itself first.

    They are arrays, because each tensor that comes from another process keeps a file open.
    """
    tokenizer = encoder.tokenizer
    rate = tokenizer.config.audio.sample_rate
    blocks = read_blocks(encoder.root / clip.path, rate, part=clip.part)
    num_samples = resampled_length(clip.num_samples, clip.sample_rate, rate)
    own = torch.cat([each for _, each in signals(tokenizer, log_mel_pieces(tokenizer, blocks, num_samples))])
    others = [] if heard is None else bottlenecks_of_frames(tokenizer, heard.of(clip))
    found = [own.cpu().numpy(), *(each.numpy() for each in others)]
    for bottlenecks in found:
        require_finite(bottlenecks, clip, "bottlenecks")
    return found


CodesOfClips = HeardCodes | HeardSoftCodes


def code_features(session: Session, coded: CodesOfClips, *, of: str = BAG_OF_CODES) -> Entry:
    """Compute the bag of codes: each code's share of the time. ``of`` is the method."""
    poolings = coded.vectors.poolings
    recipe = Recipe("code_features", 1, config={METHOD: of, "compare": coded.vectors.key}, inputs=coded.inputs)

    def bags(clips: Sequence[Codes | SoftCodes]) -> dict[str, FloatArray]:
        vectors = [bags_of_codes(codes, poolings) for codes in clips]
        return {f"{of}:{each}": np.stack([own[each] for own in vectors]) for each in poolings}

    @one_thread()  # of soft codes, more threads round sums in another way
    def make(folder: Path) -> None:
        write_features(folder, coded.pooled(bags))

    return session.obtain(recipe, "bags of codes", make, files=[FEATURES])


def bag_features(encoder: Encoder, clip: Clip, *, poolings: Sequence[Pooling] = POOLINGS) -> dict[str, FloatArray]:
    """Encode a clip and compute its bag of codes, as `code_features` does for the stored codes of a corpus."""
    bags = bags_of_codes(encode_clips(encoder, [(clip, 0)])[0].codes, poolings)
    return {f"{BAG_OF_CODES}:{pooling}": bag for pooling, bag in bags.items()}


def gpt_features(
    session: Session, coded: CodesOfClips, model_entry: Entry, *, states: Sequence[States] = RESIDUAL, of: str = GPT
) -> Entry:
    """Compute the pooled states of a language model: see `lm.layers.layer_features`. ``of`` is the method."""
    config = {METHOD: of, "compare": {**coded.vectors.network_key, "states": sorted(states)}}
    recipe = Recipe("gpt_features", 2, config=config, inputs={**coded.inputs, "lm": model_entry})

    @one_thread()  # the keys of `wordless probe` do not have the number of threads
    def make(folder: Path) -> None:
        model = LanguageModel.from_pretrained(model_entry.folder, device=str(session.gang.device))
        states_of = partial(layer_features, model, of=states, vectors=coded.vectors)
        write_features(folder, coded.pooled(states_of), of=of)

    return session.obtain(recipe, "states of the GPT", make, files=[FEATURES])


def random_gpt_features(
    session: Session,
    coded: CodesOfClips,
    config: GPTConfig,
    *,
    seed: int,
    states: Sequence[States] = RESIDUAL,
    pitch: Pitch = "beside",
) -> Entry:
    """Compute states of an untrained GPT: a baseline for the architecture without learning.

    It reads codes as the trained GPT does, with the place of ``pitch``.
    """
    compared = {**coded.vectors.network_key, "states": sorted(states)}
    options = {"compare": compared, "lm": {"gpt": config, "fit": {"seed": seed}, "pitch": pitch}}
    recipe = Recipe("random_gpt_features", 2, config=options, inputs=coded.inputs)

    @one_thread()
    def make(folder: Path) -> None:
        model = LanguageModel.create(config, coded.format, seed=seed, pitch=pitch)
        model.gpt.to(session.gang.device).eval()
        states_of = partial(layer_features, model, of=states, vectors=coded.vectors)
        write_features(folder, coded.pooled(states_of), of="random_gpt")

    return session.obtain(recipe, "states of an untrained GPT", make, files=[FEATURES])


def network_features(
    reading: ClipReading,
    method: str,
    version: int,
    reader: LayerReader,
    *,
    layers: int,
    config: Mapping[str, object],
    inputs: Mapping[str, object],
    classifier: Entry | None = None,
) -> Entry:
    """Compute the vectors of each clip by a network, under the keys ``method/layer:pooling``.

    Args:
        reading: the recordings.
        method: the row of the comparison.
        version: of the stage's code, in its recipe.
        reader: of the recordings and the network.
        layers: of the network.
        config: options of the recipe, beside the method.
        inputs: of the recipe.
        classifier: the network with its head; the entry then also has the class probabilities that the head finds in
            the vectors of the last layer: ``scores (clips, classes)``.
    """
    session, clips, vectors = reading.session, reading.manifest.clips, reading.vectors
    recipe = Recipe(f"{method}_features", version, config={METHOD: method, **config}, inputs=inputs)

    def make(folder: Path) -> None:
        pooled = stacked_rows(session.each_together(method, reader, reader.groups(clips)))
        scores = head_scores(classifier.folder, pooled, last=reader.names(layers)[-1]) if classifier else None
        candidates = {key: pooled[key] for key in reader.keys(vectors, layers)}
        write_features(folder, candidates, of=method, scores=scores)

    files = [FEATURES, SCORES] if classifier else [FEATURES]
    return session.obtain(recipe, f"{method} of {len(clips)} clips", make, files=files)


def frame_features(reading: ClipReading, frames: Frames, *, method: str) -> Entry:
    """Compute the frames of each clip, and pool them under the keys ``method:pooling``.

    A clip is in memory as a whole. All folds share the entry. The key contains the options and the source code of the
    function, so that a changed function is computed again; it does not contain the code of functions that it calls.
    """
    session, clips, rate = reading.session, reading.manifest.clips, reading.audio.sample_rate
    config = {"compare": reading.vectors.key, **frames.keywords, "audio": {"sample_rate": rate}}
    function = text_hash(inspect.getsource(frames.func))
    recipe = Recipe(f"{method}_features", 1, config=config, inputs={**reading.sound, "function": function})
    work = partial(_pooled, frames, method, rate, reading.manifest.root, reading.vectors)

    def make(folder: Path) -> None:
        write_features(folder, stacked_rows(session.each(method, work, clips)))

    return session.obtain(recipe, f"{method} of {len(clips)} clips", make, files=[FEATURES])


def _pooled(
    frames: Frames, method: str, sample_rate: int, root: Path, vectors: VectorConfig, clip: Clip
) -> dict[str, FloatArray]:
    def hear(hearing: Hearing) -> dict[str, FloatArray]:
        made = frames(hearing.samples(root, clip, sample_rate))
        require_finite(made, clip, method)
        return {f"{method}:{pooling}": pool(made, pooling) for pooling in vectors.poolings}

    with threadpool_limits(1):  # more threads round sums in another way
        return average(map(hear, hearings(vectors.hearings)))
