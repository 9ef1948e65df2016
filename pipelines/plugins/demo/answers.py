"""What the page shows of a sound and plays; without Gradio."""

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from lm.gpt import CodeSampling
from pipelines.jobs.sound_probe import SoundProbe
from pipelines.jobs.speaking import ModelsOfRun, sample_name
from pipelines.pages.charts import BLUE, MUTED, Chart, code_picture, draw_pictures, log_mel_pictures, sheet, styled
from tokenizer.codes import Codes
from tokenizer.encoder import pictures
from vocoder.kinds import BY_KEY
from vocoder.vocoder import Coder, Prompt, joined_sound
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.decoding import RecordingError
from wordless.audio.reading import read, read_beginning
from wordless.audio.recordings.inspection import InspectionConfig
from wordless.audio.waveform import Waveform
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError, require
from wordless.base.seeds import require_seed

T = TypeVar("T")
_SILENT = InspectionConfig().silence_peak  # of full scale
BEYOND = 0.1  # seconds that are read of a longer sound, to see that it is longer
MOST_SECONDS = 30.0  # of new sound
_SOUND = "sound"  # name of the decoded sound, from which its random numbers follow
WIDTHS = {"narrow": 350.0, "wide": 780.0}  # class of the drawing -> CSS pixels; the page shows one of them
SURPRISAL = "surprisal of the GPT, bits in each time step; dotted: all codes equally probable"
MISSING_PARTS = {
    "lm": "It has no language model, so the page shows no surprisal and continues no sound.",
    "probe": "It has no probe that its models can feed, so the page names no label.",
    "vocoder": "It has no WaveNet, so sounds are made without learning.",
}  # part of a run -> what a page cannot do without it


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysis:
    """Everything that the page shows of a sound, and what it needs to continue the sound."""

    waveform: Waveform  # at the models' rate
    codes: Codes
    surprisal: FloatArray | None  # bits in each time step
    answers: dict[str, float] | str | None  # class -> score of the probe, the highest first; or the highest alone
    drawing: Markup

    @property
    def longest_prompt(self) -> float:
        """Seconds of the sound that are whole codes, and may be continued."""
        form = self.codes.format
        return self.codes.num_samples // form.samples_per_code / form.codes_per_second

    def facts(self) -> str:
        """Describe the codes, and the surprisal of the language model, in a sentence or two."""
        spectral = self.codes.spectral
        form, count = spectral.format, spectral.values.size
        size = f"{self.waveform.seconds:.2f} s of sound are {count} codes of {form.codebook_size}"
        told = f"{size}: {form.bits_per_second:,.0f} bits per second."
        if self.surprisal is None or not len(self.surprisal):
            return told
        equal = f"{form.bits_per_code:.2f} would be needed if all codes were equally probable"
        return f"{told} The GPT needs {float(self.surprisal.sum()) / count:.2f} bits per code; {equal}."

    def codes_text(self) -> str:
        """Write the codes: those of a time step side by side with commas."""
        return " ".join(",".join(map(str, step)) for step in self.codes.spectral.values.tolist())


def missing_parts(models: ModelsOfRun) -> list[str]:
    """Say for each part that a run lacks what the page cannot do."""
    there = {"lm": models.language_model, "probe": models.probe, "vocoder": models.vocoder}
    return [MISSING_PARTS[part] for part, found in there.items() if found is None]


