#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sync(1), syncfs(2) and umount(2) make everything durable, on an image file and on a block device; what remains of a
# daemon that was killed does not stand in the way of the next mount.
# In a mount namespace of its own: a copy of the mount in a namespace that another process makes meanwhile would keep it.
if [ "$(id -u)" -eq 0 ] && [ -z "${TH_OWN_NAMESPACE:-}" ] && unshare -m true; then
	TH_OWN_NAMESPACE=1 exec unshare -m --propagation private bash "$0" "$@"
fi
. "$(dirname "$0")/../support/mount_test.sh"

loops=()
detach_loops() {
	local loop
	tap_cleanup
	for loop in ${loops[@]+"${loops[@]}"}; do losetup -d "$loop" 2>/dev/null; done
}
trap detach_loops EXIT

block() {
	grep -q " $1 fuseblk.thunderhead " /proc/self/mounts
}
# said PATTERN COMMAND... : fails with a line that matches
said() {
	local pattern=$1
	shift
	! "$@" 2>"$scratch/err" && cat "$scratch/err" && grep -q "$pattern" "$scratch/err"
}
lock_is_free() {
	flock -n "$1" true
}

# --- without a block device ---

th mkfs --size 128M "$image"
check "-o fuseblk=off mounts a plain filesystem" eval 'start_detached -o fuseblk=off "$image" "$mnt" && ! block "$mnt"'
# Each command comes while the daemon of the mount before writes its last checkpoint.
at_once() {
	for command in check info "snapshot list" "mkfs --force" "mount -o fuseblk=off"; do
		mountpoint -q "$mnt" || start_detached -o fuseblk=off "$image" "$mnt"
		head -c 20M /dev/urandom >"$mnt/big"
		unmount "$mnt" || return
		if [ "$command" = "mount -o fuseblk=off" ]; then th $command "$image" "$mnt"; else th $command "$image"; fi ||
			{ diag "$command: failed" && return 1; }
	done
}
check "each command right after umount waits for the daemon" at_once
release "$mnt" "$image"
if [ "$(id -u)" -ne 0 ]; then
	check "a user's mount is a plain filesystem" eval 'start_detached "$image" "$mnt" && ! block "$mnt" && release "$mnt" "$image"'
	check "a dead mount is replaced by the next" eval 'start "$image" "$mnt" && kill -9 "$daemon" && wait_for ended "$daemon" &&
		said "daemon has ended" th info "$mnt" && start_detached "$image" "$mnt" && release "$mnt" "$image"'
	tap_done
fi

# --- by a block device ---

start_detached "$image" "$mnt"
if ! block "$mnt"; then
	tap_skip "mounts by a block device" "this kernel or container has none"
	release "$mnt" "$image"
	tap_done
fi
check "findmnt shows the device of an image file" eval '[ -b "$(findmnt -n -o SOURCE "$mnt")" ]'
check "lsblk shows the mount point" eval 'lsblk -n -o MOUNTPOINTS "$(findmnt -n -o SOURCE "$mnt")" | grep -q "$mnt"'
device=$(findmnt -n -o SOURCE "$mnt")
head -c 40M /dev/urandom >"$mnt/big"
check "umount returns when the image is free" eval 'umount "$mnt" && lock_is_free "$image"'
check "and its loop device too" eval '! losetup "$device" 2>/dev/null | grep -q "$image"'
host() {
	local i
	truncate -s 200M "$work/host" && mkfs.ext4 -q "$work/host" && mkdir -p "$work/below" || return
	for i in 1 2 3; do
		mount -o loop "$work/host" "$work/below" && { [ -e "$work/below/image" ] || th mkfs --size 64M "$work/below/image"; } &&
			start_detached "$work/below/image" "$mnt" && head -c 10M /dev/urandom >"$mnt/data" && umount "$mnt" &&
			umount "$work/below" || return
	done
}
if command -v mkfs.ext4 >/dev/null; then
	check "the filesystem below can be unmounted after umount" host
	images=()
fi

