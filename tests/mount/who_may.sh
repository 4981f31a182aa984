#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Which users may change snapshots, by the tool and in .snapshots: root with its capabilities and the user who mounted;
# the owner of the root directory only with snapshots=owner; nobody through a part of the tree, unless asked.
. "$(dirname "$0")/../support/mount_test.sh"
if [ "$(id -u)" -ne 0 ]; then
	tap_skip "which users may change snapshots" "needs root"
	tap_done
fi
chmod 755 "$work" # so that other users reach the mount
S=$mnt/.snapshots

alice() { setpriv --reuid 33 --regid 33 --clear-groups "$@"; }
bob() { setpriv --reuid 34 --regid 34 --clear-groups "$@"; }
weak_root() { setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"; }
only_without_admin() { setpriv --bounding-set=-sys_admin --inh-caps=-all "$@"; }
contained_root() { unshare --user --map-root-user "$@"; }

snapshots() {
	th snapshot list --json "$mnt"
}
# barred AS : this user changes nothing in any way, and sees the list
barred() {
	local before
	before=$(snapshots)
	! "$1" mkdir "$S/new" && ! "$1" rmdir "$S/one" && ! "$1" mv "$S/one" "$S/uno" && ! "$1" rmdir "$mnt/home/.snapshots/one" &&
		! "$1" "$THUNDERHEAD" snapshot create "$mnt" new && ! "$1" "$THUNDERHEAD" snapshot delete "$mnt" one &&
		! "$1" "$THUNDERHEAD" snapshot rename "$mnt" one uno && kept "$1" && is "$before" "$(snapshots)"
}
# kept AS : nor branches and holds, nor does the user see differences
kept() {
	! "$1" "$THUNDERHEAD" snapshot hold "$mnt" tag one && ! "$1" "$THUNDERHEAD" branch create "$mnt" branch --from one &&
		! "$1" "$THUNDERHEAD" rollback --discard "$mnt" one && ! "$1" "$THUNDERHEAD" branch rename "$mnt" main other && ! sees_differences "$1" && "$1" "$THUNDERHEAD" snapshot list "$mnt"
}
sees_differences() {
	"$1" "$THUNDERHEAD" diff "$mnt" one >/dev/null
	[ $? -lt 2 ]
}
# free AS : this user takes, renames and deletes snapshots, in both ways
free() {
	"$1" mkdir "$S/new" && "$1" mv "$S/new" "$S/newer" && "$1" rmdir "$S/newer" && "$1" "$THUNDERHEAD" snapshot create "$mnt" new &&
		"$1" "$THUNDERHEAD" snapshot rename "$mnt" new newer && "$1" "$THUNDERHEAD" snapshot delete --wait "$mnt" newer
}
remount() {
	stop && start "$@" "$image" "$mnt"
}

check "mkfs and mount" fresh 64M
mkdir -p "$mnt/home/alice/.cache" && echo 1 >"$mnt/home/alice/file" && chown -R 33:33 "$mnt" && th snapshot create "$mnt" one
echo 2 >"$mnt/home/alice/file"
check "root changes snapshots and sees differences" eval 'free env && sees_differences env'
check "the owner of the root directory does not" barred alice
check "another user does not" barred bob
check "root without capabilities does not" barred weak_root
check "root without CAP_SYS_ADMIN does not" barred only_without_admin
if contained_root true 2>/dev/null; then
	check "root of another user namespace does not" barred contained_root
else
	tap_skip "root of another user namespace does not" "user namespaces are not available"
fi
check "the mounting user is shown as the owner of .snapshots" is "0 755" "$(stat -c '%u %a' "$S")"

check "mount with snapshots=owner" remount -o snapshots=owner
check "snapshots=owner: root changes snapshots" free env
check "snapshots=owner: the owner of the root directory does, too" free alice
check "snapshots=owner: but not branches and holds, and sees no differences" kept alice
check "snapshots=owner: another user does not" barred bob
check "snapshots=owner: root without capabilities does not" barred weak_root
check "snapshots=owner: after chown another user does" eval 'chown 34 "$mnt" && is 34 "$(stat -c %u "$S")" && free bob && barred alice && chown 33 "$mnt"'

check "mount with snapshots=none" remount -o snapshots=none
check "snapshots=none: nobody changes snapshots" eval '! free env && ! free alice && sees_differences env && is "555" "$(stat -c %a "$S")"'

# A part of the tree: `one` is shown, since it contains the directory.
check "mount with subdir=" remount -o subdir=home/alice
check "subdir: nobody changes snapshots, by directory or by tool" eval '! alice rmdir "$S/one" && ! alice mkdir "$S/new" && ! alice mkdir "$mnt/.cache/.snapshots/new" &&
	! alice "$THUNDERHEAD" snapshot delete "$mnt" one && ! rmdir "$S/one" && ! mkdir "$S/new" && ! th snapshot create "$mnt" new && is 1 "$(cat "$S/one/file")"'
lists() { # AS DIRECTORY : the tool lists snapshots, branches and holds and shows information
	"$1" "$THUNDERHEAD" snapshot list "$2" && "$1" "$THUNDERHEAD" branch list "$2" && "$1" "$THUNDERHEAD" snapshot holds "$2" &&
		"$1" "$THUNDERHEAD" info "$2"
}
lists_nothing() { # AS DIRECTORY
	! "$1" "$THUNDERHEAD" snapshot list "$2" && ! "$1" "$THUNDERHEAD" branch list "$2" && ! "$1" "$THUNDERHEAD" snapshot holds "$2" &&
		! "$1" "$THUNDERHEAD" info "$2"
}
check "subdir: root lists snapshots, the owner and others do not" eval 'lists env "$mnt" && lists_nothing alice "$mnt" && lists_nothing weak_root "$mnt"'
check "mount with subdir= and snapshots=admin" remount -o subdir=home/alice,snapshots=admin
check "subdir, snapshots=admin: root changes snapshots, the owner does not" eval 'free env && ! alice rmdir "$S/one" && ! alice mkdir "$S/new"'
check "mount with subdir= and snapshots=owner" remount -o subdir=home/alice,snapshots=owner
check "subdir, snapshots=owner: root and the owner change snapshots" eval 'free env && free alice && ! bob mkdir "$S/new"'
check "subdir, snapshots=owner: users who may read the root list snapshots" eval 'lists alice "$mnt" && lists bob "$mnt" && lists bob "$mnt/.cache"'

# --- listing in the whole tree ---

check "mount" remount
check "a user who may read the root directory lists snapshots, from any directory" eval 'lists bob "$mnt" && lists bob "$mnt/home/alice"'
check "a user who may not does not" eval 'chmod 711 "$mnt" && lists_nothing bob "$mnt/home/alice" && lists alice "$mnt/home" && chmod 755 "$mnt"'
check "root without capabilities that sees one directory does not" unshare -m bash -c 'mount --bind "$1/home/alice" "$1/home/alice" &&
	! setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$THUNDERHEAD" snapshot list "$1/home/alice"' - "$mnt"

check "unmount" stop
check "nothing is wrong in the image" th check "$image"

# --- a user's own mount ---

check "mkfs for a user" th mkfs --force --size 64M "$image"
if [ -u "$(command -v fusermount3)" ] && alice test -w /dev/fuse; then
	chown 33:33 "$image" "$mnt"
	launcher=(setpriv --reuid 33 --regid 33 --clear-groups)
	# A user's mount shows itself to nobody else.
	is_mounted() {
		alice mountpoint -q "$1"
	}
	check "a user mounts" start "$image" "$mnt"
	check "the mounting user changes snapshots, though root owns the root directory" eval 'is 0 "$(alice stat -c %u "$mnt")" && free alice'
	check "the user unmounts" stop
else
	tap_skip "a user's own mount" "fusermount3 is not set-uid, or /dev/fuse is not for users"
fi
tap_done
