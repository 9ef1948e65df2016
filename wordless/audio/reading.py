r"""Reading of recordings as a stream: any format, any rate, any channels -> mono float32 at one rate.

Memory depends neither on a recording's length nor on its header::

    file --decoder--> blocks --mean or a channel--> blocks of any size --equal_blocks--> fixed size --soxr--> blocks

One channel is read: the mean of all, one of them, or the loudest. The mean loses what channels hold with opposite
signs, such as a balanced line whose halves were recorded as stereo::

    channel 0     /\__/\__
    channel 1    _\/__\/__        mean  __________        audio.channel=0   /\__/\__

Several parts of a recording are read in order of time without decoding from its beginning each time.

Samples from callers of the Python API (arrays, lists, tensors of several types) become the same:

=====================================  ==============================================================================
input                                  meaning
=====================================  ==============================================================================
floating point                         samples in [-1, 1]; beyond `waveform.LOUDEST` they are refused, as in files
int16, int32                           full scale is the largest number of the type, as in audio files
one dimension                          mono
(samples, 1), (1, samples)             mono
(samples, 2) to (samples, 8)           channels last, as soundfile reads a file
(2, samples)                           stereo, channels first, as torchaudio reads a file
{"array": ..., "sampling_rate": ...}   samples with their rate, as datasets of Hugging Face hold them
(samples, rate)                        samples with their rate, as torchaudio returns them
a decoder of torchcodec                all its samples, as data sets of Hugging Face hold them from version 4 on
=====================================  ==============================================================================

Channels are averaged, unless the model reads a single one. All other inputs are ambiguous, and refused:
``(3, samples)`` and more rows are a batch for one library and channels for another. So are ``(2, samples)`` in
``encode`` if the rows do not sound alike, as in two recordings: see `_LIKENESS`. Several recordings go to
``encode_batch``.
``channels="first"`` or ``"last"`` says where the channels are, and nothing is guessed.
"""

import atexit
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from numbers import Real
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO, Literal, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wordless.audio.audio_options import Channel, require_choice
from wordless.audio.decoding import WHOLE, Block, Recording, RecordingError, file_state
from wordless.audio.waveform import (
    MAX_RATE,
    MIN_RATE,
    Part,
    Waveform,
    equal_blocks,
    first_samples,
    join_blocks,
    unusable_peak,
)
from wordless.base.arrays import DoubleArray, FloatArray, Floats
from wordless.base.messages import InputError, require

FAR_SOFTER = 0.1  # of the power of a mean in which the loudest channel sounds alone
_ROUNDING = 1e-12  # of the squares: a power below is rounding


class ChannelPowers:
    """Power of each channel of a recording, and of what was read of them, about their means; summed block by block."""

    def __init__(self) -> None:
        self.notices: tuple[str, ...] = ()  # what the user should know of the recording
        self.sample_rate = 0  # Hz, of the recording
        self._sums: DoubleArray = np.zeros((3, 1))  # of ones, samples and squares; the last column was read

    def add(self, block: Block, read: FloatArray) -> None:
        """Add the power of a block ``(samples, channels)``, and that of the samples ``(samples,)`` read from it."""
        columns = [*block.T.astype(np.float64), read.astype(np.float64)]
        with np.errstate(over="ignore", invalid="ignore"):  # samples that are not finite are refused elsewhere
            sums = [[len(each), each.sum(), np.einsum("n,n->", each, each)] for each in columns]
            self._sums = self._sums + np.transpose(sums)

    @property
    def _powers(self) -> DoubleArray:
        count, sums, squares = self._sums
        with np.errstate(over="ignore", invalid="ignore"):
            powers = squares - sums**2 / np.maximum(count, 1)
        return np.where(powers < _ROUNDING * squares, 0, powers)

    @property
    def loudest(self) -> int:
        """The channel with the highest power; the first of equal ones."""
        return int(np.argmax(self._powers[:-1])) if self._sums.shape[1] > 1 else 0

    @property
    def louder(self) -> int | None:
        """The loudest channel, if what was read is far softer: channels cancel, or another channel was read."""
        *channels, read = self._powers  # a mean of n channels of which one sounds has 1 / n**2 of its power
        return self.loudest if channels and read < FAR_SOFTER * max(channels) / len(channels) ** 2 else None


