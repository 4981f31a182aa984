#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Rollback of a mounted filesystem: what programs see that have files and directories open; rollbacks under a load, after
# which no byte of the former state is left; and SIGKILL of the daemon during one, which leaves one state or the other.
#   TH_ROLLBACK_ROUNDS  rollbacks under a load (6)
#   TH_ROLLBACK_KILLS   kills of the daemon (4)
. "$(dirname "$0")/../support/mount_test.sh"
rounds=${TH_ROLLBACK_ROUNDS:-6}
kills=${TH_ROLLBACK_KILLS:-4}
work_dir=$PWD

# --- what programs see ---

check "mkfs and mount" fresh 256M
prepare() {
	cd "$mnt" && mkdir a cwd later && echo one >a/file && echo stays >stays && ln a/file a/link && touch a/attr && chmod 600 a/attr &&
		setfattr -n user.x -v old a/attr && echo open >orphan && sync orphan && exec 4<orphan && rm orphan && th snapshot create . s
}
check "a tree and a snapshot of it" prepare
alter() {
	echo two >>a/file && rm stays a/link && echo new >a/new && mkdir made && mv later moved && chmod 644 a/attr &&
		setfattr -n user.x -v new a/attr && ! cat stays 2>/dev/null && ! ls later 2>/dev/null && ls -R . >/dev/null
}
check "changes of all kinds, seen by the kernel" alter
exec 5<a/file 6<a/new 7>>a/file
before=$(manifest "$mnt")
cd cwd
check "rollback" th rollback --keep kept "$mnt" s
check "the tree equals the snapshot" eval 'manifest "$mnt" | cmp - <(manifest "$mnt/.snapshots/s")'
check "the working directory stays" eval 'is "$mnt/cwd" "$(pwd -P)" && [ . -ef "$mnt/cwd" ] && is one "$(cat ../a/file)"'
check "names that were removed are back, and new ones are gone" eval 'is stays "$(cat ../stays)" && [ -d ../later ] && ! [ -e ../made ] && ! [ -e ../a/new ] && ! [ -e ../moved ]'
check "attributes are those of the snapshot" eval 'is 600 "$(stat -c %a ../a/attr)" && is 2 "$(stat -c %h ../a/file)" && getfattr -n user.x ../a/attr | grep -q "\"old\""'
check "an open file has the content of the snapshot" is one "$(cat <&5)"
check "an open file that the snapshot does not have is stale" eval 'cat <&6 2>&1 | grep -q Stale'
check "a file without a name that was open when the snapshot was taken stays open" is open "$(cat <&4)"
check "an append goes to the end" eval 'echo appended >&7 && is "one appended" "$(paste -sd" " ../a/file)"'
check "names that did not exist can be made" eval 'mkdir ../made ../moved && echo x >../a/new && is x "$(cat ../a/new)"'
check "the present was kept" eval 'manifest "$mnt/.snapshots/kept" | cmp - <(echo "$before")'
check "a diff of the two shows the changes" eval '! th diff "$mnt" s kept >"$work/differences" && grep -q "new" "$work/differences"'
check "rollback to the kept state undoes it" eval 'th rollback --discard "$mnt" kept && manifest "$mnt" | cmp - <(echo "$before")'
check "a file that was stale is there again" is new "$(cat <&6)"
check "one line of snapshots is left" eval 'is 1 "$(th branch list "$mnt" | wc -l)" && ! th snapshot list "$mnt" | grep -q "("'
check "a snapshot that is not there is refused" eval 'th rollback "$mnt" none 2>&1 | grep -q "there is no snapshot .none."'
check "a name that is taken is refused" eval 'th rollback --keep s "$mnt" s 2>&1 | grep -q "choose another name" && manifest "$mnt" | cmp - <(echo "$before")'
check "a rollback without --keep prints the name" eval 'name=$(th rollback "$mnt" s) && th snapshot list "$mnt" | grep -q "$name"'
exec 4<&- 5<&- 6<&- 7>&-
cd "$work_dir"
check "unmount" stop
check "nothing is wrong in the image" th check "$image"

# --- a part of the tree ---

check "mount of a directory that the snapshot has" start -o subdir=a,snapshots=admin "$image" "$mnt"
check "rollback of it" eval 'echo changed >"$mnt/file" && th rollback --discard "$mnt" s && is one "$(cat "$mnt/file")"'
check "a later directory" eval 'stop && start "$image" "$mnt" && mkdir "$mnt/younger" && stop && start -o subdir=younger,snapshots=admin "$image" "$mnt"'
check "it cannot be rolled back to a snapshot that does not have it" eval 'th rollback "$mnt" s 2>&1 | grep -q "does not have the directory"'
check "nor without the option snapshots=" eval 'stop && start -o subdir=a "$image" "$mnt" && th rollback "$mnt" s 2>&1 | grep -q "only root"'
check "unmount" stop

