#!/usr/bin/env bash
# entrypoint.sh SPEC FOLDER [OPTION...]: run or go on with a campaign, for schedulers that try again whatever fails.
set -uo pipefail
inverse-design run "$1" -o "$2" --resume auto "${@:3}"
code=$?
# A budget that is spent (3) is an end like any other, and so is a spec that is wrong (2): to try again would not help.
case $code in 2 | 3) exit 0 ;; *) exit "$code" ;; esac
