#!/usr/bin/env bash
# Make the Python environment of the build tool, the local stack and the tests: local/machine/venv.sh FOLDER
# Needs a Python 3.10 or newer; Debian's python3-venv is installed when it is missing and this is root.
set -euo pipefail

if (($# != 1)) || [[ -z $1 ]]; then
    echo "Usage: $0 FOLDER" >&2
    exit 2
fi
folder=$1
cd "$(dirname "$0")/../.."

find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if command -v "$candidate" >/dev/null \
            && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.10 or newer on PATH. Install one, for example: apt-get install python3" >&2
    exit 1
}

python=$(find_python)
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        echo "Installing Debian's python3-venv ..." >&2
        apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qqy python3-venv >/dev/null
    else
        echo "error: $python has no venv module. Install it, for example: apt-get install python3-venv" >&2
        exit 1
    fi
fi
echo "Installing the Python packages of requirements/dev.txt into $folder ..." >&2
"$python" -m venv --clear "$folder"
# pip installs uv alone, at its locked version; uv installs the rest several times faster.
awk '/^uv==/ { found = 1 } found; found && !/\\$/ { exit }' requirements/dev.txt >"$folder/uv.txt"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$folder/uv.txt"
"$folder/bin/uv" pip install --quiet --require-hashes --python "$folder" --requirement requirements/dev.txt
touch "$folder/ready"
