"""Sound that libsndfile does not read: M4A, WebM and other kinds."""

import io
import re
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.wordless.audio.conftest import inspected, train_all
from wordless.audio.decoding import RecordingError, count_samples
from wordless.audio.reading import read, read_beginning, read_blocks
from wordless.audio.waveform import Part

RATE = 48_000
SECONDS = 2
TONE = 440  # Hz
FORMATS = {".aac": "adts", ".mpg": "mpeg"}  # that FFmpeg does not choose by the name
# file, encoder, most samples that the encoder adds, most samples by which the sound is shifted, largest error
KINDS = (
    ("a.m4a", "aac", 2_048, 0, 0.02), ("a.mp4", "aac", 2_048, 0, 0.02), ("a.3gp", "aac", 2_048, 0, 0.02),
    ("a.mov", "pcm_s16le", 0, 0, 1e-4), ("lossless.m4a", "alac", 0, 0, 1e-4), ("a.webm", "libopus", 0, 0, 0.05),
    ("a.mka", "flac", 0, 0, 1e-4), ("a.mkv", "aac", 2_048, 0, 0.02), ("a.wv", "wavpack", 0, 0, 0.005),
    ("a.tta", "tta", 0, 0, 0.005), ("a.oga", "flac", 0, 0, 1e-4),
    ("a.aac", "aac", 3_072, 2_048, 0.02),  # this kind does not say what the encoder added
    ("a.ac3", "ac3", 1_536, 1_536, 0.02),
    ("a.mp2", "mp2", 2_304, 1_152, 0.02),  # which libsndfile reads
)  # fmt: skip


def tone(count: int, rate: int = RATE, frequency: float = TONE) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(count) / rate)


class _Pipe(io.BytesIO):
    """A file in which nothing can be changed afterwards."""

    def seekable(self) -> bool:
        return False


def film(output: Any, seconds: int) -> list[Any]:
    """The packets of a film, whose stream is added to the container."""
    stream, packets = output.add_stream("mpeg4", rate=10), []
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for number in range(10 * seconds):
        picture = av.VideoFrame(64, 64, "yuv420p")
        picture.pts, picture.time_base = number, Fraction(1, 10)
        packets += stream.encode(picture)
    return [*packets, *stream.encode(None)]


def sound_frame(samples: Any, rate: int, *, first: int = 0) -> av.AudioFrame:
    """A frame of samples ``(channels, samples)`` that begins with sample ``first`` of the file's clock."""
    layout = "mono" if len(samples) == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(samples.astype(np.float32), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
    return frame


def write(
    path: Path,
    codec: str,
    *,
    tracks: int = 1,
    sounding: int = 0,
    channels: int = 1,
    video: bool = False,
    rate: int = RATE,
    frequency: float = TONE,
    container: str | None = None,
    pipe: bool = False,
    **options: str,
) -> Path:
    """Two seconds of a tone by FFmpeg's encoders in the track ``sounding``; others are silent; a video comes first."""
    kind = container or FORMATS.get(path.suffix)
    samples = tone(SECONDS * rate, rate, frequency)[None].repeat(channels, 0)
    piped = _Pipe()
    with av.open(piped if pipe else str(path), "w", format=kind, options=options) as output:
        packets = film(output, SECONDS) if video else []
        layout = "mono" if channels == 1 else "stereo"
        streams = [output.add_stream(codec, rate=rate, layout=layout) for _ in range(tracks)]
        for number, stream in enumerate(streams):
            packets += [*stream.encode(sound_frame(samples * (number == sounding), rate)), *stream.encode(None)]
        output.mux(packets)
    if pipe:
        path.write_bytes(piped.getvalue())
    return path


@pytest.mark.parametrize(("name", "codec", "longer", "shift", "error"), KINDS, ids=[kind[0] for kind in KINDS])
def test_sound_keeps_its_place_and_length(
    tmp_path: Path, name: str, codec: str, longer: int, shift: int, error: float
) -> None:
    sound = read(write(tmp_path / name, codec))
    assert sound.sample_rate == RATE
    assert SECONDS * RATE <= len(sound.samples) <= SECONDS * RATE + longer
    middle, known = sound.samples[RATE : RATE + 4_000], tone(2 * RATE)
    errors = [np.abs(middle - known[RATE - by :][:4_000]).max() for by in range(shift + 1)]
    assert min(errors) < error


def test_any_rate_part_and_block_gives_the_samples_of_the_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.m4a", "aac", channels=2, rate=44_100)
    whole = read(path)
    assert whole.sample_rate == 44_100
    assert count_samples(path) == len(whole.samples)
    part = Part(start=30_001, num_samples=20_000)
    assert np.array_equal(np.concatenate(list(read_blocks(path, 44_100, part=part))), whole.samples[30_001:50_001])
    assert np.array_equal(read_beginning(path, 44_100, 0.5).samples, whole.samples[:22_050])
    assert abs(read(path, 16_000).seconds - whole.seconds) < 1e-3


def test_the_first_audio_stream_is_taken_behind_a_video_and_no_sound_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "aac", tracks=2, video=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sound = read(path)
    fit, _ = inspected(tmp_path, ["a.mp4"], cache=tmp_path / "cache.jsonl")
    assert re.search("2 sound tracks.*ffmpeg", fit["a.mp4"].notices[0])
    assert inspected(tmp_path, ["a.mp4"], cache=tmp_path / "cache.jsonl")[0] == fit
    assert np.abs(sound.samples[RATE:][:1_000]).max() > 0.25
    with pytest.raises(RecordingError, match="no sound"):
        read(write(tmp_path / "a.mp4", "aac", tracks=0, video=True))


@pytest.mark.parametrize(("kind", "codec"), [("avi", "aac"), ("flv", "aac"), ("asf", "aac"), ("matroska", "flac")])
def test_a_file_that_was_written_into_a_pipe_is_whole(tmp_path: Path, kind: str, codec: str) -> None:
    write(tmp_path / "a.wav", codec, container=kind, pipe=True)
    fit, rejected = inspected(tmp_path)
    assert (list(fit), rejected) == (["a.wav"], ())
    assert fit["a.wav"].num_samples >= SECONDS * RATE


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
    manifest, _ = train_all(tmp_path)
    assert len(manifest.clips) == 2
    assert [each for each in manifest.notices if "silence" in each and name in each]


def test_python_ends_in_silence_with_a_recording_half_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.m4a", "aac")
    code = f"from wordless.audio.reading import *; blocks = read_blocks(Path({str(path)!r}), {RATE}); next(blocks)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stderr
