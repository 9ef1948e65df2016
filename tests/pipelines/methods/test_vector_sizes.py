"""The size of vectors that is estimated before a run, against the features that it makes."""

from collections import Counter

from safetensors.torch import load_file

from pipelines.methods.method import Method
from pipelines.settings.run import run_settings
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import composed


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
