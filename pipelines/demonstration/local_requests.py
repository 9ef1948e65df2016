"""ASGI middleware of the page: whom the server answers, and what the page may load."""

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]  # lower-case name, value

# A browser refuses everything of another host. Gradio's own scripts are inline, and use eval for `js=`.
POLICY = b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'self'"
LOCAL = re.compile(rb"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)  # any port, for SSH tunnels
REFUSAL = b"The page answers requests of this machine alone; open the address that wordless demo printed.\n"


class LocalRequestsOnly:
    """ASGI middleware that refuses requests of other websites with status 403.

    A website that is open in the same browser reaches this machine by a host name of its own that leads to 127.0.0.1
    (DNS rebinding), or by an upload form, which a browser sends without asking the server first. The headers ``Host``
    and ``Origin`` tell both: no script can change them.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or is_local(scope["headers"]):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: servers answer 403
        else:
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(REFUSAL))]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": REFUSAL})


def is_local(headers: Iterable[Header]) -> bool:
    """Return whether the host of a request is this machine, and its origin, if it has one, a page of this machine."""
    headers = list(headers)
    hosts = [value for name, value in headers if name == b"host"]
    origins = [value for name, value in headers if name == b"origin"]
    own = [value.removeprefix(b"http://") for value in origins if value.startswith(b"http://")]
    return bool(hosts) and len(own) == len(origins) and all(LOCAL.fullmatch(each) for each in (*hosts, *own))


class OwnSourcesOnly:
    """ASGI middleware that adds the policy `POLICY` to each answer."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"content-security-policy", POLICY)]
            await send(message)

        await self.app(scope, receive, send_with_policy)
