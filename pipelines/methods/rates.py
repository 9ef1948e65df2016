"""Methods on codes at several rates: a bag of codes and states of a language model for each rate.

Rate 1 is the coarsest of ``tokenizer.rates``. Its language model is a GPT; those of finer rates are upsamplers, which
also read the coarser codes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pipelines.methods.codes import size_of_codes, size_of_states
from pipelines.methods.method import Line, Made, Method, Row
from wordless.base.errors import InputError

if TYPE_CHECKING:
    from pipelines.methods.study import Study
    from pipelines.settings.run import RunSettings

MOST_RATES = 4  # that `tokenizer.rates` may have
MARKERS = ("o", "^", "s", "D")  # of matplotlib


def _bags(number: int, study: Study) -> Made:
    from pipelines.stages.features import code_features

    coded = study.coded_at(number, alone=True)
    features = code_features(study.session, coded, of=BAGS[number - 1].name)
    return Made(trained=(*study.heard_entries, *coded.entries), features=features)


def _states(number: int, study: Study) -> Made:
    from pipelines.stages.features import gpt_features

    models = study.entries.rates
    assert models is not None, "the chain trains the language models of all rates before it compares them"
    coded, states = study.coded_at(number), study.options.compare.states
    features = gpt_features(study.session, coded, models.models[number - 1], states=states, of=STATES[number - 1].name)
    return Made(trained=(*study.heard_entries, *coded.entries), features=features)


def _require_rate(name: str, number: int, options: RunSettings) -> tuple[int, ...]:
    """Return the rates of the run, and refuse a method of a rate that it does not have."""
    rates = options.tokenizer.rates or ()
    if number > len(rates):
        raise InputError(
            f"compare.methods has {name}, and tokenizer.rates is {list(rates) or 'null'}: name rates, such as "
            "tokenizer.rates=[8,4,2], or leave the method out"
        )
    return rates


def _size(name: str, number: int, options: RunSettings) -> int:
    rates = _require_rate(name, number, options)
    return size_of_states(options, options.lm.divided(len(rates))[number - 1].gpt)


def _require_options(name: str, number: int, options: RunSettings) -> None:
    _require_rate(name, number, options)


def _bag(number: int) -> Method:
    name = f"bag_of_rate_{number}"
    return Method(
        row=Row(
            name=name,
            kind="codes",
            title=f"bag of codes, rate {number}",
            explanation="the bag of codes of one of `tokenizer.rates`; rate 1 is the coarsest",
            line=Line(marker=MARKERS[number - 1], filled=False, dashes="--"),
        ),
        vector_size=size_of_codes,
        features=partial(_bags, number),
        require_options=partial(_require_options, name, number),
    )


def _gpt(number: int) -> Method:
    name = f"gpt_of_rate_{number}"
    return Method(
        row=Row(
            name=name,
            kind="codes",
            title=f"GPT, rate {number}",
            explanation="the GPT of one of `tokenizer.rates`; rate 1 is the coarsest",
            line=Line(marker=MARKERS[number - 1]),
        ),
        input=f"bag_of_rate_{number}",
        reads_rates=True,
        vector_size=partial(_size, name, number),
        features=partial(_states, number),
        require_options=partial(_require_options, name, number),
    )


BAGS = tuple(_bag(number) for number in range(1, MOST_RATES + 1))
STATES = tuple(_gpt(number) for number in range(1, MOST_RATES + 1))
