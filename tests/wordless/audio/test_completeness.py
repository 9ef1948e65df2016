"""Files that were cut off, or whose bytes were flipped, are damaged for whoever reads them; whole files are not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.hostile.audio_files import mp3_of_estimated_length
from tests.wordless.audio.conftest import inspected, train_all
from tests.wordless.audio.test_decoding import encoded, mp3_in_wav, without_header
from tests.wordless.audio.test_decoding_by_ffmpeg import MOOV_FIRST, film, sound_frame, tone, write
from wordless.audio.completeness import frame_bytes
from wordless.audio.decoding import RecordingError
from wordless.audio.reading import read, read_blocks
from wordless.audio.waveform import Part

RATE = 48_000
BY_LIBSNDFILE = (
    *(("WAV", None), ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("WAV", "GSM610"), ("WAVEX", None), ("RF64", None)),
    *(("AIFF", None), ("AU", None), ("CAF", None), ("CAF", "ALAC_16"), ("W64", None), ("VOC", None), ("NIST", None)),
    *(("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)),
)
BY_FFMPEG: tuple[tuple[str, str, dict[str, Any]], ...] = (
    *(("a.m4a", "aac", MOOV_FIRST), ("a.mov", "pcm_s16le", MOOV_FIRST), ("b.m4a", "aac", {})),
    *(("lossless.m4a", "alac", MOOV_FIRST), ("a.tta", "tta", {})),
    ("a.mp4", "aac", {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}),
    *(("a.mka", "flac", {}), ("b.mka", "aac", {}), ("a.webm", "libopus", {}), ("a.oga", "flac", {})),
    *(("a.opus", "libopus", {}), ("a.wv", "wavpack", {}), ("a.wma", "aac", {}), ("a.w64", "pcm_s16le", {})),
    *(("a.avi", "pcm_s16le", {}), ("b.avi", "aac", {}), ("c.avi", "adpcm_ms", {"rate": 44_100})),
    *(("a.flv", "aac", {}), ("b.flv", "libmp3lame", {"rate": 44_100}), ("a.asf", "libmp3lame", {"rate": 44_100})),
    *(("a.caf", "pcm_s16le", {}), ("a.mp3", "libmp3lame", {}), ("b.mp3", "libmp3lame", {"write_xing": "0"})),
    *(("a.aac", "aac", {}), ("a.mp2", "mp2", {}), ("a.flac", "flac", {}), ("a.voc", "pcm_s16le", {})),
)
PIPED = (("a.mka", "flac", "matroska"), ("a.webm", "libopus", "webm"), ("a.mp3", "libmp3lame", "mp3"))


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for kind, subtype in BY_LIBSNDFILE:
        yield f"{kind}_{subtype}", encoded(kind, subtype, seconds=2)
    yield "without_header.mp3", without_header(encoded("MP3", mode="VARIABLE", seconds=2))
    yield "mp3.wav", mp3_in_wav(without_header(encoded("MP3", seconds=2)))
    kinds = {"a.wma": "asf", "a.opus": "ogg"}
    for name, codec, options in BY_FFMPEG:
        path = folder / "written" / name
        yield name, write(path, codec, container=kinds.get(name), **options).read_bytes()
    for name, codec, kind in PIPED:
        yield f"piped_{name}", write(folder / "written" / name, codec, container=kind, pipe=True).read_bytes()
    yield "video.mkv", write(folder / "written/v.mkv", "aac", video=True).read_bytes()
    yield "video.mp4", write(folder / "written/v.mp4", "aac", video=True, **MOOV_FIRST).read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "written").mkdir()
    return dict(files(folder))


def test_a_cut_file_of_any_kind_is_damaged_wherever_it_is_cut(whole: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    assert inspected(tmp_path)[1] == ()
    for share in (0.2, 0.5, 0.8, 0.95):
        for name, content in whole.items():
            (tmp_path / name).write_bytes(content[: int(share * len(content)) - 5])  # within a frame
        fit, rejected = inspected(tmp_path)
        unnoticed = {"b.flv"} if share == 0.95 else set()  # the last tenth of a second of MP3 in FLV
        assert fit.keys() == unnoticed, share
        assert all("damaged" in each.reason or "decoded" in each.reason or "found" in each.reason for each in rejected)
        for name in whole.keys() - unnoticed:
            with pytest.raises(RecordingError):
                read(tmp_path / name)


def test_a_hole_is_damage_and_a_cut_is_told_with_both_lengths(whole: dict[str, bytes], tmp_path: Path) -> None:
    mp3 = mp3_of_estimated_length(tmp_path / "a.mp3").read_bytes()
    for name, content in {"a.mp3": mp3, **{name: whole[name] for name in ("a.m4a", "a.mka", "a.wv")}}.items():
        middle, zeros = len(content) // 2, bytes(5_000 if name == "a.mp3" else 300)
        (tmp_path / name).write_bytes(content[:middle] + zeros + content[middle + len(zeros) :])
    (tmp_path / "cut.wav").write_bytes(whole["WAV_None"][: 44 + 2 * 4_791])
    fit, rejected = inspected(tmp_path)
    assert not fit
    assert all(re.search("damaged|decoded", each.reason) for each in rejected)
    assert re.search(r"4791 .*32000 samples", rejected[-1].reason)


@pytest.mark.parametrize("kind", ["VORBIS", "OPUS"])
def test_a_damaged_page_of_an_ogg_is_told_before_any_later_part_is_read(tmp_path: Path, kind: str) -> None:
    """The sound behind the page was read too early."""
    content = encoded("OGG", kind, rate=RATE, seconds=3)
    page = content.index(b"OggS", len(content) // 2)
    following = content.index(b"OggS", page + 4)
    path = tmp_path / "a.ogg"
    flipped = content[: page + 300] + bytes([content[page + 300] ^ 1]) + content[page + 301 :]
    for damaged in (flipped, content[:page] + content[following:], content[: page + 100] + content[page + 110 :]):
        path.write_bytes(damaged)
        for start in (0, 2 * RATE):
            with pytest.raises(RecordingError, match="damaged"):
                next(read_blocks(path, RATE, part=Part(start=start, num_samples=100)))
    path.write_bytes(content)
    assert len(read(path).samples) == 3 * RATE


def test_an_ogg_without_the_mark_of_its_end_says_how_to_set_it(tmp_path: Path) -> None:
    content = encoded("OGG", "VORBIS", seconds=3)
    last = content.rindex(b"OggS")
    one = content[:last]
    for number, damaged in enumerate((one, one + content)):  # the second one is joined
        (tmp_path / f"{number}.ogg").write_bytes(damaged)
        with pytest.raises(RecordingError, match=r"mark of the end.*ffmpeg"):
            read(tmp_path / f"{number}.ogg")
    (tmp_path / "a.ogg").write_bytes(content + b"rubbish" + content)
    assert read(tmp_path / "a.ogg").seconds > 5


def test_nothing_is_printed_for_an_mp3(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mp3 = encoded("MP3", mode="VARIABLE", seconds=3)
    for name, content in {"cut": mp3[:-3_000], "bare": without_header(mp3), "joined": mp3 + mp3}.items():
        (tmp_path / name).write_bytes(content)
    _, (cut,) = inspected(tmp_path)
    assert cut.path == "cut"
    assert "frames" in cut.reason
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("kind", "codec", "rate"),
    [
        *(("mp3", "libmp3lame", rate) for rate in (8_000, 16_000, 22_050, 44_100, 48_000)),
        ("mp2", "mp2", 16_000),
        ("mp2", "mp2", 48_000),
    ],
)
def test_frames_have_the_lengths_that_their_headers_say(kind: str, codec: str, rate: int, tmp_path: Path) -> None:
    with av.open(str(write(tmp_path / f"a.{kind}", codec, rate=rate, container=kind))) as file:
        packets = [bytes(packet) for packet in file.demux(audio=0) if packet.size]
    assert len(packets) > 10
    assert [frame_bytes(packet) for packet in packets] == [len(packet) for packet in packets]


# A file's own clock


def late(path: Path, codec: str, *, begin: float = 0, gap: float = 0, video: bool = False, **options: str) -> Path:
    """Two seconds of a tone that begin late by the file's clock, or have a gap in their middle."""
    samples = tone(2 * RATE)[None]
    with av.open(str(path), "w", options=options) as output:
        packets = film(output, 4) if video and path.suffix != ".mka" else []
        stream = output.add_stream(codec, rate=RATE, layout="mono")
        for place in range(0, 2 * RATE - 960, 960):
            first = place + round((begin + gap * (place >= RATE)) * RATE)
            packets += stream.encode(sound_frame(samples[:, place : place + 960], RATE, first=first))
        packets += stream.encode(None)
        output.mux(sorted(packets, key=lambda packet: packet.pts * packet.time_base))
    return path


