"""The server of the page: for this machine alone, and without any request to another one."""

import os
import signal
import socket
import tempfile
import threading
import warnings
import webbrowser
from pathlib import Path

from pipelines.demonstration.local_requests import LocalRequestsOnly, OwnSourcesOnly
from pipelines.demonstration.options import DemoConfig
from pipelines.store.run_folder import run_of
from wordless.base.errors import InputError
from wordless.base.text import escape

HOST = "127.0.0.1"
LARGEST_FILE = "500mb"


def require_free(port: int) -> None:
    """Refuse a port that another program listens on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(
                f"port={port} cannot be used ({error.strerror}); choose another, or port=0 for any that is free"
            ) from error


def keep_to_this_machine(cache: Path) -> None:
    """Switch off everything of Gradio that calls home, before it is imported; sounds are kept in ``cache``."""
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", GRADIO_TEMP_DIR=str(cache)
    )


def serve(settings: DemoConfig) -> None:
    """Serve the page until Ctrl-C or SIGTERM; sounds that users gave are deleted at the end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="wordless_demo_") as cache:
        keep_to_this_machine(Path(cache))
        warnings.filterwarnings("ignore", module="gradio")  # of its own calls of starlette
        from starlette.middleware import Middleware

        from pipelines.demonstration.answers import DemoAnswers
        from pipelines.demonstration.examples import examples_of
        from pipelines.demonstration.models import DemoModels
        from pipelines.demonstration.page import SCRIPT, STYLE, create_page

        models = DemoModels.of_run(settings)
        answers = DemoAnswers(models, max_seconds=settings.max_seconds)
        page = create_page(answers, name=escape(settings.model.name), examples=examples_of(run_of(settings.model)))
        _, url, _ = page.launch(
            server_name=HOST,
            server_port=settings.port or _free_port(),
            share=False,
            inbrowser=False,
            prevent_thread_lock=True,
            quiet=True,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            footer_links=[],
            max_file_size=LARGEST_FILE,
            css=STYLE,
            head=f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>",
            app_kwargs={"middleware": [Middleware(LocalRequestsOnly), Middleware(OwnSourcesOnly)]},
        )
        print(f"{url}  (Ctrl-C ends it)", flush=True)
        if settings.browser:
            webbrowser.open(url)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            page.close(verbose=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
