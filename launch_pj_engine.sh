#!/bin/sh
# Start PJ Engine from a desktop: the demo while config.yaml says "profile: sim", else the daemon.
# With arguments it runs that verb instead: launch_pj_engine.sh up --live. The twin of LAUNCH_PJ_ENGINE.bat.
root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 2

hold() {
    if [ -z "$PJ_NO_PAUSE" ] && [ -t 0 ]; then
        printf 'Press Enter to close this window.'
        read -r _
    fi
    exit "$1"
}

python=
found=
for name in python3.13 python3.12 python3.11 python3 python; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; then
        python=$name
        break
    fi
    [ -n "$found" ] || found=$("$name" -c 'import sys; print(sys.version.split()[0])' 2>/dev/null)
done
if [ -z "$python" ]; then
    if [ -n "$found" ]; then
        echo "PJ Engine needs Python 3.11, 3.12 or 3.13, and the one found is $found."
    else
        echo 'PJ Engine needs Python 3.11, 3.12 or 3.13, and none was found.'
    fi
    hold 2
fi
if [ ! -f "$root/scripts/pj.py" ]; then
    echo "\"$root/scripts/pj.py\" is missing: keep this launcher in the folder of PJ Engine."
    hold 2
fi

verb=
if [ $# -eq 0 ]; then
    verb=demo
    grep -Eq '^profile: *(paper|live)([^[:alnum:]_]|$)' "$root/config.yaml" 2>/dev/null && verb=up
    set -- "$verb"
fi
"$python" "$root/scripts/pj.py" "$@"
code=$?
[ "$code" -eq 0 ] && [ "$verb" != demo ] && exit 0
echo
echo "PJ Engine ended with exit code $code."
case $code in
    1) echo 'A check failed: read the lines above.' ;;
    2) echo 'The settings or the arguments cannot be used: the line above names what to change.' ;;
    3) echo 'A service outside does not answer: the line above names it.' ;;
    4) echo 'A guard has halted trading: see the journal and the logs in the run folder.' ;;
esac
hold "$code"
