"""Two readers that must agree: what libsndfile alone loses is read by FFmpeg, or set aside with both lengths."""

import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from tests.wordless.audio.conftest import (
    RATE,
    SAMPLES,
    ape,
    changing_mp3,
    decoded,
    encoded,
    id3v1,
    id3v2,
    mp3_in_wav,
    without_header,
)
from wordless.audio.decoding import Recording, RecordingError, count_samples
from wordless.audio.reading import Cursor, read, read_blocks
from wordless.audio.recordings.inspection import InspectionConfig, inspect
from wordless.audio.waveform import Part

JOINED = {"a.flac": "FLAC", "a.wav": "WAV", "a.rf64": "RF64", "a.aiff": "AIFF", "a.caf": "CAF", "a.au": "AU"}
JOINED |= {"a.sph": "NIST", "a.voc": "VOC", "a.w64": "W64"}
LIST = b"LIST" + struct.pack("<I", 13) + b"INFOIART\x01\0\0\0x\0"


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def length(path: Path) -> int:
    return len(read(path).samples)


def reason(path: Path) -> str:
    """Why inspection sets a file aside."""
    fit, (rejected,) = inspect(path.parent, [path.name], InspectionConfig())
    assert not fit
    return rejected.reason


def same(samples: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> bool:
    """Whether the samples are the same, up to the rounding of two MP3 decoders."""
    return len(samples) == len(wanted) and bool(np.abs(samples - wanted).max() < 1e-5)


@pytest.mark.parametrize("mode", ["CONSTANT", "AVERAGE", "VARIABLE"])
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (22_050, 2), (44_100, 1), (48_000, 2)])
def test_an_mp3_without_a_header_of_its_length_is_read_to_its_end(
    tmp_path: Path, rate: int, channels: int, mode: str
) -> None:
    """libsndfile estimates the length from the first frame: 8 to 77 % of the sound were lost."""
    mp3 = changing_mp3(rate=rate, channels=channels, mode=mode)
    known = decoded(tmp_path / "known.mp3", mp3)
    assert same(read(saved(tmp_path / "a.mp3", mp3)).samples, known.mean(axis=1))
    for number, tagged in enumerate((b"", id3v2())):
        path = saved(tmp_path / f"{number}.mp3", tagged + without_header(mp3) + ape() + id3v1())
        assert length(path) >= len(known)
        assert length(path) - len(known) < 4 * 1152  # a header also says what the encoder added
        assert count_samples(path) == length(path)
        with Recording(path) as recording:
            assert recording.declared is None


def test_an_mp3_in_a_wav_file_is_read_to_its_end(tmp_path: Path) -> None:
    mp3 = changing_mp3(rate=RATE, channels=1, mode="VARIABLE")
    assert length(saved(tmp_path / "a.wav", mp3_in_wav(without_header(mp3)))) >= 4 * RATE


def test_a_part_at_the_end_of_such_an_mp3_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mp3", without_header(changing_mp3(rate=RATE, channels=1, mode="VARIABLE")))
    whole = read(path).samples
    for start in (0, 20_000, 40_000, 60_000):
        part = Part(start=start, num_samples=min(20_000, len(whole) - start))
        assert np.array_equal(np.concatenate(list(read_blocks(path, RATE, part=part))), whole[start:][:20_000])
    cursor = Cursor(path, ())
    assert sum(map(len, cursor.blocks(Part(start=0, num_samples=10**9), RATE))) == len(whole)
    assert cursor.at_end
    cursor.close()


@pytest.mark.parametrize("missing", [1, 100])
def test_an_mp3_that_was_recorded_from_the_middle_of_a_frame_on_is_read(tmp_path: Path, missing: int) -> None:
    bare = without_header(changing_mp3(rate=RATE, channels=1, mode="VARIABLE"))
    whole = length(saved(tmp_path / "whole.mp3", bare))
    assert whole - 2 * 576 <= length(saved(tmp_path / "a.mp3", bare[missing:])) < whole


