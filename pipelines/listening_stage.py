"""Test clips, Griffin-Lim, WaveNet and continuations: sounds to listen to, with their figures and pictures."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from audio.errors import InputError
from audio.manifest import Clip, Manifest, Split, audio_hash
from audio.reading import read_beginning
from audio.waveform import Waveform
from lm.model import LanguageModel
from lm.sampling import Sampling
from pipelines.choosing import drawn
from pipelines.session import Session
from pipelines.speaker import missing_mean
from pipelines.store import Entry, Recipe, write_json
from tokenizer.codes import Codes, joined
from tokenizer.tokenizer import Tokenizer
from vocoder import griffin_lim
from vocoder.metrics import code_agreement, log_mel_distance, sound_levels
from vocoder.vocoder import Vocoder

HEARD: tuple[Split, ...] = ("test",)


@dataclass(frozen=True, kw_only=True)
class ListeningConfig:
    """What is made to listen to.

    Raises:
        InputError: a value is out of range.
    """

    clips: int  # test clips
    seconds: float  # of each, at most
    continuation_seconds: float
    temperature: float  # of the language model
    top_k: int
    vocoder_temperature: float
    seed: int

    def __post_init__(self) -> None:
        for name in ("clips", "seconds", "continuation_seconds"):
            if getattr(self, name) <= 0:
                raise InputError(f"listening.{name} is {getattr(self, name)}; it must be positive")
        for name in ("temperature", "top_k", "vocoder_temperature", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"listening.{name} is {getattr(self, name)}; it must be 0 or more")


def listening(
    session: Session,
    manifest: Manifest,
    tokenizer_entry: Entry,
    vocoder_entry: Entry,
    model_entry: Entry | None,
    config: ListeningConfig,
) -> Entry:
    """WAV files, their figures, and spectrograms; continuations where there is a language model."""
    clips = drawn(manifest.of("test"), config.clips, seed=config.seed)
    recipe = Recipe(
        stage="listening",
        version=2,
        config={**asdict(config), "groups": [clip.group for clip in clips]},
        inputs={
            "tokenizer": tokenizer_entry.key,
            "vocoder": vocoder_entry.key,
            "lm": model_entry.key if model_entry else "",
            "manifest": audio_hash(manifest, HEARD),
        },
    )

    def make(folder: Path) -> None:
        device = str(session.gang.device)
        tokenizer = Tokenizer.from_pretrained(tokenizer_entry.folder, device=device)
        vocoder = Vocoder.from_pretrained(vocoder_entry.folder, device=device)
        if notice := missing_mean(tokenizer):
            session.terminal.say(f"listening {notice}")
        rate = tokenizer.config.audio.sample_rate
        originals = [read_beginning(manifest.root / clip.path, rate, config.seconds, part=clip.part) for clip in clips]
        codes = [tokenizer.encode(original) for original in originals]
        continued = _continuations(model_entry, codes, config, device)
        spoken = _spoken(session, vocoder, tokenizer, clips, [*codes, *continued], config)
        made = {
            "original": originals,
            "griffin_lim": [griffin_lim.decode(each, tokenizer, tokenizer.config.audio) for each in codes],
            "wavenet": spoken[: len(codes)],
            "continuation": spoken[len(codes) :],
        }
        for kind, waveforms in made.items():
            for number, waveform in enumerate(waveforms):
                waveform.write(folder / f"{number}_{kind}.wav")
        save_file(_pictures(tokenizer, originals, codes), folder / "pictures.safetensors")
        write_json(folder / "listening.json", {"clips": _about(clips, made, codes, tokenizer)})

    return session.obtain(recipe, f"{config.clips} test clips decoded and continued", make)


def _spoken(
    session: Session,
    vocoder: Vocoder,
    tokenizer: Tokenizer,
    clips: Sequence[Clip],
    codes: Sequence[Codes],
    config: ListeningConfig,
) -> list[Waveform]:
    """WaveNet's sounds of the clips' codes, then of their continuations, in each clip's own voice where it is known."""
    groups = [clip.group if clip.group in vocoder.model.config.groups else None for clip in clips]
    with session.terminal.working("generating sound", 1, "samples") as progress:
        return vocoder.decode_batch(
            codes,
            tokenizer,
            groups=[groups[index % len(groups)] for index in range(len(codes))],
            temperature=config.vocoder_temperature,
            seed=config.seed,
            progress=progress.advance_to,
        )


def _continuations(
    model_entry: Entry | None, codes: Sequence[Codes], config: ListeningConfig, device: str
) -> list[Codes]:
    """The first half of each clip and what the language model says next, as codes of one sound."""
    if model_entry is None:
        return []
    prompts = [each.crop(0, max(each.num_samples // each.format.samples_per_code // 2, 1)) for each in codes]
    continued = LanguageModel.from_pretrained(model_entry.folder, device=device).generate_batch(
        prompts,
        seconds=config.continuation_seconds,
        sampling=Sampling(temperature=config.temperature, top_k=config.top_k),
        seed=config.seed,
    )
    return [joined(prompt, more) for prompt, more in zip(prompts, continued, strict=True)]


def _about(
    clips: Sequence[Clip], made: dict[str, list[Waveform]], codes: Sequence[Codes], tokenizer: Tokenizer
) -> list[dict[str, object]]:
    """For each clip, the figures of each of its sounds."""
    rows: list[dict[str, object]] = []
    for number, clip in enumerate(clips):
        sounds = {kind: waveforms[number] for kind, waveforms in made.items() if number < len(waveforms)}
        figures = {kind: dict(asdict(sound_levels(sound))) for kind, sound in sounds.items()}
        for kind in ("griffin_lim", "wavenet"):
            figures[kind]["log_mel_distance"] = log_mel_distance(
                made["original"][number], sounds[kind], tokenizer.config.audio
            )
            figures[kind]["code_agreement"] = code_agreement(codes[number], tokenizer.encode(sounds[kind]))
        rows.append({"path": clip.path, "sounds": figures})
    return rows


@torch.inference_mode()
def _pictures(tokenizer: Tokenizer, originals: Sequence[Waveform], codes: Sequence[Codes]) -> dict[str, Tensor]:
    """Normalised log-mel ``(time, mels)``: original, through the autoencoder, through the codebook; and the codes."""
    pictures = {}
    for number, (original, each) in enumerate(zip(originals, codes, strict=True)):
        padded = np.zeros(len(each.values) * each.format.samples_per_code, np.float32)
        padded[: len(original.samples)] = original.samples
        spectrogram = tokenizer.normalise(tokenizer.log_mel(torch.from_numpy(padded)[None]))
        pictures[f"{number}:original"] = spectrogram[0]
        pictures[f"{number}:autoencoder"] = tokenizer.decode_bottlenecks(tokenizer.bottlenecks(spectrogram))[0]
        pictures[f"{number}:codebook"] = tokenizer.spectrogram(torch.from_numpy(each.values)[None])[0]
        pictures[f"{number}:codes"] = torch.from_numpy(each.values)
    return {name: picture.contiguous() for name, picture in pictures.items()}
