"""The language model of codes: loading, saving, scoring and generating.

Codes at several rates have a model for each rate. The model of a finer rate is an upsampler: it predicts the codes of
its rate, and reads those of the coarser rates. Together they continue recordings by ancestral sampling, as in Jukebox
(Dhariwal et al. 2020, arXiv:2005.00341), from coarse to fine::

    rate 1   [ prompt ][ continued by a GPT ]
    rate 2   [ prompt ][ from all of rate 1, old and new ]
    rate 3   [ prompt ][ from all of rates 1 and 2 ]

The GPT neither reads nor predicts streams beside the codes. A head fills in the pitch (`lm.pitch`), and other streams
keep the last value of the prompt: the sound goes on as loud as it was.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from lm.batches import CodeSequences, loss, validation_batches
from lm.gpt import GPT, continue_codes, create_gpt, stream_codes
from lm.options import LOOK_AHEAD, RESIDUAL, CodeSampling, GPTConfig, States
from lm.pitch import PitchHead, fit_pitch
from lm.probing.vectors import StatesOfBatch
from lm.tokens import Conditions, Vocabulary, Window, windows
from tokenizer.codes import Codes, CodesFormat, SoftCodes, join_codes, join_rates, require_codes, require_same_codebook
from tokenizer.saved import load_rates, save_rates
from wordless.base.array_types import DoubleArray, FloatArray, IntArray
from wordless.base.errors import InputError, OldModelError, require, samples_to_generate
from wordless.base.machine import copy_to, require_device
from wordless.base.saved_models import (
    LANGUAGE_MODEL,
    holds_rates,
    load_network,
    model_card,
    model_folder,
    reading,
    write_model,
)
from wordless.base.seeds import named_seed, require_seed
from wordless.base.text import escape_markdown

PITCHED_TOGETHER = 16  # time steps of a stream whose states are computed together


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """The content of ``config.json``."""

    gpt: GPTConfig
    codes: CodesFormat
    look_ahead: int = LOOK_AHEAD  # of an upsampler
    pitch: PitchHead | None = None  # None: the codes have no pitch
    began_at: str | None = None
    weights_sha256: str

    def __post_init__(self) -> None:
        if self.pitch is None:
            if self.codes.pitch is not None:
                raise OldModelError("its GPT reads the pitch among the codes, and this version has it beside them")
        else:
            require(self.codes.pitch is not None, "pitch", "given", "the codes have no stream of pitch")
            self.pitch.require_width(self.gpt.model_dim)


@dataclass(frozen=True, kw_only=True, eq=False)
class GPTInput:
    """A recording as a language model reads it."""

    values: IntArray  # (time, streams) codes that the model predicts
    # (time + 1, columns) of an upsampler; the last row is that of the code that follows
    conditions: IntArray | None = None
    soft: SoftCodes | None = None  # which codes the sound is near to

    @property
    def steps(self) -> IntArray:
        """Codes and conditions side by side, as `lm.batches` keeps them."""
        return self.values if self.conditions is None else np.concatenate([self.values, self.conditions[:-1]], axis=1)


class LanguageModel:
    """A GPT and the format of the codes that it was trained on; codes of another codebook are refused.

    ``gpt`` predicts the codes of the finest rate of the format. An upsampler cannot generate without ``coarser``, the
    models of the coarser rates, coarse to fine. ``pitch`` predicts the stream of pitch beside the codes; None: there is
    none. Messages call the model by its ``name``.
    """

    def __init__(
        self,
        gpt: GPT,
        codes_format: CodesFormat,
        *,
        name: str = "the language model",
        coarser: Sequence["LanguageModel"] = (),
        pitch: PitchHead | None = None,
    ) -> None:
        self.gpt = gpt.eval()
        self.format = codes_format  # of the codes that it takes and gives
        self.pitch = pitch
        self.read = codes_format.spectral  # format of the codes that the GPTs read
        self.predicted = self.read.formats[-1]  # format of the codes that it predicts
        self.name = name
        self.coarser = tuple(coarser)
        self.began_at: str | None = None  # SHA-256 of the weights that training began with; None: random weights

    @classmethod
    def create(
        cls, config: GPTConfig, codes_format: CodesFormat, *, seed: int, look_ahead: int = LOOK_AHEAD
    ) -> "LanguageModel":
        """Create an untrained model; an upsampler reads ``look_ahead`` codes after the covering one of each rate."""
        head = None if codes_format.pitch is None else PitchHead.silent(config.model_dim)
        return cls(_gpt(config, codes_format, look_ahead, seed), codes_format, pitch=head)

    @classmethod
    def of_rates(cls, models: Sequence["LanguageModel"], *, name: str = "the language model") -> "LanguageModel":
        """Return the model of all rates, coarse to fine; refuse models that read what the others do not predict."""
        formats = [model.predicted for model in models]
        for number, model in enumerate(models, 1):
            if model.format != CodesFormat.of_rates(formats[:number]):
                raise InputError(
                    f"the model of rate {number} reads codes of codebook {model.format.codebook}, which the models of "
                    "the coarser rates do not predict; take all models from one run"
                )
        *coarser, finest = models
        whole = copy(finest)
        whole.coarser, whole.name = tuple(coarser), name
        return whole

    @property
    def positions_per_step(self) -> int:
        """Positions of the GPT for each time step of the codes that it predicts."""
        return self.gpt.config.positions_per_step(self.predicted.streams)

    @property
    def rates(self) -> tuple["LanguageModel", ...]:
        """The model of each rate, coarse to fine."""
        return (*self.coarser, self)

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, device: str = "cpu") -> "LanguageModel":
        """Load a model that `save_pretrained` wrote, from a folder or, as ``user/name``, from the Hugging Face hub."""
        folder = model_folder(folder, LANGUAGE_MODEL)
        if holds_rates(folder):
            load, name = partial(cls.from_pretrained, device=device), f"the language model {folder}"
            models = load_rates(folder, LANGUAGE_MODEL.name, load, lambda each: cls.of_rates(each).format)
            return cls.of_rates(models, name=name)
        with reading(folder, LANGUAGE_MODEL, _Saved) as saved:
            create = partial(_gpt, saved.gpt, saved.codes, saved.look_ahead, 0)
            model = cls(load_network(create, folder, saved.weights_sha256), saved.codes, pitch=saved.pitch)
        model.name = f"the language model {folder}"
        model.began_at = saved.began_at
        model.gpt.to(require_device(device))
        return model

    def save_pretrained(self, folder: Path | str) -> None:
        """Write model.safetensors, README.md and, last, config.json; of several rates, a folder for each."""
        folder = Path(folder).expanduser()
        if self.coarser:
            alone, rates = copy(self), enumerate(self.format.formats, 1)
            alone.coarser = ()
            rows = {f"`rate_{number}`": f"{own.codes_per_second:g} time steps per second" for number, own in rates}
            about = _RATES.format(count=len(rows))
            card = _card("Unit language model of several rates", about, rows, self.format)
            return save_rates(folder, [each.save_pretrained for each in (*self.coarser, alone)], self.format, card=card)
        config: dict[str, object] = {"gpt": asdict(self.gpt.config), "codes": self.format.as_dict()}
        if self.gpt.conditions is not None:
            config["look_ahead"] = self.gpt.conditions.look_ahead
        if self.pitch is not None:
            config["pitch"] = asdict(self.pitch)
        if self.began_at is not None:
            config["began_at"] = self.began_at
        card = gpt_card(self.gpt, self.read, began_at=self.began_at)
        write_model(folder, self.gpt, config, card=card)

    def generate(
        self, prompt: Codes | None = None, *, seconds: float, temperature: float = 1.0, top_k: int = 0, seed: int = 0
    ) -> Codes:
        """Generate a continuation, without the prompt; with no prompt, a recording from its beginning.

        Args:
            prompt: codes of this model's codebook; only whole time steps are read.
            seconds: length of the continuation.
            temperature: divides the logits; 0 takes the most probable code each time.
            top_k: draws among the most probable codes only; 0: among all.
            seed: of the draws; the same seed gives the same codes.

        Raises:
            InputError: the codes are of another codebook, or a number is out of its range.
        """
        sampling = CodeSampling(temperature=temperature, top_k=top_k)
        return self.generate_batch([prompt], seconds=seconds, sampling=sampling, seed=seed)[0]

    def generate_batch(
        self, prompts: Sequence[Codes | None], *, seconds: float, sampling: CodeSampling, seed: int = 0
    ) -> list[Codes]:
        """Generate a continuation of each prompt at all rates, without the prompts.

        Continuation ``i`` depends on the whole time steps of its prompt, the seed and ``i`` alone. Coarser rates are
        continued a little further, so that no upsampler reads an end of the recording, which it knows from training. A
        stream of pitch beside the codes is drawn after them, and others go on as they were.
        """
        if not prompts:
            return []
        self._require_coarser()
        num_samples = samples_to_generate(seconds, self.format.sample_rate)
        require_seed(seed, "seed")
        known = [self._prompt(prompt) for prompt in prompts]  # of each prompt, the codes of each rate
        coarser: list[list[IntArray]] = [[] for _ in prompts]  # of each prompt, prompt and continuation at each rate
        made: list[list[Codes]] = [[] for _ in prompts]
        for place, (model, steps) in enumerate(zip(self.rates, self._steps(num_samples), strict=True)):
            own, conditions = [each[place] for each in known], None
            if (reads := model.gpt.conditions) is not None:
                lengths = [len(values) + steps for values in own]
                conditions = [reads.align(*each) for each in zip(coarser, lengths, strict=True)]
            continued = continue_codes(
                model.gpt, own, steps=steps, sampling=sampling, seed=seed, conditions=conditions, rate=place + 1
            )
            wanted = model.predicted.steps(num_samples)
            for number, (values, more) in enumerate(zip(own, continued, strict=True)):
                coarser[number].append(np.concatenate([values, more]))
                made[number].append(Codes(values=more[:wanted], num_samples=num_samples, format=model.predicted))
        codes = [join_rates(each) for each in made]
        return [
            self.add_beside(new, prompt, _pitch_draws(seed, number), temperature=sampling.temperature)
            for number, (prompt, new) in enumerate(zip(prompts, codes, strict=True))
        ]

    def add_beside(
        self,
        codes: Codes,
        past: Codes | None = None,
        rng: np.random.Generator | None = None,
        *,
        temperature: float = 0.0,
    ) -> Codes:
        """Add the streams beside codes that have none and follow ``past``; ``temperature`` scales the pitch's noise."""
        if not self.format.beside:
            return codes
        past = (codes.crop(0, 0) if past is None else self._whole(past)).with_beside(self.format)
        added = {own: np.full(len(codes), past.beside(own)[-1]) for own in self.format.beside if len(past)}
        if self.pitch is not None and (pitch := self.format.pitch) is not None:
            states = self._last_states(join_codes(past.spectral, codes), first=len(past))
            rng, before = rng or np.random.default_rng(0), past.beside(pitch)
            added[pitch] = self.pitch.predict(states, before, pitch, rng, temperature=temperature)
        return codes.with_beside(self.format, added)

    def fit_pitch(self, clips: Sequence[Codes]) -> None:
        """Fit the head of the stream of pitch to recordings, whose pitch is known."""
        if self.pitch is not None and (pitch := self.format.pitch) is not None:
            read = ((self._last_states(clip), clip.beside(pitch)) for clip in clips)
            self.pitch = fit_pitch(read, pitch, self.gpt.config.model_dim)

    def _last_states(self, codes: Codes, *, first: int = 0) -> DoubleArray:
        """Return the last layer's states that have read each time step from ``first`` on ``(time, model_dim)``."""
        states, streams = self.hidden_states(codes, [self.gpt.config.layers], first=first)[0], self.predicted.streams
        last: DoubleArray = states[streams - 1 :: streams].double().cpu().numpy()
        return last[len(last) - len(codes) + first :]

    def stream(self, prompt: Codes | None, *, seconds: float, sampling: CodeSampling, seed: int = 0) -> Iterator[Codes]:
        """Give the continuation of one prompt by time steps as they are generated; of several rates, all at once."""
        if self.coarser:
            yield from self.generate_batch([prompt], seconds=seconds, sampling=sampling, seed=seed)
            return
        self._require_coarser()
        num_samples = samples_to_generate(seconds, self.format.sample_rate)
        require_seed(seed, "seed")
        steps, step = self.format.steps(num_samples), self.format.samples_per_code
        wanted = stream_codes(self.gpt, self._prompt(prompt)[0], steps=steps, sampling=sampling, seed=seed)
        rng, past, left = _pitch_draws(seed, 0), prompt, num_samples
        together = PITCHED_TOGETHER if self.format.beside else 1
        while values := [*islice(wanted, together)]:
            samples = min(left, len(values) * step)
            codes = Codes(values=np.concatenate(values), num_samples=samples, format=self.predicted)
            if self.format.beside:
                codes = self.add_beside(codes, past, rng, temperature=sampling.temperature)
                past = codes if past is None else join_codes(self._whole(past).with_beside(self.format), codes)
            left -= samples
            yield from (codes.crop(number, number + 1) for number in range(len(codes)))

    @torch.no_grad()
    def hidden_states(self, codes: Codes, layers: Sequence[int] | None = None, *, first: int = 0) -> Tensor:
        """Compute the states of some layers (0: embeddings; None: all) ``(layers, time * streams, model_dim)``.

        State ``p`` has read all codes up to ``p``; with parallel streams, all codes of its time step. Windows that end
        before time step ``first`` are left out.
        """
        config, repeated = self.gpt.config, self.predicted.streams if self.gpt.by_step else 1
        layers = range(1 + config.layers) if layers is None else layers
        for layer in layers:
            rule = f"choose 0 (embeddings) to {config.layers}"
            require(0 <= layer <= config.layers, "layers", layer, rule)
        found = [torch.zeros(len(layers), 0, config.model_dim, device=self.gpt.device, dtype=torch.float32)]
        for places, states in self.states([codes], of=("embeddings", "residual"), first=first):
            wanted = torch.stack([states[f"layer_{layer}"][0] for layer in layers])  # (layers, batch, positions, dim)
            for row, ((_, begin), end) in enumerate(zip(places, states["layer_0"][1].tolist(), strict=True)):
                found.append(wanted[:, row, begin:end].repeat_interleave(repeated, 1))
        return torch.cat(found, dim=1)

    @torch.no_grad()
    def states(
        self,
        recordings: Sequence[Codes | SoftCodes],
        *,
        of: Collection[States | Literal["embeddings"]] = RESIDUAL,
        batch_tokens: int = 8192,
        first: int = 0,
    ) -> Iterator[StatesOfBatch]:
        """Read recordings in windows, and give their `GPT.states` for `lm.probing.vectors.pool_states`.

        Windows of similar length share a batch of at most ``batch_tokens`` tokens (or one window). Those of a recording
        come in order; those that end before time step ``first`` are left out.
        """
        readings, per_step = [self.reading(each) for each in recordings], self.positions_per_step
        passages = [
            (row, window)
            for row, each in enumerate(readings)
            for window in windows(len(each.values), self.gpt.capacity)
            if window.stop > first
        ]
        passages.sort(key=lambda passage: passage[1].start - passage[1].stop)  # the long ones first
        while passages:
            longest = passages[0][1]
            most = max(batch_tokens // (1 + (longest.stop - longest.start) * self.predicted.streams), 1)
            batch, passages = passages[:most], passages[most:]
            tokens, conditions, weights = zip(*(self.inputs(readings[row], own) for row, own in batch), strict=True)
            read = _padded(tokens, self.gpt.vocabulary.pad), _padded(conditions), _padded(weights)
            ends = torch.tensor([1 + (own.stop - own.start) * per_step for _, own in batch])
            places = [(row, 1 + (own.counted - own.start) * per_step) for row, own in batch]
            yield places, {name: (each, ends) for name, each in self.gpt.states(*read, of=of).items()}

    @torch.no_grad()
    def log_probabilities(self, codes: Codes, *, past: int | None = None) -> FloatArray:
        """Compute the log-probability of each finest code, given the codes before it: ``(time, streams)``.

        `generate` draws from this distribution with the default sampling options. With ``past``, a time step is
        predicted from fewer steps before it than these, and from half of them or more, as in windows of a long
        recording.
        """
        reading, capacity = self.reading(codes), self.gpt.capacity
        alike: Iterable[Iterable[Window]]
        if past is None:
            alike = ([window] for window in windows(len(reading.values), capacity))
        else:
            read = windows(len(reading.values), min(past, capacity))
            alike = (some for _, some in groupby(read, key=lambda window: window.stop - window.start))
        found: FloatArray = np.zeros(reading.values.shape, np.float32)
        for some in map(list, alike):
            tokens, conditions, _ = zip(*(self.inputs(reading, window) for window in some), strict=True)
            inputs = (None if each is None else each[:, :-1] for each in (_padded(tokens), _padded(conditions)))
            logits = self.gpt(*inputs).float().log_softmax(-1)
            values = np.stack([reading.values[window.start : window.stop].reshape(-1) for window in some])
            wanted = torch.from_numpy(values.astype(np.int64)).to(logits.device)[..., None]
            chosen = logits.gather(2, wanted).cpu().numpy().reshape(len(some), -1, self.predicted.streams)
            for window, each in zip(some, chosen, strict=True):
                found[window.counted : window.stop] = each[window.counted - window.start :]
        return found

    def log_probabilities_of_rates(self, codes: Codes) -> list[FloatArray]:
        """Compute the log-probability of each code of each rate ``(time, streams)``, coarse to fine."""
        self.require_own(codes)
        parts = codes.by_rate if self.coarser else (codes,)
        return [model.log_probabilities(join_rates(parts[:number])) for number, model in enumerate(self.rates, 1)]

    def log_probabilities_after(self, prompt: Codes | None, codes: Codes) -> FloatArray:
        """Compute the log-probability of each code of a continuation, given the prompt: ``(time, streams)``.

        Of several rates it is that of each finest time step ``(time, 1)``: that of a coarser code is divided equally
        among the finest time steps that it covers.
        """
        whole = self.read_of(codes) if prompt is None else join_codes(self.read_of(prompt), self.read_of(codes))
        start = len(whole.values) - len(codes.values)
        if not self.coarser:
            return self.log_probabilities(whole)[start:]
        finest, steps = self.predicted.samples_per_code, len(whole.finest.values)
        total = np.zeros(steps, np.float32)
        for model, found in zip(self.rates, self.log_probabilities_of_rates(whole), strict=True):
            share, of_codes = model.predicted.samples_per_code // finest, found.sum(1)
            covered = np.minimum(share * np.arange(1, len(of_codes) + 1), steps) - share * np.arange(len(of_codes))
            total += np.repeat(of_codes / covered, covered)
        return total[start * self.format.samples_per_code // finest :, None]

    @torch.no_grad()
    def nats_per_code(self, clips: Sequence[Codes], *, batch_size: int = 16) -> float:
        """Compute the mean negative log-probability over all codes of a list of clips, in nats."""
        if isinstance(clips, Codes) or not clips:
            raise InputError("clips must be a list with codes of one clip or several, such as [codes]")
        sequences = CodeSequences(views=[[self.reading(codes).steps] for codes in clips])
        batches = validation_batches(sequences, self.gpt.vocabulary, batch_size=batch_size, capacity=self.gpt.capacity)
        total = torch.zeros((), dtype=torch.float64, device=self.gpt.device)
        for batch in batches:
            total += loss(self.gpt, batch.to(self.gpt.device))[0].double()
        return float(total) / sum(self.read_of(codes).finest.values.size for codes in clips)

    def read_of(self, codes: Codes) -> Codes:
        """Return the codes that the GPTs read, without the streams beside them."""
        return codes.spectral

    def perplexity(self, clips: Sequence[Codes], *, batch_size: int = 16) -> float:
        """Compute the perplexity, exp(nats per code): the number of equally probable codes of the same entropy."""
        return math.exp(self.nats_per_code(clips, batch_size=batch_size))

    def require_own(self, codes: Codes) -> None:
        """Refuse codes of another codebook; those without the streams beside them are of the same."""
        require_codes(codes, "codes")
        require_same_codebook(self.format if codes.format.beside else self.read, codes.format, owner=self.name)

    def reading(self, recording: Codes | SoftCodes) -> GPTInput:
        """Divide codes into those that the model predicts, and those of coarser rates, which are hard and only read."""
        if isinstance(recording, SoftCodes):
            self.require_own(recording.codes)
            if self.gpt.conditions is not None:
                raise InputError(f"{self.name} reads codes of several rates, which are hard: compare.assignments=hard")
            return GPTInput(values=recording.codes.values, soft=recording)
        self.require_own(recording)
        *coarser, own = self.read_of(recording).by_rate
        if self.gpt.conditions is None:
            return GPTInput(values=own.values)
        conditions = self.gpt.conditions.align([each.values for each in coarser], len(own.values) + 1)
        return GPTInput(values=own.values, conditions=conditions)

    def inputs(self, reading: GPTInput, window: Window) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return tokens ``(1 + codes,)`` of a window, conditions ``(1 + codes, columns)`` and weights of soft codes."""
        tokens, conditions, weights = self.tokens(reading.values[window.start : window.stop]), None, None
        if reading.conditions is not None:
            steps = reading.conditions[window.start : window.stop + 1]
            repeated = np.repeat(steps, self.predicted.streams, axis=0)[: len(tokens)].astype(np.int64)
            conditions = copy_to(torch.from_numpy(repeated), self.gpt.device)
        if reading.soft is not None:
            weights = copy_to(reading.soft.shares(window.start, window.stop).flatten(0, 1), self.gpt.device)
        return tokens, conditions, weights

    def tokens(self, values: IntArray) -> Tensor:
        """Convert codes ``(time, streams)`` to begin-of-sequence and tokens ``(1 + time * streams,)``."""
        vocabulary = self.gpt.vocabulary
        return copy_to(torch.from_numpy(np.append(vocabulary.bos, vocabulary.tokens(values))), self.gpt.device)

    def _require_coarser(self) -> None:
        if self.gpt.conditions is not None and not self.coarser:
            raise InputError(
                f"{self.name} predicts fine codes from coarse codes, and cannot continue both; load the folder of all "
                "rates, which holds this one"
            )

    def _steps(self, num_samples: int) -> list[int]:
        """Return the time steps to generate at each rate: those that last so long, and those that finer rates read."""
        steps = [model.predicted.steps(num_samples) for model in self.rates]
        for place in range(len(steps) - 1, 0, -1):
            conditions = self.rates[place].gpt.conditions
            assert conditions is not None, "models of finer rates are upsamplers"
            for number, rate in enumerate(conditions.coarser):
                steps[number] = max(steps[number], -(-steps[place] // rate.share) + conditions.look_ahead)
        return steps

    def _prompt(self, prompt: Codes | None) -> list[IntArray]:
        """Return the codes of each rate in the whole time steps of a prompt."""
        if prompt is None:
            return [np.zeros((0, model.predicted.streams), np.int32) for model in self.rates]
        self.require_own(prompt)
        return [part.values for part in self.read_of(self._whole(prompt)).by_rate]

    def _whole(self, prompt: Codes) -> Codes:
        """Return the whole time steps of a prompt: the padding of the last one is not sound."""
        return prompt.crop(0, prompt.num_samples // self.format.samples_per_code)


def _gpt(config: GPTConfig, codes: CodesFormat, look_ahead: int, seed: int) -> GPT:
    """Create the GPT that reads codes of a format, or an upsampler; streams beside the codes are not read."""
    conditions = Conditions.of(codes, look_ahead=look_ahead)
    return create_gpt(config, Vocabulary.of(codes.spectral.formats[-1]), seed=seed, conditions=conditions)


def _padded(rows: Sequence[Tensor | None], value: int = 0) -> Any:
    """Join the rows ``(positions, ...)`` of a batch to ``(batch, most positions, ...)``; None if there are none."""
    given = [row for row in rows if row is not None]
    return nn.utils.rnn.pad_sequence(given, batch_first=True, padding_value=value) if given else None


def _pitch_draws(seed: int, number: int) -> np.random.Generator:
    """Return the random numbers of the pitch of a continuation: others than those of its codes."""
    return np.random.default_rng([seed, number, named_seed("pitch")])


_USE = """
import wordless

model = wordless.LanguageModel.from_pretrained("path/of/this/folder")
more = model.generate(codes, seconds=3)  # codes: what the tokenizer of this codebook made of a recording
"""
_NOTE = (
    "It knows only the sounds that it was trained on, and may continue a voice: say so wherever what it makes is "
    "published."
)
_GPT = "A decoder-only transformer that continues recordings as discrete codes, without text."
_UPSAMPLER = (
    "A decoder-only transformer that predicts the codes of one rate from earlier codes of this rate, and from the "
    "coarser codes that cover them. It works together with the models of the coarser rates, in the folders beside it."
)
_RATES = (
    "A GPT continues recordings as codes of the coarsest rate, and an upsampler for each finer rate adds its codes: "
    "the folders `rate_1` to `rate_{count}`."
)


def gpt_card(gpt: GPT, codes_format: CodesFormat, *, began_at: str | None = None) -> str:
    """Write a model's sizes, codebook and use; its training began at weights with the SHA-256 ``began_at``."""
    config, (*coarser, predicted) = gpt.config, codes_format.formats
    seconds, rate = gpt.capacity / predicted.codes_per_second, f"{predicted.codes_per_second:g} time steps per second"
    rows = {
        "parameters": f"{sum(parameter.numel() for parameter in gpt.parameters()):,}",
        "layers, width, heads": f"{config.layers}, {config.model_dim}, {config.heads}",
        "context": f"{config.context} positions ({config.interleaving}): {seconds:.1f} s",
        "codebook": f"{predicted.codebook_size} codes x {predicted.streams} stream(s), {rate}",
    }
    if gpt.conditions is not None:
        rates, next_codes = ", ".join(f"{each.codes_per_second:g}" for each in coarser), gpt.conditions.look_ahead
        rows["reads"] = f"codes of {rates} time steps per second: the covering code and the next {next_codes}"
    if began_at is not None:
        rows["training began at the weights with the SHA-256"] = f"`{began_at[:16]}`"
    if gpt.conditions is not None:
        return _card("Upsampler of a unit language model", _UPSAMPLER, rows, predicted)
    return _card("Unit language model", _GPT, rows, predicted)


def _card(title: str, about: str, rows: dict[str, str], codes: CodesFormat) -> str:
    """Write a card; the model belongs to the codebooks of a format, and codes of others are refused."""
    prints = {"tokenizer": codes.tokenizer, "codebook; codes of others are refused": codes.codebook}
    rows = rows | {f"fingerprint of the {of}": f"`{escape_markdown(each)}`" for of, each in prints.items()}
    return model_card(title, about, rows, _USE, tags="unit-language-model", note=_NOTE)
