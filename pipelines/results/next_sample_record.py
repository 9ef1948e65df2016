"""The language models of samples in ``results.json``, as the report reads them."""

from typing import TypedDict

from wordless.training.record import TrainingRecord


class SpeedRecord(TypedDict):
    """How fast a model generates one sound."""

    samples_per_second: float
    engine: str  # the code that generates samples


class IntervalRecord(TypedDict):
    """A mean over seeds."""

    value: float
    low: float | None  # t interval over seeds; None of a single seed
    high: float | None


class SampleModelRow(TypedDict):
    """A model or a baseline."""

    of: str
    accuracy: IntervalRecord  # share of test samples whose most probable level is right
    bits_per_sample: IntervalRecord | None  # None of a baseline without probabilities
    parameters: int
    multiply_adds: float  # per sample
    history: int  # samples that it reads before each sample
    speed: SpeedRecord | None


class SampleDifferenceRow(TypedDict):
    """One model minus another, seed by seed."""

    of: str
    against: str
    accuracy: IntervalRecord
    bits_per_sample: IntervalRecord


class SampleSoundRecord(TypedDict):
    """A sound in the folder next_sample_sounds."""

    of: str  # a model, or original
    file: str
    clip: int | None  # index of the clip that it continues
    figures: dict[str, float]


class SampleClipRecord(TypedDict):
    """A test clip that the models continue."""

    path: str
    label: str | None
    group: str | None


class NextSampleRecord(TypedDict):
    """The comparison of language models of samples."""

    models: list[SampleModelRow]
    differences: list[SampleDifferenceRow]
    seeds: int
    sample_rate: int
    samples: int  # that were predicted in the test
    steps: int  # of each training
    crops: int  # of each step
    crop_samples: int  # at most, of each crop
    trainings: dict[str, dict[str, TrainingRecord]]  # by model and seed
    sounds: list[SampleSoundRecord]
    clips: list[SampleClipRecord]
