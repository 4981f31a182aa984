#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# .snapshots, with nothing but the usual commands.
. "$(dirname "$0")/mount.sh"
check "mkfs and mount" fresh 256M || tap_done
mkdir -p "$mnt/a/b" && echo one >"$mnt/a/b/file" && ln "$mnt/a/b/file" "$mnt/a/link" && ln -s b "$mnt/a/symlink"
S=$mnt/.snapshots

check "listed in the root" eval 'ls -A "$mnt" | grep -qx .snapshots'
check "not listed elsewhere" eval '! ls -A "$mnt/a" | grep -q snapshots'
check "but there in every directory" eval 'ls "$mnt/a/.snapshots" && (cd "$mnt/a/b/.snapshots")'
check "empty at first" eval '[ -z "$(ls -A "$S")" ]'
check "mkdir takes a snapshot" mkdir "$S/one"
echo two >"$mnt/a/b/file"
check "it holds what was" eval '[ "$(cat "$S/one/a/b/file")" = one ] && [ "$(cat "$mnt/a/b/file")" = two ]'
check "from below too" eval '[ "$(cat "$mnt/a/b/.snapshots/one/file")" = one ] && [ "$(cat "$mnt/a/.snapshots/one/link")" = one ]'
check "mkdir from below takes one of everything" eval 'mkdir "$mnt/a/b/.snapshots/two" && [ "$(cat "$S/two/a/b/file")" = two ]'
check "a directory made since is in none" eval 'mkdir "$mnt/new" && [ -z "$(ls "$mnt/new/.snapshots")" ] && ! ls "$mnt/new/.snapshots/one"'
check "no .snapshots inside a snapshot" eval '! ls -A "$S/one" | grep -q snapshots && ! ls "$S/one/.snapshots" && ! ls "$S/one/a/.snapshots"'
check "inode numbers differ from the live ones" eval '[ "$(stat -c %i "$S/one/a")" != "$(stat -c %i "$mnt/a")" ] &&
	[ "$(stat -c %i "$S/one/a/b/file")" != "$(stat -c %i "$S/two/a/b/file")" ]'
check "hard links inside are hard links" eval '[ "$S/one/a/link" -ef "$S/one/a/b/file" ] && [ "$(stat -c %h "$S/one/a/link")" -eq 2 ]'

refused_ro() {
	LC_ALL=C "$@" 2>&1 | grep -q 'Read-only file system'
}
check "EROFS: writing" refused_ro bash -c "echo x >>'$S/one/a/b/file'"
check "EROFS: creating" refused_ro touch "$S/one/a/new"
check "EROFS: mkdir" refused_ro mkdir "$S/one/a/dir"
check "EROFS: removing" refused_ro rm -f "$S/one/a/link"
check "EROFS: rmdir" refused_ro rmdir "$S/one/a/b"
check "EROFS: chmod" refused_ro chmod 700 "$S/one/a"
check "EROFS: setfattr" refused_ro setfattr -n user.a -v b "$S/one/a/link"
check "EROFS: rename inside" refused_ro mv "$S/one/a/link" "$S/one/a/link2"
check "EROFS: truncate" refused_ro truncate -s 0 "$S/one/a/link"
check_fails "moving out of a snapshot is no rename" "$(command -v python3 || echo false)" -c "import os; os.rename('$S/one/a/link', '$mnt/out')"
check_fails "linking out of one neither" ln "$S/one/a/link" "$mnt/out"
check_fails "files in .snapshots" touch "$S/file"
check_fails "a snapshot whose name is taken" mkdir "$S/one"
check_fails "removing .snapshots" rmdir "$S"
check_fails "moving .snapshots" mv "$S" "$mnt/elsewhere"

check "cp -a of a directory out of a snapshot" cp -a "$S/one/a" "$mnt/back"
check "it is that directory" eval 'manifest -p "$S/one/a" | diff - <(manifest -p "$mnt/back")'
check "cp over the live file" eval 'cp "$S/one/a/b/file" "$mnt/a/b/file" && [ "$(cat "$mnt/a/b/file")" = one ]'
small_files() {
	local size
	for size in 1 100 468 1000 1024 1025 3000 4095 4096 4097 10000 200000; do
		head -c "$size" /dev/urandom >"$mnt/f$size" || return 1
	done
	mkdir "$S/sizes" && for size in 1 100 468 1000 1024 1025 3000 4095 4096 4097 10000 200000; do
		cp "$S/sizes/f$size" "$mnt/g$size" && cmp "$mnt/f$size" "$mnt/g$size" || return 1
	done
	rmdir "$S/sizes"
}
check "files of every size" small_files

