"""The sounds of pages: players that hold their sound, as many as there is room for, equally loud, and spectrograms."""

import base64
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.mlab import specgram

from pipelines.pages.charts import Chart, Picture, code_picture, log_mel_pictures, spectrogram_chart
from pipelines.results.run_record import (
    PICTURES,
    Pictures,
    Results,
    Section,
    count_codes,
    gross_error_file,
    read_arrays,
)
from pipelines.store.run_parts import RESULTS
from vocoder.kinds import BY_KEY, ORIGINAL, SYNTHESIS_METHODS, WAVENET
from wordless.audio.levels import Meter, block_samples
from wordless.audio.waveform import Waveform
from wordless.base.files import open_regular
from wordless.base.messages import InputError, written

_TITLES = {  # of the sounds of a clip, in the order of the page
    ORIGINAL: "Original",
    **{kind.key: kind.heading for kind in SYNTHESIS_METHODS},
    "prompt": "Prompt",
}
_LISTENING = "listening"  # folder of a run
MAX_BYTES = 2_050_000  # of WAV files; a third more in the page, which is to stay below 6 MB with its pictures
MOSTLY_SILENT = 0.5  # share of silent frames in the new part of a continuation
_MAX_SECONDS = 3.0  # of a sound that are drawn
HEADLINE_HEIGHT = 155  # CSS pixels
MAX_COLUMNS = 220  # of a spectrogram; more would not be seen at this width and would make the page larger
_WINDOW_SECONDS = 0.032  # resolves the harmonics of a voice, which mel bands blur
RANGE_DB = 70.0  # below the loudest point
MAX_FRAMES = 400  # of a reconstruction
MAX_PICTURES = 6  # clips
RECONSTRUCTION_HEIGHT = 330  # CSS pixels
RECONSTRUCTED = {"original": "original", "autoencoder": "before quantisation", "codebook": "through the codebook"}


@dataclass(frozen=True)
class PageSound:
    part: str  # of the report: "clips", "generated", "gross_pitch_errors", or one of a plugin
    clip: int | None  # number of the clip that it is of, or begins with; None: it begins with nothing
    title: str
    place: str  # folder of the run and file: listening/0_original.wav
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def mostly_silent(self) -> bool:
        return self.figures.get("silence", 0.0) > MOSTLY_SILENT


