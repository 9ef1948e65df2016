"""Methods on the codes of a clip: the bag of codes and states of the language model, also of each of several rates.

Rate 1 is the coarsest of ``tokenizer.rates``. Its language model is a GPT; those of finer rates are upsamplers, which
also read the coarser codes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Method
from wordless.base.errors import InputError

if TYPE_CHECKING:
    from pipelines.methods.study import Study
    from pipelines.settings.run import RunSettings
    from pipelines.store.store import Entry


def _bag(study: Study, name: str = "bag_of_codes", number: int | None = None) -> Entry:
    """Count the codes of the rate ``number``; None: those of `Study.read_codes`."""
    from pipelines.stages.features import code_features

    coded = study.read_codes if number is None else study.coded_at(number)
    return code_features(study.session, coded, of=name)


def _states(study: Study, name: str = "gpt", number: int | None = None) -> Entry:
    """Pool the states of the language model of the rate ``number``; None: of the run's GPT."""
    from pipelines.stages.features import gpt_features
    from pipelines.store.session import rate_prefix

    coded = study.read_codes if number is None else study.coded_up_to(number)
    model = study.entries["lm" if number is None else f"{rate_prefix(number)}lm"]
    return gpt_features(study.session, coded, model, states=study.settings.compare.states, of=name)


def _untrained_states(study: Study) -> Entry:
    from pipelines.stages.features import random_gpt_features

    own, states = study.settings.lm, study.settings.compare.states
    return random_gpt_features(
        study.session, study.read_codes, own.gpt, states=states, seed=own.fit.seed, pitch=own.pitch
    )


BAG_OF_CODES = Method(
    name="bag_of_codes",
    kind="codes",
    title="bag of codes",
    explanation="how often each code occurs, without their order",
    line=Line(filled=False, dashes="--"),
    places=("learning curves", "groups"),
    features=_bag,
)
GPT = Method(
    name="gpt",
    untrained="random_gpt",
    kind="codes",
    title="GPT",
    explanation="states or inner activations of the GPT over the codes",
    line=Line(marker="D"),
    places=("learning curves", "groups"),
    input="bag_of_codes",
    reads="lm",
    features=_states,
)
RANDOM_GPT = Method(
    name="random_gpt",
    kind="untrained",
    title="GPT, untrained",
    line=Line(marker="D", filled=False, dashes=":"),
    input="bag_of_codes",
    features=_untrained_states,
)


MARKERS = ("o", "^", "s", "D")  # of matplotlib, one for each rate that `tokenizer.rates` may have


def _of_rate(number: int) -> tuple[Method, Method]:
    """Describe the bag of codes of a rate, and the states of its language model."""

    def require(name: str, settings: RunSettings) -> None:
        rates = settings.tokenizer.rates or ()
        if number > len(rates):
            raise InputError(
                f"compare.methods has {name}, and tokenizer.rates is {list(rates) or 'null'}: name rates, such as "
                "tokenizer.rates=[8,4,2], or leave the method out"
            )

    bag, gpt, marker = f"bag_of_rate_{number}", f"gpt_of_rate_{number}", MARKERS[number - 1]
    return (
        Method(
            name=bag,
            kind="codes",
            title=f"bag of codes, rate {number}",
            explanation="the bag of codes of one of `tokenizer.rates`; rate 1 is the coarsest",
            line=Line(marker=marker, filled=False, dashes="--"),
            features=partial(_bag, name=bag, number=number),
            require_options=partial(require, bag),
        ),
        Method(
            name=gpt,
            kind="codes",
            title=f"GPT, rate {number}",
            explanation="the GPT of one of `tokenizer.rates`; rate 1 is the coarsest",
            line=Line(marker=marker),
            input=bag,
            reads="rates",
            features=partial(_states, name=gpt, number=number),
            require_options=partial(require, gpt),
        ),
    )


BAGS, STATES = zip(*(_of_rate(number) for number in range(1, len(MARKERS) + 1)), strict=True)
