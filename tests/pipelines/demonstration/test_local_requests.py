"""Whom the server of the page answers."""

import asyncio

import pytest

from pipelines.demonstration.server import LocalRequestsOnly, Message, Receive, Send

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


def status(host: str | None, origin: str | None = None) -> int:
    pairs = ((b"host", host), (b"origin", origin))
    return int(answers_to([(name, value.encode()) for name, value in pairs if value is not None])[0]["status"])


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "127.0.0.1", "localhost:9000", "localhost", "[::1]:7860", "[::1]"])
def test_a_page_of_this_machine_is_answered_at_any_port(host: str) -> None:
    assert status(host) == 200
    assert status(host, f"http://{host}") == 200  # a tunnel: the browser's port is another one than the server's


@pytest.mark.parametrize(
    "host",
    [
        *("rebound.example:7860", "rebound.example", "127.0.0.1.rebound.example", "localhost.rebound.example:7860"),
        *("127.0.0.1:7860@rebound.example", "127.0.0.1:port", "127.0.0.1:7860\n", "192.168.0.2:7860", "", None),
    ],
)
def test_another_host_name_is_refused(host: str | None) -> None:
    assert status(host) == 403


@pytest.mark.parametrize(
    "origin",
    [
        *("https://elsewhere.example", "http://elsewhere.example:7860", "http://127.0.0.1.elsewhere.example"),
        *("https://127.0.0.1:7860", "file://", "null", ""),
    ],
)
def test_another_origin_is_refused(origin: str) -> None:
    assert status("127.0.0.1:7860", origin) == 403


def test_one_foreign_header_among_several_is_enough() -> None:
    own = [(b"host", b"localhost"), (b"origin", b"http://localhost")]
    assert answers_to(own)[0]["status"] == 200
    for foreign in ((b"host", b"rebound.example"), (b"origin", b"http://elsewhere.example")):
        assert answers_to([*own, foreign])[0]["status"] == 403


def test_a_refusal_is_a_line_of_text() -> None:
    start, body = answers_to([])
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    assert body["body"].decode().count("\n") == 1


def test_a_websocket_of_another_site_is_closed_before_it_opens() -> None:
    headers = [(b"host", b"127.0.0.1:7860"), (b"origin", b"https://elsewhere.example")]
    assert answers_to(headers, kind="websocket") == [{"type": "websocket.close"}]
