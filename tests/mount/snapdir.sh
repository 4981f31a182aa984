#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# .snapshots, by ordinary commands alone.
. "$(dirname "$0")/../support/mount_test.sh"
check "mkfs and mount" fresh 256M
mkdir -p "$mnt/a/b" && echo one >"$mnt/a/b/file" && ln "$mnt/a/b/file" "$mnt/a/link" && ln -s b "$mnt/a/symlink"
S=$mnt/.snapshots

check ".snapshots is listed in no directory" eval 'is a "$(ls -A "$mnt")" && ! ls -A "$mnt/a" | grep -q snapshots'
check ".snapshots can be opened in every directory" eval 'ls "$mnt/a/.snapshots" && (cd "$mnt/a/b/.snapshots")'
check ".snapshots is empty at first" eval 'is "" "$(ls -A "$S")"'
check "mkdir takes a snapshot" mkdir "$S/one"
echo two >"$mnt/a/b/file"
check "a snapshot keeps the old content" eval 'is one "$(cat "$S/one/a/b/file")" && is two "$(cat "$mnt/a/b/file")"'
check ".snapshots of a directory shows that directory" eval 'is one "$(cat "$mnt/a/b/.snapshots/one/file")" && is one "$(cat "$mnt/a/.snapshots/one/link")"'
check "mkdir in .snapshots of a directory takes one of the whole filesystem" eval 'mkdir "$mnt/a/b/.snapshots/two" && is two "$(cat "$S/two/a/b/file")"'
check "a directory newer than all snapshots is in none" eval 'mkdir "$mnt/new" && [ -z "$(ls "$mnt/new/.snapshots")" ] && ! ls "$mnt/new/.snapshots/one"'
check "a snapshot has no .snapshots" eval '! ls -A "$S/one" | grep -q snapshots && ! ls "$S/one/.snapshots" && ! ls "$S/one/a/.snapshots"'
check "inode numbers differ between snapshots and the live tree" eval '[ "$(stat -c %i "$S/one/a")" != "$(stat -c %i "$mnt/a")" ] &&
	[ "$(stat -c %i "$S/one/a/b/file")" != "$(stat -c %i "$S/two/a/b/file")" ]'
check "hard links in a snapshot are hard links" eval '[ "$S/one/a/link" -ef "$S/one/a/b/file" ] && is 2 "$(stat -c %h "$S/one/a/link")"'

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
check_fails "rename out of a snapshot is refused" "$(command -v python3 || echo false)" -c "import os; os.rename('$S/one/a/link', '$mnt/out')"
check_fails "a hard link out of a snapshot is refused" ln "$S/one/a/link" "$mnt/out"
check_fails "a file in .snapshots is refused" touch "$S/file"
check_fails "a snapshot name that is taken is refused" mkdir "$S/one"
check_fails "removing .snapshots is refused" rmdir "$S"
check_fails "moving .snapshots is refused" mv "$S" "$mnt/elsewhere"

check "cp -a copies a directory out of a snapshot" cp -a "$S/one/a" "$mnt/back"
check "the copy equals the directory" eval 'manifest -p "$S/one/a" | diff - <(manifest -p "$mnt/back")'
check "cp restores a live file" eval 'cp "$S/one/a/b/file" "$mnt/a/b/file" && is one "$(cat "$mnt/a/b/file")"'
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
check "files of every size are copied out of a snapshot" small_files

# In the .snapshots of other directories the daemon invalidates the kernel's cached names just after its reply.
gone() {
	[ ! -e "$1" ]
}
check "mv renames a snapshot" eval 'mv "$S/one" "$S/first" && is one "$(cat "$S/first/a/b/file")" && gone "$S/one"'
check "a renamed snapshot has its new name in every directory" eval 'wait_for gone "$mnt/a/.snapshots/one" && [ -e "$mnt/a/.snapshots/first" ]'
check "the old name can be used again" eval 'mkdir "$S/one" && is "first
one
two" "$(ls "$S")"'
busy() {
	LC_ALL=C "$@" 2>&1 | grep -q 'Device or resource busy'
}
check "EBUSY: rmdir of a held snapshot" eval 'th snapshot hold "$mnt" tag first && busy rmdir "$S/first" && busy rmdir "$mnt/a/.snapshots/first" &&
	is one "$(cat "$S/first/a/b/file")"'
