"""``wordless.run``: the whole chain from Python."""

import csv
import filecmp
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas
import soundfile

from lm.model import LanguageModel
from pipelines.commandline.command_words import quote, spell
from pipelines.jobs.sound_probe import AUTO, SoundProbe
from pipelines.results.run_record import read_results, records, title_of_figure
from pipelines.store.claims import is_held
from pipelines.store.run_parts import REPORT, RESULTS
from tokenizer.tokenizer import Tokenizer
from vocoder.vocoder import Vocoder
from wordless.audio.reading import by_channel, decoded, mono, read, whole_rate
from wordless.audio.waveform import Waveform
from wordless.base.files import mark, remove
from wordless.base.messages import InputError, listed
from wordless.base.saved_models import LANGUAGE_MODEL, TOKENIZER, VOCODER

_CLIPS, _RECORDINGS = "clips.csv", "recordings"


@dataclass(frozen=True)
class Run:
    """The folder of a run, and what a program needs of it; `wordless.run` returns one, and ``Run("runs/x")`` opens one.

    Each property reads the folder at its first use.

    Raises:
        InputError: the folder has no such part, or it is damaged.
    """

    folder: Path | str

    @property
    def report(self) -> Path:
        """The page to open in a browser."""
        return Path(self.folder) / REPORT

    @cached_property
    def figures(self) -> pandas.DataFrame:
        """The rows of ``results.json``: one figure each, with name, of, split, value, low, high, unit and others.

        The column ``title``, which the file does not have, says what a name means.
        """
        rows = pandas.DataFrame(records(read_results(Path(self.folder))["figures"]))
        return rows.assign(title=[title_of_figure(name) for name in rows.get("name", ())])

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer.from_pretrained(Path(self.folder) / TOKENIZER.part)

    @cached_property
    def language_model(self) -> LanguageModel:
        return LanguageModel.from_pretrained(Path(self.folder) / LANGUAGE_MODEL.part)

    @cached_property
    def vocoder(self) -> Vocoder:
        return Vocoder.from_pretrained(Path(self.folder) / VOCODER.part)

    def predict(self, sound: Waveform | Path | str, *, method: str = AUTO) -> dict[str, float]:
        """Return the score of each class for a whole sound, the highest first, as ``wordless predict`` does.

        ``method`` is one that the run probed, or ``auto`` for the best on validation clips.
        """
        probe, _ = SoundProbe.of_run(Path(self.folder), method)
        sound = sound if isinstance(sound, Waveform) else read(sound, channel=probe.audio.channel)
        return probe.answer(probe.scores([sound])[0])


def run(
    options: Mapping[str, object] | None = None,
    *,
    folder: Path | str,
    clips: pandas.DataFrame | Iterable[Mapping[str, object]] | None = None,
) -> Run:
    """Turn recordings into codes, a language model, sound and a report, as the command ``wordless run`` does.

    The command works in a process of its own, whose lines are printed here. The same call with the same folder resumes
    a run that was interrupted. A finished run of other recordings, labels or splits is replaced only with the option
    ``"replace": True``.

    Args:
        options: names and values as on the command line: ``{"corpus.root": "recordings", "lm.fit.steps": 500}``.
        folder: of the run; it may be a new one.
        clips: the recordings, a data frame or a mapping for each. Columns are those of a table (``path``, ``label``,
            ``group``, ``split``, ``start``, ``end``, ...); paths are those below ``corpus.root``, or below the working
            folder. Sound that is in no file stands in a column ``array`` instead, one array ``(samples,)`` or
            ``(samples, channels)`` for each clip, beside a column ``sampling_rate`` in Hz; or in a column ``audio`` of
            ``{"array": ..., "sampling_rate": ...}``, as in data sets of Hugging Face, of waveforms, or of paths. Floats
            beyond [-1, 1] are clipped.

    Raises:
        InputError: what the command refuses, in its words.
        RuntimeError: the command failed; its lines say why.
    """
    folder, options = Path(folder).expanduser().absolute(), {**(options or {})}
    if clips is not None and not isinstance(clips, pandas.DataFrame):
        clips = pandas.DataFrame([dict(row) for row in clips])
    if clips is not None:
        clips = _without_audio(clips)
    given = {**({} if clips is None else _written(clips, folder, bool(options.get("replace")))), **options}
    words = [f"{name}={_spelled(value)}" for name, value in given.items()]
    command = [sys.executable, "-m", "pipelines.cli", "run", f"hydra.run.dir={quote(str(folder))}", *words]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                last = line.rstrip() or last
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            raise
    if process.returncode == 0:
        return Run(folder)
    if process.returncode == 2:
        raise InputError(last.removeprefix("wordless run: "))
    raise RuntimeError(f"wordless run ended with exit code {process.returncode}: {last}")


