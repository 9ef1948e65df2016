"""The work of ``wordless find``: places of recordings that are like a query, once its options are checked.

Places are found by subsequence dynamic time warping over frames of any kind. A path aligns every frame of the query,
and as many frames of the recording as it likes, at half to double the query's speed. Its cost is the mean distance over
the query's frames. These are the steps of Sakoe and Chiba (1978, doi:10.1109/TASSP.1978.1163055) for a slope of 1/2 to
2, in the form that counts the query's frames::

    query frame i      .   .   b   .         a  both go on by one frame: distance (i, j)
                       .   c   a   .         b  two query frames, one of the recording: (i-1, j) + (i, j)
             i - 1     .   .   .             c  one query frame, two of the recording: the mean of (i, j-1) and (i, j)
                      recording frame j

No step stays in a row of the query, so a row of all places is computed at once, and memory does not grow with the rows.
``librosa.sequence.dtw`` has neither these weights nor a form without the matrix of all costs and steps.
"""

import base64
import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lm.code_model import states_over_time
from lm.model import LanguageModel
from pipelines.commandline.command_words import command_line
from pipelines.commandline.recording_options import write_annotations
from pipelines.jobs.coding import (
    ReadSound,
    WarningsSummary,
    attempted,
    files_key,
    open_session,
    stamped,
    warnings_summary,
    write_shards,
)
from pipelines.pages.page_of_places import AudioBudget, PageExcerpt
from pipelines.pages.phrasing import draw
from pipelines.plugins.find import FindConfig, FrameFeatures
from pipelines.stages.features import mfcc_frames
from pipelines.store.outputs import new_file
from pipelines.store.stage import StageRun, stage
from pipelines.store.store import CachedArtifact, write_json
from tokenizer.codes import require_same_codebook, soft_assignments
from tokenizer.tokenizer import Tokenizer, load_tokenizer
from wordless.audio.levels import trim_ends
from wordless.audio.recordings.annotation_formats import Event
from wordless.audio.recordings.inspection import frequent_reasons
from wordless.audio.recordings.manifest import UNWRITABLE, Clip, Clips, Rejected, writable
from wordless.audio.waveform import Waveform, equal_blocks, join_blocks
from wordless.base.arrays import FloatArray, IndexArray, write_table
from wordless.base.files import file_hash, write_aside
from wordless.base.messages import InputError, counted, require

SEARCHED_AT_ONCE = 1 << 14  # of a recording


@dataclass(frozen=True, kw_only=True)
class Match:
    """A place of a recording that is like the query."""

    start: int  # first frame
    stop: int  # frame after the last one
    cost: float  # mean distance over the query's frames, 0 to 2


def unit_frames(frames: FloatArray) -> FloatArray:
    """Scale frames ``(time, dim)`` to length 1; a frame of zeros stays zero."""
    scaled: FloatArray = frames / np.maximum(np.linalg.norm(frames, axis=1, keepdims=True), np.float32(1e-12))
    return scaled


def time_warp(query: FloatArray, frames: FloatArray) -> tuple[FloatArray, IndexArray]:
    """Compute the best path of ``query (frames, dim)`` that ends at each of ``frames (time, dim)``, all of length 1.

    The distance of two frames is 1 minus their cosine. Of equal paths, the one that goes on by one frame counts.

    Returns:
        Costs ``(time,)``, infinite where no path ends, and the first frame of each path ``(time,)``.
    """
    distances = np.float32(1) - query @ frames.T  # (Q, T)
    # Place p of these arrays is frame p - 2. Before the query's first frame, a path may begin at every frame.
    cost, start = np.zeros(len(frames) + 2, np.float32), np.arange(-1, len(frames) + 1)
    cost[0] = np.inf
    cost_below, start_below, last = np.full_like(cost, np.inf), start, np.zeros(len(frames), np.float32)
    for row in distances:
        earlier = np.append(np.zeros(1, np.float32), row[:-1])
        ways = np.stack([cost[1:-1] + row, cost[:-2] + (earlier + row) / 2, cost_below[1:-1] + last + row])
        starts = np.choose(ways.argmin(0), [start[1:-1], start[:-2], start_below[1:-1]])
        cost_below, start_below, last = cost, start, row
        cost, start = np.pad(ways.min(0), (2, 0), constant_values=np.inf), np.pad(starts, (2, 0))
    costs: FloatArray = cost[2:] / np.float32(len(query))
    return costs, start[2:]


