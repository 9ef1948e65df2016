"""The whole idea on one page: recordings -> codes -> language model -> probe -> sound. Read it from top to bottom.

    python -m pipelines.story FOLDER OUTPUT     # WAV files; the name of the folder of each is its label

``wordless run`` does the same, and what trust needs besides: it resumes, holds out whole speakers, compares with
baselines, gives intervals, and writes a report. Here every step stands in the order in which it happens, with nothing
between: no store, no plan, no file of options.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from lm.gpt import GPTConfig
from lm.model import LanguageModel
from tokenizer.autoencoder import Autoencoder
from tokenizer.autoencoder_training import normalised_patches
from tokenizer.codes import Codes
from tokenizer.frame_sample import draw_sample
from tokenizer.kmeans import by_loudness, fit_codebook
from tokenizer.tokenizer import Tokenizer
from tokenizer.tokenizer_config import TokenizerConfig
from vocoder.crops import bands_of
from vocoder.vocoder import Vocoder
from vocoder.wavenet import as_it_is, transferred
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.reading import read
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import Waveform

AUDIO = SpectrogramConfig()  # 16 kHz, 80 mel bands, a frame each 10 ms
_VOICE = Path(__file__).parents[1] / "vocoder/universal/16000"  # weights that ship: they read any codes of this log-mel


def train_autoencoder(patches: Tensor, config: TokenizerConfig, *, steps: int) -> Autoencoder:
    """Learn to pass patches ``(patches, frames * mels)`` through a bottleneck of 64 numbers."""
    model = Autoencoder(config.autoencoder, patches.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(steps):
        batch = patches[torch.randint(len(patches), (256,))]
        loss = torch.nn.functional.mse_loss(model(batch), batch)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return model


def learn_codes(sounds: Sequence[Waveform], *, codebook_size: int, steps: int) -> Tokenizer:
    """Learn the codes of sound: log-mel, patches of two frames, bottlenecks, k-means."""
    config = TokenizerConfig(audio=AUDIO, codebook_size=codebook_size)
    log_mel, frames = LogMel(AUDIO), config.patch.frames
    # Statistics and patches of all recordings; each mel band gets mean 0 and deviation 1, or the loud ones would decide
    # alone what the autoencoder learns.
    spectrograms = [log_mel(torch.from_numpy(sound.samples)[None])[0] for sound in sounds]
    sample = draw_sample(
        ((each, None) for each in spectrograms), frames=frames, n_mels=AUDIO.n_mels, capacity=50_000, seed=0
    )
    patches = normalised_patches(sample.columns, sample.mean, sample.std, height=config.height)
    model = train_autoencoder(patches, config, steps=steps)
    # A code is the nearest of the centres of the bottlenecks: the bottleneck, and not the patch, because there near
    # means alike.
    with torch.no_grad():
        bottlenecks = model.encoder(patches).numpy()
    centroids, _ = fit_codebook(bottlenecks, size=codebook_size, iterations=20, seed=0)
    return Tokenizer(config, sample.mean, sample.std, model, by_loudness(model, centroids))


def learn_language(train: Sequence[Codes], *, steps: int) -> LanguageModel:
    """Train a causal GPT to predict the next code."""
    model = LanguageModel.create(GPTConfig(), train[0].format, seed=0)
    optimizer = torch.optim.AdamW(model.gpt.parameters(), lr=1e-3)
    model.gpt.train()
    for _ in range(steps):
        batch = [train[number] for number in torch.randint(len(train), (8,)).tolist()]
        loss = model.loss(batch)  # nats per code
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.gpt.parameters(), 1.0)
        optimizer.step()
    model.gpt.eval()
    return model


def voice_for(tokenizer: Tokenizer) -> Vocoder:
    """Give the WaveNet that ships, which was trained on log-mel as recorded, the statistics of a tokenizer."""
    start = Vocoder.from_pretrained(_VOICE).model
    known = as_it_is(AUDIO.n_mels)
    network = transferred(start, start.config, known=known, new=tokenizer.statistics, seed=0)
    network.get_buffer("bands").copy_(bands_of(tokenizer))
    return Vocoder(network, tokenizer.format.tokenizer)


def vector(model: LanguageModel, codes: Codes) -> np.ndarray:
    """Describe a recording by the mean over time of the states of the GPT's last layer: ``(width,)``."""
    states: np.ndarray = model.hidden_states(codes)[-1].mean(0).numpy()
    return states


def main(folder: Path, output: Path, *, codebook_size: int = 64, steps: int = 300) -> dict[str, float]:
    """Tell the story of a folder; return bits per code, and the accuracy of the probe beside chance."""
    torch.manual_seed(0)
    files = sorted(each for each in folder.rglob("*") if each.suffix.lower() == ".wav")
    if len(files) < 5 or len({file.parent.name for file in files}) < 2:
        raise SystemExit(f"{folder}: five WAV files or more are needed, in two folders or more, whose names are labels")
    sounds = [read(file, AUDIO.sample_rate) for file in files]
    # Every fifth recording is held out from all that follows. (A run holds out whole speakers; this does not.)
    held_out = np.arange(len(files)) % 5 == 4
    train = [sound for sound, out in zip(sounds, held_out, strict=True) if not out]

    tokenizer = learn_codes(train, codebook_size=codebook_size, steps=steps)
    codes = [tokenizer.encode(sound) for sound in sounds]
    learned, unheard = ([each for each, out in zip(codes, held_out, strict=True) if out == of] for of in (False, True))

    model = learn_language(learned, steps=steps)
    bits = float(np.log2(model.perplexity(unheard)))

    # The probe is linear: it can use only what the states already tell apart.
    vectors, labels = np.stack([vector(model, each) for each in codes]), np.array([file.parent.name for file in files])
    probe = LogisticRegression(max_iter=1000).fit(vectors[~held_out], labels[~held_out])
    right = float(np.mean(probe.predict(vectors[held_out]) == labels[held_out]))
    frequent = Counter(labels[~held_out].tolist()).most_common(1)[0][0]
    chance = float(np.mean(labels[held_out] == frequent))

    # Codes back to sound: those of a recording that nothing was trained on, and those that the GPT makes up after it.
    vocoder, prompt = voice_for(tokenizer), unheard[0]
    more = model.generate(prompt, seconds=1.0, seed=0)
    output.mkdir(parents=True, exist_ok=True)
    vocoder.decode(prompt, tokenizer).write(output / "codes.wav")
    vocoder.decode(more, tokenizer).write(output / "continuation.wav")
    return {"bits per code": bits, "probe": right, "most frequent label": chance}


if __name__ == "__main__":
    for name, value in main(Path(sys.argv[1]), Path(sys.argv[2])).items():
        print(f"{name:20} {value:.3f}")
