"""The work of ``wordless decode``, once its options are checked."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lm.model import LanguageModel
from pipelines.commandline.outputs import JOB, REMEDY, require_own, work_folder
from pipelines.decode import DecodeConfig
from pipelines.store.run_folder import open_synthesis, part_of, vocoder_of
from tokenizer.codes import CodesFormat, require_same_codebook
from tokenizer.parquet import CodedClip, read_codes
from tokenizer.sources import flattened, transplanted
from tokenizer.tokenizer import Tokenizer
from tokenizer.units import read_units
from vocoder.synthesis import Synthesis, speaking, unknown_groups
from wordless.audio.recordings.folders import partial_name, sound_names
from wordless.audio.waveform import wav_file
from wordless.base.errors import InputError
from wordless.base.files import aside, file_hash
from wordless.base.machine import choose_device
from wordless.base.progress import Terminal
from wordless.base.text import counted
from wordless.base.values import find_object

LONG_SECONDS = 60.0  # a clip from this length on is made alone, and written as it is made


@dataclass(frozen=True, kw_only=True, eq=False)
class Sound:
    """A clip and the file of its sound."""

    clip: CodedClip
    path: Path
    part: Path  # unfinished file that an interruption leaves


def decode_codes(settings: DecodeConfig, tokenizer_folder: Path) -> None:
    """Decode the clips that have no file yet."""
    terminal, output = Terminal(), settings.output
    device = choose_device(settings.device)
    whole = Tokenizer.from_pretrained(tokenizer_folder, device=str(device))
    tokenizer = whole.finest
    clips = _clips(settings, whole.format, owner=f"the tokenizer {tokenizer_folder}")
    clips = _with_pitch(clips, settings, tokenizer.format, str(device))
    if settings.retuned:
        clips = _retuned(clips, settings, tokenizer)
    if settings.codes_per_unit is not None:
        each = counted(settings.codes_per_unit, "code")
        terminal.say(f"the units have no durations: each stands for {each}, so the length of the sounds is a guess")
    synthesis = open_synthesis(settings.model, tokenizer, settings.kind, settings.sampling, device=str(device))
    if settings.single:
        if len(clips) > 1:
            raise InputError(
                f"output={output} is one file, and input={settings.input} holds {len(clips)} clips; name a folder"
            )
        output.parent.mkdir(parents=True, exist_ok=True)
        part = output.with_name(partial_name(output.name, {output.name}))
        return _decode([Sound(clip=clips[0], path=output, part=part)], synthesis, settings, terminal)
    job = _job(settings, clips, tokenizer, synthesis.engine)
    begun = find_object(output / JOB) or {}
    if "engine" in begun and {**begun, "engine": job["engine"]} == job != begun:  # its sounds would differ
        raise InputError(
            f"output={output} was begun with engine={begun['engine']}, and engine={settings.engine} is {job['engine']} "
            f"here; go on with engine={begun['engine']} where it runs, or {REMEDY}"
        )
    require_own(output, job)
    with work_folder(output, job):
        _decode(list(_sounds(output, clips)), synthesis, settings, terminal)


def _clips(settings: DecodeConfig, own: CodesFormat, *, owner: str) -> list[CodedClip]:
    """Give the clips of codes or text units, in order; of several views of a sound, the first.

    Of codes at several rates, the finest are the ones that become sound.
    """
    path = settings.input
    if settings.holds_codes:
        codes_format, coded = read_codes(path)
        require_same_codebook(own if codes_format.pitch else own.spectral, codes_format, owner=owner)
        clips = [clip for clip in coded if not clip.offset_frames]
    else:
        clips = read_units(path, own.spectral, codes_per_unit=settings.codes_per_unit)
    if not clips:
        raise InputError(f"input={path} holds no clip; encode some recordings first (wordless encode)")
    return [replace(clip, codes=clip.codes.finest) for clip in clips]


def _with_pitch(clips: Sequence[CodedClip], settings: DecodeConfig, form: CodesFormat, device: str) -> list[CodedClip]:
    """Add the pitch that text units do not have: a run's language model predicts it for its WaveNet."""
    if form.pitch is None or clips[0].codes.format.pitch is not None:
        return [*clips]
    if settings.kind.comb:  # other kinds play no pitch
        otherwise = "the input has no pitch, which it predicts: give Parquet, choose synthesis=griffin_lim, or "
        model = LanguageModel.from_pretrained(part_of(settings.model, "lm", otherwise=otherwise), device=device)
        require_same_codebook(model.format, form, owner=model.name)
        if model.pitch is not None:
            return [replace(clip, codes=model.add_pitch(clip.codes)) for clip in clips]
    silent = ((clip, np.zeros(len(clip.codes), np.int32)) for clip in clips)
    return [replace(clip, codes=clip.codes.with_pitch(pitch, form)) for clip, pitch in silent]