def find_matches(
    queries: Sequence[FloatArray], blocks: Iterable[FloatArray], *, most: int
) -> tuple[list[list[Match]], int]:
    """Find the ``most`` best places of a recording for each query ``(frames, dim)``, the best first.

    ``blocks (time, dim)`` are the recording's frames, in blocks of any sizes; they and the queries have length 1. No
    two places of a query share more than half of the shorter one. Memory grows by two numbers for a frame and query.
    A query with more frames than the recording has no place.

    Returns:
        The places of each query, and the number of the recording's frames.
    """
    reach = 2 * max(map(len, queries))  # frames of the longest path
    found: list[list[tuple[FloatArray, IndexArray]]] = [[] for _ in queries]
    before: FloatArray = np.empty((0, queries[0].shape[1]), np.float32)
    length = 0
    for block in equal_blocks(blocks, SEARCHED_AT_ONCE):
        frames = np.concatenate([before, block])
        for query, ends in zip(queries, found, strict=True):
            costs, starts = time_warp(query, frames)
            ends.append((costs[len(before) :], starts[len(before) :] + length - len(before)))
        before, length = frames[-reach:], length + len(block)
    matches = []
    for query, ends in zip(queries, found, strict=True):
        if len(query) > length:
            matches.append(list[Match]())
            continue
        costs, starts = (np.concatenate(each) for each in zip(*ends, strict=True))
        matches.append(best_matches(costs, starts, most=most))
    return matches, length


def best_matches(costs: FloatArray, starts: IndexArray, *, most: int) -> list[Match]:
    """Choose the ``most`` best of the paths that end at each frame, the best first, as `find_matches` does.

    ``costs`` and ``starts`` ``(time,)`` are those of `time_warp`.
    """
    around = np.pad(costs, 1, constant_values=np.inf)
    # the best of its neighbours; of equal ones the first
    ends = np.flatnonzero(np.isfinite(costs) & (costs < around[:-2]) & (costs <= around[2:]))
    ends = ends[np.argsort(costs[ends], kind="stable")]
    found: list[Match] = []
    while len(ends) and len(found) < most:
        start, stop = int(starts[ends[0]]), int(ends[0]) + 1
        found.append(Match(start=start, stop=stop, cost=float(costs[ends[0]])))
        begins, lengths = starts[ends], ends + 1 - starts[ends]
        shared = np.minimum(ends + 1, stop) - np.maximum(begins, start)
        ends = ends[2 * shared <= np.minimum(lengths, stop - start)]
    return found


SHARD = 10  # recordings whose places are in one file of the store
_PATCHES_AT_ONCE = 500  # whose soft codes are in memory
_AROUND = 0.1  # seconds that are played before and after a place


