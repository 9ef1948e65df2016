"""The work of ``wordless find``, once its options are checked, and its page."""

import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lm.model import LanguageModel, states_over_time
from pipelines.commandline.annotation_files import write_annotations
from pipelines.commandline.composition import command_line
from pipelines.extras.find.find_options import Features, FindConfig
from pipelines.extras.find.places_page import Hit, write_hits_page
from pipelines.jobs.coding import ReadSound, Told, attempted, files_key, open_session, told_of, write_shards
from pipelines.pages.excerpts import Room
from pipelines.stages.features import mfcc_frames
from pipelines.store.outputs import new_file
from pipelines.store.stage import Run, stage
from pipelines.store.store import Entry, write_json
from tokenizer.codes import require_same_codebook, soft_assignments
from tokenizer.tokenizer import Tokenizer, load_tokenizer
from wordless.audio.levels import trim_ends
from wordless.audio.matching import find_matches, unit_frames
from wordless.audio.recordings.inspection import frequent_reasons
from wordless.audio.recordings.manifest import UNWRITABLE, Clip, Clips, Rejected, writable
from wordless.audio.waveform import Waveform, join_blocks
from wordless.base.arrays import FloatArray, write_table
from wordless.base.files import file_hash
from wordless.base.messages import InputError, counted, require

SHARD = 10  # recordings whose places are in one file of the store
PATCHES_AT_ONCE = 500  # whose soft codes are in memory
AROUND = 0.1  # seconds that are played before and after a place


