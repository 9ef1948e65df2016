"""The content of a run folder for the report: ``results.json``, sounds and pictures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from pipelines.results.comparison import Comparison
from pipelines.results.figures import Figure, Figures
from pipelines.results.record_types import read_record
from tokenizer.kmeans_report import KMeansSummary
from wordless.base.errors import InputError
from wordless.base.text import escape_values
from wordless.training.record import TrainingRecord

RESULTS = "results.json"
RESAMPLES = "resamples.safetensors"  # resampled test figures of each method, which pair the runs of a sweep
PICTURES = "listening/pictures.safetensors"
CODE_SOUNDS = "code_sounds"  # folder of the sounds of codes
SAMPLE_SOUNDS = "next_sample_sounds"  # folder of the sounds of language models of samples

Pictures = dict[str, npt.NDArray[np.float32 | np.int32]]
Resamples = dict[str, npt.NDArray[np.float32]]


class _Rejected(TypedDict):
    path: str
    reason: str


class RejectedRow(_Rejected, total=False):
    """A recording, or a segment of one, that was set aside."""

    segments: int  # where segments are clips


class DivisionRecord(TypedDict, total=False):
    """Entries that only some corpora have."""

    recordings: int  # that the clips are segments of
    notices: list[str]  # notices about the division of the clips
    trimmed_seconds: float  # of trimmed silence


class CorpusRecord(DivisionRecord):
    """The corpus of the run."""

    name: str
    clips: dict[str, int]  # by split
    seconds: dict[str, float]  # by split
    rejected: list[RejectedRow]
    labels: dict[str, int]  # clips of each
    groups: dict[str, int]


class ClusteredRecord(TypedDict, total=False):
    """The entry that a run with the tokenizer of another run lacks."""

    kmeans: KMeansSummary


class CodebookRecord(ClusteredRecord):
    """Use and health of the codebook."""

    counts: list[int]  # uses of each code
    stability: dict[str, float]  # ratio of codes that stay the same, by change
    verdict: str | None  # description of a collapse


class NearestRow(TypedDict):
    """A patch near to the centroid of its code."""

    clip: str
    step: int  # time step in the clip
    file: str  # WAV file of its sound, if the code is shown


class CodeRow(TypedDict):
    """One code on test clips."""

    code: int
    share: float  # of all codes
    spectrum: list[float]  # mean normalised log-mel of its patches (mels of a patch,)
    nearest: list[NearestRow]  # the nearest first; each has a sound if the code is shown
    label: str | None  # the most frequent one of its patches
    purity: float | None  # ratio of its patches with this label


class CodeLabels(TypedDict):
    """Mutual information and purity of codes and labels, and the same with the labels shuffled among the clips."""

    classes: int
    purity: float
    mutual_information: float  # bits
    chance_purity: float
    chance_mutual_information: float


class CodeTableRecord(TypedDict):
    """What each code stands for."""

    clips: int  # test clips
    codes: list[CodeRow]  # all codes, in order
    shown: list[int]  # codes with sounds, the most frequent first
    sound_seconds: float  # length of a sound, whose middle is the patch
    labels: CodeLabels | None


class ExcerptRecord(TypedDict):
    """The decoded part of a clip: the loudest excerpt of a longer clip."""

    path: str
    start: float  # seconds from the beginning of the clip
    seconds: float  # of the excerpt
    clip_seconds: float  # of the whole clip


class ClipRecord(ExcerptRecord):
    """A clip to listen to, and the figures of each of its sounds."""

    label: str | None
    group: str | None
    sounds: dict[str, dict[str, float]]


class SaidRecord(TypedDict):
    """A sound of the language model's codes."""

    kind: str  # continuation | unconditional
    file: str  # in the folder of sounds
    clip: int | None  # index of the continued clip
    temperature: float
    figures: dict[str, float]


class DiversityRow(TypedDict):
    """Diversity and perplexity of generated sounds of one kind at one temperature."""

    of: str
    temperature: float
    sounds: int
    distinct_1: float | None
    distinct_2: float | None
    distinct_3: float | None
    perplexity: float | None
    recoded_perplexity: float | None


class HeardRow(TypedDict):
    """Recognised classes in generated sounds of one kind at one temperature."""

    of: str
    temperature: float
    classes: dict[str, int]  # sounds of each


class ListeningRecord(TypedDict, total=False):
    """Sounds to listen to; only ``clips`` is always there."""

    clips: list[ClipRecord]
    said: list[SaidRecord]
    diversity: list[DiversityRow]
    recognised: list[HeardRow]
    judge: str  # the judging classifier, in words
    judge_name: str  # its name in the option listening.judge
    judged_clips: int  # number of clips in the figures
    excerpts: list[ExcerptRecord]  # of the judged clips
    warning: str | None  # the classifier does not recognise the originals
    postfilter: float  # its strength; 0: WaveNet's own sound
    pitch_comb: bool  # whether the filter has the comb, where the codes have a voice


class PairTest(TypedDict):
    """A test by pairs of utterances of which one is right; chance is 0.5."""

    test: str  # spot_the_word or word_order: the name of its figures
    items: int  # words or sentences
    pairs: int  # over all items and voices
    voices: int
    example: list[str]  # an item, and what stands against it


