"""Draw the pictures of README, and charts of docs/results.md.

    wordless run name=pictures
    python docs/images/draw.py pictures runs/pictures
    python docs/images/draw.py chart FOLDER/sweep.html "Methods by run" fsdd_readings
    python docs/images/draw.py sounds voice recording=a.wav Griffin-Lim=b.wav

``pictures`` draws the first screens of the report and of the page of ``wordless demo``; ``chart`` draws the chart of a
page whose description begins with the given words; ``sounds`` draws spectrograms of sounds of one rate, one below the
other. The script needs Chromium with its chromedriver, and ``pip install
selenium 'wordless[demo]'``.
"""

import argparse
import io
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
import soundfile
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

HERE = Path(__file__).parent
SIZE = (1100, 870)  # pixels of the window, and of each picture
TALL = 4000  # pixels: a window that holds any chart as a whole
COLOURS = 128
PATIENCE = 180  # seconds
SETTLING = 2.0  # seconds in which fonts, players and animations come to rest


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """Open Chromium without a window, in light colours."""
    wanted = webdriver.ChromeOptions()
    wanted.binary_location = str(shutil.which("chromium"))
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        wanted.add_argument(word)
    driver = webdriver.Chrome(options=wanted, service=Service(shutil.which("chromedriver")))
    metrics = {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    light = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", light)
    yield driver
    driver.quit()


@contextmanager
def demo(run: Path) -> Iterator[str]:
    """Serve the page of a run, and give its address."""
    words = [f"model={run}", "port=0", "browser=false"]
    command = [sys.executable, "-m", "pipelines.demo", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
        process.terminate()


def save(driver: webdriver.Chrome, name: str) -> None:
    """Write the screen as a PNG file of few colours."""
    time.sleep(SETTLING)
    write(driver.get_screenshot_as_png(), name)


def write(png: bytes, name: str) -> None:
    """Write a screen or a part of it with few colours."""
    screen = Image.open(io.BytesIO(png)).convert("RGB")
    path = HERE / f"{name}.png"
    screen.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.stat().st_size / 1000:.0f} kB  {path}")


def until(driver: webdriver.Chrome, done: Callable[[], object]) -> None:
    """Wait until the page has what ``done`` looks for."""
    WebDriverWait(driver, PATIENCE).until(lambda _: done())


def draw_report(driver: webdriver.Chrome, run: Path) -> None:
    """Draw the beginning of the report."""
    driver.get((run / "report.html").resolve().as_uri())
    save(driver, "report")


def draw_demo(driver: webdriver.Chrome, address: str, sound: Path) -> None:
    """Draw the page with a recording of the run."""
    driver.get(address)
    until(driver, lambda: driver.find_elements("css selector", "#sound input[type=file]"))
    driver.find_element("css selector", "#sound input[type=file]").send_keys(str(sound.resolve()))
    until(driver, lambda: driver.find_elements("css selector", "#sounds audio"))
    save(driver, "demo")


def draw_chart(driver: webdriver.Chrome, page: Path, words: str, name: str) -> None:
    """Draw the first chart of a page whose description begins with ``words``."""
    driver.set_window_size(SIZE[0], TALL)
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.get(page.resolve().as_uri())
    chart = driver.find_element("css selector", f'svg[aria-label^="{words}"]')
    write(chart.screenshot_as_png, name)


def draw_sounds(name: str, sounds: Sequence[tuple[str, str, str]]) -> None:
    """Draw power spectrograms of 25 ms windows in dB, down to 80 dB below the loudest value of each."""
    figure, axes = plt.subplots(len(sounds), sharex=True, figsize=(8, 1.7 * len(sounds)), layout="constrained")
    for axis, (title, _, path) in zip(axes, sounds, strict=True):
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


def main() -> None:
    """Draw what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    pictures = commands.add_parser("pictures", help="the pictures of README")
    pictures.add_argument("run", type=Path, help="folder of a run")
    chart = commands.add_parser("chart", help="a chart of a page")
    chart.add_argument("page", type=Path, help="report.html or sweep.html")
    chart.add_argument("words", help="the beginning of the chart's description")
    chart.add_argument("name", help="of the PNG file, without its ending")
    sounds = commands.add_parser("sounds", help="spectrograms of sounds")
    sounds.add_argument("name", help="of the PNG file, without its ending")
    sounds.add_argument("sounds", nargs="+", metavar="TITLE=FILE")
    given = parser.parse_args()
    if given.command == "sounds":
        draw_sounds(given.name, [each.rpartition("=") for each in given.sounds])
        return
    if given.command == "chart":
        with chromium() as driver:
            draw_chart(driver, given.page, given.words, given.name)
        return
    with chromium() as driver, demo(given.run) as address:
        draw_report(driver, given.run)
        draw_demo(driver, address, given.run / "listening/0_original.wav")


if __name__ == "__main__":
    main()
