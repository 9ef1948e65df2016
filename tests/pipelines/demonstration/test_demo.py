"""``wordless demo``: the page as its script calls it, and in a real browser, Chromium without a window."""

import asyncio
import io
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import numpy as np
import pytest
import soundfile

from pipelines.plugins.demo.server import LocalRequestsOnly, Message, Receive, Send
from tests.calling import demo, python
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.demonstration.test_answers import options
from tests.pipelines.tiny_chain import ROOT
from vocoder.kinds import SYNTHESIS_METHODS
from wordless.base.messages import InputError

PATIENCE = 120  # seconds until a page that shows nothing counts as broken


# Refusals


def plain(model: Path, **changes: object) -> dict[str, object]:
    return {**vars(options(model)), "model": str(model), **changes}


def test_a_folder_that_is_no_run_and_a_missing_gradio_are_told(
    tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"tokenizer/config\.json"):
        demo(plain(tmp_path))
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match=re.escape("pip install 'wordless[demo]'")):
        demo(plain(run_folder))


def test_a_port_that_is_taken_is_refused(run_folder: Path) -> None:
    pytest.importorskip("gradio", reason="needs pip install 'wordless[demo]'")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        words = (f"model={run_folder}", f"port={port}", "browser=false")
        done = python("-m", "pipelines.cli", "demo", *words)
    assert done.returncode == 2
    assert re.search(rf"port={port}\b.*\bport=0\b", done.stderr)


# The page


@pytest.fixture(scope="module")
def url(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of the shared run, served by a process of its own until the tests end it."""
    pytest.importorskip("gradio", reason="needs pip install 'wordless[demo]'")
    words = [f"model={finished_run.folder}", "port=0", "browser=false"]
    log = tmp_path_factory.mktemp("demo") / "stderr.txt"
    command = [sys.executable, "-m", "pipelines.cli", "demo", *words]
    with log.open("w") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("http://127.0.0.1:"), log.read_text()
    yield line.split()[0]
    process.terminate()
    assert process.wait() == 0
    assert "Traceback" not in log.read_text()


def test_requests_of_other_sites_are_refused(url: str) -> None:
    def status(host: str) -> int:
        connection = HTTPConnection(place, timeout=PATIENCE)
        connection.request("GET", "/", headers={"Host": host})
        return connection.getresponse().status

    place = urlsplit(url).netloc
    assert (status(place), status("rebound.example")) == (200, 403)


class Page:
    """A user of the page, who calls its functions as its script does."""

    def __init__(self, url: str) -> None:
        self.url, self.session = url.rstrip("/"), uuid4().hex
        config = self.answer("/config")
        self.values = {each["props"].get("elem_id"): each["props"].get("value") for each in config["components"]}
        kinds = {each["id"]: each["type"] for each in config["components"]}
        self.functions = {
            tuple(kinds[output] for output in each["outputs"])[:2]: each["id"] for each in config["dependencies"]
        }

    def answer(self, path: str, data: object = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        return json.load(urlopen(Request(self.url + path, body, {"Content-Type": "application/json"})))

    def call(self, outputs: tuple[str, str], *given: object) -> list[Any]:
        """Call the function that fills these elements, and give all of them when it ends."""
        asked = {"fn_index": self.functions[outputs], "data": given, "session_hash": self.session}
        self.answer("/gradio_api/queue/join", asked)
        for line in urlopen(f"{self.url}/gradio_api/queue/data?session_hash={self.session}"):
            told = json.loads(line.removeprefix(b"data:")) if line.strip() else {}
            if told.get("msg") == "process_completed":
                return list(told["output"]["data"])
        raise AssertionError("the page ends without an answer")

    def sound(self, player: dict[str, str]) -> tuple[np.ndarray, int]:
        with urlopen(player["url"]) as file:
            return soundfile.read(io.BytesIO(file.read()), dtype="int16")  # type: ignore[no-any-return]  # untyped


def test_the_sound_that_a_page_opens_with_is_shown_decoded_and_continued(url: str, finished_run: FinishedRun) -> None:
    page, other = Page(url), Page(url)
    original, rate = soundfile.read(finished_run.folder / "listening/0_original.wav", dtype="int16")
    _, drawing, facts, codes, label, known = page.call(("state", "html"), page.values["sound"])
    assert drawing.count("<svg") == 2
    assert ">kHz<" in drawing
    clip = json.loads((finished_run.folder / "results.json").read_text())["listening"]["clips"][0]
    assert clip["label"] in known
    assert len(codes.split()) == -(-len(original) * 50 // rate)
    assert f"{len(codes.split())} codes of 8" in facts
    assert label["label"] in {each["label"] for each in label["confidences"]}
    recording, *decoded = map(page.sound, page.call(("audio", "audio"), None, ""))
    np.testing.assert_array_equal(recording[0], original)
    assert len(decoded) == len(SYNTHESIS_METHODS)
    assert all(own == rate and len(samples) == len(original) and samples.any() for samples, own in decoded)
    line, player = page.call(("markdown", "audio"), None, 0.2, 0.5, 0.9, 0, "wavenet", "")
    assert "0.50 s that the GPT continued" in line
    whole, _ = page.sound(player)
    np.testing.assert_array_equal(whole[: rate // 10], original[: rate // 10])
    assert other.call(("markdown", "audio"), None, 0.2, 0.5, 0.9, 0, "wavenet", "") == ["", None]  # no sound yet


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("selenium", reason="needs pip install selenium")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs chromium and chromedriver, such as Debian's")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    wanted = webdriver.ChromeOptions()
    wanted.binary_location = str(shutil.which("chromium"))
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
        wanted.add_argument(word)
    wanted.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=wanted, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def test_a_page_opens_with_a_sound_of_the_run_and_asks_nothing_of_another_machine(browser: Any, url: str) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    browser.get(url)
    WebDriverWait(browser, PATIENCE).until(lambda each: each.find_elements("css selector", "#drawing svg"))
    codes = browser.execute_script("return document.querySelector('#codes textarea').value")
    assert all(code.isdigit() for code in codes.split())
    messages = [json.loads(artifact["message"])["message"] for artifact in browser.get_log("performance")]
    asked = {each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"}
    assert len(asked) > 10
    assert {each for each in asked if not each.startswith((url, "data:", f"blob:{url}", "chrome:", "about:"))} == set()
    policy = browser.execute_async_script(
        "fetch('/').then((page) => arguments[0](page.headers.get('content-security-policy')))"
    )
    assert policy.startswith("default-src 'self'")


Headers = list[tuple[bytes, bytes]]


async def page(scope: Message, receive: Receive, send: Send) -> None:
    """An app that answers everybody."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the page"})


