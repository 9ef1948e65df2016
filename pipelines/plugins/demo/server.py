"""The server of the page: for this machine alone, and without any request to another one."""

import os
import re
import signal
import tempfile
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipelines.jobs.speaking import ModelsOfRun
from pipelines.pages.players import clip_title, listened_clips, sound_path, sounds_of
from pipelines.plugins.demo import DemoConfig
from pipelines.plugins.demo.answers import DemoAnswers
from pipelines.results.run_record import read_results
from pipelines.store.run_parts import part_of, run_of
from wordless.base.devices import choose_device
from wordless.base.messages import InputError, escape
from wordless.base.saved_models import is_on_hub

HOST = "127.0.0.1"  # this machine alone
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
# A browser refuses everything of another host. Gradio's own scripts are inline, and use eval for `js=`.
POLICY = b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'self'"
_LOCAL = re.compile(rb"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)  # any port, for SSH tunnels
REFUSAL = b"The page answers requests of this machine alone; open the address that wordless demo printed.\n"


def serve(settings: DemoConfig) -> None:
    """Serve the page until Ctrl-C or SIGTERM; sounds that users gave are deleted at the end."""
    if not is_on_hub(settings.model):
        part_of(settings.model, "tokenizer")
    if find_spec("gradio") is None:
        raise InputError("the page needs Gradio, which is not installed; call: pip install 'wordless[demo]'")
    run = run_of(settings.model)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="wordless_demo_") as cache:
        # Before Gradio is imported: nothing of it calls home, and sounds are kept in the cache.
        offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
        os.environ.update(offline, GRADIO_TEMP_DIR=cache)
        warnings.filterwarnings("ignore", module="gradio")  # of its own calls of starlette
        from starlette.middleware import Middleware

        from pipelines.plugins.demo.demo_page import STYLE, create_page

        device = str(choose_device(settings.device))
        models = ModelsOfRun.of_folder(run, sampling=settings.sampling, device=device)
        answers = DemoAnswers(models, max_seconds=settings.max_seconds)
        page = create_page(answers, name=escape(settings.model.name), examples=example_sounds(run))
        try:
            _, url, _ = page.launch(
                server_name=HOST,
                server_port=settings.port or None,
                share=False,
                inbrowser=settings.browser,
                prevent_thread_lock=True,
                quiet=True,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                enable_monitoring=False,
                footer_links=[],
                max_file_size="500mb",
                css=STYLE,
                app_kwargs={"middleware": [Middleware(LocalRequestsOnly)]},
            )
        except OSError as error:  # Gradio tried to open it
            problem = f"port={settings.port} is not free here, or not for users"
            raise InputError(f"{problem}; choose another, or port=0 for any that is free") from error
        print(f"{url}  (Ctrl-C ends it)", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            page.close(verbose=False)


class LocalRequestsOnly:
    """ASGI middleware that refuses requests of other websites with status 403, and adds `POLICY` to each answer.

    A website in the same browser reaches this machine by a host name that leads to 127.0.0.1 (DNS rebinding), or by an
    upload form. The headers ``Host`` and ``Origin`` tell both: no script can change them.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"content-security-policy", POLICY)]
            await send(message)

        if scope["type"] == "lifespan" or is_local(scope["headers"]):
            await self.app(scope, receive, send_with_policy)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: servers answer 403
        else:
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(REFUSAL))]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": REFUSAL})


def is_local(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether the host of a request is this machine, and its origin, if it has one, a page of this machine."""
    headers = list(headers)
    hosts = [value for name, value in headers if name == b"host"]
    origins = [value for name, value in headers if name == b"origin"]
    own = [value.removeprefix(b"http://") for value in origins if value.startswith(b"http://")]
    return bool(hosts) and len(own) == len(origins) and all(_LOCAL.fullmatch(each) for each in (*hosts, *own))


def example_sounds(folder: Path) -> list[tuple[str, Path]]:
    """List names and files of the first test recordings of a run; none if it has no sounds."""
    try:
        results = read_results(folder)
        clips = enumerate(listened_clips(results)[:6])
        return [
            (clip_title(clip), sound_path(folder, sounds_of(results, "clips", number)[0])) for number, clip in clips
        ]
    except InputError:  # a run of another version, or one whose sounds were deleted: the page works without examples
        return []
