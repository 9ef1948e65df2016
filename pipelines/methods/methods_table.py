"""The tables of bodies and of all methods, which options, probes, results, charts and sentences read.

The tables are read before any option is checked, so they name the functions that make features: they are imported when
a run needs them. Methods of bodies stand in the files of `pipelines.bodies`. Sentences and charts keep the order of the
table. Vectors of any other program, the user's own features, are compared under the same protocol.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from pipelines.bodies.ast_body import AstSettings
from pipelines.bodies.audio_transformer_body import AudioTransformerSettings
from pipelines.bodies.cnn_body import BaselineSettings
from pipelines.bodies.network_options import FEATURES_OF_BODIES
from pipelines.bodies.sound_gpt_body import SoundGPTSettings
from pipelines.bodies.wav2vec2_body import Wav2vec2Settings
from pipelines.methods.method import CURVES, FEW, BodySettings, Line, Method, Place, untrained
from wordless.base.messages import InputError
from wordless.base.options import BESIDE, Options, option

# module:function: features of methods that name no function, and the judge of labels that is the network of a method
FEATURES = f"{FEATURES_OF_BODIES}:features_of_network"
JUDGE = f"{FEATURES_OF_BODIES}:network_judge"


@dataclass(frozen=True, kw_only=True)
class BodiesOfRun(Options):
    """The bodies of a run, each a group of options."""

    baselines: BaselineSettings = option(BaselineSettings(), "SimCLR and supervised networks", group="small")
    gpt_sound: SoundGPTSettings = option(SoundGPTSettings(), "GPTs of changed copies of sound or codes", group="small")
    ast: AstSettings = option(AstSettings(), "the Audio Spectrogram Transformer of the comparison", group="small")
    audio_transformer: AudioTransformerSettings = option(
        AudioTransformerSettings(), "the Audio Transformer of waveforms of the comparison", group="small"
    )
    wav2vec2: Wav2vec2Settings = option(Wav2vec2Settings(), "wav2vec 2.0 and models of its kind", group="small")


BODIES: dict[str, BodySettings] = {field.name: getattr(BodiesOfRun(), field.name) for field in fields(BodiesOfRun)}
METHODS_OF_BODIES = [
    replace(method, body=name, features=method.features or FEATURES)
    for name, body in BODIES.items()
    for method in body.methods
]

MAKE = "pipelines.chain.chain"
NEXT = "the next code"  # target
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
_TABLE = (
    Method(name="gpt", kind="codes", title="GPT", untrained="random_gpt", features=f"{MAKE}:states",
           line=Line(marker="D"), places=FEW, input="bag_of_codes", reads="lm", target=NEXT),
    *(method for method in METHODS_OF_BODIES if method.training),
    Method(name="bag_of_codes", kind="codes", title="bag of codes", features=f"{MAKE}:bag",
           line=Line(filled=False, dashes="--"), places=FEW),
    untrained("gpt", "GPT", marker="D", reads="bag_of_codes", features=f"{MAKE}:untrained_states"),
    *(method for method in METHODS_OF_BODIES if not method.training),
    Method(name="log_mel", kind="signal", title="log-mel", features=f"{MAKE}:log_mel",
           line=Line(marker="X", filled=False, dashes=":"), places=CURVES),
    Method(name="bottleneck", kind="signal", title="bottleneck", features=f"{MAKE}:bottleneck",
           line=Line(marker="v", dashes=":")),
    Method(name="mfcc", kind="signal", title="MFCC", features=f"{MAKE}:frames",
           line=Line(marker="p", filled=False, dashes="-."), places=CURVES),
    Method(name="chroma", kind="signal", title="chroma", features=f"{MAKE}:frames",
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
    """Describe the features of the user with this name, of a file of `lm.probing.vectors`."""
    marker = MARKERS[sum(name.encode()) % len(MARKERS)]
    return Method(name=name, kind="own", title=name, line=Line(marker=marker, dashes="-."), places=FEW, file=file)


def require_features(name: str, file: Path) -> None:
    """Refuse features whose name cannot stand in keys and charts, or whose file is none."""
    if not NAME.fullmatch(name):
        raise InputError(f"compare.features has the name {name!r}; use up to 40 letters, digits, '_', '.' and '-'")
    if not file.is_file():
        raise InputError(f"compare.features has {name}: {file}, which is no file; name a file of features")
