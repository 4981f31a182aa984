#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A mount test whose mount is not there stops at once.  Each script runs with a `thunderhead` whose mount fails, and
# must bail out and leave the bare directory empty: one that goes on writes to the host's disk.
#   TH_BAIL_AT       which mounts of a script fail, one in each run (1)
#   TH_BAIL_SCRIPTS  the scripts, by name (all of this directory, and ../tools/test_commands)
. "$(dirname "$0")/../support/tap.sh"
: "${TH_MOUNT_PROGRAMS:?names the directory of manifest, edit and the others}"
here=$(cd "$(dirname "$0")" && pwd)
scripts=${TH_BAIL_SCRIPTS:-$(cd "$here" && printf '%s\n' *.sh | sed 's/\.sh$//; /^bail$/d') ../tools/test_commands}
export TH_REAL=$THUNDERHEAD TH_STATE=$work/state TH_FAILING TH_MODE

# Passes everything on but the mount number TH_FAILING.  Records directories to be mounted on, and failures.
cat >"$work/thunderhead" <<'END'
#!/usr/bin/env bash
directory=
[ "${0##*/}" != mount.thunderhead ] || directory=$2
[ "${0##*/} ${1:-}" != "thunderhead mount" ] || directory=${*: -1}
if [ -n "$directory" ]; then
	echo "$directory" >>"$TH_STATE/directories"
	if [ "$(wc -l <"$TH_STATE/directories")" -eq "$TH_FAILING" ]; then
		echo "$directory" >"$TH_STATE/failed"
		[ "$TH_MODE" = refuses ] || exit 0
		echo "thunderhead: this mount is to fail" >&2
		exit 1
	fi
fi
exec -a "$0" "$TH_REAL" "$@"
END
chmod 755 "$work/thunderhead"

run_script() {
	rm -rf "$work/state" "$work/run"
	mkdir "$work/state" "$work/run"
	touch "$work/state/directories"
	TMPDIR=$work/run TH_KEEP=1 THUNDERHEAD=$work/thunderhead bash "$here/$1.sh" >"$work/said" 2>&1
}

# The last line of TAP is the bail-out, with its reason.
bails_out() {
	run_script "$1" && echo "exit 0"
	tail -n 5 "$work/said"
	grep -q '# SKIP' "$work/said" || grep -v '^#' "$work/said" | tail -n 1 | grep -qE '^Bail out! .*(mount.*: |: .*mounted)'
}

bare_directories_are_empty() {
	local directory
	while read -r directory; do
		! listed "$directory" || { echo "$directory is still mounted"; return 1; }
		[ -z "$(find "$directory" -mindepth 1 | head -n 3 | tee /dev/stderr)" ] || return 1
	done < <(sort -u "$work/state/directories")
}

# Some later mounts are meant to fail, so that going on is right there; but the failure must not pass unnoticed.
fails() {
	run_script "$1" && [ -e "$work/state/failed" ] && return 1
	tail -n 5 "$work/said"
	true
}

for script in $scripts; do
	for TH_FAILING in ${TH_BAIL_AT:-1}; do
		for TH_MODE in refuses lies; do
			if [ "$TH_FAILING" -eq 1 ]; then
				check "$script bails out when its first mount $TH_MODE" bails_out "$script"
			else
				check "$script fails when its mount $TH_FAILING $TH_MODE" fails "$script"
			fi
			check "$script writes nothing into the bare directory when mount $TH_FAILING $TH_MODE" bare_directories_are_empty
		done
	done
done
tap_done
