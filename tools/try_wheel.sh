#!/usr/bin/env bash
# Builds the wheel, installs it with its dependencies into an empty environment, and tries it there: the command, a
# Dagster instance by `imgrelay init`, the definitions, and a run of the demo's pictures with the templates of the wheel.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
python=${1:-.venv/bin/python}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cd "$project"
python=$(realpath --no-symlinks "$python")
"$python" -m hatchling build --target wheel --directory "$scratch/dist" >/dev/null
"$python" -m venv "$scratch/env"
bin=$scratch/env/bin
"$bin/pip" install --quiet --require-hashes -r requirements-demo.lock
"$bin/pip" uninstall --quiet --yes editables hatchling
"$bin/pip" install --quiet --no-deps "$scratch"/dist/*.whl
"$bin/pip" check

mkdir "$scratch/here"
cd "$scratch/here"
export DAGSTER_HOME=$scratch/here IMGRELAY_TEMPLATES=$scratch/here/templates
"$bin/imgrelay" --version
"$bin/imgrelay" init .
test -s dagster.yaml -a -s workspace.yaml -a -s templates/frame.png
"$bin/python" -W error::FutureWarning -c 'from imgrelay_dagster.definitions import defs; defs.resolve_all_job_defs()'
"$bin/python" -m imgrelay_dagster.demo
"$bin/imgrelay" runs --limit 1
test -n "$(find out -name 'report.html')"
