"""Draw ``hours.png`` from ``hours.tsv``: what the language model of built-in sentences knows after more hours.

    wordless run -m seed=0,1,2 embedded.sentences=40,125 threads=1 "stages=[tokenizer,lm,probe,zerospeech,report]"
    python docs/images/hours.py SWEEP   # writes the table from the runs of the sweep first

The table has a row for each figure, run and control. Hours are those of the training clips.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import wordless
from pipelines.results.run_record import read_results, recorded_options

HERE = Path(__file__).parent
TABLE = HERE / "hours.tsv"
# figure -> title, factor, and what is drawn of it, the language model first; "" has no name of a method
PANELS = {
    "bits_per_second": ("bits a second, validation (less is better)", 1, ("",)),
    "word_order": ("right order of words is more probable, %", 100, ("gpt", "random_gpt", "bigram")),
}
# colours of Okabe and Ito (2008)
LOOKS = {
    "": ("#009E73", "o", "GPT"),
    "gpt": ("#009E73", "o", "GPT"),
    "random_gpt": ("#999999", "x", "untrained GPT"),
    "bigram": ("#CC79A7", "v", "frequencies of pairs of codes"),
}


def read_runs(sweep: Path) -> None:
    """Write the table from the results of the runs below a folder."""
    rows = []
    for path in sorted(each for each in sweep.glob("*/results.json") if not each.parent.is_symlink()):  # not "latest"
        results, figures = read_results(path.parent), wordless.Run(path.parent).figures
        hours = results["corpus"]["seconds"]["train"] / 3600
        model = next(each["key"] for each in results["stages"] if each["stage"] == "lm")
        options = recorded_options(results)
        about = {"sentences": options["embedded"]["sentences"], "hours": round(hours, 2), "seed": options["seed"]}
        for name, (_, _, drawn) in PANELS.items():
            own = figures[(figures["name"] == name) & figures["against"].isna() & figures["of"].fillna("").isin(drawn)]
            if name == "bits_per_second":
                own = own[own["artifact"] == model]
            drawn_rows = own.fillna({"of": ""}).to_dict("records")
            rows += [{"figure": name, "of": row["of"], **about, "value": row["value"]} for row in drawn_rows]
    order = ["figure", "of", "sentences", "seed"]
    pd.DataFrame(rows).sort_values(order, kind="stable").round(4).to_csv(TABLE, sep="\t", index=False)


def main() -> None:
    if sys.argv[1:]:
        read_runs(Path(sys.argv[1]))
    table = pd.read_csv(TABLE, sep="\t").fillna({"of": ""})
    figure, axes = plt.subplots(1, len(PANELS), figsize=(9, 4.2), layout="constrained")
    for axis, (name, (title, factor, drawn)) in zip(axes, PANELS.items(), strict=True):
        for of in drawn:
            own, (colour, marker, label) = table[table.figure.eq(name) & table.of.eq(of)], LOOKS[of]
            axis.plot(own.hours, factor * own.value, marker, color=colour, alpha=0.45, markersize=6)
            means = own.groupby("sentences")[["hours", "value"]].mean()
            axis.plot(means.hours, factor * means.value, color=colour, linewidth=2, label=label)
        hours = sorted(table.hours.unique())
        axis.set_xscale("log")
        axis.set_xlim(hours[0] / 1.3, hours[-1] * 1.3)
        axis.minorticks_off()
        places = table.groupby("sentences").hours.mean()
        axis.set_xticks(places, [f"{each:.1f}" for each in places])
        axis.set_xlabel("hours of training recordings", fontsize=12)
        axis.set_title(title, fontsize=12)
        axis.tick_params(labelsize=11)
        axis.grid(axis="y", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        if factor == 100:
            axis.set_ylim(40, 101)
        else:
            axis.set_ylim(0, 180)
        axis.legend(frameon=False, fontsize=11)
    figure.savefig(HERE / "hours.png", dpi=110)


if __name__ == "__main__":
    main()
