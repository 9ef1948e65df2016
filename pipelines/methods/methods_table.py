"""The tables of backbones and of all methods, which options, probes, results, charts and sentences read.

`pipelines.chain.method_vectors` has what makes the vectors of a row. Methods of backbones stand in the files of
`pipelines.backbones`. Sentences and charts keep the order of the table. Vectors of any other program, the user's own
features, are compared under the same protocol.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from pipelines.backbones.ast_backbone import AstSettings
from pipelines.backbones.audio_transformer_backbone import AudioTransformerSettings
from pipelines.backbones.cnn_backbone import BaselineSettings
from pipelines.backbones.denoising_backbone import DenoisingSettings
from pipelines.backbones.wav2vec2_backbone import Wav2vec2Settings
from pipelines.methods.method import CURVES, FEW, OVER_CODES, BackboneSettings, Line, Method, Place, untrained
from wordless.base.messages import InputError
from wordless.base.options import BESIDE, Options, option


@dataclass(frozen=True, kw_only=True)
class BackbonesOfRun(Options):
    """The backbones of a run, each a group of options."""

    baselines: BaselineSettings = option(BaselineSettings(), "SimCLR and supervised networks", group="small")
    denoising: DenoisingSettings = option(DenoisingSettings(), "denoising unit prediction over codes", group="small")
    ast: AstSettings = option(AstSettings(), "the Audio Spectrogram Transformer of the comparison", group="small")
    audio_transformer: AudioTransformerSettings = option(
        AudioTransformerSettings(), "the Audio Transformer of waveforms of the comparison", group="small"
    )
    wav2vec2: Wav2vec2Settings = option(Wav2vec2Settings(), "wav2vec 2.0 and models of its kind", group="small")


BACKBONES: dict[str, BackboneSettings] = {
    field.name: getattr(BackbonesOfRun(), field.name) for field in fields(BackbonesOfRun)
}
METHODS_OF_BACKBONES = [
    replace(method, backbone=name, features=method.features or "network")
    for name, backbone in BACKBONES.items()
    for method in backbone.methods
]

NEXT = "the next code"  # target
RATE_MARKERS = ("o", "^", "s", "D")  # of matplotlib, one for each rate that `tokenizer.rates` may have

# fmt: off
# Rate 1 is the coarsest. Its language model is a GPT; those of finer rates are upsamplers, which also read the coarser
# codes.
BAGS = tuple(
    Method(name=f"bag_of_rate_{rate}", kind="codes", title=f"bag of codes, rate {rate}", features="bag",
           reads_codes=True, line=Line(marker=marker, filled=False, dashes="--"), rate=rate)
    for rate, marker in enumerate(RATE_MARKERS, 1)
)
_STATES = tuple(
    Method(name=f"gpt_of_rate_{rate}", kind="codes", title=f"GPT, rate {rate}", untrained=f"random_gpt_of_rate_{rate}",
           features="states", reads_codes=True, line=Line(marker=marker), input=f"bag_of_rate_{rate}",
           reads="rates", rate=rate, target=NEXT)
    for rate, marker in enumerate(RATE_MARKERS, 1)
)
UNTRAINED_STATES = tuple(
    replace(untrained(f"gpt_of_rate_{rate}", f"GPT, rate {rate}", marker=marker, reads=f"bag_of_rate_{rate}",
                      reads_codes=True, features="untrained_states"), rate=rate)
    for rate, marker in enumerate(RATE_MARKERS, 1)
)
_TABLE = (
    Method(name="gpt", kind="codes", title=f"GPT {OVER_CODES}", untrained="random_gpt", features="states",
           line=Line(marker="D"), places=FEW, input="bag_of_codes", reads_codes=True, reads="lm", target=NEXT),
    *(method for method in METHODS_OF_BACKBONES if method.training),
    Method(name="bag_of_codes", kind="codes", title="bag of codes", features="bag",
           reads_codes=True, line=Line(filled=False, dashes="--"), places=FEW),
    untrained("gpt", f"GPT {OVER_CODES}", marker="D", reads="bag_of_codes", reads_codes=True,
              features="untrained_states"),
    *(method for method in METHODS_OF_BACKBONES if not method.training),
    Method(name="log_mel", kind="signal", title="log-mel", features="log_mel",
           line=Line(marker="X", filled=False, dashes=":"), places=CURVES),
    Method(name="bottleneck", kind="signal", title="bottleneck", features="bottleneck",
           line=Line(marker="v", dashes=":")),
    Method(name="mfcc", kind="signal", title="MFCC", features="frames",
           line=Line(marker="p", filled=False, dashes="-."), places=CURVES),
    Method(name="chroma", kind="signal", title="chroma", features="frames",
           line=Line(marker="h", filled=False, dashes="--"), places=CURVES),
    *_STATES,
    *UNTRAINED_STATES,
    *BAGS,
)
# fmt: on
METHODS = {method.name: method for method in _TABLE}
# All rows that a comparison can have, the heads of classifiers included.
ROWS = {row.name: row for method in METHODS.values() for row in (method, method.head) if row is not None}


def reads_sound(name: str) -> bool:
    """Return whether the network of a method, which the folder of a run keeps, reads sound itself."""
    return bool((method := METHODS.get(name)) and method.of_sound)


def method_of(name: str) -> Method:
    """Return a method of the table, or describe several side by side: ``denoising+simclr``."""
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


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
MARKERS = "Pphd<>*8"  # of matplotlib


def own_method(name: str, file: Path | None = None) -> Method:
    """Describe the features of the user with this name, of a file of `lm.probing.vectors`."""
    marker = MARKERS[sum(name.encode()) % len(MARKERS)]
    return Method(name=name, kind="own", title=name, line=Line(marker=marker, dashes="-."), places=FEW, file=file)


def require_features(name: str, file: Path) -> None:
    """Refuse features whose name cannot stand in keys and charts, or whose file is none."""
    if not _NAME.fullmatch(name):
        raise InputError(f"compare.features has the name {name!r}; use up to 40 letters, digits, '_', '.' and '-'")
    if not file.is_file():
        raise InputError(f"compare.features has {name}: {file}, which is no file; name a file of features")
