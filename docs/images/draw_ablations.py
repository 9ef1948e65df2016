"""Draw how each part of the probe protocol changes the methods: the picture of docs/results.md.

    wordless run experiment=fsdd_readings corpus.root=... hydra.sweep.dir=sweeps/readings
    python docs/images/draw_ablations.py sweeps/readings

It writes ``readings.svg`` beside this script.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
TITLES = {
    "none": "all parts",
    "one_hearing": "one hearing",
    "residual_states": "residual states",
    "no_max": "no max over time",
    "no_root": "no square root",
    "logistic": "logistic regression",
    "one_validation_speaker": "one validation speaker",
}
METHODS = {  # name -> title, colour, marker
    "gpt": ("GPT", "#1b5e8c", "D"),
    "bag_of_codes": ("bag of codes", "#4c9ac4", "o"),
    "simclr": ("SimCLR", "#c25b12", "s"),
    "supervised": ("supervised CNN, probe", "#5b8c3a", "^"),
}


def read(sweep: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Read the rows of each finished job: ablation -> method -> its row."""
    found = {}
    for note in sorted((sweep / ".jobs").glob("*.json"), key=lambda path: int(path.stem)):
        job = json.loads(note.read_text())
        if job["state"] == "finished":
            comparison = json.loads((sweep / job["folder"] / "results.json").read_text())["comparison"]
            found[job["overrides"]["ablation"]] = {row["of"]: row for row in comparison["methods"]}
    return {name: found[name] for name in TITLES if name in found}


def draw(jobs: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """Draw the accuracy of each method under each ablation, with intervals over clips."""
    mpl.rcParams["svg.hashsalt"] = "ablations"  # the same bytes each time
    figure, axes = plt.subplots(figsize=(8, 0.55 * len(jobs) + 1.3))
    for offset, (of, (title, colour, marker)) in enumerate(METHODS.items()):
        for place, rows in enumerate(jobs.values()):
            if of in rows:
                value, low, high = (100 * rows[of][name] for name in ("value", "low", "high"))
                height = -place + 0.27 - 0.18 * offset
                axes.plot([low, high], [height, height], color=colour, linewidth=1)
                axes.plot(value, height, marker, color=colour, markersize=5, label="" if place else title)
    axes.set_yticks([-place for place in range(len(jobs))], [TITLES[name] for name in jobs])
    axes.set_xlabel("test accuracy, %, with 95 % intervals over clips")
    axes.grid(axis="x", linewidth=0.4)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(loc="upper center", ncols=len(METHODS), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    figure.savefig(path, metadata={"Date": None})
    print(f"{path.stat().st_size / 1000:.0f} kB  {path}")


def main() -> None:
    """Draw the picture of the sweep that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="folder of a sweep over ablation=")
    draw(read(parser.parse_args().sweep), HERE / "readings.svg")


if __name__ == "__main__":
    main()
