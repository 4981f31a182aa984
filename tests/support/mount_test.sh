# SPDX-License-Identifier: Apache-2.0
# What the tests on real mounts share.  THUNDERHEAD names the program, TH_MOUNT_PROGRAMS the directory with the programs
# built here (manifest, diff_oracle, edit, durable, oracle).  A mount that cannot be made is a failure, not a skip.
# Each script says in its head which variables set its size.
. "$(dirname "${BASH_SOURCE[0]}")/../tools/tap.sh"
: "${TH_MOUNT_PROGRAMS:?the directory of manifest, edit and the others}"
export LC_ALL=C
image=$work/image
mnt=$work/mnt
daemon=
daemons=()
workers=()
mkdir "$mnt"

# Whatever happens, nothing stays: no process, no mount, no file.  (wait: a killed daemon holds its image until it is gone)
mount_cleanup() {
	local pid
	for pid in ${workers[@]+"${workers[@]}"}; do
		kill "$pid" 2>/dev/null
	done
	while read -r _ place _; do
		case $place in
		"$work"/*) umount "$place" 2>/dev/null || umount -l "$place" 2>/dev/null || fusermount3 -uz "$place" ;;
		esac
	done <"/proc/self/mounts"
	for pid in ${daemons[@]+"${daemons[@]}"}; do
		gone "$pid" 10 || kill -9 "$pid" 2>/dev/null
	done
	if [ -n "${TH_KEEP:-}" ]; then
		printf '# kept: %s\n' "$work"
	else
		tap_cleanup
	fi
}
trap mount_cleanup EXIT
trap 'exit 130' INT TERM HUP

# check NAME COMMAND... : one test point; what the command said is shown if it failed.
check() {
	local name=$1 status
	shift
	"$@" >"$work/.said" 2>&1
	status=$?
	(exit "$status")
	tap "$name"
	[ "$status" -eq 0 ] || { printf 'exit %d: %s\n' "$status" "$*" | sed 's/^/# /' && head -c 4000 "$work/.said" | sed 's/^/#   /'; }
	rm -f "$work/.said"
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

say() {
	printf '# %s\n' "$*"
}

program() {
	local name=$1
	shift
	"$TH_MOUNT_PROGRAMS/$name" "$@"
}

manifest() {
	program manifest "$@"
}

# Mounts in the foreground of a job of this shell, so that the daemon's pid is known ($daemon), and waits until it answers.
start() {
	local tries=0
	"$THUNDERHEAD" mount -f "$@" 2>>"$work/daemon.log" &
	daemon=$!
	daemons+=("$daemon")
	until mountpoint -q "${*: -1}"; do
		if ! kill -0 "$daemon" 2>/dev/null || [ $((tries += 1)) -gt 1200 ]; then
			sed 's/^/#   /' "$work/daemon.log"
			return 1
		fi
		sleep 0.05
	done
}

# Unmounts and waits for the daemon; its exit code is ours.
stop() {
	local tries=0
	until umount "${1:-$mnt}" 2>/dev/null; do
		if [ $((tries += 1)) -ge 50 ]; then
			umount "${1:-$mnt}" && break
			return 1
		fi
		sleep 0.1
	done
	gone "$daemon" && wait "$daemon"
}

# Waits for a process to end.
gone() {
	timeout "${2:-120}" tail --pid="$1" -f /dev/null
}

# A clean image of the given size, mounted.
fresh() {
	th mkfs --force --size "$1" "$image" && start ${2:+"$2"} ${2:+"$3"} "$image" "$mnt"
}

# One number of `thunderhead info --json`.
number() {
	th info --json "${2:-$mnt}" | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"
}

# All that was done is committed, and what that frees is free: two commits.
settle() {
	sync -f "$mnt" && th snapshot create "$mnt" settle.1 && th snapshot delete "$mnt" settle.1 &&
		th snapshot create "$mnt" settle.2 && th snapshot delete "$mnt" settle.2
}

# A number from 0 to $1 - 1, from the seed.
random_below() {
	random_state=$(((random_state * 1103515245 + 12345) & 0x7fffffff))
	random=$((random_state / 65536 % 32768 * $1 / 32768))
}

seed=${TH_TEST_SEED:-$((RANDOM * 32768 + RANDOM))}
random_state=$seed
say "$(basename "$0"): TH_TEST_SEED=$seed"
