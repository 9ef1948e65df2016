"""Training of the vocoder, a WaveNet, on the codes and recordings of the training clips."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pipelines.stages.options import VocoderSettings
from pipelines.stages.start import VOICE, saved_vocoder, start_folder, statistics_of
from pipelines.stages.stored_arrays import TRAINED_ON, split_samples
from pipelines.store.session import Session
from pipelines.store.store import CURVE, MODEL, Entry, Recipe, some_options, text_hash
from tokenizer.codes import IntArray
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from vocoder.crops import Crops, OtherCodes, VocoderClips, loss
from vocoder.filters import VoiceHead, fit_head
from vocoder.frames import log_mel_of
from vocoder.generation import LoudnessRange
from vocoder.options import WaveNetConfig
from vocoder.vocoder import Vocoder
from vocoder.wavenet import UNKNOWN_GROUP, WaveNet, create_wavenet, transferred
from wordless.audio.recordings.manifest import Clips, Split
from wordless.base.saved_models import VOCODER

VALIDATION_CROPS = 64
VOICE_SECONDS = 100.0  # of training recordings from which voicing and pitch are learned
VOICE_SECONDS_PER_CLIP = 5.0


@dataclass(frozen=True)
class CodedIn:
    """The corpus in the codes of one codebook."""

    tokenizer: Entry
    codes: Entry


def vocoder(
    session: Session, manifest: Clips, coded: Sequence[CodedIn], waveforms_entry: Entry, settings: VocoderSettings
) -> Entry:
    """Train a WaveNet on the decoded log-mel of one or several codebooks; the entry is a vocoder folder.

    With ``settings.start`` its training begins with the weights of an earlier vocoder, and may take no step. Without a
    step there are no groups, because their voices would all be the average.
    """
    # Groups of validation clips weigh the same in the choice of the best step, whether or not they are conditions.
    told = TRAINED_ON if settings.condition_on_groups else ("validation",)
    groups = {clip.name: clip.group for split in told for clip in manifest.of(split)}
    config = settings.wavenet
    if settings.condition_on_groups and (settings.fit.steps or settings.start is None):  # all groups begin alike
        names = {clip.group for clip in manifest.of("train") if clip.group is not None}
        config = replace(config, groups=tuple(sorted(names)))
    if config.condition == "embedding":
        config = config.with_codebook(Tokenizer.from_pretrained(coded[0].tokenizer.folder).format)
    options = {"wavenet": config, **some_options(settings, "crops", "fit")}
    start = None if settings.start is None else saved_vocoder(settings.start)
    inputs = {
        "codes": [each.codes for each in coded],
        "waveforms": waveforms_entry,
        "groups": text_hash(json.dumps(groups, sort_keys=True)),
        VOICE: None if start is None else f"{start.weights_sha256} {start.tokenizer}".strip(),
    }
    recipe = Recipe("vocoder", 5, config={"vocoder": options}, inputs=inputs)

    def make(folder: Path) -> None:
        tokenizer = Tokenizer.from_pretrained(coded[0].tokenizer.folder)
        model = create_wavenet(config, seed=settings.fit.seed)
        if settings.start is not None:
            model = begun_at(settings.start, config, tokenizer, seed=settings.fit.seed)
        train, validation = (_crops(manifest, split, coded, waveforms_entry, config, settings) for split in TRAINED_ON)
        held_out = [validation.batch(step) for step in range(-(-VALIDATION_CROPS // settings.crops.batch_size))]
        session.train("vocoder", "vocoder.fit", model, train, held_out, loss, settings.fit, folder)
        if session.gang.rank == 0:
            loudness = LoudnessRange.of(train.clips.sounds, config.sample_rate)
            made = Vocoder(
                model,
                tokenizer.format.tokenizer,
                loudness=loudness,
                voice=_voice(train.clips, tokenizer),
                began_at=None if start is None else start.weights_sha256,
                steps=settings.fit.steps,
            )
            made.save_pretrained(folder)

    title = f"WaveNet, {settings.fit.summary}"
    return session.obtain(recipe, title, make, files=[*MODEL, CURVE], together=True)


def begun_at(start: str, config: WaveNetConfig, tokenizer: Tokenizer, *, seed: int) -> WaveNet:
    """Create the network of a tokenizer with the weights of an earlier vocoder of the same front end and sizes."""
    vocoder = Vocoder.from_pretrained(start_folder(start, VOCODER, option=VOICE))
    own = tokenizer.mean, tokenizer.std
    return transferred(vocoder.model, config, known=statistics_of(start), new=own, seed=seed)


def _voice(clips: VocoderClips, tokenizer: Tokenizer) -> VoiceHead | None:
    """Learn voicing and pitch from some training recordings and their codes; None if the codes keep no levels."""
    audio = tokenizer.front_end
    if not audio.keeps_levels:
        return None
    rate, left = audio.sample_rate, round(VOICE_SECONDS * audio.sample_rate)
    chosen = list[tuple[npt.NDArray[np.float32], Tensor]]()
    for clip in np.random.default_rng(0).permutation(len(clips.groups)):
        start, stop = clips.sample_offsets[clip : clip + 2]
        first, last = clips.code_offsets[clip : clip + 2]
        most = min(round(VOICE_SECONDS_PER_CLIP * rate), left)
        last = min(last, first + -(-most // tokenizer.format.samples_per_code))
        samples = clips.samples[start : min(stop, start + most)] / 32_768
        chosen.append((samples.astype(np.float32), log_mel_of(clips.codes[first:last], tokenizer)))
        left -= len(samples)
        if left <= 0:
            break
    return fit_head(chosen, audio)


def _crops(
    manifest: Clips,
    split: Split,
    coded: Sequence[CodedIn],
    waveforms_entry: Entry,
    config: WaveNetConfig,
    settings: VocoderSettings,
) -> Crops:
    """Make crops of one split; validation crops have their own group and no noise, and come from groups in turn."""
    crops = settings.crops if split == "train" else settings.crops.undisturbed
    first, *others = (Tokenizer.from_pretrained(each.tokenizer.folder) for each in coded)
    values, *more = (_values(manifest, split, each.codes) for each in coded)
    clips = _clips(manifest, split, values, waveforms_entry, config)
    other_codes = [
        OtherCodes(codes=np.concatenate(each), meanings=tokenizer) for each, tokenizer in zip(more, others, strict=True)
    ]
    # Validation crops come from groups in turn; clips without a group are one.
    names, turns = np.unique([clip.group or "" for clip in manifest.of(split)], return_inverse=True)
    in_turn = turns if split == "validation" and len(names) > 1 else None
    return Crops(clips, first, config, crops, others=other_codes, turns=in_turn)


def _values(manifest: Clips, split: Split, codes_entry: Entry) -> list[IntArray]:
    """Read the codes ``(time, streams)`` of each clip of a split."""
    coded = {clip.name: clip for clip in read_codes(codes_entry.folder)[1] if clip.split == split}
    return [coded[clip.name].codes.values for clip in manifest.of(split)]


def _clips(
    manifest: Clips, split: Split, values: Sequence[IntArray], waveforms_entry: Entry, config: WaveNetConfig
) -> VocoderClips:
    samples, offsets = split_samples(waveforms_entry, split)
    known = {group: index for index, group in enumerate(config.groups)}
    return VocoderClips(
        samples=samples,
        sample_offsets=offsets,
        codes=np.concatenate(values),
        code_offsets=np.cumsum([0] + [len(each) for each in values]),
        groups=np.array([known.get(clip.group or "", UNKNOWN_GROUP) for clip in manifest.of(split)]),
    )
