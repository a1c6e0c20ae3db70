#!/usr/bin/env bash
# Trains with the fast cycle unless the arguments name another; arguments go to Hydra.
# Example: scripts/run.sh +cycle=fast size=tiny
set -euo pipefail
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
cd -- "$root"
cycle=+cycle=fast
for argument in "$@"; do
    case $argument in cycle=* | +cycle=* | ++cycle=*) cycle= ;; esac
done
exec .venv/bin/python -m experiments.train ${cycle:+"$cycle"} "$@"
