"""Methods on the codes of a clip: the bag of codes, and states of the language model, trained and untrained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Row

if TYPE_CHECKING:
    from lm.options import GPTConfig
    from pipelines.methods.study import Study
    from pipelines.settings.run import RunSettings


def _bags(study: Study) -> Made:
    from pipelines.stages.features import code_features

    return Made(
        trained=(*study.heard_entries, *study.coded_entries), features=code_features(study.session, study.read_codes)
    )


def _states(study: Study) -> Made:
    from pipelines.stages.features import gpt_features

    lm = study.entries.lm
    assert lm is not None, "the chain trains the language model before it compares the GPT"
    entry = gpt_features(study.session, study.read_codes, lm, states=study.options.compare.states)
    return Made(trained=(*study.heard_entries, *study.coded_entries), features=entry)


def _untrained_states(study: Study) -> Made:
    from pipelines.stages.features import random_gpt_features

    own, states, merges = study.options.lm, study.options.compare.states, study.entries.merges
    entry = random_gpt_features(
        study.session, study.read_codes, own.gpt, states=states, seed=own.fit.seed, merges=merges
    )
    return Made(trained=(*study.heard_entries, *study.coded_entries), features=entry)


def size_of_states(options: RunSettings, gpt: GPTConfig | None = None) -> int:
    """Return the size of the vectors of a GPT's states; by default of the run's own GPT."""
    own, gpt = options.compare, gpt or options.lm.gpt
    width = sum(gpt.ffn_dim if states == "inner" else gpt.model_dim for states in own.states)
    return own.vectors.network_size(gpt.layers, width * (1 + gpt.backward))


def size_of_codes(options: RunSettings) -> int:
    """Return the size of pooled codes."""
    return options.compare.vectors.size(options.tokenizer.config(options.audio).one_hot_size)


BAG_OF_CODES = Method(
    row=Row(
        name="bag_of_codes",
        kind="codes",
        title="bag of codes",
        explanation="how often each code occurs, without their order",
        line=Line(filled=False, dashes="--"),
        places=("learning curves", "groups", "summary"),
    ),
    vector_size=size_of_codes,
    features=_bags,
)
GPT = Method(
    row=Row(
        name="gpt",
        kind="codes",
        title="GPT",
        explanation="states or inner activations of the GPT over the codes",
        line=Line(marker="D"),
        places=("learning curves", "groups"),
    ),
    input="bag_of_codes",
    reads_lm=True,
    vector_size=size_of_states,
    features=_states,
)
RANDOM_GPT = Method(
    row=Row(
        name="random_gpt",
        kind="untrained",
        title="GPT, untrained",
        line=Line(marker="D", filled=False, dashes=":"),
        places=("summary",),
    ),
    input="bag_of_codes",
    vector_size=size_of_states,
    features=_untrained_states,
)
