"""Codes: the contract between tokenizer, language model and vocoder.

Code ``p`` stands for exactly the samples ``[p * samples_per_code, (p + 1) * samples_per_code)``. The last code may
reach beyond the recording (its patch is padded with zeros); ``num_samples`` says where the sound ends.

Codes may have several rates, most have one. Then a row is a time step of the coarsest rate::

    samples   |<------------------ samples_per_code ------------------>|
    rate 1    [                           a0                           ]     coarse: 8 frames per patch
    rate 2    [             b0             ][            b1            ]             4
    rate 3    [     c0      ][     c1      ][     c2     ][     c3     ]     fine:   2
    values    a0 b0 b1 c0 c1 c2 c3

Where a recording ends within a time step, finer codes after its end are 0. `Codes.by_rate` cuts them off, so nobody
reads them.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from types import MappingProxyType
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wordless.audio.audio_options import SpectrogramConfig
from wordless.base.arrays import Array, DoubleArray, IndexArray, IntArray
from wordless.base.messages import InputError, require

FINGERPRINT_LENGTH = 16  # hexadecimal digits: 64 bits
MAX_STREAMS = 4096
LEAST_PITCH_LEVELS = 3
BLOCK = 32  # codes that are decoded in one call: products of other shapes round differently
MAX_SAMPLES_PER_CODE = 1 << 30
MAX_SAMPLE_RATE = 1_000_000  # Hz


@dataclass(frozen=True, kw_only=True)
class RateFormat:
    """What codes at one of several rates mean; codebook size and sample rate are those of all rates."""

    streams: int  # codes per code length of this rate
    samples_per_code: int
    tokenizer: str  # fingerprints, as in `CodesFormat`
    codebook: str


@dataclass(frozen=True, kw_only=True)
class PitchFormat:
    """The meaning of a stream of pitch: code 0 is no voice, and the others are pitches in equal steps of log-F0.

    Speech resynthesis from units with a stream of log-F0 is that of Polyak et al. 2021 (arXiv:2104.00355), language
    models of both that of Kharitonov et al. 2022 (arXiv:2109.03264).
    """

    name: ClassVar[str] = "pitch"
    unknown: ClassVar[int] = 0  # code of sound whose pitch is not known

    levels: int  # codes of the stream
    lowest: float  # Hz, of code 1
    highest: float  # Hz, of the last code

    def __post_init__(self) -> None:
        rule = f"it must be {LEAST_PITCH_LEVELS} or more: no voice, and two pitches"
        require(self.levels >= LEAST_PITCH_LEVELS, "pitch.levels of the codes", self.levels, rule)
        rule = f"it must be above pitch.lowest={self.lowest:g}, and both above 0 Hz"
        require(0 < self.lowest < self.highest < math.inf, "pitch.highest of the codes", self.highest, rule)

    @property
    def octaves(self) -> DoubleArray:
        """Binary logarithm of the pitch in Hz of each code ``(levels,)``; nan: no voice."""
        return np.append(np.nan, np.linspace(np.log2(self.lowest), np.log2(self.highest), self.levels - 1))

    def quantise(self, octaves: DoubleArray) -> IntArray:
        """Return the nearest code of each pitch ``(time,)``, which is a binary logarithm of Hz; nan: no voice."""
        low, high = np.log2(self.lowest), np.log2(self.highest)
        steps = np.rint((octaves - low) / (high - low) * (self.levels - 2)).clip(0, self.levels - 2)
        return np.where(np.isnan(octaves), 0, 1 + np.nan_to_num(steps)).astype(np.int32)


@dataclass(frozen=True, kw_only=True)
class LevelFormat:
    """The meaning of a stream of level: steps of 1 dB. Codes stand for sound that was brought to the reference level.

    A lower level than the lowest has code 0, and a higher one than the highest the last code.
    """

    name: ClassVar[str] = "level"

    levels: int  # codes of the stream
    lowest: float  # dB full scale, of code 0
    reference: float  # dB full scale

    def __post_init__(self) -> None:
        known = all(map(math.isfinite, (self.lowest, self.reference)))
        rule = "its lowest and reference level must be numbers, and the reference one of its levels"
        fits = self.levels > 0 and known and 0 <= self.reference - self.lowest < self.levels
        require(fits, "level of the codes", f"of {self.levels} levels from {self.lowest} dB", rule)

    @property
    def unknown(self) -> int:
        """Code of sound whose level is not known: that of the reference."""
        return round(self.reference - self.lowest)

    def quantise(self, decibels: Tensor) -> Tensor:
        """Return the nearest code of each level in dB full scale, int32 of the same shape."""
        return (decibels - self.lowest).round().clamp(0, self.levels - 1).to(torch.int32)

    def gains(self, codes: Tensor) -> Tensor:
        """Return what the sound of codes is louder than the reference level, in dB, of the same shape."""
        return codes.float() + (self.lowest - self.reference)


SideStream = LevelFormat | PitchFormat  # the meaning of a side stream, such as prosody
NO_STREAMS: Mapping[SideStream, IntArray] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class CodesFormat:
    """The meaning of codes without their values: everything that recordings of one codebook share."""

    codebook_size: int
    streams: int  # codes per time step: rate after rate, band after band; then a code of each of the `side_streams`
    samples_per_code: int  # samples per time step
    sample_rate: int  # Hz
    tokenizer: str  # fingerprint of front end and autoencoder
    codebook: str  # fingerprint of the tokenizer and the centroids
    rates: tuple[RateFormat, ...] = ()  # of codes at several rates, coarse to fine; (): a single rate
    level: LevelFormat | None = None  # of a side stream; None: there is none
    pitch: PitchFormat | None = None  # the same

    def __post_init__(self) -> None:
        for name, most in (
            ("codebook_size", 1 << 31),  # codes are int32
            ("streams", MAX_STREAMS),
            ("samples_per_code", MAX_SAMPLES_PER_CODE),
            ("sample_rate", MAX_SAMPLE_RATE),
        ):
            if not 1 <= (value := getattr(self, name)) <= most:
                raise InputError(f"{name} of the codes is {value}", remedy=f"it must be 1 to {most}")
        for name in ("tokenizer", "codebook"):
            if not getattr(self, name):
                raise InputError(f"{name} of the codes is empty", remedy="it must be the fingerprint of one")
        for own in self.side_streams:
            count = len(self.side_streams)
            rule = f"{count} of them are side streams: it must be {1 + count} or more"
            require(self.spectral_streams > 0, "streams of the codes", self.streams, rule)
            rule = "codes at several rates have no side stream"
            require(not self.rates, f"{own.name} of the codes", "given", rule)
        if self.rates:
            self._require_rates()

    @property
    def side_streams(self) -> tuple[SideStream, ...]:
        """The side streams, in their order. A further kind is added here, and as a field."""
        return tuple(each for each in (self.level, self.pitch) if each is not None)

    @property
    def spectral_streams(self) -> int:
        """Number of the streams that stand for the spectrum; they come first."""
        return self.streams - len(self.side_streams)

    def column(self, stream: SideStream) -> int:
        """Return the column of a side stream."""
        return self.spectral_streams + self.side_streams.index(stream)

    @property
    def spectral(self) -> "CodesFormat":
        """The format of the codes without the side streams."""
        return replace(self, streams=self.spectral_streams, level=None, pitch=None)

    @property
    def codes_per_second(self) -> float:
        """Time steps per second; each has ``streams`` codes."""
        return self.sample_rate / self.samples_per_code

    @property
    def bits_per_second(self) -> float:
        """Bit rate of the codes of the spectrum if all are equally probable; side streams come on top."""
        return self.codes_per_second * self.spectral_streams * self.bits_per_code

    @property
    def bits_per_code(self) -> float:
        """Bits of a code if all are equally probable: log2(codebook_size)."""
        return float(np.log2(self.codebook_size))

    @property
    def code_shape(self) -> tuple[int, int]:
        """The shape of a table with a number for each code of each stream of the spectrum ``(streams, codes)``."""
        return self.spectral_streams, self.codebook_size

    def steps(self, num_samples: int) -> int:
        """Compute how many time steps cover ``num_samples`` samples; the tail is padded to a whole step."""
        return -(-num_samples // self.samples_per_code)

    @property
    def formats(self) -> tuple["CodesFormat", ...]:
        """The format of the codes of each rate alone, coarse to fine."""
        return tuple(replace(self, rates=(), **vars(rate)) for rate in self.rates) or (self,)

    @classmethod
    def of_rates(cls, formats: Sequence["CodesFormat"]) -> "CodesFormat":
        """Return the format of codes at several rates, coarse to fine; refuse rates that do not fill a time step."""
        coarsest = formats[0]
        if len(formats) == 1:
            return coarsest
        for each in formats:
            if (each.codebook_size, each.sample_rate) != (coarsest.codebook_size, coarsest.sample_rate):
                raise InputError(
                    f"one rate has {coarsest.codebook_size} codes at {coarsest.sample_rate} Hz, another "
                    f"{each.codebook_size} at {each.sample_rate} Hz; all rates of a tokenizer must have the same"
                )
        names = [field.name for field in fields(RateFormat)]
        return replace(
            coarsest,
            streams=sum(coarsest.samples_per_code // each.samples_per_code * each.streams for each in formats),
            tokenizer=_joint_fingerprint([each.tokenizer for each in formats]),
            codebook=_joint_fingerprint([each.codebook for each in formats]),
            rates=tuple(RateFormat(**{name: getattr(each, name) for name in names}) for each in formats),
        )

    def as_dict(self) -> dict[str, object]:
        """Return the content of files, which names rates and side streams only where there are some."""
        return {name: value for name, value in asdict(self).items() if value}

    def _require_rates(self) -> None:
        lengths = [each.samples_per_code for each in self.formats]
        nested = all(fine < coarse and coarse % fine == 0 for coarse, fine in pairwise(lengths))
        whole = sum(lengths[0] // each.samples_per_code * each.streams for each in self.formats)
        if len(lengths) < 2 or not nested or (lengths[0], whole) != (self.samples_per_code, self.streams):
            raise InputError(
                f"the rates of the codes have {lengths} samples per code, and a time step has {self.samples_per_code} "
                f"samples and {self.streams} codes; the first of two or more rates must last a time step, each next "
                "rate an equal part of the rate before it, and together they must have the codes of a time step"
            )


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Codes:
    """Codes of one recording: ``values (time, streams)`` int32 in [0, codebook_size), and beside them in [0, levels).

    Flat order is time-major, stream-minor: ``values.reshape(-1)``. Values that contradict the format are refused.
    """

    values: IntArray
    num_samples: int
    format: CodesFormat

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != self.format.streams or self.values.dtype != np.int32:
            problem = f"values are {self.values.dtype} of shape {self.values.shape}"
            raise InputError(f"{problem}; codes are int32 (time, {self.format.streams})")
        if self.num_samples < 0:
            raise InputError(f"num_samples is {self.num_samples}", remedy="it must be 0 or more")
        if len(self.values) != (steps := self.format.steps(self.num_samples)):
            given = f"{self.num_samples}, which takes {steps} time steps of {self.format.samples_per_code} samples"
            raise InputError(f"num_samples is {given}", remedy=f"there are {len(self.values)}")
        size, spectral = self.format.codebook_size, self.format.spectral_streams
        parts = [(self.values[:, :spectral], size, f"a codebook of {size}")]
        parts += [(self.side_stream(own), own.levels, f"the stream of {own.name}") for own in self.format.side_streams]
        for values, size, owner in parts:
            if values.size and not 0 <= values.min() <= values.max() < size:
                problem = f"values lie in [{values.min()}, {values.max()}]"
                raise InputError(f"{problem}; {owner} has codes 0 to {size - 1}: these codes are of another tokenizer")
        checked = self.values.view()
        checked.flags.writeable = False  # an assignment to a code would not be checked
        object.__setattr__(self, "values", checked)

    def __eq__(self, other: object) -> bool:
        """Whether the values are the same, of the same length and format."""
        if not isinstance(other, Codes):
            return NotImplemented
        alike = (self.num_samples, self.format) == (other.num_samples, other.format)
        return alike and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((self.num_samples, self.format, self.values.tobytes()))

    def __repr__(self) -> str:
        size, each = self.format.codebook_size, 1000 * self.format.samples_per_code / self.format.sample_rate
        return f"<Codes {self.values.shape} of {size}, {self.seconds:.3f} s, {each:g} ms each>"

    def __len__(self) -> int:
        """Count the time steps."""
        return len(self.values)

    def __bool__(self) -> bool:
        """Return true: codes of no sound are codes, too, and not missing ones."""
        return True

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return the values ``(time, streams)`` for `numpy.asarray`, which copies them only where it must."""
        return np.array(self.values, dtype=dtype, copy=copy)

    @property
    def seconds(self) -> float:
        """Duration of the sound in seconds."""
        return self.num_samples / self.format.sample_rate

    @property
    def times(self) -> DoubleArray:
        """Begin and end of each time step in seconds ``(time, 2)``; the last one ends with the sound."""
        borders = np.minimum(np.arange(len(self.values) + 1) * self.format.samples_per_code, self.num_samples)
        return np.stack([borders[:-1], borders[1:]], axis=1) / self.format.sample_rate

    @property
    def counts(self) -> IndexArray:
        """Uses of each code in each stream of the spectrum ``(streams, codebook_size)``."""
        size = self.format.codebook_size
        return np.stack([np.bincount(stream, minlength=size) for stream in self.spectral.values.T])

    @property
    def spectral(self) -> "Codes":
        """The codes without the side streams."""
        if not self.format.side_streams:
            return self
        spectral = np.ascontiguousarray(self.values[:, : self.format.spectral_streams])
        return replace(self, values=spectral, format=self.format.spectral)

    def side_stream(self, stream: SideStream) -> IntArray:
        """Return the codes ``(time,)`` of a side stream; unknown ones if there is none."""
        if stream not in self.format.side_streams:
            return np.full(len(self), stream.unknown, np.int32)
        return self.values[:, self.format.column(stream)]

    def with_side_streams(
        self, codes_format: CodesFormat, streams: Mapping[SideStream, IntArray] = NO_STREAMS
    ) -> "Codes":
        """Return the codes with the streams ``(time,)`` beside them that a format has, where they are not given as of
        `side_stream`.
        """
        columns = [streams[each] if each in streams else self.side_stream(each) for each in codes_format.side_streams]
        values = np.column_stack([self.spectral.values, *columns]).astype(np.int32)
        return replace(self, values=values, format=codes_format)

    @property
    def by_rate(self) -> tuple["Codes", ...]:
        """The codes of each rate, coarse to fine, each as the tokenizer of this rate alone gives them."""
        if not self.format.rates:
            return (self,)
        parts, first = [], 0
        for own in self.format.formats:
            width = self.format.samples_per_code // own.samples_per_code * own.streams
            values = self.values[:, first : first + width].reshape(-1, own.streams)[: own.steps(self.num_samples)]
            parts.append(Codes(values=values, num_samples=self.num_samples, format=own))
            first += width
        return tuple(parts)

    @property
    def finest(self) -> "Codes":
        """The codes of the finest rate, which a vocoder decodes."""
        return self.by_rate[-1]

    def crop(self, start: int, stop: int) -> "Codes":
        """Return time steps ``[start, stop)`` as separate codes."""
        values, step = self.values[start:stop], self.format.samples_per_code
        left = max(min(self.num_samples - start * step, len(values) * step), 0)
        return replace(self, values=values, num_samples=left)


