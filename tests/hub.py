"""The Hugging Face hub without a network: its local cache, and a server on 127.0.0.1 with the requests that we make."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils import reset_sessions

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def store_in_cache(home: Path, repo: str, source: Path, *, commit: str = COMMIT) -> Path:
    """Put a copy of a folder into the cache as a download leaves it: links to blobs; the snapshot is returned."""
    place = home / "hub" / f"models--{repo.replace('/', '--')}"
    snapshot = place / "snapshots" / commit
    for path in (path for path in source.rglob("*") if path.is_file()):
        blob = place / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        link = snapshot / path.relative_to(source)
        for folder in (blob.parent, link.parent):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, blob)
        link.symlink_to(blob)
    (place / "refs").mkdir(exist_ok=True)
    (place / "refs/main").write_text(commit)
    return snapshot


def use_hub(monkeypatch: pytest.MonkeyPatch, home: Path, *, endpoint: str | None = None) -> None:
    """Let this process use a cache, and the hub at ``endpoint``; None: offline.

    `huggingface_hub` reads HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE into these constants when it is imported.
    """
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", endpoint is None)
    if endpoint is not None:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    reset_sessions()


class HubServer(ThreadingHTTPServer):
    """Repositories in memory; each has one commit, `COMMIT`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []  # method and path of each request

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving() -> Iterator[HubServer]:
    """A hub that answers during the block."""
    with HubServer() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
        reset_sessions()  # or connections that are still open would be answered


class Answers(BaseHTTPRequestHandler):
    """What the hub answers; https://huggingface.co/docs/hub/api describes the requests."""

    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        path = self.path.lstrip("/").partition("?")[0]
        if path.startswith("api/models/"):
            self._describe("/".join(path.split("/")[2:4]))
        else:
            user, name, _, _, file = path.split("/", 4)
            self._give(self.server.repos.get(f"{user}/{name}", {}).get(file))

    def _describe(self, repo: str) -> None:
        if repo not in self.server.repos:
            return self._answer({"error": "Repository not found"}, status=404, code="RepoNotFound")
        files = [{"rfilename": name} for name in self.server.repos[repo]]
        return self._answer(
            {"id": repo, "sha": COMMIT, "private": False, "siblings": files, "tags": [], "downloads": 0}
        )

    def _give(self, content: bytes | None) -> None:
        if content is None:
            return self._answer({"error": "Entry not found"}, status=404, code="EntryNotFound")
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def _answer(self, content: object, *, status: int = 200, code: str = "") -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