# --- under a load ---

load() {
	local running
	coproc LOADER { exec "$TH_MOUNT_PROGRAMS/rollback_load" load "$mnt" 2>"$work/load.errors"; }
	loader=$!
	read -r running <&"${LOADER[0]}" && is running "$running"
}
end_load() {
	kill -KILL "$loader" 2>/dev/null
	wait "$loader" 2>/dev/null
	[ ! -s "$work/load.errors" ] || { cat "$work/load.errors" && false; }
}
prepare_load() {
	fresh 256M && mkdir -p "$mnt/cwd" "$mnt/names/d0" "$mnt/names/d1" && touch "$mnt/names/old" && program rollback_load fill "$mnt" s &&
		th snapshot create "$mnt" s
}
round_under_load() {
	program rollback_load fill "$mnt" p && mkdir -p "$mnt/names/d2" && load && sleep "0.$((i % 5))" && th rollback --keep "k$i" "$mnt" s &&
		end_load && program rollback_load verify "$mnt" s && program rollback_load verify "$mnt/.snapshots/k$i" p &&
		th snapshot delete "$mnt" "k$i"
}
rounds_under_load() {
	for ((i = 1; i <= rounds; i++)); do
		round_under_load || { say "round $i" && end_load && return 1; }
	done
}
check "a tree for the load" prepare_load
check "rollbacks under a load leave no byte of the former state" rounds_under_load
many_in_a_row() {
	load || return
	for ((i = 1; i <= rounds; i++)); do
		th rollback --discard "$mnt" s || return
	done
	end_load && program rollback_load verify "$mnt" s && th rollback --discard "$mnt" s && manifest "$mnt" | cmp - <(manifest "$mnt/.snapshots/s")
}
check "many rollbacks in a row under one load" many_in_a_row
check "all can be deleted" eval 'th snapshot delete --wait "$mnt" s && is 1 "$(th branch list "$mnt" | wc -l)"'
check "unmount" stop
check "nothing is wrong in the image" th check "$image"

# --- killed ---

# The state after the kill: all of one, or all of the other.
one_state() {
	program rollback_load verify "$mnt" p 2>"$work/not_p" && return
	program rollback_load verify "$mnt" s 2>"$work/not_s" || { cat "$work/not_p" "$work/not_s" && false; }
}
kill_round() {
	local tool
	program rollback_load fill "$mnt" p && sync -f "$mnt" && th snapshot create "$mnt" "p$i" && load || return
	th rollback --discard "$mnt" s 2>/dev/null &
	tool=$!
	sleep "0.0$((i * 7 % 10))"
	kill -KILL "$daemon"
	wait "$tool" "$daemon" 2>/dev/null
	end_load 2>/dev/null >&2
	{ ! listed "$mnt" || umount -l "$mnt"; } && th check "$image" && start "$image" "$mnt" && one_state
}
kills_during_rollback() {
	for ((i = 1; i <= kills; i++)); do
		kill_round || { say "kill $i" && return 1; }
	done
}
# A thread of the daemon that has the kernel drop pages waits for requests, which have no server after the kill.  Reads
# with the shell alone, since the wait is short.
kill_while_waiting() {
	local file place
	until ended "$tool"; do
		for file in /proc/"$daemon"/task/*/wchan; do
			read -r place <"$file"
			case $place in *folio* | *page* | *inval*) kill -KILL "$daemon" && return ;; esac
		done
	done 2>/dev/null
	wait "$tool" && return 1
}
ends_though_it_waits() {
	local tool tries
	prepare_load && load || return
	for ((tries = 0; tries < 100; tries++)); do
		th rollback --discard "$mnt" s 2>/dev/null &
		tool=$!
		kill_while_waiting && break
	done
	wait "$tool"
	wait_for [ ! -e "/proc/$daemon" ] || { umount -f "$mnt" && return 1; }
	end_load 2>/dev/null >&2
	unmount "$mnt"
}
if [ "$(id -u)" -eq 0 ]; then
	check "a killed daemon ends, though one of its threads waits for it in the kernel" ends_though_it_waits
	check "nothing is wrong in the image" th check "$image"
fi
check "a tree for the kills" prepare_load
check "SIGKILL during a rollback leaves one state or the other" kills_during_rollback
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
tap_done
