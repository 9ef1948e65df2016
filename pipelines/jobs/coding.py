"""How all commands read recordings, and the work of ``wordless encode`` and ``wordless score``.

Several processes read the recordings one by one. What cannot be read is set aside, and `WarningsSummary` tells it at
the end. `encoded` keeps codes in an artifact: a killed command goes on after the last finished shard.
"""

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

import numpy as np
import pyarrow.parquet as pq

from lm.language_tests import Score, score
from lm.model import LanguageModel
from pipelines.recordings import EncodeConfig, InputOptions, ScoreConfig, TableOptions
from pipelines.store.outputs import new_file, new_folder, prepare_output, require_new
from pipelines.store.run_parts import part_of
from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.store import CachedArtifact, Store, StoreConfig, StoreOptions, note_finished, write_json
from tokenizer.codes import require_same_codebook
from tokenizer.parquet import CodedClip, mark_complete, read_codes, read_num_samples, write_shard
from tokenizer.tokenizer import Tokenizer, load_tokenizer
from tokenizer.units import write_units
from wordless.audio.audio_options import Channel, SpectrogramConfig
from wordless.audio.decoding import Recording, count_samples, file_key
from wordless.audio.reading import CHANGED, ChannelPowers, cancelled, read_blocks, resampled_length
from wordless.audio.recordings.corpus import clips_at, placed_clips
from wordless.audio.recordings.inspection import InspectionConfig, frequent_reasons
from wordless.audio.recordings.manifest import (
    UNWRITABLE,
    Clip,
    Clips,
    Rejected,
    writable,
    write_rejected,
)
from wordless.audio.recordings.summary import corpus_summary
from wordless.audio.waveform import Part
from wordless.base.arrays import FloatArray, write_table
from wordless.base.devices import choose_device
from wordless.base.files import aside, copy_file, list_hash, stamp_text, write_aside
from wordless.base.messages import InputError, counted, escape
from wordless.base.pools import LOCAL, EngineConfig
from wordless.base.progress import Terminal
from wordless.training.fit import Gang

R = TypeVar("R", bound="Read")
TOLD = ".told"  # instead of the suffix of a shard
BYTES_FOR_WORKERS = 100e6  # 16-bit sound that one process encodes while a worker starts


class Read(Protocol):
    """What is read of a recording."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the recording."""


@dataclass(kw_only=True)
class WarningsSummary:
    """What a command tells of its recordings at the end."""

    read: int = 0  # number of recordings that could be read
    rejected: list[Rejected] = field(default_factory=list)
    notices: list[tuple[str, str]] = field(default_factory=list)  # name of a recording, and what to know of it

    def readable(self, results: Iterable[tuple[str, R | Rejected]]) -> Iterator[tuple[str, R]]:
        """Give the name and the result of each recording that could be read, and keep what is to be told of all."""
        for name, read in results:
            if isinstance(read, Rejected):
                self.rejected.append(replace(read, path=name))
            else:
                self.read += 1
                self.notices.extend((name, notice) for notice in read.notices)
                yield name, read

    def tell(self, terminal: Terminal, output: Path | None, *, option: str) -> None:
        """Print each notice once, and list what was set aside; refuse a place of which nothing could be read."""
        by_notice: dict[str, list[str]] = {}
        for name, notice in self.notices:
            by_notice.setdefault(notice, []).append(name)
        for notice, (first, *others) in by_notice.items():
            more = f" and {counted(len(others), 'other recording')}" if others else ""
            terminal.say(f"{first}{more}: {notice}")
        see = list_rejected(self.rejected, output, terminal)
        if not self.read:
            raise InputError(f"{option}: no recording can be used ({frequent_reasons(self.rejected)})", remedy=see)


