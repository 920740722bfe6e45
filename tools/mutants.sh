#!/bin/sh
# Mutation tests: changes the address guard and the outcome code in many small ways, and shows each change that no test
# detects. pyproject.toml, [tool.mutmut], lists the modules and the tests. Works on a copy, in mutants/.
set -eu
bin=${BIN:-.venv/bin}
rm -rf mutants
mkdir mutants
if ! timeout 600 "$bin/mutmut" run > mutants/log 2>&1; then
    tr '\r' '\n' < mutants/log | tail -20
    exit 1
fi
"$bin/mutmut" results > mutants/survivors 2> mutants/log.results
tr '\r' '\n' < mutants/log | grep -E '^.*[0-9]+/[0-9]+ ' | tail -1 | sed -E 's|.* ([0-9]+)/([0-9]+) .*|\2 mutants|'
awk '{print $1, $2}' mutants/survivors | while read -r name state; do
    echo "$state ${name%:}"
    "$bin/mutmut" show "${name%:}" 2> /dev/null | grep -E '^[-+] ' || true
done
echo "$(grep -c . mutants/survivors || true) not killed"
