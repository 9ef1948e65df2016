"""Sounds to listen to, with figures and pictures: test clips, their codes as all kinds of sound, and continuations."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import save_file

from audio.excerpts import Excerpt, read_loudest
from audio.recordings.choosing import drawn
from audio.recordings.manifest import Clip, Manifest, Split, audio_hash
from audio.spectrogram import SpectrogramConfig
from audio.waveform import Waveform
from foundation.errors import InputError
from foundation.files import aside
from foundation.ranges import require_positive
from foundation.seeds import require_seed
from pipelines.stages.judges import JudgeName
from pipelines.stages.language_sounds import Asked, language_sounds
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from tokenizer.codes import Codes
from tokenizer.pictures import pictures
from tokenizer.tokenizer import Tokenizer
from vocoder.continuing import Prompt
from vocoder.engines.choice import choose_engine, precision
from vocoder.judging.metrics import code_agreement, log_mel_distance, sound_levels
from vocoder.kinds.table import BY_KEY, KINDS, ORIGINAL
from vocoder.kinds.wavenet import WAVENET
from vocoder.postfilter import in_force
from vocoder.sampling import EngineChoice, Sampling, require_strength
from vocoder.synthesis import Synthesis, speaking

HEARD: tuple[Split, ...] = ("test",)
LISTENING = "listening.json"
PICTURES = "pictures.safetensors"


@dataclass(frozen=True, kw_only=True)
class ListeningConfig:
    """Options of the sounds to listen to, and of those that are measured."""

    clips: int  # test clips to listen to
    judged_clips: int  # test clips for the vocoder's figures; 0: only those to listen to, and no labels
    judge: JudgeName = "probe"  # classifier of their sounds
    seconds: float  # of each, at most: the loudest excerpt of a longer clip
    continuation_seconds: float
    temperatures: tuple[float, ...]  # of the language model
    continuations: int  # of each clip at each temperature
    unconditional: int  # unprompted sounds, at each temperature
    top_k: int
    vocoder_temperature: float
    seed: int
    engine: EngineChoice = "auto"  # of the vocoder
    postfilter: float = 1.0  # strength of its post-filter

    def __post_init__(self) -> None:
        require_positive(self, "listening", "clips", "seconds", "continuation_seconds")
        require_seed(self.seed, "listening.seed")
        for name in ("judged_clips", "continuations", "unconditional", "top_k", "vocoder_temperature"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"listening.{name} is {getattr(self, name)}; it must be 0 or more")
        require_strength(self.postfilter, option="listening.postfilter")
        for temperature in self.temperatures:
            if not 0 <= temperature < math.inf:
                raise InputError(f"listening.temperatures has {temperature}; each must be 0 or more")
        if len(set(self.temperatures)) != len(self.temperatures):
            raise InputError(f"listening.temperatures are {list(self.temperatures)}; name each once")

    @property
    def sampling(self) -> Sampling:
        """Sampling options of the sounds; each clip has the voice of its own group."""
        return Sampling(
            temperature=self.vocoder_temperature, seed=self.seed, postfilter=self.postfilter, engine=self.engine
        )


def listening(
    session: Session,
    manifest: Manifest,
    tokenizer_entry: Entry,
    vocoder_entry: Entry,
    model_entry: Entry | None,
    audio: SpectrogramConfig,
    config: ListeningConfig,
) -> Entry:
    """Make WAV files, their figures and spectrograms; with a language model, also its sounds."""
    clips = drawn(manifest.of("test"), config.clips, seed=config.seed)
    heard = {name: value for name, value in asdict(config).items() if name not in ("judged_clips", "judge", "engine")}
    recipe = Recipe(
        stage="listening",
        version=7,
        config={**heard, **sounding_here(session, audio, config), "groups": [clip.group for clip in clips]},
        inputs={
            "tokenizer": tokenizer_entry.key,
            "vocoder": vocoder_entry.key,
            "lm": model_entry.key if model_entry else "",
            "manifest": audio_hash(manifest, HEARD),
        },
    )

    def make(folder: Path) -> None:
        tokenizer, syntheses = opened(session, tokenizer_entry, vocoder_entry, config)
        excerpts = [excerpt_of(manifest, clip, tokenizer, config) for clip in clips]
        originals = [excerpt.waveform for excerpt in excerpts]
        codes = [tokenizer.encode(original) for original in originals]
        prompts = [Prompt.of_excerpt(excerpt, each) for excerpt, each in zip(excerpts, codes, strict=True)]
        made: dict[str, list[Waveform]] = {ORIGINAL: originals}
        said: dict[str, object] = {}
        with speaking([*syntheses.values()], lambda told: session.terminal.say(f"listening {told}")):
            for kind, synthesis in syntheses.items():
                made[kind] = spoken(session, synthesis, clips, codes, title="generating sound")
            if model_entry is not None:
                asked = Asked(
                    prompts=prompts,
                    groups=[clip.group for clip in clips],
                    seconds=config.continuation_seconds,
                    temperatures=config.temperatures,
                    continuations=config.continuations,
                    unconditional=config.unconditional,
                    top_k=config.top_k,
                    seed=config.seed,
                )
                said = language_sounds(session, folder, tokenizer, syntheses[WAVENET.key], model_entry.folder, asked)
        if model_entry is not None:
            made["prompt"] = [prompt.waveform for prompt in prompts]
        for kind, waveforms in made.items():
            for number, waveform in enumerate(waveforms):
                waveform.write(folder / f"{number}_{kind}.wav")
        with aside(folder / PICTURES) as beside:
            save_file(pictures(tokenizer, originals, codes), beside)
        places = [excerpt_row(clip, excerpt) for clip, excerpt in zip(clips, excerpts, strict=True)]
        about = {"clips": _about(places, made, codes, tokenizer), "postfilter": recipe.config["postfilter"]}
        write_json(folder / LISTENING, about | said)

    files = ["*.wav", PICTURES, LISTENING]
    return session.obtain(recipe, f"{len(clips)} test clips decoded and continued", make, files=files)


def sounding_here(session: Session, audio: SpectrogramConfig, config: ListeningConfig) -> dict[str, float | str]:
    """Return what else decides decoded sound on this machine: active post-filter, precision of the engine, kinds."""
    engine = choose_engine(config.engine, session.gang.device.type).engine
    kinds = {kind.key: kind.version for kind in KINDS if kind.version}
    return {"postfilter": in_force(config.postfilter, audio), "precision": precision(engine), **kinds}


def opened(
    session: Session, tokenizer_entry: Entry, vocoder_entry: Entry, config: ListeningConfig
) -> tuple[Tokenizer, dict[str, Synthesis]]:
    """Load the tokenizer and the synthesis of each kind of sound, on this run's device."""
    device = str(session.gang.device)
    tokenizer = Tokenizer.from_pretrained(tokenizer_entry.folder, device=device)
    syntheses = {
        kind.key: kind.create(tokenizer, config.sampling, folder=vocoder_entry.folder, device=device) for kind in KINDS
    }
    return tokenizer, syntheses


