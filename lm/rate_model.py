"""A language model of codes at several rates: a GPT continues the coarsest codes, and upsamplers add the finer ones.

Ancestral sampling, as in Jukebox (Dhariwal et al. 2020, arXiv:2005.00341), from coarse to fine::

    rate 1   [ prompt ][ continued by a GPT ]
    rate 2   [ prompt ][ from all of rate 1, old and new ]
    rate 3   [ prompt ][ from all of rates 1 and 2 ]
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from lm.generation import Sampling, continue_codes
from lm.model import LanguageModel
from lm.model_card import rates_card
from tokenizer.codes import Codes, IntArray, join_codes, require_codes, require_same_codebook
from tokenizer.rates import combined_format, join_rates, read_rates, require_saved_format, split_rates, writing_rates
from wordless.base.errors import InputError
from wordless.base.ranges import samples_to_generate
from wordless.base.saved_models import LANGUAGE_MODEL, holds_rates, model_folder
from wordless.base.seeds import require_seed

FloatArray = npt.NDArray[np.float32]


class RateLanguageModel:
    """The language models of several rates.

    Args:
        models: a GPT of rate 1, and for each finer rate an upsampler that reads all coarser rates.
    """

    def __init__(self, models: Sequence[LanguageModel], *, name: str = "the language model") -> None:
        self.models = tuple(models)
        self.format = models[-1].format
        self.name = name  # name in messages
        formats = [model.predicted for model in models]
        for number, model in enumerate(models, 1):
            if model.format != combined_format(formats[:number]):
                raise InputError(
                    f"the model of rate {number} reads codes of codebook {model.format.codebook}, which the models of "
                    "the coarser rates do not predict; take all models from one run"
                )

    def generate(
        self,
        prompt: Codes | None = None,
        *,
        seconds: float,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        max_repeats: int = 0,
        seed: int = 0,
    ) -> Codes:
        """Generate a continuation at all rates, without the prompt; see `LanguageModel.generate`."""
        sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, max_repeats=max_repeats)
        return self.generate_batch([prompt], seconds=seconds, sampling=sampling, seed=seed)[0]

    @torch.no_grad()
    def generate_batch(
        self, prompts: Sequence[Codes | None], *, seconds: float, sampling: Sampling, seed: int = 0
    ) -> list[Codes]:
        """Generate a continuation of each prompt at all rates, without the prompts.

        Of a prompt only whole time steps of the coarsest rate are read. Continuation ``i`` depends on its prompt, the
        seed and ``i`` alone. The options of ``sampling`` hold at each rate. Coarser rates are continued a little
        further, so that no upsampler reads an end of the recording, which it knows from training.
        """
        if not prompts:
            return []
        num_samples = samples_to_generate(seconds, self.format.sample_rate)
        require_seed(seed, "seed")
        known = [self._prompt(prompt) for prompt in prompts]  # of each prompt, the codes of each rate
        steps = self._steps(num_samples)
        coarser: list[list[IntArray]] = [[] for _ in prompts]  # of each prompt, prompt and continuation at each rate
        made: list[list[Codes]] = [[] for _ in prompts]
        for place, model in enumerate(self.models):
            own = [each[place] for each in known]
            conditions = _conditions(model, coarser, [len(values) + steps[place] for values in own])
            continued = continue_codes(
                model.gpt,
                own,
                steps=steps[place],
                sampling=sampling,
                seed=seed,
                conditions=conditions,
                rate=place + 1,
            )
            wanted = model.predicted.steps(num_samples)
            for number, (values, more) in enumerate(zip(own, continued, strict=True)):
                coarser[number].append(np.concatenate([values, more]))
                made[number].append(Codes(values=more[:wanted], num_samples=num_samples, format=model.predicted))
        return [join_rates(each) for each in made]

    def log_probabilities(self, codes: Codes) -> FloatArray:
        """Compute the log-probability of each code at each rate, one rate after the other ``(codes,)``.

        A code is given the earlier codes of its rate, and the coarser codes that its model reads.
        """
        self.require_own(codes)
        parts = split_rates(codes)
        found = [
            model.log_probabilities(join_rates(parts[:number])).reshape(-1)
            for number, model in enumerate(self.models, 1)
        ]
        return np.concatenate(found)

    def log_probabilities_after(self, prompt: Codes | None, codes: Codes) -> FloatArray:
        """Compute the log-probability of a continuation, given the prompt, in each finest time step ``(time, 1)``.

        The log-probability of a coarser code is divided equally among the finest time steps that it covers, so the sum
        over all time steps is that of all codes.
        """
        whole = codes if prompt is None else join_codes(prompt, codes)
        parts, start = split_rates(whole), len(whole.values) - len(codes.values)
        finest = parts[-1].format.samples_per_code
        steps = len(parts[-1].values)
        total = np.zeros(steps, np.float32)
        for number, model in enumerate(self.models, 1):
            share = model.predicted.samples_per_code // finest
            of_codes = model.log_probabilities(join_rates(parts[:number])).sum(1)
            covered = np.minimum(share * np.arange(1, len(of_codes) + 1), steps) - share * np.arange(len(of_codes))
            total += np.repeat(of_codes / covered, covered)
        return total[start * self.format.samples_per_code // finest :, None]

    def require_own(self, codes: Codes) -> None:
        """Refuse codes of another codebook, and values that are not `Codes`."""
        require_codes(codes, "codes")
        require_same_codebook(self.format, codes.format, owner=self.name)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write a folder for each rate's model, a model card and, last, ``config.json``."""
        with writing_rates(Path(folder).expanduser(), self.format, card=rates_card(self.format)) as folders:
            for model, own in zip(self.models, folders, strict=True):
                model.save_pretrained(own)

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, device: str = "cpu") -> "RateLanguageModel":
        """Load a folder that `save_pretrained` wrote, or ``user/name`` of the Hugging Face hub."""
        folder = model_folder(folder, LANGUAGE_MODEL)
        saved = read_rates(folder, "language model")
        models = [LanguageModel.from_pretrained(own, device=device) for own in saved.folders(folder)]
        model = cls(models, name=f"the language model {folder}")
        require_saved_format(folder, saved.codes, model.format)
        return model

    def _steps(self, num_samples: int) -> list[int]:
        """Return the time steps to generate at each rate: those that last so long, and those that finer rates read."""
        steps = [model.predicted.steps(num_samples) for model in self.models]
        for place in range(len(steps) - 1, 0, -1):
            conditions = self.models[place].gpt.conditions
            assert conditions is not None, "models of finer rates are upsamplers"
            for number, rate in enumerate(conditions.coarser):
                steps[number] = max(steps[number], -(-steps[place] // rate.share) + conditions.look_ahead)
        return steps

    def _prompt(self, prompt: Codes | None) -> list[IntArray]:
        """Return the codes of each rate in the whole time steps of a prompt."""
        if prompt is None:
            return [np.zeros((0, model.predicted.streams), np.int32) for model in self.models]
        self.require_own(prompt)
        whole = prompt.crop(0, prompt.num_samples // self.format.samples_per_code)
        return [part.values for part in split_rates(whole)]


def load_language_model(folder: Path | str, *, device: str = "cpu") -> LanguageModel | RateLanguageModel:
    """Load the language model of a run, which has one rate or several."""
    folder = model_folder(folder, LANGUAGE_MODEL)
    if holds_rates(folder):
        return RateLanguageModel.from_pretrained(folder, device=device)
    return LanguageModel.from_pretrained(folder, device=device)


def _conditions(
    model: LanguageModel, coarser: Sequence[Sequence[IntArray]], steps: Sequence[int]
) -> list[IntArray] | None:
    """Return what an upsampler reads of each recording's coarser codes; None for the model of the coarsest rate."""
    if model.gpt.conditions is None:
        return None
    return [model.gpt.conditions.align(own, count) for own, count in zip(coarser, steps, strict=True)]
