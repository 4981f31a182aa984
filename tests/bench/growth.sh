#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The speed of the filesystem as it grows: many files in a tree, as many in one directory, much data in an image that
# is larger still.  Prints, step by step, the rate, the memory of the daemon, and the cost of a snapshot, a diff and
# the next mount at that size.
#
#   growth.sh [-n FILES] [-d GIB]     a million files, 20 GiB of data in an image of 100
#
# THUNDERHEAD and TH_BENCH_FILES name the programs.  Takes as much space in TMPDIR as the data, and some 5 GiB.
set -uo pipefail
: "${THUNDERHEAD:?the program}"
: "${TH_BENCH_FILES:?bench_files}"
files=1000000 gib=20
while getopts n:d: option; do
	case $option in
	n) files=$OPTARG ;;
	d) gib=$OPTARG ;;
	*) exit 2 ;;
	esac
done
steps=10
step=$((files / steps))
[ "$step" -gt 0 ] || exit 2
[ -e /dev/fuse ] || { echo "skipped: there is no /dev/fuse" >&2; exit 77; }
. "$(dirname "$0")/../support/mount.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/thunderhead-growth.XXXXXX")
mnt=$work/mnt image=$work/image
mkdir "$mnt"
export LC_ALL=C

# --- the mount ---

attach() {
	mount_foreground "$image" "$mnt" || exit
}

detach() {
	unmount "$mnt" && wait "$daemon"
}

fresh() {
	rm -f "$image" && "$THUNDERHEAD" mkfs --size "$1" "$image" >/dev/null && attach
}

cleanup() {
	unmount_below "$work"
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# --- measuring ---

# timed COMMAND... : its duration, in $seconds
timed() {
	local from=$EPOCHREALTIME
	"$@" >"$work/out" || { echo "growth: failed: $*" >&2; exit 1; }
	seconds=$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.4f", b - a }')
}

# memory FIELD : this field of the daemon's /proc/PID/status, in MiB
memory() {
	awk -v f="$1:" '$1 == f { printf "%d", $2 / 1024 }' "/proc/$daemon/status"
}

# rate AMOUNT : per second of the last timed command
rate() {
	awk -v n="$1" -v s="$seconds" 'BEGIN { printf "%.0f", n / s }'
}

first='' last=''
note() { # RATE : of a step
	first=${first:-$1} last=$1
}
compare() { # NAME
	awk -v w="$1" -v f="$first" -v l="$last" 'BEGIN { printf "%s: the first step was %.2f times as fast as the last\n\n", w, f / l }'
	first=''
}

# --- costs at one size ---

differ() {
	"$THUNDERHEAD" diff --stats "$mnt" "$1" 2>"$work/stats"
	[ $? -eq 1 ] # there are differences
}

# costs NAME DIRECTORY : of taking a snapshot of this name, and of a diff after 16 files in the directory have changed
costs() {
	local created bytes diff
	timed "$THUNDERHEAD" snapshot create "$mnt" "$1-before"
	bytes=$(info_number disk_bytes_written)
	timed "$THUNDERHEAD" snapshot create "$mnt" "$1"
	created=$seconds bytes=$(($(info_number disk_bytes_written) - bytes))
	find "$2" -type f | head -n 16 | while read -r file; do echo x >>"$file"; done
	timed differ "$1"
	diff=$seconds
	printf '  a snapshot %s s and %s bytes; diff of 16 files %s s, %s\n' "$created" "$bytes" "$diff" "$(cat "$work/stats")"
}

grow_tree() {
	local i
	printf 'files of 100 bytes in a tree\n'
	fresh 100G || exit
	mkdir "$mnt/tree"
	for ((i = 1; i <= steps; i++)); do
		timed "$TH_BENCH_FILES" create "$mnt/tree/$i" "$step" 100 1
		note "$(rate "$step")"
		printf '%9d files: %6d a second, daemon %4d MiB\n' $((i * step)) "$last" "$(memory VmRSS)"
		case $((i * step)) in $((files / 10)) | "$files") costs "at$i" "$mnt/tree/$i/0" ;; esac
	done
	compare 'creating'
}

remount() {
	timed detach
	printf 'unmounted in %s s\n' "$seconds"
	echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
	timed attach
	printf 'mounted in %s s\n' "$seconds"
}

walk_tree() {
	remount
	# shellcheck disable=SC2016 # for eval
	timed eval '[ "$(find "$mnt/tree" -type f | wc -l)" -eq $((step * steps)) ]'
	printf 'find, cold: %d a second; daemon %d MiB, at most %d\n' "$(rate "$files")" "$(memory VmRSS)" "$(memory VmHWM)"
	timed rm -rf "$mnt/tree"
	printf 'rm -rf: %d a second\n\n' "$(rate "$files")"
	detach
}

grow_directory() {
	local i
	printf 'empty files in one directory\n'
	fresh 100G || exit
	for ((i = 0; i < steps; i++)); do
		timed "$TH_BENCH_FILES" crowd "$mnt/crowd" $((i * step + 1)) "$step"
		note "$(rate "$step")"
		printf '%9d files: %6d a second, daemon %4d MiB\n' $(((i + 1) * step)) "$last" "$(memory VmRSS)"
	done
	compare 'creating'
	remount
	timed eval '[ "$(ls -f "$mnt/crowd" | wc -l)" -ge $((step * steps)) ]'
	printf 'listing, cold: %d a second\n' "$(rate "$files")"
	timed rm -rf "$mnt/crowd"
	printf 'rm -rf: %d a second\n\n' "$(rate "$files")"
	detach
}

grow_data() {
	local i
	printf 'files of 1 GiB in an image of 100 GiB\n'
	fresh 100G || exit
	for ((i = 1; i <= gib; i++)); do
		timed "$TH_BENCH_FILES" write "$mnt/$i" $((1 << 30)) $((1 << 20)) $((1 << 30)) seq end
		note "$(rate 1024)"
		printf '%9d GiB: %6d MiB a second, daemon %4d MiB\n' "$i" "$last" "$(memory VmRSS)"
	done
	compare 'writing'
	remount
	timed "$TH_BENCH_FILES" read "$mnt/$gib" $((1 << 30)) $((1 << 20)) $((1 << 30)) seq
	printf 'reading the last: %d MiB a second\n' "$(rate 1024)"
	detach
}

grow_tree
walk_tree
grow_directory
[ "$gib" -eq 0 ] || grow_data
