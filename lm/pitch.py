"""Side streams: a head predicts the pitch of each time step from the states of a GPT.

The GPT reads and predicts codes of the spectrum alone. The level and other streams keep the last value of the prompt:
the sound goes on as loud as it was. When the codes of a time step are known, the head of the pitch reads::

    state of the GPT      that has read the codes of this time step
    voice before          1 if the time step before has a voice
    height before         of that voice, above the median of the voices so far
    median so far         of all voices before, above that of the training recordings

and predicts whether there is a voice, and its pitch. So a continuation keeps the melody and the height of its prompt.
The first voice of a sound is predicted from the state alone. All predictions are linear, and fitted by ridge
regression on the recorded pitch. At the begin and the end of a voice the tracker errs by octaves, so the regression of
the pitch is robust (Huber 1964), and a drawn pitch has Gaussian noise that is as large as the central half of the
residuals.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from lm.gpt import GPT, CodeSampling
from lm.model import LanguageModel, Saved, gpt_card
from tokenizer.codes import Codes, CodesFormat, PitchFormat, join_codes, require_codes, require_same_codebook
from wordless.base.arrays import DoubleArray, IntArray
from wordless.base.messages import require
from wordless.base.options import build
from wordless.base.seeds import named_seed

PAST = 4  # inputs beside the state: known, median so far, voice before, height before
_PENALTY = 100.0  # of the state's weights, on standardised inputs
_CLOSE, _ROUNDS = 0.05, 10  # octaves: larger residuals weigh less; and rounds of weighting
_VOICED = 0.5  # prediction above which there is a voice
CENTRAL = 1.349  # standard deviations between the quartiles of a Gaussian
_TOGETHER = 16  # time steps of a stream whose states are computed together
CENTS = 1200  # of an octave
FITTED_STEPS = 10_000  # time steps of training clips to which the head is fitted


@dataclass(frozen=True, kw_only=True)
class PitchHead:
    """The weights of the predictions: a constant, the `PAST`, and the state's ``(1 + PAST + model_dim,)``."""

    voicing: tuple[float, ...]  # about 1 in time steps with a voice, 0 in others
    height: tuple[float, ...]  # octaves above `middle`
    first: tuple[float, ...]  # the same of the first voice of a sound, whose weights of the past are 0
    middle: float  # median of the training recordings' voices, binary logarithm of Hz
    spread: float  # octaves, of a pitch around its prediction
    first_spread: float  # the same of the first voice

    @classmethod
    def silent(cls, model_dim: int) -> "PitchHead":
        """Return the head of an untrained model, which predicts no voice."""
        nothing = (0.0,) * (1 + PAST + model_dim)
        return cls(voicing=nothing, height=nothing, first=nothing, middle=0.0, spread=0.0, first_spread=0.0)

    def require_width(self, model_dim: int) -> None:
        """Refuse weights for states of another width."""
        for name in ("voicing", "height", "first"):
            rule = f"it must be {1 + PAST + model_dim}: a constant, {PAST} of the past, and the state's {model_dim}"
            weights = getattr(self, name)
            require(len(weights) == 1 + PAST + model_dim, f"pitch.{name}", f"a list of {len(weights)}", rule)

    def predict(
        self, states: DoubleArray, past: IntArray, codes: PitchFormat, rng: np.random.Generator, *, temperature: float
    ) -> IntArray:
        """Predict the pitch codes of ``states (steps, dim)`` after ``past (time,)``; ``temperature`` scales noise."""
        weights = np.array([self.voicing, self.height, self.first])  # (3, 1 + PAST + dim)
        of_states, noise = states @ weights[:, 1 + PAST :].T, temperature * rng.standard_normal(len(states))
        voices, octaves, found = _Voices(self.middle), codes.octaves, np.zeros(len(states), np.int32)
        for code in past:
            voices.add(octaves[code])
        for step, (own, draw) in enumerate(zip(of_states, noise, strict=True)):
            voicing, height, first = own + weights[:, 0] + weights[:, 1 : 1 + PAST] @ voices.inputs
            if voicing > _VOICED:
                above = height + self.spread * draw if voices.sorted else first + self.first_spread * draw
                found[step] = codes.quantise(np.array([self.middle + above]))[0]
            voices.add(octaves[found[step]])
        return found


