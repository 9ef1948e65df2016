# make run, make test, make lint and make docs install what they need first; VENV=, ARGS= and PYTHON= may be given.
# Two processes share the quick tests. The slow tests measure memory, so one process runs them.
# Tests start a hundred processes, so what Python compiles is kept even where the environment forbids it.
VENV ?= .venv
PYTHON ?=
ARGS ?=
STAMP := $(VENV)/.installed
DOCS := $(VENV)/.docs_installed
OURS := $(VENV)/.wordless

.PHONY: install run test lint docs clean

run: $(STAMP)
	@$(VENV)/bin/wordless run $(ARGS)

test: $(STAMP)
	@PYTHONDONTWRITEBYTECODE= $(VENV)/bin/python -m pytest $(if $(findstring --slow,$(ARGS)),,-n 2 --dist worksteal) $(ARGS)

lint: $(STAMP)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/mypy

# The site in site/; index.html can be opened as a file.
docs: $(DOCS)
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict --quiet
	@echo "site/index.html"

install: $(STAMP)

clean:
	@sh -c "$$REMOVE_VENV"
	rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Whether a Python runs at all (shims of version managers exist without doing so), fits, and can make environments.
define FITS
import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
endef
export FITS

# Whatever else stands at VENV is not ours to delete. An empty folder is as good as none.
define REMOVE_VENV
[ -e "$(OURS)" ] || [ -e "$(STAMP)" ] || rmdir "$(VENV)" 2>/dev/null || [ ! -e "$(VENV)" ] && exec rm -rf "$(VENV)"
echo "$(VENV) was not made by this Makefile, so it stays; choose another with VENV=..., or delete it yourself" >&2
exit 2
endef
export REMOVE_VENV

define MAKE_VENV
fits() { "$$1" -c "$$FITS" >/dev/null 2>&1; }
if [ -n "$(PYTHON)" ] && ! fits "$(PYTHON)"; then
  echo "PYTHON=$(PYTHON) is no Python 3.10, 3.11 or 3.12 with venv; name another, or none to have one looked for" >&2
  exit 2
fi
fits "$(VENV)/bin/python" && "$(VENV)/bin/python" -m pip --version >/dev/null 2>&1 && exit 0
sh -c "$$REMOVE_VENV" || exit
mkdir -p "$(VENV)" && touch "$(OURS)"
versions="$${PYENV_ROOT:-$$HOME/.pyenv}/versions"
for python in "$(PYTHON)" python3.11 python3.12 python3.10 python3 python \
    "$$versions"/3.11.*/bin/python "$$versions"/3.12.*/bin/python "$$versions"/3.10.*/bin/python; do
  fits "$$python" && echo "$(VENV): $$("$$python" --version)" && exec "$$python" -m venv "$(VENV)"
done
uv venv --quiet --seed --allow-existing --python ">=3.10,<3.13" "$(VENV)" 2>/dev/null && echo "$(VENV): by uv" && exit 0
echo "no Python 3.10, 3.11 or 3.12 (with venv) was found: install python3.11 and python3.11-venv, or pyenv, or uv;" >&2
echo "or name one: make install PYTHON=/path/to/python" >&2
rm -rf "$(VENV)"
exit 2
endef
export MAKE_VENV

# The stamp comes last, so that an interrupted install is taken up again.
$(STAMP): pyproject.toml constraints.txt
	@sh -c "$$MAKE_VENV"
	@echo "installing: about 3 GB to download and 8 GB on disk the first time"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e '.[dev]' -c constraints.txt
	@touch $(STAMP)

$(DOCS): $(STAMP)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e '.[docs]' -c constraints.txt
	@touch $(DOCS)