def answers_to(headers: Headers, kind: str = "http") -> list[Message]:
    """What a request with these headers is answered."""
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body of a refused request is not read")

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(LocalRequestsOnly(page)({"type": kind, "headers": headers}, receive, send))
    return sent


OWN = ("127.0.0.1:7860", "127.0.0.1", "localhost:9000", "localhost", "[::1]:7860", "[::1]")
ELSEWHERE = ("https://elsewhere.example", "http://127.0.0.1.elsewhere.example", "https://127.0.0.1:7860", "file://")


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        *((host, None, 200) for host in OWN),
        *((host, f"http://{host}", 200) for host in OWN),  # a tunnel: the browser's port may be another one
        *((host, None, 403) for host in ("rebound.example:7860", "127.0.0.1.rebound.example", "", None)),
        *((host, None, 403) for host in ("localhost.rebound.example", "127.0.0.1:7860@rebound.example")),
        *((host, None, 403) for host in ("127.0.0.1:port", "127.0.0.1:7860\n")),
        *(("127.0.0.1:7860", origin, 403) for origin in (*ELSEWHERE, "null", "")),
    ],
)
def test_pages_of_this_machine_are_answered_and_other_hosts_and_origins_refused(
    host: str | None, origin: str | None, status: int
) -> None:
    given = {b"host": host, b"origin": origin}
    headers = [(name, value.encode()) for name, value in given.items() if value is not None]
    assert answers_to(headers)[0]["status"] == status
    if status == 403:
        assert answers_to(headers, kind="websocket") == [{"type": "websocket.close"}]