class _Voices:
    """The voices so far, as the head reads them."""

    def __init__(self, middle: float) -> None:
        self.middle, self.sorted = middle, list[float]()  # binary logarithms of Hz
        self.before = np.nan  # of the time step before

    def add(self, octaves: float) -> None:
        """Add a time step; nan: no voice."""
        self.before = octaves
        if not np.isnan(octaves):
            insort(self.sorted, float(octaves))

    @property
    def inputs(self) -> DoubleArray:
        """The inputs beside the state ``(PAST,)``."""
        if not self.sorted:
            return np.zeros(PAST)
        median, voiced = self.sorted[len(self.sorted) // 2], not np.isnan(self.before)
        return np.array([1.0, median - self.middle, voiced, self.before - median if voiced else 0.0])


def fit_pitch(clips: Iterable[tuple[DoubleArray, IntArray]], codes: PitchFormat, model_dim: int) -> PitchHead:
    """Fit a head to states ``(time, model_dim)`` and codes of pitch ``(time,)``; without two voices it is silent."""
    known = [(states, codes.octaves[pitch]) for states, pitch in clips]
    every = np.concatenate([np.zeros(0), *(octaves for _, octaves in known)])
    if np.isfinite(every).sum() < 2:
        return PitchHead.silent(model_dim)
    middle, inputs = float(np.nanmedian(every)), list[DoubleArray]()
    for states, octaves in known:
        voices, rows = _Voices(middle), np.zeros((len(octaves), PAST))
        for step, own in enumerate(octaves):
            rows[step] = voices.inputs
            voices.add(own)
        inputs.append(np.concatenate([rows, states], axis=1))
    read, voiced = np.concatenate(inputs), np.isfinite(every)
    heights, later = every[voiced] - middle, read[voiced][:, 0] > 0
    without = read[voiced].copy()
    without[:, :PAST] = 0
    voicing, first = _ridge(read, voiced.astype(float)), _ridge(without, heights, rounds=_ROUNDS)
    height = _ridge(read[voiced][later], heights[later], rounds=_ROUNDS) if later.any() else first
    return PitchHead(
        voicing=_rounded(voicing),
        height=_rounded(height),
        first=_rounded(first),
        middle=round(middle, 6),
        spread=_spread(heights[later] - height[0] - read[voiced][later] @ height[1:]),
        first_spread=_spread(heights - first[0] - without @ first[1:]),
    )


def _ridge(inputs: DoubleArray, wanted: DoubleArray, *, rounds: int = 0) -> DoubleArray:
    """Fit constant and weights ``(1 + inputs,)``; in each further round, far residuals weigh less."""
    std = inputs.std(axis=0).clip(1e-6)
    penalty = np.diag(np.where(np.arange(inputs.shape[1]) < PAST, 1e-3, _PENALTY))
    trust, found = np.ones(len(wanted)), np.zeros(1 + inputs.shape[1])
    for number in range(1 + rounds):
        if number:
            residuals = wanted - found[0] - inputs @ found[1:]
            trust = _CLOSE / np.abs(residuals).clip(_CLOSE)
        mean, middle = trust @ inputs / trust.sum(), trust @ wanted / trust.sum()
        scaled = (inputs - mean) / std
        weighted = scaled.T * trust
        weights = np.linalg.solve(weighted @ scaled + penalty, weighted @ (wanted - middle)) / std
        found = np.append(middle - mean @ weights, weights)
    return found


def _rounded(weights: DoubleArray) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in weights)


def _spread(residuals: DoubleArray) -> float:
    low, high = np.percentile(residuals, (25, 75)) if len(residuals) else (0.0, 0.0)
    return round(float(high - low) / CENTRAL, 6)


