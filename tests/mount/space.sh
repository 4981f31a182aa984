#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Space: free space is reported exactly, shared blocks take none, and a full filesystem reports ENOSPC and can be
# emptied.
. "$(dirname "$0")/../support/mount_test.sh"
check "mkfs and mount" fresh 160M
most=400 # MiB that are written at most: more than the image holds, and little beside any host's disk

# The space of a removed file comes back when the kernel forgets the inode, which is after rm has ended.
# spent BYTES SLACK : true if the free space is now BYTES less than $last, to within SLACK; sets $now
spent() {
	settle >/dev/null || return
	now=$(info_number free_bytes)
	[ $((last - now)) -ge $(($1 - $2)) ] && [ $((last - now)) -le $(($1 + $2)) ]
}
used() {
	local from=$last
	wait_for spent "$1" "$2"
	local status=$?
	echo "$((from - now)) bytes less are free, expected $1 (+- $2)"
	last=$now
	return "$status"
}
df_agrees() {
	local df
	df=$(df -B1 --output=avail "$mnt" | tail -1)
	echo "df: $df, info: $last less $(info_number emergency_bytes)"
	[ "$df" -le "$last" ] && [ "$df" -ge $((last - $(info_number emergency_bytes) - (1 << 20))) ]
}

# --- kinds: they add up to the size, and agree with df ---

# kinds_add_up [TARGET] : of a mount or an image
kinds_add_up() {
	local kind sum=0 left
	for kind in data metadata snapshot waiting free; do
		sum=$((sum + $(info_number "${kind}_bytes" "$@")))
	done
	is "$(info_number size_bytes "$@")" "$sum" || return
	left=$(($(info_number free_bytes "$@") + $(info_number waiting_bytes "$@") - $(info_number reserved_bytes "$@") -
		$(info_number emergency_bytes "$@")))
	is "$((left > 0 ? left : 0))" "$(info_number available_bytes "$@")"
}
df_shows_available() {
	df=$(df -B1 --output=size,used,avail "$mnt" | tail -1 | xargs)
	is "$(info_number size_bytes) $(($(info_number size_bytes) - $(info_number available_bytes))) $(info_number available_bytes)" "$df"
}
# kind_is KIND MIB : to within 1 MiB
kind_is() {
	local found
	found=$(info_number "$1_bytes")
	echo "$1: $found bytes, expected $2 MiB"
	[ $((found - ($2 << 20))) -le 1048576 ] && [ $((($2 << 20) - found)) -le 1048576 ]
}
settle
check "the kinds of an empty filesystem add up" kinds_add_up
check "df shows what info has as available" df_shows_available
check "an empty filesystem has no data" is 0 "$(($(info_number data_bytes) + $(info_number snapshot_bytes)))"
head -c 20M /dev/urandom >"$mnt/kept" && head -c 10M /dev/urandom >"$mnt/gone" && settle
check "30 MiB of files are 30 MiB of data" kind_is data 30
metadata=$(info_number metadata_bytes)
mkdir "$mnt/.snapshots/own" "$mnt/small" && rm "$mnt/gone" && head -c 5M /dev/urandom >"$mnt/more" && settle
check "a deleted file that a snapshot has is the snapshot's own" kind_is snapshot 10
check "it is no data any more" kind_is data 25
(cd "$mnt/small" && for ((i = 0; i < 8000; i++)); do echo "$i a small file" >"$i"; done) && settle
check "small files are metadata" [ "$(info_number metadata_bytes)" -ge $((metadata + 8000 * 100)) ]
check "and no data" kind_is data 25
check "the kinds add up with a snapshot" kinds_add_up
check "df agrees with a snapshot" df_shows_available
check "unmount" stop
check "the kinds of an image that is not mounted add up" kinds_add_up "$image"
check "its snapshot's own is the same" eval 'last=$(info_number snapshot_bytes "$image") && start "$image" "$mnt" && is "$last" "$(info_number snapshot_bytes)"'
rmdir "$mnt/.snapshots/own" && rm -r "$mnt/small" "$mnt/kept" "$mnt/more" && settle
check "without snapshots nothing is their own" wait_for eval 'settle && [ "$(info_number snapshot_bytes)" -eq 0 ]'
check "the data of deleted files is gone" is 0 "$(info_number data_bytes)"
check "the metadata of deleted files is gone" [ "$(info_number metadata_bytes)" -le "$((metadata + (128 << 10)))" ]
check "all kinds add up at the end" kinds_add_up

