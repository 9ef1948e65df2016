"""The sound of test clips: excerpts, their codes as sound, figures, continuations, and their labels.

All sounds that are measured are files, including the originals. The classifier that names labels in decoded sound was
trained and chosen without test clips. Of a continuation it gets only the new part: the prompt is a recording.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from safetensors.torch import save_file

from lm.gpt import CodeSampling
from lm.language_tests import Bigram, diversity, fit_bigram, plausibility
from lm.model import LanguageModel
from lm.probing.probe import FittedProbe
from lm.probing.probe_options import ProbeConfig
from lm.probing.task import ProbeTask
from pipelines.stages.features import BAG_OF_CODES, bag_features, log_mel_vectors
from pipelines.stages.probing import probe_task
from pipelines.stages.stage_options import EvaluatorName, ListeningConfig, SoundMetric
from pipelines.stages.stored_arrays import TRAINED_ON
from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.store import CachedArtifact, other_options, some_options, write_json
from pipelines.store.stored_features import stacked_rows
from tokenizer.codes import Codes
from tokenizer.encoder import Encoder, pictures, recorded_log_mel
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from vocoder import measures
from vocoder.engines import choose_engine, precision
from vocoder.generation import RunawayGuard
from vocoder.kinds import BY_KEY, COMPARED_SYNTHESIS, FROM_RECORDED, ORIGINAL, SYNTHESIS_METHODS, WAVENET
from vocoder.recorded import RecordedLogMel, recorded
from vocoder.synthesis import Synthesis, create_synthesis, speaking
from vocoder.vocoder import Prompt, Vocoder, joined_sound
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.levels import Excerpt, read_loudest
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clip, Clips, choose_randomly
from wordless.audio.views import View
from wordless.audio.waveform import Waveform
from wordless.base.arrays import FloatArray
from wordless.base.files import aside
from wordless.base.messages import InputError
from wordless.base.threads import limit_pools


def choose_clips(manifest: Clips, count: int, *, seed: int, prompt_seconds: float = 0.0) -> Clips:
    """Choose test clips at random, or the longest if too few are long enough for a prompt of three quarters of them."""
    clips = manifest.of("test")
    chosen = [clip for clip in clips if 0.75 * clip.seconds >= prompt_seconds]
    if len(chosen) >= count:
        chosen = choose_randomly(chosen, count, seed=seed)
    else:
        longest = sorted(clips, key=lambda clip: clip.seconds, reverse=True)[:count]
        chosen = [clip for clip in clips if clip in longest]
    return Clips.from_rows(manifest.root, chosen)


@dataclass(frozen=True, kw_only=True)
class Playback:
    """The models that turn test clips into codes and back into sound, and the options of this sound."""

    clips: Clips
    tokenizer: CachedArtifact
    vocoder: CachedArtifact
    audio: SpectrogramConfig
    config: ListeningConfig
    device: torch.device

    @property
    def key(self) -> dict[str, object]:
        """What decides the sound, beside options that a stage names itself."""
        return {
            "clips": self.clips,
            "groups": [clip.group for clip in self.clips.clips],
            "tokenizer": self.tokenizer,
            "vocoder": self.vocoder,
            **some_options(self.config, "seconds", "vocoder_temperature", "seed"),
            **self.filtered,
            "precision": precision(choose_engine(self.config.engine, self.device.type).engine),
            "versions": {kind.key: kind.version for kind in SYNTHESIS_METHODS},
        }

    @property
    def filtered(self) -> dict[str, float | None]:
        """What decides the filter of WaveNet's sound, beside the network."""
        own, strength = self.config, self.config.postfilter if self.audio.keeps_levels else 0.0
        return {
            "postfilter": strength,
            "postfilter_passes": own.postfilter_passes if strength else 0,
            "pitch_comb": own.pitch_comb if strength else False,
        }

    def open(self) -> tuple[Tokenizer, dict[str, Synthesis]]:
        """Load the tokenizer, and the synthesis by each method, on this run's device."""
        tokenizer = Tokenizer.from_pretrained(self.tokenizer.folder, device=str(self.device))
        sampling = self.config.sampled(temperature=self.config.vocoder_temperature, seed=self.config.seed)
        create = partial(create_synthesis, tokenizer=tokenizer, sampling=sampling, folder=self.vocoder.folder)
        return tokenizer, {kind.key: create(kind, device=str(self.device)) for kind in SYNTHESIS_METHODS}

    def of_recorded(self, meanings: RecordedLogMel) -> dict[str, Synthesis]:
        """Load the synthesis of sound from the recorded log-mel, by the keys of `FROM_RECORDED`."""
        sampling = self.config.sampled(temperature=self.config.vocoder_temperature, seed=self.config.seed)
        create = partial(create_synthesis, tokenizer=meanings, sampling=sampling, folder=self.vocoder.folder)
        return {each.key: create(BY_KEY[of], device=str(self.device)) for of, each in FROM_RECORDED.items()}

    def excerpts(self, tokenizer: Tokenizer) -> list[Excerpt]:
        """Read the loudest `seconds` of each clip from the begin of a code on; they are encoded like a clip."""
        rate, step = tokenizer.format.sample_rate, tokenizer.format.samples_per_code
        return [loudest_clip(self.clips, clip, rate, self.config.seconds, step=step) for clip in self.clips.clips]

    def speak(
        self, run: StageRun, syntheses: Mapping[str, Synthesis], codes: Mapping[int, Codes], *, title: str
    ) -> Iterator[tuple[str, dict[int, Waveform]]]:
        """Decode codes of clips, by the clips' numbers, by one synthesis method after the other."""
        clips = [self.clips.clips[number] for number in codes]
        groups, names = [clip.group for clip in clips], [clip.name for clip in clips]
        for kind, synthesis in syntheses.items():
            with run.terminal.working(title, 1, "samples") as progress:
                sounds = synthesis.sounds([*codes.values()], groups, names=names, progress=progress.advance_to)
            yield kind, dict(zip(codes, sounds, strict=True))


