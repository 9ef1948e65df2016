"""Draw the pictures of README, and charts of docs/log.md.

    wordless run name=pictures
    python docs/images/draw.py pictures runs/pictures
    python docs/images/draw.py chart FOLDER/sweep.html "Test values under noise" NAME
    python docs/images/draw.py sounds voice recording=a.wav Griffin-Lim=b.wav
    python docs/images/draw.py way runs/pictures
    python docs/images/draw.py labels runs/arabic
    python docs/images/draw.py noise NAME [SWEEP]

``way`` draws a recording of a run on its way through the models: wave, log-mel with patches, codes, the GPT's
surprisal, and the sound of the codes. ``labels`` draws accuracy over the number of labels. ``noise`` draws accuracy
over the number of codes, a panel for each method and a line for each noise, from ``NAME.tsv``; it first writes this
table if the folder of a sweep is given. ``noise_sizes`` is of built-in words, ``number_of_codes`` of people.
``pictures`` draws the first screens of the report and of the page of ``wordless demo``; ``chart`` draws the chart of a
page whose description begins with the given words; ``sounds`` draws spectrograms of sounds of one rate, one below the
other. The script needs Chromium with its chromedriver, and ``pip install selenium 'wordless[demo]'``.
"""

import argparse
import io
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas
import soundfile
from PIL import Image

import wordless
from pipelines.pages.phrasing import full_name, noise_label
from pipelines.results.run_record import read_results, recorded_options

if TYPE_CHECKING:
    from selenium import webdriver

HERE = Path(__file__).parent
TALL = 4000  # pixels: a window that holds any chart as a whole
NARROW = 640  # pixels: letters of a page of this width can still be read where README shows it on half of its width
SETTLING = 2.0  # seconds in which fonts, players and animations come to rest


@contextmanager
def chromium(*, height: int, width: int = 1100, scale: float = 1) -> Iterator["webdriver.Chrome"]:
    """Open Chromium without a window, in light colours; a picture has `scale` times as many pixels each way."""
    from selenium import webdriver  # other pictures need no browser
    from selenium.webdriver.chrome.service import Service

    wanted = webdriver.ChromeOptions()
    wanted.binary_location = str(shutil.which("chromium"))
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        wanted.add_argument(word)
    driver = webdriver.Chrome(options=wanted, service=Service(shutil.which("chromedriver")))
    metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    light = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", light)
    try:
        yield driver
    finally:
        driver.quit()


def write(png: bytes, name: str) -> None:
    """Write a screen or a part of it with few colours."""
    path = HERE / f"{name}.png"
    Image.open(io.BytesIO(png)).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.stat().st_size / 1000:.0f} kB  {path}")


def draw_pictures(run: Path) -> None:
    """Draw the beginning of the report, and the page of the demo with a recording of the run."""
    from selenium.webdriver.support.wait import WebDriverWait

    command = [sys.executable, "-m", "pipelines.cli", "demo", f"model={run}", "port=0", "browser=false"]
    codes = "return document.querySelector('#codes textarea')?.value"  # the last that the page fills in
    with chromium(height=1200, width=NARROW, scale=1.5) as driver:
        driver.get((run / "report.html").resolve().as_uri())
        time.sleep(SETTLING)
        write(driver.get_screenshot_as_png(), "report")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                driver.get(process.stdout.readline().split()[0])
                WebDriverWait(driver, 600).until(lambda _: driver.execute_script(codes))
                time.sleep(SETTLING)
                write(driver.get_screenshot_as_png(), "demo")
            finally:
                process.terminate()


