"""The work of ``wordless encode``, once its options are checked.

Recordings are encoded in shards, each written atomically, so that a killed command resumes after the last one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.commandline.outputs import remove_work_folder, require_own, work_folder
from pipelines.encode import EncodeConfig
from pipelines.jobs.recordings import (
    Notices,
    ReadSound,
    each_recording,
    list_rejected,
    rejected_list,
    state_of,
    tell_rejected,
)
from tokenizer.codes import Codes
from tokenizer.encoder import Encoder
from tokenizer.parquet import COMPLETE, CodedClip, mark_complete, read_codes, read_num_samples, shard_path, write_shard
from tokenizer.units import write_units
from wordless.audio.decoding import Recording, count_samples
from wordless.audio.reading import resampled_length
from wordless.audio.recordings.inspection import frequent_reasons
from wordless.audio.recordings.manifest import Clip, Clips, Rejected, read_rejected
from wordless.base.errors import InputError
from wordless.base.files import aside, write_aside
from wordless.base.machine import choose_device
from wordless.base.pools import RESUME
from wordless.base.progress import Terminal
from wordless.base.text import counted


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The shards, and totals of them."""

    shards: Sequence[Path]
    clips: int
    seconds: float  # of sound
    rejected: Sequence[Rejected]

    @classmethod
    def of(cls, shards: Sequence[Path], sample_rate: int, rejected_before: Sequence[Rejected]) -> "Encoded":
        """Count the content of the shards; ``rejected_before`` are annotations that were not encoded."""
        lists = [path for shard in shards if (path := _rejected_path(shard)).exists()]
        lengths = [read_num_samples(shard) for shard in shards]
        seconds = sum(int(each.sum()) for each in lengths) / sample_rate
        rejected = [*rejected_before, *(each for path in lists for each in read_rejected(path))]
        return cls(shards=shards, clips=sum(map(len, lengths)), seconds=seconds, rejected=rejected)

    def __iter__(self) -> Iterator[CodedClip]:
        for shard in self.shards:
            yield from read_codes(shard)[1]


def encode_recordings(settings: EncodeConfig, recordings: Clips, tokenizer_folder: Path) -> None:
    """Encode the remaining recordings, and write the output."""
    terminal = Terminal()
    device = str(choose_device(settings.device))
    encoder = Encoder(folder=tokenizer_folder, root=recordings.root, device=device)
    codes_format = encoder.format
    if settings.format not in ("parquet", "times") and codes_format.spectral_streams > 1:
        has = f"{len(codes_format.rates)} rates" if codes_format.rates else str(codes_format.spectral_streams)
        raise InputError(
            f"format={settings.format} holds one stream, and the tokenizer {tokenizer_folder} has {has}; choose "
            "format=parquet or times"
        )
    if settings.format == "fairseq" and (parts := int(recordings.frame.segment.notna().sum())):
        problem = f"format=fairseq lists whole recordings, and {counted(parts, 'part')} are annotated"
        raise InputError(f"{problem}; choose another format, or whole recordings with annotations=none")
    clips_per_shard = settings.clips_per_shard
    job = {"codebook": codes_format.codebook, "recordings": state_of(recordings), "clips_per_shard": clips_per_shard}
    require_own(settings.shards, job)
    whole = settings.shards / COMPLETE if settings.in_shards else settings.output
    if whole.exists():
        if settings.in_shards:  # temporary files that a killed call left are removed
            _clear_away(settings.shards)
        else:
            remove_work_folder(settings.shards)
        return terminal.say(f"{settings.output} is whole already")
    with work_folder(settings.shards, job):
        encoded = _encode_shards(settings, recordings, encoder, terminal)
        _finish(settings, recordings, encoded)
    tell_rejected(encoded.rejected, rejected_list(settings.output), terminal)
    clips = counted(encoded.clips, "part" if recordings.has_segments else "recording")
    terminal.say(f"{clips}, {encoded.seconds:.1f} s of sound: {settings.output}")


