# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Mounting and waiting, for tests and benchmarks in bash.  Sourced; THUNDERHEAD names the program.
#
# Nothing here sleeps for a fixed time in order to synchronise.  A wait polls its condition and ends as soon as it
# holds, so that an overloaded machine makes a run longer and changes no verdict.  A mount is verified before it is
# used: a script that goes on without one writes into the bare directory, and fills the host's disk.

# Seconds after which a wait counts as a hang.  Each condition here holds within seconds on an idle machine; the value
# allows for one that is a hundred times slower.  Too small a value fails a test for the wrong reason, too large a one
# only delays the report of a hang.
: "${TH_PATIENCE:=900}"

daemon=     # the daemon that mount_foreground started last
daemons=()  # all of them
images=()   # those of mount_detached
launcher=() # words before the program in mount_foreground; may be a function that ends with exec

# wait_for COMMAND... : polls until the command succeeds.  Returns 1 after TH_PATIENCE seconds.
wait_for() {
	local end=$((SECONDS + TH_PATIENCE)) tries=0
	until "$@"; do
		if [ "$SECONDS" -ge "$end" ]; then
			printf 'after %d seconds still not true: %s\n' "$TH_PATIENCE" "$*" >&2
			return 1
		fi
		# Fine steps first: most waits are short, and benchmarks measure some.
		if [ $((tries += 1)) -le 50 ]; then sleep 0.01; else sleep 0.1; fi
	done
}

# ended PID : true if this process has ended; a zombie counts as ended.
ended() {
	! grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"
}

# listed DIRECTORY : true if the kernel lists it as a mount point; holds for the mount of a dead daemon too
listed() {
	awk -v directory="$1" '$2 == directory { found = 1 } END { exit !found }' /proc/self/mounts
}

# is_mounted DIRECTORY : true if a FUSE filesystem is mounted there and answers
is_mounted() {
	mountpoint -q "$1" && [ "$(stat -f -c %t "$1")" = 65735546 ] # FUSE_SUPER_MAGIC
}

# Both ways to mount print the reason of a failure on standard error.
mount_failed() {
	printf 'thunderhead mount %s: %s\n' "$1" "$2" >&2
	return 1
}

# mount_foreground OPTION... IMAGE DIRECTORY : mounts with the daemon as a job of this shell, its process number in
# $daemon.  Returns 0 when the filesystem answers, 1 if the daemon ends before that.
mount_foreground() {
	local directory=${*: -1}
	! listed "$directory" || mount_failed "$*" "something is mounted there already" || return
	${launcher[@]+"${launcher[@]}"} "$THUNDERHEAD" mount -f "$@" &
	daemon=$!
	daemons+=("$daemon")
	mounted_or_ended() {
		is_mounted "$directory" || ended "$daemon"
	}
	wait_for mounted_or_ended && ! ended "$daemon" && return
	ended "$daemon" || mount_failed "$*" "does not answer" || return
	wait "$daemon"
	mount_failed "$*" "the daemon ended with status $?"
}

# mount_detached OPTION... IMAGE DIRECTORY : mounts with the daemon in the background, as users do
mount_detached() {
	"$THUNDERHEAD" mount "$@" || mount_failed "$*" "status $?" || return
	images+=("${*: -2:1}")
	is_mounted "${*: -1}" || mount_failed "$*" "returned 0, but nothing is mounted"
}

unmount_once() {
	umount "$1" 2>/dev/null || fusermount3 -u "$1" 2>/dev/null
}

# unmount DIRECTORY : retries while it is busy: the files of a killed process are closed some time after its death.
unmount() {
	listed "$1" || { printf '%s: nothing is mounted\n' "$1" >&2 && return 1; }
	wait_for unmount_once "$1"
}

# unlocked IMAGE : waits until no daemon holds the image's lock
unlocked() {
	flock -w "$TH_PATIENCE" "$1" true
}

# unmount_below DIRECTORY : unmounts everything below it, even if busy, and ends the daemons.  For cleaning up, when no
# verdict depends on it any more: after ten seconds a daemon is killed.
unmount_below() {
	local place pid image
	while read -r _ place _; do
		case $place in
		"$1"/*) unmount_once "$place" || umount -l "$place" 2>/dev/null || fusermount3 -uz "$place" ;;
		esac
	done < <(tac /proc/self/mounts)
	for pid in ${daemons[@]+"${daemons[@]}"}; do
		timeout 10 tail --pid="$pid" -f /dev/null || kill -9 "$pid" 2>/dev/null
	done
	for image in ${images[@]+"${images[@]}"}; do
		[ ! -e "$image" ] || flock -w 10 "$image" true
	done
}

# info_number FIELD [TARGET] : one number of `thunderhead info --json`
info_number() {
	"$THUNDERHEAD" info --json "${2:-$mnt}" | tr ',' '\n' | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"
}

# can_mount : true if this user may mount FUSE filesystems
can_mount() {
	[ -w /dev/fuse ] && { [ "$(id -u)" -eq 0 ] || command -v fusermount3 >/dev/null; }
}
