"""The table of all methods: options, probes, results, charts and sentences read it.

To add a method, describe it in a file of this folder and add it here. Sentences and charts keep this order.
"""

from collections.abc import Iterable

from pipelines.methods.audio_transformer import (
    AUDIO_TRANSFORMER,
    AUDIO_TRANSFORMER_VARIANTS,
    RANDOM_AUDIO_TRANSFORMER,
)
from pipelines.methods.codes import BAG_OF_CODES, GPT, RANDOM_GPT
from pipelines.methods.convolutional import RANDOM_CONV, SIMCLR, SUPERVISED
from pipelines.methods.method import Method, Place, Row
from pipelines.methods.own import own_row
from pipelines.methods.rates import BAGS, STATES
from pipelines.methods.signals import BOTTLENECK, CHROMA, LOG_MEL, MFCC
from pipelines.methods.sound_gpt import GPT_SOUND, RANDOM_GPT_SOUND
from pipelines.methods.spectrogram_transformer import AST, RANDOM_AST
from pipelines.methods.wav2vec2 import FINETUNED, RANDOM_WAV2VEC2, WAV2VEC2

_ALL = (
    GPT,
    GPT_SOUND,
    SIMCLR,
    WAV2VEC2,
    FINETUNED,
    AST,
    AUDIO_TRANSFORMER,
    *AUDIO_TRANSFORMER_VARIANTS,
    BAG_OF_CODES,
    RANDOM_GPT,
    SUPERVISED,
    RANDOM_GPT_SOUND,
    RANDOM_CONV,
    RANDOM_AST,
    RANDOM_WAV2VEC2,
    RANDOM_AUDIO_TRANSFORMER,
    LOG_MEL,
    BOTTLENECK,
    MFCC,
    CHROMA,
    *STATES,
    *BAGS,
)
METHODS = {method.name: method for method in _ALL}
assert len(METHODS) == len(_ALL), "two methods of the table have the same name: change name= of one of their rows"
# All rows that a comparison can have, the heads of classifiers included.
ROWS: dict[str, Row] = {
    row.name: row for method in METHODS.values() for row in (method.row, method.head) if row is not None
}


def inputs_of(methods: Iterable[Method]) -> dict[str, str]:
    """Name the methods whose vectors are the inputs of networks, by the methods of these networks."""
    return {method.name: method.input for method in methods if method.input is not None}


def row_of(name: str) -> Row:
    """Return the row with a name; rows of the user's own features are not in the table."""
    return ROWS.get(name) or own_row(name)


def shown_in(place: Place, names: Iterable[str]) -> list[str]:
    """Select the rows that a part of the report shows, in the order of the table; the user's features come last."""
    wanted = dict.fromkeys(names)
    ordered = [*(name for name in ROWS if name in wanted), *(name for name in wanted if name not in ROWS)]
    return [name for name in ordered if place in row_of(name).places]