class WithStreams(LanguageModel):
    """A language model of codes with side streams, which its GPT neither reads nor predicts.

    ``pitch`` predicts the side stream of pitch, at first that there is no voice; None: the codes have no such stream.
    """

    def __init__(
        self, gpt: GPT, codes_format: CodesFormat, pitch: PitchHead | None = None, *, name: str = "the language model"
    ) -> None:
        super().__init__(gpt, codes_format.spectral, name=name)
        self.format, self.pitch = codes_format, pitch
        if pitch is None and codes_format.pitch is not None:
            self.pitch = PitchHead.silent(gpt.config.model_dim)

    def read_side_streams(self, saved: Saved) -> None:
        if saved.pitch is not None:
            self.pitch = build(PitchHead, saved.pitch, name="pitch")
            self.pitch.require_width(saved.gpt.model_dim)

    def save_pretrained(self, folder: Path | str) -> None:
        head = {} if self.pitch is None else {"pitch": asdict(self.pitch)}
        self._save(folder, head, gpt_card(self.gpt, self.predicted, began_at=self.began_at))

    def require_own(self, codes: Codes) -> None:
        """Refuse codes of another codebook; those without the side streams are of the same."""
        require_codes(codes, "codes")
        require_same_codebook(
            self.format if codes.format.side_streams else self.predicted, codes.format, owner=self.name
        )

    def own(self, codes: Codes) -> Codes:
        self.require_own(codes)
        return codes.spectral

    def _continue(
        self, prompts: Sequence[Codes | None], num_samples: int, sampling: CodeSampling, seed: int
    ) -> list[Codes]:
        """Generate a continuation of each prompt; its pitch is drawn after its codes."""
        codes = super()._continue(prompts, num_samples, sampling, seed)
        return [
            self.add_side_streams(new, prompt, _draws(seed, number), temperature=sampling.temperature)
            for number, (prompt, new) in enumerate(zip(prompts, codes, strict=True))
        ]

    def _stream(self, prompt: Codes | None, num_samples: int, sampling: CodeSampling, seed: int) -> Iterator[Codes]:
        """Give the continuation of one prompt by time steps, some of which come together."""
        new, rng, past = super()._stream(prompt, num_samples, sampling, seed), _draws(seed, 0), prompt
        while steps := [*islice(new, _TOGETHER)]:
            codes = self.add_side_streams(join_codes(*steps), past, rng, temperature=sampling.temperature)
            past = codes if past is None else join_codes(self._whole(past).with_side_streams(self.format), codes)
            yield from (codes.crop(number, number + 1) for number in range(len(codes)))

    def add_side_streams(
        self,
        codes: Codes,
        past: Codes | None = None,
        rng: np.random.Generator | None = None,
        *,
        temperature: float = 0.0,
    ) -> Codes:
        """Add side streams to codes that have none and follow ``past``; ``temperature`` scales the pitch's noise."""
        past = (codes.crop(0, 0) if past is None else self._whole(past)).with_side_streams(self.format)
        added = {own: np.full(len(codes), past.side_stream(own)[-1]) for own in self.format.side_streams if len(past)}
        if self.pitch is not None and (pitch := self.format.pitch) is not None:
            states = self._last_states(join_codes(past.spectral, codes), first=len(past))
            rng, before = rng or np.random.default_rng(0), past.side_stream(pitch)
            added[pitch] = self.pitch.predict(states, before, pitch, rng, temperature=temperature)
        return codes.with_side_streams(self.format, added)

    def fit_side_streams(self, train: Sequence[Codes], validation: Sequence[Codes]) -> dict[str, float]:
        self.fit_pitch(_spread_out(train))
        return pitch_errors(self, _spread_out(validation))

    def fit_pitch(self, clips: Sequence[Codes]) -> None:
        """Fit the head of the side stream of pitch to recordings, whose pitch is known."""
        if self.pitch is not None and (pitch := self.format.pitch) is not None:
            read = ((self._last_states(clip), clip.side_stream(pitch)) for clip in clips)
            self.pitch = fit_pitch(read, pitch, self.gpt.config.model_dim)

    def _last_states(self, codes: Codes, *, first: int = 0) -> DoubleArray:
        """Return the last layer's states that have read each time step from ``first`` on ``(time, model_dim)``."""
        states, streams = self.hidden_states(codes, [self.gpt.config.layers], first=first)[0], self.predicted.streams
        last: DoubleArray = states[streams - 1 :: streams].double().cpu().numpy()
        return last[len(last) - len(codes) + first :]


def _spread_out(clips: Sequence[Codes]) -> list[Codes]:
    """Choose clips at equal distances, of about `FITTED_STEPS` time steps together."""
    return [*clips[:: -(-sum(map(len, clips)) // FITTED_STEPS)]]


def _draws(seed: int, number: int) -> np.random.Generator:
    """Return the random numbers of the pitch of a continuation: others than those of its codes."""
    return np.random.default_rng([seed, number, named_seed("pitch")])


def pitch_errors(model: WithStreams, clips: Sequence[Codes]) -> dict[str, float]:
    """Measure the predicted pitch of the second half of recordings, whose first half has its recorded pitch.

    The error is the root mean square over the time steps with a voice in both, in cents, and voicing is wrong where one
    of both has a voice: means over clips.
    """
    errors, wrong = list[float](), list[float]()
    for clip in clips if model.pitch is not None else ():
        first, second = clip.crop(0, len(clip) // 2), clip.crop(len(clip) // 2, len(clip))
        given = clip.format.pitch
        if not len(first) or given is None:
            continue
        true, own = (each.side_stream(given) for each in (second, model.add_side_streams(second.spectral, first)))
        wrong.append(float(((true > 0) != (own > 0)).mean()))
        if (both := (true > 0) & (own > 0)).any():
            octaves = given.octaves[own[both]] - given.octaves[true[both]]
            errors.append(CENTS * float(np.sqrt(np.square(octaves).mean())))
    found = {"predicted_pitch_error": errors, "predicted_voicing_error": wrong}
    return {name: float(np.mean(each)) for name, each in found.items() if each}