def _encode_shards(settings: EncodeConfig, recordings: Clips, encoder: Encoder, terminal: Terminal) -> Encoded:
    """Write the shards that are missing; the shard of a recording depends only on its place in the list."""
    starts = range(0, len(recordings.clips), settings.clips_per_shard)
    shards = {shard_path(settings.shards, number): start for number, start in enumerate(starts)}
    missing = {
        shard: recordings.clips[start : start + settings.clips_per_shard]
        for shard, start in shards.items()
        if not shard.exists()
    }
    wanted, notices = [clip for several in missing.values() for clip in several], Notices()
    made = each_recording(
        partial(encode_recording, encoder),
        recordings,
        wanted,
        terminal,
        title="encoding",
        workers=settings.workers,
        engine=settings.engine,
        shared=[encoder.folder],
        gpu=encoder.device.startswith("cuda"),
        remedy=f"{RESUME} workers=1",
    )
    for shard, several in missing.items():
        results = [clip for _, clip in islice(made, len(several))]
        coded = [clip for clip in results if isinstance(clip, CodedClip)]
        # before the shard, so that an existing shard always has its rejections
        list_rejected([clip for clip in results if isinstance(clip, Rejected)], _rejected_path(shard))
        write_shard(shard, coded, encoder.format, segments=recordings.has_segments)
        for clip in coded:
            notices.add(clip.path, clip.notices)
    next(made, None)  # ends the workers
    notices.tell(terminal)
    return Encoded.of([*shards], encoder.format.sample_rate, recordings.rejected)


def encode_recording(encoder: Encoder, clip: Clip) -> CodedClip | Rejected:
    """Encode one recording or part of one, or say why it is set aside."""
    tokenizer, rate = encoder.tokenizer, encoder.format.sample_rate
    audio = tokenizer.front_end
    sound = ReadSound(channel=audio.channel, sample_rate=rate, highest=audio.highest)
    codes = tokenizer.encode_blocks(sound.blocks(encoder.root / clip.path, part=clip.part), rate)
    if clip.segment is not None:
        whole = resampled_length(clip.num_samples, clip.sample_rate, rate)
        if codes.num_samples < whole:
            reason = f"damaged: the recording ends after {codes.num_samples} of the part's {whole} samples at {rate} Hz"
            return Rejected(path=clip.name, reason=reason, kind="damaged")
    if not codes.num_samples:
        return Rejected(path=clip.name, reason="empty")
    return CodedClip(
        path=clip.path, codes=codes, span=clip.span, label=clip.label, group=clip.group, notices=sound.notices
    )


def _rejected_path(shard: Path) -> Path:
    return shard.with_suffix(".rejected.tsv")


def _finish(settings: EncodeConfig, recordings: Clips, encoded: Encoded) -> None:
    list_rejected(encoded.rejected, listed := rejected_list(settings.output))
    if not encoded.clips:
        remove_work_folder(settings.shards)
        raise InputError(
            f"input={settings.input}: none of its {counted(len(encoded.rejected), 'recording')} can be read "
            f"({frequent_reasons(encoded.rejected)}); see {listed}"
        )
    if settings.in_shards:
        mark_complete(settings.output, shards=len(encoded.shards), clips=encoded.clips)
        return _clear_away(settings.output)
    if settings.format == "parquet":
        _join(settings.output, encoded.shards)
    else:
        if settings.format == "fairseq":
            _write_fairseq_manifest(settings.manifest, recordings, encoded)
        write_units(settings.output, encoded, settings.format, deduplicate=settings.deduplicate)
    remove_work_folder(settings.shards)


def _clear_away(folder: Path) -> None:
    """Remove the files that only a resumed command needs."""
    for path in folder.glob("codes-*.rejected.tsv*"):  # a killed command may leave one that was not yet renamed
        path.unlink(missing_ok=True)


def _join(output: Path, shards: Sequence[Path]) -> None:
    """Join all shards into one Parquet file, with one row group in memory at a time."""
    with aside(output) as beside, pq.ParquetWriter(beside, pq.read_schema(shards[0])) as writer:
        for path in shards:
            with pq.ParquetFile(path) as shard:
                for group in range(shard.num_row_groups):
                    writer.write_table(shard.read_row_group(group))


def _write_fairseq_manifest(file: Path, recordings: Clips, encoded: Encoded) -> None:
    """Write fairseq's .tsv beside a .km: the root, then path and samples of each recording."""
    root = recordings.root.absolute()
    rows = [f"{clip.path}\t{_count_samples(root / clip.path, clip.codes)}" for clip in encoded]
    write_aside(file, "\n".join([str(root), *rows]) + "\n")


def _count_samples(path: Path, codes: Codes) -> int:
    """Count the samples of a recording at its own rate: those of its header, if as many were encoded."""
    with Recording(path) as recording:
        declared, rate = recording.declared, recording.samplerate
    if declared is not None and resampled_length(declared, rate, codes.format.sample_rate) == codes.num_samples:
        return declared
    return count_samples(path)
