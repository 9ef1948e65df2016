"""Segments: clips that a recording is cut into, or that a table names by begin and end.

Segments of ``seconds`` with an overlap begin at multiples of ``seconds - overlap_seconds``, rounded to samples of the
file, and never reach into another file::

    file       |<---------------------- 34 s ---------------------->|
    segments   [    0-10     ][   10-20     ][   20-30     ][ 30-34 ]        seconds=10
    segments   [    0-10     ]        [   16-26     ]                        seconds=10, overlap_seconds=2
                       [    8-18     ]         [   24-34     ]

The last segment may be shorter. As with recordings, segments that are shorter than ``min_seconds`` or silent are left
out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from wordless.audio.levels import Levels, loudest, of_text
from wordless.audio.recordings.description import Description, Span
from wordless.audio.recordings.inspection import InspectionConfig, Measurement
from wordless.audio.recordings.manifest import OUTSIDE, Clip, Rejected, clip_name
from wordless.audio.waveform import Part
from wordless.base.errors import InputError

MAX_OVERLAP = 0.9  # of a segment


@dataclass(frozen=True, kw_only=True)
class SegmentConfig:
    """How recordings are cut into segments, as `CorpusConfig` says."""

    seconds: float | None = None  # None: recordings stay whole
    overlap_seconds: float = 0.0
    silence_dbfs: float | None = None  # None: only silent segments are left out

    def cut(self, part: Part, sample_rate: int) -> list[Part]:
        """Cut a part of a recording into segments, in order of time; a part no longer than one segment stays whole."""
        if self.seconds is None or part.num_samples <= max(round(self.seconds * sample_rate), 1):
            return [part]
        size = Fraction(self.seconds) * sample_rate
        step = max(size - Fraction(self.overlap_seconds) * sample_rate, Fraction(1))
        return [
            Part(start=part.start + start, num_samples=end - start)
            for start, end in _borders(part.num_samples, size, step)
        ]


def _borders(num_samples: int, size: Fraction, step: Fraction) -> Iterator[tuple[int, int]]:
    """Give each segment's first sample and the one after its last; each is rounded separately, so no error adds up."""
    number = end = 0
    while end < num_samples:
        end = min(max(round(number * step + size), round(number * step) + 1), num_samples)
        yield round(number * step), end
        number += 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """A part of a recording that may become a clip."""

    part: Part
    known: Description
    whole: bool  # the clip is the recording, not a segment of it
    trimmed: int = 0


def clips_of(
    path: str, described: Sequence[Description], found: Measurement, config: SegmentConfig, inspection: InspectionConfig
) -> tuple[list[Clip], list[Rejected]]:
    """Return the clips of one recording in order of time, and what was left out, with the reasons.

    ``described`` has a description of the recording, or of each part of it that a table names.
    """
    levels = of_text(found.levels)
    pieces: list[_Piece] = []
    rejected: list[Rejected] = []
    for known in described:
        try:
            base = _base(known, found, inspection)
        except InputError as error:
            reason = f"{error} ({known.where})" if known.where else str(error)
            rejected.append(Rejected(path=clip_name(path, span_seconds(known.span)), reason=reason, kind=OUTSIDE))
            continue
        kept, left_out = _cut_into_usable(path, base, found, levels, config, inspection)
        pieces += kept
        rejected += left_out
    pieces.sort(key=lambda piece: (piece.part.start, piece.part.num_samples))
    clips: dict[str, Clip] = {}
    for number, piece in enumerate(pieces):
        clip = _clip(path, None if piece.whole else number, piece, found)
        if clip.name in clips:
            rejected.append(Rejected(path=clip.name, reason="named by two rows of the table"))
        clips.setdefault(clip.name, clip)
    return list(clips.values()), rejected


def _base(known: Description, found: Measurement, inspection: InspectionConfig) -> _Piece:
    """Return the recording without its silent ends, or, untrimmed, the part of it that a table names."""
    if known.span is None:
        part = found.part(inspection.trim_db)
        return _Piece(part=part, known=known, whole=True, trimmed=found.num_samples - part.num_samples)
    part = known.span.part(found.num_samples, found.sample_rate)
    return _Piece(part=part, known=known, whole=part.num_samples == found.num_samples)


def span_seconds(span: Span | None) -> tuple[float, float] | None:
    """Return begin and end for a name; an open end counts as the begin."""
    return None if span is None else (span.start, span.start if span.end is None else span.end)


def _cut_into_usable(
    path: str, base: _Piece, found: Measurement, levels: Levels, config: SegmentConfig, inspection: InspectionConfig
) -> tuple[list[_Piece], list[Rejected]]:
    """Cut a piece into segments; also return a line for each reason why some are left out."""
    parts = config.cut(base.part, found.sample_rate)
    if len(parts) == 1 and base.whole:  # inspection has already checked the whole
        return [base], []
    faults = [_fault(part, found.sample_rate, levels, config, inspection) for part in parts]
    kept = [part for part, fault in zip(parts, faults, strict=True) if fault is None]
    pieces = [replace(base, part=part, whole=False, trimmed=0) for part in kept]
    if pieces:  # trimmed ends count once
        pieces[0] = replace(pieces[0], trimmed=base.trimmed)
    name = path if base.known.span is None else clip_name(path, base.part.span(found.sample_rate))
    rejected = []
    for reason in dict.fromkeys(fault for fault in faults if fault is not None):
        left_out = [part for part, fault in zip(parts, faults, strict=True) if fault == reason]
        rejected.append(_summarise(name, left_out, len(parts), reason, found.sample_rate))
    return pieces, rejected


def _fault(
    part: Part, sample_rate: int, levels: Levels, config: SegmentConfig, inspection: InspectionConfig
) -> tuple[str, str] | None:
    """Return a segment's fault and the violated rule, or None; peaks are rounded, and segments in doubt are kept."""
    if part.num_samples < inspection.min_seconds * sample_rate:
        return "too short", f"less than {inspection.min_seconds:g} s"
    peak, level = inspection.silence_peak, f"{inspection.silence_peak:g} of full scale"
    if config.silence_dbfs is not None and (wanted := 10 ** (config.silence_dbfs / 20)) > peak:
        peak, level = wanted, f"{config.silence_dbfs:g} dBFS"
    if loudest(levels, part, sample_rate) <= peak:
        return "silent", f"no sample exceeds {level}"
    return None


def _summarise(name: str, parts: Sequence[Part], total: int, fault: tuple[str, str], sample_rate: int) -> Rejected:
    """Summarise in one line all segments of a piece that are left out for one reason."""
    what, rule = fault
    if total == 1:
        return Rejected(path=name, reason=f"{what}: {rule}", kind=what)
    seconds = sum(part.num_samples for part in parts) / sample_rate
    first = parts[0].start / sample_rate
    kind = f"{what} segments"
    reason = f"{kind}: {len(parts)} of {total} ({seconds:.1f} s; the first at {first:.1f} s), {rule}"
    return Rejected(path=name, reason=reason, segments=len(parts), kind=kind)


def _clip(path: str, segment: int | None, piece: _Piece, found: Measurement) -> Clip:
    return Clip(
        path=path,
        segment=segment,
        start=piece.part.start,
        num_samples=piece.part.num_samples,
        trimmed=piece.trimmed,
        sample_rate=found.sample_rate,
        channel=found.channel,
        size=found.size,
        sha256=found.sha256,
        samples_sha256=found.samples_sha256,
        **piece.known.clip_fields(),
    )