# patterns N : changes of many kinds; round N changes what the one before left
patterns() {
	local n=$1 i dir=$mnt/dir
	mkdir -p "$dir/deep/$n" && mkdir "$mnt/.snapshots/s$n" || return
	for i in 1 2 3 4 5 6 7 8; do echo "$n $i" >"$dir/small$i"; done
	head -c 300000 /dev/urandom >"$dir/large$n" && echo "$n" >>"$dir/log" && echo "new $n" >"$dir/.tmp" && mv "$dir/.tmp" "$dir/replaced"
	ln -f "$dir/small1" "$dir/hard$n" && ln -s "small$n" "$dir/soft$n" && rm "$dir/small8" && truncate -s 5000000 "$dir/sparse"
	printf x | dd of="$dir/sparse" bs=1 seek=$((n * 100001)) conv=notrunc status=none && chmod 600 "$dir/small2" && touch -d @$n "$dir/small3"
	fallocate -p -o 0 -l 8192 "$dir/large$n"
}
# survives IMAGE COMMAND... : what the patterns wrote survives the daemon if COMMAND made it durable.  No checkpoint does it
# meanwhile.
survives() {
	local target=$1 round
	shift
	th mkfs --force "$target" || return
	for round in 1 2 3; do
		start -o commit=3600 "$target" "$mnt" && patterns "$round" && "$@" || return
		manifest "$mnt" >"$scratch/before"
		kill -9 "$daemon" && wait_for ended "$daemon" && umount "$mnt" || return
		cp --sparse=always "$target" "$work/copy"
		start "$work/copy" "$mnt" || return
		manifest "$mnt" >"$scratch/after"
		[ -d "$mnt/.snapshots/s$round" ] && stop && cmp "$scratch/before" "$scratch/after" && th check "$work/copy" || return
	done
}
check "sync -f makes changes durable, on an image file" survives "$image" sync -f "$mnt"
check "sync makes changes durable, on an image file" survives "$image" sync
loop=$(losetup -f --show "$image") && loops+=("$loop")
check "sync -f makes changes durable, on a block device" survives "$loop" sync -f "$mnt"
check "sync makes changes durable, on a block device" survives "$loop" sync

crowd() {
	local i pids=()
	start "$image" "$mnt" || return
	(for ((i = 0; ; i++)); do [ ! -e "$mnt/end" ] && head -c 100000 /dev/urandom >"$mnt/busy$((i % 20))" || exit 0; done) &
	workers=("$!")
	for i in $(seq 40); do
		sync -f "$mnt" &
		pids+=("$!")
	done
	wait "${pids[@]}" && touch "$mnt/end" && wait "${workers[@]}" && stop
}
check "many syncs at once beside a writer all return" crowd

# --- what a killed daemon leaves ---

# dead IMAGE : mounts and kills the daemon
dead() {
	start "$1" "$mnt" && echo "$1" >"$mnt/name" && sync -f "$mnt" && kill -9 "$daemon" && wait_for ended "$daemon"
}
for target in "$image" "$loop"; do
	check "info of a dead mount says what to do: $(basename "$target")" eval 'dead "$target" && said "daemon has ended; unmount it" th info "$mnt"'
	check "mount replaces a dead mount" eval 'start_detached "$target" "$mnt" && is "$target" "$(cat "$mnt/name")" && release "$mnt" "$target"'
	mkdir -p "$work/elsewhere"
	check "the image of a dead mount is mounted elsewhere" eval 'dead "$target" && start "$target" "$work/elsewhere" &&
		is "$target" "$(cat "$work/elsewhere/name")" && stop "$work/elsewhere"'
	! listed "$mnt" || umount "$mnt"
	start "$target" "$mnt"
	(cd "$mnt" && exec sleep 1000) &
	workers+=("$!")
	inside=$!
	wait_for eval '[ "$(readlink /proc/$inside/cwd)" = "$mnt" ]'
	kill -9 "$daemon" && wait_for ended "$daemon"
	check "a dead mount that is in use is not replaced, and the message says so" said "a program still uses it" th mount "$target" "$mnt"
	umount -l "$mnt"
	check "after umount -l with a program inside, the image is mounted again" eval 'start "$target" "$mnt" && echo more >"$mnt/more" &&
		sync -f "$mnt" && is "$target" "$(cat "$mnt/name")"'
	check "it is mounted by a block device" block "$mnt"
	check "unmount" stop
	kill "$inside"
done
check "nothing is wrong in the image" th check "$image"
tap_done