def loudest_clip(manifest: Clips, clip: Clip, sample_rate: int, seconds: float, *, step: int) -> Excerpt:
    """Read the loudest seconds of a clip that begin at a multiple of ``step`` samples, or all of a shorter one."""
    return read_loudest(manifest.root / clip.path, sample_rate, seconds, step=step, part=clip.part)


def excerpt_row(clip: Clip, excerpt: Excerpt) -> dict[str, object]:
    seconds = {"seconds": excerpt.waveform.seconds, "clip_seconds": clip.seconds}
    return {"path": clip.name, "start": excerpt.start_seconds, **seconds}


CLIPS = "clips.json"  # the clips, and the starts of their excerpts
GUARD = "guard.json"  # runaway blocks of WaveNet's sound, if the vocoder has a guard
EVALUATED = "evaluated.json"


@stage("decoded", title="test clips decoded")
def decode_clips(run: StageRun, playback: Playback) -> None:
    """Write WAV files at the tokenizer's rate: each clip's original, and its codes decoded by every synthesis method.

    Of a random half of the clips, the recorded log-mel is also made sound, without codes. The first half would be some
    labels alone, because clips are in the order of their paths.
    """
    tokenizer, syntheses = playback.open()
    excerpts = playback.excerpts(tokenizer)
    for number, excerpt in enumerate(excerpts):
        excerpt.waveform.write(run.folder / wav_name(number, ORIGINAL))
    codes = {number: tokenizer.encode(sound_of(run.folder, number, ORIGINAL)) for number in range(len(excerpts))}
    with speaking([*syntheses.values()], lambda notice: run.terminal.say(f"decoded   {notice}")):
        for kind, sounds in playback.speak(run, syntheses, codes, title="decoding test clips"):
            for number, sound in sounds.items():
                sound.write(run.folder / wav_name(number, kind))
    half = choose_randomly(range(len(codes)), -(-len(codes) // 2), seed=playback.config.seed)
    originals = {number: sound_of(run.folder, number, ORIGINAL) for number in half}
    _speak_recorded(run, playback, tokenizer, originals, {number: codes[number] for number in half})
    if (guard := syntheses[WAVENET.key].guard) is not None:
        write_json(run.folder / GUARD, {"found": guard.found, "left": guard.left})
    write_json(run.folder / CLIPS, {"clips": [*map(excerpt_row, playback.clips.clips, excerpts)]})


def _speak_recorded(
    run: StageRun,
    playback: Playback,
    tokenizer: Tokenizer,
    originals: Mapping[int, Waveform],
    codes: Mapping[int, Codes],
) -> None:
    """Write the sound of the recorded log-mel of clips, by their numbers, with the pitch of their codes."""
    pairs = zip(originals.values(), codes.values(), strict=True)
    meanings, patches = recorded(
        tokenizer, [recorded_log_mel(tokenizer, *each)[0] for each in pairs], [*codes.values()]
    )
    named = dict(zip(codes, patches, strict=True))
    for kind, sounds in playback.speak(run, playback.of_recorded(meanings), named, title="decoding recorded log-mel"):
        for number, sound in sounds.items():
            sound.write(run.folder / wav_name(number, kind))


def decoded_paths(artifact: CachedArtifact) -> list[str]:
    """List the names of the clips, in the order of their files."""
    return [row["path"] for row in artifact.read_rows(CLIPS, "clips")]


def wav_name(number: int, kind: str) -> str:
    return f"{number}_{kind}.wav"


def kinds_of(folder: Path, number: int) -> list[str]:
    """List the synthesis methods by which an artifact of `decode_clips` has sound of a clip."""
    return [kind for kind in COMPARED_SYNTHESIS if (folder / wav_name(number, kind)).is_file()]


def sound_of(folder: Path, number: int, kind: str) -> Waveform:
    path = folder / wav_name(number, kind)
    return read(path, soundfile.info(path).samplerate)


def measures_pitch(config: ListeningConfig, sample_rate: int) -> bool:
    """Return whether the pitch of sounds is asked for, and can be measured here."""
    return config.asks("pitch") and sample_rate >= measures.LEAST_RATE and measures.has_pitch()


def measure_clips(session: Session, playback: Playback, decoded: CachedArtifact) -> CachedArtifact:
    """Measure every decoded sound by the metrics that are asked: its distance from its original, and its own faults."""
    can_pitch = measures_pitch(playback.config, playback.audio.sample_rate)
    there: dict[SoundMetric, bool] = {"stoi": True, "pesq": measures.has_pesq(), "pitch": can_pitch}
    asked = {str(name): can for name, can in there.items() if playback.config.asks(name)}
    return _measured(session, playback.tokenizer, playback.vocoder, decoded, asked)


@stage("evaluated", title="decoded test clips evaluated")
def _measured(
    run: StageRun,
    tokenizer: CachedArtifact,
    vocoder: CachedArtifact,
    decoded: CachedArtifact,
    asked: Mapping[str, bool],
) -> None:
    encoder, paths = Encoder(folder=tokenizer.folder, root=decoded.folder), decoded_paths(decoded)
    if not asked.get("pesq", True):
        run.terminal.say(f"metrics   without PESQ: {measures.HOW_TO_GET_PESQ}")
    if not asked.get("pitch", True):
        low = encoder.format.sample_rate < measures.LEAST_RATE
        why = f"it is that of voices, from {measures.LEAST_RATE} Hz on" if low else measures.HOW_TO_GET_PITCH
        run.terminal.say(f"metrics   without pitch: {why}")
    guard, metrics = Vocoder.from_pretrained(vocoder.folder).guard, {name for name, there in asked.items() if there}
    rows = run.each("evaluating", partial(_measure, encoder, guard, metrics), range(len(paths)))
    clips = [{"path": path, "sounds": sounds} for path, sounds in zip(paths, rows, strict=True)]
    write_json(run.folder / EVALUATED, {"clips": clips})


def _measure(
    encoder: Encoder, guard: RunawayGuard | None, metrics: Set[str], number: int
) -> dict[str, measures.Figures]:
    sounds = {kind: sound_of(encoder.root, number, kind) for kind in kinds_of(encoder.root, number)}
    codes = {kind: encoder.tokenizer.encode(sound) for kind, sound in sounds.items()}
    original, contour = sounds[ORIGINAL], measures.pitch(sounds[ORIGINAL]) if "pitch" in metrics else None
    audio, figures = encoder.tokenizer.config.audio, dict[str, measures.Figures]()
    for kind, sound in sounds.items():
        figures[kind] = {"periodicity": measures.periodicity(sound, original), **measures.by_itself(sound, guard)}
        if kind != ORIGINAL:
            agreement = measures.code_agreement(codes[ORIGINAL], codes[kind])
            pitch = contour if kind in BY_KEY else None  # its measurement takes most of the time
            figures[kind] |= {**measures.beside(original, sound, pitch, audio, metrics), "code_agreement": agreement}
    return figures


LISTENING = "listening.json"
_PICTURES = "pictures.safetensors"


def _all_options(playback: Playback) -> dict[str, object]:
    own = other_options(playback.config, "clips", "evaluated_clips", "metrics", "evaluator", "engine")
    return {**own, **playback.key, "pitch": measures_pitch(playback.config, playback.audio.sample_rate)}


@stage("listening", title="test clips decoded and continued", keys={"playback": _all_options})
def listening(
    run: StageRun,
    playback: Playback,
    model: CachedArtifact | None = None,
    rates: CachedArtifact | None = None,
    coded: CachedArtifact | None = None,
) -> None:
    """Make WAV files, their figures and spectrograms; with a language model, also its sounds.

    WAV files of the recorded log-mel, without codes, say what the synthesis alone loses. ``rates`` is the tokenizer of
    a model of several rates. Pairs of the finest codes ``coded`` measure its sounds.
    """
    tokenizer, syntheses = playback.open()
    clips, excerpts = playback.clips.clips, playback.excerpts(tokenizer)
    sounds = {ORIGINAL: [excerpt.waveform for excerpt in excerpts]}
    codes = [tokenizer.encode(original) for original in sounds[ORIGINAL]]
    generated: dict[str, object] = {}
    with speaking([*syntheses.values()], lambda notice: run.terminal.say(f"listening {notice}")):
        for kind, made in playback.speak(run, syntheses, dict(enumerate(codes)), title="generating sound"):
            sounds[kind] = [*made.values()]
        _speak_recorded(run, playback, tokenizer, dict(enumerate(sounds[ORIGINAL])), dict(enumerate(codes)))
        if model is not None:
            config, device = playback.config, str(playback.device)
            coder = tokenizer if rates is None else Tokenizer.from_pretrained(rates.folder, device=device)
            prompts = [Prompt.of_excerpt(each, coder, least_seconds=config.prompt_seconds) for each in excerpts]
            sounds["prompt"] = [prompt.waveform for prompt in prompts]
            voiced = [(clip.name, prompt, clip.group) for prompt, clip in zip(prompts, clips, strict=True)]
            wavenet, other = syntheses[WAVENET.key], None if coded is None else fit_bigram(*training_codes(coded))
            generated = generate_samples(run, run.folder, coder, wavenet, model.folder, voiced, config, other=other)
            if other is not None:
                generated["originals"] = _originals(prompts, codes, other)
    with aside(run.folder / _PICTURES) as beside:
        save_file(pictures(tokenizer, sounds[ORIGINAL], codes), beside)
    rows = []
    for number, (clip, excerpt) in enumerate(zip(clips, excerpts, strict=True)):
        own = {kind: waveforms[number] for kind, waveforms in sounds.items()}
        figures: dict[str, measures.Figures] = {kind: {**measures.sound_levels(sound)} for kind, sound in own.items()}
        for kind in BY_KEY:
            distance = measures.log_mel_distance(own[ORIGINAL], own[kind], tokenizer.front_end.absolute)
            agreement = measures.code_agreement(codes[number], tokenizer.encode(own[kind]))
            figures[kind] |= {"log_mel_distance": distance, "code_agreement": agreement}
        for kind, sound in own.items():
            sound.write(run.folder / wav_name(number, kind))
        rows.append({**excerpt_row(clip, excerpt), "sounds": figures})
    filtered = {**playback.filtered, "pitch_comb": syntheses[WAVENET.key].comb}
    write_json(run.folder / LISTENING, {"clips": rows, **filtered, **generated})


def training_codes(*coded: CachedArtifact) -> tuple[list[Codes], list[Codes]]:
    """Read the codes of training and of validation clips."""
    clips = [clip for artifact in coded for clip in read_codes(artifact.folder)[1]]
    train, validation = ([clip.codes for clip in clips if clip.split == split] for split in TRAINED_ON)
    return train, validation


def _originals(prompts: Sequence[Prompt], codes: Sequence[Codes], other: Bigram) -> dict[str, float | None]:
    """Measure what follows the prompts in the recordings, as generated codes are measured."""
    before, after = list[Codes](), list[Codes]()
    for prompt, own in zip(prompts, codes, strict=True):
        start = min(len(prompt.codes.finest.values), len(own.values))
        before.append(own.crop(0, start))
        after.append(own.crop(start, len(own.values)))
    return plausibility(before, after, other=other)


CONTINUATION, UNCONDITIONAL = "continuation", "unconditional"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A sound that a language model is to make."""

    temperature: float
    number: int  # among the sounds of its temperature that begin alike
    clip: int | None = None  # number of the clip that it continues; None: it continues none
    name: str = ""  # of the clip
    prompt: Prompt | None = None
    voice: str | None = None  # group of the clip

    @property
    def kind(self) -> str:
        return UNCONDITIONAL if self.prompt is None else CONTINUATION

    @property
    def title(self) -> str:
        return f"{self.kind}_{self.temperature:g}_{self.number}"

    @property
    def before(self) -> Codes | None:
        return None if self.prompt is None else self.prompt.codes


def generate_samples(
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
    """Write WAV files into ``folder``; return a row for each (``generated``), and their diversity (``diversity``).

    Prompts come with the names of their clips, and the groups whose voices continue them; ``other`` measures the codes.
    """
    model = LanguageModel.from_pretrained(model_folder, device=str(session.gang.device))
    wanted, codes = list[Wanted](), list[Codes]()
    for temperature in config.temperatures:
        own = [
            Wanted(temperature=temperature, number=number, clip=clip, name=name, prompt=prompt, voice=voice)
            for clip, (name, prompt, voice) in enumerate(prompts)
            for number in range(config.continuations)
        ]
        own += [Wanted(temperature=temperature, number=number) for number in range(config.unconditional)]
        sampling, known = CodeSampling(temperature=temperature, top_k=config.top_k), [each.before for each in own]
        codes += model.generate_batch(known, seconds=config.continuation_seconds, sampling=sampling, seed=config.seed)
        wanted += own
    if not wanted:
        return {}
    with session.terminal.working("generating continuations", 1, "samples") as progress:
        new = synthesis.sounds(
            codes,
            [each.voice for each in wanted],
            names=[f"{each.name} {each.title}" for each in wanted],
            prompts=[each.prompt for each in wanted],
            progress=progress.advance_to,
        )
    pitched: list[measures.Figures] = [{} for _ in wanted]
    if measures_pitch(config, tokenizer.format.sample_rate):
        before = [*session.each("pitch of prompts", measures.median_pitch, [each.waveform for _, each, _ in prompts])]
        after = session.each("pitch of generated sounds", measures.median_pitch, new)
        pitched = [
            measures.pitch_distances(pitch, before, each.clip) for pitch, each in zip(after, wanted, strict=True)
        ]
    generated_rows, sets = list[dict[str, object]](), dict[tuple[str, float], list[tuple[Codes | None, Codes, Codes]]]()
    for each, made, sound, pitch in zip(wanted, codes, new, pitched, strict=True):
        file = f"{each.title}.wav" if each.clip is None else f"{each.clip}_{each.title}.wav"
        again, figures = _write_sound(folder / file, tokenizer, each.prompt, made, sound)
        row = {"kind": each.kind, "file": file, "clip": each.clip, "temperature": each.temperature}
        generated_rows.append(row | {"figures": {**figures, **pitch}})
        sets.setdefault((each.kind, each.temperature), []).append((each.before, made, again))
    diversities: list[dict[str, object]] = []
    for (kind, temperature), rows in sets.items():
        past, generated, heard = ([*column] for column in zip(*rows, strict=True))
        figures = diversity(model, past, generated, heard, other=other)
        diversities.append({"of": kind, "temperature": temperature, "sounds": len(rows), **figures})
    return {"generated": generated_rows, "diversity": diversities}


def _write_sound(
    file: Path, tokenizer: Tokenizer, prompt: Prompt | None, codes: Codes, sound: Waveform
) -> tuple[Codes, measures.Figures]:
    """Write the sound of new codes behind its prompt; return the codes of the new sound, and figures."""
    whole = joined_sound(prompt.waveform, sound) if prompt else sound
    whole.write(file)
    start = len(prompt.codes.values) if prompt else 0
    again = tokenizer.encode(whole).crop(start, start + len(codes.values))
    figures: measures.Figures = {"prompt_seconds": prompt.waveform.seconds} if prompt else {}
    if len(again.finest.values):
        figures |= {"code_agreement": measures.code_agreement(codes.finest, again.finest)}
    return again, {**figures, **measures.sound_levels(sound)}


LABEL_ACCURACY = "label_accuracy.json"
EVALUATORS: dict[EvaluatorName, str] = {
    "probe": "a linear probe of log-mel",
    "codes": "a linear probe of the codes of the sound",
    "supervised": "a supervised network",
}
# evaluators that are linear probes -> the method whose features they read, and the function that computes them; others
# are networks of the table of backbones
PROBED: dict[EvaluatorName, tuple[str, Callable[[Encoder, View], dict[str, FloatArray]]]] = {
    "probe": ("log_mel", log_mel_vectors),
    "codes": (BAG_OF_CODES, bag_features),
}


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    name: EvaluatorName
    inputs: tuple[CachedArtifact, ...]  # that decide its answers
    describe: Callable[[View], dict[str, FloatArray]]  # pools the features (dim,) of a sound, in any process
    scores: Callable[[Mapping[str, FloatArray]], FloatArray]  # pooled features (sounds, dim) -> (sounds, classes)

    @property
    def key(self) -> list[object]:
        return [self.name, *self.inputs]

    @property
    def title(self) -> str:
        return EVALUATORS[self.name]


def create_probe_evaluator(name: EvaluatorName, tokenizer: Encoder, probe: CachedArtifact) -> Evaluator:
    """Return the linear probe that is best on validation, with mean and thirds of the clip as it is as candidates."""
    describe, scores = partial(PROBED[name][1], tokenizer), partial(_probe_scores, probe)
    return Evaluator(name=name, inputs=(probe,), describe=describe, scores=scores)


def _probe_scores(probe: CachedArtifact, pooled: Mapping[str, FloatArray]) -> FloatArray:
    fitted = FittedProbe.from_pretrained(probe.folder)
    return fitted.scores(pooled[fitted.description.of])


def label_task(session: Session, manifest: Clips, config: ProbeConfig) -> ProbeTask | None:
    """Return the task of recognising labels; None, after a printed reason, if clips have none, or several each."""
    try:
        task = probe_task(manifest, config)
        if not task.multi_label:
            return task
        why = "clips have several labels each"
    except InputError as error:
        why = str(error)
    session.terminal.say(f"evaluator no label accuracy: {why}")
    return None


@stage(
    "label_accuracy",
    title="labels of sounds, by {evaluator.title}",
)
def label_accuracy(
    run: StageRun, evaluator: Evaluator, decoded: CachedArtifact, listening: CachedArtifact, classes: Sequence[str]
) -> None:
    """Classify each decoded clip, its original, and each sound of the language model."""
    paths = decoded_paths(decoded)
    kinds = [kinds_of(decoded.folder, number) for number in range(len(paths))]
    sounds = [whole_clip(decoded.folder, wav_name(number, kind)) for number, own in enumerate(kinds) for kind in own]
    parts = [(row, new_part(listening.folder, row)) for row in listening.read_rows(LISTENING, "generated")]
    parts = [(row, part) for row, part in parts if part.num_samples]
    found = iter(name_labels(run, evaluator, [*sounds, *(part for _, part in parts)], classes))
    heard = [{kind: next(found) for kind in own} for own in kinds]
    clips = [{"path": path, "labels": own} for path, own in zip(paths, heard, strict=True)]
    counts: dict[tuple[str, float], Counter[str]] = {}
    for (row, _), label in zip(parts, found, strict=True):
        counts.setdefault((row["kind"], row["temperature"]), Counter())[label] += 1
    generated_rows = [
        {"of": kind, "temperature": value, "classes": dict(each)} for (kind, value), each in counts.items()
    ]
    write_json(run.folder / LABEL_ACCURACY, {"evaluator": evaluator.name, "clips": clips, "generated": generated_rows})


def name_labels(session: Session, evaluator: Evaluator, sounds: Sequence[Clip], classes: Sequence[str]) -> list[str]:
    """Return the most probable class of each sound."""
    rows = [*session.each("recognising", evaluator.describe, [*map(View, sounds)])]
    with limit_pools(1):
        scores = evaluator.scores(stacked_rows(rows))
    return [classes[number] for number in np.argmax(scores, axis=1)]


def whole_clip(root: Path, name: str) -> Clip:
    """Describe a WAV file as a clip, whose absolute path needs no root."""
    path = (root / name).absolute()
    about = soundfile.info(path)
    return Clip(path=str(path), num_samples=about.frames, sample_rate=about.samplerate, size=0, sha256="")


def new_part(root: Path, row: Mapping[str, Any]) -> Clip:
    """Return the new part of a language model's sound: everything after its prompt, if it has one."""
    sound = whole_clip(root, row["file"])
    start = round(row["figures"].get("prompt_seconds", 0.0) * sound.sample_rate)
    return replace(sound, start=start, num_samples=max(sound.num_samples - start, 0))