def cancelled(channel: int | None, louder: int) -> str:
    """Say why a recording is silent although its channel ``louder`` is not; ``channel`` was read, or the mean."""
    why = f"its channel {channel} is silent, and its channel {louder} is not"
    why = "its channels cancel each other in their mean" if channel is None else why
    return f"{why}; choose audio.channel={louder}, or loudest"


def chosen_channel(path: Path, channel: Channel) -> int | None:
    """Return the number of the channel that is read; None: the mean. The loudest is found by decoding the file."""
    if channel == "mean":
        return None
    require_choice(channel, "channel")
    return channel if isinstance(channel, int) else _loudest(path, file_state(path))


@lru_cache(maxsize=256)
def _loudest(path: Path, state: tuple[object, ...]) -> int:
    """Return the loudest channel of a file in this state; a file with many annotated parts is decoded once."""
    powers = ChannelPowers()
    with Recording(path) as recording:
        if recording.channels > 1:
            for _ in mono_blocks(recording, None, powers=powers):
                pass
    return powers.loudest


def mono_blocks(
    recording: Recording, channel: int | None, *, part: Part = WHOLE, powers: ChannelPowers | None = None
) -> Iterator[FloatArray]:
    """Read a channel of a recording or part, or the mean of all (None), in blocks; sum ``powers`` of several."""
    if channel is not None and channel >= recording.channels:
        has = f"it has {recording.channels} channel{'s' if recording.channels > 1 else ''}, which count from 0"
        remedy = "leave it out, or choose mean or loudest where the model is made (wordless run, wordless finetune)"
        detail = f"{has}, and audio.channel={channel} chooses another"
        raise RecordingError(recording.path, "lacks the chosen channel", detail, remedy=remedy)
    for block in recording.blocks(part):
        read: FloatArray = np.ascontiguousarray(block[:, channel or 0])
        if channel is None and block.shape[1] > 1:
            with np.errstate(over="ignore", invalid="ignore"):  # `unusable_peak` checks the sum as it checks a channel
                # column by column, because numpy's mean over a short last axis is slow
                for number in range(1, block.shape[1]):
                    read = read + block[:, number]
            read = read / np.float32(block.shape[1])
        if powers is not None:
            powers.notices = recording.notices
            if block.shape[1] > 1:
                powers.add(block, read)
        yield read


# The recording of which a part was read last, with its state; it is removed while in use, so no two readers share it.
_last: list[tuple[tuple[object, ...], Recording]] = []
atexit.register(_last.clear)  # or it is closed when the modules that close it are gone


@contextmanager
def _recording_at(path: Path, part: Part) -> Iterator[Recording]:
    """Give the recording that was read last, open behind its part, if it need not begin again; else open one."""
    keep = part.num_samples < WHOLE.num_samples
    state = file_state(path) if keep or _last else ()
    known, recording = _last.pop() if _last else ((), None)
    if recording is not None and (known != state or part.start < recording.known):
        recording.close()
        recording = None
    recording = recording or Recording(path)
    try:
        yield recording
    except BaseException as error:
        keep = keep and isinstance(error, GeneratorExit)  # a reader that wants no more; other errors close the file
        raise
    finally:
        if keep:
            _last.append((state, recording))
            recording = _last.pop(0)[1] if len(_last) > 1 else None
        if recording is not None:
            recording.close()


MOST_TIMES = 256  # largest ratio of rates in resampling; beyond it, nearly all mel bands would be empty
# Samples given to the resampler at a time: constant, so that results cannot depend on the caller's blocks.
_RESAMPLER_BLOCK = 1 << 15


