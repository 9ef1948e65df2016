"""Sound that libsndfile alone loses: joined streams, estimated lengths of MP3, and headers that declare too little."""

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
from wordless.audio.reading import Cursor, read, read_beginning, read_blocks
from wordless.audio.recordings.inspection import InspectionConfig, inspect
from wordless.audio.streams import streams_of
from wordless.audio.waveform import Part

JOINED = {"a.ogg": ("OGG", "VORBIS"), "a.opus": ("OGG", "OPUS"), "a.flac": ("FLAC", None), "a.mp3": ("MP3", None)}
PLAIN = {"a.wav": ("WAV", None), "a.rf64": ("RF64", None), "a.aiff": ("AIFF", None), "a.caf": ("CAF", None)}
LIST = b"LIST" + struct.pack("<I", 13) + b"INFOIART\x01\0\0\0x\0"


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def length(path: Path) -> int:
    return len(read(path).samples)


def same(samples: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> bool:
    """Whether the samples are the same up to the last bit, in which libsndfile's MP3 decoder varies with the buffer."""
    return len(samples) == len(wanted) and bool(np.abs(samples - wanted).max() < 1e-6)


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
        estimated = decoded(tmp_path / "estimated.mp3", tagged + without_header(mp3)).mean(axis=1)
        assert same(read(path).samples[: len(estimated)], estimated)
        with Recording(path) as recording:
            assert recording.declared is None


def test_an_mp3_in_a_wav_file_is_read_to_its_end(tmp_path: Path) -> None:
    mp3 = changing_mp3(rate=RATE, channels=1, mode="VARIABLE")
    path = saved(tmp_path / "a.wav", mp3_in_wav(without_header(mp3)))
    assert length(path) >= 4 * RATE
    assert length(saved(tmp_path / "b.wav", mp3_in_wav(mp3))) == 4 * RATE


def test_a_part_at_the_end_of_such_an_mp3_is_read(tmp_path: Path) -> None:
    """A cursor took the estimated length for the end."""
    path = saved(tmp_path / "a.mp3", without_header(changing_mp3(rate=RATE, channels=1, mode="VARIABLE")))
    whole = read(path).samples
    for start in (0, 20_000, 40_000, 60_000):
        part = Part(start=start, num_samples=min(20_000, len(whole) - start))
        assert np.array_equal(np.concatenate(list(read_blocks(path, RATE, part=part))), whole[start:][:20_000])
    cursor = Cursor(path, ())
    assert sum(map(len, cursor.blocks(Part(start=0, num_samples=10**9), RATE))) == len(whole)
    assert cursor.at_end
    cursor.close()


@pytest.mark.parametrize("name", [*JOINED, *PLAIN])
@pytest.mark.parametrize("between", [b"", id3v1()], ids=["adjacent", "tag"])
def test_joined_streams_are_read_one_after_the_other(tmp_path: Path, name: str, between: bytes) -> None:
    kind, subtype = (JOINED | PLAIN)[name]
    one, other = (encoded(kind, subtype, seed=seed) for seed in (1, 2))
    alone = [read(saved(tmp_path / f"alone_{name}", content)).samples for content in (one, other, one)]
    path = saved(tmp_path / name, between.join((one, other, one)))
    whole = read(path)
    assert (len(whole.samples), whole.sample_rate) == (3 * SAMPLES, RATE)
    assert np.array_equal(whole.samples, np.concatenate(alone))
    part = Part(start=SAMPLES - 100, num_samples=SAMPLES)
    assert np.array_equal(
        np.concatenate(list(read_blocks(path, RATE, part=part))), whole.samples[SAMPLES - 100 :][:SAMPLES]
    )
    assert np.array_equal(read_beginning(path, RATE, 1.5).samples, whole.samples[: 3 * RATE // 2])
    fit, rejected = inspect(tmp_path, [name], InspectionConfig())
    assert (fit[name].num_samples, rejected) == (3 * SAMPLES, ())


@pytest.mark.parametrize("name", [*JOINED, "a.wav"])
@pytest.mark.parametrize("other", [{"rate": 24_000}, {"channels": 2}], ids=["rate", "channels"])
def test_a_joined_stream_of_another_kind_is_named_with_its_place(
    tmp_path: Path, name: str, other: dict[str, int]
) -> None:
    kind, subtype = (JOINED | PLAIN)[name]
    one, two = (
        encoded(kind, subtype),
        encoded(kind, subtype, rate=other.get("rate", RATE), channels=other.get("channels", 1)),
    )
    with pytest.raises(RecordingError) as refused:
        read(saved(tmp_path / name, one + two))
    assert f"byte {len(one)}" in refused.value.reason


def test_mp3s_with_and_without_headers_are_joined(tmp_path: Path) -> None:
    one, two = (encoded("MP3", seed=seed, mode="VARIABLE") for seed in (1, 2))
    bare = without_header(two)
    alone = length(saved(tmp_path / "bare.mp3", bare))
    assert length(saved(tmp_path / "a.mp3", one + bare)) == SAMPLES + alone
    assert length(saved(tmp_path / "b.mp3", bare + one)) == SAMPLES + alone
    assert length(saved(tmp_path / "c.mp3", bare + bare)) == 2 * alone
    assert length(saved(tmp_path / "d.mp3", id3v2() + bare + id3v1() + id3v2() + one + ape())) == SAMPLES + alone


@pytest.mark.parametrize("kind", ["NIST", "VOC", "W64"])
def test_joined_files_with_headers_of_their_own_are_divided(tmp_path: Path, kind: str) -> None:
    """The second header was decoded as a burst of noise."""
    contents = [encoded(kind, "PCM_16", seed=seed) for seed in range(3)]
    alone = [decoded(tmp_path / f"{number}.x", content)[:, 0] for number, content in enumerate(contents)]
    assert same(read(saved(tmp_path / "a.x", b"".join(contents))).samples, np.concatenate(alone))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("declared", [1, 5_000, SAMPLES - 1])
def test_flac_whose_header_declares_too_few_samples_is_read_to_its_end(
    tmp_path: Path, channels: int, declared: int
) -> None:
    whole = encoded("FLAC", channels=channels)
    flac = bytearray(whole)
    flac[22:26] = declared.to_bytes(4, "big")
    known = decoded(tmp_path / "known.flac", whole).mean(axis=1)
    for number, content in enumerate((flac, id3v2() + flac, flac + id3v1(), flac + flac)):
        path = saved(tmp_path / f"{number}.flac", bytes(content))
        samples = read(path).samples
        assert same(samples[:SAMPLES], known)
        assert len(samples) == SAMPLES * (2 if number == 3 else 1)
        (found,) = inspect(tmp_path, [path.name], InspectionConfig())[0].values()
        assert found.num_samples == len(samples)
    part = Part(start=9_000, num_samples=4_000)
    assert same(np.concatenate([*read_blocks(tmp_path / "0.flac", RATE, part=part)]), known[9_000:13_000])


def test_a_shorter_last_frame_and_other_blocks_of_flac_are_found(tmp_path: Path) -> None:
    for rate in (9_000, 200, 12_288):  # the last frame is short, the only one, or whole
        flac = bytearray(encoded("FLAC", rate=rate))
        flac[22:26] = (100).to_bytes(4, "big")
        assert length(saved(tmp_path / "a.flac", bytes(flac))) == rate
    flac = bytearray(encoded("FLAC"))
    flac[22:26] = (SAMPLES + 5_000).to_bytes(4, "big")  # cut off, as the header says
    assert inspect(tmp_path, [saved(tmp_path / "cut.flac", bytes(flac)).name], InspectionConfig())[1]


def test_threads_may_open_many_files(tmp_path: Path) -> None:
    """The streams of files that were opened before are forgotten at some time, also while others are looked up."""
    content = encoded("WAV", rate=1_000)
    paths = [saved(tmp_path / f"{number}.wav", content) for number in range(300)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(streams_at, paths * 30)) == {1}
    finally:
        sys.setswitchinterval(before)


def streams_at(path: Path) -> int:
    with path.open("rb") as file:
        return len(streams_of(file.fileno()))


def test_flac_from_a_pipe_is_joined_and_may_have_tags(tmp_path: Path) -> None:
    flac = bytearray(encoded("FLAC"))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)  # no number of samples
    for content, parts in ((bytes(flac) * 2, 2), (bytes(flac) + id3v1(), 1), (flac + id3v2() + encoded("FLAC"), 2)):
        assert length(saved(tmp_path / f"{len(content)}.flac", bytes(content))) == parts * SAMPLES


@pytest.mark.parametrize("name", [*JOINED, "a.wav"])
@pytest.mark.parametrize("tail", [id3v1(), ape() + id3v1(), bytes(5_000), id3v2(), b"LYRICSBEGINwords000005LYRICS200"])
def test_what_follows_the_sound_is_no_second_stream(tmp_path: Path, name: str, tail: bytes) -> None:
    kind, subtype = (JOINED | PLAIN)[name]
    whole = encoded(kind, subtype)
    samples = decoded(tmp_path / f"alone_{name}", whole)[:, 0]
    assert same(read(saved(tmp_path / name, whole + tail)).samples, samples)


@pytest.mark.parametrize("declared", [0, 1, 16_000])
@pytest.mark.parametrize("riff", [0, 2**32 - 1, 1_000])
def test_a_wav_whose_header_declares_too_little_is_read_to_its_end(tmp_path: Path, declared: int, riff: int) -> None:
    wav = bytearray(encoded("WAV"))
    samples = decoded(tmp_path / "whole.wav", bytes(wav))[:, 0]
    wav[4:8], wav[40:44] = struct.pack("<I", riff), struct.pack("<I", declared)
    path = saved(tmp_path / "a.wav", bytes(wav))
    assert np.array_equal(read(path).samples, samples)
    part = Part(start=12_000, num_samples=4_000)
    assert np.array_equal(np.concatenate(list(read_blocks(path, RATE, part=part))), samples[12_000:])
    fit, rejected = inspect(tmp_path, ["a.wav"], InspectionConfig())
    assert (fit["a.wav"].num_samples, rejected) == (SAMPLES, ())


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "AIFF", "CAF", "AU"])
def test_every_encoding_is_read_to_its_end(tmp_path: Path, kind: str, subtype: str) -> None:
    if not soundfile.check_format(kind, subtype):
        pytest.skip("libsndfile does not write it")
    content = bytearray(encoded(kind, subtype))
    samples = decoded(tmp_path / "whole", bytes(content))[:, 0]
    if kind == "AU":
        content[8:12] = struct.pack(">I", 4_000)
    elif kind == "CAF":
        at = content.index(b"data") + 4
        content[at : at + 8] = struct.pack(">q", 4_004)
    else:
        at = content.index(b"SSND" if kind == "AIFF" else b"data") + 4
        content[at : at + 4] = struct.pack(">I" if kind == "AIFF" else "<I", 4_008)
    assert np.array_equal(read(saved(tmp_path / "a", bytes(content))).samples, samples)


