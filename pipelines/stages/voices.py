"""Training of the vocoder, a WaveNet, on the codes and recordings of the training clips.

It may begin with the vocoder of an earlier run, or with weights that ship with the package.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path, PurePosixPath

import numpy as np
from torch import Tensor

from pipelines.stages.stage_options import VocoderSettings
from pipelines.stages.stored_arrays import TRAINED_ON, split_samples, stored_names
from pipelines.store.run_parts import from_hub
from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.start_models import VOICE, differences, read_start, require_equal, start_folder
from pipelines.store.store import CachedArtifact
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from tokenizer.tokenizer_config import SavedTokenizer
from vocoder.crops import Crops, CropsConfig, VocoderClips, bands_of, loss
from vocoder.filters import VoiceHead, fit_head
from vocoder.frames import log_mel_of
from vocoder.generation import LoudnessRange
from vocoder.vocoder import SavedVocoder, Vocoder
from vocoder.vocoder_options import WaveNetConfig
from vocoder.wavenet import UNKNOWN_GROUP, Statistics, WaveNet, as_it_is, create_wavenet, transferred
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.recordings.manifest import Clips, Split
from wordless.base.arrays import FloatArray
from wordless.base.files import find_object
from wordless.base.messages import InputError, listed, written
from wordless.base.saved_models import CONFIG, TOKENIZER, VOCODER, hub_address
from wordless.training import Examples, StartableFitConfig

# Options that decide a log-mel, beside its highest frequency.
_LOG_MEL = ("sample_rate", "window_length", "hop_length", "n_mels", "f_min", "floor", "remove_mean", "dynamic_range")
UNIVERSAL, NONE = "universal", "none"  # values of vocoder.start: weights that ship with the package, and random ones
SHIPPED = Path(str(files("vocoder"))) / UNIVERSAL  # a folder of start weights for each sample rate
_VALIDATION_CROPS = 64
_VOICE_SECONDS = 100.0  # of training recordings from which voicing and pitch are learned
VOICE_SECONDS_PER_CLIP = 5.0


def saved_vocoder(start: str) -> SavedVocoder:
    """Return the config of ``vocoder.start``, which names the hash of its weights; loading checks it."""
    return read_start(SavedVocoder, start_folder(start, VOCODER, option=VOICE), VOICE, start)


def tokenizer_beside(start: str) -> Path:
    """Return the folder of the tokenizer of ``vocoder.start``, which lies beside it; of several rates, of its rate."""
    vocoder, saved = start_folder(start, VOCODER, option=VOICE), saved_vocoder(start)
    folder = vocoder.absolute().parent / TOKENIZER.part
    if address := hub_address(start):
        place = PurePosixPath(address.folder)
        above = "/".join((place.parent if place.name == VOCODER.part else place).parts)
        folder = from_hub(replace(address, folder=above), TOKENIZER.part)
    for each in (folder, *folder.glob("rate_*")):
        fingerprints = (find_object(each / CONFIG) or {}).get("fingerprints")
        if isinstance(fingerprints, dict) and fingerprints.get("tokenizer") == saved.tokenizer:
            return each
    problem = f"{folder} is not tokenizer {saved.tokenizer}, which says what the vocoder's inputs mean"
    raise InputError(f"{VOICE}={start}: {problem}; copy the folder tokenizer of its run beside it")


def front_end_of(start: str) -> SpectrogramConfig:
    """Return the front end of ``vocoder.start``: that of start weights, or of the tokenizer beside a vocoder."""
    if (own := saved_vocoder(start).log_mel) is not None:
        return own
    return read_start(SavedTokenizer, tokenizer_beside(start), VOICE, start).audio.absolute


def statistics_of(start: str) -> Statistics:
    """Return mean and standard deviation by which ``vocoder.start`` normalises the log-mel that it reads."""
    saved = saved_vocoder(start)
    if saved.log_mel is not None:
        return as_it_is(saved.log_mel.n_mels)
    tokenizer = Tokenizer.from_pretrained(tokenizer_beside(start))
    Vocoder.from_pretrained(start_folder(start, VOCODER, option=VOICE)).require_tokenizer(tokenizer)
    return tokenizer.statistics


def require_same_voice(start: str, wanted: WaveNetConfig, audio: SpectrogramConfig, *, steps: int = 1) -> None:
    """Refuse a vocoder of other sizes or another front end than those of the run; its codes may be others.

    A network that reads the pitch may begin with one that does not, and learns that in its ``steps``.
    """
    require_equal(VOICE, start, _other_options(start, wanted, audio))
    if wanted.pitch and not steps and not saved_vocoder(start).wavenet.pitch:
        rule = f"{VOICE}={start} has not learned to read the pitch: train it for some steps (vocoder.fit.steps)"
        raise InputError(option="vocoder.wavenet.pitch", value=True, rule=rule)
    try:
        Vocoder.from_pretrained(start_folder(start, VOCODER, option=VOICE))
    except InputError as error:  # now, and not after the tokenizer's training
        raise InputError(f"{VOICE}={start}: {error}") from error


def is_shipped(start: str) -> bool:
    """Return whether a folder has start weights that ship with the package."""
    return Path(start).parent == SHIPPED


def shipped_voice(wanted: WaveNetConfig, audio: SpectrogramConfig, *, shipped: Path = SHIPPED) -> Path | str:
    """Return the folder with the start weights for a vocoder below ``shipped``, or why there are none for it."""
    folder = shipped / f"{audio.sample_rate}"
    if not folder.is_dir():
        rates = listed([f"{rate:,} Hz" for rate in sorted(int(each.name) for each in shipped.glob("[0-9]*"))])
        return f"they are for {rates or 'no rate'}, and not for {audio.sample_rate:,}"
    try:
        own, theirs = differences(_other_options(str(folder), wanted, audio))
        if not own:  # those of other networks are not read
            Vocoder.from_pretrained(folder)
    except InputError as error:
        problem = f"{VOICE}={UNIVERSAL}: the start weights in {folder} are damaged ({error})"
        raise InputError(f"{problem}; install Wordless again, or choose {VOICE}=null") from error
    return f"they are for {theirs}, and this run has {own}" if own else folder


def _other_options(start: str, wanted: WaveNetConfig, audio: SpectrogramConfig) -> dict[str, tuple[object, object]]:
    found, front_end = require_absolute(start)
    values: dict[str, tuple[object, object]]
    values = {f"audio.{name}": (getattr(audio, name), getattr(front_end, name)) for name in _LOG_MEL}
    values["audio.f_max"] = audio.highest, front_end.highest
    other = asdict(found)
    if wanted.pitch is not False or not found.pitch:  # a network that reads no pitch may begin one that does
        other["pitch"] = wanted.pitch
    return values | {f"vocoder.wavenet.{name}": (value, other[name]) for name, value in wanted.architecture.items()}


def require_absolute(start: str) -> tuple[WaveNetConfig, SpectrogramConfig]:
    """Return network and front end of a vocoder that others can begin with: it reads absolute log-mel."""
    found, front_end = saved_vocoder(start).wavenet, front_end_of(start)
    for name, none in (("remove_mean", "none"), ("dynamic_range", None)):
        if getattr(front_end, name) != none:
            problem = f"{VOICE}={start} was made with audio.{name}={getattr(front_end, name)}, without absolute levels"
            raise InputError(f"{problem}; name one with audio.{name}={written(none)}")
    return found, front_end


@dataclass(frozen=True)
class CodedIn:
    """The corpus in the codes of a tokenizer."""

    tokenizer: CachedArtifact
    codes: CachedArtifact


def vocoder(
    session: Session, clips: Clips, coded: CodedIn, waveforms: CachedArtifact, settings: VocoderSettings
) -> CachedArtifact:
    """Train a WaveNet on the decoded log-mel of the codes; the artifact is a vocoder folder.

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


@stage("vocoder", title="WaveNet, {fit.summary}", keys={"start": _weights}, together=True)
def _trained(
    run: StageRun,
    coded: CodedIn,
    waveforms: CachedArtifact,
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
    held_out = [validation.batch(step) for step in range(-(-_VALIDATION_CROPS // crops.batch_size))]
    seconds = tokenizer.format.samples_per_code / tokenizer.format.sample_rate
    counts = train.code_counts.tolist()
    examples = Examples.of_crops(counts, crops.crop_codes, seconds, batch_size=crops.batch_size)
    record = run.fit("vocoder.fit", model, train, held_out, loss, fit, examples)
    if run.gang.rank == 0:
        made = Vocoder(
            model,
            tokenizer.format.tokenizer,
            loudness=LoudnessRange.of(train.clips.sound.sounds, config.sample_rate),
            voice=_voice(train.clips, tokenizer),
            began_at=None if start is None else saved_vocoder(start).weights_sha256,
            steps=record["steps"],
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
    rate, left = audio.sample_rate, round(_VOICE_SECONDS * audio.sample_rate)
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
