"""The answers of the page: from its inputs to what it shows, without Gradio."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np
from markupsafe import Markup

from lm.generation import Sampling
from pipelines.demonstration.analysis import Analysis, analyse
from pipelines.demonstration.elements import PlayedSound, StreamText, draw_sound, players
from pipelines.demonstration.models import DemoModels
from pipelines.jobs.generate import sample_name
from vocoder.continuing import Coder, Prompt, joined_sound
from vocoder.kinds import BY_KEY, Kind
from wordless.audio.waveform import FloatArray, Waveform
from wordless.base.errors import InputError
from wordless.base.ranges import require
from wordless.base.seeds import require_seed

MOST_SECONDS = 30.0  # of new sound
QUIET_DB = 30.0  # a block this far below the prompt's loudest block counts as silence
BLOCK_SECONDS = 0.02
MOSTLY = 0.8  # share of blocks
T = TypeVar("T")
AVERAGE = "average of all voices"
SOUND = "sound"  # name of the decoded sound, from which its random numbers follow
LEAD_SECONDS = 1.5  # of the prompt, played while the first pieces of a continuation are made
QUIET = "Most of the continuation is silence. Continue earlier in the sound, or choose another seed or temperature."


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks for."""

    after: float  # seconds of the sound that are the prompt, in whole codes
    seconds: float  # of new sound
    temperature: float  # of the language model
    seed: int
    kind: Kind  # of the sound
    group: str | None = None  # voice; None: the average

    def __post_init__(self) -> None:
        rule = f"ask for more than 0 and at most {MOST_SECONDS:g} s"
        require(0 < self.seconds <= MOST_SECONDS, "seconds", self.seconds, rule)
        _ = self.sampling
        require_seed(self.seed, "seed")

    @property
    def sampling(self) -> Sampling:
        """Sampling options of the language model."""
        return Sampling(temperature=self.temperature, top_k=50)  # as `wordless generate`


def prompt_of(analysis: Analysis, after: float, coder: Coder) -> Prompt:
    """Return the beginning of a sound, in whole codes, at least one, encoded as if nothing followed it."""
    form = analysis.codes.format
    steps = min(round(after * form.codes_per_second), analysis.whole_steps)
    if steps < 1:
        raise InputError(f"The prompt is shorter than one code, {1 / form.codes_per_second:.3f} s; continue later.")
    return Prompt.alone(analysis.waveform, coder, 0, steps)


def continue_sound(models: DemoModels, prompt: Prompt, request: Request) -> Iterator[Waveform]:
    """Give the sound after a prompt, piece by piece, as soon as the models have made a piece.

    Together the pieces are the sound of ``wordless generate`` with the same prompt and options. Codes at several rates
    are generated before the first piece, because finer codes follow from all coarser ones.
    """
    model = models.language_model
    assert model is not None, "a run without a language model offers no continuation"
    length, sampling, seed = request.seconds, request.sampling, request.seed
    codes = model.stream(prompt.codes, seconds=length, sampling=sampling, seed=seed)
    synthesis = models.synthesis(request.kind, group=request.group, seed=seed)
    finest = (each.finest for each in codes)
    return synthesis.continued(prompt.finest, finest, None, name=sample_name(0))


def mostly_silent(prompt: Waveform, more: Waveform) -> bool:
    """Return whether most of a continuation is far softer than the loudest part of its prompt."""
    loudest = _levels(prompt).max(initial=-np.inf)
    levels = _levels(more)
    return bool(len(levels)) and float((levels < loudest - QUIET_DB).mean()) > MOSTLY


