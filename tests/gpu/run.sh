#!/bin/sh
# Runs every CUDA path of the project in order of worth, compares each with the CPU, and prints one JSON of rates.
# No check begins after nine minutes; the file is written anew after each one. Without a GPU: "no GPU here", code 0.
#   tests/gpu/run.sh [FILE.json]
# PYTHON=... names another Python; it needs PyTorch, torchaudio, NumPy, safetensors, rich and threadpoolctl, and no network.
cd "$(dirname "$0")/../.." || exit 2
[ -n "$PYTHON" ] || { [ -x .venv/bin/python ] && PYTHON=.venv/bin/python || PYTHON=python3; }
PYTHONPATH=".${PYTHONPATH:+:$PYTHONPATH}" exec "$PYTHON" -m tests.gpu.check "$@"
