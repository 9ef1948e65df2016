"""Draw ``bits.png`` from ``bits.tsv``: what a bit of the codes buys. ``python docs/images/bits.py`` in the checkout.

The table has the means over the six test people of docs/log.md, "What does a bit buy?", and STOI of codecs that other
people measured on other speech.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

HERE = Path(__file__).parent
PANELS = (("stoi", "STOI"), ("distillmos", "DistillMOS"), ("mcd", "mel-cepstral distortion, dB"))
TICKS = (300, 400, 600, 1000, 2000, 6000)  # bits per second
OWN, OTHERS, INK = "#2b6cb0", "#b7791f", "#1c1f23"
# Where a name stands beside its point in each panel, in points to the right and up, so that it covers nothing.
PLACES = {
    "64": ((-6, -14), (8, -4), (-18, -4)),
    "256": ((-4, -14), (8, -6), (-24, -6)),
    "1,024": ((6, -14), (-33, 2), (-34, -6)),
    "4,096": ((-10, 8), (-16, 8), (-30, -10)),
    "two bands of 256": ((2, 9), (8, -6), (8, 2)),
    "256 and the level": ((-44, 17), (9, -3), (9, -3)),
    "256, each alone": ((9, -3), (9, -3), (9, -3)),
}


def main() -> None:
    table = pd.read_csv(HERE / "bits.tsv", sep="\t")
    table["name"] = table["name"].fillna("")  # the begin of a line that another line has, too
    own, published = (table[table["data"].eq(each)] for each in ("Arabic commands", "LibriSpeech"))
    limits = table[table["data"].eq("limit")]
    figure, axes = plt.subplots(1, len(PANELS), figsize=(13, 4.2), constrained_layout=True)
    for panel, (axis, (column, title)) in enumerate(zip(axes, PANELS, strict=True)):
        for _, rows in own.groupby("family", sort=False):
            ordered, alone = rows.sort_values("bits_per_second"), len(rows) == 1
            look = {"marker": "s" if alone else "o", "color": OWN, "linewidth": 1.6}
            axis.plot(ordered["bits_per_second"], ordered[column], linestyle="-" if not alone else "", **look)
            for row in ordered.itertuples():
                place = (row.bits_per_second, getattr(row, column))
                where = PLACES[row.name][panel] if row.name else (0, 0)
                axis.annotate(row.name, place, xytext=where, textcoords="offset points", fontsize=8, color=INK)
        for row in published.dropna(subset=[column]).itertuples():
            place = (row.bits_per_second, getattr(row, column))
            axis.plot(*place, marker="^", color=OTHERS, fillstyle="none", linestyle="")
            axis.annotate(row.name, place, xytext=(6, -9), textcoords="offset points", fontsize=8, color=OTHERS)
        for row in limits.dropna(subset=[column]).itertuples():
            axis.axhline(getattr(row, column), color="#8a9099", linewidth=0.9, linestyle=":")
            place = (TICKS[0], getattr(row, column))
            axis.annotate(row.name, place, xytext=(0, 3), textcoords="offset points", fontsize=8)
        axis.set_xscale("log")
        axis.set_xlim(TICKS[0] * 0.85, TICKS[-1] * 1.6)
        axis.set_xticks(TICKS, [f"{each:,}" for each in TICKS])
        axis.minorticks_off()
        axis.set_xlabel("bits per second, without the pitch")
        axis.set_title(title, fontsize=11)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "bits.png", dpi=110)


if __name__ == "__main__":
    main()
