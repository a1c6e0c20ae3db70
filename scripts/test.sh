#!/usr/bin/env bash
# Runs the tests; arguments go to pytest. Example: scripts/test.sh -m "not slow"
set -euo pipefail
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh" speech
cd -- "$root"
# A file is run by one process, so that what its tests share is made once.
exec .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
