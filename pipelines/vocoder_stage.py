"""Codes and recordings -> vocoder: a WaveNet trained to sound like what the codes of the training clips mean."""

import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from audio.manifest import Clip, Manifest, Split, audio_hash
from audio.reading import read_blocks, resampled_length
from pipelines.session import Session
from pipelines.store import Entry, Recipe, text_hash
from pipelines.stored_arrays import TRAINED_ON, Array, fill, kept_clips, kept_rows, read_clips, write_clips
from pipelines.training import FitConfig
from pipelines.training_curve import numeric
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from vocoder.crops import Crops, CropsConfig, VocoderClips, loss
from vocoder.vocoder import Vocoder
from vocoder.wavenet import UNKNOWN_GROUP, WaveNetConfig, create_wavenet

VALIDATION_BATCHES = 8
SAMPLES = "samples.npy"


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
    clips = kept_clips(manifest)

    def make(folder: Path) -> None:
        lengths = [resampled_length(clip.num_samples, clip.sample_rate, sample_rate) for clip in clips]
        write = partial(_write_waveform, manifest.root, sample_rate)
        write_clips(session, "waveforms", folder / SAMPLES, clips, lengths, write, dtype=np.int16)

    return session.obtain(recipe, f"waveforms of {len(clips)} clips", make)


def _write_waveform(root: Path, sample_rate: int, samples: Array, clip: Clip) -> None:
    """Fill the place of a clip ``(samples,)``."""
    blocks = read_blocks(root / clip.path, sample_rate, part=clip.part)
    fill(samples, (np.clip(np.round(block * 32768), -32768, 32767) for block in blocks))


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
    """Sound and codes of one split."""
    samples, offsets = read_clips(waveforms_entry.folder / SAMPLES)
    clips, rows = manifest.of(split), kept_rows(manifest, split)
    here = offsets[rows.start : rows.stop + 1]
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
