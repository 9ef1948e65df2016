"""Pages taken apart into text and elements, and a comparison to make pages of."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np

from pipelines.results.comparison import Comparison
from pipelines.results.figures import Figure, Figures

VOID = {"meta", "link", "br", "hr", "img", "input", "source", "wbr"}


class Page(HTMLParser):
    """What a page is made of; fails where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of all tags of one name."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def figure(stage: str, name: str, value: float, of: str | None = None, **columns: Any) -> dict[str, object]:
    """A row of ``results.json``."""
    row = Figure(stage=stage, name=name, value=value, of=of, artifact="0123456789abcdef", protocol="official")
    return replace(row, **{"split": "test", **columns}).as_row()


def says(text: str, *parts: str) -> bool:
    """Whether the parts stand one after another in a text, each at most 80 characters behind the last."""
    return re.search(".{0,80}?".join(map(re.escape, parts)), text) is not None


# method -> (accuracy, layers)
METHODS = {
    "supervised": (0.80, ["block_1", "block_2", "block_3", "block_4", "all_blocks"]),
    "supervised_head": (0.785, []),
    "gpt": (0.714, ["layer_1", "layer_2", "layer_3", "layer_4", "layer_5", "layer_6", "all_layers"]),
    "ast": (0.71, ["layer_4", "layer_8", "layer_12"]),
    "simclr": (0.633, ["block_1", "block_2", "block_3", "block_4", "all_blocks"]),
    "bag_of_codes": (0.59, []),
    "log_mel": (0.55, []),
    "bottleneck": (0.542, []),
    "random_gpt": (0.52, ["layer_1", "layer_2", "layer_3", "all_layers"]),
    "random_conv": (0.49, ["block_1", "block_2", "block_3", "block_4"]),
    "ast_head": (0.69, []),
}
SHARES = (0.01, 0.05, 0.1, 1.0)
FOLDS = ("george", "jackson", "lucas", "nicolas", "theo")


def comparison_example(
    *, folds: tuple[str, ...] = FOLDS, groups: int = 20, classes: int = 10, trained: bool = True
) -> Comparison:
    """A comparison and its rows; one fold makes it that of a single run."""
    rng = np.random.default_rng(0)
    fold_shift = rng.normal(0, 0.09, len(folds))
    group_shift = rng.normal(0, 0.1, groups)
    by_method = {of: _method(rng, of, folds, fold_shift, group_shift) for of in METHODS}
    ranked = sorted(by_method, key=lambda of: -by_method[of][0].value)
    counts = rng.poisson(8, (classes, classes)) + np.diag(np.full(classes, 170))
    gpt = by_method["gpt"][0].value
    return Comparison(
        protocol="leave one group out" if len(folds) > 1 else "official",
        by="group" if len(folds) > 1 else "split",
        folds=list(folds),
        seeds=[0],
        classes=[f"class {number}" for number in range(classes)],
        clips=int(counts.sum()),
        unlabelled=12,
        layer_penalties=3,
        penalties=6,
        references=["gpt"],
        confusion={"gpt": counts.astype(float).tolist()},
        trainings=_trainings(folds) if trained else {},
        figures=Figures(
            [
                *(row for of in ranked for row in by_method[of]),
                *(difference(gpt, of, by_method[of][0].value, folds=len(folds)) for of in ranked if of != "gpt"),
                *(row for of, (_, layers) in METHODS.items() if layers for row in _layers(rng, of, layers)),
                *(row for of in METHODS if "_head" not in of for row in _curve(of)),
            ]
        ),
    )


def probe(of: str, value: float, **columns: Any) -> Figure:
    """A row of the stage "probe", by default the accuracy on test."""
    row = Figure(stage="probe", name="accuracy", of=of, value=value, artifact="0123456789abcdef", split="test")
    return replace(row, **columns)


def _method(
    rng: np.random.Generator, of: str, folds: tuple[str, ...], shift: np.ndarray[Any, Any], groups: np.ndarray[Any, Any]
) -> list[Figure]:
    """The figures of one method, that over all folds first."""
    accuracy, layers = METHODS[of]
    values = np.clip(accuracy + shift + rng.normal(0, 0.02, len(folds)), 0, 1).tolist()
    value = float(np.mean(values))
    chosen: list[dict[str, Any]] = [
        {} if of.endswith("_head") else {"layer": layers[1 + number % 2] if layers else None, "pooling": "thirds"}
        for number in range(len(folds))
    ]
    rows = [
        probe(of, value, low=value - 0.018, high=value + 0.017, **(chosen[0] if len(folds) == 1 else {})),
        probe(of, value - 0.006, name="macro_f1"),
        probe(of, value + 0.05, low=value, high=value + 0.1, split="validation", count=300),
        probe(of, 0.05, name="gap", low=-0.01, high=0.11, split="validation - test"),
    ]
    if len(folds) > 1:
        places = zip(folds, values, chosen, strict=True)
        rows += [probe(of, each, fold=fold, seed=0, **candidate) for fold, each, candidate in places]
    of_groups = np.clip(accuracy + groups + rng.normal(0, 0.03, len(groups)), 0, 1).tolist()
    return rows + [probe(of, each, group=f"speaker {number:02}") for number, each in enumerate(of_groups)]


def difference(gpt: float, against: str, other: float, *, folds: int = 1) -> Figure:
    """How far the GPT is ahead of another method."""
    value = gpt - other
    ends = {"fold_low": value - 0.05, "fold_high": value + 0.05} if folds > 1 else {}
    p = 0.0 if abs(value) > 0.03 else 0.62
    return probe("gpt", value, name="difference", against=against, low=value - 0.021, high=value + 0.02, p=p, **ends)


def _layers(rng: np.random.Generator, of: str, layers: list[str]) -> Iterator[Figure]:
    heights = METHODS[of][0] - 0.04 * np.abs(np.arange(len(layers)) - 2) + rng.normal(0, 0.01, len(layers))
    for layer, height in zip(layers, heights.tolist(), strict=True):
        for split, value in (("validation", height + 0.05), ("test", height)):
            yield probe(of, value, name="layer_accuracy", layer=layer, split=split)


def _curve(of: str) -> Iterator[Figure]:
    for share in SHARES:
        value = METHODS[of][0] - (METHODS[of][0] - 0.15) * float(-np.log10(share)) / 2.5
        yield probe(of, value, share=share, labels=round(1500 * share), low=value - 0.02, high=value + 0.02)


def _trainings(folds: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    return {of: {fold: training(steps) for fold in folds} for of, steps in {"lm": 1500, "simclr": 900}.items()}


def training(steps: int) -> dict[str, Any]:
    """A training that learns, then learns by heart."""
    losses = [(steps // 2, 2.0, 1.8), (steps, 1.0, 1.9)]
    curve = [{"step": step, "train_loss": train, "validation_loss": held_out} for step, train, held_out in losses]
    return {"curve": curve, "steps": steps, "kept_step": steps // 2}
