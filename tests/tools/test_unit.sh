#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The unit for systemd is well-formed, and its sandbox is as tight as the daemon allows.  TH_UNIT names it.
. "$(dirname "$0")/../support/tap.sh"
: "${TH_UNIT:?names the unit}"
unit=$work/thunderhead@.service

if ! systemd-analyze --version >/dev/null 2>&1; then
	tap_skip "the unit" "systemd-analyze is not installed"
	tap_done
fi
# systemd-analyze looks whether the program exists, and this one is not installed.
sed "s|^ExecStart=[^ ]*|ExecStart=$THUNDERHEAD|" "$TH_UNIT" >"$unit"
check "the unit starts the installed program" grep -q '^ExecStart=/.*/bin/thunderhead mount ' "$TH_UNIT"
systemd-analyze verify --man=no --recursive-errors=no "$unit" >"$scratch/out" 2>&1
check "systemd finds no error" is 0 $?
check "and no warning" is "" "$(grep -F "$unit" "$scratch/out")"
# The exposure that systemd computes, times ten: what is left is for mounting, and for the view of all files.
check "the exposure is 4.0 at most" systemd-analyze security --offline=true --threshold=40 "$unit" >/dev/null
tap_done