def resampled_length(num_samples: int, from_rate: int, to_rate: int) -> int:
    """Compute the length after resampling: ceil(num_samples * to_rate / from_rate) covers the whole recording."""
    return -(-num_samples * to_rate // from_rate)


def upsampling_fault(from_rate: int, to_rate: int) -> str | None:
    """Return why a recording is not resampled; None if it is. A wrong header would turn seconds into hours."""
    if to_rate <= MOST_TIMES * from_rate:
        return None
    return f"rate too low: {from_rate} Hz, and the model's {to_rate} Hz is more than {MOST_TIMES} times as high"


def whole_rate(sample_rate: object) -> int:
    """Return a whole rate in Hz as an int; libraries also give floats, and arrays of one number."""
    number: Any = cast(Any, sample_rate).item() if getattr(sample_rate, "ndim", None) == 0 else sample_rate
    whole = not isinstance(number, bool) and isinstance(number, Real) and float(number).is_integer()
    rule = f"give a whole number of Hz, {MIN_RATE} to {MAX_RATE}, such as 16000"
    require(whole and MIN_RATE <= number <= MAX_RATE, "sample_rate", repr(number), rule)
    return int(number)


def read(source: Path | str | BinaryIO, sample_rate: int | None = None, *, channel: Channel = "mean") -> Waveform:
    """Read a whole recording, mono, at ``sample_rate`` Hz, or at its own rate; the samples are those of `read_blocks`.

    The recording is a path, which may begin with ``~`` if it is text, or a file that is open for reading bytes, from
    its position on. ``channel`` is the mean of all channels, the number of one from 0 on, or the loudest. Rates that
    are no whole Hz, and files that `read_blocks` refuses, are an `InputError`.
    """
    if not isinstance(source, str | os.PathLike):
        # both readers open a copy on the disk
        name = str(getattr(source, "name", type(source).__name__))
        with NamedTemporaryFile() as copy:
            try:
                shutil.copyfileobj(source, copy)
            except (AttributeError, TypeError, ValueError) as error:
                problem = f"{name} is no file that is open for reading bytes ({error})"
                raise InputError(f"{problem}; give a path, or open it by 'rb'") from error
            copy.flush()
            try:
                return read(Path(copy.name), sample_rate, channel=channel)
            except RecordingError as error:
                raise RecordingError(Path(name), error.kind, error.detail, remedy=error.remedy) from error
    path = Path(os.path.expanduser(source)) if isinstance(source, str) else source  # noqa: PTH111  Path raises for unknown users
    if sample_rate is None:
        with Recording(path) as recording:
            rate = recording.samplerate
    else:
        rate = whole_rate(sample_rate)
    return Waveform(samples=join_blocks(read_blocks(path, rate, channel=channel)), sample_rate=rate)


def resampled(waveform: Waveform, sample_rate: int) -> Waveform:
    """Resample a waveform to ``sample_rate`` Hz, as `read_blocks` resamples a recording."""
    blocks = resample_blocks([waveform.samples], waveform.sample_rate, sample_rate)
    return Waveform(samples=join_blocks(blocks), sample_rate=sample_rate)


def read_blocks(
    path: Path,
    sample_rate: int,
    *,
    part: Part | None = None,
    channel: Channel = "mean",
    powers: ChannelPowers | None = None,
) -> Iterator[FloatArray]:
    """Read mono blocks ``(samples,)`` float32 at ``sample_rate`` Hz in constant memory.

    A ``part`` gives the samples of a file that holds nothing else. In formats with exact seeking only the part is
    decoded. In others (MP3, Vorbis, Opus...) everything before the part is decoded and dropped; the file stays open
    behind the part, so reading the parts of a file in order of time decodes it once.

    ``channel`` is also that of a part, unless the part names one. The loudest is that of the whole file, which is
    decoded once more to find it. ``powers`` of what is read are summed.

    Raises:
        InputError: on the first block, when the file cannot be opened; later, when it proves damaged or too loud.
    """
    part = part or WHOLE
    number = chosen_channel(path, channel) if part.channel is None else part.channel
    if part.channel is not None and isinstance(channel, int):
        rule = f"the part has channel {part.channel}; give only one of them"
        require(channel == part.channel, "channel", channel, rule)
    with _recording_at(path, part) as recording:
        unchanged = _Unchanged(recording, part)
        unchanged.require()  # before a fault of another file would be told
        rate = recording.samplerate
        if powers is not None:
            powers.sample_rate = rate
        if reason := upsampling_fault(rate, sample_rate):
            remedy = "leave it out, or choose a lower sample rate"
            raise RecordingError(path, *reason.split(": ", 1), remedy=remedy)
        blocks = mono_blocks(recording, number, part=part, powers=powers)
        yield from resample_blocks(_require_usable(blocks, unchanged), rate, sample_rate)


def read_beginning(
    path: Path, sample_rate: int, seconds: float, *, part: Part | None = None, channel: Channel = "mean"
) -> Waveform:
    """Read the first ``seconds`` of a recording or part, or all of a shorter one; only these are in memory."""
    blocks = first_samples(read_blocks(path, sample_rate, part=part, channel=channel), round(seconds * sample_rate))
    return Waveform(samples=join_blocks(blocks), sample_rate=sample_rate)


CHANGED = "has changed since this command found it"


class _Unchanged:
    """Whether a recording is the file that was inspected, also while it is read; a part without a stamp takes any.

    Codes of other sound would be stored under the key of the sound that was inspected, and used again when that is put
    back. A file of another stamp, such as a copy, may have the same bytes.
    """

    def __init__(self, recording: Recording, part: Part) -> None:
        self.recording, self._part, self._stamp = recording, part, part.stamp

    def require(self) -> None:
        """Refuse a file of other bytes."""
        if not self._stamp or (now := self.recording.stamp) == self._stamp:
            return
        if not self._part.sha256 or self.recording.sha256 != self._part.sha256:
            remedy = "call the same command again, and let no other program write there meanwhile"
            raise RecordingError(self.recording.path, CHANGED, remedy=remedy)
        self._stamp = now


def _require_usable(blocks: Iterable[FloatArray], unchanged: _Unchanged) -> Iterator[FloatArray]:
    for block in blocks:
        unchanged.require()
        if len(block) and (reason := unusable_peak(float(np.abs(block).max()))):
            raise RecordingError(unchanged.recording.path, "too loud", reason)
        yield block


def resample_blocks(blocks: Iterable[FloatArray], from_rate: int, to_rate: int) -> Iterator[FloatArray]:
    """Resample a mono stream of blocks to `resampled_length` samples; block sizes do not change them.

    soxr rounds the length in its own way: its last sample is dropped, or a zero is appended.
    """
    if (lower := min(from_rate, to_rate)) <= 0:
        raise InputError(f"sample_rate is {lower}", remedy="it must be a positive number of Hz")
    if reason := upsampling_fault(from_rate, to_rate):
        raise InputError(f"sample {reason}; leave it out, or choose a lower rate")
    if from_rate == to_rate:
        yield from blocks
        return
    import soxr  # networks and machines without sound files need no resampler

    resampler = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")
    received = sent = 0
    for block in equal_blocks(blocks, _RESAMPLER_BLOCK):
        received += len(block)
        resampled: FloatArray = resampler.resample_chunk(block)
        sent += len(resampled)
        if len(resampled):
            yield resampled
    tail: FloatArray = resampler.resample_chunk(np.empty(0, np.float32), last=True)
    missing = resampled_length(received, from_rate, to_rate) - sent
    if missing:
        yield np.pad(tail[:missing], (0, max(missing - len(tail), 0)))


class _Array(Protocol):
    """An array of NumPy, or a tensor of PyTorch, which is imported where samples are converted."""

    def __array__(self) -> npt.NDArray[Any]:
        """Return the values."""


Samples = _Array | Sequence[float] | Sequence[Sequence[float]] | Mapping[str, Any] | tuple[_Array, int]
Channels = Literal["first", "last"]  # the dimension of the channels in an array: (channels, samples), or the other way
_MAX_CHANNELS, STEREO = 8, 2
# Least correlation of two channels of one recording, one at most so many seconds later than the other: sound from one
# place reaches two microphones within this time. Of 300 pairs of clips from five sets, 293 have a lower one.
_LIKENESS, _SPREAD = 0.2, 0.01
_COMPARED = 1 << 20  # samples that are compared, from the middle of the rows
_FULL_SCALE = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}


