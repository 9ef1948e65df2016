"""Draw accuracy over the number of codes: ``python docs/images/number_of_codes.py``.

The figures in ``number_of_codes.tsv`` are those of docs/results.md, "How many codes, at which noise?".
"""

import csv
import math
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).parent
PANELS = {"gpt": "GPT over codes", "bag_of_codes": "bag of codes"}
LOOKS = {  # of each noise: colour, marker
    "none": ("#000000", "o"),
    "white 20 dB": ("#d55e00", "s"),
    "white 10 dB": ("#e69f00", "^"),
    "babble 20 dB": ("#0072b2", "D"),
    "babble 10 dB": ("#56b4e9", "v"),
}


def main() -> None:
    """Write ``number_of_codes.png``."""
    lines = defaultdict[tuple[str, str], list[tuple[float, float, float, float]]](list)
    with (HERE / "number_of_codes.tsv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            codes = math.log2(float(row["codes"])) if row["codes"] else math.nan
            point = (codes, float(row["value"]), float(row["low"]), float(row["high"]))
            lines[row["reads"], row["noise"]].append(point)
    ticks = sorted({point[0] for (reads, _), line in lines.items() if reads in PANELS for point in line})
    figure, axes = plt.subplots(1, len(PANELS), figsize=(8, 4), sharey=True, layout="constrained")
    for axis, (reads, title) in zip(axes, PANELS.items(), strict=True):
        for noise, (colour, marker) in LOOKS.items():
            across, values, low, high = zip(*sorted(lines[reads, noise]), strict=True)
            axis.plot(across, values, color=colour, marker=marker, label="no noise" if noise == "none" else noise)
            axis.fill_between(across, low, high, color=colour, alpha=0.08, linewidth=0)
            (before,) = lines["bottleneck", noise]
            axis.axhline(before[1], color=colour, linestyle=":", linewidth=1)
        axis.set_xticks(ticks, [f"{round(2**tick):,}" for tick in ticks])
        axis.set_title(title)
        axis.set_xlabel("number of codes")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("right answers on test, %")
    axes[0].set_ylim(0, 100)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(LOOKS), frameon=False)
    figure.savefig(HERE / "number_of_codes.png", dpi=110)


if __name__ == "__main__":
    main()