class DemoAnswers:
    """The answers of a run to any number of users. What cannot be answered is an `InputError`.

    One thing is computed at a time, because the engines of WaveNet share their threads, and matplotlib its settings.
    Users take turns after each piece of sound.
    """

    def __init__(self, models: ModelsOfRun, *, max_seconds: float) -> None:
        self.models, self.max_seconds = models, max_seconds
        self._turn = Lock()

    def show(self, path: Path) -> Analysis:
        """Read a sound, encode it, ask the models about its codes, and draw all of it; refusals name no folder."""
        models, audio = self.models, self.models.tokenizer.front_end
        with self._turn:
            try:
                waveform = read_beginning(path, audio.sample_rate, self.max_seconds + BEYOND, channel=audio.channel)
            except RecordingError as error:
                raise InputError(str(error).replace(str(path), path.name)) from error
            if waveform.seconds > self.max_seconds:
                raise InputError(f"{path.name} is longer than {self.max_seconds:g} s: cut it.")
            if float(np.abs(waveform.samples).max(initial=0)) <= _SILENT:
                raise InputError(
                    f"{path.name} is silent: no sample exceeds {_SILENT:g} of full scale; record it louder."
                )
            codes = models.tokenizer.encode(waveform)
            step = 1 / codes.format.codes_per_second
            if waveform.seconds < step:
                lasts = f"The sound lasts {waveform.seconds:.3f} s, and one code {step:.3f} s"
                raise InputError(f"{lasts}; give a longer one.")
            surprisal: FloatArray | None = None  # minus the log-probability of the codes of a time step, in base 2
            if models.language_model is not None:
                surprisal = -models.language_model.log_probabilities_after(None, codes).sum(axis=1) / math.log(2)
            answers = None if models.probe is None else self._answers(models.probe, path, waveform)
            drawing = _drawing(models, waveform, codes, surprisal)
        return Analysis(waveform=waveform, codes=codes, surprisal=surprisal, answers=answers, drawing=drawing)

    def _answers(self, probe: SoundProbe, path: Path, waveform: Waveform) -> dict[str, float] | str:
        """Ask the probe; it trims a sound by its levels at its own rate."""
        about, channel = probe.description, self.models.tokenizer.front_end.channel
        sound = waveform if about.trim_db is None else read(path, channel=channel)
        scores = probe.answer(probe.scores([sound])[0])
        return next(iter(scores)) if about.answer == "value" else scores

    def hear(self, analysis: Analysis, voice: str) -> Iterator[list[Waveform]]:
        """Give a sound as the models read it, and its codes as sound of each kind, again after each that is made."""
        made = [analysis.waveform]
        for kind in self.models.kinds:
            yield made
            synthesis = self.models.synthesis(kind, voice)
            with self._turn:
                made = [*made, *synthesis.sounds([analysis.codes], [None], names=[_SOUND])]
        yield made

    def continue_it(
        self, analysis: Analysis, *, after: float, seconds: float, temperature: float, seed: int, kind: str, voice: str
    ) -> Iterator[tuple[str, Waveform | None]]:
        """Continue a sound piece by piece, with a line of progress; the sound comes with the last line.

        Together the pieces are the sound of ``wordless generate`` with the same prompt and options.
        """
        require(0 < seconds <= MOST_SECONDS, "seconds", seconds, f"ask for more than 0 and at most {MOST_SECONDS:g} s")
        require_seed(seed, "seed")
        sampling, models = CodeSampling(temperature=temperature, top_k=50), self.models  # as `wordless generate`
        model, own = models.language_model, BY_KEY[kind]
        assert model is not None, "a run without a language model offers no continuation"
        yield "The GPT reads the prompt …", None
        with self._turn:
            prompt = prompt_of(analysis, after, models.tokenizer)
            codes = model.stream(prompt.codes, seconds=seconds, sampling=sampling, seed=seed)
            synthesis = models.synthesis(own, voice, seed=seed)
            pieces = synthesis.continued(prompt, codes, None, name=sample_name(0))
        made: list[Waveform] = []
        for piece in self._in_turns(pieces):
            made.append(piece)
            yield f"{sum(each.seconds for each in made):.1f} of {seconds:g} s are made …", None
        samples = np.concatenate([each.samples for each in made])
        more = Waveform(samples=samples, sample_rate=prompt.waveform.sample_rate)
        note = f"{prompt.waveform.seconds:.2f} s of the sound, then {more.seconds:.2f} s that the GPT continued"
        yield note, joined_sound(prompt.waveform, more)

    def _in_turns(self, pieces: Iterable[T]) -> Iterator[T]:
        """Give what an iterator gives, and leave the models to other users while nobody waits for its next item."""
        each = iter(pieces)
        with suppress(StopIteration):
            while True:
                with self._turn:
                    piece = next(each)
                yield piece


@styled
def _drawing(models: ModelsOfRun, waveform: Waveform, codes: Codes, surprisal: FloatArray | None) -> Markup:
    """Draw log-mel before and after the codes, the codes, and the surprisal, for a narrow and for a wide page."""
    form = codes.format.spectral
    mels = pictures(models.tokenizer, [waveform], [codes])
    before, after = (mels[f"0:{kind}"].cpu().numpy() for kind in ("original", "codebook"))
    padded = len(codes.values) * form.samples_per_code / form.sample_rate
    titled = {"log-mel spectrogram of the sound": before, "log-mel spectrogram that its codes mean": after}
    codes_of, largest, height = codes.spectral.values, form.codebook_size - 1, 0.6 + 0.4 * form.streams
    strip = code_picture(codes_of, seconds=padded, largest=largest, height=height)
    ticks = mel_ticks(models.tokenizer.front_end)
    rows = [*log_mel_pictures(titled, seconds=padded, height=4.0, ticks=ticks), strip]
    titles = [*(row.title for row in rows), *([] if surprisal is None else [SURPRISAL])]

    def draw_surprisal(axes: Axes) -> None:
        assert surprisal is not None, "drawn with a language model alone"
        axes.stairs(surprisal, np.arange(len(surprisal) + 1) / form.codes_per_second, color=BLUE, linewidth=1.4)
        uniform = codes.format.bits_per_second / form.codes_per_second  # if all codes were equally probable
        axes.axhline(uniform, color=MUTED, linestyle=":", linewidth=1.2)
        axes.set_ylim(bottom=0)
        axes.set_title(SURPRISAL)
        axes.grid(axis="y")

    description = f"{waveform.seconds:.2f} s of sound: {', '.join(titles)}"
    drawn = Markup()
    for name, width in WIDTHS.items():
        figure = sheet(90 * len(titles) - 40 + 6 * form.streams, width)
        draw_pictures(figure, rows, below=None if surprisal is None else draw_surprisal)
        figure.axes[-1].set_xlim(0, waveform.seconds)
        chart = Chart(figure=figure, name=f"sound-{name}", description=description)
        drawn += Markup('<div class="{}">{}</div>').format(name, chart)
    return drawn


def mel_ticks(audio: SpectrogramConfig) -> dict[float, str]:
    """Place frequencies in kHz, each twice the one before, among the mel bands, of which each is 1 high."""

    def mel(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    low, high = mel(audio.f_min), mel(audio.highest)
    shown = [hertz for hertz in (1000 * 2.0**power for power in range(-6, 7)) if audio.f_min < hertz < audio.highest]
    return {(mel(each) - low) / (high - low) * (audio.n_mels + 1) - 0.5: f"{each / 1000:g}" for each in shown[-4:]}


def prompt_of(analysis: Analysis, after: float, coder: Coder) -> Prompt:
    """Return the beginning of a sound, in whole codes, at least one, encoded as if nothing followed it."""
    form = analysis.codes.format
    steps = round(min(after, analysis.longest_prompt) * form.codes_per_second)
    if steps < 1:
        raise InputError(f"The prompt is shorter than one code, {1 / form.codes_per_second:.3f} s; continue later.")
    return Prompt.alone(analysis.waveform, coder, 0, steps)