def as_waveform(
    sound: Waveform | Samples,
    sample_rate: int | None,
    *,
    channel: Channel = "mean",
    channels: Channels | None = None,
    alone: bool = False,
    name: str = "samples",
) -> Waveform:
    """Return a waveform as it is, and samples with their rate in Hz as one; refuse rates that lack or contradict.

    ``channels`` are of `by_channel`. With ``alone``, two rows that are two recordings are refused, too.
    """

    if isinstance(sound, Waveform):
        if sample_rate is not None and sample_rate != sound.sample_rate:
            rule = "a Waveform has its own rate: leave sample_rate out, or give the samples alone (waveform.samples)"
            raise InputError(f"sample_rate is {sample_rate} Hz, and the waveform's is {sound.sample_rate} Hz; {rule}")
        _require_sound(sound.samples, name)
        return sound
    given: object = sound
    match given:
        case {"array": samples, "sampling_rate": rate} | (np.ndarray() | Tensor() as samples, int(rate)):
            if sample_rate not in (None, rate):
                raise InputError(f"sample_rate is {sample_rate} Hz, and {name} have {rate} Hz; leave one out")
            return as_waveform(samples, rate, channel=channel, channels=channels, alone=alone, name=name)
        case _ if hasattr(given, "get_all_samples"):
            return as_waveform(decoded(given), sample_rate, channel=channel, name=name)
        case str() | Path():
            raise InputError(f"{name} are the path {str(given)!r}; read it: wordless.read(path)")
    if sample_rate is None:
        raise InputError("sample_rate is missing; samples alone do not say how fast they were taken: give it in Hz")
    rate = whole_rate(sample_rate)
    if alone and channels is None and np.shape(cast(Any, sound))[:1] == (STEREO,):
        _require_one_recording(by_channel(sound, name), rate, name)
    return Waveform(samples=mono(sound, channel=channel, channels=channels, name=name), sample_rate=rate)


