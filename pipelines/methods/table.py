"""The table of all methods, which options, probes, results, charts and sentences read; and the user's own features.

The table is read before any option is checked, so it names the functions that make features: they are imported when a
run needs them. Sentences and charts keep the order of the table. Vectors of any other program are compared under the
same protocol.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lm.bodies.options import Variant
from pipelines.methods.method import Line, Method, NetworkOptions, Place
from wordless.base.errors import InputError

FEW: tuple[Place, ...] = ("learning curves", "groups")
CURVES: tuple[Place, ...] = ("learning curves",)

AUDIO_TRANSFORMER = Method(
    name="audio_transformer",
    features="pipelines.chain.features:taught_audio_transformer",
    untrained="random_audio_transformer",
    kind="supervised",
    title="Audio Transformer",
    explanation="layers of an Audio Transformer of raw samples, trained with the labels",
    line=Line(marker="<"),
    places=CURVES,
    network="audio_transformer",
    learns_labels=True,
    training="audio_transformer",
)
_LINES: dict[Variant, Line] = {
    "wavelet": Line(marker="<", filled=False),
    "pooling": Line(marker=">", filled=False, dashes="--"),
    "plain": Line(marker="h", filled=False, dashes=":"),
}
# They differ in what happens between layers and have the same parameters, so a comparison can name several.
VARIANTS = {
    name: replace(
        AUDIO_TRANSFORMER,
        name=f"audio_transformer_{name}",
        features=f"pipelines.chain.features:taught_{name}",
        title=f"Audio Transformer, {name}",
        line=line,
    )
    for name, line in _LINES.items()
}
RATE_MARKERS = ("o", "^", "s", "D")  # of matplotlib, one for each rate that `tokenizer.rates` may have
# Rate 1 is the coarsest. Its language model is a GPT; those of finer rates are upsamplers, which also read the coarser
# codes.
BAGS = tuple(
    Method(
        name=f"bag_of_rate_{rate}",
        kind="codes",
        title=f"bag of codes, rate {rate}",
        explanation="the bag of codes of one of `tokenizer.rates`; rate 1 is the coarsest",
        features="pipelines.chain.features:bag",
        line=Line(marker=marker, filled=False, dashes="--"),
        rate=rate,
    )
    for rate, marker in enumerate(RATE_MARKERS, 1)
)
STATES = tuple(
    Method(
        name=f"gpt_of_rate_{rate}",
        kind="codes",
        title=f"GPT, rate {rate}",
        explanation="the GPT of one of `tokenizer.rates`; rate 1 is the coarsest",
        features="pipelines.chain.features:states",
        line=Line(marker=marker),
        input=f"bag_of_rate_{rate}",
        reads="rates",
        rate=rate,
    )
    for rate, marker in enumerate(RATE_MARKERS, 1)
)


def _untrained(
    name: str,
    title: str,
    features: str,
    *,
    marker: str,
    filled: bool = False,
    input: str | None = None,
    network: NetworkOptions = "",
) -> Method:
    """Describe a network with random weights; the row of the same network that is trained names it."""
    return Method(
        name=name,
        kind="untrained",
        title=f"{title}, untrained",
        features=f"pipelines.chain.features:{features}",
        line=Line(marker=marker, filled=filled, dashes=":"),
        input=input,
        network=network,
    )


_TABLE = (
    Method(
        name="gpt",
        features="pipelines.chain.features:states",
        untrained="random_gpt",
        kind="codes",
        title="GPT",
        explanation="states or inner activations of the GPT over the codes",
        line=Line(marker="D"),
        places=FEW,
        input="bag_of_codes",
        reads="lm",
    ),
    Method(
        name="gpt_sound",
        features="pipelines.chain.features:sound_states",
        untrained="random_gpt_sound",
        kind="self_supervised",
        title="GPT that reads sound",
        explanation="layers of a GPT that reads log-mel of changed copies and predicts the codes of the unchanged "
        "clips",
        line=Line(marker="X"),
        places=FEW,
        input="log_mel",
        training="gpt_sound",
        loss="nats per code",
    ),
    Method(
        name="gpt_windows",
        features="pipelines.chain.features:sound_states",
        untrained="random_gpt_windows",
        kind="codes",
        title="GPT that predicts windows",
        explanation="layers of a GPT over codes of changed copies that predicts codes of windows, as long as words, of "
        "the unchanged clips",
        line=Line(marker="X"),
        places=FEW,
        input="bag_of_codes",
        training="gpt_sound",
        loss="nats per code",
    ),
    Method(
        name="simclr",
        features="pipelines.chain.features:simclr_layers",
        untrained="random_conv",
        kind="self_supervised",
        title="SimCLR",
        explanation="blocks of a convolutional network that was trained without labels, by contrast of two augmented "
        "versions",
        line=Line(marker="s"),
        places=FEW,
        input="log_mel",
        training="baselines.simclr",
        loss="nats per view, among all of its batch",
    ),
    Method(
        name="wav2vec2",
        features="pipelines.chain.features:speech_layers",
        untrained="random_wav2vec2",
        kind="self_supervised",
        title="wav2vec 2.0",
        explanation="layers of wav2vec 2.0, HuBERT, WavLM or data2vec-audio",
        line=Line(marker="P"),
        places=FEW,
        network="wav2vec2",
        training="wav2vec2.pretraining",
        loss="nats per masked frame, among its negatives",
    ),
    Method(
        name="wav2vec2_finetuned",
        features="pipelines.chain.features:taught_speech",
        untrained="random_wav2vec2",
        kind="supervised",
        title="wav2vec 2.0, fine-tuned",
        explanation="layers of `wav2vec2`, fine-tuned with the labels",
        line=Line(marker="P", filled=False, dashes="--"),
        places=CURVES,
        network="wav2vec2",
        learns_labels=True,
        training="wav2vec2.finetuning",
    ),
    Method(
        name="ast",
        features="pipelines.chain.features:taught_ast",
        untrained="random_ast",
        kind="supervised",
        title="AST",
        explanation="layers of an Audio Spectrogram Transformer, trained with the labels",
        line=Line(marker="v", filled=False, dashes="--"),
        places=CURVES,
        network="ast",
        learns_labels=True,
        training="ast",
    ),
    AUDIO_TRANSFORMER,
    *VARIANTS.values(),
    Method(
        name="bag_of_codes",
        features="pipelines.chain.features:bag",
        kind="codes",
        title="bag of codes",
        explanation="how often each code occurs, without their order",
        line=Line(filled=False, dashes="--"),
        places=FEW,
    ),
    _untrained("random_gpt", "GPT", "untrained_states", marker="D", input="bag_of_codes"),
    Method(
        name="supervised",
        features="pipelines.chain.features:taught_conv",
        untrained="random_conv",
        kind="supervised",
        title="supervised CNN",
        explanation="blocks of the convolutional network of `simclr`, trained with the labels",
        line=Line(marker="^"),
        places=CURVES,
        input="log_mel",
        learns_labels=True,
        training="baselines.supervised",
    ),
    _untrained("random_gpt_sound", "GPT that reads sound", "sound_states", marker="d", input="log_mel"),
    _untrained(
        "random_gpt_windows", "GPT that predicts windows", "sound_states", marker="d", filled=True, input="bag_of_codes"
    ),
    _untrained("random_conv", "CNN", "conv_layers", marker="s", input="log_mel"),
    _untrained("random_ast", "AST", "ast_layers", marker="H"),
    _untrained("random_wav2vec2", "wav2vec 2.0", "random_speech_layers", marker="X", filled=True, network="wav2vec2"),
    _untrained(
        "random_audio_transformer",
        "Audio Transformer",
        "audio_transformer_layers",
        marker="8",
        network="audio_transformer",
    ),
    Method(
        name="log_mel",
        features="pipelines.chain.features:log_mel",
        kind="signal",
        title="log-mel",
        explanation="frames of the log-mel spectrogram",
        line=Line(marker="X", filled=False, dashes=":"),
        places=CURVES,
    ),
    Method(
        name="bottleneck",
        features="pipelines.chain.features:bottleneck",
        kind="signal",
        title="bottleneck",
        explanation="bottlenecks of the tokenizer's autoencoder",
        line=Line(marker="v", dashes=":"),
    ),
    Method(
        name="mfcc",
        features="pipelines.chain.features:mfcc",
        kind="signal",
        title="MFCC",
        explanation="20 mel-frequency cepstral coefficients with their deltas",
        line=Line(marker="p", filled=False, dashes="-."),
        places=CURVES,
    ),
    Method(
        name="chroma",
        features="pipelines.chain.features:chroma",
        kind="signal",
        title="chroma",
        explanation="the energy of the twelve pitch classes",
        line=Line(marker="h", filled=False, dashes="--"),
        places=CURVES,
    ),
    *STATES,
    *BAGS,
)
METHODS = {method.name: method for method in _TABLE}
# All rows that a comparison can have, the heads of classifiers included.
ROWS = {row.name: row for method in METHODS.values() for row in (method, method.head) if row is not None}


def row_of(name: str) -> Method:
    """Return the row with a name; rows of the user's own features are not in the table."""
    return ROWS.get(name) or own_method(name)


def shown_in(place: Place, names: Iterable[str]) -> list[str]:
    """Select the rows that a part of the report shows, in the order of the table; the user's features come last."""
    wanted = dict.fromkeys(names)
    ordered = [*(name for name in ROWS if name in wanted), *(name for name in wanted if name not in ROWS)]
    return [name for name in ordered if place in row_of(name).places]


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
MARKERS = "Pphd<>*8"  # of matplotlib


def own_method(name: str, file: Path | None = None) -> Method:
    """Describe the features of the user with this name, of a file of `lm.probing.features_file`."""
    marker = MARKERS[sum(name.encode()) % len(MARKERS)]
    return Method(name=name, kind="own", title=name, line=Line(marker=marker, dashes="-."), places=FEW, file=file)


def require_features(name: str, file: Path) -> None:
    """Refuse features whose name cannot stand in keys and charts, or whose file is none."""
    if not NAME.fullmatch(name):
        raise InputError(f"compare.features has the name {name!r}; use up to 40 letters, digits, '_', '.' and '-'")
    if not file.is_file():
        raise InputError(f"compare.features has {name}: {file}, which is no file; name a file of features")
