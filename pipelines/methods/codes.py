"""Methods on the codes of a clip: the bag of codes and states of the language model, also of each of several rates.

Rate 1 is the coarsest of ``tokenizer.rates``. Its language model is a GPT; those of finer rates are upsamplers, which
also read the coarser codes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Row
from wordless.base.errors import InputError

if TYPE_CHECKING:
    from pipelines.methods.study import Study
    from pipelines.settings.run import RunSettings
    from pipelines.stages.features import CodesOfViews


def _bags(number: int | None, study: Study) -> Made:
    """Make bags of the codes of a rate; None: of those that the run has."""
    from pipelines.stages.features import code_features

    coded: CodesOfViews = study.read_codes if number is None else study.coded_at(number, alone=True)
    of = BAG_OF_CODES if number is None else BAGS[number - 1]
    return Made(trained=coded.entries, features=code_features(study.session, coded, of=of.name))


def _states(number: int | None, study: Study) -> Made:
    """Pool the states of the language model of a rate; None: of the run's."""
    from pipelines.stages.features import gpt_features

    coded: CodesOfViews
    if number is None:
        coded, model, of = study.read_codes, study.entries.lm, GPT
    else:
        assert study.entries.rates is not None, "the chain trains the language models before it compares them"
        coded, model, of = study.coded_at(number), study.entries.rates.models[number - 1], STATES[number - 1]
    assert model is not None, "the chain trains the language model before it compares the GPT"
    states = study.options.compare.states
    features = gpt_features(study.session, coded, model, states=states, of=of.name)
    return Made(trained=coded.entries, features=features)


def _untrained_states(study: Study) -> Made:
    from pipelines.stages.features import random_gpt_features

    own, states = study.options.lm, study.options.compare.states
    entry = random_gpt_features(
        study.session, study.read_codes, own.gpt, states=states, seed=own.fit.seed, pitch=own.pitch
    )
    return Made(trained=study.read_codes.entries, features=entry)


BAG_OF_CODES = Method(
    row=Row(
        name="bag_of_codes",
        kind="codes",
        title="bag of codes",
        explanation="how often each code occurs, without their order",
        line=Line(filled=False, dashes="--"),
        places=("learning curves", "groups"),
    ),
    features=partial(_bags, None),
)
GPT = Method(
    row=Row(
        name="gpt",
        untrained="random_gpt",
        kind="codes",
        title="GPT",
        explanation="states or inner activations of the GPT over the codes",
        line=Line(marker="D"),
        places=("learning curves", "groups"),
    ),
    input="bag_of_codes",
    reads_lm=True,
    features=partial(_states, None),
)
RANDOM_GPT = Method(
    row=Row(
        name="random_gpt", kind="untrained", title="GPT, untrained", line=Line(marker="D", filled=False, dashes=":")
    ),
    input="bag_of_codes",
    features=_untrained_states,
)


MOST_RATES = 4  # that `tokenizer.rates` may have
MARKERS = ("o", "^", "s", "D")  # of matplotlib


def _require_rate(name: str, number: int, options: RunSettings) -> None:
    """Refuse a method of a rate that the run does not have."""
    rates = options.tokenizer.rates or ()
    if number > len(rates):
        raise InputError(
            f"compare.methods has {name}, and tokenizer.rates is {list(rates) or 'null'}: name rates, such as "
            "tokenizer.rates=[8,4,2], or leave the method out"
        )


def _bag_of_rate(number: int) -> Method:
    name = f"bag_of_rate_{number}"
    return Method(
        row=Row(
            name=name,
            kind="codes",
            title=f"bag of codes, rate {number}",
            explanation="the bag of codes of one of `tokenizer.rates`; rate 1 is the coarsest",
            line=Line(marker=MARKERS[number - 1], filled=False, dashes="--"),
        ),
        features=partial(_bags, number),
        require_options=partial(_require_rate, name, number),
    )


def _gpt_of_rate(number: int) -> Method:
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
        features=partial(_states, number),
        require_options=partial(_require_rate, name, number),
    )


BAGS = tuple(_bag_of_rate(number) for number in range(1, MOST_RATES + 1))
STATES = tuple(_gpt_of_rate(number) for number in range(1, MOST_RATES + 1))
