#!/bin/sh
# Runs every CUDA path of the project, compares each with the CPU, and prints one JSON of rates.
#   tests/gpu/run.sh [FILE.json]
# PYTHON=... names another Python; it needs PyTorch, torchaudio, NumPy, safetensors, rich and threadpoolctl, and no network.
cd "$(dirname "$0")/../.." || exit 2
[ -n "$PYTHON" ] || { [ -x .venv/bin/python ] && PYTHON=.venv/bin/python || PYTHON=python3; }
PYTHONPATH=. exec "$PYTHON" -m tests.gpu.check "$@"
