#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Mounting and unmounting: as a daemon, read-only, part of a snapshot, by mount(8), with a lazy unmount, after SIGTERM.
. "$(dirname "$0")/../support/mount_test.sh"
th mkfs --size 128M "$image"
mkdir "$work/other"

lock_is_free() {
	flock -n "$image" true
}
unmount_and_unlock() {
	umount "$mnt" && unlocked "$image"
}
# said PATTERN COMMAND... : fails with one line on standard error that matches
said() {
	local pattern=$1
	shift
	! "$@" 2>"$work/said" && cat "$work/said" && grep -q "$pattern" "$work/said" && is 1 "$(wc -l <"$work/said")"
}

# --- as users do ---

check "mount returns when the mount answers" start_detached "$image" "$mnt"
check "an empty filesystem lists nothing" eval 'is "" "$(ls -A "$mnt")" && [ -d "$mnt/.snapshots" ]'
check "the image is locked while it is mounted" not lock_is_free
check "a second mount is refused and names the first" eval 'said "in use" th mount "$image" "$work/other" && ! mountpoint -q "$work/other"'
check "check of a mounted image says where it is mounted, and what to do" said "is mounted on $mnt; unmount it first" th check "$image"
check "mkfs of a mounted image is refused" said "" th mkfs --force "$image"
head -c 3M /dev/urandom >"$mnt/data" && cp "$mnt/data" "$work/data"
check "fusermount3 -u unmounts" fusermount3 -u "$mnt"
check "the lock is free after that" unlocked "$image"
check "an unmounted image passes the check" th check "$image"
check "the image mounts again" start_detached "$image" "$mnt"
check "data is there after the next mount" cmp "$work/data" "$mnt/data"
echo more >"$mnt/more"
check "umount unmounts" unmount_and_unlock
check "mount -o ro mounts" start_detached -o ro "$image" "$mnt"
check "the last write before unmounting is there" eval 'is more "$(cat "$mnt/more")"'
check_fails "a read-only mount refuses to create a file" touch "$mnt/new"
check "umount of a read-only mount" unmount_and_unlock

# --- what is refused ---

check_fails "an image that is not there is refused" th mount "$work/none" "$mnt"
check_fails "a file that is not an image is refused" eval 'head -c 20M /dev/urandom >"$work/noise" && th mount "$work/noise" "$mnt"'
check "an unknown option is refused in one line that names it" eval 'said "^thunderhead: .*nonsense" th mount -o nonsense=1 "$image" "$mnt" &&
	is 1 "$(grep -o thunderhead: "$work/said" | wc -l)"'
check_fails "a directory that is not there is refused" th mount "$image" "$work/nowhere"
check "a refused mount leaves nothing mounted and nothing locked" eval '! listed "$mnt" && lock_is_free'

# --- ends of a daemon ---

check "SIGTERM unmounts" eval 'start "$image" "$mnt" && echo term >"$mnt/term" && kill "$daemon" && wait_for ended "$daemon" && ! listed "$mnt"'
check "a write before SIGTERM is durable" eval 'start "$image" "$mnt" && is term "$(cat "$mnt/term")"'
busy() {
	local status
	exec 7>"$mnt/busy"
	umount "$mnt" 2>/dev/null
	status=$?
	exec 7>&-
	[ "$status" -ne 0 ]
}
check "umount with an open file is refused" busy
check "umount -l with an open file ends the daemon once it is closed" eval 'exec 7>"$mnt/lazy" && umount -l "$mnt" && echo lazy >&7; exec 7>&-; wait_for ended "$daemon"'
check "the image mounts after a lazy unmount" start "$image" "$mnt"
check "a write after a lazy unmount is durable" eval 'is lazy "$(cat "$mnt/lazy")"'
check "unmount" stop

# --- part of a snapshot ---

check "a tree, a snapshot of it, and later changes" eval 'start "$image" "$mnt" && mkdir -p "$mnt/docs/deep" && echo old >"$mnt/docs/deep/note" &&
	mkdir "$mnt/.snapshots/then" && echo new >"$mnt/docs/deep/note" && mkdir "$mnt/docs/later" && stop'
view() {
	start -o "snapshot=then,subdir=$1" "$image" "$mnt"
}
check "snapshot= with subdir= shows the directory as it was" eval 'view docs && is old "$(cat "$mnt/deep/note")" &&
	is ". ./deep ./deep/note " "$(cd "$mnt" && find . | sort | tr "\n" " ")"'
check "a mounted snapshot refuses files and snapshots" eval '! touch "$mnt/x" 2>/dev/null && ! mkdir "$mnt/.snapshots/x" 2>/dev/null'
check "unmount of a snapshot" stop
check "subdir= may name a directory two levels down" eval 'view docs/deep && is old "$(cat "$mnt/note")" && stop'
check "a directory that the snapshot lacks is refused with its name" said "no snapshot then with directory docs/later" \
	th mount -o snapshot=then,subdir=docs/later "$image" "$mnt"

# --- by mount(8), which runs mount.thunderhead; remounting ---

if [ "$(id -u)" -eq 0 ]; then
	mkdir "$work/bin" && helper=$work/bin/mount.thunderhead && ln -s "$(realpath "$THUNDERHEAD")" "$helper"
	# by_helper OPTIONS : mounts with the helper's order of arguments
	by_helper() {
		images+=("$image")
		"$helper" "$image" "$mnt" -o "$1"
		must_be_mounted "$mnt"
	}
	as_other() {
		setpriv --reuid 65534 --clear-groups "$@"
	}
	check "mount.thunderhead -o rw,noatime mounts" eval 'by_helper rw,noatime && [ -e "$mnt/data" ]'
	check "other users may read a mount by mount.thunderhead" eval 'chmod 755 "$work" && as_other cat "$mnt/term"'
	check_fails "other users may not write to a directory of root's" as_other touch "$mnt/x"
	check_fails "other users may not take snapshots" as_other "$THUNDERHEAD" snapshot create "$mnt" x
	check "umount after mount.thunderhead" unmount_and_unlock
	check "remount,ro of a directory with no mount is refused" said "nothing is mounted" "$helper" "$image" "$mnt" -o remount,ro
	check "mount -o acl,user_xattr,lazytime,max_read=65536 is accepted" eval 'by_helper acl,user_xattr,lazytime,max_read=65536 &&
		cmp "$work/data" "$mnt/data"'
	check "remount,ro,noexec takes effect" eval '"$helper" "$image" "$mnt" -o remount,ro,noexec && grep "$mnt" /proc/self/mounts |
		grep -q "ro,noexec" && ! touch "$mnt/new" 2>/dev/null'
	check "remount,rw takes effect" eval '"$helper" "$image" "$mnt" -o remount,ro,commit=1,rw && touch "$mnt/new" && rm "$mnt/new"'
	check "umount after remounting" unmount_and_unlock
	check "remount,rw of a read-only mount is refused, other flags change" eval 'by_helper ro &&
		! "$helper" "$image" "$mnt" -o remount,rw 2>"$work/said" && grep -q "read-only" "$work/said" &&
		"$helper" "$image" "$mnt" -o remount,ro,nosuid && grep "$mnt" /proc/self/mounts | grep -q nosuid'
	check "umount of a remounted read-only mount" unmount_and_unlock
	for bad in max_read=1 max_read=x; do
		check_fails "-o $bad is refused" "$helper" "$image" "$mnt" -o "$bad"
	done
fi
check "nothing is wrong in the image" th check "$image"
tap_done
