"""Run folders of tiny models with random weights: enough to see that the commands do their work."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from lm.gpt import GPTConfig
from lm.model import LanguageModel
from lm.probing.vectors import VECTORS, VectorConfig
from lm.rates import RatesModel
from pipelines.jobs.clips_of_run import find_corpus, read_corpus
from pipelines.settings.run_settings import CorpusCommand
from pipelines.stages.features import ClipReading
from pipelines.stages.listening import Playback, choose_clips
from pipelines.stages.stage_options import ListeningConfig
from pipelines.store.stage import Session
from pipelines.store.store import CachedArtifact, Store, StoreConfig
from tokenizer.autoencoder import Autoencoder, AutoencoderConfig
from tokenizer.codes import Codes, CodesFormat
from tokenizer.parquet import CodedClip, mark_complete, shard_path, write_shard
from tokenizer.rates_tokenizer import RatesTokenizer
from tokenizer.tokenizer import Tokenizer
from tokenizer.tokenizer_config import PatchConfig, TokenizerConfig
from vocoder.vocoder import Vocoder
from vocoder.vocoder_options import WaveNetConfig
from vocoder.wavenet import WaveNet
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.recordings.corpus_config import CorpusConfig
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.base.arrays import FloatArray
from wordless.base.files import file_hash
from wordless.base.progress import Terminal
from wordless.training.fit import Gang

AUDIO = SpectrogramConfig(sample_rate=4000, window_length=100, hop_length=40, n_mels=16)
PATCH = PatchConfig(frames=2)
GPT = GPTConfig(model_dim=8, layers=1, heads=1, ffn_dim=16, context=64, dropout=0.0)
LISTENING = ListeningConfig(
    clips=1,
    evaluated_clips=1,
    seconds=0.1,
    continuation_seconds=0.1,
    temperatures=(1.0,),
    continuations=1,
    unconditional=0,
    top_k=0,
    vocoder_temperature=1.0,
    seed=0,
)


def reading_of(
    manifest: Clips,
    vectors: VectorConfig = VECTORS,
    *,
    sample_rate: int = AUDIO.sample_rate,
) -> ClipReading:
    """What describes the recordings of a manifest."""
    return ClipReading(
        manifest=manifest,
        audio=replace(AUDIO, sample_rate=sample_rate),
        device=torch.device("cpu"),
        vectors=vectors,
    )


def playback_of(
    manifest: Clips,
    tokenizer: CachedArtifact,
    vocoder: CachedArtifact,
    audio: SpectrogramConfig = AUDIO,
    config: ListeningConfig = LISTENING,
) -> Playback:
    """What plays the test clips of a manifest."""
    clips, device = choose_clips(manifest, config.clips, seed=config.seed), torch.device("cpu")
    return Playback(clips=clips, tokenizer=tokenizer, vocoder=vocoder, audio=audio, config=config, device=device)


def tiny_tokenizer(seed: int, *, mels: int | None = None, frames: int = PATCH.frames) -> Tokenizer:
    """Random weights that follow from the seed; ``mels`` per patch: fewer than 16 give several streams."""
    config = TokenizerConfig(
        audio=AUDIO,
        patch=PatchConfig(frames=frames, mels=mels),
        autoencoder=AutoencoderConfig(hidden=8, bottleneck=4),
        codebook_size=8,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = Autoencoder(config.autoencoder, config.patch.frames * config.height)
        return Tokenizer(config, torch.full((16,), -6.0), torch.full((16,), 3.0), autoencoder, 0.3 * torch.randn(8, 4))


def save_tokenizer(run: Path, *, seed: int, mels: int | None = None) -> Tokenizer:
    """A run folder with nothing but a tokenizer."""
    tokenizer = tiny_tokenizer(seed, mels=mels)
    tokenizer.save_pretrained(run / "tokenizer")
    return tokenizer


def save_run(folder: Path, *, seed: int) -> Path:
    """A folder with a tokenizer, a language model and a vocoder that belong together."""
    tokenizer = save_tokenizer(folder, seed=seed)
    LanguageModel.create(GPT, tokenizer.format, seed=seed).save_pretrained(folder / "lm")
    save_vocoder(folder, tokenizer, seed=seed)
    return folder


def save_rates_run(folder: Path, *, seed: int) -> Path:
    """The same at three rates: the finest is that of `save_run`."""
    tokenizers = [tiny_tokenizer(seed, frames=frames) for frames in (8, 4, 2)]
    whole = RatesTokenizer(tokenizers)
    whole.save_pretrained(folder / "tokenizer")
    formats = [CodesFormat.of_rates(whole.format.formats[:number]) for number in (1, 2, 3)]
    RatesModel([LanguageModel.create(GPT, each, seed=seed) for each in formats]).save_pretrained(folder / "lm")
    save_vocoder(folder, tokenizers[-1], seed=seed)
    return folder


def save_vocoder(folder: Path, tokenizer: Tokenizer, *, seed: int) -> None:
    wavenet = WaveNetConfig(
        sample_rate=AUDIO.sample_rate,
        hop_length=AUDIO.hop_length,
        n_mels=AUDIO.n_mels,
        patch_frames=PATCH.frames,
        residual_channels=4,
        gate_channels=8,
        skip_channels=8,
        layers=2,
        cycles=1,
        condition_channels=4,
        groups=("anna", "ben"),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        Vocoder(WaveNet(wavenet), tokenizer.format.tokenizer).save_pretrained(folder / "vocoder")


def write_clip(root: Path, name: str, samples: FloatArray, rate: int = AUDIO.sample_rate, **columns: Any) -> Clip:
    """Write a recording below ``root``, and describe it."""
    path = root / name
    soundfile.write(path, samples, rate)
    size, sha256 = path.stat().st_size, file_hash(path)
    return Clip(path=name, num_samples=len(samples), sample_rate=rate, size=size, sha256=sha256, **columns)


def sweep(seconds: float, sample_rate: int, *, low: float = 200) -> FloatArray:
    """A tone that rises by two octaves."""
    time = np.linspace(0, seconds, round(seconds * sample_rate), endpoint=False)
    phase = 2 * np.pi * low * seconds / np.log(4) * (4 ** (time / seconds) - 1)
    tone: FloatArray = (0.3 * np.sin(phase)).astype(np.float32)
    return tone


def session_of(place: Path, *, workers: int = 1, silent: bool = False) -> Session:
    """A session of this process alone, with a store and a run folder in a place."""
    gang, terminal = Gang(torch.device("cpu")), Terminal(silent=silent)
    return Session(store=Store(place / "store"), gang=gang, terminal=terminal, folder=place / "run", workers=workers)


silent_session = partial(session_of, silent=True)


def parts_of(run: Path, *parts: str) -> list[CachedArtifact]:
    """Artifacts whose folders are those of the models of a run folder."""
    return [
        CachedArtifact(stage=part, key=part, place=run / part, reused=True)
        for part in parts or ("tokenizer", "vocoder")
    ]


def codes_entry(folder: Path, recordings: Sequence[Codes]) -> CachedArtifact:
    """An artifact with the codes of recordings."""
    folder.mkdir()
    clips = [CodedClip(path=f"{number:03d}.wav", codes=codes) for number, codes in enumerate(recordings)]
    write_shard(shard_path(folder, 0), clips, recordings[0].format)
    mark_complete(folder, shards=1, clips=len(clips))
    return CachedArtifact(stage="codes", key=folder.name, place=folder, reused=True)


def corpus_of(config: CorpusConfig, store: Path, *, printed: bool = False, **more: Any) -> Clips:
    """The corpus that a run would read, with its lists in a store."""
    gang, terminal = Gang(torch.device("cpu")), Terminal(silent=not printed)
    settings = CorpusCommand(corpus=config, store=StoreConfig(root=store), workers=1)
    found = find_corpus(config, settings, require=None, terminal=terminal)
    return read_corpus(found, settings, gang=gang, terminal=terminal, **{"audio": "mean", **more})


_WAVENET = ("residual_channels=8", "gate_channels=16", "skip_channels=8", "layers=4")
SAMPLES = (
    *("stages=[next_sample,report]", "next_sample=tiny", "threads=1"),
    *(f"next_sample.{name}.{size}" for name in ("wavenet", "wavenet_large") for size in _WAVENET),
    *("next_sample.transformer.model_dim=8", "next_sample.transformer.layers=2", "next_sample.transformer.ffn_dim=12"),
    *("next_sample.transformer.context_ms=2", "next_sample.transformer_context.ffn_dim=12"),
    *("next_sample.transformer_context.context.strides=[4,4]", "next_sample.transformer_context.context.layers=2"),
    *("next_sample.crops.batch_size=2", "next_sample.crops.samples=60"),
    *("next_sample.fit.steps=8", "next_sample.fit.validate_every=4", "next_sample.fit.warmup_steps=2"),
    "next_sample.sounds.seconds=0.01",
)
