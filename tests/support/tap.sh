# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Tests in bash that speak TAP.  Sourced; THUNDERHEAD names the program.  A test works in $work, which is removed at the
# end unless TH_KEEP is set, and ends with tap_done.  Two forms of a test point:
#
#   check "NAME" COMMAND...          runs the command, whose output is shown if it fails
#   COMMAND...; tap "NAME"           judges the command before, whose output must be empty or diagnostics
#
# Diagnostics ("# ...") of failures go to standard error: of a TAP test, `meson test --print-errorlogs` shows nothing
# else.
set -u
: "${THUNDERHEAD:?names the program to test}"
. "$(dirname "${BASH_SOURCE[0]}")/mount.sh"

tap_count=0
tap_failed=0
workers=() # processes to be ended at the end
# TAP and diagnostics, also from where output is redirected
exec {tap_out}>&1 {tap_err}>&2
# $scratch has the files that must not be seen in $work.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/thunderhead-test.XXXXXX") && chmod 755 "$scratch" || exit
work=$scratch/work
mkdir -m 700 "$work" || exit

# However a test ends, it leaves no process, no mount and, without TH_KEEP, no file.
tap_cleanup() {
	[ ${#workers[@]} -eq 0 ] || kill "${workers[@]}" 2>/dev/null
	cd /
	unmount_below "$scratch"
	if [ -n "${TH_KEEP:-}" ]; then
		printf '# kept: %s\n' "$work" >&"$tap_err"
	else
		rm -rf --one-file-system "$scratch"
	fi
}
trap tap_cleanup EXIT
trap 'exit 130' INT TERM HUP

# Prints each line of the arguments as a comment on the test.
say() {
	printf '%s\n' "$@" | sed 's/^/# /' >&"$tap_out"
}

# The same, as a diagnostic of a failure: on standard error, which `check` captures.
diag() {
	printf '%s\n' "$@" | sed 's/^/# /' >&2
}

# tap NAME : one test point, which passes if the command before it did.  Returns that command's status.
tap() {
	local status=$?
	tap_count=$((tap_count + 1))
	if [ "$status" -eq 0 ]; then
		printf 'ok %d - %s\n' "$tap_count" "$*" >&"$tap_out"
	else
		tap_failed=$((tap_failed + 1))
		printf 'not ok %d - %s\n' "$tap_count" "$*" >&"$tap_out"
		diag "not ok $tap_count - $*: exit $status"
	fi
	return "$status"
}

# check NAME COMMAND... : one test point, which passes if the command does.  Returns the command's status.
check() {
	local name=$1 status
	shift
	"$@" >"$scratch/said" 2>&1
	status=$?
	(exit "$status")
	if ! tap "$name"; then
		case $1 in is | refused) ;; *) diag "$*" ;; esac # these print it themselves
		head -c 4000 "$scratch/said" | sed 's/^\(# \)\{0,1\}/#   /' >&2
	fi
	return "$status"
}

# The opposite: the command must fail.
check_fails() {
	local name=$1
	shift
	check "$name" not "$@"
}

not() {
	! "$@"
}

# is EXPECTED FOUND : true if these are equal; else prints both
is() {
	[ "$1" = "$2" ] && return
	diag "expected: $1" "found:    $2"
	return 1
}

# tap_skip NAME REASON
tap_skip() {
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s # SKIP %s\n' "$tap_count" "$1" "$2" >&"$tap_out"
}

tap_done() {
	printf '1..%d\n' "$tap_count" >&"$tap_out"
	[ "$tap_failed" -eq 0 ] || diag "TH_KEEP=1 keeps the files${seed:+; TH_TEST_SEED=$seed repeats this run}"
	exit $((tap_failed > 0))
}

# bail_out REASON : ends the test at once, also from a subshell, because going on would do harm
bail_out() {
	printf 'Bail out! %s\n' "$*" >&"$tap_out"
	printf '# bail out: %s\n' "$*" >&"$tap_err"
	[ "$BASHPID" -eq $$ ] || kill -TERM $$
	exit 1
}

# must_be_mounted DIRECTORY : before anything is written there
must_be_mounted() {
	is_mounted "$1" || bail_out "$1: no FUSE filesystem is mounted here"
}

# bail_out_of_mount ARGUMENT... : because mounting with these arguments failed
bail_out_of_mount() {
	sed 's/^/#   /' "$scratch/daemon.log" >&"$tap_err"
	bail_out "thunderhead mount $*: failed: $(tail -n 1 "$scratch/daemon.log")"
}

# start OPTION... IMAGE DIRECTORY : mounts in the foreground of a job of this shell, its process number in $daemon
start() {
	mount_foreground "$@" 2>>"$scratch/daemon.log" || bail_out_of_mount "$@"
}

# start_detached OPTION... IMAGE DIRECTORY : mounts as users do, on a directory that is made if it is missing
start_detached() {
	mkdir -p "${*: -1}"
	mount_detached "$@" 2>>"$scratch/daemon.log" || bail_out_of_mount "$@"
}

# release DIRECTORY IMAGE : unmounts, and waits until the daemon has released the lock of the image
release() {
	unmount "$1" && unlocked "$2"
}

th() {
	"$THUNDERHEAD" "$@"
}

# refused CODE PATTERN COMMAND... : the command fails with that code, prints one line on standard error that matches,
# and leaves everything in $work as it was.
refused() {
	local code=$1 pattern=$2 status before after lines
	shift 2
	before=$(fingerprint)
	"$@" >"$scratch/out" 2>"$scratch/err"
	status=$?
	after=$(fingerprint)
	lines=$(wc -l <"$scratch/err")
	if [ "$status" -eq "$code" ] && [ "$lines" -eq 1 ] && grep -q '^thunderhead: ' "$scratch/err" &&
		grep -qE -- "$pattern" "$scratch/err" && [ ! -s "$scratch/out" ] && [ "$before" = "$after" ]; then
		return 0
	fi
	diag "$*" "expected: exit $code, one line on standard error that matches $pattern" \
		"found:    exit $status, $lines lines on standard error:"
	sed 's/^/#     /' "$scratch/err" >&2
	[ ! -s "$scratch/out" ] || { diag "and on standard output:" && sed 's/^/#     /' "$scratch/out" >&2; }
	[ "$before" = "$after" ] || diag "files were changed"
	return 1
}

# Names, sizes and contents of the files in $work, without those that are mounted there
fingerprint() {
	(cd "$work" && find . -xdev -printf '%p %y %s\n' | sort && find . -xdev -type f -exec b2sum {} +) | b2sum
}
