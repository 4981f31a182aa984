#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Mounting and unmounting, as a daemon too.
. "$(dirname "$0")/mount.sh"
th mkfs --size 128M "$image"
mkdir "$work/other"

lock_is_free() {
	flock -n "$image" true
}
check "mount returns when the mount answers" eval 'th mount "$image" "$mnt" && mountpoint -q "$mnt" && ls -A "$mnt" | grep -qx .snapshots'
check "the image is locked" not lock_is_free
check "a second mount is refused, with who has it" eval '! th mount "$image" "$work/other" 2>"$work/said" && cat "$work/said" &&
	grep -q "in use" "$work/said" && [ "$(wc -l <"$work/said")" -eq 1 ] && ! mountpoint -q "$work/other"'
check "mkfs of it is refused" eval '! th mkfs --force "$image" 2>"$work/said" && [ "$(wc -l <"$work/said")" -eq 1 ]'
head -c 3M /dev/urandom >"$mnt/data" && cp "$mnt/data" "$work/data"
check "fusermount3 -u" fusermount3 -u "$mnt"
check "the lock is free soon" flock -w 20 "$image" true
check "all is on disk: check" th check "$image"
check "mount again" th mount "$image" "$mnt"
check "the data is there" cmp "$work/data" "$mnt/data"
echo more >"$mnt/more"
check "umount" umount "$mnt"
check "the lock is free soon" flock -w 20 "$image" true
check "mount -o ro" th mount -o ro "$image" "$mnt"
check "the last write is there" eval '[ "$(cat "$mnt/more")" = more ]'
check_fails "nothing can be written" touch "$mnt/new"
check "umount" eval 'umount "$mnt" && flock -w 20 "$image" true'
check_fails "no image" th mount "$work/none" "$mnt"
check_fails "an image that is none" eval 'head -c 20M /dev/urandom >"$work/noise" && th mount "$work/noise" "$mnt"'
check "an unknown option, told in one line" eval '! th mount -o nonsense=1 "$image" "$mnt" 2>"$work/said" && cat "$work/said" &&
	grep -q "^thunderhead: .*nonsense" "$work/said" && [ "$(grep -o thunderhead: "$work/said" | wc -l)" -eq 1 ]'
check_fails "no directory" th mount "$image" "$work/nowhere"
check "nothing is mounted after these, nothing locked" eval '! mountpoint -q "$mnt" && lock_is_free'
check "SIGTERM unmounts" eval 'start "$image" "$mnt" && echo term >"$mnt/term" && kill "$daemon" && gone "$daemon" 30 && ! mountpoint -q "$mnt"'
check "and commits" eval 'start "$image" "$mnt" && [ "$(cat "$mnt/term")" = term ]'
busy() {
	local status
	exec 7>"$mnt/busy"
	umount "$mnt" 2>/dev/null
	status=$?
	exec 7>&-
	[ "$status" -ne 0 ]
}
check "a busy mount stays" busy
check "umount -l with a file open: it is written still" eval 'exec 7>"$mnt/lazy" && umount -l "$mnt" && echo lazy >&7; exec 7>&-; gone "$daemon" 30'
check "mount" start "$image" "$mnt"
check "it is there" eval '[ "$(cat "$mnt/lazy")" = lazy ]'
check "unmount" stop
check "a directory, and a snapshot" eval 'start "$image" "$mnt" && mkdir -p "$mnt/docs/deep" && echo old >"$mnt/docs/deep/note" &&
	mkdir "$mnt/.snapshots/then" && echo new >"$mnt/docs/deep/note" && mkdir "$mnt/docs/later" && stop'
view() {
	start -o "snapshot=then,subdir=$1" "$image" "$mnt"
}
check "-o snapshot= with subdir=: the directory as it was" eval 'view docs && [ "$(cat "$mnt/deep/note")" = old ] &&
	[ "$(cd "$mnt" && find . | sort | tr "\n" " ")" = ". ./deep ./deep/note " ]'
check "nothing can be written" eval '! touch "$mnt/x" 2>/dev/null && ! mkdir "$mnt/.snapshots/x" 2>/dev/null'
check "unmount" stop
check "a deeper one" eval 'view docs/deep && [ "$(cat "$mnt/note")" = old ] && stop'
check "one that the snapshot has not is refused, and told" eval '! "$THUNDERHEAD" mount -o snapshot=then,subdir=docs/later "$image" "$mnt" 2>"$work/said" &&
	grep -q "no snapshot then with directory docs/later" "$work/said"'
if [ "$(id -u)" -eq 0 ]; then
	mkdir "$work/bin" && ln -s "$(realpath "$THUNDERHEAD")" "$work/bin/mount.thunderhead"
	check "mount.thunderhead -o rw,noatime" eval '"$work/bin/mount.thunderhead" "$image" "$mnt" -o rw,noatime && [ -e "$mnt/data" ]'
	check "others may look" eval 'chmod 755 "$work" && setpriv --reuid 65534 --clear-groups cat "$mnt/term"'
	check_fails "but not write" eval 'setpriv --reuid 65534 --clear-groups touch "$mnt/x" 2>/dev/null'
	check_fails "nor take snapshots" setpriv --reuid 65534 --clear-groups "$THUNDERHEAD" snapshot create "$mnt" x
	check "umount" eval 'umount "$mnt" && flock -w 20 "$image" true'
	helper=$work/bin/mount.thunderhead
	check "remount,ro where nothing is mounted is refused" eval '! "$helper" "$image" "$mnt" -o remount,ro 2>"$work/said" &&
		grep -q "nothing is mounted" "$work/said"'
	check "mount -o acl,user_xattr,lazytime,max_read=65536" eval '"$helper" "$image" "$mnt" -o acl,user_xattr,lazytime,max_read=65536 &&
		cmp "$work/data" "$mnt/data"'
	check "remount,ro,noexec" eval '"$helper" "$image" "$mnt" -o remount,ro,noexec && grep "$mnt" /proc/self/mounts |
		grep -q "ro,noexec" && ! touch "$mnt/new" 2>/dev/null'
	check "remount,rw" eval '"$helper" "$image" "$mnt" -o remount,ro,commit=1,rw && touch "$mnt/new" && rm "$mnt/new"'
	check "umount" eval 'umount "$mnt" && flock -w 20 "$image" true'
	check "remount,rw of what was mounted to be read is refused" eval '"$helper" "$image" "$mnt" -o ro &&
		! "$helper" "$image" "$mnt" -o remount,rw 2>"$work/said" && grep -q "read-only" "$work/said" &&
		"$helper" "$image" "$mnt" -o remount,ro,nosuid && grep "$mnt" /proc/self/mounts | grep -q nosuid'
	check "umount" eval 'umount "$mnt" && flock -w 20 "$image" true'
	for bad in max_read=1 max_read=x; do
		check "-o $bad is refused" not "$helper" "$image" "$mnt" -o "$bad"
	done
fi
check "check" th check "$image"
tap_done
