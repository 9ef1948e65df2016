"""The models of a run that speak, and the work of ``wordless decode`` and ``wordless generate``.

New sounds have names that say what they are made of. The pitch of their codes may be changed.
"""

import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TypeVar

import numpy as np

from lm.gpt import CodeSampling
from lm.model import LanguageModel
from lm.pitch import WithStreams
from pipelines.jobs.sound_probe import SoundProbe
from pipelines.speech import DecodeConfig, GenerateConfig
from pipelines.store.outputs import new_folder, prepare_output
from pipelines.store.run_parts import part_of
from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.store import Store, note_finished, other_options
from tokenizer.codes import Codes, CodesFormat, join_codes, require_same_codebook
from tokenizer.parquet import CodedClip, read_codes, write_shard
from tokenizer.tokenizer import Tokenizer
from tokenizer.units import read_units
from vocoder.kinds import GRIFFIN_LIM, SYNTHESIS_METHODS, WAVENET, SynthesisMethod
from vocoder.synthesis import SignalProcessingBaseline, Synthesis, create_synthesis, load_vocoder, speaking
from vocoder.vocoder import Prompt, Vocoder, joined_sound
from vocoder.vocoder_options import Sampling
from wordless.audio.reading import read
from wordless.audio.recordings.folder import MAX_PART_BYTES, is_recording
from wordless.audio.waveform import Waveform, wav_file
from wordless.base.arrays import DoubleArray, IntArray
from wordless.base.devices import choose_device
from wordless.base.files import aside, copy_file, file_hash, mark
from wordless.base.messages import InputError, counted
from wordless.base.progress import Terminal
from wordless.base.saved_models import CONFIG
from wordless.base.saved_models import PROBE as PROBE_KIND
from wordless.training.fit import Gang

LONG_SECONDS = 60.0  # a clip from this length on is made alone, and written as it is made
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelsOfRun:
    """The parts of a run that are there."""

    tokenizer: Tokenizer
    language_model: LanguageModel | None
    probe: SoundProbe | None
    vocoder: Vocoder | None
    sampling: Sampling  # of the sound

    @classmethod
    def of_folder(cls, own: Path, *, sampling: Sampling, device: str) -> "ModelsOfRun":
        """Load what is there of a run's folder ``own``, but for a probe of the states of a missing language model."""

        def part(name: str, open_part: Callable[[Path], T]) -> T | None:
            return open_part(own / name) if (own / name / CONFIG).is_file() else None

        tokenizer = Tokenizer.from_pretrained(own / "tokenizer", device=device)
        model = part("lm", lambda folder: LanguageModel.from_pretrained(folder, device=device))
        if model is not None:
            require_same_codebook(model.format, tokenizer.format, owner=model.name)
        vocoder = part("vocoder", lambda folder: load_vocoder(folder, sampling, device=device))
        if vocoder is not None:
            vocoder.require_tokenizer(tokenizer.finest)
        probe = part(PROBE_KIND.part, lambda folder: SoundProbe(run=own, folder=folder, device=device))
        if probe is not None and probe.lacks_models:
            probe = None
        return cls(tokenizer=tokenizer, language_model=model, probe=probe, vocoder=vocoder, sampling=sampling)

    @property
    def kinds(self) -> tuple[SynthesisMethod, ...]:
        """The synthesis methods that the run can make, the learned one first."""
        there = (kind for kind in SYNTHESIS_METHODS if self.vocoder or not kind.learned)
        return tuple(sorted(there, key=lambda of: not of.learned))

    @property
    def groups(self) -> tuple[str, ...]:
        """The voices that WaveNet was trained with."""
        return () if self.vocoder is None else self.vocoder.model.config.groups

    def synthesis(self, kind: SynthesisMethod, voice: str = "", *, seed: int = 0) -> Synthesis:
        """Return the synthesis by a method; only a learned one has voices, "" for their average."""
        sampling = replace(self.sampling, seed=seed)
        if kind.stream is not None:
            return Synthesis(SignalProcessingBaseline(kind), self.tokenizer, sampling)
        assert self.vocoder is not None, "kinds has no learned one without a vocoder"
        return Synthesis(self.vocoder, self.tokenizer, replace(sampling, group=voice or None))