@pytest.mark.parametrize("between", [b"", id3v1(), id3v2(), ape() + id3v1()])
def test_joined_mp3s_are_read_one_after_the_other(tmp_path: Path, between: bytes) -> None:
    one, two = (encoded("MP3", seed=seed, mode="VARIABLE") for seed in (1, 2))
    samples = read(saved(tmp_path / "a.mp3", one + between + two)).samples
    assert 2 * SAMPLES <= len(samples) <= 2 * SAMPLES + 4 * 576  # a header of a stream in the middle is a frame
    assert same(samples[:SAMPLES], read(saved(tmp_path / "one.mp3", one)).samples)
    assert same(samples[-4_000:], read(saved(tmp_path / "two.mp3", without_header(two))).samples[-4_000:])
    assert inspect(tmp_path, ["a.mp3"], InspectionConfig())[1] == ()


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_ogg_is_read_to_its_end(tmp_path: Path, subtype: str) -> None:
    one, two = (encoded("OGG", subtype, seed=seed) for seed in (1, 2))
    sound = read(saved(tmp_path / "a.ogg", one + two))
    assert 2.0 <= sound.seconds < 2.02
    alone = decoded(tmp_path / "two.ogg", two)[:, 0]
    if subtype == "VORBIS":
        assert np.abs(sound.samples[-8_000:] - alone[-8_000:]).max() < 1e-3
    assert inspect(tmp_path, ["a.ogg"], InspectionConfig())[1] == ()
    for other in (encoded("OGG", subtype, rate=24_000), encoded("OGG", subtype, channels=2)):
        if subtype == "VORBIS" or other[:200].find(b"OpusHead\x01\x02") > 0:  # FFmpeg reads all Opus at 48 kHz
            assert reason(saved(tmp_path / "b.ogg", one + other))


@pytest.mark.parametrize("name", [*JOINED])
@pytest.mark.parametrize("between", [b"", id3v1()], ids=["adjacent", "tag"])
@pytest.mark.parametrize("other", [{}, {"rate": 24_000}, {"channels": 2}], ids=["same", "rate", "channels"])
def test_a_file_behind_another_is_named_with_its_place(
    tmp_path: Path, name: str, between: bytes, other: dict[str, int]
) -> None:
    one, two = encoded(JOINED[name]), encoded(JOINED[name], **other)  # type: ignore[arg-type]  # rate or channels
    with pytest.raises(RecordingError) as refused:
        read(saved(tmp_path / name, one + between + two))
    assert f"byte {len(one + between)} of {len(one + between + two)}" in refused.value.reason


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("declared", [0, 1, 5_000, SAMPLES - 1])
def test_flac_whose_header_declares_too_few_samples_is_read_to_its_end(
    tmp_path: Path, channels: int, declared: int
) -> None:
    whole = encoded("FLAC", channels=channels)
    flac = bytearray(whole)
    flac[21], flac[22:26] = flac[21] & 0xF0, declared.to_bytes(4, "big")  # 0: written into a pipe
    known = decoded(tmp_path / "known.flac", whole).mean(axis=1)
    for number, content in enumerate((flac, id3v2() + flac, flac + id3v1())):
        path = saved(tmp_path / f"{number}.flac", bytes(content))
        assert same(read(path).samples, known)
        (found,) = inspect(tmp_path, [path.name], InspectionConfig())[0].values()
        assert found.num_samples == SAMPLES
    part = Part(start=9_000, num_samples=4_000)
    assert same(np.concatenate([*read_blocks(tmp_path / "0.flac", RATE, part=part)]), known[9_000:13_000])


def test_flac_that_is_cut_off_is_damaged(tmp_path: Path) -> None:
    flac = bytearray(encoded("FLAC"))
    flac[22:26] = (SAMPLES + 5_000).to_bytes(4, "big")
    assert str(SAMPLES + 5_000) in reason(saved(tmp_path / "cut.flac", bytes(flac)))


@pytest.mark.parametrize("name", ["a.ogg", *JOINED, "a.mp3"])
@pytest.mark.parametrize("tail", [id3v1(), ape() + id3v1(), bytes(5_000), id3v2(), b"LYRICSBEGINwords000005LYRICS200"])
def test_what_follows_the_sound_is_no_second_stream(tmp_path: Path, name: str, tail: bytes) -> None:
    whole = encoded(JOINED.get(name, Path(name).suffix[1:].upper()))
    samples = decoded(tmp_path / f"alone_{name}", whole + (tail if name in ("a.sph", "a.voc", "a.w64") else b""))[:, 0]
    found = read(saved(tmp_path / name, whole + tail)).samples  # three kinds end with the file
    assert same(found[: len(samples)], samples)
    assert len(found) - len(samples) <= (576 if name == "a.mp3" else 0)  # what the encoder added


