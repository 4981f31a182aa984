#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Set-id programs, file capabilities and device nodes below .snapshots have no effect, and a copy has their modes;
# with snapsuid they have.  snapdir-root-only: .snapshots is in the root directory only.
. "$(dirname "$0")/../support/mount_test.sh"
if [ "$(id -u)" -ne 0 ]; then
	tap_skip "set-id programs in snapshots" "needs root"
	tap_done
fi
chmod 755 "$work"
S=$mnt/.snapshots/old

user() { setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
# runs PROGRAM : the user ID that it has when a user executes it
runs() { user "$1" -u; }
refused() { # COMMAND... : execution is refused
	"$@" 2>&1 | grep -q 'Permission denied'
}

check "mkfs and mount" fresh 64M
make_programs() {
	local name
	for name in plain suid sgid capable; do
		cp "$(command -v id)" "$mnt/$name" || return 1
	done
	chmod 4755 "$mnt/suid" && chmod 2755 "$mnt/sgid" && mknod "$mnt/null" c 1 3 && mknod "$mnt/tape" c 9 0 &&
		mknod "$mnt/disk" b 7 0 && mknod "$mnt/own" c 10 1 && chown 1000 "$mnt/own" && chmod 666 "$mnt/null" "$mnt/tape" "$mnt/own" && chmod 660 "$mnt/disk" && mkdir -m 700 "$mnt/private" &&
		mkdir "$mnt/private/inner" && echo secret >"$mnt/private/inner/file"
}
check "programs and a device" make_programs
if setcap cap_net_raw+ep "$mnt/capable" 2>/dev/null; then
	capable=1
fi
check "the live program runs with the user ID of its owner" is 0 "$(runs "$mnt/suid")"
check "snapshot" th snapshot create "$mnt" old
check "a plain program in a snapshot runs" is 1000 "$(runs "$S/plain")"
check "a set-user-ID program does not" refused runs "$S/suid"
check "a set-group-ID program does not" refused runs "$S/sgid"
check "nor for root" refused "$S/suid"
check "nor by a descriptor" refused user bash -c 'exec 3<"$1"; exec /proc/self/fd/3' - "$S/suid"
if [ -n "${capable:-}" ]; then
	check "a program with capabilities does not" refused runs "$S/capable"
else
	tap_skip "a program with capabilities does not" "no setcap"
fi
check "the mode is shown" is "4755 2755" "$(stat -c %a "$S/suid" "$S/sgid" | paste -sd' ')"
check "the programs can be read" eval 'user cmp "$S/suid" "$mnt/plain"'
check "a copy has the mode, and runs" eval 'cp -a "$S/suid" "$mnt/back" && is 4755 "$(stat -c %a "$mnt/back")" && is 0 "$(runs "$mnt/back")"'
modes() { # DIRECTORY : of the device nodes
	(cd "$1" && stat -c '%n=%a' null tape disk own | paste -sd' ')
}
check "of a device in a snapshot users have no permissions" is "null=666 tape=600 disk=600 own=0" "$(modes "$S")"
check "it has its numbers" is "9,0" "$(stat -c %Hr,%Lr "$S/tape")"
check "and cannot be opened by users" eval 'user sh -c ": <\"$S/tape\"" 2>&1 | grep -q "Permission denied" && ! user test -r "$S/own" -o -w "$S/disk"'
check "but for those that give nothing, such as the null device" user sh -c 'echo x >"$1"' - "$S/null"
check "a listing with attributes shows the same" eval 'ls -l "$S" >/dev/null && is "null=666 tape=600 disk=600 own=0" "$(modes "$S")"'
check "a copy has these permissions" eval 'mkdir "$mnt/copy" && cp -a "$S"/{null,tape,disk,own} "$mnt/copy" && is "null=666 tape=600 disk=600 own=0" "$(modes "$mnt/copy")"'

check "mount with snapsuid" eval 'stop && start -o snapsuid "$image" "$mnt"'
check "snapsuid: the program runs with the user ID of its owner" is 0 "$(runs "$S/suid")"
check "snapsuid: the device is for users" eval 'is "666" "$(stat -c %a "$S/null")" && user sh -c ": <\"$S/null\""'

check "mount of the snapshot" eval 'stop && start -o snapshot=old "$image" "$mnt"'
check "it is mounted nosuid,nodev" eval 'findmnt -no OPTIONS "$mnt" | grep -q nosuid && findmnt -no OPTIONS "$mnt" | grep -q nodev'
check "the program runs as the user" is 1000 "$(runs "$mnt/suid")"
check "the device has its mode, and cannot be opened" eval 'is 666 "$(stat -c %a "$mnt/null")" && ! sh -c ": <\"$mnt/null\""'
check "mount of the snapshot with snapsuid" eval 'stop && start -o snapshot=old,snapsuid "$image" "$mnt"'
check "the program runs as its owner" is 0 "$(runs "$mnt/suid")"

# A directory that only its parent protected shows its past where it is moved to.
check "mount" eval 'stop && start "$image" "$mnt"'
publish() {
	rm "$mnt/private/inner/file" && mv "$mnt/private/inner" "$mnt/public"
}
check "a private directory becomes public" publish
check "its past is reachable in it" is secret "$(user cat "$mnt/public/.snapshots/old/file")"
check "mount with snapdir-root-only" eval 'stop && start -o snapdir-root-only "$image" "$mnt"'
check "snapdir-root-only: its past is not reachable" eval '! user ls "$mnt/public/.snapshots" && ! user cat "$mnt/.snapshots/old/private/inner/file"'
check "snapdir-root-only: .snapshots is in the root directory" is 0 "$(runs "$mnt/suid")$(ls "$mnt/.snapshots/old/private/inner/none" 2>/dev/null)"
check "snapdir-root-only: elsewhere its name is like any other" eval 'mkdir "$mnt/public/.snapshots" && is .snapshots "$(ls -A "$mnt/public")" && rmdir "$mnt/public/.snapshots"'
check "snapdir-root-only: root restores from it" cp "$mnt/.snapshots/old/private/inner/file" "$mnt/public/file"
check "snapdir-root-only with snapdir=visible lists it in the root directory only" eval 'stop && start -o snapdir=visible,snapdir-root-only "$image" "$mnt" &&
	ls -A "$mnt" | grep -q "^.snapshots$" && is file "$(ls -A "$mnt/public")"'
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
tap_done
