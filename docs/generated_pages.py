"""Pages of the site that are made when it is built: the options of all commands."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from pipelines.commandline.options_page import options_page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add ``options.md``."""
    files.append(File.generated(config, "options.md", content=options_page()))
    return files
