#!/bin/sh
# Starts the executor, introduces the conformance kit to it, tries the whole profile, and ends with the kit's exit code.
#
#   check.sh [KIT [further arguments of the kit's `run`]]       KIT, or $CONFORMANCE_KIT, is the program
#
# $PYTHON is the interpreter (python3), $PORT the port on loopback (7543). Everything made is in one temporary folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kit=${1:-${CONFORMANCE_KIT:-landbridge-conformance}}
[ $# -eq 0 ] || shift
work=$(mktemp -d)
executor() { "${PYTHON:-python3}" "$here" --home "$work/executor" "$@"; }

executor init --listen "127.0.0.1:${PORT:-7543}"
: >"$work/log"
"${PYTHON:-python3}" "$here" --home "$work/executor" serve >"$work/log" 2>&1 &
served=$!
trap 'kill "$served" 2>/dev/null || true; wait "$served" 2>/dev/null || true; rm -rf "$work"' EXIT
tries=0
until grep -q listens "$work/log"; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { cat "$work/log"; exit 2; }
    sleep 0.1
done

joined=$("$kit" --home "$work/kit" join "$(executor invite)")
echo "$joined"
# The words stand on one line of what the kit says: twelve of letters alone.
words=$(echo "$joined" | grep -Eo '([a-z]+ ){11}[a-z]+' | head -n 1)
executor accept kit --words "$words" --agent echo
set +e
"$kit" --home "$work/kit" run --agent echo --prompt 'Say hello to everybody who is here today.' \
    --endless-prompt 'Count to a million, slowly.' "$@"
code=$?
grep -v listens "$work/log" || true  # what the executor had to complain about
exit "$code"