@dataclass(frozen=True, kw_only=True)
class FrameReader:
    """Converts sound to the frames that are compared, in any process."""

    tokenizer_folder: Path
    lm_folder: Path | None  # for states
    features: Features
    layer: int | None  # of states; None: the one in the middle
    device: str = "cpu"

    @property
    def key(self) -> list[object]:
        """What decides the frames."""
        weights = sorted(self.lm_folder.rglob("*.safetensors")) if self.lm_folder else []
        return [self.tokenizer.format.codebook, [file_hash(each) for each in weights], self.features, self.layer]

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded once in each process."""
        return load_tokenizer(self.tokenizer_folder, self.device)

    @property
    def step(self) -> int:
        """Samples of a frame, at the tokenizer's rate."""
        tokenizer = self.tokenizer
        return tokenizer.front_end.hop_length if self.features == "mfcc" else tokenizer.format.samples_per_code

    def frames(self, blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Give the frames ``(time, dim)`` of a recording, scaled to length 1; ``blocks`` are its samples.

        Soft codes are shares, whose square roots have as their cosine the Bhattacharyya coefficient, a mean over the
        streams. All other features have mean 0 and variance 1 over the recording first, which removes some of the
        speaker and the microphone; so they are in memory for the whole recording.
        """
        if self.features == "soft_codes":
            yield from map(unit_frames, self._soft_codes(blocks))
            return
        pieces: Iterator[FloatArray]
        match self.features:
            case "log_mel":  # of each patch, its frames side by side: (time, patch_frames * mels)
                frames, found = self.tokenizer.patch_frames, self._signals(blocks)
                pieces = (each.reshape(len(each) // frames, -1).cpu().numpy() for each, _ in found)
            case "mfcc":
                audio, samples = self.tokenizer.front_end, join_blocks(blocks)
                options = {"window_length": audio.window_length, "hop_length": audio.hop_length}
                pieces = iter([mfcc_frames(samples, sample_rate=audio.sample_rate, **options)])
            case "bottleneck":
                pieces = (bottlenecks.cpu().numpy() for bottlenecks in self._bottlenecks(blocks))
            case "states":
                pieces = self._states(blocks)
        if all_pieces := [*pieces]:
            whole = np.concatenate(all_pieces)
            yield unit_frames((whole - whole.mean(0)) / (whole.std(0) + np.float32(1e-5)))

    def _signals(self, blocks: Iterable[FloatArray]) -> Iterator[tuple[Tensor, Tensor]]:
        """Give log-mel and bottlenecks of the sound, with silence until the last patch is whole."""
        return self.tokenizer.signals(self.tokenizer.log_mel_pieces(blocks))

    def _bottlenecks(self, blocks: Iterable[FloatArray]) -> Iterator[Tensor]:
        """Give the vectors ``(time, bands * bottleneck)`` that become codes."""
        tokenizer = self.tokenizer
        if tokenizer.reads_patches:
            return (each for _, each in self._signals(blocks))
        vectors = torch.from_numpy(tokenizer.vectors(join_blocks(blocks)))
        return iter(torch.split(vectors, PATCHES_AT_ONCE))

    def _soft_codes(self, blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        tokenizer = self.tokenizer
        for bottlenecks in self._bottlenecks(blocks):
            by_band = bottlenecks.reshape(len(bottlenecks), tokenizer.config.bands, -1).to(tokenizer.centroids.device)
            shares = soft_assignments(by_band, tokenizer.centroids, tokenizer.spacing)  # (T, streams, codes)
            yield shares.flatten(1).sqrt().cpu().numpy()

    def _states(self, blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        assert self.lm_folder is not None, "states alone need a language model"
        model = _language_model(self.lm_folder, device=self.device)
        layer = self.layer or (model.gpt.config.layers + 1) // 2
        codes = self.tokenizer.encode_blocks(blocks, self.tokenizer.front_end.sample_rate)
        yield states_over_time(model, codes, [layer]).cpu().numpy()


_language_model = lru_cache(maxsize=1)(LanguageModel.from_pretrained)  # is loaded once in each process


@dataclass(frozen=True, kw_only=True, eq=False)
class Query:
    """A sound that is searched."""

    name: str  # its path as the user can open it, with the span of a part
    label: str = ""  # of an annotated part
    sound: Waveform  # without silent ends
    frames: FloatArray  # (time, dim), of length 1
    notices: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return hashlib.sha256(self.frames.tobytes()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What was found in a recording."""

    path: str
    places: tuple[tuple[tuple[float, float, float], ...], ...]  # of each query: start and end in seconds, and score
    shorter: tuple[int, ...]  # numbers of the queries that are longer than the recording
    notices: tuple[str, ...]


def find_in_recordings(
    settings: FindConfig, queries: Clips, recordings: Clips, tokenizer_folder: Path, lm_folder: Path | None
) -> None:
    """Search all recordings, and write the table and its page."""
    session = open_session(settings, recordings, tokenizer_folder)
    reader = FrameReader(
        tokenizer_folder=tokenizer_folder,
        lm_folder=lm_folder,
        features=settings.features,
        layer=settings.layer,
        device=str(session.gang.device),
    )
    if lm_folder is not None:
        model = _language_model(lm_folder, device=reader.device)
        require_same_codebook(model.format, reader.tokenizer.format, owner=model.name)
        layers, wanted = model.gpt.config.layers, settings.layer
        rule = f"the language model has {layers}: choose 1 to {layers}"
        require(wanted is None or wanted <= layers, "layer", wanted, rule)
    unread, work = Told(rejected=[*queries.rejected]), partial(read_query, reader, queries.root, settings.trim_db)
    found = unread.readable((clip.name, attempted(work, clip)) for clip in queries.clips)
    read = [query for _, query in found]
    rejected = [
        Rejected(
            path=str(queries.root / each.path), reason=f"query: {each.reason}", kind=each.kind and f"query: {each.kind}"
        )
        for each in unread.rejected
    ]
    if not read:
        problem = f"query={settings.query}: no query can be read ({frequent_reasons(rejected)})"
        raise InputError(f"{problem}; choose another recording of the sound")
    entry = found_places(session, read, recordings, reader, settings.hits)
    told = told_of(entry, recordings, below=recordings.root)
    left_out = {each.path for each in told.rejected}  # recordings, beside which queries are listed below
    hits, shorter = best_hits(entry, read, recordings.root, most=settings.hits)
    told.rejected[:] = [*rejected, *sorted([*told.rejected, *shorter], key=lambda each: each.path)]
    told.tell(session.terminal, settings.output, option=f"input={settings.input}")
    audio = reader.tokenizer.front_end
    room, page = Room(sample_rate=audio.sample_rate, channel=audio.channel), settings.output.with_suffix(".html")
    rows = [asdict(hit) | {"path": str(recordings.root / hit.path)} for hit in hits]
    with new_file(page) as beside:  # gets its name when the output is written
        sounds = {query.name: query.sound for query in read}
        write_hits_page(beside, sounds, hits, room, root=recordings.root, command=command_line("find"))
        if settings.kind is None:
            write_table(settings.output, rows)
        else:
            events = [hit.event(recordings.root) for hit in hits]
            every = (str(recordings.root / clip.path) for clip in recordings.clips)
            write_annotations(settings.output, settings.kind, [path for path in every if path not in left_out], events)
    places = f"{counted(len(hits), 'place')} of {counted(len(read), 'query', 'queries')}"
    session.terminal.say(f"{places}: {settings.output}, to listen: {page}")


def read_query(reader: FrameReader, root: Path, trim_db: float | None, clip: Clip) -> Query | Rejected:
    """Read a query without its silent ends, or say why it is set aside."""
    if not writable(str(root)):
        return Rejected(path=clip.name, reason=UNWRITABLE)
    rate, step = reader.tokenizer.front_end.sample_rate, reader.tokenizer.config.samples_per_code
    blocks = ReadSound.by(reader.tokenizer.front_end).blocks(root / clip.path, part=clip.part)
    sound = Waveform(samples=join_blocks(blocks), sample_rate=rate)
    if not np.any(sound.samples):
        return Rejected(path=clip.name, reason="silent")
    sound = sound if trim_db is None else trim_ends(sound, trim_db)
    if len(sound.samples) < step:
        lasts = f"{sound.seconds:.3f} s{'' if trim_db is None else ' without its silent ends'}"
        reason = f"too short: {lasts}, and a code lasts {step / rate:.3f} s"
        return Rejected(path=clip.name, reason=reason, kind="too short")
    frames = np.concatenate([*reader.frames([sound.samples])])
    return Query(name=str(root / clip.name), label=clip.label or "", sound=sound, frames=frames)


def search_recording(
    reader: FrameReader, root: Path, queries: Sequence[FloatArray], most: int, clip: Clip
) -> Searched | Rejected:
    """Search a recording for the ``most`` best places of each query (its frames), or say why it is set aside."""
    sound = ReadSound.by(reader.tokenizer.front_end)
    blocks = sound.blocks(root / clip.path, part=clip.part)
    matches, length = find_matches(queries, reader.frames(blocks), most=most)
    seconds = reader.step / sound.sample_rate
    shorter = tuple(number for number, query in enumerate(queries) if len(query) > length)
    if not length:
        return Rejected(path=clip.name, reason="empty")
    if len(shorter) == len(queries):
        shortest = min(map(len, queries)) * seconds
        reason = f"shorter than the query: {length * seconds:.2f} s, and the shortest query has {shortest:.2f} s"
        return Rejected(path=clip.name, reason=reason, kind="shorter than the query")
    places = tuple(
        tuple((round(each.start * seconds, 3), round(each.stop * seconds, 3), round(1 - each.cost, 5)) for each in of)
        for of in matches
    )
    return Searched(path=clip.path, places=places, shorter=shorter, notices=sound.notices)


@stage("found", version=1, title="searching recordings ({recordings})", keys={"recordings": files_key})
def found_places(run: Run, queries: Sequence[Query], recordings: Clips, reader: FrameReader, most: int) -> None:
    """Search recordings for the ``most`` best places of each query."""
    frames = [query.frames for query in queries]
    work = partial(search_recording, reader, recordings.root, frames, most)
    write = lambda file, places: write_json(file, [asdict(each) for each in places])  # noqa: E731
    write_shards(run, recordings.clips, "searching", work, write, size=SHARD, name="found-{:05d}.json")


def best_hits(entry: Entry, queries: Sequence[Query], root: Path, *, most: int) -> tuple[list[Hit], list[Rejected]]:
    """Gather the best places of each query over all recordings, and the recordings that are shorter than a query."""
    best: list[list[tuple[float, str, float, float]]] = [[] for _ in queries]
    shorter: list[Rejected] = []
    for searched in (
        each for shard in sorted(entry.folder.glob("found-*.json")) for each in json.loads(shard.read_text())
    ):
        for of, places in zip(best, searched["places"], strict=True):
            rows = ((-score, searched["path"], start, end) for start, end, score in places)
            of[:] = heapq.nsmallest(most, [*of, *rows])
        if searched["shorter"]:
            reason = f"shorter than {len(searched['shorter'])} of {counted(len(queries), 'query', 'queries')}"
            shorter.append(Rejected(path=str(root / searched["path"]), reason=reason, kind="shorter than a query"))
    hits = [
        Hit(query=query.name, path=path, start=start, end=end, score=-negative, label=query.label)
        for query, of in zip(queries, best, strict=True)
        for negative, path, start, end in of
    ]
    return hits, shorter