def list_rejected(rejected: Sequence[Rejected], output: Path | None, terminal: Terminal) -> str:
    """List what was set aside beside an output, or print it; return where the list is, for a message."""
    if output is None:
        for each in rejected:
            terminal.say(f"set aside: {each.path}: {each.reason}")
        return ""
    listed = output.with_name(f"{output.name}.rejected.tsv")
    listed.unlink(missing_ok=True)  # of an earlier call
    if not rejected:
        return ""
    write_rejected(rejected, listed)
    terminal.say(f"{len(rejected)} set aside ({frequent_reasons(rejected)}): {listed}")
    return f"see {listed}"


def open_session(settings: InputOptions, place: Clips, *models: Path, engine: EngineConfig = LOCAL) -> Session:
    """Return the session of a command that reads recordings; workers read them with ``models``."""
    size, root = 0, (settings.store if isinstance(settings, StoreOptions) else StoreConfig()).root
    for path in dict.fromkeys(place.frame.path):
        with suppress(OSError):  # a broken link, which is set aside later
            size += (place.root / path).stat().st_size
    session = Session(
        store=Store(root),
        gang=Gang(choose_device(settings.device)),
        terminal=Terminal(),
        folder=root,
        workers=min(engine.workers(settings.workers, enough=size > BYTES_FOR_WORKERS), len(place.clips)),
        engine=engine,
        shared=(*models, *(place.root / clip.path for clip in place.clips[:1])),
    )
    for line in (*corpus_summary(place), *place.notices):
        session.terminal.say(line)
    return session


def stamped(place: Clips) -> Clips:
    """Return the recordings with the stamps of their files now: `files_key` has them, and reading compares them."""
    stamps = {path: stamp_text(place.root / path) for path in dict.fromkeys(place.frame.path)}
    return place.with_columns(stamp=[stamps[path] for path in place.frame.path])


def files_key(place: Clips) -> str:
    """Hash the places and stamps of files, and what a table says of them; nothing is decoded for it.

    A file that may not be read is set aside, and has another key as soon as it may.
    """
    stamps = {path: (place.root / path, stamp) for path, stamp in zip(place.frame.path, place.frame.stamp, strict=True)}
    keys = ((path, file, file_key(file, stamp=stamp)) for path, (file, stamp) in stamps.items())
    files = ([path, key, key and os.access(file, os.R_OK)] for path, file, key in keys)
    return list_hash([*files, *([clip.name, clip.label, clip.group] for clip in place.clips)])


def warnings_summary(artifact: CachedArtifact, place: Clips) -> WarningsSummary:
    """Return what `encoded` tells of a place, and which rows of its table were set aside."""
    told = WarningsSummary(rejected=[*place.rejected])
    for file in sorted(artifact.folder.glob(f"*{TOLD}")):
        content = json.loads(file.read_text())
        told.rejected.extend(Rejected(**each) for each in content["rejected"])
        told.notices.extend((name, notice) for name, notice in content["notices"])
        told.read += content["read"]
    return told


def attempted(work: Callable[[Clip], R | Rejected], clip: Clip, *, stored: bool = False) -> R | Rejected:
    """Return what ``work`` makes of a recording, or why it is set aside.

    What is ``stored`` under the stamp of a file that has changed must not say so: the file may be put back.
    """
    if not writable(clip.path):
        return Rejected(path=clip.path, reason=UNWRITABLE)
    try:
        return work(clip)
    except InputError as error:
        if stored and error.kind == CHANGED:
            raise
        return Rejected.by(clip.name, error)


def recordings_at(place: str, settings: InputOptions) -> Clips:
    """Find a recording, all recordings below a folder, or those that a table names, with the samples of parts."""
    return placed_clips(clips_at(place, settings.columns, root=settings.root), settings.most_rejected)


def recordings_of(settings: TableOptions) -> tuple[Clips, ...]:
    """Find the recordings of each place of the input, and their annotated parts; ``[a.wav,b.wav]`` names several."""
    # The option is one text, because a path may hold a comma or a space, or even begin and end with brackets.
    whole = settings.input.strip()
    several = whole.startswith("[") and whole.endswith("]") and not os.path.lexists(whole)
    names = [name.strip().strip("\"'") for name in whole[1:-1].split(",")] if several else [settings.input]
    if not all(names):
        raise InputError(f"input={settings.input} names no recording; write input=a.wav or input=[a.wav,b.wav]")
    found = tuple(recordings_at(name, settings) for name in names)
    for place in found if settings.output is not None else ():
        if not writable(str(place.root)):
            problem = f"input={place.root} holds a tab, a line break or bytes that are not UTF-8"
            raise InputError(f"{problem}, which {settings.output} cannot hold; rename the folder")
    return found


