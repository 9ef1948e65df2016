"""From a sound to what the page shows of it: spectrograms, codes, surprise, and the answer of the probe."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lm.model import LanguageModel
from pipelines.demonstration.models import DemoModels, Predictor
from tokenizer.codes import Codes, SoftCodes
from tokenizer.signals import pictures, quantised_vectors, soft_codes
from wordless.audio.decoding import Channel, RecordingError
from wordless.audio.levels import trim_ends
from wordless.audio.reading import read, read_beginning, resampled
from wordless.audio.recordings.inspection import InspectionConfig
from wordless.audio.waveform import FloatArray, Waveform
from wordless.base.errors import InputError

SILENT = InspectionConfig().silence_peak  # of full scale
BEYOND = 0.1  # seconds that are read of a longer sound, to see that it is longer


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysis:
    """Everything that the page shows of a sound, and what it needs to continue the sound."""

    waveform: Waveform  # at the models' rate
    codes: Codes  # of all rates
    original: FloatArray  # normalised log-mel (frames, mels)
    decoded: FloatArray  # the same through the codes
    surprise: FloatArray | None  # bits in each (finest) time step
    answers: Mapping[str, float] | None  # class -> score of the probe, the highest first

    @property
    def finest(self) -> Codes:
        """The codes of the finest rate, which become sound."""
        return self.codes.finest

    @property
    def whole_steps(self) -> int:
        """Time steps that lie within the sound, and may be continued."""
        return self.codes.num_samples // self.codes.format.samples_per_code

    @property
    def uniform_bits(self) -> float:
        """Bits in each (finest) time step if all codes were equally probable."""
        return self.codes.format.bits_per_second / self.finest.format.codes_per_second

    def facts(self) -> str:
        """Describe the codes, and the surprise of the language model, in a sentence or two."""
        form, count = self.codes.format, sum(each.values.size for each in self.codes.by_rate)
        size = (
            f"{self.waveform.seconds:.2f} s of sound are {count} codes of {form.largest + 1}: "
            f"{form.bits_per_second:,.0f} bits per second."
        )
        if self.surprise is None or not len(self.surprise):
            return size
        mean, even = float(self.surprise.sum()) / count, form.bits_per_code
        return (
            f"{size} The GPT needs {mean:.2f} bits per code; {even:.2f} would be needed if all codes were equally "
            "probable."
        )


def analyse(models: DemoModels, path: Path, *, max_seconds: float) -> Analysis:
    """Read a sound, encode it, and ask the language model and the probe about its codes.

    Raises:
        InputError: the sound is broken, silent, too short or too long.
    """
    audio = models.tokenizer.front_end
    waveform = read_sound(path, audio.sample_rate, max_seconds=max_seconds, channel=audio.channel)
    codes = models.tokenizer.encode(waveform)
    step = 1 / codes.format.codes_per_second
    if waveform.seconds < step:
        raise InputError(f"The sound lasts {waveform.seconds:.3f} s, and one code {step:.3f} s; give a longer one.")
    finest = codes.finest
    predictor = models.predictor
    spectrograms = pictures(models.tokenizer.finest, [waveform], [finest])
    return Analysis(
        waveform=waveform,
        codes=codes,
        original=spectrograms["0:original"].cpu().numpy(),
        decoded=spectrograms["0:codebook"].cpu().numpy(),
        surprise=surprise(models.language_model, codes),
        answers=None if predictor is None else predictor.scores(_codes_for(predictor, path, waveform, finest, models)),
    )


def _codes_for(
    predictor: Predictor, path: Path, waveform: Waveform, codes: Codes, models: DemoModels
) -> Codes | SoftCodes:
    """Return the ``codes`` of a sound as the probe reads them; it is trimmed if the clips of the probe were trimmed."""
    about, tokenizer, sound = predictor.about, models.tokenizer.finest, waveform
    if about.trim_db is not None:
        channel = tokenizer.front_end.channel
        sound = resampled(trim_ends(read(path, channel=channel), about.trim_db), tokenizer.format.sample_rate)
    if about.recipe.assignments == "hard":
        return codes if sound is waveform else tokenizer.encode(sound)
    return soft_codes(tokenizer, torch.from_numpy(quantised_vectors(tokenizer, sound.samples)))


def read_sound(path: Path, sample_rate: int, *, max_seconds: float, channel: Channel = "mean") -> Waveform:
    """Read a sound for the page; messages name the file without its folder, which the user does not know."""
    try:
        waveform = read_beginning(path, sample_rate, max_seconds + BEYOND, channel=channel)
    except RecordingError as error:
        raise InputError(str(error).replace(str(path), path.name)) from error
    if waveform.seconds > max_seconds:
        raise InputError(
            f"{path.name} is longer than {max_seconds:g} s; cut it, or start the page with a larger max_seconds."
        )
    peak = float(np.abs(waveform.samples).max(initial=0))
    if peak <= SILENT:
        raise InputError(f"{path.name} is silent: no sample exceeds {SILENT:g} of full scale; record it louder.")
    return waveform


def surprise(model: LanguageModel | None, codes: Codes) -> FloatArray | None:
    """Compute the bits of each (finest) time step ``(time,)``: minus the log-probability of its codes, in base 2."""
    if model is None:
        return None
    bits: FloatArray = -model.log_probabilities_after(None, codes).sum(axis=1) / math.log(2)
    return bits
