"""Codes and recordings -> vocoder: a WaveNet trained to sound like what the codes of the training clips mean."""

import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audio.manifest import Manifest, Split, audio_hash
from audio.reading import read_blocks, resampled_length
from pipelines.encoding import encoding_pool, in_order
from pipelines.session import Session
from pipelines.store import Entry, Recipe, text_hash
from pipelines.training import FitConfig
from pipelines.training_curve import numeric
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from vocoder.crops import Crops, CropsConfig, VocoderClips, loss
from vocoder.vocoder import Vocoder
from vocoder.wavenet import UNKNOWN_GROUP, WaveNetConfig, create_wavenet

VALIDATION_BATCHES = 8
TRAINED_ON: tuple[Split, ...] = ("train", "validation")  # in the order in which their samples are kept


@dataclass(frozen=True, kw_only=True)
class VocoderSettings:
    """Options of the vocoder's stage."""

    wavenet: WaveNetConfig  # its groups are those of the training clips
    crops: CropsConfig
    fit: FitConfig


def waveforms(session: Session, manifest: Manifest, sample_rate: int) -> Entry:
    """All training and validation sound at one rate, 16 bits, in one array on disk: crops of it are read in place."""
    recipe = Recipe(
        stage="waveforms",
        version=1,
        config={"sample_rate": sample_rate},
        inputs={"manifest": audio_hash(manifest, TRAINED_ON)},
    )
    clips = [clip for split in TRAINED_ON for clip in manifest.of(split)]

    def make(folder: Path) -> None:
        ends = np.cumsum([0] + [resampled_length(clip.num_samples, clip.sample_rate, sample_rate) for clip in clips])
        samples = folder / "samples.npy"
        np.lib.format.open_memmap(samples, mode="w+", dtype=np.int16, shape=(int(ends[-1]),)).flush()
        jobs = [(manifest.root / clip.path, int(start)) for clip, start in zip(clips, ends[:-1], strict=True)]
        with (
            session.terminal.working("waveforms", len(clips), "clips") as progress,
            encoding_pool(session.workers) as pool,
        ):
            for done, _ in enumerate(in_order(partial(_write_waveform, samples, sample_rate), jobs, pool), 1):
                progress.advance_to(done)
        np.save(folder / "offsets.npy", ends)

    return session.obtain(recipe, f"waveforms of {len(clips)} clips", make)


def _write_waveform(samples: Path, sample_rate: int, job: tuple[Path, int]) -> None:
    """Write a recording where it begins in the array of all: workers do so side by side."""
    path, start = job
    array = np.lib.format.open_memmap(samples, mode="r+")
    for block in read_blocks(path, sample_rate):
        array[start : start + len(block)] = np.clip(np.round(block * 32768), -32768, 32767)
        start += len(block)
    array.flush()


def vocoder(
    session: Session,
    manifest: Manifest,
    tokenizer_entry: Entry,
    codes_entry: Entry,
    waveforms_entry: Entry,
    settings: VocoderSettings,
) -> Entry:
    """Train a WaveNet; the entry is a vocoder folder."""
    groups = {clip.path: clip.group for split in TRAINED_ON for clip in manifest.of(split)}
    config = replace(settings.wavenet, groups=_group_names(manifest))
    recipe = Recipe(
        stage="vocoder",
        version=1,
        config={
            "wavenet": asdict(config),
            "groups": text_hash(json.dumps(groups, sort_keys=True)),
            "crops": asdict(settings.crops),
            "fit": numeric(settings.fit),
        },
        inputs={"codes": codes_entry.key, "waveforms": waveforms_entry.key},
    )

    def make(folder: Path) -> None:
        tokenizer = Tokenizer.from_pretrained(tokenizer_entry.folder)
        model = create_wavenet(config, seed=settings.fit.seed)
        train, validation = (_clips(manifest, split, codes_entry, waveforms_entry, config) for split in TRAINED_ON)
        held_out = Crops(validation, tokenizer, config, replace(settings.crops, group_dropout=0.0))
        session.train(
            "vocoder",
            "vocoder.fit",
            model,
            Crops(train, tokenizer, config, settings.crops),
            [held_out.batch(step) for step in range(VALIDATION_BATCHES)],
            loss,
            settings.fit,
            folder,
        )
        if session.gang.rank == 0:
            Vocoder(model, tokenizer.format.tokenizer).save_pretrained(folder)

    return session.obtain(recipe, f"WaveNet, {settings.fit.steps} steps", make, together=True)


def _group_names(manifest: Manifest) -> tuple[str, ...]:
    return tuple(sorted({clip.group for clip in manifest.of("train") if clip.group is not None}))


def _clips(
    manifest: Manifest, split: Split, codes_entry: Entry, waveforms_entry: Entry, config: WaveNetConfig
) -> VocoderClips:
    """Sound and codes of one split. Training clips stand before validation clips in the array of samples."""
    offsets: npt.NDArray[np.int64] = np.load(waveforms_entry.folder / "offsets.npy")
    samples = np.load(waveforms_entry.folder / "samples.npy", mmap_mode="r")
    first = 0 if split == "train" else len(manifest.of("train"))
    clips = manifest.of(split)
    here = offsets[first : first + len(clips) + 1]
    coded = {clip.path: clip for clip in read_codes(codes_entry.folder)[1] if clip.split == split}
    values = [coded[clip.path].codes.values for clip in clips]
    known = {group: index for index, group in enumerate(config.groups)}
    return VocoderClips(
        samples=samples[here[0] : here[-1]],
        sample_offsets=here - here[0],
        codes=np.concatenate(values),
        code_offsets=np.cumsum([0] + [len(each) for each in values]),
        groups=np.array([known.get(clip.group or "", UNKNOWN_GROUP) for clip in clips]),
    )