def join_codes(prompt: Codes, *more: Codes) -> Codes:
    """Join a prompt of whole codes and its continuation, in one part or several, into codes of one sound."""
    for part in (prompt, *more):
        require_codes(part, "a part")
        require_same_codebook(prompt.format, part.format, owner="the prompt")
    *whole, last = prompt, *more
    samples = prompt.format.samples_per_code * sum(len(part.values) for part in whole) + last.num_samples
    return replace(last, values=np.concatenate([part.values for part in (prompt, *more)]), num_samples=samples)


def join_rates(parts: Sequence[Codes]) -> Codes:
    """Join the codes of one recording at several rates, coarse to fine; a single rate is returned as is.

    The parts may differ in length by less than a time step, because each was padded to whole codes: the shortest
    decides.
    """
    if len(parts) == 1:
        return parts[0]
    codes_format = CodesFormat.of_rates([part.format for part in parts])
    lengths = [part.num_samples for part in parts]
    num_samples, steps = min(lengths), codes_format.steps(min(lengths))
    if max(lengths) - num_samples >= codes_format.samples_per_code:
        raise InputError(f"codes of several rates are of {lengths} samples; join the codes of one recording")
    columns = []
    for part in parts:  # (time, streams) -> (steps, codes of a time step)
        share, own = codes_format.samples_per_code // part.format.samples_per_code, part.format
        kept = part.values[: own.steps(num_samples)]
        columns.append(np.pad(kept, ((0, steps * share - len(kept)), (0, 0))).reshape(steps, share * own.streams))
    return Codes(values=np.concatenate(columns, axis=1), num_samples=num_samples, format=codes_format)


