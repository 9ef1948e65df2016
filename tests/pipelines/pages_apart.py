"""Pages taken apart into text and elements, and a comparison to make pages of."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from lm.probing.probe_options import ProbeConfig
from pipelines.pages.report import write_report
from pipelines.results.probes import Probes
from pipelines.results.run_record import Comparison, Row, read_results

VOID = {"meta", "link", "br", "hr", "img", "input", "source", "wbr"}


def report_of(folder: Path) -> Path:
    """Draw the report of the results of a folder."""
    return write_report(folder, read_results(folder))


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
    row = Row(stage=stage, name=name, value=value, of=of, artifact="0123456789abcdef", protocol="official")
    return vars(replace(row, **{"split": "test", **columns}))


def says(text: str, *parts: str) -> bool:
    """Whether the parts stand one after another in a text, each at most 80 characters behind the last."""
    return re.search(".{0,80}?".join(map(re.escape, parts)), text) is not None


CONFIG = ProbeConfig(resamples=300, confidence=0.9)
CLASSES = ("one", "six", "two")
RIGHT = {"log_mel": 0.4, "gpt": 0.8, "simclr": 0.6, "supervised_head": 0.9}  # shares of right answers
VALIDATION = 60  # clips, of a speaker of their own


def probed_example(
    name: str, seed: int = 0, *, clips: int, groups: int = 1, classes: Sequence[str] = CLASSES
) -> dict[str, Any]:
    """What the probes of a fold could have written."""
    rng = np.random.default_rng([clips, seed])
    truth, held_out = ([classes[number % len(classes)] for number in range(count)] for count in (clips, VALIDATION))
    return {
        **{"classes": [*classes], "multi_label": False, "clips": [f"{name}/{number}.wav" for number in range(clips)]},
        **{"groups": [name if groups == 1 else f"speaker {number % groups}" for number in range(clips)]},
        **{"truth": truth, "validation_groups": ["dan"] * VALIDATION, "validation_truth": held_out},
        **{"unlabelled": 5, "notices": [], "choose_by": "validation", "most_frequent": [classes[0], 1 / len(classes)]},
        "methods": [_row(of, share, truth, held_out, rng) for of, share in RIGHT.items()],
    }


def answers(truth: list[str], right: list[bool]) -> list[str]:
    """Right and wrong answers."""
    classes = sorted({*truth})
    return [each if hit else classes[classes.index(each) - 1] for each, hit in zip(truth, right, strict=True)]


def _row(of: str, share: float, truth: list[str], held_out: list[str], rng: np.random.Generator) -> dict[str, Any]:
    right = rng.random(len(truth)) < share
    layers = [f"gpt/layer_{n}:{p}" for n in (1, 2) for p in ("mean", "thirds")] + ["gpt/all_layers:mean"]
    keys = {"gpt": layers, "supervised_head": []}.get(of, [f"{of}:mean"])
    accuracy, judged = float(right.mean()), [number < round(share * VALIDATION) for number in range(VALIDATION)]
    shared = {
        "test_accuracy": accuracy,
        "feature_clipping": 2.0,
        "inverse_regularisation": 0.1,
        "low": accuracy - 0.05,
        "high": accuracy + 0.05,
    }
    point = {**shared, "values": [[accuracy]], "over": "clips", "hits": right.astype(float).tolist()}
    curve = [{"share": s, "clips": round(100 * s), **point} for s in (0.1, 1.0) if keys]
    return {
        "artifact": f"key of {of}",
        **{"of": of, "chosen": keys[len(truth) // 20 % 2 * 3 % len(keys)] if keys else of, **shared},
        **{"macro_f1": accuracy, "mean_average_precision": accuracy, "validation_accuracy": float(np.mean(judged))},
        **{"validation_predictions": answers(held_out, judged), "validation_clips": VALIDATION, "parts": []},
        **{"predictions": answers(truth, right.tolist()), "layer_regularisation_strengths": 3 * bool(keys)},
        "regularisation_strengths": 6 * bool(keys),
        "candidates": [{"of": key, **shared, "validation_accuracy": place / 10} for place, key in enumerate(keys)],
        "learning_curve": curve,
    }


def comparison_example(
    folds: Sequence[str] = ("george", "jackson", "lucas", "nicolas", "theo"), *, seeds: int = 1, **options: Any
) -> Comparison:
    """A comparison and its rows; one fold makes it that of a single run."""
    alone = len(folds) == 1
    probes = {
        (name, seed): probed_example(name, seed, clips=200 if alone else 40 + 10 * place, **options)
        for place, name in enumerate(folds)
        for seed in range(seeds)
    }
    return Probes(probes, CONFIG, by="split" if alone else "group").comparison()


def probe(of: str, value: float, **columns: Any) -> Row:
    """A row of the stage "probe", by default the accuracy on test."""
    row = Row(stage="probe", name="accuracy", of=of, value=value, artifact="0123456789abcdef", split="test")
    return replace(row, **columns)