def vocoder_of(model: Path, kind: SynthesisMethod) -> Path | None:
    """Return the folder of the vocoder that a synthesis method needs; None for one that is not learned."""
    if not kind.learned:
        return None
    return part_of(model, "vocoder", otherwise=f"choose synthesis={GRIFFIN_LIM.key}, which needs no vocoder, or ")


def decode_codes(settings: DecodeConfig) -> None:
    """Decode codes into an artifact of the store, where a killed command goes on, and copy the sounds to the output."""
    terminal, output = Terminal(), settings.output
    tokenizer_folder = part_of(settings.model, "tokenizer", rates=True)
    vocoder_of(settings.model, settings.kind)
    if not settings.input.exists():
        raise InputError(f"input={settings.input} does not exist; name codes that wordless encode wrote, or text units")
    if settings.pitch_of is not None and not settings.pitch_of.is_file():
        raise InputError(f"pitch_of={settings.pitch_of} is no file; name a recording")
    prepare_output(output)
    device = choose_device(settings.device)
    whole = Tokenizer.from_pretrained(tokenizer_folder, device=str(device))
    tokenizer = whole.finest
    clips = _clips(settings, whole.format, owner=f"the tokenizer {tokenizer_folder}")
    clips = _with_beside(clips, settings, tokenizer.format, str(device))
    if settings.retuned:
        clips = _retuned(clips, settings, tokenizer)
    if settings.codes_per_unit is not None:
        each = counted(settings.codes_per_unit, "code")
        terminal.say(f"each unit stands for {each}, so the length of the sounds is a guess")
    synthesis = open_synthesis(settings.model, tokenizer, settings.kind, settings.sampling, device=str(device))
    rule = "its sound plays no pitch and no shift: choose wavenet or harmonics, with pitch_comb=true and postfilter=1"
    settings.refuse_if(settings.retuned and not synthesis.plays_pitch, "synthesis", rule)
    rule = f"it is one file, and input={settings.input} holds {len(clips)} clips: name a folder"
    settings.refuse_if(settings.single and len(clips) > 1, "output", rule)
    if settings.group is None and (notice := unknown_groups(synthesis, [clip.group for clip in clips])):
        terminal.say(notice)
    store = settings.store.root
    session = Session(store=Store(store), gang=Gang(device), terminal=terminal, folder=store, workers=1)
    artifact = sounds(session, Speech(clips=clips, synthesis=synthesis, settings=settings))
    made = sorted(artifact.folder.glob("*.wav"))
    if settings.single:
        copy_file(made[0], output)
        _tell_neighbours(output, terminal)
    else:
        with new_folder(output) as folder:
            mark(folder)
            for sound, name in zip(made, sound_names([clip.name for clip in clips]), strict=True):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                copy_file(sound, folder / name)
    terminal.say(f"{counted(len(made), 'sound')}: {output}")


def _tell_neighbours(output: Path, terminal: Terminal) -> None:
    """Say that a sound lies among others: only folders that Wordless wrote are left out of a corpus."""
    if any(is_recording(name) for name in os.listdir(output.parent) if name != output.name):  # noqa: PTH208  names alone
        why = f"commands that read {output.parent} as recordings read it, too"
        terminal.say(f"{output.name} lies beside other sounds: {why} (output=FOLDER is left out)")


