"""Codes at several rates: a GPT of the coarsest rate, and an upsampler for each finer one.

An upsampler predicts the codes of its rate, and reads those of the coarser rates. Together they continue recordings by
ancestral sampling, as in Jukebox (Dhariwal et al. 2020, arXiv:2005.00341), from coarse to fine::

    rate 1   [ prompt ][ continued by a GPT ]
    rate 2   [ prompt ][ from all of rate 1, old and new ]
    rate 3   [ prompt ][ from all of rates 1 and 2 ]

With two coarser rates and a look-ahead of one code an upsampler reads::

    rate 1          [               a0                  ][               a1                  ]
    rate 2          [       b0       ][       b1        ][       b2       ][       b3        ]
    rate 3          [  c0   ][  c1   ][   c2   ][  c3   ][  c4   ][  c5   ] ...

    input           begin     c0        c1        c2       c3
    reads, rate 1   a0 a1     a0 a1     a0 a1     a0 a1    a1 -        the code that covers the predicted code, and
    reads, rate 2   b0 b1     b0 b1     b1 b2     b1 b2    b2 b3       the codes after it (-: beyond the recording)
    place           0         1         2         3        0           of the predicted code in the code of rate 1
    predicts        c0        c1        c2        c3       c4

The embeddings of all that is read are added to the embedding of the input.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lm.gpt import GPT, CachedGPT, CodeSampling, Embedded, GPTConfig, continue_codes
from lm.model import LanguageModel, card, gpt_rows
from lm.tokens import Vocabulary, Window
from tokenizer.codes import Codes, CodesFormat, join_codes, join_rates
from tokenizer.rate_folders import load_rates, save_rates
from wordless.base.arrays import FloatArray, IntArray
from wordless.base.devices import copy_to
from wordless.base.messages import InputError, require
from wordless.base.saved_models import LANGUAGE_MODEL

MOST_AHEAD = 64  # codes; each is an embedding table of the codebook


@dataclass(frozen=True, kw_only=True)
class CoarserRate:
    """A rate that an upsampler reads."""

    share: int  # predicted time steps that one of its codes covers
    streams: int


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The columns of an upsampler: coarser codes, ``no_code`` beyond their end, and the place within the coarsest."""

    no_code: int  # one more than the largest code
    coarser: tuple[CoarserRate, ...]  # coarse to fine
    look_ahead: int  # codes of each rate after the covering one

    def __post_init__(self) -> None:
        rule = f"choose 0 (only the covering code) to {MOST_AHEAD} codes"
        require(0 <= self.look_ahead <= MOST_AHEAD, "look_ahead", self.look_ahead, rule)

    @classmethod
    def of(cls, codes_format: CodesFormat, *, look_ahead: int) -> "Conditions":
        """Return the conditions of the finest of several rates."""
        *coarser, own = codes_format.formats
        rates = [
            CoarserRate(share=each.samples_per_code // own.samples_per_code, streams=each.streams) for each in coarser
        ]
        return cls(no_code=codes_format.codebook_size, coarser=tuple(rates), look_ahead=look_ahead)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of different values of each column."""
        codes = sum(rate.streams for rate in self.coarser) * (1 + self.look_ahead)
        return (*[self.no_code + 1] * codes, self.coarser[0].share)

    def align(self, coarser: Sequence[IntArray], steps: int) -> IntArray:
        """Return what is read at each time step ``(steps, columns)`` of codes ``(time, streams)`` of coarser rates."""
        time = np.arange(steps)
        columns: list[IntArray] = []
        for rate, codes in zip(self.coarser, coarser, strict=True):
            nothing = np.full((1, rate.streams), self.no_code, np.int32)
            known = np.concatenate([codes, nothing])
            places = (np.minimum(time // rate.share + ahead, len(codes)) for ahead in range(1 + self.look_ahead))
            columns += [known[each] for each in places]
        place = (time % self.coarser[0].share).astype(np.int32)
        return np.concatenate([*columns, place[:, None]], axis=1)


class ConditionEmbedding(nn.Module):
    """The sum of an embedding of each column: ``(..., columns)`` -> ``(..., dim)``."""

    first: Tensor

    def __init__(self, conditions: Conditions, dim: int, *, std: float) -> None:
        super().__init__()
        sizes = conditions.sizes
        self.embed = nn.Embedding(sum(sizes), dim, dtype=torch.float32)
        nn.init.normal_(self.embed.weight, std=std)
        first = torch.tensor([0, *sizes[:-1]]).cumsum(0)  # row of value 0 of each column
        self.register_buffer("first", first, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        embedded: Tensor = self.embed(values + self.first).sum(-2)
        return embedded


class UpsamplerGPT(GPT):
    """A GPT whose positions also read the coarser codes that belong to the code that they predict.

    Its inputs are ``(batch, positions, 1 + columns)``: a token, and row ``p`` of `Conditions.align` at the time step of
    code ``p``, the code that position ``p`` predicts.
    """

    input_dimensions: ClassVar[int] = 3  # (batch, positions, 1 + columns)

    def __init__(self, config: GPTConfig, vocabulary: Vocabulary, conditions: Conditions) -> None:
        super().__init__(config, vocabulary)
        self.conditions = conditions
        self.embed_conditions = ConditionEmbedding(conditions, config.model_dim, std=config.init_std)

    def embed(self, tokens: Tensor) -> Embedded:
        """Compute the first layer's inputs ``(batch, positions, model_dim)`` of tokens with their columns."""
        self.require_tokens(tokens)
        tokens, conditions = tokens[..., 0], tokens[..., 1:]
        steps = self.vocabulary.steps(tokens) if self.by_step else tokens[..., None]
        of_steps = conditions[:, :: self.vocabulary.streams] if self.by_step else conditions
        return self.embed_steps(steps, self.embed_conditions(of_steps))


class CachedUpsampler(CachedGPT):
    """An upsampler in evaluation mode that reads by positions, and ``conditions (batch, time, columns)``."""

    def __init__(self, gpt: UpsamplerGPT, conditions: Tensor) -> None:
        super().__init__(gpt)
        self._embed, self._conditions = gpt.embed_conditions, conditions

    def embed_steps(self, steps: Tensor, last: int) -> Embedded:
        """Compute the first layer's inputs of tokens ``(batch, positions, codes)``; ``last`` is the last position."""
        positions = np.arange(last + 1 - steps.shape[1], last + 1)
        predicted = positions * steps.shape[2] // self.gpt.vocabulary.streams  # time steps of the codes after each
        conditions = copy_to(self._conditions[:, torch.from_numpy(predicted)].long(), self.gpt.device)
        return self.gpt.embed_steps(steps, self._embed(conditions))


class Upsampler(LanguageModel):
    """A model of the codes of the finest of several rates, which reads the codes of the coarser ones.

    Its format is that of the codes of all these rates.
    """

    gpt: UpsamplerGPT

    def __init__(self, gpt: UpsamplerGPT, codes_format: CodesFormat, *, name: str = "the language model") -> None:
        super().__init__(gpt, codes_format, name=name)
        self.predicted = codes_format.formats[-1]

    @classmethod
    def network(cls, config: GPTConfig, codes: CodesFormat, *, look_ahead: int, seed: int) -> UpsamplerGPT:
        """Build a new upsampler to the last of several rates; the caller's random state does not change."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return UpsamplerGPT(config, Vocabulary.of(codes.formats[-1]), Conditions.of(codes, look_ahead=look_ahead))

    def own(self, codes: Codes) -> Codes:
        self.require_own(codes)
        return codes.finest

    def rows(self, codes: Codes) -> IntArray:
        return np.concatenate([self.own(codes).values, self._conditions(codes)[:-1]], axis=1)

    def reader(self, codes: Codes) -> Callable[[Window], Tensor]:
        """Return a function that gives tokens and conditions of a window of the codes ``(1 + codes, 1 + columns)``."""
        values, conditions = self.own(codes).values, self._conditions(codes)

        def inputs(window: Window) -> Tensor:
            tokens = self.tokens(values[window.start : window.stop])
            steps = conditions[window.start : window.stop + 1]
            repeated = np.repeat(steps, self.predicted.streams, axis=0)[: len(tokens)].astype(np.int64)
            return torch.cat([tokens[:, None], copy_to(torch.from_numpy(repeated), self.gpt.device)], dim=1)

        return inputs

    def log_probabilities_after(self, prompt: Codes | None, codes: Codes) -> FloatArray:
        """Compute the log-probability of each finest code of a continuation, given the prompt: ``(time, streams)``."""
        found = self.log_probabilities(codes if prompt is None else join_codes(prompt, codes))
        return found[len(found) - len(self.own(codes)) :]

    def _conditions(self, codes: Codes) -> IntArray:
        """Return what is read at each time step, and at the one that follows ``(time + 1, columns)``."""
        *coarser, own = codes.by_rate
        return self.gpt.conditions.align([each.values for each in coarser], len(own.values) + 1)

    def _continue(
        self, prompts: Sequence[Codes | None], num_samples: int, sampling: CodeSampling, seed: int
    ) -> list[Codes]:
        """Refuse: coarser codes are needed."""
        raise InputError(
            f"{self.name} predicts fine codes from coarse codes, and cannot continue both; load the folder of all "
            "rates, which holds this one"
        )

    def _stream(self, prompt: Codes | None, num_samples: int, sampling: CodeSampling, seed: int) -> Iterator[Codes]:
        """Give the continuation of one prompt as a whole."""
        yield from self._continue([prompt], num_samples, sampling, seed)

    def save_pretrained(self, folder: Path | str) -> None:
        rows, (*coarser, _) = gpt_rows(self.gpt, self.predicted), self.format.formats
        rates, ahead = ", ".join(f"{each.codes_per_second:g}" for each in coarser), self.gpt.conditions.look_ahead
        rows["reads"] = f"codes of {rates} time steps per second: the covering code and the next {ahead}"
        about = card("Upsampler of a unit language model", _UPSAMPLER, rows, self.predicted)
        self._save(folder, {"look_ahead": ahead}, about)


class RatesModel(Upsampler):
    """The models of all rates, coarse to fine; in all but continuations it is the upsampler to the finest rate.

    A model that reads what the others do not predict is refused.
    """

    def __init__(self, models: Sequence[LanguageModel], *, name: str = "the language model") -> None:
        formats = [model.predicted for model in models]
        for number, model in enumerate(models, 1):
            if model.format != CodesFormat.of_rates(formats[:number]):
                raise InputError(
                    f"the model of rate {number} reads codes of codebook {model.format.codebook}, which the models of "
                    "the coarser rates do not predict; take all models from one run"
                )
        finest = models[-1]
        assert isinstance(finest, Upsampler), "of several rates"
        super().__init__(finest.gpt, finest.format, name=name)
        self._rates = nn.ModuleList(models)

    @property
    def rates(self) -> tuple[LanguageModel, ...]:
        """The model of each rate, coarse to fine."""
        return tuple(each for each in self._rates if isinstance(each, LanguageModel))

    @classmethod
    def of_folder(cls, folder: Path, *, device: str, name: str) -> "RatesModel":
        """Load what `save_pretrained` wrote."""
        load = partial(LanguageModel.from_pretrained, device=device)
        return cls(load_rates(folder, LANGUAGE_MODEL.name, load, lambda each: cls(each).format), name=name)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write a folder for each rate."""
        rows = {
            f"`rate_{number}`": f"{own.predicted.codes_per_second:g} time steps per second"
            for number, own in enumerate(self.rates, 1)
        }
        about = card("Unit language model of several rates", _RATES.format(count=len(rows)), rows, self.format)
        save_rates(Path(folder).expanduser(), [each.save_pretrained for each in self.rates], self.format, card=about)

    def _continue(
        self, prompts: Sequence[Codes | None], num_samples: int, sampling: CodeSampling, seed: int
    ) -> list[Codes]:
        """Generate a continuation of each prompt at all rates, without the prompts.

        Coarser rates are continued a little further, so that no upsampler reads an end of the recording, which it knows
        from training.
        """
        known = [self._prompts(prompt) for prompt in prompts]
        whole: list[list[IntArray]] = [[] for _ in prompts]  # of each prompt, prompt and continuation at each rate
        made: list[list[Codes]] = [[] for _ in prompts]
        for place, (model, steps) in enumerate(zip(self.rates, self._steps(num_samples), strict=True)):
            own, rate = [each[place] for each in known], place + 1
            cached = CachedGPT(model.gpt)
            if isinstance(model, Upsampler):
                lengths = [len(values) + steps for values in own]
                read = [model.gpt.conditions.align(*each) for each in zip(whole, lengths, strict=True)]
                cached = CachedUpsampler(model.gpt, pad_sequence([*map(torch.from_numpy, read)], batch_first=True))
            seeds = [(seed, number, *([] if rate == 1 else [rate])) for number in range(len(prompts))]
            continued = continue_codes(cached, own, steps=steps, sampling=sampling, seeds=seeds)
            wanted = model.predicted.steps(num_samples)
            for number, (values, more) in enumerate(zip(own, continued, strict=True)):
                whole[number].append(np.concatenate([values, more]))
                made[number].append(Codes(values=more[:wanted], num_samples=num_samples, format=model.predicted))
        return [join_rates(each) for each in made]

    def _steps(self, num_samples: int) -> list[int]:
        """Return the time steps to generate at each rate: those that last so long, and those that finer rates read."""
        steps = [model.predicted.steps(num_samples) for model in self.rates]
        for place, model in reversed([*enumerate(self.rates)]):
            if isinstance(model, Upsampler):
                for number, rate in enumerate(model.gpt.conditions.coarser):
                    ahead = model.gpt.conditions.look_ahead
                    steps[number] = max(steps[number], -(-steps[place] // rate.share) + ahead)
        return steps

    def _prompts(self, prompt: Codes | None) -> list[IntArray]:
        """Return the codes of each rate in the whole time steps of a prompt."""
        if prompt is None:
            return [np.zeros((0, model.predicted.streams), np.int32) for model in self.rates]
        self.require_own(prompt)
        return [part.values for part in self._whole(prompt).by_rate]

    def log_probabilities_of_rates(self, codes: Codes) -> list[FloatArray]:
        """Compute the log-probability of each code of each rate ``(time, streams)``, coarse to fine."""
        self.require_own(codes)
        parts = codes.by_rate
        return [model.log_probabilities(join_rates(parts[:number])) for number, model in enumerate(self.rates, 1)]

    def log_probabilities_after(self, prompt: Codes | None, codes: Codes) -> FloatArray:
        """Compute the log-probability of each finest time step of a continuation, given the prompt: ``(time, 1)``.

        That of a coarser code is divided equally among the finest time steps that it covers.
        """
        whole = codes if prompt is None else join_codes(prompt, codes)
        start = len(whole.values) - len(codes.values)
        finest, steps = self.predicted.samples_per_code, len(whole.finest.values)
        total = np.zeros(steps, np.float32)
        for model, found in zip(self.rates, self.log_probabilities_of_rates(whole), strict=True):
            share, of_codes = model.predicted.samples_per_code // finest, found.sum(1)
            covered = np.minimum(share * np.arange(1, len(of_codes) + 1), steps) - share * np.arange(len(of_codes))
            total += np.repeat(of_codes / covered, covered)
        return total[start * self.format.samples_per_code // finest :, None]


_UPSAMPLER = (
    "A decoder-only transformer that predicts the codes of one rate from earlier codes of this rate, and from the "
    "coarser codes that cover them. It works together with the models of the coarser rates, in the folders beside it."
)
_RATES = (
    "A GPT continues recordings as codes of the coarsest rate, and an upsampler for each finer rate adds its codes: "
    "the folders `rate_1` to `rate_{count}`."
)
