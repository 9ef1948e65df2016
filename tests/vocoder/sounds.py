"""Tiny data for the vocoder's tests: a table that says what codes mean, and sounds with their codes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from tokenizer.code_decoder import CodeDecoderNetwork, DecoderConfig
from tokenizer.code_decoder import inputs as decoder_inputs
from tokenizer.codes import CodeDecoder, Codes, CodesFormat, PitchFormat
from vocoder.crops import SampleClips, VocoderClips
from vocoder.filters import VoiceHead
from vocoder.vocoder_options import WaveNetConfig
from vocoder.wavenet import WaveNet, create_wavenet
from wordless.audio.audio_options import SpectrogramConfig

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "fsdd" / "recordings"
SPECTROGRAM = SpectrogramConfig(sample_rate=8000, window_length=200, hop_length=80, n_mels=20)
PATCH_FRAMES = 2
SAMPLES_PER_CODE = PATCH_FRAMES * SPECTROGRAM.hop_length
MEAN, SCALE = -6.0, 3.0


class Table:
    """What codes mean, by a table of patches (codebook_size, patch_frames, mels)."""

    def __init__(self, patches: Tensor, *, tokenizer: str = "tok-1", codebook: str = "book-1") -> None:
        self.patches = patches
        self.front_end = SPECTROGRAM
        self.gain = 0.0
        self.decoder: CodeDecoderNetwork | None = None
        self.patch_frames = patches.shape[1]
        self.format = CodesFormat(
            codebook_size=len(patches),
            streams=1,
            samples_per_code=self.patch_frames * SPECTROGRAM.hop_length,
            sample_rate=SPECTROGRAM.sample_rate,
            tokenizer=tokenizer,
            codebook=codebook,
        )

    @property
    def reach(self) -> int:
        return self.decoder.config.reach if self.decoder else 0

    @torch.inference_mode()  # as a tokenizer's are made
    def spectrogram(self, values: Tensor, *, before: int = 0, after: int = 0) -> Tensor:
        alone = self.patches[values[:, :, 0]]  # (N, T, P, M)
        if self.decoder is None:
            return alone[:, before : values.shape[1] - after].flatten(1, 2)
        read = decoder_inputs(alone.flatten(2), None)
        patches = torch.stack([self.decoder.decode(each, before=before, after=after) for each in read])
        return patches.unflatten(2, alone.shape[2:]).flatten(1, 2)

    def denormalise(self, spectrogram: Tensor) -> Tensor:
        return spectrogram * SCALE + MEAN

    def codes(self, values: list[int], num_samples: int | None = None) -> Codes:
        length = len(values) * self.format.samples_per_code if num_samples is None else num_samples
        return Codes(values=np.array(values, dtype=np.int32)[:, None], num_samples=length, format=self.format)


def random_table(size: int = 12, **fingerprints: str) -> Table:
    generator = torch.Generator().manual_seed(0)
    return Table(torch.randn(size, PATCH_FRAMES, SPECTROGRAM.n_mels, generator=generator), **fingerprints)


def in_context(table: Table) -> Table:
    """The same table, of codes that a random network decodes in context."""
    table.decoder = random_decoder(table.patches[0].numel())
    return table


def random_decoder(patch: int, *, seed: int = 0) -> CodeDecoderNetwork:
    """A decoder of 3 codes on each side, each of whose weights matters."""
    decoder, generator = (
        CodeDecoderNetwork(DecoderConfig(channels=8, dilations=(2,)), patch),
        torch.Generator().manual_seed(seed),
    )
    for weight in decoder.parameters():
        weight.data = 0.1 * torch.randn(weight.shape, generator=generator)
    return decoder.eval()


def with_pitch(table: Table) -> Table:
    """The same table, of codes with a stream of pitch."""
    pitch = PitchFormat(levels=9, lowest=100.0, highest=200.0)
    table.format = replace(table.format, streams=2, codebook="with pitch", pitch=pitch)
    return table


def voice_head(octaves: float, *, voicing: float = 1.0, seed: int | None = None) -> VoiceHead:
    """A head whose pitch is constant, or depends a little on the log-mel and its running mean."""
    inputs = 2 * SPECTROGRAM.n_mels
    slopes = np.zeros(inputs) if seed is None else 0.01 * np.random.default_rng(seed).standard_normal(inputs)
    return VoiceHead(voicing=(voicing, *([0.0] * inputs)), octaves=(octaves, *map(float, slopes)))


def lively(config: WaveNetConfig) -> WaveNet:
    """A network whose levels differ in probability, so that a wrong logit shows."""
    model = create_wavenet(config, seed=0)
    torch.nn.init.normal_(model.output.weight, std=0.5, generator=torch.Generator().manual_seed(0))
    return model.eval()


def tiny_config(**changes: object) -> WaveNetConfig:
    values: dict[str, object] = {
        "sample_rate": SPECTROGRAM.sample_rate,
        "hop_length": SPECTROGRAM.hop_length,
        "n_mels": SPECTROGRAM.n_mels,
        "patch_frames": PATCH_FRAMES,
        "residual_channels": 12,
        "gate_channels": 16,
        "skip_channels": 20,
        "layers": 6,
        "cycles": 2,
        "condition_channels": 16,
    }
    return WaveNetConfig(**(values | changes))  # type: ignore[arg-type]  # a test's shorthand


def vocoder_clips(
    samples: np.ndarray, codes: np.ndarray, meanings: CodeDecoder, lengths: Sequence[int], *, group: int = 0
) -> VocoderClips:
    """Clips of so many samples, whose sound and codes lie one after the other."""
    return VocoderClips(
        sound=SampleClips(samples=samples.astype(np.int16), offsets=np.cumsum([0, *lengths])),
        codes=codes.astype(np.int32),
        meanings=meanings,
        code_offsets=np.cumsum([0, *map(meanings.format.steps, lengths)]),
        groups=np.full(len(lengths), group),
    )


def noise(count: int, seed: int = 0, *, level: float = 0.1) -> np.ndarray:
    """White noise of so many samples."""
    return np.random.default_rng(seed).normal(0, level, count).astype(np.float32)


def buzz(hertz: float, count: int, rate: int = SPECTROGRAM.sample_rate) -> np.ndarray:
    """A tone of so many samples with overtones, as a voice has."""
    times = np.arange(count) / rate
    return sum(0.15 / n * np.sin(2 * np.pi * n * hertz * times + n) for n in range(1, 9)).astype(np.float32)


def recordings(count: int) -> list[np.ndarray]:
    """Real digits where the data lie beside the project, else tones of falling pitch."""
    if RECORDINGS.is_dir():
        return [soundfile.read(path, dtype="int16")[0] for path in sorted(RECORDINGS.glob("*_5.wav"))[:count]]
    seconds = np.arange(4000) / SPECTROGRAM.sample_rate
    tones = [np.sin(2 * np.pi * (200 + 40 * index - 100 * seconds) * seconds) for index in range(count)]
    return [(tone * 8000).astype(np.int16) for tone in tones]
