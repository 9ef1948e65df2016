"""Run docs/tour.ipynb in an empty folder, and store it with its outputs, so that it can be read where it is not run.

    pip install 'wordless[docs]'
    python docs/run_tour.py

Bars of progress, warnings of libraries and the folder of the run are left out.
"""

import re
import tempfile
from pathlib import Path

import nbclient
import nbformat

NOTEBOOK = Path(__file__).with_name("tour.ipynb")
SUMMARY = "This run learned"  # begins the lines that a run prints when it is finished


def cleaned(outputs: list[nbformat.NotebookNode], place: str) -> list[nbformat.NotebookNode]:
    """Return outputs with one text each of what was printed, of a run the summary alone."""
    text = "".join(each.text for each in outputs if each.output_type == "stream" and "\x1b" not in each.text)
    text = text.replace(f"{place}/", "")
    text = re.sub(r"(?m)^.*Warning: .*\n(  .*\n)*", "", text) if SUMMARY not in text else text
    if SUMMARY in text:
        text = "[...]\n" + text[text.rindex("\n", 0, text.index(SUMMARY)) + 1 :]
    printed = [nbformat.v4.new_output("stream", name="stdout", text=text)] if text else []
    return [*printed, *(each for each in outputs if each.output_type != "stream")]


def main() -> None:
    """Run the notebook, and write it with its outputs."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as place:
        resources = {"metadata": {"path": place}}
        nbclient.NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=resources).execute()
        notebook.metadata.language_info = {"name": "python"}  # versions of the machine would change with each machine
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
            if cell.cell_type == "code":
                cell.outputs = cleaned(cell.outputs, place)
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
