"""The work of ``wordless publish``, once its options are checked."""

from collections.abc import Mapping
from pathlib import Path

from pipelines.publishing.finetuned import finetuned
from pipelines.publishing.options import PublishConfig
from pipelines.publishing.upload import upload
from pipelines.publishing.whole_run import whole_run
from pipelines.store.run_folder import is_finetuned
from wordless.base.text import counted, escape


def publish_models(settings: PublishConfig) -> None:
    """Print the files and the card, and upload them if that is wanted."""
    made = finetuned(settings) if is_finetuned(settings.run) else whole_run(settings)
    _show(settings, made.contents)
    print(f"\n{escape(made.card)}")
    for line in made.notices:
        print(line)
    if settings.upload:
        print(upload(settings, made.contents), flush=True)
    else:
        print("nothing was uploaded; the same command with upload=true uploads these files", flush=True)


def _show(settings: PublishConfig, contents: Mapping[str, Path | bytes]) -> None:
    """Print the files with their sizes."""
    sizes = {name: len(each) if isinstance(each, bytes) else each.stat().st_size for name, each in contents.items()}
    for name, size in sizes.items():
        print(f"{_megabytes(size)}  {name}")
    seen = "private" if settings.private else "public"
    print(f"{_megabytes(sum(sizes.values()))}  {counted(len(sizes), 'file')} for {settings.address} ({seen})")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:>10,.3f} MB"