def _levels(sound: Waveform) -> FloatArray:
    """Compute the level of each block in dB."""
    size = max(round(BLOCK_SECONDS * sound.sample_rate), 1)
    blocks = sound.samples[: len(sound.samples) // size * size].reshape(-1, size)
    levels: FloatArray = 10 * np.log10((blocks**2).mean(axis=1) + 1e-12)
    return levels


@dataclass(frozen=True, kw_only=True)
class SoundView:
    """What the page shows of a sound; empty where there is none."""

    analysis: Analysis | None = None
    problem: str = ""
    facts: str = ""
    drawing: Markup = field(default_factory=Markup)
    codes: str = ""
    answers: dict[str, float] | str | None = None  # scores of classes, or the highest of a ridge alone


@dataclass(frozen=True, kw_only=True)
class ContinuationView:
    """What the page shows while a sound is continued."""

    stream: str = ""  # `StreamText`
    status: str = ""
    problem: str = ""
    player: Markup = field(default_factory=Markup)


class DemoAnswers:
    """The answers of a run to any number of users.

    One thing is computed at a time, because the engines of WaveNet share their threads, and matplotlib its settings.
    Users take turns after each piece of sound, so all of them are served.
    """

    def __init__(self, models: DemoModels, *, max_seconds: float) -> None:
        self.models, self.max_seconds = models, max_seconds
        self._turn, self._streams = Lock(), count()

    def show(self, path: Path | None) -> SoundView:
        """Analyse a sound; no sound shows nothing, and a sound that cannot be used a sentence that says why."""
        if path is None:
            return SoundView()
        try:
            analysis, drawing = self._alone(lambda: self._analysis_and_drawing(path))
        except InputError as error:
            return SoundView(problem=str(error))
        return SoundView(
            analysis=analysis,
            facts=analysis.facts(),
            drawing=drawing,
            codes=codes_text(analysis),
            answers=self._answers(analysis),
        )

    def hear(self, analysis: Analysis | None, voice: str | None) -> Iterator[Markup]:
        """Give the players of a sound and of its codes, again after each sound that is made."""
        if analysis is None:
            yield Markup()
            return
        kinds = self.models.kinds
        notes = "as the models read it: mono, at their sample rate"
        made = [PlayedSound(title="Recording", note=notes, sound=analysis.waveform)]
        for place, kind in enumerate(kinds):
            waiting = [PlayedSound(title=each.heading, note="", sound=None) for each in kinds[place:]]
            yield players([*made, *waiting])
            synthesis = self.models.synthesis(kind, group=group_of(voice) if kind.learned else None)
            (sound,) = self._alone(lambda: synthesis.sounds([analysis.finest], [None], names=[SOUND]))  # noqa: B023  called at once
            made.append(PlayedSound(title=kind.heading, note=kind.explanation, sound=sound))
        yield players(made)

    def continue_it(
        self,
        analysis: Analysis | None,
        *,
        after: float,
        seconds: float,
        temperature: float,
        seed: int,
        kind: str,
        voice: str | None,
    ) -> Iterator[ContinuationView]:
        """Continue a sound piece by piece; the last answer holds a player of the sound and its continuation."""
        if analysis is None:
            yield ContinuationView(problem="There is no sound to continue yet; record one, or drop a file.")
            return
        try:
            own = BY_KEY[kind]
            group = group_of(voice) if own.learned else None
            request = Request(after=after, seconds=seconds, temperature=temperature, seed=seed, kind=own, group=group)
            yield from self._continue(analysis, request)
        except InputError as error:
            yield ContinuationView(problem=f"{error}")

    def _continue(self, analysis: Analysis, request: Request) -> Iterator[ContinuationView]:
        prompt = self._alone(lambda: prompt_of(analysis, request.after, self.models.tokenizer))
        rate, sound = prompt.waveform.sample_rate, prompt.waveform.samples
        stream = StreamText(f"stream-{next(self._streams)}", rate)
        yield ContinuationView(
            stream=stream.add(sound[-round(LEAD_SECONDS * rate) :]), status="The GPT reads the prompt …"
        )
        made: list[Waveform] = []
        for piece in self._in_turns(continue_sound(self.models, prompt, request)):
            made.append(piece)
            done = sum(each.seconds for each in made)
            yield ContinuationView(
                stream=stream.add(piece.samples), status=f"{done:.1f} of {request.seconds:g} s are made …"
            )
        more = Waveform(samples=np.concatenate([each.samples for each in made]), sample_rate=rate)
        note = f"{prompt.waveform.seconds:.2f} s of the sound, then {more.seconds:.2f} s that the GPT continued"
        played = PlayedSound(title="Sound and continuation", note=note, sound=joined_sound(prompt.waveform, more))
        quiet = QUIET if mostly_silent(prompt.waveform, more) else ""
        yield ContinuationView(stream=stream.text, status=quiet, player=players([played]))

    def _analysis_and_drawing(self, path: Path) -> tuple[Analysis, Markup]:
        analysis = analyse(self.models, path, max_seconds=self.max_seconds)
        return analysis, draw_sound(analysis)

    def _answers(self, analysis: Analysis) -> dict[str, float] | str | None:
        probe, answers = self.models.probe, analysis.answers
        if probe is None or answers is None:
            return None
        return next(iter(answers)) if probe.description.answer == "value" else dict(answers)

    def _alone(self, work: Callable[[], T]) -> T:
        with self._turn:
            return work()

    def _in_turns(self, pieces: Iterable[T]) -> Iterator[T]:
        """Give what an iterator gives, and leave the models to other users while nobody waits for its next item."""
        each = iter(pieces)
        with suppress(StopIteration):
            while True:
                yield self._alone(lambda: next(each))


def group_of(voice: str | None) -> str | None:
    """Return the group of a choice of the page."""
    return None if voice in (None, AVERAGE) else voice


def codes_text(analysis: Analysis) -> str:
    """Write the codes: those of a time step side by side with commas, a line for each of several rates."""
    rates = analysis.codes.by_rate
    lines = [" ".join(",".join(map(str, step)) for step in each.values.tolist()) for each in rates]
    return lines[0] if len(lines) == 1 else "\n".join(f"rate {n}: {line}" for n, line in enumerate(lines, 1))
