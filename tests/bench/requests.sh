#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The cost to the daemon of unpacking an archive, in counts that do not depend on the load of the machine: requests of
# the kernel by kind, instructions of the daemon, and the ten functions with the most instructions (by callgrind).
#
#   requests.sh [PART...]      the parts of Debian's linux-source-6.1 to unpack (fs), or TH_BENCH_TREE, a tar archive
#
# THUNDERHEAD names the program.  Takes root, tracefs with the event fuse:fuse_request_send, and valgrind; a count
# whose tool is missing is skipped with a message.  Exits 77 if nothing can be counted.  Instructions and requests are
# counted in separate runs, because the daemon is slower under valgrind.  Instructions include mounting, unmounting
# and the last checkpoint.
set -uo pipefail
: "${THUNDERHEAD:?the program}"
source=/usr/src/linux-source-6.1.tar.xz
if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/fuse ]; then
	echo "skipped: counting requests takes root, and FUSE" >&2
	exit 77
fi
archive=${TH_BENCH_TREE:-}
[ -n "$archive" ] || [ -e "$source" ] || { echo "skipped: neither TH_BENCH_TREE nor $source is there (Debian: linux-source-6.1)" >&2; exit 77; }

work=$(mktemp -d "${TMPDIR:-/tmp}/thunderhead-requests.XXXXXX")
mnt=$work/mnt image=$work/image reader=''
tracefs=/sys/kernel/tracing
trace=$tracefs/instances/${work##*/}
mkdir "$mnt"
export LC_ALL=C
. "$(dirname "$0")/../support/mount.sh"

detach() {
	unmount "$mnt" && wait "$daemon"
}

trace_stop() {
	[ -n "$reader" ] || return 0
	echo 0 >"$trace/events/fuse/fuse_request_send/enable"
	# With tracing off the reader ends after the last event; a kernel before 6.1 does not wake it for that.
	echo 0 >"$trace/tracing_on"
	TH_PATIENCE=10 wait_for ended "$reader" 2>/dev/null || kill "$reader"
	wait "$reader" 2>/dev/null
	reader=
	rmdir "$trace"
}

cleanup() {
	trace_stop
	unmount_below "$work"
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# attach COMMAND... : a new image, whose daemon runs under this command
attach() {
	rm -f "$image"
	"$THUNDERHEAD" mkfs --size 4G "$image" >/dev/null || exit
	launcher=("$@")
	mount_foreground "$image" "$mnt" 2>"$work/daemon" || { cat "$work/daemon" >&2; exit 1; }
}

# A trace instance of its own, for this connection only
trace_start() {
	mkdir "$trace" || return
	echo 16384 >"$trace/buffer_size_kb"
	echo "connection == $(stat -c %Ld "$mnt")" >"$trace/events/fuse/fuse_request_send/filter"
	cat "$trace/trace_pipe" >"$work/trace" 2>/dev/null &
	reader=$!
	echo 1 >"$trace/events/fuse/fuse_request_send/enable"
}

unpack() {
	mkdir "$mnt/tree" && tar -xf "$archive" -C "$mnt/tree"
}

count_requests() {
	attach
	trace_start || exit
	unpack || exit
	trace_stop
	detach
	! grep -m 1 LOST "$work/trace" >&2 || exit 1 # the trace buffer overflowed
	sed -n 's/.*(FUSE_\([A-Z0-9_]*\)).*/\1/p' "$work/trace" | sort | uniq -c | sort -rn >"$work/requests"
	requests=$(awk '{ n += $1 } END { print n }' "$work/requests")
	printf '\n| request | number | a file |\n| --- | ---: | ---: |\n'
	awk -v files="$files" '{ printf "| %s | %d | %.2f |\n", $2, $1, $1 / files }' "$work/requests"
	awk -v files="$files" -v n="$requests" 'BEGIN { printf "| all | %d | %.2f |\n", n, n / files }'
}

count_instructions() {
	attach valgrind --tool=callgrind --callgrind-out-file="$work/callgrind"
	unpack || exit
	detach
	callgrind_annotate --inclusive=no --threshold=100 "$work/callgrind" >"$work/functions" || exit
	instructions=$(sed -n 's/^ *\([0-9,]*\) .*PROGRAM TOTALS.*/\1/p' "$work/functions" | tr -d ,)
	printf '\n%s instructions' "$instructions"
	[ -z "$requests" ] || printf ', %d a request' $((instructions / requests))
	printf ', %d a file\n\n| function | of all |\n| --- | ---: |\n' $((instructions / files))
	sed -n 's/^ *[0-9,]* ( *\([0-9.]*%\)) *[^ ]*:\([^ ]*\).*/| \2 | \1 |/p' "$work/functions" | head -n 10
}

parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(fs)
mkdir "$work/tree"
if [ -n "$archive" ]; then
	tar -xf "$archive" -C "$work/tree" || exit
else
	archive=$work/archive
	tar -xf "$source" -C "$work/tree" --strip-components=1 "${parts[@]/#/linux-source-6.1/}" && tar -cf "$archive" -C "$work/tree" . || exit
fi
files=$(find "$work/tree" -type f | wc -l)
requests=
printf '%d files, %d entries\n' "$files" "$(find "$work/tree" | wc -l)"
skipped=0
if [ -e "$tracefs/events/fuse/fuse_request_send" ]; then
	count_requests
else
	echo "skipped: the requests: $tracefs has no event fuse:fuse_request_send" >&2
	skipped=$((skipped + 1))
fi
if command -v valgrind >/dev/null; then
	count_instructions
else
	echo "skipped: the instructions: valgrind is not there (Debian: valgrind)" >&2
	skipped=$((skipped + 1))
fi
[ "$skipped" -lt 2 ] || exit 77