def _without_audio(clips: pandas.DataFrame) -> pandas.DataFrame:
    """Return the table with the sounds of a column ``audio`` in the columns ``array`` and ``sampling_rate``."""
    if "audio" not in clips or not any(map(_is_sound, clips["audio"])):
        return clips  # paths
    if "sampling_rate" in clips and all(isinstance(each, np.ndarray | list) for each in clips["audio"]):
        return clips.rename(columns={"audio": "array"})
    if beside := [name for name in ("array", "sampling_rate", "path") if name in clips]:
        rule = "sound of a column audio has its own: leave one of them out"
        raise InputError(option="clips", value=[*clips], rule=f"{listed(beside)} beside audio: {rule}")
    sounds = [_sound_of(each, f"clips.audio[{number}]") for number, each in enumerate(clips["audio"])]
    arrays, rates = pandas.Series([array for array, _ in sounds], dtype=object), [rate for _, rate in sounds]
    return clips.drop(columns="audio").assign(array=arrays.to_numpy(), sampling_rate=rates)


def _is_sound(given: object) -> bool:
    """Return whether a cell holds sound, and is no path of it."""
    return not isinstance(given, str | os.PathLike | float | None)


def _sound_of(given: object, name: str) -> tuple[object, object]:
    """Return samples and rate in Hz of a cell: what `Tokenizer.encode` takes without a rate."""
    match decoded(given) if hasattr(given, "get_all_samples") else given:
        case {"array": samples, "sampling_rate": rate} if samples is not None:
            return samples, rate
        case Waveform() as sound:
            return sound.samples, sound.sample_rate
        case (samples, rate):
            return samples, rate
    rule = 'give {"array": ..., "sampling_rate": ...}, a Waveform, or (samples, rate)'
    if isinstance(given, Mapping):
        rule += "; a data set whose sound is not decoded (decode=False) is read with corpus=dataset"
    known = f"a mapping of {listed([*map(str, given)])}" if isinstance(given, Mapping) else type(given).__name__
    raise InputError(option=name, value=known, rule=rule)


def _spelled(value: object) -> str:
    """Spell a value for the command line; a text in a list needs quotes there, as does one that looks like a number."""
    return quote(value) if isinstance(value, str) else spell(value, inside=True)


def _written(clips: pandas.DataFrame, folder: Path, replace: bool) -> dict[str, object]:
    """Write a table of the clips into the folder of the run, and the sounds that are in no file beside it.

    Both are written aside first. The same clips as before stay as they are, and others replace those of a finished run
    only with ``replace``.
    """
    mark(folder)
    if is_held(folder):
        rule = "another run is writing there: wait for it, or name another folder"
        raise InputError(option="folder", value=folder, rule=rule)
    beside, root = folder / f".{_CLIPS}.aside", Path.cwd()
    remove(beside)  # left by a killed process
    try:
        beside.mkdir()
        table = _table(clips, beside)
        # a label NA is a text, and None is not
        table.to_csv(beside / _CLIPS, index=False, quoting=csv.QUOTE_NONNUMERIC)
        if not _same(beside, folder):
            if not replace and (folder / RESULTS).is_file() and (folder / _CLIPS).is_file():
                then = len(pandas.read_csv(folder / _CLIPS))
                problem = f"{folder} holds a finished run of other clips: {then} then, {len(clips)} now"
                raise InputError(problem, remedy="name another folder, or add the option replace=True")
            for name in (_RECORDINGS, _CLIPS):
                if (beside / name).exists():
                    remove(folder / name)
                    (beside / name).rename(folder / name)
    finally:
        remove(beside)
    return {
        "corpus.table": str(folder / _CLIPS),
        "corpus.root": str(folder / _RECORDINGS if "array" in clips else root),
    }


def _table(clips: pandas.DataFrame, folder: Path) -> pandas.DataFrame:
    """Write the sounds that are in no file below the folder, and return the table with their paths."""
    if "array" not in clips:
        return clips
    if "sampling_rate" not in clips:
        raise InputError(option="clips", value=[*clips], rule="a column array needs a column sampling_rate, in Hz")
    (root := folder / _RECORDINGS).mkdir()
    return clips.drop(columns=["array", "sampling_rate"]).assign(path=[*_sounds(clips, root)])


def _same(one: Path, other: Path) -> bool:
    """Return whether the table and the sounds of the folder ``one`` are in the folder ``other``, byte by byte."""
    names = [_CLIPS, *(f"{_RECORDINGS}/{path.name}" for path in (one / _RECORDINGS).glob("*"))]
    return not any(filecmp.cmpfiles(one, other, names, shallow=False)[1:])


def _sounds(clips: pandas.DataFrame, folder: Path) -> Iterator[str]:
    for number, (array, rate) in enumerate(zip(clips["array"], clips["sampling_rate"], strict=True)):
        name, given, hertz = f"{number:06}.wav", f"clips.array[{number}]", whole_rate(rate)
        mono(array, name=given)  # refuses what is no sound
        # libsndfile writes the time into files of floats, which would be other recordings for the store.
        soundfile.write(folder / name, by_channel(array, given).astype(float), hertz, subtype="PCM_24")
        yield name
