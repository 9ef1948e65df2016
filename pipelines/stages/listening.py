"""Sounds to listen to, with figures and pictures: test clips, their codes as all kinds of sound, and continuations."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import save_file

from lm.generation import Sampling
from lm.judging import Bigram, diversity, fit_bigram, plausibility
from lm.model import LanguageModel
from pipelines.stages.options import ListeningConfig
from pipelines.stages.playback import Playback, excerpt_row, measures_pitch, wav_name
from pipelines.store.session import Session
from pipelines.store.store import Entry, other_options, write_json
from tokenizer.codes import Codes
from tokenizer.encoder import pictures
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from vocoder.continuing import Prompt, joined_sound
from vocoder.judging import Figures, code_agreement, log_mel_distance, median_pitch, pitch_distances, sound_levels
from vocoder.kinds import BY_KEY, ORIGINAL, WAVENET
from vocoder.synthesis import Synthesis, speaking
from wordless.audio.waveform import Waveform
from wordless.base.files import aside

LISTENING = "listening.json"
PICTURES = "pictures.safetensors"


def listening(
    playback: Playback, model: Entry | None, rates: Entry | None = None, *, coded: Entry | None = None
) -> Entry:
    """Make WAV files, their figures and spectrograms; with a language model, also its sounds.

    ``rates`` is the tokenizer of a model of several rates. ``coded`` has the finest codes of all clips, from which
    pairs of codes are counted; their frequencies judge the model's sounds.
    """
    session, config = playback.session, playback.config
    clips = playback.choose_long(config.clips)
    options = other_options(config, "judged_clips", "judges", "grammar", "judge", "engine")
    judging = {} if model is None or coded is None else {"codes": coded}
    options["pitch"] = model is not None and measures_pitch(config, playback.audio.sample_rate)
    recipe = playback.recipe("listening", 12, clips, options, lm=model, rates=rates, **judging)

    def make(folder: Path) -> None:
        tokenizer, syntheses = playback.open()
        excerpts = [playback.excerpt(clip, tokenizer) for clip in clips]
        sounds = {ORIGINAL: [excerpt.waveform for excerpt in excerpts]}
        codes = [tokenizer.encode(original) for original in sounds[ORIGINAL]]
        generated: dict[str, object] = {}
        with speaking([*syntheses.values()], lambda notice: session.terminal.say(f"listening {notice}")):
            sounds.update(playback.speak(syntheses, clips, codes, title="generating sound"))
            if model is not None:
                coder = Tokenizer.from_pretrained(rates.folder, device=str(session.gang.device)) if rates else tokenizer
                least = config.prompt_seconds
                prompts = [Prompt.of_excerpt(excerpt, coder, least_seconds=least) for excerpt in excerpts]
                sounds["prompt"] = [prompt.waveform for prompt in prompts]
                voiced = [(clip.name, prompt, clip.group) for prompt, clip in zip(prompts, clips, strict=True)]
                wavenet = syntheses[WAVENET.key]
                other = None if coded is None else _bigram(coded)
                generated = language_sounds(session, folder, coder, wavenet, model.folder, voiced, config, other=other)
                if other is not None:
                    generated["originals"] = _originals(prompts, codes, other)
        for kind, waveforms in sounds.items():
            for number, waveform in enumerate(waveforms):
                waveform.write(folder / wav_name(number, kind))
        with aside(folder / PICTURES) as beside:
            save_file(pictures(tokenizer, sounds[ORIGINAL], codes), beside)
        places = [excerpt_row(clip, excerpt) for clip, excerpt in zip(clips, excerpts, strict=True)]
        rows = [
            {**place, "sounds": each} for place, each in zip(places, _figures(sounds, codes, tokenizer), strict=True)
        ]
        write_json(folder / LISTENING, {"clips": rows, **playback.filtered, **generated})

    files = ["*.wav", PICTURES, LISTENING]
    return session.obtain(recipe, f"{len(clips)} test clips decoded and continued", make, files=files)


def _bigram(coded: Entry) -> Bigram:
    """Count pairs of codes in training clips; validation clips choose the smoothing."""
    clips = read_codes(coded.folder)[1]
    train, validation = ([clip.codes for clip in clips if clip.split == split] for split in ("train", "validation"))
    return fit_bigram(train, validation)


def _originals(prompts: Sequence[Prompt], codes: Sequence[Codes], other: Bigram) -> dict[str, float | None]:
    """Measure what follows the prompts in the recordings, as generated codes are measured."""
    starts = [min(len(prompt.finest.codes.values), len(own.values)) for prompt, own in zip(prompts, codes, strict=True)]
    before = [own.crop(0, start) for own, start in zip(codes, starts, strict=True)]
    after = [own.crop(start, len(own.values)) for own, start in zip(codes, starts, strict=True)]
    return plausibility(before, after, other=other)


def _figures(
    sounds: Mapping[str, Sequence[Waveform]], codes: Sequence[Codes], tokenizer: Tokenizer
) -> list[dict[str, dict[str, float]]]:
    """Measure each sound of each clip: its level, and for decoded kinds the distance from the original."""
    rows = []
    for number, original in enumerate(sounds[ORIGINAL]):
        own = {kind: waveforms[number] for kind, waveforms in sounds.items()}
        figures = {kind: asdict(sound_levels(sound)) for kind, sound in own.items()}
        for kind in BY_KEY:
            figures[kind]["log_mel_distance"] = log_mel_distance(original, own[kind], tokenizer.config.audio)
            figures[kind]["code_agreement"] = code_agreement(codes[number], tokenizer.encode(own[kind]))
        rows.append(figures)
    return rows


CONTINUATION, UNCONDITIONAL = "continuation", "unconditional"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Generated:
    """The codes of one generated sound."""

    clip: int | None  # index of the prompt
    of: str  # name of the prompt's clip
    number: int  # among the sounds of this clip and temperature
    temperature: float
    prompt: Prompt | None
    group: str | None
    codes: Codes  # without the prompt

    @property
    def kind(self) -> str:
        return UNCONDITIONAL if self.clip is None else CONTINUATION

    @property
    def file(self) -> str:
        clip = "" if self.clip is None else f"{self.clip}_"
        return f"{clip}{self._title}.wav"

    @property
    def name(self) -> str:
        """The name that the random numbers of the sound follow from, whatever the place of its clip."""
        return f"{self.of} {self._title}"

    @property
    def _title(self) -> str:
        return f"{self.kind}_{self.temperature:g}_{self.number}"


def language_sounds(
    session: Session,
    folder: Path,
    tokenizer: Tokenizer,
    synthesis: Synthesis,
    model_folder: Path,
    prompts: Sequence[tuple[str, Prompt, str | None]],
    config: ListeningConfig,
    *,
    other: Bigram | None = None,
) -> dict[str, object]:
    """Write WAV files into ``folder``; return a row for each (``said``), and their diversity (``diversity``).

    Each prompt comes with the name of its clip, and the group whose voice continues it. ``other`` judges the codes.
    """
    model = LanguageModel.from_pretrained(model_folder, device=str(session.gang.device))
    rows = [row for value in config.temperatures for row in _generate(model, prompts, config, temperature=value)]
    if not rows:
        return {}
    with session.terminal.working("generating continuations", 1, "samples") as progress:
        codes, groups = [row.codes.finest for row in rows], [row.group for row in rows]
        past = [row.prompt.finest if row.prompt else None for row in rows]
        names = [row.name for row in rows]
        new = synthesis.sounds(codes, groups, names=names, prompts=past, progress=progress.advance_to)
    again = []
    for row, more in zip(rows, new, strict=True):
        sound = joined_sound(row.prompt.waveform, more) if row.prompt else more
        sound.write(folder / row.file)
        start = len(row.prompt.codes.values) if row.prompt else 0
        again.append(tokenizer.encode(sound).crop(start, start + len(row.codes.values)))  # its new part
    pitched: list[Figures] = [{} for _ in rows]
    if measures_pitch(config, tokenizer.format.sample_rate):
        before = list(session.each("pitch of prompts", median_pitch, [prompt.waveform for _, prompt, _ in prompts]))
        after = session.each("pitch of generated sounds", median_pitch, new)
        pitched = [pitch_distances(own, before, row.clip) for own, row in zip(after, rows, strict=True)]
    said = [_describe(*each) for each in zip(rows, new, again, pitched, strict=True)]
    return {"said": said, "diversity": _diversity(model, rows, again, other)}


def _generate(
    model: LanguageModel,
    prompts: Sequence[tuple[str, Prompt, str | None]],
    config: ListeningConfig,
    *,
    temperature: float,
) -> list[_Generated]:
    wanted: list[tuple[int | None, str, Prompt | None, str | None, int]] = [
        (clip, name, prompt, group, number)
        for clip, (name, prompt, group) in enumerate(prompts)
        for number in range(config.continuations)
    ]
    wanted += [(None, "", None, None, number) for number in range(config.unconditional)]
    codes = model.generate_batch(
        [prompt.codes if prompt else None for _, _, prompt, _, _ in wanted],
        seconds=config.continuation_seconds,
        sampling=Sampling(temperature=temperature, top_k=config.top_k),
        seed=config.seed,
    )
    return [
        _Generated(clip=clip, of=name, number=number, temperature=temperature, prompt=prompt, group=group, codes=own)
        for (clip, name, prompt, group, number), own in zip(wanted, codes, strict=True)
    ]


def _describe(row: _Generated, new: Waveform, again: Codes, pitched: Figures) -> dict[str, object]:
    prompt = {"prompt_seconds": row.prompt.waveform.seconds} if row.prompt else {}
    made, heard = row.codes.finest, again.finest
    agreement = {"code_agreement": code_agreement(made, heard)} if len(heard.values) else {}
    figures = {**prompt, **agreement, **asdict(sound_levels(new)), **pitched}
    about = {"kind": row.kind, "file": row.file, "clip": row.clip, "temperature": row.temperature}
    return {**about, "figures": figures}


def _diversity(
    model: LanguageModel, rows: Sequence[_Generated], again: Sequence[Codes], other: Bigram | None
) -> list[dict[str, object]]:
    sets: dict[tuple[str, float], list[int]] = {}
    for number, row in enumerate(rows):
        sets.setdefault((row.kind, row.temperature), []).append(number)
    figures: list[dict[str, object]] = []
    for (kind, temperature), numbers in sets.items():
        prompts = [prompt.codes if (prompt := rows[number].prompt) else None for number in numbers]
        new, encoded = [rows[number].codes for number in numbers], [again[number] for number in numbers]
        own = diversity(model, prompts, new, encoded, other=other)
        figures.append({"of": kind, "temperature": temperature, "sounds": len(numbers), **own})
    return figures
