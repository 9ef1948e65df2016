"""A hostile corpus of recordings: more than 1,000 files that are damaged, lie in their headers or are no sound at all.

The files follow from the seed alone and take some seconds to write. Many can be decoded after all: what matters is that
none of them ends a run, takes its memory or goes unnamed.
"""

import io
import itertools
import random
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from tests.hostile.measured import write_special_files
from wordless.base.arrays import DoubleArray

RATE = 8_000  # Hz
FORMATS = {  # extension -> format and subtype of libsndfile
    "wav": ("WAV", "PCM_16"), "float.wav": ("WAV", "FLOAT"), "ima.wav": ("WAV", "IMA_ADPCM"),
    "ms.wav": ("WAV", "MS_ADPCM"), "gsm.wav": ("WAV", "GSM610"), "ex.wav": ("WAVEX", "PCM_24"),
    "rf64": ("RF64", "PCM_16"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"), "aiff": ("AIFF", "PCM_16"), "aifc": ("AIFF", "IMA_ADPCM"),
    "au": ("AU", "PCM_16"), "g721.au": ("AU", "G721_32"), "caf": ("CAF", "PCM_16"), "alac.caf": ("CAF", "ALAC_16"),
    "w64": ("W64", "PCM_16"), "voc": ("VOC", "PCM_16"), "sph": ("NIST", "PCM_16"), "svx.wav": ("SVX", "PCM_16"),
    "htk.wav": ("HTK", "PCM_16"), "sds.wav": ("SDS", "PCM_16"), "avr.wav": ("AVR", "PCM_16"),
    "paf.wav": ("PAF", "PCM_24"), "ircam.wav": ("IRCAM", "PCM_16"), "mat5.wav": ("MAT5", "DOUBLE"),
    "mpc.wav": ("MPC2K", "PCM_16"), "xi.wav": ("XI", "DPCM_16"),
}  # fmt: skip


def write_hostile_files(folder: Path, *, seed: int = 0, every: int = 1) -> list[str]:
    """Write the corpus below ``folder``, or only each file of a number divisible by ``every``: their paths, sorted."""
    rng = random.Random(seed)
    files: dict[str, bytes] = {}
    for family in (_damaged, _first_bytes, _lying_wav, _lying_others, _values, _chunks, _other_content, _odd_names):
        for number, (name, content) in enumerate(family(rng)):
            files[f"{family.__name__.strip('_')}/{number:04d}_{name}" if family is not _odd_names else name] = content
    chosen = sorted(files)[::every]
    for name in chosen:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
    special = folder / "special"
    special.mkdir(parents=True)
    names = [f"special/{name}" for name in write_special_files(special)]
    return sorted([*chosen, *names])


def write_honest_files(folder: Path, *, seed: int = 0) -> list[str]:
    """Twelve recordings that any run can use, of three formats and two labels: their paths, sorted."""
    rng = np.random.default_rng(seed)
    paths = []
    for number, extension in enumerate(("wav", "flac", "ogg") * 4):
        path = folder / ("up" if number % 2 else "down") / f"honest_{number}.{extension}"
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(RATE) / RATE
        tone = 0.3 * np.sin(2 * np.pi * (200 + 40 * number) * time) + 0.01 * rng.standard_normal(RATE)
        soundfile.write(path, tone, RATE)
        paths.append(str(path.relative_to(folder)))
    return sorted(paths)


def _sound(*, seed: int) -> DoubleArray:
    return np.random.default_rng(seed).uniform(-0.3, 0.3, 2_400)


def _encoded(extension: str, *, seed: int = 0) -> bytes:
    kind, subtype = FORMATS[extension]
    file = io.BytesIO()
    soundfile.write(file, _sound(seed=seed), RATE, format=kind, subtype=subtype)
    return file.getvalue()


def _damaged(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Every format cut, with flipped bits, holes, shuffled, without its beginning, twice, or with a foreign tail."""
    for number, extension in enumerate(FORMATS):
        whole = _encoded(extension, seed=number)
        for _ in range(3):
            yield f"cut.{extension}", whole[: rng.randrange(1, len(whole))]
            yield f"flips.{extension}", _flipped(whole, rng, flips=rng.choice((1, 10, 100)))
        hole = rng.randrange(len(whole))
        yield f"hole.{extension}", whole[:hole] + bytes(min(500, len(whole) - hole)) + whole[hole + 500 :]
        blocks = [whole[start : start + 256] for start in range(0, len(whole), 256)]
        rng.shuffle(blocks)
        yield f"shuffled.{extension}", b"".join(blocks)
        yield f"header.{extension}", whole[:44]
        yield f"beheaded.{extension}", whole[44:]
        yield f"tail.{extension}", whole + rng.randbytes(300)


def _flipped(content: bytes, rng: random.Random, *, flips: int) -> bytes:
    changed = bytearray(content)
    for _ in range(flips):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _first_bytes(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    extremes = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80")
    for number, extension in enumerate(FORMATS):
        whole = _encoded(extension, seed=100 + number)
        for place in rng.sample(range(4, min(96, len(whole) - 4)), 12):
            yield f"at_{place}.{extension}", whole[:place] + rng.choice(extremes) + whole[place + 4 :]


def _lying_wav(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    lies: dict[str, tuple[int, ...]] = {
        "rate": (0, 1, 999, 1_000_001, 2_000_000_000, 2**32 - 1), "channels": (0, 2, 255, 1_024, 1_025, 65_535),
        "bits": (0, 1, 4, 8, 12, 24, 32, 63, 64, 65_535), "block_align": (0, 1, 3, 1_024, 65_535),
        "byte_rate": (0, 2**32 - 1), "data_size": (0, 1, 2**31 - 1, 2**32 - 2, 2**32 - 1),
        "riff_size": (0, 4, 2**32 - 1),
        "tag": (0, 2, 3, 6, 7, 0x11, 0x31, 0x40, 0x45, 0x55, 0x161, 0xFFFE, 0xFFFF),
    }  # fmt: skip
    single = [{name: value} for name, values in lies.items() for value in values]
    pairs = [{**one, **other} for one, other in itertools.combinations(single, 2) if not one.keys() & other.keys()]
    for number, lie in enumerate([*single, *rng.sample(pairs, 200)]):
        name = "_".join(f"{field}_{value}" for field, value in lie.items())
        yield f"{name}.wav", wav(**lie, data=noise(1_600, seed=number))  # type: ignore[arg-type]  # numbers all of them
    guids = (bytes(16), b"\xff" * 16, b"\x01\x00\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x72")
    for guid, valid_bits, rate in itertools.product(guids, (0, 16, 65_535), (RATE, 2_000_000_000)):
        extension = struct.pack("<HHI", 22, valid_bits, 2**32 - 1) + guid
        yield f"extensible_{valid_bits}_{rate}.wav", wav(tag=0xFFFE, extension=extension, rate=rate)
    for tag, extra in itertools.product((0x11, 2, 0x31), (0, 1, 65_535)):
        extension = struct.pack("<HH", 2, extra)
        yield f"adpcm_{tag}_{extra}.wav", wav(tag=tag, bits=4, block_align=65_535, extension=extension)


def _lying_others(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """AIFF, AU, CAF, W64, RF64, FLAC, Ogg and NIST files whose headers declare what cannot be."""
    data = noise(1_600, seed=7)
    extended = {  # 80-bit floats, as AIFF writes rates
        "zero": bytes(10), "huge": b"\x40\x3e" + b"\xff" * 8, "2e9": b"\x40\x1d\xee\x6b\x28\x00" + bytes(4),
        "nan": b"\x7f\xff" + b"\xff" * 8, "negative": b"\xc0\x0b\xfa\x00" + bytes(6),
    }  # fmt: skip
    for (name, rate), channels, bits in itertools.product(extended.items(), (0, 1, 65_535), (0, 16, 63)):
        common = struct.pack(">HIH", channels, 2**32 - 1, bits) + rate
        body = b"AIFF" + _big(b"COMM", common) + _big(b"SSND", bytes(8) + data)
        yield f"rate_{name}_{channels}_{bits}.aiff", b"FORM" + struct.pack(">I", len(body)) + body
    for encoding, rate, channels in itertools.product((0, 1, 3, 6, 23, 99), (0, 2**31, 2**32 - 1), (0, 1, 2**32 - 1)):
        for offset in (24, 2**32 - 1):
            header = struct.pack(">4sIIIII", b".snd", offset, 2**32 - 1, encoding, rate, channels)
            yield f"{encoding}_{rate}_{channels}.au", header + data
    for rate, channels, bits in itertools.product((0.0, -1.0, 1e300, np.nan, 2e9), (0, 1, 2**32 - 1), (0, 16, 2**31)):
        description = struct.pack(">d4sIIIII", rate, b"lpcm", 0, 2**32 - 1, 1, channels, bits)
        body = b"desc" + struct.pack(">q", 32) + description + b"data" + struct.pack(">q", -1) + bytes(4) + data
        yield f"{rate}_{channels}_{bits}.caf", b"caff" + struct.pack(">HH", 1, 0) + body
    for size in (2**63 - 1, 2**63, 2**64 - 1, 0):
        yield f"{size}.w64", _with_size(_encoded("w64"), b"data", size)
        yield f"{size}.rf64", _with_size(_encoded("rf64"), b"ds64", size)
    flac = _encoded("flac")
    for number in range(18):  # of STREAMINFO: block sizes, rate, channels, bits and number of samples
        yield f"info_{number}.flac", flac[: 8 + number] + b"\xff" + flac[9 + number :]
    for extension, place in (("ogg", 39), ("ogg", 40), ("opus", 37), ("opus", 40)):  # channels and rates
        content = _encoded(extension)
        yield f"at_{place}.{extension}", content[:place] + b"\xff\xff\xff\x7f" + content[place + 4 :]
    for field in ("sample_rate -i 99999999999999999999", "channel_count -i -5", "sample_n_bytes -i 4000000000"):
        header = f"NIST_1A\n   1024\n{field}\nsample_coding -s3 pcm\nend_head\n".encode()
        yield "numbers.sph", header.ljust(1_024) + data


def _big(name: bytes, content: bytes) -> bytes:
    return name + struct.pack(">I", len(content)) + content + b"\0" * (len(content) % 2)


def _with_size(content: bytes, name: bytes, size: int) -> bytes:
    place = content.index(name) + 16
    return content[:place] + struct.pack("<Q", size) + content[place + 8 :]


def _values(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Samples that are not finite, too large for any front end, or too small to be told from silence."""
    values = (np.nan, np.inf, -np.inf, 1e19, -1e38, 3.4e38, 1.1e4, 1e-45, 1e-310, 0.0)
    for value, (kind, extension) in itertools.product(
        values, (("WAV", "wav"), ("AIFF", "aiff"), ("AU", "au"), ("CAF", "caf"), ("W64", "w64"))
    ):
        for subtype in ("FLOAT", "DOUBLE"):
            samples = _sound(seed=rng.randrange(2**31))
            samples[rng.randrange(len(samples))] = value
            if abs(value) < 1e-40:
                samples[:] = value
            file = io.BytesIO()
            with np.errstate(all="ignore"):
                soundfile.write(file, samples, RATE, format=kind, subtype=subtype)
            yield f"{value}_{subtype}.{extension}", file.getvalue()


def _chunks(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """WAV files whose chunks are missing, repeated, out of order, nested, or of sizes that lead back."""
    description = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16))
    data = chunk(b"data", noise(1_600, seed=1))
    other = chunk(b"LIST", b"INFOIART" + struct.pack("<I", 2**32 - 1) + b"x" * 20)
    for order in itertools.permutations((description, data, other, chunk(b"fact", b"\xff" * 4)), 3):
        yield "order.wav", _riff(b"".join(order))
    for size in (0, 1, 2**31, 2**32 - 8, 2**32 - 1, 2**32 - 16):
        for name in (b"LIST", b"fact", b"PEAK", b"smpl", b"cue ", b"bext", b"cart", b"inst", b"id3 ", b"junk"):
            yield f"size_{size}.wav", _riff(description + chunk(name, rng.randbytes(40), size=size) + data)
    yield "many.wav", _riff(description + 5_000 * chunk(b"junk", b"") + data)
    yield "twice.wav", _riff(description + data + description + data)
    nested = b""
    for _ in range(200):
        nested = chunk(b"LIST", b"RIFF" + nested)
    yield "nested.wav", _riff(description + nested + data)


def _riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def _other_content(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb", bytes(10**7))
    contents = {
        "empty": b"", "one_byte": b"R", "text": b"no sound\n" * 300,
        "html": b"<!doctype html><script>alert(1)</script>" * 20, "zip": archive.getvalue(),
        "pdf": b"%PDF-1.7\n" + rng.randbytes(500), "elf": b"\x7fELF\x02\x01\x01" + rng.randbytes(2_000),
        "script": b"#!/bin/sh\nrm -rf /tmp/nothing\n",
        "json": b'{"a": ' * 1_000, "pickle": b"\x80\x04\x8c\x05posix\x8c\x06system\x93.",
        "utf16": "no sound".encode("utf-16"), "zeros": bytes(5_000), "ones": b"\xff" * 5_000,
        "random": rng.randbytes(5_000), "id3": b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + rng.randbytes(100),
        "sync": b"\xff\xfb\x90\x64" * 1_000, "ogg_pages": b"OggS" * 500, "riff": b"RIFF" * 100,
    }  # fmt: skip
    for name, content in contents.items():
        for extension in ("wav", "flac", "ogg", "mp3", "aiff", "au", "caf", "w64", "snd", "voc"):
            yield f"{name}.{extension}", content


ODD_NAMES = (
    *("tab\there.wav", "line\nbreak.wav", "return\rhere.wav", "broken\udcff.wav", "-rf.wav", "--help.wav", "a b.wav"),
    *("{braces}.wav", "a,b.wav", "a=b.wav", "[x].wav", "$(x).wav", "`x`.wav", "'quote'.wav", '"quote".wav', "%s.wav"),
    *("*.wav", "?.wav", "~.wav", "a\\b.wav", "\u202egnp.wav", "e\u0301.wav", "\u00e9.wav", "\U0001f50a.wav", "..wav"),
    *("UPPER.WAV", "upper.wav", "Upper.Wav", ".hidden.wav", "no_extension", "x" * 251 + ".wav", "\x01\x1b[31m.wav"),
    *("\u2028.wav", "\x85.wav", "\x7f.wav", "#.wav", ";.wav", "|.wav", "&.wav", "<b>.wav", "null.wav", "None.wav"),
)


def _odd_names(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Honest recordings and broken ones whose names are hard to write down."""
    for number, name in enumerate(ODD_NAMES):
        yield f"honest {number % 3}/{name}", wav(data=noise(1_600, seed=1_000 + number))
        yield f"broken\t{number % 3}/{name}", rng.randbytes(100)


def noise(samples: int, *, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).uniform(-9830, 9830, samples).astype("<i2").tobytes()


def chunk(name: bytes, content: bytes, *, size: int | None = None) -> bytes:
    """A RIFF chunk; ``size`` is what it declares instead of its length."""
    return name + struct.pack("<I", len(content) if size is None else size) + content + b"\0" * (len(content) % 2)


def wav(
    *,
    rate: int = 8_000,
    channels: int = 1,
    bits: int = 16,
    tag: int = 1,
    block_align: int | None = None,
    byte_rate: int | None = None,
    samples: int = 1_600,
    data: bytes | None = None,
    data_size: int | None = None,
    riff_size: int | None = None,
    extension: bytes = b"",
) -> bytes:
    """A WAV file of ``samples`` 16-bit noise, or of ``data``, under a header that declares whatever it is told to.

    ``extension`` follows the 16 bytes of the format.
    """
    align = max(channels * bits // 8, 0) % 65536 if block_align is None else block_align
    bytes_each_second = align * rate % 2**32 if byte_rate is None else byte_rate
    description = struct.pack("<HHIIHH", tag, channels, rate, bytes_each_second, align, bits) + extension
    content = data if data is not None else noise(samples, seed=rate % 1000)
    body = b"WAVE" + chunk(b"fmt ", description) + chunk(b"data", content, size=data_size)
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def mp3_of_estimated_length(path: Path) -> Path:
    """A second of noise as an honest MP3 without a header of its length: libsndfile takes its ID3 tag for sound.

    The first frame that libsndfile writes holds the length (Xing), and is left out.
    """
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, 22_050)
    soundfile.write(path, sound, 22_050, bitrate_mode="CONSTANT", compression_level=0.5)
    content = path.read_bytes()
    second = content.find(content[:2], 2)
    tag = b"ID3\x03\0\0" + bytes([0, 0, 32, 0]) + bytes(4_096)
    path.write_bytes(tag + content[second:])
    return path
