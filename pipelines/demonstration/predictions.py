"""The labels that the probe of a run predicts for a sound."""

from dataclasses import dataclass

import numpy as np

from lm.embeddings import layer_features
from lm.model import LanguageModel
from lm.probing.fitted import FittedProbe, ProbeDescription
from lm.probing.vectors import bags_of_codes
from pipelines.stages.features import BAG_OF_CODES
from pipelines.store.stored_features import GPT, method_of_key, pooling_of, with_input
from tokenizer.codes import Codes, CodesFormat, SoftCodes
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError

TRIED_STEPS = 3  # of the codes that a probe is tried with; poolings over thirds need no more


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictor:
    """A probe, and the language model whose states it may read."""

    probe: FittedProbe
    language_model: LanguageModel | None

    @property
    def about(self) -> ProbeDescription:
        """What the probe reads and answers."""
        return self.probe.description

    def require_features(self, form: CodesFormat) -> None:
        """Refuse a probe whose features the language model does not compute from codes of the finest rate.

        A copy of a run may lack the language model, or hold that of another run.
        """
        values = np.zeros((TRIED_STEPS, form.streams), np.int32)
        self.scores(Codes(values=values, num_samples=TRIED_STEPS * form.samples_per_code, format=form))

    def scores(self, codes: Codes | SoftCodes) -> dict[str, float]:
        """Return the score of each class, the highest first, for codes of the finest rate, as the probe reads them."""
        scores = self.probe.scores(self._features(codes))[0]
        return {self.about.classes[number]: float(scores[number]) for number in np.argsort(-scores, kind="stable")}

    def _features(self, codes: Codes | SoftCodes) -> FloatArray:
        """Compute the vector ``(1, dim)`` that the probe reads."""
        recipe, model = self.about.recipe, self.language_model
        counted = bags_of_codes(codes, recipe.vectors.poolings)
        bags: dict[str, FloatArray] = {pooling: bag[None] for pooling, bag in counted.items()}
        match method_of_key(self.about.of):
            case "gpt" if model is not None and not model.coarser:
                by_layer = layer_features(model, [codes], of=recipe.states, vectors=recipe.vectors)
                vectors = {f"{GPT}/{key}": values for key, values in by_layer.items()}
                vectors |= {
                    with_input(key): np.hstack([values, bags[pooling_of(key)]])
                    for key, values in vectors.items()
                    if pooling_of(key) in bags
                }
            case "bag_of_codes":
                vectors = {f"{BAG_OF_CODES}:{pooling}": values for pooling, values in bags.items()}
            case _:
                vectors = {}
        if self.about.of not in vectors:
            raise InputError(f"the probe reads {self.about.of}, which its models do not compute; copy the whole run")
        return vectors[self.about.of]
