"""Codes of recordings and of their views, and features: one vector per clip for each compared representation.

The artifact of a stage of features holds ``features.safetensors``: tensors ``(clips, dim)``, rows in the order of the
manifest, named ``method[/layer]:pooling``.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lm.gpt import GPTConfig
from lm.model import LOOK_AHEAD, LanguageModel, layer_features
from lm.probing.vectors import (
    POOLINGS,
    RESIDUAL,
    VECTORS,
    Pooling,
    RunningPools,
    States,
    VectorConfig,
    average,
    bags_of_codes,
    pool,
    read_features,
)
from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.store import CachedArtifact, note_finished
from pipelines.store.stored_features import GPT_METHOD, joined_rows, stacked_rows, write_features
from tokenizer.codes import Codes, CodesFormat, join_rates
from tokenizer.encoder import Encoder, encode
from tokenizer.parquet import mark_complete, read_codes, shard_path, write_shard
from tokenizer.tokenizer_config import front_end_fingerprint
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.recordings.inspection import require_finite_samples
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.audio.spectrogram import subtract_mean
from wordless.audio.views import AS_RECORDED, Noise, View, Views, compared_views, fixed_augmentations
from wordless.base.arrays import FloatArray
from wordless.base.compiling import importing
from wordless.base.files import file_hash
from wordless.base.messages import InputError
from wordless.base.threads import limit_pools, one_thread

BAG_OF_CODES = "bag_of_codes"  # the method
ROWS_AT_ONCE = 1 << 15  # whose codes are in memory; batches of a GPT do not reach across them, so it decides last bits
CodesVectors = Callable[[Sequence[Codes]], Mapping[str, FloatArray]]  # a row for each recording
MakeFrames = partial[FloatArray]  # of a function of a module: samples (num_samples,) -> (time, dims)
VIEWS_PER_SHARD = 500
VIEWS_TOGETHER = 50  # that a GPU encodes at once; a CPU encodes the views of one clip


@stage("codes", title="encoding {clips} clips")
def codes(run: StageRun, clips: Clips, tokenizer: CachedArtifact) -> None:
    """Encode every clip."""
    _encode(run, Views(root=clips.root, views=compared_views(clips)), tokenizer)


@stage("codes_of_views", title="encoding {views} views of the clips")
def codes_of_views(run: StageRun, views: Views, tokenizer: CachedArtifact) -> None:
    """Encode views of the clips; they have side streams if all of them are encoded from samples."""
    _encode(run, views, tokenizer, side_streams=not any(view.change.of_log_mel for view in views.views))


@stage("views", title="encoding {views} changed copies of training clips")
def training_views(run: StageRun, views: Views, tokenizer: CachedArtifact) -> None:
    """Encode changed copies of training clips, without the side streams, which no GPT reads."""
    _encode(run, views, tokenizer, side_streams=False)


def _encode(run: StageRun, of: Views, tokenizer: CachedArtifact, *, side_streams: bool = True) -> None:
    views, has_segments = of.views, any(view.clip.segment is not None for view in of.views)
    device = run.gang.device
    encoder = Encoder(folder=tokenizer.folder, root=of.root, device=str(device), side_streams=side_streams)
    shards = [views[start : start + VIEWS_PER_SHARD] for start in range(0, len(views), VIEWS_PER_SHARD)]
    files = {shard_path(run.folder, number): shard for number, shard in enumerate(shards)}
    missing = {file: shard for file, shard in files.items() if not file.exists()}
    jobs = [job for shard in missing.values() for job in _together(shard, device)]
    coded = run.each_together("encoding", partial(encode, encoder), jobs)
    for file, shard in missing.items():
        write_shard(file, islice(coded, len(shard)), encoder.format, segments=has_segments)
        note_finished(file)
    next(coded, None)  # ends the workers
    mark_complete(run.folder, shards=len(shards), clips=len(views))


def _together(views: Sequence[View], device: torch.device) -> list[Sequence[View]]:
    if device.type == "cpu":
        return [[*group] for _, group in groupby(views, attrgetter("clip.name"))]
    return [views[first : first + VIEWS_TOGETHER] for first in range(0, len(views), VIEWS_TOGETHER)]


@dataclass(frozen=True, kw_only=True)
class ClipReading:
    """The recordings that methods describe, the front end, and how clips become vectors."""

    manifest: Clips
    audio: SpectrogramConfig
    device: torch.device  # of the models that describe them; it decides no key
    vectors: VectorConfig = VECTORS
    noises: tuple[Noise, ...] = ()  # test clips have more rows, with each
    noise_recordings: Mapping[str, Sequence[Clip]] = field(default_factory=dict)  # of the noises that have a folder

    @cached_property
    def views(self) -> list[View]:
        """The views of each row of features, one after the other; over these, vectors are averaged."""
        changes = fixed_augmentations(self.vectors.test_time_augmentation, self.audio.dynamic_range)
        return compared_views(self.manifest, changes, self.noises, self.noise_recordings)

    @cached_property
    def key(self) -> dict[str, object]:
        """The sound of the views, in whichever splits clips stand, and how each becomes a vector."""
        return {"views": Views(root=self.manifest.root, views=self.views), "vectors": self.vectors}

    @property
    def title(self) -> str:
        return f"{len(self.manifest.clips)} clips" + (f" in {len(self.views)} views" if self.others else "")

    @cached_property
    def others(self) -> list[View]:
        """The views that are not clips as they are."""
        return [view for view in self.views if view.change != AS_RECORDED]

    def coded_in(self, session: Session, tokenizer: CachedArtifact, codes: CachedArtifact) -> "CodedViews":
        """Return the codes of the views; ``codes`` are those of the clips as they are."""
        views = Views(root=self.manifest.root, views=self.others)
        others = codes_of_views(session, views, tokenizer) if self.others else None
        return CodedViews(codes=codes, others=others, vectors=self.vectors)

    def encoder(self, tokenizer: CachedArtifact) -> Encoder:
        return Encoder(folder=tokenizer.folder, root=self.manifest.root, device=str(self.device))

    def __getstate__(self) -> dict[str, object]:
        """Leave out what follows from the fields: other processes make it again where they read it."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def stacked(self, vectors: Iterable[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
        """Average the vectors ``(dim,)`` of the views of each row, and stack them to ``(rows, dim)``."""
        remaining = iter(vectors)
        rows = iter(lambda: [*islice(remaining, self.vectors.test_time_augmentation)], [])
        return stacked_rows(map(average, rows))