def _joint_fingerprint(parts: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:FINGERPRINT_LENGTH]


class CodeDecoder(Protocol):
    """The decoding of codes to patches and of patches to log-mel. `Tokenizer` implements it."""

    @property
    def format(self) -> CodesFormat: ...

    @property
    def front_end(self) -> "SpectrogramConfig":
        """The spectrogram that the codes represent."""

    @property
    def patch_frames(self) -> int:
        """Spectrogram frames per code; samples_per_code = patch_frames * hop_length."""

    @property
    def gain(self) -> float:
        """Gain in dB that sound of the codes needs; see `tokenizer.gain.measure_gain`."""

    @property
    def reach(self) -> int:
        """Codes before a code that its log-mel depends on, and as many after it."""

    def spectrogram(self, values: Tensor, *, before: int = 0, after: int = 0) -> Tensor:
        """Decode codes ``(batch, time, streams)`` to normalised log-mel ``(batch, time * patch_frames, mels)``.

        The first ``before`` and the last ``after`` codes are context alone: their frames are left out.
        """

    def denormalise(self, spectrogram: Tensor) -> Tensor:
        """Undo the normalisation of `spectrogram` ``(..., mels)``; units as in `wordless.audio.spectrogram.LogMel`."""


def require_codes(given: object, name: str) -> None:
    """Refuse values that are not `Codes`, such as bare numbers."""
    if not isinstance(given, Codes):
        raise InputError(f"{name} is of type {type(given).__name__}; give Codes, such as Tokenizer.encode returns")


