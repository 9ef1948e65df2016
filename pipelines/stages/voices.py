"""Training of the vocoder, a WaveNet, on the codes and recordings of the training clips."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from pipelines.stages.stage_options import VocoderSettings
from pipelines.stages.start import VOICE, start_folder
from pipelines.stages.start_voice import saved_vocoder, statistics_of
from pipelines.stages.stored_arrays import TRAINED_ON, split_samples, stored_names
from pipelines.store.stage import Run, Session, stage
from pipelines.store.store import Entry
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from vocoder.crops import Crops, VocoderClips, bands_of, loss
from vocoder.filters import VoiceHead, fit_head
from vocoder.frames import log_mel_of
from vocoder.generation import LoudnessRange
from vocoder.vocoder import Vocoder
from vocoder.vocoder_options import CropsConfig, WaveNetConfig
from vocoder.wavenet import UNKNOWN_GROUP, WaveNet, create_wavenet, transferred
from wordless.audio.recordings.manifest import Clips, Split
from wordless.base.arrays import FloatArray
from wordless.base.saved_models import VOCODER
from wordless.training.fit_options import StartableFitConfig

VALIDATION_CROPS = 64
VOICE_SECONDS = 100.0  # of training recordings from which voicing and pitch are learned
VOICE_SECONDS_PER_CLIP = 5.0


@dataclass(frozen=True)
class CodedIn:
    """The corpus in the codes of a tokenizer."""

    tokenizer: Entry
    codes: Entry


def vocoder(session: Session, clips: Clips, coded: CodedIn, waveforms: Entry, settings: VocoderSettings) -> Entry:
    """Train a WaveNet on the decoded log-mel of the codes; the entry is a vocoder folder.

    With ``settings.start`` it may take no step; then there are no groups, whose voices would all be the average.
    """
    # Groups of validation clips weigh the same in the choice of the best step, whether or not they are conditions.
    told = TRAINED_ON if settings.condition_on_groups else ("validation",)
    groups = {clip.name: clip.group for split in told for clip in clips.of(split)}
    config = settings.wavenet
    if settings.condition_on_groups and (settings.fit.steps or settings.start is None):  # all groups begin alike
        names = {clip.group for clip in clips.of("train") if clip.group is not None}
        config = replace(config, groups=tuple(sorted(names)))
    return _trained(session, coded, waveforms, groups, config, settings.crops, settings.fit, settings.start)


def _weights(start: str | None) -> str | None:
    return start and f"{saved_vocoder(start).weights_sha256} {saved_vocoder(start).tokenizer}".strip()


@stage("vocoder", version=8, title="WaveNet, {fit.summary}", keys={"start": _weights}, together=True)
def _trained(
    run: Run,
    coded: CodedIn,
    waveforms: Entry,
    groups: Mapping[str, str | None],
    config: WaveNetConfig,
    crops: CropsConfig,
    fit: StartableFitConfig,
    start: str | None,
) -> None:
    tokenizer = Tokenizer.from_pretrained(coded.tokenizer.folder)
    model = create_wavenet(config, seed=fit.seed)
    if start is not None:
        model = begun_at(start, config, tokenizer, seed=fit.seed)
    if config.pitch:
        model.get_buffer("bands").copy_(bands_of(tokenizer))

    def crops_of(split: Split, crops: CropsConfig) -> Crops:
        names = stored_names(waveforms, split)
        codes = {clip.name: clip.codes.values for clip in read_codes(coded.codes.folder)[1]}
        values = [codes[name] for name in names]
        clips = VocoderClips(
            sound=split_samples(waveforms, split),
            codes=np.concatenate(values),
            meanings=tokenizer,
            code_offsets=np.cumsum([0] + [len(each) for each in values]),
            groups=np.array([known.get(groups.get(name) or "", UNKNOWN_GROUP) for name in names]),
        )
        # Crops of validation come from groups in turn; clips without a group are one.
        found, turns = np.unique([groups.get(name) or "" for name in names], return_inverse=True)
        return Crops(clips, config, crops, turns=turns if split == "validation" and len(found) > 1 else None)

    known = {group: number for number, group in enumerate(config.groups)}
    train, validation = crops_of("train", crops), crops_of("validation", crops.undisturbed)
    held_out = [validation.batch(step) for step in range(-(-VALIDATION_CROPS // crops.batch_size))]
    run.fit("vocoder.fit", model, train, held_out, loss, fit)
    if run.gang.rank == 0:
        made = Vocoder(
            model,
            tokenizer.format.tokenizer,
            loudness=LoudnessRange.of(train.clips.sound.sounds, config.sample_rate),
            voice=_voice(train.clips, tokenizer),
            began_at=None if start is None else saved_vocoder(start).weights_sha256,
            steps=fit.steps,
        )
        made.save_pretrained(run.folder)


def begun_at(start: str, config: WaveNetConfig, tokenizer: Tokenizer, *, seed: int) -> WaveNet:
    """Create the network of a tokenizer with the weights of an earlier vocoder of the same front end and sizes."""
    vocoder = Vocoder.from_pretrained(start_folder(start, VOCODER, option=VOICE))
    return transferred(vocoder.model, config, known=statistics_of(start), new=tokenizer.statistics, seed=seed)


def _voice(clips: VocoderClips, tokenizer: Tokenizer) -> VoiceHead | None:
    """Learn voicing and pitch from some training recordings and their codes; None if the codes keep no levels."""
    audio = tokenizer.front_end
    if not audio.keeps_levels:
        return None
    rate, left = audio.sample_rate, round(VOICE_SECONDS * audio.sample_rate)
    chosen = list[tuple[FloatArray, Tensor]]()
    for clip in np.random.default_rng(0).permutation(len(clips.groups)):
        start, stop = clips.sound.offsets[clip : clip + 2]
        first, last = clips.code_offsets[clip : clip + 2]
        most = min(round(VOICE_SECONDS_PER_CLIP * rate), left)
        last = min(last, first + -(-most // tokenizer.format.samples_per_code))
        samples = clips.sound.samples[start : min(stop, start + most)] / 32_768
        chosen.append((samples.astype(np.float32), log_mel_of(clips.codes[first:last], tokenizer)))
        left -= len(samples)
        if left <= 0:
            break
    return fit_head(chosen, audio)