def read_all(
    settings: TableOptions, places: Sequence[Clips], work: Callable[[Path, Clip], R | Rejected], title: str
) -> Iterator[tuple[str, R]]:
    """Give the path of each recording that can be read, as the user can open it, with what ``work`` makes of it."""
    told = WarningsSummary()
    for place in places:
        session = open_session(settings, place)
        told.rejected.extend(replace(each, path=str(place.root / each.path)) for each in place.rejected)
        results = session.each(title, partial(attempted, partial(work, place.root)), place.clips)
        names = (str(place.root / clip.name) for clip in place.clips)
        yield from told.readable(zip(names, results, strict=True))
    told.tell(Terminal(), settings.output, option=f"input={settings.input}")


def noun(recordings: Sequence[Clips]) -> str:
    """Return the noun for a recording of these places, or a part of one."""
    return "part" if any(place.has_segments for place in recordings) else "recording"


@dataclass(kw_only=True)
class ReadSound:
    """A recording as a model reads it, and what the user should know of it."""

    channel: Channel
    sample_rate: int  # Hz, of the model
    highest: float  # Hz; what lies above is not read
    louder: int | None = None  # channel of a recording that was measured before; else the powers say it
    powers: ChannelPowers = field(default_factory=ChannelPowers)
    bounds: tuple[float, float] = (np.inf, -np.inf)  # lowest and highest sample
    own_rate: int | None = None  # Hz, of a file that was opened before
    num_samples: int = 0  # that were read, at the model's rate

    @classmethod
    def by(cls, audio: SpectrogramConfig) -> "ReadSound":
        """Return a recording that a tokenizer's front end reads."""
        return cls(channel=audio.channel, sample_rate=audio.sample_rate, highest=audio.highest)

    def blocks(self, path: Path, *, part: Part | None = None) -> Iterator[FloatArray]:
        """Read the blocks of a whole recording, or of a part, at the model's rate."""
        for block in read_blocks(path, self.sample_rate, part=part, channel=self.channel, powers=self.powers):
            low, high = self.bounds
            self.bounds = float(block.min(initial=low)), float(block.max(initial=high))
            self.num_samples += len(block)
            yield block

    @property
    def notices(self) -> tuple[str, ...]:
        """Why the sound is silent or far softer than the recording, what is missing of it, and its empty bands."""
        found, silence = [*self.powers.notices], InspectionConfig.silence_peak
        number = self.channel if isinstance(self.channel, int) else None
        louder = self.powers.louder if self.louder is None else self.louder
        why = f"no sample exceeds {silence:g} of full scale"
        if louder is not None:
            why = f"{cancelled(number, louder)}, where the model is made (wordless run, wordless finetune)"
        if self.bounds[1] - self.bounds[0] <= 2 * silence:  # a constant offset is no sound
            found.append(f"silent: {why}")
        elif louder is not None:
            found.append(f"far softer than one of its channels: {why}")
        rate = self.powers.sample_rate if self.own_rate is None else self.own_rate
        return (*found, *tell_empty_bands(rate, self.sample_rate, self.highest))


def tell_empty_bands(rate: int, sample_rate: int, highest: float) -> list[str]:
    """Say of a recording with this ``rate`` which bands of a model are empty, if some are below ``highest`` Hz."""
    if rate / 2 >= highest:
        return []
    above = f"its rate is {rate} Hz and the model's {sample_rate} Hz, so the bands above {rate / 2:g} Hz are empty"
    return [f"{above}; a model with audio.sample_rate={rate} has no empty bands"]


# wordless encode