@dataclass(frozen=True, kw_only=True, eq=False)
class Speech:
    """Clips, and what turns them into sounds."""

    clips: Sequence[CodedClip]
    synthesis: Synthesis
    settings: DecodeConfig

    @property
    def key(self) -> list[object]:
        """What decides the sounds; the name of a clip gives its random numbers."""
        digest, settings = hashlib.sha256(), self.settings
        for clip in self.clips:
            digest.update(repr((clip.name, clip.group, clip.codes.num_samples)).encode() + clip.codes.values.tobytes())
        vocoder = vocoder_of(settings.model, settings.kind)
        weights = file_hash(vocoder / CONFIG) if vocoder else None  # it has their hash
        tokenizer, sampling = self.synthesis.tokenizer, other_options(settings.sampling, "engine")
        codes = [digest.hexdigest(), self.clips[0].codes.format.codebook, tokenizer.gain]
        return [*codes, settings.kind.key, settings.kind.version, weights, sampling, self.synthesis.engine]

    def __str__(self) -> str:
        return f"{counted(len(self.clips), 'sound')} by {self.settings.kind.title}"


@stage("sounds", title="{speech}")
def sounds(run: StageRun, speech: Speech) -> None:
    """Decode clips to the sounds 00000000.wav, 00000001.wav, ...

    An interrupt keeps what is done of a long sound beside the output.
    """
    synthesis, terminal, output = speech.synthesis, run.terminal, speech.settings.output
    files = ((clip, run.folder / f"{number:08}.wav") for number, clip in enumerate(speech.clips))
    left = [(clip, file) for clip, file in files if not file.exists()]
    # A long clip is made alone, and written as it is made; the others are made side by side.
    long, short = ([each for each in left if (each[0].codes.seconds >= LONG_SECONDS) is way] for way in (True, False))
    groups = synthesis.side_by_side([len(clip.codes.values) for clip, _ in short])
    batches = [*([short[place] for place in group] for group in groups), *([each] for each in long)]
    total, started, done = sum(clip.codes.seconds for clip, _ in left), time.monotonic(), 0.0

    def rate(seconds: float) -> str:
        return f"{seconds / max(time.monotonic() - started, 1e-9):.2f} times real time"

    def advance(seconds: float) -> None:
        progress.advance_to(int(done + seconds))
        if terminal.console.is_terminal:
            progress.note(rate(done + seconds))

    work = terminal.working("decoding", max(round(total), 1), "s of sound")
    with speaking([synthesis], terminal.say), work as progress:
        for batch in batches:
            seconds = sum(clip.codes.seconds for clip, _ in batch)
            if len(batch) > 1:
                codes, voices, names = zip(*((clip.codes, clip.group, clip.name) for clip, _ in batch), strict=True)
                show = lambda made, steps, of=seconds: advance(of * made / max(steps, 1))  # noqa: E731
                made = synthesis.sounds(codes, voices, names=names, progress=show)
                for (_, file), waveform in zip(batch, made, strict=True):
                    waveform.write(file)
            else:
                _stream(*batch[0], synthesis, advance, terminal, output.with_name(f"{output.stem}.partial.wav"))
            for _, file in batch:
                note_finished(file)
            done += seconds
    terminal.say(f"{counted(len(left), 'sound')}, {total:.1f} s, {rate(total)}")


def _stream(
    clip: CodedClip, file: Path, synthesis: Synthesis, advance: Callable[[float], None], terminal: Terminal, part: Path
) -> None:
    """Write a sound as it is made; an interrupt copies what is made to ``part``."""
    made = 0.0
    with aside(file) as beside:
        try:
            with wav_file(beside, clip.codes.format.sample_rate) as write:
                for piece in synthesis.stream(clip.codes, clip.group, name=clip.name):
                    write(piece.samples)
                    made += piece.seconds
                    advance(made)
        except KeyboardInterrupt:
            copy_file(beside, part)
            terminal.say(f"{made:.1f} of {clip.codes.seconds:.1f} s of {clip.name} are in {part}")
            raise