@pytest.mark.parametrize("size", [0, -1])
@pytest.mark.parametrize("kind", ["RF64", "CAF"])
def test_what_was_written_into_a_pipe_is_read(tmp_path: Path, kind: str, size: int) -> None:
    content = bytearray(encoded(kind))
    if kind == "CAF":
        at = content.index(b"data") + 4
        content[at : at + 8] = struct.pack(">q", size)
    else:
        at = content.index(b"ds64") + 8
        content[at : at + 24] = struct.pack("<qqq", size, size, size)
    assert length(saved(tmp_path / "a", bytes(content))) == SAMPLES


@pytest.mark.parametrize(
    "tail",
    [
        LIST,
        LIST[:-3],  # cut off
        b"id3 " + struct.pack("<I", len(id3v2())) + id3v2(),
        b"bext" + struct.pack("<I", 602) + b"who".ljust(602, b"\0"),
        b"JUNK" + struct.pack("<I", 3) + b"odd\0" + LIST,
        b"abcd" + struct.pack("<I", 4) + b"\xff\xfe\xfd\xfc",
        bytes(3_000) + LIST,
    ],
)
def test_chunks_explain_what_follows_the_sound(tmp_path: Path, tail: bytes) -> None:
    wav = encoded("WAV")
    samples = decoded(tmp_path / "whole.wav", wav)[:, 0]
    assert np.array_equal(read(saved(tmp_path / "a.wav", wav + tail)).samples, samples)
    odd = encoded("WAV", "PCM_U8", rate=16_001)
    assert length(saved(tmp_path / "b.wav", odd + tail)) == 16_001