@dataclass(frozen=True)
class Shards:
    """Encoded recordings, some of which are in memory at a time."""

    files: Sequence[Path]

    def __iter__(self) -> Iterator[CodedClip]:
        for file in self.files:
            yield from read_codes(file)[1]


def encode_recordings(settings: EncodeConfig) -> None:
    """Encode recordings into shards of the store, and write the output from these."""
    output, tokenizer_folder = settings.output, part_of(settings.model, "tokenizer")
    recordings = recordings_at(str(settings.input), settings)
    prepare_output(output)
    listed, begin = output.with_suffix(".tsv"), os.fsencode(recordings.root.absolute()) + b"\n"
    if settings.as_units and listed.is_file() and not listed.read_bytes().startswith(begin):
        require_new(listed)  # a list of these recordings may be of this command, which was killed
    encoder = partial(load_tokenizer, tokenizer_folder, str(choose_device(settings.device)))
    codes_format = encoder().format
    streams, parts = codes_format.spectral_streams, int(recordings.frame.segment.notna().sum())
    rule = f"text units hold one stream, and the tokenizer {tokenizer_folder} has {streams}: name a .parquet file"
    settings.refuse_if(settings.as_units and streams > 1, "output", rule)
    rule = f"its list has whole recordings, and {counted(parts, 'part')} are parts: name a .parquet file"
    settings.refuse_if(settings.as_units and parts > 0, "output", rule)
    session = open_session(settings, recordings, tokenizer_folder, engine=settings.engine)
    artifact = encoded(session, stamped(recordings), encoder, settings.clips_per_shard)
    warnings_summary(artifact, recordings).tell(session.terminal, output, option=f"input={settings.input}")
    shards = sorted(artifact.folder.glob("codes-*.parquet"))
    lengths = [length for shard in shards for length in read_num_samples(shard).tolist()]
    if settings.as_units:
        root = recordings.root.absolute()
        rows = [f"{clip.path}\t{_count_samples(root / clip.path, clip)}\n" for clip in Shards(shards)]
        with new_file(output.with_suffix(".tsv")) as beside:
            write_aside(beside, f"{root}\n{''.join(rows)}")
        write_units(output, Shards(shards), deduplicate=settings.deduplicate)  # last: it is never without its list
    elif output.suffix.lower() == ".parquet":  # one row group is in memory at a time
        with aside(output) as beside, pq.ParquetWriter(beside, pq.read_schema(shards[0])) as writer:
            for file in map(pq.ParquetFile, shards):
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))
    else:  # a folder of shards
        with new_folder(output) as folder:
            for shard in shards:
                copy_file(shard, folder / shard.name)
            mark_complete(folder, shards=len(shards), clips=len(lengths))
    clips, seconds = counted(len(lengths), "part" if parts else "recording"), sum(lengths)
    session.terminal.say(f"{clips}, {seconds / codes_format.sample_rate:.1f} s of sound: {output}")


@stage(
    "encoded",
    title="encoding recordings ({recordings})",
    keys={"recordings": files_key, "encoder": lambda encoder: encoder().format.codebook},
)
def encoded(run: StageRun, recordings: Clips, encoder: Callable[[], Tokenizer], size: int) -> None:
    """Encode recordings, ``size`` in a shard, beside which a list has what `WarningsSummary` tells of its recordings.

    ``encoder`` loads the tokenizer, once in each process.
    """
    work = partial(attempted, partial(encode_recording, encoder, recordings.root), stored=True)
    starts = range(0, len(recordings.clips) or 1, size)  # an artifact without files counts as damaged
    clips = {
        run.folder / f"codes-{number:05d}.parquet": recordings.clips[start : start + size]
        for number, start in enumerate(starts)
    }
    # a shard and its list belong together: the store removes either where a kill or a fault left it unfinished
    missing = {file: own for file, own in clips.items() if not (file.exists() and file.with_suffix(TOLD).exists())}
    results = run.each("encoding", work, [clip for own in missing.values() for clip in own])
    for file, own in missing.items():
        told = WarningsSummary()
        read = told.readable(zip((clip.name for clip in own), results, strict=False))
        write_shard(file, (clip for _, clip in read), encoder().format, segments=recordings.has_segments)
        write_json(file.with_suffix(TOLD), asdict(told))
        for written in (file.with_suffix(TOLD), file):
            note_finished(written)
    next(results, None)  # ends the workers


