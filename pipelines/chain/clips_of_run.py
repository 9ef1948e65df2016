"""The recordings of a command: the embedded corpus, the user's own, or those of a data set, unpacked once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from glob import has_magic
from pathlib import Path

from pipelines.commandline.choices import EMBEDDED
from pipelines.settings.run_settings import CorpusCommand
from pipelines.store.store import SYNTHESISED, UNPACKED, Store
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.reading import Channel
from wordless.audio.recordings.corpus import (
    CONFLICTING,
    CorpusConfig,
    band_notices,
    build_manifest,
    find_recordings,
    length_notices,
    outside_notices,
    resolved,
    upsampling_notices,
)
from wordless.audio.recordings.embedded import label_table, speak, utterances
from wordless.audio.recordings.inspection import inspect
from wordless.audio.recordings.manifest import Clips, Rejected, write_rejected
from wordless.audio.recordings.packed import described, open_data_set, unpack, unpacked_place
from wordless.audio.recordings.splits import GIVEN, division_notices
from wordless.base.errors import InputError, named, within
from wordless.base.progress import Terminal
from wordless.base.text import counted
from wordless.training.gangs import Gang

MANIFEST, REJECTED = "manifest.tsv", "rejected.tsv"  # in the folder of a run


Found = tuple[CorpusConfig, Clips | None]  # completed options, and candidates; None: they are looked for again


def seen_of(manifest: Clips) -> tuple[Path, ...]:
    """Return what workers must see of a corpus: its folder and a recording of it."""
    return manifest.root, manifest.root / manifest.clips[0].path


def find_corpus(
    config: CorpusConfig,
    settings: CorpusCommand,
    *,
    require: Callable[[Sequence[str | None]], None] | None,
    terminal: Terminal,
    option: str = "corpus.root",
) -> Found:
    """Find the recordings; faults of folder, names or labels are refused before any recording is decoded.

    ``require`` refuses labels that cannot be learned; None accepts all. ``option`` names the folder's in messages.
    """
    if config.root == EMBEDDED or config.dataset:
        Store(settings.store.root).use()  # before recordings are written there
    if config.root == EMBEDDED:
        terminal.say("corpus    the built-in corpus; its voices are synthesised once, which takes some seconds")
        embedded = settings.embedded
        root = speak(utterances(embedded), settings.store.root / SYNTHESISED, seed=embedded.seed)
        table = None if embedded.label == "word" else str(label_table(embedded, root))
        return resolved(replace(config, root=str(root), table=table), "hash"), None  # its files need no check
    with within("corpus", root=option):
        unpacked = _unpacked(config, settings.store.root, terminal) if config.dataset else None
        found = find_recordings(config, unpacked=unpacked).named("corpus", root=option)
    for notice in found.notices:
        terminal.say(f"corpus    {notice}")
    if require is not None:
        require(found.frame.label.tolist())
    return resolved(config, found.split_by), found


def read_corpus(
    config: CorpusConfig,
    found: Clips | None,
    settings: CorpusCommand,
    *,
    gang: Gang,
    terminal: Terminal,
    folder: Path | None = None,
    option: str = "corpus.root",
    listed: str = REJECTED,
    audio: SpectrogramConfig | None = None,
    channel: Channel = "mean",
) -> Clips:
    """Inspect and divide what `find_corpus` returned; rank 0 decodes first, the others use its cached measurements.

    ``audio`` is the front end that reads the recordings and chooses their channel; without one it is ``channel``. If
    the recordings make no corpus, ``listed`` in the run's ``folder`` has those that were set aside.
    """
    engine, store = settings.engine, settings.store.root
    if gang.rank:
        gang.barrier()
    if config.dataset:
        option = "corpus.dataset"
    unfit, softer = list[Rejected](), list[str]()
    try:
        with within("corpus", root=option), terminal.working("inspecting", 0, "files") as progress:
            manifest, rejected = build_manifest(
                config,
                found=found,
                inspector=partial(
                    inspect,
                    workers=engine.workers(settings.workers, enough=True),
                    engine=engine,
                    cache=store / "inspected.jsonl",
                    progress=progress.advance_to,
                    channel=channel if audio is None else audio.channel,
                    sample_rate=None if audio is None else audio.sample_rate,
                ),
                set_aside=unfit.extend,
                notice=lambda sentence: softer.append(named(sentence, "audio")),
            )
    except InputError as error:
        if folder is None or not unfit:
            raise
        if not gang.rank:
            write_rejected(sorted(unfit, key=lambda each: each.path), folder / listed)
        raise error.also(f"each file and its reason stand in {folder / listed}") from error
    if not gang.rank:
        gang.barrier()
    name = _name(config, manifest.root, store)
    divided = [named(each, "corpus", folds="compare.folds") for each in division_notices(manifest, config.split)]
    bands = () if audio is None else (*upsampling_notices(manifest.clips, audio), *band_notices(manifest.clips, audio))
    notices, lines = (
        (*divided, *(named(each, "audio") for each in bands), *softer),
        [_summary(name, manifest, rejected, listed)],
    )
    if same := [each.path for each in rejected if each.kind == CONFLICTING]:
        files = f"{counted(len(same), 'file')} set aside with the sound of another file"
        lines.append(f"{files} and another label, group or split, such as {same[0]}: see {listed}")
    lengths = length_notices(manifest.clips, config.segment_seconds)
    places = [named(each, "corpus") for each in (*outside_notices(manifest.clips, rejected), *lengths)]
    for line in (*lines, *notices, *places):
        terminal.say(f"corpus    {line}")
    return replace(manifest, name=name, rejected=rejected, notices=notices)


def _name(config: CorpusConfig, root: Path, store: Path) -> str:
    """Name a corpus after its folder or file; of a pattern, after the folder in which it looks."""
    if root.parent == store / SYNTHESISED:
        return "built-in corpus (eSpeak NG)"
    if config.dataset:
        place = Path(config.dataset).expanduser().absolute()
        names = (each.name for each in (place, *place.parents) if not has_magic(str(each)))
        return next((each for each in names if "{" not in each), "")
    whole = root.resolve()  # a table beside the recordings gives ".", which has no name
    return whole.name or str(whole)


def _summary(name: str, manifest: Clips, rejected: Sequence[Rejected], listed: str) -> str:
    clips, segments = len(manifest.clips), [clip.path for clip in manifest.clips if clip.segment is not None]
    left_out = sum(each.segments for each in rejected)
    files = f"{len(segments)} of them segments of {counted(len(set(segments)), 'recording')}, " if segments else ""
    dropped = f", {counted(left_out, 'segment')} left out (reasons: {listed})" if left_out else ""
    trimmed = f", {manifest.trimmed_seconds:,.1f} s of silent ends cut off" if manifest.trimmed_seconds else ""
    return (
        f"{name}: {counted(clips, 'clip')}, {files}{manifest.seconds / 60:.1f} minutes, "
        f"{sum(not each.segments for each in rejected)} set aside{dropped}{trimmed}"
    )


def _unpacked(config: CorpusConfig, store: Path, terminal: Terminal) -> Clips:
    """Return the recordings of a data set, which are unpacked into the store once."""
    data_set = open_data_set(config.dataset or "", config.columns)
    place = unpacked_place(data_set, store / UNPACKED)
    if not place.is_dir():
        terminal.say(f"corpus    {data_set.name}: unpacked once, into {place}")
        with terminal.working("unpacking", len(data_set.files), "files") as progress:
            unpack(data_set, place, progress.advance_to)
    found = described(data_set, place, config.columns, own_splits=config.split.by in GIVEN)
    return replace(found, notices=tuple(f"{data_set.name}: {notice}" for notice in found.notices))