@pytest.mark.parametrize("riff", [0, 2**32 - 1, 1_000])
@pytest.mark.parametrize("tail", [b"", LIST])
def test_a_wav_whose_header_declares_no_sound_is_read_to_its_end(tmp_path: Path, riff: int, tail: bytes) -> None:
    wav = bytearray(encoded("WAV"))
    samples = decoded(tmp_path / "whole.wav", bytes(wav))[:, 0]
    wav[4:8], wav[40:44] = struct.pack("<I", riff), bytes(4)
    path = saved(tmp_path / "a.wav", bytes(wav) + tail)
    assert np.array_equal(read(path).samples[:SAMPLES], samples)
    assert length(path) <= SAMPLES + len(tail) // 2  # no reader knows where the sound ends
    part = Part(start=12_000, num_samples=4_000)
    assert np.array_equal(np.concatenate(list(read_blocks(path, RATE, part=part))), samples[12_000:])
    fit, rejected = inspect(tmp_path, ["a.wav"], InspectionConfig())
    assert (fit["a.wav"].num_samples, rejected) == (length(path), ())


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "AIFF", "CAF", "AU", "RF64"])
def test_a_header_that_declares_too_little_is_told_with_both_lengths(tmp_path: Path, kind: str, subtype: str) -> None:
    if not soundfile.check_format(kind, subtype):
        pytest.skip("libsndfile does not write it")
    content = bytearray(encoded(kind, subtype))
    samples = decoded(tmp_path / "whole", bytes(content))[:, 0]
    width = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4, "DOUBLE": 8}.get(subtype, 1)
    declared = RATE // 4 * width
    if kind == "AU":  # FFmpeg reads AU to the end of the file
        content[8:12] = struct.pack(">I", declared)
        assert np.array_equal(read(saved(tmp_path / "a", bytes(content))).samples, samples)
        return
    name, place, form, more = {
        "AIFF": (b"SSND", 4, ">I", 8),
        "CAF": (b"data", 4, ">q", 4),
        "RF64": (b"ds64", 16, "<q", 0),
    }.get(kind, (b"data", 4, "<I", 0))
    struct.pack_into(form, content, content.index(name) + place, declared + more)
    told = reason(saved(tmp_path / "a", bytes(content)))
    assert "0.250 s" in told
    assert "0.750 s" in told


@pytest.mark.parametrize("kind", ["CAF", "AIFF", "WAV"])
def test_what_was_written_into_a_pipe_is_read(tmp_path: Path, kind: str) -> None:
    content = bytearray(encoded(kind))
    at = content.index(b"SSND" if kind == "AIFF" else b"data") + 4
    content[at : at + (8 if kind == "CAF" else 4)] = b"\xff" * (8 if kind == "CAF" else 4)
    assert length(saved(tmp_path / "a", bytes(content))) == SAMPLES


@pytest.mark.parametrize(
    "tail",
    [
        LIST,
        LIST[:-3],  # cut off
        b"id3 " + struct.pack("<I", len(id3v2())) + id3v2(),
        b"bext" + struct.pack("<I", 602) + b"who".ljust(602, b"\0"),
        b"JUNK" + struct.pack("<I", 3) + b"odd\0" + LIST,
        b"abcd" + struct.pack("<I", 9_000) + b"\xff\xfe\xfd" * 3_000,
        bytes(3_000) + LIST,
    ],
)
def test_chunks_explain_what_follows_the_sound(tmp_path: Path, tail: bytes) -> None:
    wav = encoded("WAV")
    samples = decoded(tmp_path / "whole.wav", wav)[:, 0]
    assert np.array_equal(read(saved(tmp_path / "a.wav", wav + tail)).samples, samples)
    odd = encoded("WAV", "PCM_U8", rate=16_001)
    assert length(saved(tmp_path / "b.wav", odd + tail)) == 16_001


def test_rifx_is_read_by_libsndfile_alone(tmp_path: Path) -> None:
    """FFmpeg takes its samples for little-endian."""
    samples = (1_000 * np.sin(np.arange(RATE))).astype(">i2")
    form = struct.pack(">IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    for declared in (2 * RATE, 0):
        head = b"RIFX" + bytes(4) + b"WAVEfmt " + form + b"data" + struct.pack(">I", declared)
        path = saved(tmp_path / "a.wav", head + samples.tobytes())
        if declared:
            assert np.array_equal(read(path).samples * 32_768, samples)
        else:
            assert "1.000 s" in reason(path)


def test_a_header_without_sound_declares_none(tmp_path: Path) -> None:
    wav = bytearray(encoded("WAV")[:44])
    wav[40:44] = bytes(4)
    assert length(saved(tmp_path / "a.wav", bytes(wav))) == 0
    assert reason(tmp_path / "a.wav") == "empty"


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
    assert f"{2**32 / 4 / RATE:.2f}"[:-1] in refused.value.reason


def test_a_file_that_takes_the_place_of_another_is_looked_at_anew(tmp_path: Path) -> None:
    one = encoded("OGG", "VORBIS")
    assert length(saved(tmp_path / "a.ogg", one + one)) > 2 * SAMPLES - 1
    assert length(saved(tmp_path / "a.ogg", one)) == SAMPLES


def test_threads_may_open_many_files(tmp_path: Path) -> None:
    content = encoded("FLAC", rate=1_000)
    paths = [saved(tmp_path / f"{number}.flac", content) for number in range(100)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(count_samples, paths * 5)) == {1_000}
    finally:
        sys.setswitchinterval(before)
