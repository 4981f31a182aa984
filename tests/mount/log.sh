#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The intent log is damaged after a crash: a byte of a record in its middle.  Nothing is lost while one copy is whole.
# Where both are damaged, mounting, info and check say so.  The files synced before are there, read-only, and for writing
# once the others are given up.
. "$(dirname "$0")/../support/mount_test.sh"
files=60
options=commit=3600

# flip BLOCK OFFSET : inverts one byte of the image
flip() {
	local at=$(($1 * 4096 + $2)) old
	old=$(od -An -tu1 -j "$at" -N 1 "$image")
	# shellcheck disable=SC2059
	printf "\\x$(printf %02x $((old ^ 255)))" | dd of="$image" bs=1 seek="$at" conv=notrunc status=none
}

sync_files() {
	local i
	for ((i = 1; i <= files; i++)); do
		echo "content $i" >"$mnt/f$i" && sync "$mnt/f$i" || return
	done
}

# first_files : prints how many there are; fails if they are not the first ones, with their content
first_files() {
	local i count
	count=$(ls "$mnt" | wc -l)
	for ((i = 1; i <= count; i++)); do
		[ "$(cat "$mnt/f$i")" = "content $i" ] || return
	done
	echo "$count"
}

refused() {
	cp --sparse=always "$image" "$work/before"
	! th mount "$image" "$mnt" 2>"$work/err" || return
	cat "$work/err"
	grep -q "intent log: the record at block 28 is damaged, and [0-9]* whole records after it" "$work/err" &&
		grep -q "cannot mount .*: the intent log is damaged; -o ro .* -o truncate_log " "$work/err" &&
		cmp "$image" "$work/before"
}

check "mkfs and mount" fresh 64M -o "$options"
check "files are synced, each by itself" sync_files
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
umount -l "$mnt"
check "nothing is wrong in the image" th check "$image"
flip 28 60 # the log begins at block 9
check "mount read-only with one copy of a record damaged" start -o ro "$image" "$mnt"
check "the other copy is read: all files are there" is "$files" "$(first_files)"
check "unmount" stop
flip $((8192 + 28 - 9)) 60 # its second copy begins in the middle of the image
check "mounting is refused, says why, and writes nothing" refused
check "check reports it" eval '! th check "$image" >"$work/out" 2>&1 && grep -q "the intent log is damaged: [0-9]* records" "$work/out"'
check "info reports it" eval 'th info "$image" 2>/dev/null | grep "^intent log *damaged, [0-9]* records after the damage are missing"'
stranded=$(info_number log_stranded "$image" 2>/dev/null)
check "mount read-only" start -o ro "$image" "$mnt"
check "info of the mount reports it" is "$stranded" "$(info_number log_stranded)"
before=$(first_files)
say "$before files before the damage, $stranded records after it"
check "some files are there, others are not" eval '[ "$before" -gt 0 ] && [ "$before" -lt "$files" ]'
check "unmount" stop
check "mount and give up the others" start -o truncate_log,"$options" "$image" "$mnt"
check "the same files are there" is "$before" "$(first_files)"
check "files can be written" eval 'rm "$mnt/f1" && echo "content 1" >"$mnt/f1"'
check "unmount after writing" stop
check "nothing is wrong in the image afterwards" th check "$image"
check "mount without the option" start "$image" "$mnt"
check "the same files are still there" is "$before" "$(first_files)"
check "the log is whole" is 0 "$(info_number log_stranded)"
check "unmount at the end" stop
tap_done
