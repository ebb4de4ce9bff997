#!/usr/bin/env bash
# Open a pull request with Airflow releases that were added: propose_releases.sh PATCH "3.3.3 3.4.0"
# Nothing is done when there is, or was, one for these releases. Takes GH_TOKEN, and `origin` of the repository.
set -euo pipefail

patch=$1
versions=$2
[[ $versions =~ ^[0-9.\ ]+$ ]] # they become names
releases=${versions// /, }
branch=airflow-${versions// /-}
if [ "$(gh pr list --head "$branch" --state all --json number --jq length)" != 0 ]; then
    echo "Airflow $releases: there is a pull request of $branch already."
    exit 0
fi
git switch --quiet --create "$branch"
git apply --index "$patch"
git -c user.name="github-actions[bot]" -c user.email="41898282+github-actions[bot]@users.noreply.github.com" \
    commit --quiet --message "Matrix: Airflow $releases"
gh auth setup-git
git push --quiet --force origin "$branch"
gh pr create --head "$branch" --title "Airflow $releases" --body "\`make add-airflow\` wrote the entry and the locks.

GitHub starts no checks for a pull request that a workflow opened: close it and open it again."