# --- exactness, sharing ---

settle
last=$(info_number free_bytes)
check "df agrees with info in an empty filesystem" df_agrees
head -c 40M /dev/urandom >"$mnt/a"
check "40 MiB take 40 MiB" used $((40 << 20)) $((1 << 20))
check "df agrees with info after that" df_agrees
check "cp inside the mount" cp "$mnt/a" "$mnt/b"
check "a copy shares all blocks" used 0 $((1 << 20))
check "info reports the shared bytes" eval '[ "$(info_number shared_bytes)" -ge $((39 << 20)) ]'
check "writing to a part of the copy" eval 'head -c 4M /dev/urandom | dd of="$mnt/b" bs=1M seek=10 conv=notrunc status=none'
check "the rewritten part takes its size" used $((4 << 20)) $((1 << 20))
check "the original is unchanged" eval 'is "$(head -c 10M "$mnt/a" | md5sum)" "$(head -c 10M "$mnt/b" | md5sum)" && ! cmp -s "$mnt/a" "$mnt/b"'
mkdir "$mnt/.snapshots/s"
rm "$mnt/a"
check "a removed file that a snapshot holds frees nothing" used 0 $((1 << 20))
check "cp out of a snapshot" cp "$mnt/.snapshots/s/a" "$mnt/a"
check "a copy out of a snapshot shares all blocks" used 0 $((1 << 20))
rmdir "$mnt/.snapshots/s"
rm "$mnt/b"
check "deletion frees the blocks that are not shared" used $((-4 << 20)) $((1 << 20))
rm "$mnt/a"
check "deletion of the last user frees all blocks" used $((-40 << 20)) $((1 << 20))

# --- df, where no checkpoint comes by itself for ten minutes: asking is enough ---

available() {
	df -B1 --output=avail "$mnt" | tail -1
}
shows() {
	[ "$(available)" -ge "$1" ]
}
check "mount -o commit=600" eval 'stop && start -o commit=600 "$image" "$mnt"'
before=$(available)
head -c 40M /dev/urandom >"$mnt/c"
check "df shows the space of a removed file as free" eval 'rm "$mnt/c" && wait_for shows $((before - (1 << 20)))'
head -c 40M /dev/urandom >"$mnt/c"
check "df shows the space of a truncated file as free" eval 'sync "$mnt/c" && truncate -s 1M "$mnt/c" && wait_for shows $((before - (3 << 20))) && rm "$mnt/c"'
check "mount with the default interval" eval 'stop && start "$image" "$mnt"'

# --- full ---

