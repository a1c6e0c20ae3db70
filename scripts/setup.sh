#!/usr/bin/env bash
# Makes .venv in the checkout with the pinned development dependencies; does nothing when it is up to date.
# `scripts/setup.sh speech` adds what listens, or says why it cannot be had here; the rest works without.
# PYTHON (a name or a path) chooses the interpreter; without it an existing .venv is kept, and a new one takes the
# first of python3, python3.13, python3.12, python3.14, python3.11 that is at least 3.11.
set -euo pipefail
extras=dev

probe() { # prints "version path" of a command that is a Python >= 3.11, else fails
    "$1" -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1); print("%d.%d.%d" % sys.version_info[:3], sys.executable)' 2>/dev/null
}

found=
if [[ -n ${PYTHON:-} ]]; then # before the cd: PYTHON may be a relative path
    found=$(probe "$PYTHON") || { echo "setup: PYTHON=$PYTHON is not a Python 3.11 or newer" >&2; exit 2; }
fi
CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
current=$(probe .venv/bin/python) || current=
if [[ -z $found ]]; then
    found=$current
    for name in python3 python3.13 python3.12 python3.14 python3.11; do
        [[ -n $found ]] || found=$(probe "$name") || true
    done
    [[ -n $found ]] || { echo "setup: no Python 3.11 or newer on PATH; set PYTHON to one" >&2; exit 2; }
fi
version=${found%% *} python=${found#* }

speech() { # a PyTorch for the CPU first, of what is there; voice activity is all it is for
    [[ $stamp != "$(cat .venv/stamp-speech 2>/dev/null)" ]] || return 0
    local pip=(.venv/bin/python -m pip) quiet=(-qq --disable-pip-version-check -c constraints.txt)
    skip() { echo "setup: without speech, whose tests are skipped: $1" >&2; }
    "${pip[@]}" --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null # a .venv that uv made
    if [[ $version != 3.11.* && $version != 3.12.* ]]; then
        skip "RealtimeSTT needs Python 3.11 or 3.12, this is $version"
        return 0
    fi
    if ! echo '#include <portaudio.h>' | "${CC:-cc}" -E - >/dev/null 2>&1; then # PyAudio is compiled
        if [[ $(id -u) != 0 ]] || ! { apt-get install -qq -y --no-install-recommends portaudio19-dev ||
            { apt-get update -qq && apt-get install -qq -y --no-install-recommends portaudio19-dev; }; } >/dev/null 2>&1; then
            skip "PyAudio needs a C compiler and the headers of PortAudio (Debian: apt install gcc portaudio19-dev)"
            return 0
        fi
    fi
    if ! .venv/bin/python -c 'import torch' 2>/dev/null; then
        if "${pip[@]}" install "${quiet[@]}" --dry-run --report - torch 2>/dev/null | grep '"nvidia-' >/dev/null; then
            skip "pip would take a PyTorch with gigabytes of CUDA; install one for the CPU into .venv, then try again"
            return 0
        fi
        echo "setup: installing PyTorch for the CPU into .venv" >&2
        "${pip[@]}" install "${quiet[@]}" --no-compile torch || { skip "PyTorch could not be installed"; return 0; }
    fi
    echo "setup: installing dellm_jax[speech] into .venv" >&2
    "${pip[@]}" install "${quiet[@]}" -e ".[speech]" || { skip "RealtimeSTT could not be installed"; return 0; }
    echo "$stamp" >.venv/stamp-speech
}

stamp="$version $extras $PWD $(cat pyproject.toml constraints.txt | cksum)"
if [[ $version = "${current%% *}" && $stamp = "$(cat .venv/stamp 2>/dev/null)" ]]; then
    [[ ${1:-} != speech ]] || speech
    exit 0
fi

if uv --version >/dev/null 2>&1; then tool=uv; else tool=pip; fi
echo "setup: installing dellm_jax[$extras] into .venv (Python $version, $tool)" >&2
rm -f .venv/stamp
if [[ $version != "${current%% *}" ]]; then
    rm -rf .venv
    if [[ $tool = uv ]]; then
        uv venv -q --python "$python" .venv
    else
        "$python" -m venv .venv || { rm -rf .venv; exit 1; }
    fi
fi
if [[ $tool = uv ]]; then
    uv pip install -q --python .venv/bin/python -e ".[$extras]" -c constraints.txt
else
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null # a .venv that uv made
    .venv/bin/python -m pip install -qq --disable-pip-version-check -e ".[$extras]" -c constraints.txt
fi
echo "$stamp" >.venv/stamp
[[ ${1:-} != speech ]] || speech
