"""The size of vectors that is estimated before a run, against the features that it makes."""

from collections import Counter

import numpy as np
from safetensors.torch import load_file

from lm.embeddings import layer_features
from lm.model import LanguageModel
from pipelines.methods.codes import GPT
from pipelines.methods.method import Method
from pipelines.settings.run import run_settings
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import composed
from tokenizer.tokenizer import Tokenizer


def test_vectors_are_as_large_as_was_estimated_before_the_run(finished_run: FinishedRun) -> None:
    settings = run_settings(composed(finished_run.store))
    stored = Counter[str]()
    for path in finished_run.store.glob("*_features/*/features.safetensors"):
        for key, vectors in load_file(path).items():
            stored[key.partition(":")[0].partition("/")[0]] += vectors.shape[1]
    estimated = {method.name: method.vector_size(settings) for method in settings.compare.all_methods}
    exact = {name: count for name, count in estimated.items() if count != Method.vector_size(settings)}
    assert {"log_mel", "bottleneck", "bag_of_codes", "gpt", "random_gpt"} <= {*exact}
    assert exact == {name: stored[name] for name in exact}


def test_states_by_surprise_are_estimated_too(finished_run: FinishedRun) -> None:
    options = ("compare.attentive=true", "compare.surprise=true", "compare.poolings=[mean,thirds_max]")
    settings = run_settings(composed(finished_run.store, *options))
    model = LanguageModel.from_pretrained(finished_run.folder / "lm")
    tokenizer = Tokenizer.from_pretrained(finished_run.folder / "tokenizer")
    codes = tokenizer.encode(np.random.default_rng(0).uniform(-0.5, 0.5, 8_000), 4_000)
    vectors = layer_features(model, [codes], vectors=settings.compare.vectors, attentive=True, surprise=True)
    assert settings.compare.states == ("residual",)
    assert GPT.vector_size(settings) == sum(each.shape[1] for each in vectors.values())