_WHOLE = 2  # frames: the end of a recording's log-mel is made a multiple of them, whatever patches its codes have


def log_mel_features(session: Session, reading: ClipReading, tokenizer: CachedArtifact) -> CachedArtifact:
    """Compute pooled log-mel. Of the tokenizer it reads the front end, and mean and deviation, and no patch."""
    front_end = front_end_fingerprint(tokenizer.folder)
    work = partial(log_mel_vectors, reading.encoder(tokenizer))
    return _pooled_views(session, reading, "log_mel", work, front_end)


def bottleneck_features(
    session: Session, reading: ClipReading, tokenizer: CachedArtifact, autoencoder: str
) -> CachedArtifact:
    """Compute pooled bottlenecks, the same for every codebook of an autoencoder, whose key or fingerprint is given."""
    work = partial(bottleneck_vectors, reading.encoder(tokenizer))
    return _pooled_views(session, reading, "bottleneck", work, autoencoder)


@stage("{method}_features", title="{method} of {reading.title}", keys={"work": lambda work: None})
def _pooled_views(
    run: StageRun, reading: ClipReading, method: str, work: Callable[..., dict[str, FloatArray]], decides: object
) -> None:
    """Pool what ``work`` computes of each view; ``decides`` is what else decides it."""
    pool_view = partial(work, poolings=reading.vectors.poolings)
    write_features(run.folder, reading.stacked(run.each(method, pool_view, reading.views)))


@torch.inference_mode()
def log_mel_vectors(encoder: Encoder, view: View, *, poolings: Sequence[Pooling] = POOLINGS) -> dict[str, FloatArray]:
    """Pool the normalised log-mel of a view, while it is read.

    With ``audio.remove_mean`` there are two versions: the tokenizer's (of ``clip`` without its constant mean), and the
    recorded one above the front end's floor, so that its largest magnitude is its loudest frame.
    """
    tokenizer, audio = encoder.tokenizer, encoder.tokenizer.config.audio
    twice, floor = audio.remove_mean != "none", math.log(audio.floor)
    own, recorded = "log_mel/as_heard" if twice else "log_mel", "log_mel/as_recorded"
    frames = encoder.num_patches(view, _WHOLE) * _WHOLE
    pools = RunningPools({own: frames, **({recorded: frames} if twice else {})}, poolings)

    def above_floor() -> Iterator[Tensor]:
        for piece in encoder.log_mel(view, _WHOLE):
            if twice:
                pools.add(recorded, piece.cpu().numpy() - floor)
            yield piece

    for piece in subtract_mean(above_floor(), audio.remove_mean):
        pools.add(own, tokenizer.normalise(piece.to(tokenizer.mean.device)).cpu().numpy())
    features = pools.pooled
    if audio.remove_mean == "clip":
        features.pop(f"{own}:mean", None)
    require_finite_samples(np.concatenate([*features.values()]), view.clip, "pooled log-mel")
    return features