@pytest.mark.parametrize("video", [False, True])
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "aac"), ("a.mkv", "aac"), ("b.mkv", "libopus"), ("a.mov", "pcm_s16le"), ("a.mka", "flac")],
)
def test_sound_that_begins_late_stands_at_its_time(tmp_path: Path, name: str, codec: str, video: bool) -> None:
    late(tmp_path / name, codec, begin=1.5, video=video)
    sound = read(tmp_path / name)
    begin = np.argmax(np.abs(sound.samples) > 0.1) / RATE
    assert abs(begin - 1.5) < 0.06
    assert sound.seconds > 3.4
    path = late(tmp_path / f"1{name}", codec, video=video)
    assert np.argmax(np.abs(read(path).samples) > 0.1) / RATE < 0.06
    manifest, _ = train_all(tmp_path, labels="none")
    assert len(manifest.clips) == 2
    assert [each for each in manifest.notices if "silence" in each and name in each]


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mkv", "aac"), ("a.webm", "libopus")])
def test_a_gap_is_silence(tmp_path: Path, name: str, codec: str) -> None:
    sound = read(late(tmp_path / name, codec, gap=0.7))
    assert abs(sound.seconds - 2.7) < 0.1
    assert np.abs(sound.samples[round(1.1 * RATE) : round(1.6 * RATE)]).max() < 0.01
    assert np.abs(sound.samples[round(1.8 * RATE) : round(2.5 * RATE)]).max() > 0.2


def test_a_clock_that_begins_far_away_adds_no_silence(tmp_path: Path) -> None:
    assert read(late(tmp_path / "a.mkv", "aac", begin=50_000)).seconds < 2.1
