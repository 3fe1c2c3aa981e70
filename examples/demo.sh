#!/bin/sh
# The main job on the embedded digits, from a look at the data to a prediction. Prints each command it runs.
set -eu

run=${1:-runs/demo}
rm -rf "$run"
mkdir -p "$(dirname "$run")"
commands=

step() {
    printf '\n$ %s\n' "$*"
    commands="$commands
    $*"
    "$@"
}

step zoo datasets
step zoo recommend --data digits --scratch
pick=$(zoo recommend --data digits --scratch --json | python -c 'import json, sys; print(json.load(sys.stdin)["recommendations"][0]["model"])')
step zoo train "$pick" --data digits --output "$run"
step zoo evaluate "$run" --data digits
rm -f "$run-digit.png"
step zoo datasets sample digits --index 7 --output "$run-digit.png"
step zoo predict "$run" "$run-digit.png"

printf '\nTo repeat it:\n%s\n' "$commands"
