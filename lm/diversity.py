"""Diversity of generated codes, and their perplexity under the model that generated them."""

from collections.abc import Sequence

import numpy as np

from lm.model import LanguageModel
from tokenizer.codes import Codes, IntArray
from wordless.base.ranges import require

NGRAMS = (1, 2, 3)


def diversity(
    model: LanguageModel,
    prompts: Sequence[Codes | None],
    codes: Sequence[Codes],
    recoded: Sequence[Codes],
) -> dict[str, float | None]:
    """Compute distinct n-grams of generated codes, and the model's perplexity of them and of the codes of their sound.

    ``recoded`` are the codes of the generated sounds: their perplexity says how plausible they are to the model. Of
    codes at several rates, n-grams are those of the finest, and the perplexity is that of all codes of a finest step.
    """
    finest = [each.finest.values for each in codes]
    return {
        **{f"distinct_{n}": distinct_ngrams(finest, n) for n in NGRAMS},
        "perplexity": _perplexity_after(model, prompts, codes),
        "recoded_perplexity": _perplexity_after(model, prompts, recoded),
    }


def _perplexity_after(model: LanguageModel, prompts: Sequence[Codes | None], codes: Sequence[Codes]) -> float | None:
    found = [
        model.log_probabilities_after(prompt, each)
        for prompt, each in zip(prompts, codes, strict=True)
        if len(each.values)
    ]
    return perplexity_of(found)


def distinct_ngrams(sequences: Sequence[IntArray], n: int, *, at_most: int | None = None) -> float | None:
    """Compute different n-grams per n-gram, over all sequences ``(time, streams)`` (Li et al. 2016, arXiv:1510.03055).

    1 if no n-gram is repeated; None if no sequence is long enough. An n-gram consists of whole time steps. More n-grams
    repeat more, so compare only figures of equally many: ``at_most`` takes the first ones.
    """
    require(n >= 1, "n", n, "count single codes (1) or sequences of more")
    found = [tuple(each[start : start + n].ravel()) for each in sequences for start in range(len(each) - n + 1)]
    found = found[:at_most]
    return len(set(found)) / len(found) if found else None


def perplexity_of(log_probabilities: Sequence[np.ndarray]) -> float | None:
    """Compute exp of the mean negative log-probability over all codes of all sequences; None if there are no codes."""
    together = np.concatenate([each.ravel() for each in log_probabilities]) if log_probabilities else np.zeros(0)
    return float(np.exp(-together.mean())) if len(together) else None
