"""Tokenizers and vocoders that a run begins with. The weights of a vocoder may also ship with the package."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path, PurePosixPath

from pipelines.stages.start import TOKENS, VOICE, differences, from_hub, read_start, require_equal, start_folder
from tokenizer.tokenizer import SavedTokenizer, Tokenizer, TokenizerConfig
from vocoder.vocoder import SavedVocoder, Vocoder
from vocoder.vocoder_options import WaveNetConfig
from vocoder.wavenet import Statistics, as_it_is
from wordless.audio.audio_options import SpectrogramConfig
from wordless.base.files import find_object
from wordless.base.messages import InputError, listed, written
from wordless.base.model_folders import CONFIG, hub_address
from wordless.base.saved_models import TOKENIZER, VOCODER

# Options that decide a log-mel, beside its highest frequency.
LOG_MEL = ("sample_rate", "window_length", "hop_length", "n_mels", "f_min", "floor", "remove_mean", "dynamic_range")
UNIVERSAL, NONE = "universal", "none"  # values of vocoder.start: weights that ship with the package, and random ones
SHIPPED = Path(str(files("vocoder"))) / UNIVERSAL  # a folder of start weights for each sample rate


def tokenizer_hash(start: str) -> str:
    """Return the fingerprints and the gain of ``tokenizer.start``, as its config names them; loading checks them."""
    saved = _saved_tokenizer(start)
    return f"{' '.join(saved.fingerprints.values())} {saved.gain}"


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


def require_same_tokenizer(start: str, wanted: TokenizerConfig) -> None:
    """Refuse a tokenizer of other sizes or another front end than those of the run."""
    found = _saved_tokenizer(start).config
    if found.speech_layer is not None:
        raise InputError(f"{TOKENS}={start} makes codes of a speech model, which a run trains itself; name another one")
    # A run takes the streams beside the codes, such as the range of the pitch, from the tokenizer itself.
    plain = (replace(each, pitch=None, audio=each.audio.absolute) for each in (wanted, found))
    own, other = (dict(_options(asdict(each))) for each in plain)
    require_equal(TOKENS, start, {name: (value, other[name]) for name, value in own.items()})


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
        Vocoder.from_pretrained(folder)
    except InputError as error:
        problem = f"{VOICE}={UNIVERSAL}: the start weights in {folder} are damaged ({error})"
        raise InputError(f"{problem}; install Wordless again, or choose {VOICE}=null") from error
    return f"they are for {theirs}, and this run has {own}" if own else folder


def _other_options(start: str, wanted: WaveNetConfig, audio: SpectrogramConfig) -> dict[str, tuple[object, object]]:
    found, front_end = require_absolute(start)
    values: dict[str, tuple[object, object]]
    values = {f"audio.{name}": (getattr(audio, name), getattr(front_end, name)) for name in LOG_MEL}
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


def _saved_tokenizer(start: str) -> SavedTokenizer:
    return read_start(SavedTokenizer, start_folder(start, TOKENIZER, option=TOKENS), TOKENS, start)


def _options(config: Mapping[str, object], group: str = "tokenizer") -> Iterator[tuple[str, object]]:
    """Give each value of a tokenizer's config under the name of its option."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _options(value, name if name == "audio" else f"{group}.{name}")
        elif name != "speech_layer":
            yield f"{group}.{name}", value