check "a renamed snapshot is still held" eval 'mv "$S/first" "$S/held" && busy rmdir "$S/held" && mv "$S/held" "$S/first"'
check "rmdir deletes a snapshot that is not held" eval 'mkdir "$S/free" && rmdir "$S/free"'
check "a snapshot is still held after the next mount" eval 'stop && start "$image" "$mnt" && busy rmdir "$S/first" && th snapshot release "$mnt" tag first'
check "rmdir deletes a snapshot with its files" eval 'rmdir "$S/first" && gone "$S/first" && wait_for gone "$mnt/a/b/.snapshots/first"'
check "other snapshots are unchanged" eval 'is two "$(cat "$S/two/a/b/file")"'
open_file() {
	exec 7<"$S/two/a/b/file" && rmdir "$S/two" && is two "$(cat <&7)"
	local status=$?
	exec 7<&-
	return $status
}
check "an open file of a deleted snapshot can be read to its end" open_file
space_back() {
	settle && [ "$(info_number free_bytes)" -gt "$((before + 15000000))" ]
}
open_directory() {
	head -c 16M /dev/urandom >"$mnt/big" && mkdir "$S/big" && rm "$mnt/big" && exec 7<"$S/big/a" && rmdir "$S/big" || return 1
	settle && before=$(info_number free_bytes) && [ -e /proc/self/fd/7/b/file ]
	local status=$?
	exec 7<&-
	return $status
}
check "an open directory of a deleted snapshot keeps its files" open_directory
check "the space is free once the directory is closed" wait_for space_back
# listing_of DIRECTORY COMMAND : its names by a descriptor that was opened and read before the command
listing_of() {
	perl -e 'opendir($d, $ARGV[0]); @a = readdir $d; system($ARGV[1]); rewinddir $d; print join("\n", sort grep { !/^\./ } readdir $d), "\n"' "$@"
}
check "an open .snapshots lists a new snapshot" eval 'is "come
one" "$(listing_of "$S" "mkdir $mnt/a/.snapshots/come")" && th snapshot create "$mnt" come2 && is "come
come2
one" "$(ls "$S")"'
check "an open .snapshots drops a deleted snapshot, and its mtime changes" eval 'old=$(stat -c %y "$S") &&
	is "come2
one" "$(listing_of "$S" "$THUNDERHEAD snapshot delete $mnt come")" && [ "$(stat -c %y "$S")" != "$old" ] &&
	rmdir "$mnt/a/.snapshots/come2" && is one "$(ls "$S")"'
check "the mounting user owns .snapshots" is "$(id -u)" "$(stat -c %u "$S")"
check "a snapshot has all files written before it" eval 'for i in {1..50}; do echo $i >"$mnt/n$i"; done; mkdir "$S/fifty" &&
	is 50 "$(cat "$S/fifty"/n* | sort -n | tail -1)" && is 50 "$(ls "$S/fifty" | grep -c ^n[0-9])"'
check "a snapshot name may have 255 bytes" eval 'mkdir "$S/$(printf %0255d 1)" && rmdir "$S/$(printf %0255d 1)"'