def _retuned(clips: Sequence[CodedClip], settings: DecodeConfig, tokenizer: Tokenizer) -> list[CodedClip]:
    """Give the clips' codes another melody; a shift changes no code."""
    if tokenizer.format.pitch is None:
        raise InputError(
            f"pitch={settings.pitch} shift={settings.shift:g} change a stream of pitch, and the codes have none: leave "
            "them out, or train a tokenizer with one (tokenizer.pitch.levels=32)"
        )
    if settings.pitch == "flat":
        return [replace(clip, codes=flattened(clip.codes)) for clip in clips]
    if settings.pitch_of is None:
        return [*clips]
    melody = tokenizer.encode_file(settings.pitch_of)
    if not (melody.values[:, -1] > 0).any():
        raise InputError(f"pitch_of={settings.pitch_of} has no voice, and so no melody; name another recording")
    return [replace(clip, codes=transplanted(clip.codes, melody)) for clip in clips]


def _sounds(folder: Path, clips: Sequence[CodedClip]) -> Iterator[Sound]:
    names = sound_names([clip.name for clip in clips])
    taken = set(names)
    for clip, name in zip(clips, names, strict=True):
        yield Sound(clip=clip, path=folder / name, part=folder / partial_name(name, taken))


def _job(
    settings: DecodeConfig, clips: Sequence[CodedClip], tokenizer: Tokenizer, engine: str | None
) -> dict[str, object]:
    """Return everything that decides the content of the files."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(repr((clip.name, clip.group, clip.codes.num_samples)).encode() + clip.codes.values.tobytes())
    folder = vocoder_of(settings.model, settings.kind)
    audible = settings.postfilter if tokenizer.front_end.keeps_levels else 0.0
    strength = audible if settings.kind.comb else None
    return {
        "input": digest.hexdigest(),
        "codebook": tokenizer.format.codebook,
        "vocoder": settings.synthesis if folder is None else file_hash(folder / "config.json"),
        "group": settings.group,
        "temperature": settings.temperature if folder else None,
        "postfilter": strength,
        "postfilter_passes": settings.postfilter_passes if strength else None,
        "pitch_comb": settings.pitch_comb if strength else None,
        "engine": engine,
        "seed": settings.seed,
        **({"shift": settings.shift} if settings.shift else {}),
    }


def _decode(sounds: Sequence[Sound], synthesis: Synthesis, settings: DecodeConfig, terminal: Terminal) -> None:
    waiting = [sound for sound in sounds if not sound.path.exists()]
    if len(waiting) < len(sounds):
        there = f"{len(sounds) - len(waiting)} of {len(sounds)} sounds are there already"
        terminal.say(f"{there}: {settings.output}; delete a sound to have it made again")
    if not waiting:
        return
    if settings.group is None and (notice := unknown_groups(synthesis, [sound.clip.group for sound in waiting])):
        terminal.say(notice)
    total, started, done = _seconds(waiting), time.monotonic(), 0.0

    def rate(seconds: float) -> str:
        return f"{seconds / max(time.monotonic() - started, 1e-9):.2f} times real time"

    with (
        speaking([synthesis], terminal.say),
        terminal.working("decoding", max(round(total), 1), "s of sound") as progress,
    ):

        def advance(seconds: float) -> None:
            progress.advance_to(int(done + seconds))
            if terminal.console.is_terminal:  # plain lines include the rate
                progress.note(rate(done + seconds))

        for batch in _batches(waiting, synthesis):
            if len(batch) == 1:
                _write_stream(batch[0], synthesis, advance, terminal)
            else:
                _write_batch(batch, synthesis, advance)
            done += _seconds(batch)
    terminal.say(f"{len(waiting)} sounds, {total:.1f} s, {rate(total)}: {settings.output}")


def _batches(sounds: Sequence[Sound], synthesis: Synthesis) -> Iterator[Sequence[Sound]]:
    """Group clips that are made side by side; a long one is made alone, and written as it is made."""
    short = [sound for sound in sounds if sound.clip.codes.seconds < LONG_SECONDS]
    for group in synthesis.side_by_side([len(sound.clip.codes.values) for sound in short]):
        yield [short[place] for place in group]
    yield from ([sound] for sound in sounds if sound.clip.codes.seconds >= LONG_SECONDS)


def _write_batch(batch: Sequence[Sound], synthesis: Synthesis, advance: Callable[[float], None]) -> None:
    codes, groups = [sound.clip.codes for sound in batch], [sound.clip.group for sound in batch]
    total, names = _seconds(batch), [sound.clip.name for sound in batch]

    def progress(done: int, steps: int) -> None:
        advance(total * done / max(steps, 1))

    made = synthesis.sounds(codes, groups, names=names, progress=progress)
    for sound, waveform in zip(batch, made, strict=True):
        waveform.write(sound.path)


def _write_stream(sound: Sound, synthesis: Synthesis, advance: Callable[[float], None], terminal: Terminal) -> None:
    """Write a clip to a temporary file, renamed when it is complete; an interruption keeps finished clips."""
    codes = sound.clip.codes
    made = 0.0
    sound.path.parent.mkdir(parents=True, exist_ok=True)
    with aside(sound.path) as beside:
        try:
            with wav_file(beside, codes.format.sample_rate) as write:
                for piece in synthesis.stream(codes, sound.clip.group, name=sound.clip.name):
                    write(piece.samples)
                    made += piece.seconds
                    advance(made)
        except KeyboardInterrupt:
            beside.replace(sound.part)
            terminal.say(f"{made:.1f} of {codes.seconds:.1f} s of {sound.path.name} are in {sound.part}")
            raise


def _seconds(sounds: Sequence[Sound]) -> float:
    return sum(sound.clip.codes.seconds for sound in sounds)