def _clips(settings: DecodeConfig, own: CodesFormat, *, owner: str) -> list[CodedClip]:
    """Give the clips of codes or text units, in order: of several views the first, of several rates the finest."""
    path = settings.input
    if settings.holds_codes:
        codes_format, coded = read_codes(path)
        require_same_codebook(own if codes_format.side_streams else own.spectral, codes_format, owner=owner)
        clips = [clip for clip in coded if not clip.offset_frames]
    else:
        clips = read_units(path, own.spectral, codes_per_unit=settings.codes_per_unit)
    if not clips:
        raise InputError(f"input={path} holds no clip; encode some recordings first (wordless encode)")
    return [replace(clip, codes=clip.codes.finest) for clip in clips]


def _with_beside(clips: Sequence[CodedClip], settings: DecodeConfig, form: CodesFormat, device: str) -> list[CodedClip]:
    """Add the streams that text units do not have; a run's language model predicts the pitch for its WaveNet."""
    if not form.side_streams or clips[0].codes.format.side_streams:
        return [*clips]
    if form.pitch is not None and settings.kind.comb:  # other kinds play no pitch
        otherwise = "the input has no pitch, which it predicts: give Parquet, choose synthesis=griffin_lim, or "
        model = LanguageModel.from_pretrained(part_of(settings.model, "lm", otherwise=otherwise), device=device)
        require_same_codebook(model.format, form, owner=model.name)
        if isinstance(model, WithStreams):
            return [replace(clip, codes=model.add_side_streams(clip.codes)) for clip in clips]
    return [replace(clip, codes=clip.codes.with_side_streams(form)) for clip in clips]


def _retuned(clips: Sequence[CodedClip], settings: DecodeConfig, tokenizer: Tokenizer) -> list[CodedClip]:
    """Give the clips' codes another melody; a shift changes no code."""
    if (pitch := tokenizer.format.pitch) is None:
        raise InputError(
            f"pitch={settings.pitch} shift={settings.shift:g} change a stream of pitch, and the codes have none: leave "
            "them out, or train a tokenizer with one (tokenizer.pitch.levels=32)"
        )
    if settings.pitch == "flat":
        return [replace(clip, codes=flattened(clip.codes)) for clip in clips]
    if settings.pitch_of is None:
        return [*clips]
    melody = tokenizer.encode_file(settings.pitch_of)
    if not melody.side_stream(pitch).any():
        raise InputError(f"pitch_of={settings.pitch_of} has no voice, and so no melody; name another recording")
    return [replace(clip, codes=transplanted(clip.codes, melody)) for clip in clips]


def sample_name(number: int) -> str:
    """Name the file of a generated sound, from which the random numbers of its vocoder follow."""
    return f"sample_{number}.wav"


def generate_sounds(settings: GenerateConfig) -> None:
    """Prompt -> codes -> language model -> vocoder; write sounds and codes, all files or none."""
    terminal, output = Terminal(), settings.output
    for part in ("tokenizer", "lm"):
        part_of(settings.model, part, rates=True)
    if settings.kind is not None:
        vocoder_of(settings.model, settings.kind)
    if settings.prompt is not None and not settings.prompt.is_file():
        raise InputError(f"prompt={settings.prompt} is no file; name a recording, or none: prompt=null")
    prepare_output(output)
    codes, sounds = _generated(settings, terminal)
    if settings.single:
        sounds[0].write(output)
        _tell_neighbours(output, terminal)
    else:
        names = [sample_name(number) for number in range(len(codes))]
        with new_folder(output) as folder:
            if sounds:
                mark(folder)
            for name, sound in zip(names, sounds, strict=False):
                sound.write(folder / name)
            rows = [CodedClip(path=name, codes=own, split="test") for name, own in zip(names, codes, strict=True)]
            write_shard(folder / "codes.parquet", rows, codes[0].format)
    terminal.say(f"{counted(len(codes), 'sample')}: {output}")


