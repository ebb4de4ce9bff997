#!/usr/bin/env bash
# Make one image of what was pushed for each platform, without pulling it: join_platforms.sh NAME ARCHITECTURE... < tags
# NAME-ARCHITECTURE are the images, and standard input has the names of the joined one, a line each.
set -euo pipefail

name=$1
shift
sources=("${@/#/$name-}")
flags=()
while read -r tag; do
    flags+=(--tag "$tag")
done
docker buildx imagetools create "${flags[@]}" "${sources[@]}"
