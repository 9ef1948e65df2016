"""Files that are named like recordings and are none: the reason says what they are and what helps."""

from pathlib import Path

import numpy as np
import pytest

from wordless.audio.recordings.inspection import InspectionConfig, inspect
from wordless.audio.recordings.recording_paths import recordings_at

SPHERE = """NIST_1A
   1024
channel_count -i 1
sample_count -i 16000
sample_rate -i 16000
sample_n_bytes -i 2
sample_byte_format -s2 01
sample_sig_bits -i 16
sample_coding -s26 pcm,embedded-shorten-v2.00
end_head
"""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n", ["Git LFS", "git lfs pull"]),
        (b"\n<!DOCTYPE html>\n<html lang=en><title>404</title>", ["HTML", "download"]),
        (b"<html>\n<body>Sign in</body>", ["HTML", "download"]),
        (SPHERE.encode().ljust(1024) + b"ajkg\x02" + bytes(range(256)) * 8, ["shorten", "sph2pipe"]),
        (b"", ["empty"]),
        (bytes(5_000), ["5000", "zero bytes"]),
        (b"no sound\n" * 20, ["text", "no sound"]),
        ("schöne Grüße\n".encode() * 300, ["text"]),
        (b'{"message": "not found"}', ["JSON", "not found"]),
        (b'<?xml version="1.0"?><Error>AccessDenied</Error>', ["XML"]),
        (b"PK\x03\x04" + bytes(100), ["ZIP"]),
    ],
)
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.m4a", "a.sph"])
def test_what_is_no_recording_is_named(tmp_path: Path, name: str, content: bytes, words: list[str]) -> None:
    (tmp_path / name).write_bytes(content)
    fit, rejected = inspect(tmp_path, [name], InspectionConfig())
    assert not fit
    assert all(word in rejected[0].reason for word in words)


@pytest.mark.parametrize("name", ["a.raw", "a.pcm"])
def test_samples_without_a_header_are_listed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(np.random.default_rng(0).integers(-9_000, 9_000, 5_000).astype("<i2").tobytes())
    paths = recordings_at(tmp_path).paths
    _, rejected = inspect(tmp_path, paths, InspectionConfig())
    assert paths == (name,)
    assert "header" in rejected[0].reason


def test_random_bytes_are_not_called_text(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(np.random.default_rng(0).bytes(2_000))
    _, rejected = inspect(tmp_path, ["a.wav"], InspectionConfig())
    assert "text" not in rejected[0].reason
