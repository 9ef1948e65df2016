"""What the site has from the code when it is built: the page of options, and tables within other pages."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from pipelines.documentation import options_page, with_tables


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add ``options.md``."""
    files.append(File.generated(config, "options.md", content=options_page()))
    return files


def on_page_markdown(markdown: str, **of_page: object) -> str:
    """Put the tables into a page."""
    return with_tables(markdown)