check "unmount" stop
eperm() {
	LC_ALL=C "$@" 2>&1 | grep -q 'Operation not permitted'
}
only_by_tool() {
	eperm mkdir "$S/new" && eperm rmdir "$S/one" && eperm mv "$S/one" "$S/new" && eperm rmdir "$mnt/a/.snapshots/one" &&
		th snapshot create "$mnt" new && [ -d "$S/new" ] && th snapshot delete "$mnt" new && [ -d "$S/one" ]
}
for mode in hidden root visible disabled; do
	check "mount with snapdir=$mode" start -o "snapdir=$mode" "$image" "$mnt"
	case $mode in
	hidden) check "hidden: .snapshots is listed nowhere and can be opened" eval '! ls -A "$mnt" | grep -q snapshots && ls "$mnt/.snapshots/one"' ;;
	root)
		check "root: .snapshots is listed in the root only" eval 'ls -A "$mnt" | grep -qx .snapshots && ! ls -A "$mnt/a" | grep -q snapshots'
		check "root: snapshots are changed by the tool alone" only_by_tool
		;;
	visible)
		check "visible: .snapshots is listed in every directory" eval 'ls -A "$mnt/a/b" | grep -qx .snapshots'
		check "visible: snapshots are changed by the tool alone" only_by_tool
		;;
	disabled) check "disabled: there is no .snapshots, and the name can be used" eval '[ ! -e "$mnt/.snapshots" ] && mkdir "$mnt/a/.snapshots" && rmdir "$mnt/a/.snapshots"' ;;
	esac
	check "unmount after snapdir=$mode" stop
done

# --- entries of users that have this name ---

git_tree() {
	mkdir -p "$work/git/.snapshots" && echo mine >"$work/git/.snapshots/file" &&
		(cd "$work/git" && git init -q && git add . && git -c user.name=t -c user.email=t@example.org commit -qm all)
}
another_name() {
	start -o snapdirname=.past "$image" "$mnt" && is one "$(cat "$mnt/.past/fifty/a/b/file")" && mkdir "$mnt/.past/x" && rmdir "$mnt/.past/x" &&
		git clone -q "$work/git" "$mnt/clone" && is mine "$(cat "$mnt/clone/.snapshots/file")" && stop
}
check "with snapdirname= a tree with its own .snapshots is cloned" eval 'git_tree && another_name'
check "mount with the default name" start "$image" "$mnt"
check "a directory's own .snapshots is listed and reachable" eval 'ls -A "$mnt/clone" | grep -qx .snapshots && is mine "$(cat "$mnt/clone/.snapshots/file")"'
refused_exists() {
	LC_ALL=C "$@" 2>&1 | grep -q 'File exists'
}
check "EEXIST: mkdir .snapshots" refused_exists mkdir "$mnt/a/.snapshots"
check "EEXIST: ln -s to .snapshots" refused_exists ln -sT x "$mnt/a/.snapshots"
check_fails "a file does not replace .snapshots" eval 'echo x >"$mnt/a/.snapshots"'
check_fails "a file is not renamed to .snapshots" mv -T "$mnt/n1" "$mnt/.snapshots"
own_removed() {
	! rmdir "$mnt/clone/.snapshots" 2>/dev/null && rm -r "$mnt/clone/.snapshots" && [ -z "$(ls "$mnt/clone/.snapshots")" ] &&
		! ls -A "$mnt/clone" | grep -q snapshots && mkdir "$mnt/clone/.snapshots/late" && [ -e "$mnt/clone/.snapshots/late/.git" ] &&
		rm -rf "$mnt/clone" && [ ! -e "$mnt/clone" ] && rmdir "$mnt/.snapshots/late"
}
check "without its own .snapshots a directory shows the snapshots again" own_removed
check "unmount after that" stop

check "mount -o snapshot=" start -o snapshot=fifty "$image" "$mnt"
check "a mounted snapshot shows its files read-only" eval 'is 50 "$(cat "$mnt/n50")" && ! touch "$mnt/x" 2>/dev/null'
check "unmount of the snapshot" stop
check "mount -o subdir=" start -o subdir=a/b "$image" "$mnt"
check "a mounted directory shows its files" eval 'is file "$(ls "$mnt")"'
check "unmount of the directory" stop
check "nothing is wrong in the image" th check "$image"
tap_done