class PhoneTest(TypedDict):
    """ABX errors of phones between the same neighbours, across speakers; chance is 0.5."""

    phones: int
    pairs: int  # of phones that stand between the same neighbours
    tokens: int
    voices: int


class LanguageTests(TypedDict, total=False):
    """Tests of the language model."""

    pairs: PairTest
    phones: PhoneTest


class SampleSound(TypedDict):
    """A sound of a language model of samples."""

    of: str  # a model, or original
    file: str  # in the folder next_sample_sounds
    clip: int | None  # index of the clip that it continues
    figures: dict[str, float]


class SampleClip(TypedDict):
    """A test clip that the models continue."""

    path: str
    label: str | None
    group: str | None


class SampleModels(TypedDict):
    """The protocol, the trainings and the sounds of language models of samples."""

    seeds: int
    sample_rate: int
    samples: int  # that were predicted in the test
    steps: int  # of each training
    crops: int  # of each step
    crop_samples: int  # at most, of each crop
    engines: dict[str, str]  # the code that generates samples, by trained model
    trainings: dict[str, dict[str, TrainingRecord]]  # by model and seed
    sounds: list[SampleSound]
    clips: list[SampleClip]


class ContinuedFile(TypedDict):
    """A sound of a continuation."""

    of: str
    clip: int
    file: str  # in the folder rates
    prompt_seconds: float


class _Rates(TypedDict):
    frames: list[int]  # per code, of each rate
    steps: int  # of the finest codes of each row whose diversity is counted
    said: list[ContinuedFile]  # of the clips that the report shows
    clips: list[str]  # names of these clips
    seconds: float  # of each continuation
    window_seconds: float
    continued_clips: int


class RatesRecord(_Rates, total=False):
    """The protocol and the sounds of codes at several rates; the judge only where clips have labels."""

    judge: str  # in words
    resampled: str  # clip or group: what intervals draw


class StageRecord(TypedDict):
    """The costs of one stage."""

    stage: str
    key: str
    seconds: float
    peak_memory: float  # bytes
    reused: bool


class MachineRecord(TypedDict):
    """The machine of a run."""

    cpu: str  # model
    cores: int  # that the run could use
    memory: int | None  # bytes


class Provenance(TypedDict):
    """The provenance of a run's results."""

    version: str  # of Wordless
    commit: str | None  # of the checkout; followed by "+changes" where tracked files differ from it
    date: str  # when the results were written: UTC, ISO 8601
    command: str
    machine: MachineRecord
    system: str  # operating system and kernel
    python: str
    device: str
    threads: int  # of PyTorch, in each process
    ranks: int  # processes that trained together
    parameters: dict[str, int]  # of each trained model, by stage
    libraries: dict[str, str]  # versions
    config: dict[str, object]  # every option with its value


class Results(TypedDict, total=False):
    """``results.json``; only ``figures`` is always there."""

    figures: Figures
    corpus: CorpusRecord
    curves: dict[str, TrainingRecord]
    codebook: CodebookRecord
    codes: CodeTableRecord
    comparison: Comparison  # of the methods that were probed
    listening: ListeningRecord
    zerospeech: LanguageTests  # tests of the language model
    next_sample: SampleModels  # language models of samples
    rates: RatesRecord  # codes at several rates beside a flat GPT
    stages: list[StageRecord]
    command: str
    versions: dict[str, str]
    provenance: Provenance


def read_results(folder: Path) -> Results:
    """Read the results of a run; unprintable characters in names are escaped.

    Raises:
        InputError: the file is missing, or has another form.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise InputError(f"{path} is missing; give the folder of a run, as wordless run printed it: run=runs/...")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); write it again: repeat the run's command") from error
    if not isinstance(content, dict) or not isinstance(content.get("figures"), list):
        raise InputError(f'{path} holds no list of "figures"; write it again: repeat the run\'s command')
    try:
        figures = Figures(read_record(list[Figure], escape_values(content.pop("figures")), "figures"))
        results: Results = read_record(Results, escape_values(content))
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}; write it again: repeat the run's command") from error
    results["figures"] = figures
    if "comparison" in results:
        results["comparison"] = replace(results["comparison"], figures=figures.where(stage="probe"))
    return results


def read_resamples(folder: Path) -> Resamples:
    """Read the resampled test figures ``(resamples,)`` of each method; empty for a run without probes.

    Raises:
        InputError: the file is broken.
    """
    return _read_arrays(folder / RESAMPLES)


def read_pictures(folder: Path) -> Pictures:
    """Read spectrograms ``(time, mels)`` and codes ``(time, streams)`` by "<clip>:<kind>"; empty without pictures.

    Raises:
        InputError: the file is broken.
    """
    return _read_arrays(folder / PICTURES)


def _read_arrays(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise InputError(f"{path} cannot be read ({error}); write it again: repeat the run's command") from error


def is_cut(excerpt: ExcerptRecord) -> bool:
    """Whether only a part of the clip was decoded."""
    return excerpt["seconds"] < excerpt["clip_seconds"]