# What the kernel remembers of the other directories' .snapshots is taken back just after the answer.
soon() {
	local try
	for try in $(seq 100); do
		"$@" && return
		sleep 0.05
	done
	return 1
}
check "mv renames a snapshot" eval 'mv "$S/one" "$S/first" && [ "$(cat "$S/first/a/b/file")" = one ] && [ ! -e "$S/one" ]'
check "in every directory" eval 'soon [ ! -e "$mnt/a/.snapshots/one" ] && [ -e "$mnt/a/.snapshots/first" ]'
check "the name is free again" eval 'mkdir "$S/one" && [ "$(ls "$S")" = "first
one
two" ]'
busy() {
	LC_ALL=C "$@" 2>&1 | grep -q 'Device or resource busy'
}
check "a held one is not deleted" eval 'th snapshot hold "$mnt" tag first && busy rmdir "$S/first" && busy rmdir "$mnt/a/.snapshots/first" &&
	[ "$(cat "$S/first/a/b/file")" = one ]'
check "nor after it was renamed" eval 'mv "$S/first" "$S/held" && busy rmdir "$S/held" && mv "$S/held" "$S/first"'
check "and what is not held goes" eval 'mkdir "$S/free" && rmdir "$S/free"'
check "mounted anew, it is still held" eval 'stop && start "$image" "$mnt" && busy rmdir "$S/first" && th snapshot release "$mnt" tag first'
check "rmdir deletes one, full as it is" eval 'rmdir "$S/first" && [ ! -e "$S/first" ] && [ ! -e "$mnt/a/b/.snapshots/first" ]'
check "the others are whole" eval '[ "$(cat "$S/two/a/b/file")" = two ]'
open_file() {
	exec 7<"$S/two/a/b/file" && rmdir "$S/two" && [ "$(cat <&7)" = two ]
	local status=$?
	exec 7<&-
	return $status
}
check "a file open in a deleted snapshot can be read to its end" open_file
space_back() {
	settle && [ "$(number free_bytes)" -gt "$((before + 15000000))" ]
}
open_directory() {
	head -c 16M /dev/urandom >"$mnt/big" && mkdir "$S/big" && rm "$mnt/big" && exec 7<"$S/big/a" && rmdir "$S/big" || return 1
	settle && before=$(number free_bytes) && [ -e /proc/self/fd/7/b/file ]
	local status=$?
	exec 7<&-
	return $status
}
check "a directory open in a deleted snapshot has its files" open_directory
check "closed, it gives the space back" soon space_back
listing_of() {
	perl -e 'opendir($d, $ARGV[0]); @a = readdir $d; system($ARGV[1]); rewinddir $d; print join("\n", sort grep { !/^\./ } readdir $d), "\n"' "$@"
}
check "who has .snapshots open sees one come" eval '[ "$(listing_of "$S" "mkdir $mnt/a/.snapshots/come")" = "come
one" ] && th snapshot create "$mnt" come2 && [ "$(ls "$S")" = "come
come2
one" ]'
check "and go, with its time" eval 'old=$(stat -c %y "$S") && [ "$(listing_of "$S" "$THUNDERHEAD snapshot delete $mnt come")" = "come2
one" ] && [ "$(stat -c %y "$S")" != "$old" ] && rmdir "$mnt/a/.snapshots/come2" && [ "$(ls "$S")" = one ]'
check "it is who has the root that has them" eval 'stat "$S" && { [ "$(id -u)" -ne 0 ] || { chown 7 "$mnt" && [ "$(stat -c %u "$S")" = 7 ] && chown 0 "$mnt"; }; } && [ "$(stat -c %u "$S")" = "$(stat -c %u "$mnt")" ]'
check "what was written before a snapshot is in it" eval 'for i in {1..50}; do echo $i >"$mnt/n$i"; done; mkdir "$S/fifty" &&
	[ "$(cat "$S/fifty"/n* | sort -n | tail -1)" = 50 ] && [ "$(ls "$S/fifty" | grep -c ^n[0-9])" -eq 50 ]'
check "a name of 255 bytes" eval 'mkdir "$S/$(printf %0255d 1)" && rmdir "$S/$(printf %0255d 1)"'

check "unmount" stop
for mode in hidden visible disabled; do
	check "mount with snapdir=$mode" start -o "snapdir=$mode" "$image" "$mnt"
	case $mode in
	hidden) check "listed nowhere, there" eval '! ls -A "$mnt" | grep -q snapshots && ls "$mnt/.snapshots/one"' ;;
	visible) check "listed everywhere" eval 'ls -A "$mnt/a/b" | grep -qx .snapshots' ;;
	disabled) check "not there; the name is free" eval '[ ! -e "$mnt/.snapshots" ] && mkdir "$mnt/a/.snapshots" && rmdir "$mnt/a/.snapshots"' ;;
	esac
	check "unmount" stop
done
check "mount of a snapshot" start -o snapshot=fifty "$image" "$mnt"
check "it shows it, read-only" eval '[ "$(cat "$mnt/n50")" = 50 ] && ! touch "$mnt/x" 2>/dev/null'
check "unmount" stop
check "mount of a directory" start -o subdir=a/b "$image" "$mnt"
check "it shows it" eval '[ "$(ls "$mnt")" = file ]'
check "unmount" stop
check "check" th check "$image"
tap_done