@pytest.mark.parametrize("declared", [0, 4_000])
def test_a_chunk_behind_sound_of_a_wrong_length_is_no_sound(tmp_path: Path, declared: int) -> None:
    wav = bytearray(encoded("WAV"))
    samples = decoded(tmp_path / "whole.wav", bytes(wav))[:, 0]
    wav[40:44] = struct.pack("<I", declared)
    assert np.array_equal(read(saved(tmp_path / "a.wav", bytes(wav) + LIST)).samples, samples)


def test_rifx_is_read_to_its_end(tmp_path: Path) -> None:
    samples = (1_000 * np.sin(np.arange(RATE))).astype(">i2")
    form = struct.pack(">IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    content = b"RIFX" + bytes(4) + b"WAVEfmt " + form + b"data" + bytes(4) + samples.tobytes()
    assert np.array_equal(read(saved(tmp_path / "a.wav", content)).samples * 32_768, samples)


@pytest.mark.parametrize("missing", [1, 100])
def test_an_mp3_that_was_recorded_from_the_middle_of_a_frame_on_is_read(tmp_path: Path, missing: int) -> None:
    bare = without_header(changing_mp3(rate=RATE, channels=1, mode="VARIABLE"))
    whole = length(saved(tmp_path / "whole.mp3", bare))
    assert whole - 2 * 576 <= length(saved(tmp_path / "a.mp3", bare[missing:])) < whole


def test_a_header_without_sound_declares_none(tmp_path: Path) -> None:
    wav = bytearray(encoded("WAV")[:44])
    wav[40:44] = bytes(4)
    for number, tail in enumerate((b"", LIST)):
        assert length(saved(tmp_path / f"{number}.wav", bytes(wav) + tail)) == 0


@pytest.mark.parametrize("tail", [b"", LIST])
def test_a_length_above_4_gib_wraps_and_is_known(tmp_path: Path, tail: bytes) -> None:
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
    with Recording(path) as recording:
        assert recording.declared == size // 4
    part = Part(start=size // 4 - 100, num_samples=200)
    assert sum(map(len, read_blocks(path, RATE, part=part))) == 100


def test_an_aiff_above_4_gib_is_set_aside_with_both_lengths(tmp_path: Path) -> None:
    content = encoded("AIFF")
    at = content.index(b"SSND")
    path = saved(tmp_path / "a.aiff", content[: at + 4] + struct.pack(">I", 4_008) + content[at + 8 :])
    size = 2**32 + 100_000
    with path.open("r+b") as file:
        file.truncate(size)
        file.seek(size - 5)
        file.write(b"sound")
    with pytest.raises(RecordingError) as refused:
        read(path)
    assert "4008" in refused.value.reason
    assert str(size - at - 8) in refused.value.reason


def test_where_streams_begin_is_found_without_decoding(tmp_path: Path) -> None:
    one = encoded("OGG", "VORBIS")
    path = saved(tmp_path / "a.ogg", one + one)
    with path.open("rb") as file:
        assert [stream.start for stream in streams_of(file.fileno())] == [0, len(one)]
    path.write_bytes(one)  # the same place, another file
    with path.open("rb") as file:
        assert [stream.start for stream in streams_of(file.fileno())] == [0]
