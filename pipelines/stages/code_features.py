"""Features of codes: one vector per clip from its bag of codes, and from the states of a language model.

The entries have the form of `pipelines.stages.features`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from foundation.threads import one_thread
from lm.embeddings import RESIDUAL, States, layer_features
from lm.gpt import GPTConfig
from lm.model import LanguageModel
from lm.pooling import FloatArray, bags_of_codes
from lm.vectors import ONE_HEARING, VectorConfig, average
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe
from pipelines.store.stored_features import FEATURES, GPT, joined_rows, write_features
from tokenizer.assignments import SoftCodes
from tokenizer.codes import Codes, CodesFormat
from tokenizer.parquet import read_codes
from tokenizer.rates import join_rates

BAG_OF_CODES = "bag_of_codes"  # the method
CLIPS_AT_ONCE = 1 << 15  # whose codes are in memory; batches of a GPT do not reach across them, so it decides last bits
CodesVectors = Callable[[Sequence[Codes | SoftCodes]], Mapping[str, FloatArray]]  # a row for each recording


class CodesOfClips(Protocol):
    """The codes of a corpus in all hearings, hard or soft."""

    @property
    def vectors(self) -> VectorConfig: ...
    @property
    def keys(self) -> dict[str, str]:
        """The inputs of a recipe."""

    @property
    def format(self) -> CodesFormat:
        """Meaning of the codes."""

    def pooled(self, pool_clips: CodesVectors) -> dict[str, FloatArray]:
        """Pool the codes of all clips, many at a time, and average the vectors over the hearings."""


@dataclass(frozen=True, kw_only=True)
class HeardCodes:
    """The codes of a corpus: of the recordings as they are, and of the other hearings."""

    codes: Entry
    heard: Entry | None = None  # of `stages.codes.heard_codes`
    vectors: VectorConfig = ONE_HEARING
    coarser: tuple["HeardCodes", ...] = ()  # the same clips at coarser rates, coarse to fine

    @property
    def keys(self) -> dict[str, str]:
        """The inputs of a recipe."""
        rates = enumerate(self.coarser, 1)
        coarser = {f"rate_{number}_{name}": key for number, each in rates for name, key in each.keys.items()}
        return {"codes": self.codes.key, **({"heard": self.heard.key} if self.heard else {}), **coarser}

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entry of the other hearings, if there are any."""
        return (self.heard,) if self.heard else ()

    @property
    def format(self) -> CodesFormat:
        """Meaning of the codes of this rate."""
        return read_codes(self.codes.folder)[0]

    def pooled(self, pool_clips: CodesVectors) -> dict[str, FloatArray]:
        """Pool the codes of all clips, `CLIPS_AT_ONCE` at a time, and average the vectors over the hearings."""
        return joined_rows(average(map(pool_clips, block)) for block in self._blocks())

    def _blocks(self) -> Iterator[list[list[Codes]]]:
        """Give for each block of clips their codes in each hearing, joined with those of coarser rates."""
        for rates in zip(*(each._of_own_rate() for each in (*self.coarser, self)), strict=True):
            yield [[join_rates(parts) for parts in zip(*each, strict=True)] for each in zip(*rates, strict=True)]

    def _of_own_rate(self) -> Iterator[list[list[Codes]]]:
        """Give the same at this rate alone; the other hearings of a clip follow one after the other in their files."""
        clips, places = read_codes(self.codes.folder)[1], self.vectors.hearings - 1
        others = read_codes(self.heard.folder)[1] if self.heard else iter(())
        while block := [clip.codes for clip in islice(clips, CLIPS_AT_ONCE)]:
            heard = [clip.codes for clip in islice(others, places * len(block))]
            yield [block, *(heard[place::places] for place in range(places if self.heard else 0))]


def code_features(session: Session, coded: CodesOfClips, *, of: str = BAG_OF_CODES) -> Entry:
    """Compute the bag of codes: each code's share of the time. ``of`` is the method."""
    poolings = coded.vectors.poolings
    recipe = Recipe("code_features", 1, config={**coded.vectors.key, **_named(of, BAG_OF_CODES)}, inputs=coded.keys)

    def bags(clips: Sequence[Codes | SoftCodes]) -> dict[str, FloatArray]:
        vectors = [bags_of_codes(codes, poolings) for codes in clips]
        return {f"{of}:{each}": np.stack([own[each] for own in vectors]) for each in poolings}

    @one_thread()  # of soft codes, more threads round sums in another way
    def make(folder: Path) -> None:
        write_features(folder, coded.pooled(bags))

    return session.obtain(recipe, "bags of codes", make, files=[FEATURES])


def gpt_features(
    session: Session,
    coded: CodesOfClips,
    model_entry: Entry,
    *,
    states: Sequence[States] = RESIDUAL,
    attentive: bool = False,
    surprise: bool = False,
    of: str = GPT,
) -> Entry:
    """Compute the pooled states of a language model: see `lm.embeddings.layer_features`. ``of`` is the method."""
    config = {**coded.vectors.network_key, "attentive": attentive, "surprise": surprise, **_states(states)}
    config |= _named(of, GPT)
    recipe = Recipe("gpt_features", 2, config=config, inputs={**coded.keys, "lm": model_entry.key})

    @one_thread()  # the keys of `wordless probe` do not have the number of threads
    def make(folder: Path) -> None:
        model = LanguageModel.from_pretrained(model_entry.folder, device=str(session.gang.device))
        states_of = partial(
            layer_features, model, of=states, vectors=coded.vectors, attentive=attentive, surprise=surprise
        )
        write_features(folder, coded.pooled(states_of), of=of)

    return session.obtain(recipe, "states of the GPT", make, files=[FEATURES])


def random_gpt_features(
    session: Session, coded: CodesOfClips, config: GPTConfig, *, seed: int, states: Sequence[States] = RESIDUAL
) -> Entry:
    """Compute states of an untrained GPT: a baseline for the architecture without learning."""
    options = {**coded.vectors.network_key, "gpt": asdict(config), "seed": seed, **_states(states)}
    recipe = Recipe("random_gpt_features", 2, config=options, inputs=coded.keys)

    @one_thread()
    def make(folder: Path) -> None:
        model = LanguageModel.create(config, coded.format, seed=seed)
        model.gpt.to(session.gang.device).eval()
        states_of = partial(layer_features, model, of=states, vectors=coded.vectors)
        write_features(folder, coded.pooled(states_of), of="random_gpt")

    return session.obtain(recipe, "states of an untrained GPT", make, files=[FEATURES])


def _named(of: str, plain: str) -> dict[str, object]:
    """Return the recipe's part about the method; the plain one adds nothing, so its entries keep their key."""
    return {} if of == plain else {"of": of}


def _states(states: Sequence[States]) -> dict[str, object]:
    """Return the recipe's part about the states; residual states add nothing, so their entries keep their key."""
    return {} if tuple(states) == RESIDUAL else {"states": sorted(states)}