class PageBudget:
    """The audio budget of a report: sounds that come first are in the page."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._left = folder, MAX_BYTES

    def embed(self, sound: PageSound) -> str | None:
        """Read a sound as a data URI; None where the budget is spent."""
        path = sound_path(self._folder, sound)
        self._left -= path.stat().st_size
        return _data_uri(path.read_bytes()) if self._left >= 0 else None


def clip_title(clip: Section) -> str:
    """Name a clip by its label and group, or else by its path."""
    return " · ".join(part for part in (clip["label"], clip["group"]) if part) or clip["path"]


def listened_clips(results: Results) -> list[Section]:
    clips: list[Section] = results.get("listening", {}).get("clips", [])
    return clips


def run_sounds(results: Results) -> Iterator[PageSound]:
    """Give all sounds of a run, those of each part and clip in the order of the page."""
    for number, clip in enumerate(listened_clips(results)):
        for kind, title in _TITLES.items():
            if kind in clip["sounds"]:
                yield PageSound("clips", number, title, f"{_LISTENING}/{number}_{kind}.wav", clip["sounds"][kind])
    for row in results.get("listening", {}).get("generated", []):
        title = f"{'No prompt' if row['clip'] is None else 'Continuation'}, temperature {row['temperature']:g}"
        yield PageSound("generated", row["clip"], title, f"{_LISTENING}/{row['file']}", row["figures"])
    for row in results.get("listening", {}).get("gross_pitch_errors", []):
        for kind, figures in row["sounds"].items():
            title = f"{_TITLES[kind]}, {clip_title(row)}"
            yield PageSound("gross_pitch_errors", None, title, gross_error_file(row["number"], kind), figures)


def sounds_among(sounds: Iterable[PageSound], part: str, clip: int | None) -> list[PageSound]:
    """Select the sounds of a part of the report that begin with a clip."""
    return [sound for sound in sounds if (sound.part, sound.clip) == (part, clip)]


def sounds_of(results: Results, part: str, clip: int | None) -> list[PageSound]:
    """Select, in the same way, sounds of the core."""
    return sounds_among(run_sounds(results), part, clip)


def embedded_waveform(waveform: Waveform) -> str:
    """Write a sound, in 16 bits, as a data URI."""
    written = io.BytesIO()
    soundfile.write(written, waveform.samples, waveform.sample_rate, subtype="PCM_16", format="WAV")
    return _data_uri(written.getvalue())


def _data_uri(wav: bytes) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(wav).decode()}"


def sound_path(folder: Path, sound: PageSound) -> Path:
    """Find a sound of a run; a foreign results.json may name any file, and is refused."""
    path, again = folder / sound.place, "repeat the run's command: it writes it again"
    if sound.place.count("/") != 1:
        raise InputError(f"{folder / RESULTS} names the sound {written(sound.place)}, which is no file name; {again}")
    if not path.is_file():
        raise InputError(f"{path} is missing, but {RESULTS} names it; {again}")
    with open_regular(path) as descriptor:
        begin = os.pread(descriptor, 12, 0)
    if (begin[:4], begin[8:]) != (b"RIFF", b"WAVE"):
        raise InputError(f"{path} is no WAV file, but {RESULTS} names it; {again}")
    return path


def headline(folder: Path, results: Results) -> list[tuple[PageSound, str]]:
    """Make the players on top of a report, equally loud: the first recording, its codes as sound, a continuation."""
    sounds = _first_sounds([*run_sounds(results)])
    read = (soundfile.read(sound_path(folder, sound), dtype="float32") for sound in sounds)
    waveforms = equally_loud([Waveform(samples=samples, sample_rate=rate) for samples, rate in read])
    return [(sound, embedded_waveform(waveform)) for sound, waveform in zip(sounds, waveforms, strict=True)]


def _first_sounds(every: Sequence[PageSound]) -> list[PageSound]:
    by_place = {sound.place: sound for sound in sounds_among(every, "clips", 0)}
    places = [f"{_LISTENING}/0_{kind}.wav" for kind in (ORIGINAL, WAVENET.key)]
    generated_rows = sounds_among(every, "generated", 0)[:1] if by_place else []
    return [*(by_place[place] for place in places if place in by_place), *generated_rows]


def sound_charts(folder: Path, results: Results, *, sounds_too: bool = True) -> Iterator[Chart]:
    """Draw what the tokenizer keeps of each clip that has pictures, and by default spectrograms of its sounds."""
    pictures, size, every = read_arrays(folder / PICTURES), count_codes(results), [*run_sounds(results)]
    for number, clip in enumerate(listened_clips(results)[:MAX_PICTURES]):
        name, sounds, strip = clip_title(clip), sounds_among(every, "clips", number), None
        if (codes := pictures.get(f"{number}:codes")) is not None:
            largest = (size or int(codes.max(initial=0)) + 1) - 1
            seconds = soundfile.info(sound_path(folder, sounds[0])).duration
            images = reconstruction(number, pictures, seconds=seconds, largest=largest)
            title = f"Log-mel spectrograms and codes of {name}"
            yield spectrogram_chart(images, name=f"reconstruction-{number}", title=title, height=RECONSTRUCTION_HEIGHT)
            if size is not None:
                strip = code_picture(codes, seconds=seconds, largest=largest, height=0.1 + 0.1 * codes.shape[1])
        if not sounds_too:
            continue
        if number == 0:
            yield from _headline_charts(folder, _first_sounds(every), name, strip)
        judged = {f"{_LISTENING}/{number}_{kind}.wav" for kind in (ORIGINAL, *BY_KEY)}
        shown = [*(sound for sound in sounds if sound.place in judged), *sounds_among(every, "generated", number)[-1:]]
        yield sound_spectrograms(folder, shown, name=f"sounds-{number}", title=name)


def _headline_charts(folder: Path, sounds: Sequence[PageSound], of: str, codes: Picture | None) -> Iterator[Chart]:
    """Draw each sound for the place below its player, on one scale of time, the codes below the first."""
    pictures = _pictures(folder, sounds, _MAX_SECONDS)
    longest = max(picture.seconds for picture in pictures)
    for number, picture in enumerate(pictures):
        rows, title = [replace(picture, title="")], f"Spectrogram of {of}: {picture.title}"
        if codes and not number:
            values = codes.values[: round(len(codes.values) * min(longest / codes.seconds, 1))]
            rows.append(replace(codes, title="codes", values=values, seconds=min(codes.seconds, longest)))
        yield spectrogram_chart(
            rows, name=f"headline-{number}", title=title, height=HEADLINE_HEIGHT, least_seconds=longest
        )


def sound_spectrograms(
    folder: Path, sounds: Sequence[PageSound], *, name: str, title: str, most: float = _MAX_SECONDS
) -> Chart:
    """Draw ``most`` seconds of the sounds of a clip, of which the loudest point of the first is the brightest."""
    pictures = _pictures(folder, sounds, most)
    return spectrogram_chart(pictures, name=name, title=f"Spectrograms of {title}", height=40 + 85 * len(pictures))


def _pictures(folder: Path, sounds: Sequence[PageSound], most: float) -> list[Picture]:
    read = [soundfile.read(sound_path(folder, sound), dtype="float32") for sound in sounds]
    longest = min(max(len(samples) / rate for samples, rate in read), most)
    pictures: list[Picture] = []
    for sound, (samples, rate) in zip(sounds, read, strict=True):
        shown = Waveform(samples=samples[: round(longest * rate)], sample_rate=rate)
        loudest = pictures[0].limits[1] if pictures else None
        marks = [sound.figures[name] for name in ("prompt_seconds",) if name in sound.figures]  # the GPT goes on
        pictures.append(spectrogram(shown, sound.title, marks=marks, longest=longest, loudest=loudest))
    return pictures


def spectrogram(
    sound: Waveform, title: str, *, marks: Sequence[float] = (), longest: float = 0.0, loudest: float | None = None
) -> Picture:
    """Picture a sound on an axis of ``longest`` seconds, with lines at ``marks``; ``loudest`` dB are the brightest."""
    samples, rate = sound.samples, sound.sample_rate
    window = 2 * round(rate * _WINDOW_SECONDS / 2)
    hop = max(round((longest or sound.seconds) * rate / MAX_COLUMNS), 1)
    padded = np.pad(samples, (window // 2, window // 2 + max(window - len(samples), 0)))
    power, _, _ = specgram(padded, NFFT=window, Fs=rate, noverlap=max(window - hop, 0))
    levels = 10 * np.log10(np.asarray(power, np.float64).T + 1e-14)  # dB, (time, frequencies)
    loudest = float(levels.max(initial=-RANGE_DB)) if loudest is None else loudest
    return Picture(
        title=title,
        values=levels,
        seconds=sound.seconds,
        limits=(loudest - RANGE_DB, loudest),
        kilohertz=rate / 2000,
        marks=tuple(marks),
    )


def reconstruction(number: int, pictures: Pictures, *, seconds: float, largest: int) -> list[Picture]:
    """Return spectrograms of clip ``number`` before and after the tokenizer, and its codes, on one axis of time::

        frames  |   |   |   |   |   |   |   |   |
        codes   |   0   |   1   |   2   |   3   |     2 frames per code

    The clip spans ``seconds``; at most about `MAX_FRAMES` are drawn. The last code may reach beyond the clip's end.
    """
    codes = pictures[f"{number}:codes"]
    frames_per_code = max(len(pictures[f"{number}:original"]) // max(len(codes), 1), 1)
    shown = codes[: max(MAX_FRAMES // frames_per_code, 1)]
    seconds *= len(shown) / max(len(codes), 1)
    frames = max(MAX_FRAMES // frames_per_code, 1) * frames_per_code
    rows = {title: pictures[f"{number}:{kind}"][:frames] for kind, title in RECONSTRUCTED.items()}
    strip = code_picture(shown, seconds=seconds, largest=largest, height=0.5 + 0.5 * codes.shape[1])
    return [*log_mel_pictures(rows, seconds=seconds, height=4.0), strip]


ACTIVE_DB = 40.0  # blocks this far below the loudest block are pauses, which do not count
PEAK = 0.95  # of full scale, after the change


def active_level(sound: Waveform) -> float:
    """Compute the root mean square of a sound without its pauses; 0 for silence.

    A pause is a block of 20 ms that is 40 dB or more below the loudest block, as in ITU-R BS.1770, but without its
    frequency weighting: silence around a word does not change the word's level.
    """
    step, powers = block_samples(sound.sample_rate), Meter(sound.sample_rate).add(sound.samples).powers
    if not powers.size or powers.max() <= 0:
        return 0.0
    sizes = np.minimum(len(sound.samples) - step * np.arange(len(powers)), step)
    active = powers > powers.max() * 10 ** (-ACTIVE_DB / 10)
    return float(np.sqrt((powers * sizes)[active].sum() / sizes[active].sum()))


def equally_loud(sounds: Sequence[Waveform]) -> list[Waveform]:
    """Scale sounds to one `active_level`: the highest that leaves every peak below full scale. Silence stays silent."""
    levels = [active_level(sound) for sound in sounds]
    peaks = [float(np.abs(sound.samples).max(initial=0)) for sound in sounds]
    wanted = min((PEAK * level / peak for level, peak in zip(levels, peaks, strict=True) if level), default=0.0)
    scaled = zip(sounds, levels, strict=True)
    return [replace(each, samples=each.samples * np.float32(wanted / own)) if own else each for each, own in scaled]