def draw_sounds(name: str, sounds: list[str]) -> None:
    """Draw power spectrograms of 25 ms windows in dB, down to 80 dB below the loudest value of each."""
    figure, axes = plt.subplots(len(sounds), sharex=True, figsize=(8, 1.7 * len(sounds)), layout="constrained")
    for axis, (title, _, path) in zip(axes, [each.rpartition("=") for each in sounds], strict=True):
        samples, rate = soundfile.read(path)
        window = round(0.025 * rate)
        power = axis.specgram(samples, NFFT=window, Fs=rate, noverlap=window * 3 // 4, cmap="magma")[3]
        high = power.get_array().max()
        power.set_clim(high - 80, high)
        axis.set_ylabel("Hz")
        axis.set_title(title, loc="left", fontsize=10)
    axes[-1].set_xlabel("seconds")
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    write(drawn.getvalue(), name)


SHOWN = (0.0, 0.8)  # seconds of the recording that is drawn on its way


def draw_way(run: Path) -> None:
    """Draw the first recording of a run's report with what each model makes of it."""
    tokenizer = wordless.Tokenizer.from_pretrained(run / "tokenizer")
    model = wordless.LanguageModel.from_pretrained(run / "lm")
    vocoder = wordless.Vocoder.from_pretrained(run / "vocoder")
    sound = wordless.read(run / "listening/0_original.wav", tokenizer.format.sample_rate)
    codes = tokenizer.encode(sound)
    spectrogram = tokenizer.signals_of(sound.samples)[0][0].numpy()  # (time, mels)
    values, step = codes.spectral.values, 1 / codes.format.codes_per_second
    surprisal = -model.log_probabilities(codes).sum(axis=1) / math.log(2)
    figure, axes = plt.subplots(5, sharex=True, figsize=(9, 7), height_ratios=[1, 2, 1, 1, 1], layout="constrained")
    wave, mel, strip, bits, again = axes
    for axis, samples, colour in ((wave, sound.samples, "C0"), (again, vocoder.decode(codes, tokenizer).samples, "C1")):
        axis.plot(np.arange(len(samples)) / sound.sample_rate, samples, color=colour, linewidth=0.6)
        axis.set_yticks([])
    end = len(spectrogram) * tokenizer.config.audio.hop_length / sound.sample_rate
    mel.imshow(spectrogram.T, aspect="auto", origin="lower", cmap="magma", extent=(0, end, 0, values.shape[1]))
    for place in np.arange(len(values) + 1) * step:
        mel.axvline(place, color="white", linewidth=0.4, alpha=0.6)
    for place in range(1, values.shape[1]):
        mel.axhline(place, color="white", linewidth=0.4, alpha=0.6)
    strip.imshow(
        values.T, aspect="auto", origin="lower", cmap="turbo", extent=(0, len(values) * step, 0, values.shape[1])
    )
    shades = plt.get_cmap("turbo")(plt.Normalize()(values))  # (time, streams, RGBA), those of the strip
    dark = shades[..., :3] @ (0.299, 0.587, 0.114) < 0.5
    for (number, stream), code in np.ndenumerate(values):
        if SHOWN[0] <= number * step < SHOWN[1] - step / 2:
            place, colour = ((number + 0.5) * step, stream + 0.5), "white" if dark[number, stream] else "black"
            strip.text(*place, str(code), color=colour, ha="center", va="center", fontsize=8, rotation=90)
    bits.bar((np.arange(len(values)) + 0.5) * step, surprisal, width=step, color="C2", edgecolor="white", linewidth=0.3)
    for axis, title in (
        (wave, "a recording"),
        (mel, "1. its log-mel spectrogram; each cell of the grid is a patch"),
        (strip, "2. each patch becomes one code of the codebook"),
        (bits, "3. the GPT's surprisal at each code, in bits: it predicts them from those before"),
        (again, "4. the codes in WaveNet's voice"),
    ):
        axis.set_title(title, loc="left", fontsize=11)
    mel.set_yticks([])
    strip.set_yticks([])
    again.set_xlim(*SHOWN)
    again.set_xlabel("seconds")
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    write(drawn.getvalue(), "way")


LINES = {  # method -> colour of Okabe and Ito (2008), marker, and dashes
    "supervised": ("#000000", "*", "none"),
    "simclr": ("#D55E00", "s", "-"),
    "denoising": ("#0072B2", "D", "-"),
    "gpt": ("#009E73", "o", "-"),
    "random_gpt": ("#999999", "x", "-"),
    "bag_of_codes": ("#CC79A7", "v", "-"),
}


def draw_labels(run: Path) -> None:
    """Draw the test accuracy of each method over the number of labels, with intervals."""
    rows = wordless.Run(run).figures
    curves = rows[
        (rows["name"] == "accuracy") & (rows["split"] == "test") & rows["labels"].notna() & rows["against"].isna()
    ]
    figure, axis = plt.subplots(figsize=(10, 4.2), layout="constrained")
    for number, (method, (colour, marker, dashes)) in enumerate(LINES.items()):
        own = curves[curves["of"] == method].sort_values("labels")
        if own.empty:
            continue
        at = own["labels"] * 1.03 ** (number - 4)  # beside each other
        bars = [own["value"] - own["low"], own["high"] - own["value"]]
        looks = {"label": full_name(method), "color": colour, "marker": marker, "linestyle": dashes, "capsize": 2}
        axis.errorbar(at, 100 * own["value"], [100 * bar for bar in bars], **looks)
    classes = len(read_results(run)["comparison"].classes)
    axis.axhline(100 / classes, color="#999999", linestyle="--", linewidth=0.8, label="chance")
    axis.set_xscale("log")
    axis.set_xticks(
        sorted(curves["labels"].unique()), [f"{labels:,.0f}" for labels in sorted(curves["labels"].unique())]
    )
    axis.minorticks_off()
    axis.set_xlabel(f"labelled clips of {classes} words (bars: 95 % intervals over people)")
    axis.set_ylabel("test accuracy, %")
    axis.grid(axis="y", alpha=0.3)
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    write(drawn.getvalue(), "labels")


NOISE_PANELS = ("gpt", "bag_of_codes")
BEFORE_CODES = "bottleneck"  # whose accuracy is that of no number of codes: a dotted line in all panels
NO_NOISE = noise_label(None)
# In the order in which noises come; colours of Okabe and Ito (2008).
NOISE_LOOKS = (("#000000", "o"), ("#0072B2", "s"), ("#009E73", "D"), ("#D55E00", "^"), ("#CC79A7", "v"))


def read_noise_sizes(sweep: Path, table: Path) -> None:
    """Write the test accuracy of each method, number of codes and noise of the runs of a sweep, with its interval."""
    rows = []
    for path in sorted(sweep.glob("*/results.json")):
        results = read_results(path.parent)
        codes = recorded_options(results)["tokenizer"]["codebook_size"]
        for of in (*NOISE_PANELS, BEFORE_CODES):
            for noise, row in results["comparison"].under_noise(of).items():
                figures = {"value": row.value, "low": row.low, "high": row.high}
                rows.append({"of": of, "codes": codes, "noise": noise_label(noise), **figures})
    pandas.DataFrame(rows).sort_values(["of", "codes"], kind="stable").to_csv(table, sep="\t", index=False)


def draw_noise(name: str) -> None:
    """Draw the table of a name with a panel for each method; bars are intervals, beside each other."""
    rows = pandas.read_csv(HERE / f"{name}.tsv", sep="\t")
    noises = [NO_NOISE, *(each for each in dict.fromkeys(rows.noise) if each != NO_NOISE)]
    before = rows[rows.of == BEFORE_CODES].drop_duplicates("noise").set_index("noise").value
    width = 4.6 * len(NOISE_PANELS)
    figure, axes = plt.subplots(1, len(NOISE_PANELS), sharey=True, figsize=(width, 4.4), layout="constrained")
    for axis, of in zip(axes, NOISE_PANELS, strict=True):
        own = rows[rows.of == of]
        sizes = sorted({*own.codes})
        for number, noise in enumerate(noises):
            line, (colour, marker) = own[own.noise == noise].sort_values("codes"), NOISE_LOOKS[number]
            at = line.codes * 1.06 ** (number - 1.5)
            below, above = ((side * (line.value - line[end])).fillna(0) for side, end in ((1, "low"), (-1, "high")))
            bars = [100 * below, 100 * above]
            axis.errorbar(at, 100 * line.value, bars, color=colour, marker=marker, capsize=3, linewidth=2, label=noise)
            if noise in before:
                axis.axhline(100 * before[noise], color=colour, linestyle=":", linewidth=1)
        axis.set_xscale("log")
        axis.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
        axis.minorticks_off()
        axis.set_title(full_name(of), fontsize=14)
        axis.set_xlabel("number of codes in the codebook", fontsize=13)
        axis.tick_params(labelsize=12)
        axis.grid(axis="y", alpha=0.3)
    axes[0].set_ylim(0, 101)
    axes[0].set_ylabel("test accuracy, %", fontsize=13)
    title = "noise in the test clips (bars: 95 % intervals, where they are known)"
    places = {"loc": "outside upper center", "ncols": len(noises)}
    figure.legend(
        *axes[0].get_legend_handles_labels(), frameon=False, fontsize=12, title=title, title_fontsize=12, **places
    )
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    write(drawn.getvalue(), name)


def main() -> None:
    """Draw what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, words in (
        ("pictures", ["run"]),
        ("way", ["run"]),
        ("labels", ["run"]),
        ("chart", ["page", "words", "name"]),
        ("sounds", ["name"]),
    ):
        more = commands.add_parser(command)
        for word in words:
            more.add_argument(word)
    sizes = commands.add_parser("noise")
    sizes.add_argument("name")
    sizes.add_argument("sweep", nargs="?")
    more.add_argument("sounds", nargs="+", metavar="TITLE=FILE")
    given = parser.parse_args()
    match given.command:
        case "pictures":
            draw_pictures(Path(given.run))
        case "way":
            draw_way(Path(given.run))
        case "labels":
            draw_labels(Path(given.run))
        case "chart":
            with chromium(height=TALL) as driver:
                driver.get(Path(given.page).resolve().as_uri())
                chart = driver.find_element("css selector", f'svg[aria-label^="{given.words}"]')
                write(chart.screenshot_as_png, given.name)
        case "noise":
            if given.sweep is not None:
                read_noise_sizes(Path(given.sweep), HERE / f"{given.name}.tsv")
            draw_noise(given.name)
        case "sounds":
            draw_sounds(given.name, given.sounds)


if __name__ == "__main__":
    main()