def bottleneck_vectors(
    encoder: Encoder, view: View, *, poolings: Sequence[Pooling] = POOLINGS
) -> dict[str, FloatArray]:
    """Pool the bottlenecks of a view, while it is read."""
    patch_frames = encoder.tokenizer.patch_frames
    pools = RunningPools({"bottleneck": encoder.num_patches(view, patch_frames)}, poolings)
    for _, bottlenecks in encoder.tokenizer.signals(encoder.log_mel(view, patch_frames)):
        pools.add("bottleneck", bottlenecks.cpu().numpy())
    features = pools.pooled
    require_finite_samples(np.concatenate([*features.values()]), view.clip, "pooled bottlenecks")
    return features


@dataclass(frozen=True, kw_only=True)
class CodedViews:
    """The codes of the views of `ClipReading`."""

    codes: CachedArtifact  # of the clips as they are
    others: CachedArtifact | None = None  # of `codes_of_views`; None: there are no other views
    vectors: VectorConfig = VECTORS
    coarser: tuple["CodedViews", ...] = ()  # the same views at coarser rates, coarse to fine

    @property
    def format(self) -> CodesFormat:
        formats = [read_codes(each.codes.folder)[0] for each in (*self.coarser, self)]
        return CodesFormat.of_rates(formats) if self.coarser else formats[0]

    def pooled(self, session: Session, pool_views: CodesVectors) -> dict[str, FloatArray]:
        """Pool the codes of the views, those of `ROWS_AT_ONCE` rows at a time, and average the vectors of each row."""
        rates = zip(*(each._of_own_rate() for each in (*self.coarser, self)), strict=True)
        views, together = map(join_rates, rates), self.vectors.test_time_augmentation
        blocks = iter(lambda: [*islice(views, ROWS_AT_ONCE * together)], [])
        return joined_rows(average(pool_views(block[each::together]) for each in range(together)) for block in blocks)

    def _of_own_rate(self) -> Iterator[Codes]:
        """Give the codes of each row: of a clip as it is, then of its other views."""
        others = (clip.codes for clip in read_codes(self.others.folder)[1]) if self.others else iter(())
        for clip in read_codes(self.codes.folder)[1]:
            yield clip.codes
            yield from islice(others, self.vectors.test_time_augmentation - 1)
        yield from others  # of clips with noise


@stage("code_features", title="bags of codes")
def code_features(run: StageRun, coded: CodedViews, *, of: str = BAG_OF_CODES) -> None:
    """Compute the bag of codes: each code's share of the time. ``of`` is the method."""
    poolings = coded.vectors.poolings

    def bags(clips: Sequence[Codes]) -> dict[str, FloatArray]:
        vectors = [bags_of_codes(codes, poolings) for codes in clips]
        return {f"{of}:{each}": np.stack([own[each] for own in vectors]) for each in poolings}

    write_features(run.folder, coded.pooled(run, bags))


def bag_features(encoder: Encoder, view: View, *, poolings: Sequence[Pooling] = POOLINGS) -> dict[str, FloatArray]:
    """Encode a view and compute its bag of codes, as `code_features` does of stored codes."""
    bags = bags_of_codes(encode(encoder, [view])[0].codes, poolings)
    return {f"{BAG_OF_CODES}:{pooling}": bag for pooling, bag in bags.items()}


@dataclass(frozen=True, kw_only=True)
class UntrainedGPT:
    """A GPT with random weights, which reads codes as the trained one: a baseline without learning."""

    gpt: GPTConfig
    seed: int
    look_ahead: int = LOOK_AHEAD  # of an upsampler


@stage("{of}_features", title="states of {of}")
@one_thread()  # the keys of `wordless probe` do not have the number of threads
def gpt_features(
    run: StageRun,
    coded: CodedViews,
    lm: CachedArtifact | UntrainedGPT,
    *,
    states: Sequence[States] = RESIDUAL,
    of: str = GPT_METHOD,
) -> None:
    """Compute the pooled states of a language model: see `lm.model.layer_features`. ``of`` is the method."""
    if isinstance(lm, CachedArtifact):
        model = LanguageModel.from_pretrained(lm.folder, device=str(run.gang.device))
    else:
        model = LanguageModel.create(lm.gpt, coded.format, seed=lm.seed, look_ahead=lm.look_ahead)
        model.gpt.to(run.gang.device).eval()
    with run.terminal.working(f"states of {of}", 1, "windows") as progress:
        states_of = partial(layer_features, model, of=states, vectors=coded.vectors, progress=progress.advance_to)
        found = coded.pooled(run, states_of)
    write_features(run.folder, found, of=of)


