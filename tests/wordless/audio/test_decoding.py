"""Files that soundfile opens, else PyAV; MPEG audio, whose length libsndfile only estimates, is read by PyAV."""

import io
import struct
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

from tests.wordless.audio.conftest import inspected
from wordless.audio.decoding import RecordingError, count_samples
from wordless.audio.reading import read, read_blocks
from wordless.audio.waveform import Part
from wordless.base.arrays import FloatArray

RATE, SAMPLES = 16_000, 16_000


def encoded(
    kind: str,
    subtype: str | None = None,
    *,
    seed: int = 0,
    rate: int = RATE,
    channels: int = 1,
    mode: str | None = None,
    seconds: int = 1,
) -> bytes:
    """Noise as a file of libsndfile; more than a second becomes soft, so that the bit rate changes."""
    noise = 0.2 * np.random.default_rng(seed).standard_normal((seconds * rate, channels))
    noise[rate * (seconds + 1) // 2 :] *= 0.001 if seconds > 1 else 1
    file, options = io.BytesIO(), {"format": kind, "subtype": subtype, "bitrate_mode": mode}
    soundfile.write(file, noise.clip(-1, 1), rate, **options, compression_level=0.5 if mode else None)
    return file.getvalue()


def without_header(mp3: bytes) -> bytes:
    """The MP3 without the frame that declares its length (Xing or Info), as programs write it into a pipe."""
    return mp3[mp3.find(mp3[:2], 4) :]


def id3v2(size: int = 3_000) -> bytes:
    return b"ID3\x03\0\0" + bytes([0, 0, size >> 7, size & 127]) + b"\xff\xd8picture".ljust(size, b"x")


def id3v1() -> bytes:
    return b"TAG".ljust(128, b"t")


def ape() -> bytes:
    fields = struct.pack("<II", 4, 0) + b"Title\0name"
    head, foot = (
        b"APETAGEX" + struct.pack("<IIII", 2_000, len(fields) + 32, 1, flags) + bytes(8)
        for flags in (1 << 31 | 1 << 29, 1 << 31)
    )
    return head + fields + foot


def decoded(path: Path, content: bytes) -> FloatArray:
    """Write the content into a file, and decode it by soundfile alone ``(samples, channels)``."""
    path.write_bytes(content)
    samples: FloatArray = soundfile.read(path, dtype="float32", always_2d=True)[0]
    return samples


FRAME = 1152  # samples of a frame of MP3 at 44.1 kHz
LIST = b"LIST" + struct.pack("<I", 13) + b"INFOIART\x01\0\0\0x\0"
CHUNKS = [LIST, b"id3 " + struct.pack("<I", len(id3v2())) + id3v2(), b"JUNK" + struct.pack("<I", 3) + b"odd\0" + LIST]


class Case(NamedTuple):
    """A file, and what it begins with as soundfile reads it: exactly, or for so many samples."""

    content: bytes
    known: bytes
    longer: int = 0  # most samples that are read beyond the known ones
    alike: bool = True  # whether the samples are the known ones; False: their number alone
    name: str = "a"


def put(content: bytes, place: int, value: bytes) -> bytes:
    return content[:place] + value + content[place + len(value) :]


def whole() -> Iterator[tuple[str, Case]]:
    for rate, channels in ((8_000, 1), (22_050, 2), (44_100, 1), (48_000, 2)):
        for mode in ("CONSTANT", "AVERAGE", "VARIABLE"):
            mp3 = encoded("MP3", rate=rate, channels=channels, mode=mode, seconds=4)
            about = f"{mode} mp3 at {rate} Hz"
            yield about, Case(mp3, mp3)
            for tag in (b"", id3v2()):  # a header also says what the encoder added
                bare = tag + without_header(mp3) + ape() + id3v1()
                yield f"{about} without header, tag of {len(tag)}", Case(bare, mp3, 4 * FRAME, alike=False)
    wav, odd = encoded("WAV"), encoded("WAV", "PCM_U8", rate=16_001)
    for number, tail in enumerate(CHUNKS):
        yield f"chunk {number}", Case(wav + tail, wav)
        yield f"odd chunk {number}", Case(odd + tail, odd)
    for kind in ("FLAC", "AIFF", "CAF", "AU", "W64"):
        yield kind, Case(encoded(kind), encoded(kind))
    for kind, rate in (("VORBIS", RATE), ("OPUS", 48_000)):
        yield kind, Case(encoded("OGG", kind, rate=rate), encoded("OGG", kind, rate=rate))


CASES = dict(whole())


@pytest.mark.parametrize("about", CASES)
def test_a_file_is_read_to_its_end(tmp_path: Path, about: str) -> None:
    case = CASES[about]
    known = decoded(tmp_path / "known", case.known).mean(axis=1)
    path = tmp_path / case.name
    path.write_bytes(case.content)
    found = read(path).samples
    assert -2 * 576 * (not case.alike) <= len(found) - len(known) <= case.longer
    if case.alike:
        assert np.abs(found[: len(known)] - known).max() < 1e-5  # MP3 decoders round otherwise
    fit, rejected = inspected(tmp_path, [case.name])
    assert (fit[case.name].num_samples, rejected) == (len(found), ())
    assert count_samples(path) == len(found)
    rate = soundfile.info(tmp_path / "known").samplerate
    part = Part(start=len(found) - 3_000, num_samples=3_000)
    assert np.abs(np.concatenate([*read_blocks(path, rate, part=part)]) - found[-3_000:]).max() < 1e-5


RIFX = (1_000 * np.sin(np.arange(RATE))).astype(">i2")


def rifx(declared: int) -> bytes:
    form = struct.pack(">IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    head = b"RIFX" + bytes(4) + b"WAVEfmt " + form + b"data" + struct.pack(">I", declared)
    return head + RIFX.tobytes()


def less() -> Iterator[tuple[str, bytes]]:
    """Files whose headers declare far less sound than they hold, as of programs that were killed."""
    for kind in ("WAV", "WAVEX", "AIFF", "CAF", "RF64"):
        for subtype in ("PCM_U8", "PCM_16", "PCM_24", "FLOAT", "ULAW"):
            if soundfile.check_format(kind, subtype):
                file = encoded(kind, subtype)
                width = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}.get(subtype, 1)
                name, place, form, more = {
                    "AIFF": (b"SSND", 4, ">I", 8),
                    "CAF": (b"data", 4, ">q", 4),
                    "RF64": (b"ds64", 16, "<q", 0),
                }.get(kind, (b"data", 4, "<I", 0))
                yield (
                    f"{kind} {subtype}",
                    put(file, file.index(name) + place, struct.pack(form, RATE // 4 * width + more)),
                )


LESS = dict(less())


@pytest.mark.parametrize("about", LESS)
def test_a_file_that_holds_far_more_than_it_declares_is_set_aside(tmp_path: Path, about: str) -> None:
    (tmp_path / "a").write_bytes(LESS[about])
    fit, (rejected,) = inspected(tmp_path)
    assert not fit
    assert "0.250 s" in rejected.reason


def test_rifx_is_read_by_libsndfile_alone(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(rifx(2 * RATE))
    assert np.array_equal(read(tmp_path / "a.wav").samples * 32_768, RIFX)


@pytest.mark.parametrize("tail", [b"", LIST])
def test_a_length_above_4_gib_that_wrapped_is_told_with_both_lengths(tmp_path: Path, tail: bytes) -> None:
    """60 s of 6.2 hours were read."""
    path = tmp_path / "a.wav"
    size = 2**32 + 4 * RATE
    with path.open("wb") as file:  # sparse
        form = struct.pack("<IHHIIHH", 16, 1, 2, RATE, 4 * RATE, 4, 16)
        file.write(b"RIFF" + struct.pack("<I", (size + 36) % 2**32) + b"WAVEfmt " + form)
        file.write(b"data" + struct.pack("<I", size % 2**32))
        file.truncate(44 + size)
        file.seek(44 + size)
        file.write(tail)
    with pytest.raises(RecordingError) as refused:
        read(path)
    assert "1.000 s" in refused.value.reason
    assert f"{2**32 / 4 / RATE:.0f}"[:4] in refused.value.reason


def test_threads_may_open_many_files(tmp_path: Path) -> None:
    content = encoded("FLAC", rate=1_000)
    paths = [tmp_path / f"{number}.flac" for number in range(100)]
    for path in paths:
        path.write_bytes(content)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(count_samples, paths * 5)) == {1_000}
    finally:
        sys.setswitchinterval(before)
