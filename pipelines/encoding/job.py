"""The work of ``wordless encode``, once its options are checked."""

from pathlib import Path

import pyarrow.parquet as pq

from audio.decoding import count_samples
from audio.recordings.inspection import frequent_reasons
from audio.recordings.manifest import write_rejected
from audio.recordings.recording_paths import Recordings
from foundation.devices import choose_device
from foundation.errors import InputError
from foundation.files import aside, write_aside
from foundation.plurals import counted
from foundation.progress import Terminal
from pipelines.encoding.code_shards import Encoded, clear_away, encode_shards, shard_clips
from pipelines.encoding.options import EncodeConfig
from pipelines.store.work_folder import remove_work_folder, require_own, work_folder
from tokenizer.encoder import Encoder
from tokenizer.parquet import COMPLETE, mark_complete, shard_path
from tokenizer.units import write_units


def encode_recordings(settings: EncodeConfig, recordings: Recordings, tokenizer_folder: Path) -> None:
    """Encode the remaining recordings, and write the output."""
    terminal = Terminal()
    device = str(choose_device(settings.device))
    encoder = Encoder(folder=tokenizer_folder, root=recordings.root, device=device)
    codes_format = encoder.format
    if settings.format != "parquet" and codes_format.streams > 1:
        raise InputError(
            f"format={settings.format} holds one stream, and the tokenizer {tokenizer_folder} has "
            f"{codes_format.streams}; choose format=parquet"
        )
    clips_per_shard = settings.clips_per_shard
    job = {"codebook": codes_format.codebook, "recordings": recordings.state, "clips_per_shard": clips_per_shard}
    require_own(settings.shards, job)
    if _is_whole(settings):
        return terminal.say(f"{settings.output} is whole already")
    with work_folder(settings.shards, job):
        encoded = encode_shards(settings, recordings, encoder, terminal)
        _finish(settings, recordings, encoded)
    if encoded.rejected:
        reasons = frequent_reasons(encoded.rejected)
        terminal.say(f"{len(encoded.rejected)} set aside ({reasons}): {settings.rejected}")
    terminal.say(f"{counted(encoded.clips, 'recording')}, {encoded.seconds:.1f} s of sound: {settings.output}")


def _is_whole(settings: EncodeConfig) -> bool:
    """Return whether an earlier call wrote the output; temporary files that a killed call left are removed."""
    whole = (settings.shards / COMPLETE).exists() if settings.in_shards else settings.output.exists()
    if whole and settings.in_shards:
        clear_away(settings.shards)
    elif whole:
        remove_work_folder(settings.shards)
    return whole


def _finish(settings: EncodeConfig, recordings: Recordings, encoded: Encoded) -> None:
    """Convert complete shards to the output."""
    settings.rejected.unlink(missing_ok=True)
    if encoded.rejected:
        write_rejected(encoded.rejected, settings.rejected)
    if not encoded.clips:
        remove_work_folder(settings.shards)
        raise InputError(
            f"input={settings.input}: none of its {counted(len(recordings.paths), 'recording')} can be read "
            f"({frequent_reasons(encoded.rejected)}); see {settings.rejected}"
        )
    if settings.in_shards:
        mark_complete(settings.output, shards=encoded.shards, clips=encoded.clips)
        return clear_away(settings.output)
    if settings.format == "parquet":
        _join(settings, encoded.shards)
    else:
        if settings.format == "fairseq":
            _write_fairseq_manifest(settings, recordings, encoded.shards)
        clips = shard_clips(settings.shards, encoded.shards)
        write_units(settings.output, clips, settings.format, deduplicate=settings.deduplicate)
    remove_work_folder(settings.shards)


def _join(settings: EncodeConfig, shards: int) -> None:
    """Join all shards into one Parquet file, with one row group in memory at a time."""
    paths = [shard_path(settings.shards, number) for number in range(shards)]
    with aside(settings.output) as beside, pq.ParquetWriter(beside, pq.read_schema(paths[0])) as writer:
        for path in paths:
            with pq.ParquetFile(path) as shard:
                for group in range(shard.num_row_groups):
                    writer.write_table(shard.read_row_group(group))


def _write_fairseq_manifest(settings: EncodeConfig, recordings: Recordings, shards: int) -> None:
    """Write fairseq's .tsv beside a .km: the root, then path and samples of each recording."""
    root = recordings.root.absolute()
    paths = [clip.path for clip in shard_clips(settings.shards, shards)]
    rows = [f"{path}\t{count_samples(root / path)}" for path in paths]
    write_aside(settings.output.with_suffix(".tsv"), "\n".join([str(root), *rows]) + "\n")
