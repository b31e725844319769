#!/bin/sh
# What an operator of our bridge does when the kit asks for it.
#
#   executor.sh PROGRAM HOME DEED        $ABOUT is what the deed is about, where it is about something
set -eu
program=$1 home=$2 deed=$3
bridge() { "$program" --home "$home" "$@" >/dev/null </dev/null; }
because() { bridge "$@" --because "the kit asks" --yes; }

serve() {
    : >"$home/ready"
    "$program" --home "$home" --json serve >>"$home/ready" 2>>"$home/bridge.log" </dev/null &
    echo $! >"$home/pid"
    tries=0
    until grep -q '"ready"' "$home/ready"; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || { tail -n 5 "$home/bridge.log" >&2; exit 1; }
        sleep 0.1
    done
}

# Nobody may have collected what is left of a process that has ended.
ended() {
    pid=$(cat "$home/pid")
    while grep -qs '^State:.[^ZX]' "/proc/$pid/status"; do sleep 0.05; done
}

end() { kill "-$1" "$(cat "$home/pid")" 2>/dev/null || true; ended; }

# The database and the witness beside it, as when a whole machine is copied.
copy() {
    rm -rf "$2/state" "$2/state.witness"
    mkdir -p "$2"
    cp -pR "$1/state" "$1/state.witness" "$2"
}

grant() { bridge grant add kit --agent demo "$@"; }

case $deed in
serve) serve ;;
stop) end KILL ;;
restart) end KILL; serve ;;
drain) kill -TERM "$(cat "$home/pid")" ;;
keep) end KILL; copy "$home" "$home-kept"; serve ;;
restore) end KILL; copy "$home-kept" "$home"; serve ;;
recover)
    end TERM
    bridge recover --yes 2>/dev/null || bridge recover --yes --unnoticed
    serve
    ;;
rotate) bridge key rotate stream status --now ;;
halt) bridge halt --because "the kit asks" ;;
resume) bridge resume ;;
suspend) because peer suspend kit ;;
activate) because peer resume kit ;;
lift) because peer resume other ;;
revoke-other) because peer revoke other ;;
grant)
    grant --ask prompt --ask tool-call --ask approval-request --ask approval-grant --tool clock \
        --mode session --mode turn --mode subagent \
        --disclose-tool-args full --disclose-tool-results full
    ;;
withdraw) bridge grant remove kit ;;
federation)
    # shellcheck disable=SC2086 # four words
    set -- $ABOUT
    bridge trust root add "$1" --key "$2" --max-members "$3" --tenants "$4" --yes
    ;;
admit)
    # shellcheck disable=SC2086 # three words
    set -- $ABOUT
    alias=$("$program" --home "$home" --json peer list </dev/null | tr '{' '\n' | grep -F "\"$1\"" |
        sed -n 's/.*"alias": *"\([^"]*\)".*/\1/p' | head -n 1)
    bridge membership accept "$alias" --yes
    bridge grant add "$alias" --agent "$2" --tenant "$3" --yes
    ;;
invite) "$program" --home "$home" peer invite "newcomer-$$" </dev/null 2>/dev/null ;;
approve | deny) bridge approval "$deed" "$ABOUT" --key "$home/carol.key" --yes ;;
*) echo "no such deed: $deed" >&2; exit 64 ;;
esac