def decoded(decoder: Any) -> dict[str, Any]:
    """Return all samples ``(samples, channels)`` of a decoder of torchcodec, with their rate."""
    found = decoder.get_all_samples()
    return {"array": found.data.T, "sampling_rate": int(found.sample_rate)}


def _require_one_recording(samples: Floats, rate: int, name: str) -> None:
    """Refuse two rows that are recordings rather than channels ``(samples, 2)``: they do not correlate."""
    if samples.ndim != 2 or samples.shape[1] != STEREO:
        return
    begin = max(len(samples) - _COMPARED, 0) // 2
    rows = np.nan_to_num(samples[begin : begin + _COMPARED].T.astype(np.float64))  # others are refused elsewhere
    rows -= rows.mean(axis=1, keepdims=True)
    powers, size = np.square(rows).sum(axis=1), 1 << (2 * rows.shape[1]).bit_length()
    if not powers.all():
        return
    one, other = np.fft.rfft(rows, size)
    found, reach = np.fft.irfft(one * other.conj(), size), 1 + min(round(_SPREAD * rate), rows.shape[1] - 1)
    likeness = np.abs([*found[:reach], *found[-reach:]]).max() / np.sqrt(powers.prod())
    if likeness < _LIKENESS:
        problem = (
            f"{name} have the shape {samples.T.shape}, and the rows do not sound alike (correlation {likeness:.2g})"
        )
        rule = 'two recordings go to encode_batch(...), and two channels to encode(..., channels="first")'
        raise InputError(problem, remedy=rule)


