"""Options of older versions: what they are called today, and what to do in the place of those that are gone."""

import re
import sys
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from pipelines.commandline.option_index import Index, option_value
from wordless.base.messages import InputError, suggestion
from wordless.base.processes import rank

GONE = {  # options and values of older versions whose nearest names mean something else -> what to do instead
    **dict.fromkeys(
        ("annotations=kaldi", "annotations=lhotse"),
        "the readers of Kaldi and lhotse are gone: write path, start, end and label of each part into a TSV file, "
        "which wordless run reads by corpus.table",
    ),
    "tokenizer.levels": "there are no residual codebooks; a larger tokenizer.codebook_size loses less of the sound",
    "compare.assignments": "a preset says it by compare.readout: codes (hard) or similarities (soft)",
    "probe.bound": "validation chooses among several: probe.feature_clipping=[2] gives one alone",
    "corpus.shards": "tar shards are not read; unpack them (tar -xf), or write a Parquet file for corpus.dataset",
    "format=start": "wordless publish writes no start weights: vocoder.start=RUN begins with the vocoder of a run",
    "verify": "a file is hashed again if its size or times changed; delete an artifact, and its command makes it again",
    "lm.pitch": "the GPT reads codes without their pitch, which a head predicts from its states",
    "fit.checkpoint_minutes": "all trainings of a command have its checkpoint_minutes",
    "fit.seed": "all trainings of a command follow its seed",
    "fit.compile": "trainings of 2,000 steps or more on a GPU are compiled, but for TORCH_COMPILE_DISABLE=1",
    "fit.accumulation": "language models, vocoders and backbones have it; a smaller batch_size needs less memory, too",
    "fit.ema_decay": "each kind of training has its own average; vocoder.fit.ema_decay of wordless run is left",
    "fit.final_lr_ratio": "each kind of training has its own; a preset of your own may set it",
    **dict.fromkeys(
        ("wavenet.cycles", "wavenet.condition", "wavenet.condition_layers", "crops.pitch_dropout"),
        "a preset of your own may set it (conf/vocoder)",
    ),
    "head.dropout": "the methods of a comparison have a dropout of their own; wordless finetune has the option",
    "augmentation": "the methods of a comparison have augmentations of their own; wordless finetune has the option",
}
# Options whose keys of the store have the name of today already; all others say at their field what they were.
RENAMED: dict[str, tuple[str, Mapping[str, str]]] = {
    "compare.assignments": ("compare.readout", {"hard": "codes", "soft": "similarities"})
}


def today(word: str, known: Index, *, tell: bool = True) -> str:
    """Return the word of a renamed option, or of a renamed value, as it is written today; ``tell`` prints which."""
    name, equals, value = word.partition("=")
    bare = name.lstrip("+~")
    former = RENAMED | known.former
    named = {new: (new, values) for new, values in known.former.values() if values}
    if bare in known.names and bare not in named:
        return word
    new, values = (former | named).get(bare, ("", {}))
    if not new or (new not in known.names and bare in RENAMED):
        return word
    # Values that were renamed are choices, which need no quotes.
    given = re.sub(r"['\"]|[\w.]+", lambda part: values.get(part[0], part[0].strip(QUOTES)), value) if values else value
    if tell and (new, given) != (bare, value):
        tell_renamed(word, f"{new}={given}" if equals else new, bare if new != bare else value)
    return f"{name.removesuffix(bare)}{new}{equals}{given}"


@cache
def tell_renamed(old: str, new: str, gone: str) -> None:
    """Print once how a name or value of an older version is written today."""
    if rank() == 0:
        print(f"{old} is now {new}; the next version will not know {gone}", file=sys.stderr, flush=True)


def with_names_of_today(config: Mapping[str, Any], known: Index) -> dict[str, Any]:
    """Return a composed config in which names of version 0.x, which presets may have, are those of today."""
    found = deepcopy(dict(config))
    for old, (new, values) in (RENAMED | known.former).items():
        *places, last = old.split(".")
        group = option_value(found, ".".join(places)) if places else found
        if not isinstance(group, dict) or last not in group or old in known.names:
            continue
        value = group.pop(last)
        several = isinstance(value, list)
        named = [values.get(each, each) if isinstance(each, str) else each for each in (value if several else [value])]
        own = new.rpartition(".")[2]
        group[own] = _merged(group.get(own), named if several else named[0])
        tell_renamed(old, new, old)
    return found


def _merged(under: object, over: object) -> object:
    """Return the value ``over``; of two mappings, one with the values of both, as Hydra merges a preset."""
    if not isinstance(under, Mapping) or not isinstance(over, Mapping):
        return over
    return {**under, **{name: _merged(under.get(name), value) for name, value in over.items()}}


def unknown_option(name: str, known: Index) -> InputError:
    """Return the refusal of a name that is no option."""
    instead = None
    for gone, text in GONE.items():
        before, found, _ = f".{name}.".partition(f".{gone}.")
        if found and f"{before}.{gone}".strip(".") not in known.sections:  # which this command has
            instead = text
    return InputError(f"{name} is not an option; {instead or suggestion(name, known.names)}")


QUOTES = "'\""