def encode_recording(encoder: Callable[[], Tokenizer], root: Path, clip: Clip) -> CodedClip | Rejected:
    """Encode one recording or part of one, or say why it is set aside."""
    tokenizer = encoder()
    sound, rate = ReadSound.by(tokenizer.config.audio), tokenizer.format.sample_rate
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
        declared, own, rate = recording.declared, recording.samplerate, clip.codes.format.sample_rate
    if declared is not None and resampled_length(declared, own, rate) == clip.codes.num_samples:
        return declared
    return count_samples(path)


def submitted_name(path: str) -> str:
    """Return a recording's name as ZeroSpeech 2021 writes it, as in ``aAaONTsOqWs -2.031`` of ``lexical/dev.txt``."""
    return PurePosixPath(path).stem


def require_submitted_names(output: Path, recordings: Sequence[Clips]) -> None:
    """Refuse recordings whose names a file for ZeroSpeech 2021 cannot hold."""
    names = Counter(submitted_name(clip.name) for place in recordings for clip in place.clips)
    for name, count in names.items():
        if count > 1 or len(name.split()) != 1:
            problem = f"is the name of {count} recordings" if count > 1 else "holds a space"
            rule = f"{name!r} {problem}, and a line has a name without folder, suffix and spaces, and a score"
            remedy = "rename recordings, or write a .tsv file"
            raise InputError(option="output", value=output, rule=rule, remedy=remedy)


HEAD = f"{'log p, nats':>12} {'nats/code':>10} {'bits/s':>9} {'perplexity':>11}  recording"


def score_recordings(settings: ScoreConfig) -> None:
    """Encode and score recordings, print a line for each, and write the table."""
    tokenizer, lm = part_of(settings.model, "tokenizer"), part_of(settings.model, "lm")
    recordings = recordings_of(settings)
    if settings.output is not None:
        if settings.output.suffix.lower() == ".txt":
            require_submitted_names(settings.output, recordings)
        prepare_output(settings.output)
    device = str(choose_device(settings.device))
    model = LanguageModel.from_pretrained(lm, device=device)
    encoder = partial(load_tokenizer, tokenizer, device)
    require_same_codebook(model.format, encoder().format, owner=model.name)
    scored: list[tuple[str, Score]] = []  # each with the path as the user can open it
    print(HEAD, flush=True)
    for path, clip in read_all(settings, recordings, partial(encode_recording, encoder), "scoring"):
        found = score(model, clip.codes)
        scored.append((path, found))
        line = f"{found.log_probability:>12.1f} {found.nats_per_code:>10.3f} {found.bits_per_second:>9.1f}"
        print(f"{line} {found.perplexity:>11.2f}  {escape(path)}", flush=True)
    if settings.output is not None:
        if settings.output.suffix.lower() == ".txt":  # as ZeroSpeech 2021 reads it
            # The log-probability is divided by the number of codes, so that long recordings are not less probable.
            lines = (f"{submitted_name(path)} {-each.nats_per_code}\n" for path, each in scored)
            write_aside(settings.output, "".join(lines))
        else:
            write_table(settings.output, [{"path": path, **asdict(each)} for path, each in scored])
    codes, seconds = sum(each.codes for _, each in scored), sum(each.seconds for _, each in scored)
    nats = -sum(each.log_probability for _, each in scored)
    written = f": {settings.output}" if settings.output else ""
    figures = f"{nats / codes:.3f} nats per code, {nats / seconds / math.log(2):.1f} bits per second"
    Terminal().say(f"{counted(len(scored), noun(recordings))}, {seconds:.1f} s of sound, {figures}{written}")
