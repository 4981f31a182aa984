#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon keeps nothing of its caller, and only the rights that it needs: with them, all that touches the world outside
# the mount still works.
. "$(dirname "$0")/../support/mount_test.sh"

# field NAME : that line of the daemon's status
field() {
	awk -v name="$1:" '$1 == name { print $2 }' "/proc/$daemon/status"
}

# A reader of a pipe gets its end when the last writer is gone: a daemon that kept the pipe would keep it waiting.
mount_with_pipe() {
	local text
	text=$({ "$THUNDERHEAD" mount "$image" "$mnt" >/dev/null && echo mounted; } 8>&1 9>"$work/other")
	images+=("$image")
	is mounted "$text"
}

restricted_threads() {
	local task
	for task in "/proc/$daemon/task/"*; do
		is "$1" "$(awk '$1 == "Seccomp:" { print $2 }' "$task/status")" || return
	done
}

# The daemon has a sanitizer, which needs more system calls.
sanitized() {
	grep -qE 'lib(asan|tsan)' "/proc/$daemon/maps"
}

check "mkfs" th mkfs --size 256M "$image"
check "the reader of the caller's pipe sees its end" mount_with_pipe
must_be_mounted "$mnt"
check "unmount" release "$mnt" "$image"
check "mount in the foreground" start "$image" "$mnt"
if [ "$(id -u)" -eq 0 ]; then
	check "new privileges are impossible" is 1 "$(field NoNewPrivs)"
	check "capabilities are SYS_ADMIN, SYS_PTRACE, SYS_NICE and those to pass directories, at most" \
		eval 'is 0 "$((0x$(field CapPrm) & ~0xa80006))"'
	if sanitized; then
		tap_skip "all threads have the filter of system calls" "the sanitizer needs more calls"
	else
		check "all threads have the filter of system calls" restricted_threads 2
	fi
fi
cp -r "$(dirname "$0")" "$mnt/files"
check "snapshots" th snapshot create "$mnt" one
check "diff" th diff "$mnt" one
check "resize" th resize "$mnt" 300M
check "trim" th trim "$mnt"
check "a signal unmounts" eval 'kill "$daemon" && wait_for ended "$daemon" && ! listed "$mnt"'
check "the daemon reports success" wait "$daemon"
check "mount without the filter" start -o noseccomp "$image" "$mnt"
check "no thread has a filter" restricted_threads 0
check "unmount again" stop
# Without memory for any allocation, requests may fail or wait, but the daemon serves again when there is some.  Threads
# that wait for the disk make others read requests, for the first time since the mount: these have no buffer yet.
without_memory() {
	local i pids=()
	prlimit --pid "$daemon" --as=4096:unlimited
	for i in 1 2 3 4 5 6 7 8; do
		timeout -s KILL 2 dd if=/dev/zero of="$mnt/new.$i" bs=64K count=16 conv=fsync 2>/dev/null &
		pids+=($!)
	done
	wait "${pids[@]}"
	prlimit --pid "$daemon" --as=unlimited:unlimited
	wait_for is_mounted "$mnt" && diff -r "$(dirname "$0")" "$mnt/files"
}
check "mount once more" start "$image" "$mnt"
if sanitized; then
	tap_skip "a daemon without memory goes on when it has some" "the sanitizer ends a process without memory"
else
	check "a daemon without memory goes on when it has some" without_memory
fi
# Its result may be a failure, if memory was missing for a commit.
check "unmount at last" eval 'unmount "$mnt" && wait_for ended "$daemon"'
check "nothing is wrong in the image" th check "$image"
tap_done