@dataclass(frozen=True, kw_only=True)
class FrameReader:
    """Converts sound to the frames that are compared, in any process."""

    tokenizer_folder: Path
    lm_folder: Path | None  # for states
    features: FrameFeatures
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
        return iter(torch.split(vectors, _PATCHES_AT_ONCE))

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
class Hit:
    """A place in a recording that sounds like a query."""

    query: str
    path: str  # of the recording, below the root
    start: float  # seconds
    end: float
    score: float  # mean cosine of the query's frames and those of the place: 1 if they are equal
    label: str  # of the annotated query; "": it has none

    def event(self, root: Path) -> Event:
        """Return the place with the label of the query, or its name."""
        label = self.label or Path(self.query).stem
        return Event(path=str(root / self.path), start=self.start, end=self.end, label=label, score=self.score)


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
    unread, work = (
        WarningsSummary(rejected=[*queries.rejected]),
        partial(read_query, reader, queries.root, settings.trim_db),
    )
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
    artifact = found_places(session, read, stamped(recordings), reader, settings.hits)
    told = warnings_summary(artifact, recordings, below=recordings.root)
    left_out = {each.path for each in told.rejected}  # recordings, beside which queries are listed below
    hits, shorter = best_hits(artifact, read, recordings.root, most=settings.hits)
    told.rejected[:] = [*rejected, *sorted([*told.rejected, *shorter], key=lambda each: each.path)]
    told.tell(session.terminal, settings.output, option=f"input={settings.input}", places=[queries, recordings])
    audio = reader.tokenizer.front_end
    budget, page = (
        AudioBudget(sample_rate=audio.sample_rate, channel=audio.channel),
        settings.output.with_suffix(".html"),
    )
    rows = [asdict(hit) | {"path": str(recordings.root / hit.path)} for hit in hits]
    with new_file(page) as beside:  # gets its name when the output is written
        sounds = {query.name: query.sound for query in read}
        write_hits_page(beside, sounds, hits, budget, root=recordings.root, command=command_line("find"))
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
def found_places(run: StageRun, queries: Sequence[Query], recordings: Clips, reader: FrameReader, most: int) -> None:
    """Search recordings for the ``most`` best places of each query."""
    frames = [query.frames for query in queries]
    work = partial(search_recording, reader, recordings.root, frames, most)
    write = lambda file, places: write_json(file, [asdict(each) for each in places])  # noqa: E731
    write_shards(run, recordings.clips, "searching", work, write, size=SHARD, name="found-{:05d}.json")


def best_hits(
    artifact: CachedArtifact, queries: Sequence[Query], root: Path, *, most: int
) -> tuple[list[Hit], list[Rejected]]:
    """Gather the best places of each query over all recordings, and the recordings that are shorter than a query."""
    best: list[list[tuple[float, str, float, float]]] = [[] for _ in queries]
    shorter: list[Rejected] = []
    for searched in (
        each for shard in sorted(artifact.folder.glob("found-*.json")) for each in json.loads(shard.read_text())
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


# The answers become an Audacity label track, or, of several recordings, a table that corpus.table reads.
SCRIPT = """
document.getElementById("save").addEventListener("click", () => {
  const boxes = [...document.querySelectorAll("select[data-path]")].filter((box) => box.value);
  const labels = boxes.map((box) => (box.value === "right" ? "" : "not ") + box.dataset.label);
  const alone = new Set(boxes.map((box) => box.dataset.path)).size === 1;
  const row = (box, label) => [...(alone ? [] : [box.dataset.path]), box.dataset.start, box.dataset.end, label];
  const rows = boxes.map((box, number) => row(box, labels[number]).join("\\t"));
  const text = [...(alone ? [] : ["path\\tstart\\tend\\tlabel"]), ...rows, ""].join("\\n");
  const link = document.createElement("a");
  link.href = "data:text/plain;charset=utf-8," + encodeURIComponent(text);
  link.download = alone ? "labels.txt" : "labels.tsv";
  link.click();
});
"""


def write_hits_page(
    page: Path, queries: Mapping[str, Waveform], hits: Sequence[Hit], budget: AudioBudget, *, root: Path, command: str
) -> None:
    """Write the page with a table for each query, whose sound ``queries`` has; the best places have sounds, too."""
    tables = {name: [hit for hit in hits if hit.query == name] for name in queries}
    heard = {name: budget.sound(sound, f"query {Path(name).name}") for name, sound in queries.items()}
    shown: dict[Hit, PageExcerpt | None] = {}
    most = max(map(len, tables.values()))
    for hit in (hit for rank in range(most) for of in tables.values() for hit in of[rank : rank + 1]):
        shown[hit] = budget.place(root / hit.path, hit.start, hit.end)
    allowed = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    page_of = partial(draw, "find/hits.html.jinja", tables=tables, heard=heard, shown=shown)
    write_aside(page, page_of(root=root, command=command, script=SCRIPT, allowed=allowed))