def spoken(
    session: Session, synthesis: Synthesis, clips: Sequence[Clip], codes: Sequence[Codes], *, title: str
) -> list[Waveform]:
    """Decode the clips' codes to one kind of sound."""
    with session.terminal.working(title, 1, "samples") as progress:
        return synthesis.sounds(codes, [clip.group for clip in clips], progress=progress.advance_to)


def excerpt_of(manifest: Manifest, clip: Clip, tokenizer: Tokenizer, config: ListeningConfig) -> Excerpt:
    """Read the excerpt of a clip for listening and figures: its loudest ``config.seconds``, or all of a shorter clip.

    It begins where a code of the clip begins. The excerpt is encoded like a separate clip, so a front end that measures
    whole recordings measures the excerpt, as it does when decoded sound is encoded again.
    """
    path, rate, step = manifest.root / clip.path, tokenizer.format.sample_rate, tokenizer.format.samples_per_code
    return read_loudest(path, rate, config.seconds, step=step, part=clip.part)


def excerpt_row(clip: Clip, excerpt: Excerpt) -> dict[str, object]:
    """Describe an excerpt: its clip, its start in the clip, and the lengths of excerpt and clip in seconds."""
    return {
        "path": clip.name,
        "start": excerpt.start_seconds,
        "seconds": excerpt.waveform.seconds,
        "clip_seconds": clip.seconds,
    }


def _about(
    places: Sequence[dict[str, object]],
    made: dict[str, list[Waveform]],
    codes: Sequence[Codes],
    tokenizer: Tokenizer,
) -> list[dict[str, object]]:
    """Describe the excerpt of each clip, with the figures of each of its sounds."""
    rows: list[dict[str, object]] = []
    for number, place in enumerate(places):
        sounds = {kind: waveforms[number] for kind, waveforms in made.items() if number < len(waveforms)}
        figures = {kind: dict(asdict(sound_levels(sound))) for kind, sound in sounds.items()}
        for kind in BY_KEY:
            figures[kind]["log_mel_distance"] = log_mel_distance(
                made[ORIGINAL][number], sounds[kind], tokenizer.config.audio
            )
            figures[kind]["code_agreement"] = code_agreement(codes[number], tokenizer.encode(sounds[kind]))
        rows.append({**place, "sounds": figures})
    return rows
