"""The work of ``wordless encode``, once its options are checked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.commandline.outputs import new_file, new_folder
from pipelines.jobs.recordings import ReadSound, Recordings, open_session, told_of
from pipelines.recordings import EncodeConfig
from pipelines.store.session import Run
from pipelines.store.stage import stage
from tokenizer.encoder import Encoder
from tokenizer.parquet import CodedClip, mark_complete, read_codes, read_num_samples, write_shard
from tokenizer.units import write_units
from wordless.audio.decoding import Recording, count_samples
from wordless.audio.reading import resampled_length
from wordless.audio.recordings.manifest import Clip, Clips, Rejected
from wordless.base.errors import InputError
from wordless.base.files import aside, copy_file, write_aside
from wordless.base.machine import choose_device
from wordless.base.text import counted


@dataclass(frozen=True)
class Shards:
    """Encoded recordings, some of which are in memory at a time."""

    files: Sequence[Path]

    def __iter__(self) -> Iterator[CodedClip]:
        for file in self.files:
            yield from read_codes(file)[1]


def encode_recordings(settings: EncodeConfig, recordings: Clips, tokenizer_folder: Path) -> None:
    """Encode the recordings into shards of the store, and write the output from these."""
    device, output = str(choose_device(settings.device)), settings.output
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
    session = open_session(settings, recordings, tokenizer_folder, engine=settings.engine)
    entry = encoded(session, Recordings(recordings), encoder, settings.clips_per_shard)
    told_of(entry, recordings).tell(session.terminal, output, option=f"input={settings.input}")
    shards = sorted(entry.folder.glob("codes-*.parquet"))
    lengths = [length for shard in shards for length in read_num_samples(shard).tolist()]
    if settings.in_shards:
        with new_folder(output) as folder:
            for shard in shards:
                copy_file(shard, folder / shard.name)
            mark_complete(folder, shards=len(shards), clips=len(lengths))
    elif settings.format == "parquet":  # one row group is in memory at a time
        with aside(output) as beside, pq.ParquetWriter(beside, pq.read_schema(shards[0])) as writer:
            for file in map(pq.ParquetFile, shards):
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))
    else:
        if settings.format == "fairseq":  # reads a list beside the .km file: the root, path and samples of each
            root = recordings.root.absolute()
            rows = [f"{clip.path}\t{_count_samples(root / clip.path, clip)}\n" for clip in Shards(shards)]
            with new_file(settings.manifest) as file:
                write_aside(file, f"{root}\n{''.join(rows)}")
        write_units(output, Shards(shards), settings.format, deduplicate=settings.deduplicate)
    clips, seconds = counted(len(lengths), "part" if recordings.has_segments else "recording"), sum(lengths)
    session.terminal.say(f"{clips}, {seconds / codes_format.sample_rate:.1f} s of sound: {output}")


@stage("encoded", version=1, title="encoding {recordings}")
def encoded(run: Run, recordings: Recordings, encoder: Encoder, size: int) -> None:
    """Encode recordings, ``size`` in a shard."""
    work = partial(encode_recording, encoder, encoder.root)
    write = partial(write_shard, format=encoder.format, segments=recordings.place.has_segments)
    recordings.write_shards(run, "encoding", work, write, size=size, name="codes-{:05d}.parquet")


def encode_recording(encoder: Encoder, root: Path, clip: Clip) -> CodedClip | Rejected:
    """Encode one recording or part of one, or say why it is set aside."""
    tokenizer, rate = encoder.tokenizer, encoder.format.sample_rate
    audio = tokenizer.front_end
    sound = ReadSound(channel=audio.channel, sample_rate=rate, highest=audio.highest)
    codes = tokenizer.encode_own(sound.blocks(root / clip.path, part=clip.part))
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


def _count_samples(path: Path, clip: CodedClip) -> int:
    """Count the samples of a recording at its own rate: those of its header, if as many were encoded."""
    with Recording(path) as recording:
        declared, rate = recording.declared, recording.samplerate
    if (
        declared is not None
        and resampled_length(declared, rate, clip.codes.format.sample_rate) == clip.codes.num_samples
    ):
        return declared
    return count_samples(path)