# Frames of a whole clip that need no training: MFCC, the classical features of speech; and for music chroma, the energy
# of each of the twelve pitch classes.
COEFFICIENTS = 20
_N_MELS = 40


def mfcc_frames(samples: FloatArray, *, sample_rate: int, window_length: int, hop_length: int) -> FloatArray:
    """Compute coefficients and their deltas ``(time, 40)`` of samples ``(num_samples,)``."""
    with importing("librosa.feature.spectral"):
        from librosa.feature import delta, mfcc

    n_fft = 1 << (window_length - 1).bit_length()
    padded = np.pad(samples, (0, max(n_fft - len(samples), 0)))
    coefficients = mfcc(
        y=padded,
        sr=sample_rate,
        n_mfcc=COEFFICIENTS,
        n_mels=_N_MELS,
        n_fft=n_fft,
        win_length=window_length,
        hop_length=hop_length,
    )
    deltas = delta(coefficients, mode="nearest")
    frames: FloatArray = np.concatenate([coefficients, deltas]).T.astype(np.float32)
    return frames


_WINDOW_SECONDS = 0.128  # long enough to part neighbouring semitones from about 130 Hz up


def chroma_frames(samples: FloatArray, *, sample_rate: int, hop_length: int) -> FloatArray:
    """Compute chroma ``(time, 12)`` of samples ``(num_samples,)``, for a tuning of A4 to 440 Hz."""
    with importing("librosa.feature.spectral"):
        from librosa.feature import chroma_stft

    n_fft = 1 << (round(_WINDOW_SECONDS * sample_rate) - 1).bit_length()
    padded = np.pad(samples, (0, max(n_fft - len(samples), 0)))
    chroma = chroma_stft(y=padded, sr=sample_rate, n_fft=n_fft, hop_length=hop_length, tuning=0.0)
    frames: FloatArray = chroma.T.astype(np.float32)
    return frames


def _mfcc_of(audio: SpectrogramConfig) -> partial[FloatArray]:
    rate, window, hop = audio.sample_rate, audio.window_length, audio.hop_length
    return partial(mfcc_frames, sample_rate=rate, window_length=window, hop_length=hop)


def _chroma_of(audio: SpectrogramConfig) -> partial[FloatArray]:
    return partial(chroma_frames, sample_rate=audio.sample_rate, hop_length=audio.hop_length)


# method -> its function of samples, for the rate, window and hop of a front end
FRAMES: Mapping[str, Callable[[SpectrogramConfig], partial[FloatArray]]] = {"mfcc": _mfcc_of, "chroma": _chroma_of}


def frame_features(session: Session, reading: ClipReading, frames: MakeFrames, *, method: str) -> CachedArtifact:
    """Compute the frames of each clip, and pool them under the keys ``method:pooling``.

    The key has the function's options and source code, not that of functions it calls.
    """
    rate = reading.audio.sample_rate
    work = partial(frame_vectors, frames, method, rate, reading.manifest.root)
    decides = [inspect.getsource(frames.func), frames.keywords, rate]
    return _pooled_views(session, reading, method, work, decides)


def frame_vectors(
    frames: MakeFrames, method: str, sample_rate: int, root: Path, view: View, *, poolings: Sequence[Pooling]
) -> dict[str, FloatArray]:
    """Pool the frames of a view."""
    with limit_pools(1):  # more threads round sums in another way
        made = frames(view.samples(root, sample_rate))
    require_finite_samples(made, view.clip, method)
    return {f"{method}:{pooling}": pool(made, pooling) for pooling in poolings}


@dataclass(frozen=True)
class VectorFile:
    """A file with features, as it is when its hash is first asked for."""

    path: Path

    @cached_property
    def key(self) -> str:
        return file_hash(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def require_unchanged(self) -> None:
        if file_hash(self.path) != self.key:
            remedy = "call the same command again, and let no other program write there meanwhile"
            raise InputError(f"{self.path} has changed since this command found it", remedy=remedy)


@stage("own_features", title="{name} of {clips} clips from {file}")
def own_features(run: StageRun, name: str, clips: Sequence[str], file: VectorFile) -> None:
    """Store features of clips that another program wrote into a file; ``name`` is the method."""
    arrays = read_features(file.path).ordered(clips)
    file.require_unchanged()
    keys = {key: key if ":" in key else f"{key}:given" for key in arrays}  # the user chose the pooling
    write_features(run.folder, {f"{name}/{keys[key]}": values for key, values in arrays.items()})