def row_lengths(mask: Tensor | None, shape: tuple[int, int]) -> list[int]:
    """Return the length of each row of a mask ``(batch, time)`` of ``shape``; None: all are whole.

    Rows are true, or 1, and padding after their end is false, or 0. Padding before a row is refused.
    """
    if mask is None:
        return [shape[1]] * shape[0]
    require(tuple(mask.shape) == shape, "shape of the mask", (*mask.shape,), f"it must be {shape}")
    there = mask.detach().cpu().bool()
    counts = there.sum(1)
    if not torch.equal(there, torch.arange(shape[1]) < counts[:, None]):
        raise InputError("mask is false before the end of a row", remedy="padding must be on the right")
    found: list[int] = counts.tolist()
    return found


def require_sound(given: object, name: str) -> None:
    """Refuse `Codes` where samples are wanted: NumPy would take their numbers for samples."""
    if isinstance(given, Codes):
        raise InputError(f"{name} is of type Codes; give the sound: a Waveform, or samples with their rate")


def require_same_codebook(wanted: CodesFormat, given: CodesFormat, *, owner: str) -> None:
    """Refuse codes of another codebook than that of ``owner`` (such as "the language model runs/x/lm")."""
    if given.codebook != wanted.codebook:
        raise InputError(
            f"{owner} belongs to codebook {wanted.codebook}, the codes to codebook {given.codebook}: the same numbers "
            "mean other sounds; encode the recordings again with its own tokenizer (wordless encode model=RUN "
            "input=... output=...)"
        )
    for field in fields(CodesFormat):  # fixed by the codebook, so one of the files was altered
        if (own := getattr(wanted, field.name)) != (other := getattr(given, field.name)):
            raise InputError(
                f"{owner} has {field.name} {own}, the codes have {field.name} {other}, and both name codebook "
                f"{wanted.codebook}: one of them was altered; encode the recordings again (wordless encode)"
            )
