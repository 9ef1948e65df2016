"""Sound that libsndfile does not read, decoded by FFmpeg's libraries: M4A, WebM, WMA, AMR and many more.

`PyAV` brings the libraries along, so ``pip install 'wordless[formats]'`` is all that is needed. Without it such files
are set aside by a reason that says so. Samples are decoded in order; nothing is sought.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wordless.audio.sound_files import UnreadableError, Window, skip_tags

if TYPE_CHECKING:
    import av

INSTALL = "pip install 'wordless[formats]'"
FFMPEG_EXTENSIONS = (
    "m4a", "m4b", "m4r", "m4v", "mp4", "mov", "3gp", "3gpp", "3g2", "aac", "adts", "webm", "weba", "mka", "mkv",
    "ogv", "ogx", "spx", "wma", "wmv", "asf", "avi", "flv", "f4v", "f4a", "mpg", "mpeg", "vob", "mts", "m2ts",
    "qt", "amr", "awb", "ac3", "eac3", "dts", "dtshd", "tta", "wv", "ape", "mpc", "shn", "tak", "dsf", "dff",
    "mlp", "ra", "rm", "oma", "aa3",
)  # fmt: skip
_DEMUXERS = (  # no playlists and no devices: a file must not make FFmpeg open others
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,aac,loas,asf,avi,flv,live_flv,mpeg,mpegts,amr,amrnb,amrwb,ac3,eac3,dts,"
    "dtshd,tta,wv,ape,mpc,mpc8,shn,tak,dsf,iff,mlp,truehd,rm,oma,caf,w64,wav"
)
_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
_MAX_CHUNKS = 1_000  # before the sound; more are not looked at
_UNKNOWN_32, _UNKNOWN_64 = 0x7EFF_0000, 1 << 62  # larger lengths stand for an unknown one
_MAGIC: dict[int, dict[bytes, str]] = {  # place of bytes at the begin of a file -> the bytes, and a name of the kind
    4: {b"ftyp": "MP4", b"moov": "MP4"},  # first: the size before them may look like MPEG video
    0: {
        **{b"\x1a\x45\xdf\xa3": "Matroska or WebM", _ASF: "Windows Media", b"#!AMR": "AMR", b"wvpk": "WavPack"},
        **{b"MAC ": "Monkey's Audio", b"TTA1": "True Audio", b"MPCK": "Musepack", b"MP+": "Musepack"},
        **{b"ajkg": "Shorten", b"tBaK": "TAK", b"DSD ": "DSD", b"FRM8": "DSD", b"\x7f\xfe\x80\x01": "DTS"},
        **{b"FLV\x01": "Flash video", b"\x00\x00\x01\xba": "MPEG video", b".RMF": "RealMedia"},
    },
    8: {b"AVI ": "AVI"},
    28: {b"Speex   ": "Speex", b"\x80theora": "Ogg video", b"fishead\0": "Ogg with several streams"},
}
# kinds that libsndfile reads in part: FFmpeg gets those that libsndfile refused
_UNKNOWN_TO_LIBSNDFILE = {
    28: {b"\x7fFLAC": "FLAC in Ogg", b"aac ": "AAC in CAF", b".mp3": "MP3 in CAF", b"opus": "Opus in CAF"}
}
_WITH_LENGTHS = frozenset(("mov", "wv", "tta", "ape", "tak", "mpc", "mpc8", "dsf"))  # demuxers whose streams declare it
_SLACK_SECONDS = 0.25  # that a whole file may be shorter than its header says: delays of encoders, last frames


@cache
def decoder_version() -> str:
    """Return the version of the installed PyAV, which brings its FFmpeg along; empty if there is none."""
    try:
        return importlib.metadata.version("av")
    except importlib.metadata.PackageNotFoundError:
        return ""


def kind_of(file: Window) -> str | None:
    """Recognise, by its first bytes, a kind of sound file that libsndfile does not read."""
    head = file.at(0, 64)
    if kind := _by_magic(head, _MAGIC):
        return kind
    place = skip_tags(file, 0) if head[:3] == b"ID3" else 0
    first = file.at(place, 7)
    if len(first) == 7 and first[0] == 0xFF and first[1] & 0xF6 == 0xF0 and first[2] >> 2 & 15 < 13:
        size = (first[3] & 3) << 11 | first[4] << 3 | first[5] >> 5
        following = file.at(place + size, 2)
        if size > 7 and (not following or (following[:1] == b"\xff" and following[1] & 0xF6 == 0xF0)):
            return "AAC"
    return None


def second_chance(file: Window, suffix: str) -> str | None:
    """Name the kind of a file that libsndfile refused and FFmpeg may read, by its content or the end of its name."""
    return _by_magic(file.at(0, 64), _UNKNOWN_TO_LIBSNDFILE) or (
        suffix.upper() if suffix in FFMPEG_EXTENSIONS else None
    )


def _by_magic(head: bytes, kinds: Mapping[int, Mapping[bytes, str]]) -> str | None:
    each = ((head[place:], *known) for place, several in kinds.items() for known in several.items())
    return next((kind for begin, magic, kind in each if begin.startswith(magic)), None)


class FFmpegSound:
    """The first audio stream of a file, or the one that the file marks as its default; video is skipped."""

    format, subtype = "FFMPEG", ""  # for code that asks libsndfile's objects for theirs

    def __init__(self, file: Window, kind: str) -> None:
        """Open a file, and decode its first samples: only they tell the rate of some kinds of AAC.

        Raises:
            UnreadableError: PyAV is not installed, or the file is damaged or holds no sound.
        """
        try:
            import av
        except ImportError as error:
            raise UnreadableError(f"is a file of {kind}, which is read after {INSTALL}") from error
        self._errors = (av.FFmpegError, ValueError)
        self._decoded = 0  # samples
        av.logging.set_level(None)
        try:
            self._container = av.open(
                file, mode="r", metadata_errors="replace", container_options={"format_whitelist": _DEMUXERS}
            )
        except self._errors as error:
            raise UnreadableError("cannot be decoded", _cause(error)) from error
        try:
            stream = self._container.streams.best("audio")
            if stream is None:
                raise UnreadableError("holds no sound", "it has no audio stream")
            self._stream = stream
            self.choices = len(self._container.streams.audio)  # audio streams, of which one is read
            self._blocks = self._decode()
            self._ahead = next(self._blocks, None)
        except BaseException:
            self._container.close()
            raise
        if self._ahead is None:
            self._container.close()
            if seconds := self._declared_seconds:
                raise UnreadableError("is damaged", f"nothing of its {seconds:.3f} s can be decoded")
            raise UnreadableError("holds no sound", "its audio stream is empty")
        self._share = _declared_share(file)
        self.channels: int = self._ahead.shape[1]

    @property
    def declared(self) -> int | None:
        """Samples that the header declares, if some were decoded and far fewer than these; otherwise None.

        Lengths in such headers are rounded, and many count what encoders add.
        """
        decoded = self._decoded / self.samplerate
        seconds = max(self._declared_seconds, decoded * self._share)
        return round(seconds * self.samplerate) if 0 < decoded < seconds - _SLACK_SECONDS else None

    @property
    def _declared_seconds(self) -> float:
        """Length that the header declares; 0 of kinds in which it is missing, or computed by FFmpeg."""
        demuxer = self._container.format.name.split(",")[0]
        if demuxer in _WITH_LENGTHS and self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        if demuxer in ("matroska", "flv") and all(stream.type == "audio" for stream in self._container.streams):
            return (self._container.duration or 0) / 1e6  # of all streams; a video may go on in silence
        return 0.0

    def read(self, frames: int, *, dtype: str, always_2d: bool) -> npt.NDArray[np.float32]:
        """Return the next samples ``(samples, channels)``: at most ``frames``, and none at the end."""
        assert dtype == "float32"
        assert always_2d
        block = self._ahead if self._ahead is not None and len(self._ahead) else next(self._blocks, None)
        if block is None:
            self._ahead = None
            return np.empty((0, self.channels), np.float32)
        self._ahead = block[frames:]
        self._decoded += len(block[:frames])
        return block[:frames]

    def close(self) -> None:
        """Close the decoder."""
        self._container.close()

    def _decode(self) -> Iterator[npt.NDArray[np.float32]]:
        """Give blocks ``(samples, channels)`` of the sizes in which the file was encoded.

        Raises:
            UnreadableError: the sound is damaged, or changes its rate or its number of channels.
        """
        import av

        to_float: av.AudioResampler | None = None
        described: tuple[int, int] | None = None
        try:
            for frame in self._frames():
                if to_float is None:
                    described = (frame.sample_rate, frame.layout.nb_channels)
                    self.samplerate = frame.sample_rate
                    to_float = av.AudioResampler(format="fltp", layout=frame.layout, rate=frame.sample_rate)
                if (frame.sample_rate, frame.layout.nb_channels) != described:
                    raise UnreadableError("changes its rate or its number of channels; divide it there")
                for converted in to_float.resample(frame):
                    block: npt.NDArray[np.float32] = np.ascontiguousarray(converted.to_ndarray().T, np.float32)
                    if len(block):
                        yield block
        except self._errors as error:
            raise UnreadableError("cannot be decoded", _cause(error)) from error

    def _frames(self) -> Iterator[av.AudioFrame]:
        """Give the decoded frames; an error in the last packet alone means that a recorder was stopped within it."""
        import av

        damage: Exception | None = None
        for packet in self._container.demux(self._stream):
            if packet.size and damage is not None:
                raise damage
            try:
                yield from (frame for frame in packet.decode() if isinstance(frame, av.AudioFrame))
            except self._errors as error:
                damage = error


def _declared_share(file: Window) -> float:
    """Return how many times as many bytes of sound an AVI or Windows Media file declares as it holds; 1: it is whole.

    FFmpeg shortens the length that these kinds declare to what is there.
    """
    place = 12
    for _ in range(_MAX_CHUNKS if file.at(8, 4) == b"AVI " else 0):
        name = file.at(place, 4)
        length = int.from_bytes(file.at(place + 4, 4), "little")
        if name == b"LIST" and file.at(place + 8, 4) == b"movi":
            return _share(length if length < _UNKNOWN_32 else 0, file.size - place - 8)
        place += 8 + length + length % 2
    if file.at(0, len(_ASF)) == _ASF:
        place = int.from_bytes(file.at(16, 8), "little")  # behind the header: the sound
        length = int.from_bytes(file.at(place + 16, 8), "little")
        return _share(length if length < _UNKNOWN_64 else 0, file.size - place)
    return 1.0


def _share(declared: int, there: int) -> float:
    return declared / there if declared > there > 0 else 1.0


def _cause(error: Any) -> str:
    cause = str(getattr(error, "strerror", None) or error)
    return cause.partition("[Errno")[0].strip().rstrip(".:") or cause
