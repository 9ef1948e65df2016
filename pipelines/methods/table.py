"""The table of all methods, which options, probes, results, charts and sentences read; and the user's own features.

The table is read before any option is checked, so it names the functions that make features: they are imported when a
run needs them. Sentences and charts keep the order of the table. Vectors of any other program are compared under the
same protocol.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pipelines.methods.method import Line, Method, NetworkOptions, Place
from wordless.base.errors import InputError
from wordless.base.options import BESIDE

FEW: tuple[Place, ...] = ("learning curves", "groups")
CURVES: tuple[Place, ...] = ("learning curves",)
MAKE = "pipelines.chain.features"
NEXT, WINDOW = "the next code", "the code of the sound around, unchanged"  # targets
RATE_MARKERS = ("o", "^", "s", "D")  # of matplotlib, one for each rate that `tokenizer.rates` may have

# fmt: off
# Rate 1 is the coarsest. Its language model is a GPT; those of finer rates are upsamplers, which also read the coarser
# codes.
BAGS = tuple(
    Method(name=f"bag_of_rate_{rate}", kind="codes", title=f"bag of codes, rate {rate}", features=f"{MAKE}:bag",
           line=Line(marker=marker, filled=False, dashes="--"), rate=rate)
    for rate, marker in enumerate(RATE_MARKERS, 1)
)
STATES = tuple(
    Method(name=f"gpt_of_rate_{rate}", kind="codes", title=f"GPT, rate {rate}", features=f"{MAKE}:states",
           line=Line(marker=marker), input=f"bag_of_rate_{rate}", reads="rates", rate=rate, target=NEXT)
    for rate, marker in enumerate(RATE_MARKERS, 1)
)
AUDIO_TRANSFORMER = Method(
    name="audio_transformer", kind="supervised", title="Audio Transformer", untrained="random_audio_transformer",
    features=f"{MAKE}:taught_audio_transformer", line=Line(marker="<"), places=CURVES,
    network="audio_transformer", training="audio_transformer", learns_labels=True)
# They differ in what happens between layers and have the same parameters, so a comparison can name several.
VARIANTS = tuple(
    replace(AUDIO_TRANSFORMER, name=f"audio_transformer_{variant}", title=f"Audio Transformer, {variant}",
            features=f"{MAKE}:taught_{variant}", line=Line(marker=marker, filled=False, dashes=dashes))
    for variant, marker, dashes in (("wavelet", "<", "-"), ("pooling", ">", "--"), ("plain", "h", ":"))
)
# Networks with random weights: the row of the same network that is trained names them.
_RANDOM: tuple[tuple[str, str, str, Line, str | None, NetworkOptions], ...] = (
    ("gpt", "GPT", "untrained_states", Line(marker="D", filled=False), "bag_of_codes", ""),
    ("gpt_sound", "GPT that reads sound", "sound_states", Line(marker="d", filled=False), "log_mel", ""),
    ("gpt_window", "GPT that predicts a window", "sound_states", Line(marker="d"), "bag_of_codes", ""),
    ("conv", "CNN", "conv_layers", Line(marker="s", filled=False), "log_mel", ""),
    ("ast", "AST", "ast_layers", Line(marker="H", filled=False), None, ""),
    ("wav2vec2", "wav2vec 2.0", "random_speech_layers", Line(marker="X"), None, "wav2vec2"),
    ("audio_transformer", "Audio Transformer", "audio_transformer_layers", Line(marker="8", filled=False), None,
     "audio_transformer"),
)
_UNTRAINED = tuple(
    Method(name=f"random_{name}", kind="untrained", title=f"{title}, untrained", features=f"{MAKE}:{make}",
           line=replace(line, dashes=":"), input=read, network=network)
    for name, title, make, line, read, network in _RANDOM
)
_TABLE = (
    Method(name="gpt", kind="codes", title="GPT", untrained="random_gpt", features=f"{MAKE}:states",
           line=Line(marker="D"), places=FEW, input="bag_of_codes", reads="lm", target=NEXT),
    Method(name="gpt_sound", kind="self_supervised", title="GPT that reads sound", untrained="random_gpt_sound",
           features=f"{MAKE}:sound_states", line=Line(marker="X"), places=FEW, input="log_mel",
           training="gpt_sound", loss="nats per code", target=WINDOW),
    Method(name="gpt_window", kind="codes", title="GPT that predicts a window", untrained="random_gpt_window",
           features=f"{MAKE}:sound_states", line=Line(marker="X"), places=FEW, input="bag_of_codes",
           training="gpt_sound", loss="nats per code", target=WINDOW),
    Method(name="gpt_read", kind="codes", title="GPT that names the code just read", untrained="random_gpt_window",
           features=f"{MAKE}:sound_states", line=Line(marker="P"), places=FEW, input="bag_of_codes",
           training="gpt_sound", loss="nats per code", target="the code just read, unchanged"),
    Method(name="simclr", kind="self_supervised", title="SimCLR", untrained="random_conv",
           features=f"{MAKE}:simclr_layers", line=Line(marker="s"), places=FEW, input="log_mel",
           training="baselines.simclr", loss="nats per view, among all of its batch",
           target="another copy of the clip"),
    Method(name="wav2vec2", kind="self_supervised", title="wav2vec 2.0", untrained="random_wav2vec2",
           features=f"{MAKE}:speech_layers", line=Line(marker="P"), places=FEW, network="wav2vec2",
           training="wav2vec2.pretraining", loss="nats per masked frame, among its negatives",
           target="masked frames"),
    Method(name="wav2vec2_finetuned", kind="supervised", title="wav2vec 2.0, fine-tuned", untrained="random_wav2vec2",
           features=f"{MAKE}:taught_speech", line=Line(marker="P", filled=False, dashes="--"), places=CURVES,
           network="wav2vec2", training="wav2vec2.finetuning", learns_labels=True),
    Method(name="ast", kind="supervised", title="AST", untrained="random_ast", features=f"{MAKE}:taught_ast",
           line=Line(marker="v", filled=False, dashes="--"), places=CURVES,
           network="ast", training="ast", learns_labels=True),
    AUDIO_TRANSFORMER,
    *VARIANTS,
    Method(name="bag_of_codes", kind="codes", title="bag of codes", features=f"{MAKE}:bag",
           line=Line(filled=False, dashes="--"), places=FEW),
    Method(name="bag_of_targets", kind="codes", title="bag of codes of windows", features=f"{MAKE}:bag_of_targets",
           line=Line(marker="s", filled=False, dashes="--"), input="bag_of_codes"),
    _UNTRAINED[0],
    Method(name="supervised", kind="supervised", title="supervised CNN", untrained="random_conv",
           features=f"{MAKE}:taught_conv", line=Line(marker="^"), places=CURVES, input="log_mel",
           training="baselines.supervised", learns_labels=True),
    *_UNTRAINED[1:],
    Method(name="log_mel", kind="signal", title="log-mel", features=f"{MAKE}:log_mel",
           line=Line(marker="X", filled=False, dashes=":"), places=CURVES),
    Method(name="bottleneck", kind="signal", title="bottleneck", features=f"{MAKE}:bottleneck",
           line=Line(marker="v", dashes=":")),
    Method(name="mfcc", kind="signal", title="MFCC", features=f"{MAKE}:mfcc",
           line=Line(marker="p", filled=False, dashes="-."), places=CURVES),
    Method(name="chroma", kind="signal", title="chroma", features=f"{MAKE}:chroma",
           line=Line(marker="h", filled=False, dashes="--"), places=CURVES),
    *STATES,
    *BAGS,
)
# fmt: on
METHODS = {method.name: method for method in _TABLE}
# All rows that a comparison can have, the heads of classifiers included.
ROWS = {row.name: row for method in METHODS.values() for row in (method, method.head) if row is not None}


def method_of(name: str) -> Method:
    """Return a method of the table, or describe several side by side: ``gpt_window+simclr``."""
    first, *others = parts = tuple(METHODS[each] for each in name.split(BESIDE))
    if not others:
        return first
    untrained, learns_labels = [part.untrained for part in parts], any(part.learns_labels for part in parts)
    return Method(
        name=name,
        kind=first.kind,
        title=" + ".join(part.title for part in parts),
        untrained=BESIDE.join(untrained) if all(untrained) else "",
        line=Line(marker="*", dashes=":" if first.kind == "untrained" else "-."),
        places=() if first.kind == "untrained" else FEW,
        learns_labels=learns_labels,
        target="; ".join(dict.fromkeys(part.learns for part in parts)),
        parts=parts,
    )


def row_of(name: str) -> Method:
    """Return the row with a name; the table lacks methods side by side, and the user's own features."""
    return ROWS.get(name) or (method_of(name) if BESIDE in name else own_method(name))


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