# fill FILE : true if the filesystem was full before the file was large
fill() {
	must_be_mounted "$mnt"
	! dd if=/dev/urandom of="$mnt/$1" bs=1M count="$most" iflag=fullblock status=none 2>"$work/dd"
	cat "$work/dd"
	grep -q 'No space left' "$work/dd"
}
# Made before the filesystem is full: files of 8 MiB of x; one is in a snapshot.
xs() {
	head -c 8M /dev/zero | tr '\0' x
}
xs >"$mnt/kept"
xs | head -c 500 >"$mnt/small"
mkdir "$mnt/.snapshots/kept"
xs >"$mnt/own"
: >"$mnt/allocated"
check "fallocate before the filesystem is full" fallocate -n -l 8M "$mnt/allocated"
sync "$mnt/own" "$mnt/allocated"
check "a full filesystem reports ENOSPC" fill full.1
sync "$mnt/full.1" 2>/dev/null
check "the kinds of a full filesystem add up" kinds_add_up
check "a full filesystem stays readable" eval 'cat "$mnt/full.1" >/dev/null && ls "$mnt" >/dev/null'
# only_xs FILE SIZE : the file has SIZE bytes, all of them x
only_xs() {
	echo 3 >/proc/sys/vm/drop_caches
	is "$(stat -c %s "$1")" "$2" && is "$(tr -dc x <"$1" | wc -c)" "$2"
}
check "a file is overwritten in place without free space" eval 'head -c 8M /dev/zero | tr "\0" y | dd of="$mnt/own" bs=64k conv=notrunc,fsync iflag=fullblock status=none && is "$(tr -dc y <"$mnt/own" | wc -c)" 8388608'
check "allocated blocks are written without free space" eval 'xs | dd of="$mnt/allocated" bs=64k conv=notrunc,fsync iflag=fullblock status=none && only_xs "$mnt/allocated" 8388608'
check "data of a snapshot cannot be overwritten" eval '! dd if=/dev/zero of="$mnt/kept" bs=4k count=1 conv=notrunc status=none && only_xs "$mnt/kept" 8388608'
check "an allocation that fails keeps the size" eval '! fallocate -l 64M "$mnt/kept" && only_xs "$mnt/kept" 8388608'
check "truncating within a block works without free space" eval 'truncate -s 5000000 "$mnt/kept" && sync "$mnt/kept" && only_xs "$mnt/kept" 5000000'
check "punching parts of blocks works without free space" eval 'fallocate -p -o 100 -l 10000 "$mnt/kept" && sync "$mnt/kept" && is "$(tr -dc x <"$mnt/kept" | wc -c)" 4990000'
check "a file is restored from its snapshot by cp without free space" eval 'cp "$mnt/.snapshots/kept/kept" "$mnt/kept" && only_xs "$mnt/kept" 8388608'
check "a small file is restored from its snapshot by cp without free space" eval 'cp "$mnt/.snapshots/kept/small" "$mnt/small" && sync "$mnt/small" && only_xs "$mnt/small" 500'
check "a file is replaced by rename without free space" eval 'mv "$mnt/allocated" "$mnt/kept" && only_xs "$mnt/kept" 8388608'
check "snapshot, diff and sync work after that" eval 'mkdir "$mnt/.snapshots/later" && th diff "$mnt" later && sync "$mnt/kept"'
check "snapshots are deleted without free space" rmdir "$mnt/.snapshots/later" "$mnt/.snapshots/kept"
rm -f "$mnt/own" "$mnt/kept" "$mnt/small"
check "the filesystem is full again" fill full.0
small_files() {
	local i
	must_be_mounted "$mnt"
	for ((i = 0; i < 200000; i++)); do
		mkdir "$mnt/d$i" 2>/dev/null && echo x >"$mnt/d$i/f" 2>/dev/null || break
	done
	echo "$i more directories fit"
	[ "$i" -lt 200000 ]
}
check "the room for names ends too" small_files
check "a snapshot of a full filesystem is taken or refused" eval 'mkdir "$mnt/.snapshots/full" 2>/dev/null; rmdir "$mnt/.snapshots/full" 2>/dev/null; is_mounted "$mnt"'
check "deleting works in a full filesystem" rm "$mnt/full.1" "$mnt/full.0"
check "writing works after that" eval 'head -c 50M /dev/urandom >"$mnt/again" && sync "$mnt/again"'
check "rm -r of all" eval 'rm -rf "$mnt"/d* "$mnt/again"'
check "all space is free again" used 0 $((4 << 20))
check "the filesystem is full once more" fill full.2
check "a full filesystem unmounts" stop
check "nothing is wrong in a full image" th check "$image"
check "a full image mounts" start "$image" "$mnt"
check "a file of a full image is deleted after the next mount" rm "$mnt/full.2"
check "all space is free after that" used 0 $((4 << 20))
check "unmount at the end" stop
check "nothing is wrong in the image at the end" th check "$image"

# --- the filesystem that holds a sparse image is full ---

# Fills the host through the image until a change is refused.
fill_host() {
	local i
	must_be_mounted "$mnt"
	for ((i = 0; i < 100; i++)); do
		head -c 1M /dev/urandom >"$mnt/$i" && sync "$mnt/$i" || return 0
	done 2>/dev/null
	return 1
}
if [ "$(id -u)" = 0 ] && mkdir "$work/host" && mount -t tmpfs -o size=24M none "$work/host"; then
	th mkfs --size 64M "$work/host/image"
	check "an image on a small filesystem mounts" start "$work/host/image" "$mnt"
	echo first >"$mnt/first"
	sync "$mnt/first"
	check "changes are refused when that filesystem is full" fill_host
	check "info names the error" eval 'th info "$mnt" | grep "changes are refused since a write failed: No space left on device"'
	check "info --json names the error" eval 'th info --json "$mnt" | grep "\"failure\": *\"No space left on device\""'
	stop
	check "the image is mounted when there is space again" eval 'mount -o remount,size=80M "$work/host" && start "$work/host/image" "$mnt"'
	check "synced data is there" is "$(cat "$mnt/first")" first
	check "changes are possible again" eval 'echo second >"$mnt/second" && sync "$mnt/second"'
	check "unmount after that" stop
	check "nothing is wrong in the image after that" th check "$work/host/image"
	umount "$work/host"
else
	tap_skip "the host of a sparse image is full" "no tmpfs"
fi
tap_done