def each_recording(recordings: object) -> Iterator[tuple[Any, str]]:
    """Give each recording of a batch with its name for messages; a single recording is refused."""
    if isinstance(recordings, Waveform) or not isinstance(recordings, Iterable) or isinstance(recordings, str | bytes):
        problem = f"recordings are of type {type(recordings).__name__}"
        raise InputError(problem, remedy="give a list of recordings, or one recording to encode(...)")
    for number, recording in enumerate(recordings):
        if isinstance(recording, Real) or getattr(recording, "ndim", None) == 0:
            problem = "recordings are the samples of one recording"
            raise InputError(problem, remedy="give it to encode(...), or a list of several")
        yield recording, f"recordings[{number}]"


def mono(
    samples: object, *, channel: Channel = "mean", channels: Channels | None = None, name: str = "samples"
) -> FloatArray:
    """Convert samples to mono float32 ``(samples,)``; the table above lists the shapes.

    Samples of a single channel are returned whatever ``channel`` is. Samples that are not numbers, not finite, of
    unknown full scale, of another shape, without the channel, or too large for sound in [-1, 1] are refused.
    """
    array = by_channel(samples, name, channels)
    if array.ndim == 2:
        count = array.shape[1]
        if channel == "mean" or count == 1:
            array = array.mean(axis=1, dtype=np.float64 if array.dtype == np.float64 else np.float32)
        else:
            number = int(np.argmax(np.var(array, axis=0, dtype=np.float64))) if channel == "loudest" else channel
            if number >= count:
                problem = f"{name} have {count} channels, which count from 0"
                raise InputError(f"{problem}, and the channel {number} of the model is another; give that one")
            array = array[:, number]
    with np.errstate(over="ignore"):
        converted: FloatArray = np.ascontiguousarray(array, dtype=np.float32)
    _require_sound(converted, name)
    return converted


def by_channel(samples: object, name: str, channels: Channels | None = None) -> Floats:
    """Convert samples to floating point ``(samples,)`` or ``(samples, channels)``; the table above lists the shapes.

    ``channels`` says which dimension of the samples is that of the channels.
    """
    require(channels in (None, "first", "last"), "channels", channels, 'choose "first", "last" or None')

    if isinstance(samples, torch.Tensor):
        there = samples.detach().cpu()
        samples = (there.float() if there.dtype == torch.bfloat16 else there).numpy()
    try:
        array: Floats = np.asarray(samples)
    except ValueError as error:  # lists of unequal lengths
        raise InputError(f"{name} are not an array ({error}); give numbers (samples,)") from error
    if (kind := array.dtype.newbyteorder("=")) in _FULL_SCALE:  # in either order of bytes
        array = array.astype(np.float64) / _FULL_SCALE[kind]
    elif not np.issubdtype(array.dtype, np.floating):
        if array.size or array.dtype == object:
            known = "give floating point in [-1, 1], int16 or int32"
            raise InputError(f"{name} are {array.dtype}, of unknown full scale; {known}")
        array = array.astype(np.float32)
    if array.ndim == 1:
        return array
    rows, columns = array.shape if array.ndim == 2 else (0, 0)
    if channels is not None:
        count = rows if channels == "first" else columns
        rule = f"channels={channels!r} wants 1 to {_MAX_CHANNELS} channels in two dimensions"
        require(1 <= count <= _MAX_CHANNELS, f"shape of {name}", (*array.shape,), rule)
        return np.moveaxis(array, 0, 1) if channels == "first" else array
    if rows == 1 or (rows == STEREO and columns > _MAX_CHANNELS):
        return np.moveaxis(array, 0, 1)
    if columns == 1 or 0 < columns <= _MAX_CHANNELS < rows:
        return array
    rule = "say where they are (channels='first' or 'last'), or give several recordings to encode_batch(...)"
    raise InputError(f"{name} have the shape {array.shape}, in which channels cannot be told from recordings; {rule}")


def _require_sound(samples: FloatArray, name: str) -> None:
    if reason := unusable_peak(float(np.abs(samples).max(initial=0))):
        raise InputError(f"{name}: {reason}; sound lies in [-1, 1]: divide 16-bit numbers by 32768")