def _generated(settings: GenerateConfig, terminal: Terminal) -> tuple[list[Codes], list[Waveform]]:
    """Generate codes, and their sounds where these are wanted, after the prompt where it is to be included."""
    sampling = CodeSampling(temperature=settings.temperature, top_k=settings.top_k)
    device, kind, count = str(choose_device(settings.device)), settings.kind, settings.num_samples
    tokenizer = Tokenizer.from_pretrained(part_of(settings.model, "tokenizer", rates=True), device=device)
    synthesis = (
        open_synthesis(settings.model, tokenizer.finest, kind, settings.sampling, device=device) if kind else None
    )
    prompt = _prompt(settings.prompt, tokenizer)
    model = LanguageModel.from_pretrained(part_of(settings.model, "lm", rates=True), device=device)
    require_same_codebook(model.format, tokenizer.format, owner=model.name)
    terminal.say(f"generating {count} times {settings.seconds:g} s of codes")
    prompts = [prompt.codes if prompt else None] * count
    codes, sounds = model.generate_batch(prompts, seconds=settings.seconds, sampling=sampling, seed=settings.seed), []
    if synthesis:
        total, past = max(round(sum(clip.seconds for clip in codes)), 1), [prompt] * count
        with speaking([synthesis], terminal.say), terminal.working("decoding", total, "s of sound") as progress:
            sounds = synthesis.sounds(
                codes,
                [None] * count,
                names=[sample_name(number) for number in range(count)],
                prompts=past,
                progress=lambda done, steps: progress.advance_to(total * done // max(steps, 1)),
            )
    if prompt is not None and settings.include_prompt:
        codes = [join_codes(prompt.codes, more) for more in codes]
        sounds = [joined_sound(prompt.waveform, more) for more in sounds]
    return codes, sounds


def _prompt(path: Path | None, tokenizer: Tokenizer) -> Prompt | None:
    """Encode a prompt and cut its sound to whole codes, of several rates those of the coarsest."""
    if path is None:
        return None
    waveform = read(path, tokenizer.format.sample_rate, channel=tokenizer.front_end.channel)
    codes = tokenizer.encode(waveform)
    steps = codes.num_samples // codes.format.samples_per_code
    if not steps:
        rule = f"it lasts {codes.seconds:.3f} s, and one code {1 / codes.format.codes_per_second:.3f} s"
        raise InputError(option="prompt", value=path, rule=rule, remedy="name a longer one, or none")
    return Prompt(waveform=waveform, codes=codes).crop(0, steps)


def open_synthesis(
    model: Path, tokenizer: Tokenizer, kind: SynthesisMethod, sampling: Sampling, *, device: str
) -> Synthesis:
    """Create the synthesis of a run by the chosen method."""
    if sampling.group is not None and not kind.learned:
        problem = f"group={sampling.group}, but {kind.title} knows no groups"
        raise InputError(f"{problem}; leave it out, or choose synthesis={WAVENET.key}")
    folder = vocoder_of(model, kind)
    try:
        return create_synthesis(kind, tokenizer, sampling, folder=folder, device=device)
    except InputError as error:
        raise InputError(f"model={model}: {error}") from error


def flattened(codes: Codes) -> Codes:
    """Give all voiced codes one pitch, the median of them."""
    pitch = _pitch(codes)
    voiced = pitch > 0
    return _with_pitch(codes, np.full(voiced.sum(), np.median(pitch[voiced]))) if voiced.any() else codes


def transplanted(codes: Codes, melody: Codes) -> Codes:
    """Give voiced codes the pitch of another recording, interpolated and stretched to their length."""
    pitch, given = _pitch(codes), _pitch(melody)
    known = np.flatnonzero(given > 0)
    if not len(known):
        return codes
    places = (np.flatnonzero(pitch > 0) + 0.5) * len(given) / len(pitch) - 0.5
    return _with_pitch(codes, np.interp(places, known, given[known]))


def _with_pitch(codes: Codes, pitches: DoubleArray) -> Codes:
    """Replace the codes of pitch of all voiced time steps ``(voiced,)``; codes are equal steps, so they are rounded."""
    own = codes.format.pitch
    assert own is not None, "the codes have a pitch"
    changed = codes.side_stream(own).copy()
    changed[changed > 0] = np.rint(pitches)
    return codes.with_side_streams(codes.format, {own: changed})


def _pitch(codes: Codes) -> IntArray:
    return np.zeros(len(codes), np.int32) if codes.format.pitch is None else codes.side_stream(codes.format.pitch)


MAX_NAME_BYTES, MAX_PARTS = 1024, 32  # of a name with its folders
_SPAN = re.compile(r"#t=(\d+)((?:\.\d+)?),(\d+)((?:\.\d+)?)$")  # as `manifest.clip_name` writes it


def sound_names(clips: Sequence[str]) -> list[str]:
    """Choose a .wav file name for each clip's name; all are different, and none leaves the folder.

    A segment ``a.ogg#t=10,20.5`` becomes ``a_00010-00020.5.wav``: a folder then lists segments in order of time.
    Repeated names end in _2, _3 and so on.
    """
    inside = [_inside(name) for name in clips]
    short = []
    for name in inside:  # no other extension is removed: a clip may have the name take.1
        path = _SPAN.sub("", name)
        short.append((path.rpartition(".")[0] if is_recording(path) else path) + name[len(path) :])
    often, names = Counter(short), list[str]()
    for brief, full in zip(short, inside, strict=True):
        name = brief if often[brief] == 1 else full
        names.append(_fitting(_SPAN.sub(lambda at: f"_{int(at[1]):05d}{at[2]}-{int(at[3]):05d}{at[4]}", name)))
    taken, unique = {*names}, dict[str, None]()
    for name in names:
        numbered = (f"{name}_{number}" for number in count(2))
        chosen = name if name not in unique else next(each for each in numbered if each not in taken)
        taken.add(chosen)
        unique[chosen] = None
    return [f"{name}.wav" for name in unique]


def _inside(path: str) -> str:
    """Remove ".." from a path, because codes may come from anywhere; of an absolute path keep the last part."""
    *folders, name = [part for part in path.split("/") if part not in ("", ".", "..")] or ["clip"]
    # a folder never has the name of a sound or of its temporary file
    folders = [f"{part}_" if part.endswith((".wav", ".aside")) else part for part in folders]
    return name if path.startswith("/") else "/".join([*folders, name])


def _fitting(name: str) -> str:
    """Shorten a name that file systems refuse; a hash of the whole replaces the rest."""

    def hashed(text: str, most: int) -> str:
        return f"{text.encode()[:most].decode(errors='ignore')}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    parts = name.split("/")
    if len(parts) > MAX_PARTS or len(name.encode()) > MAX_NAME_BYTES:
        parts = [f"{parts[-1]}{hashed(name, 0)}"]
    fits = {part for part in parts if len(part.encode()) <= MAX_PART_BYTES}
    return "/".join(part if part in fits else hashed(part, MAX_PART_BYTES - 9) for part in parts)


NAMED = 5  # groups that a notice names


def unknown_groups(synthesis: Synthesis, groups: Iterable[str | None]) -> str | None:
    """Write a notice about groups that the vocoder was not trained on; None if there are none."""
    known, wanted = synthesis.groups, set(groups)
    average = "the average of the vocoder's voices speaks"
    if known and wanted == {None}:
        return f"the codes name no group: {average}; group=... chooses one of {_some(known)}"
    strange = sorted(group for group in wanted if group is not None and group not in known)
    return f"the vocoder was not trained on {_some(strange)}: {average} instead" if known and strange else None


def _some(groups: Sequence[str]) -> str:
    more = f" and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
    return ", ".join(groups[:NAMED]) + more
