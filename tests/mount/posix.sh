#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What POSIX and Linux promise of a filesystem, beyond what everyday programs ask (programs.sh).
. "$(dirname "$0")/mount.sh"
umask 022
root=$([ "$(id -u)" -eq 0 ] && echo yes)
check "mkfs and mount" fresh 1G || tap_done
chmod 755 "$work"
cd "$mnt" || exit 1

# as UID[:GID] COMMAND... : as somebody else
as() {
	local who=$1
	shift
	setpriv --reuid "${who%:*}" --regid "${who#*:}" --clear-groups "$@"
}

# needs_root NAME COMMAND... : a check that only root can make
needs_root() {
	if [ "$root" ]; then
		check "$@"
	else
		tap_skip "$1" "not root"
	fi
}

mode_is() {
	[ "$(stat -c %a "$2")" = "$1" ]
}

# --- access control lists ---

# The list of a file, in one line
list() {
	getfacl -cn --absolute-names "$1" | sed 's/[ \t]*#.*//' | paste -sd, | sed 's/,*$//'
}

list_is() {
	local found
	found=$(list "$2")
	[ "$found" = "$1" ] || { printf '%s\n' "$found" && return 1; }
}

check "setfacl shows in the mode" eval 'echo secret >a && chmod 640 a && setfacl -m u:1234:rw a && mode_is 660 a &&
	list_is user::rw-,user:1234:rw-,group::r--,mask::rw-,other::--- a'
needs_root "who is in the list may, others may not" eval 'as 1234:5 grep -q secret a && ! as 1235:5 cat a 2>/dev/null &&
	setfacl -m u:1236:- a && chmod o+r a && as 1235:5 cat a && ! as 1236:5 cat a 2>/dev/null && chmod o-r a && setfacl -x u:1236 a'
check "chmod changes the mask" eval 'chmod 600 a && list_is user::rw-,user:1234:rw-,group::r--,mask::---,other::--- a && mode_is 600 a'
needs_root "which takes effect" eval '! as 1234:5 cat a 2>/dev/null && chmod 640 a && as 1234:5 cat a && ! as 1234:5 sh -c "echo >>a" 2>/dev/null'
check "setfacl -b" eval 'chmod 660 a && setfacl -b a && list_is user::rw-,group::r--,other::--- a && mode_is 640 a && [ -z "$(getfattr -m - a)" ]'
check "setfacl -b of a file without a list" setfacl -b a
check "a list that only repeats the mode is not kept" eval 'setfacl -m u::r,g::-,o::w a && mode_is 402 a && [ -z "$(getfattr -m - a)" ] && chmod 640 a'
check "a default list" eval 'mkdir d && setfacl -d -m u:1234:rwx,g:55:rx,o::- d && mode_is 755 d &&
	list_is user::rwx,group::r-x,other::r-x,default:user::rwx,default:user:1234:rwx,default:group::r-x,default:group:55:r-x,default:mask::rwx,default:other::--- d'
inherited=user:1234:rwx,group::r-x,group:55:r-x
check "new files inherit, and the umask is ignored" eval '(umask 077 && touch d/f && mkdir d/d && mkfifo d/p && ln -s nowhere d/l) &&
	mode_is 660 d/f && list_is "user::rw-,$inherited,mask::rw-,other::---" d/f && list_is "user::rw-,$inherited,mask::rw-,other::---" d/p &&
	mode_is 770 d/d && list_is "user::rwx,$inherited,mask::rwx,other::---,default:user::rwx,default:user:1234:rwx,default:group::r-x,default:group:55:r-x,default:mask::rwx,default:other::---" d/d'
check "elsewhere the umask counts" eval '(umask 027 && touch u && mkdir v && mkfifo w) && mode_is 640 u && mode_is 750 v && mode_is 640 w'
check_fails "files have no default list" setfacl -d -m u:1234:r a
refused_value() {
	setfattr "$@" 2>&1 | grep -q 'Invalid argument'
}
check "what is no list is refused" eval 'refused_value -n system.posix_acl_access -v 0x02 a && refused_value -n system.posix_acl_access \
	-v 0x0200000001000600ffffffff04000400ffffffff a && refused_value -n system.posix_acl_default -v 0x0200000001000600ffffffff04 d &&
	list_is user::rw-,group::r--,other::--- a'
set_gid_goes() {
	touch g && chown 1234:55 g && chmod 2770 g && as 1234:55 setfacl -m u:7:r g && mode_is 2770 g &&
		as 1234:5 setfacl -m u:8:r g && mode_is 770 g
}
needs_root "who is not in the group does not keep a set-gid bit" set_gid_goes
lists_of() {
	(cd "$1" && find . ! -type l -exec getfacl -n {} + | grep -v '^# owner\|^# group')
}
same_lists() {
	lists_of "$1" >"$work/a" && lists_of "$2" | diff "$work/a" -
}
check "cp -a, rsync -A and tar --acls keep them" eval 'setfacl -m u:9:x d/d && cp -a d cp && same_lists d cp && rsync -aA d/ rsync && same_lists d rsync &&
	mkdir tar && tar --acls -cC d . | tar --acls -xC tar && same_lists d tar'
check "a snapshot has them, read-only" eval 'mkdir .snapshots/acl && same_lists d .snapshots/acl/d && ! setfacl -m u:9:r .snapshots/acl/d/f 2>"$work/said" &&
	grep -q "Read-only" "$work/said"'
check "a diff tells of a changed one" eval 'setfacl -m u:9:r d/f && [ "$(th diff "$mnt" acl)" = "M	/d/f" ] &&
	th diff --json "$mnt" acl | grep -q "\"xattr"'

# --- flags ---

needs_root "immutable: nothing changes it" eval 'echo x >i && chattr +i i && [ "$(lsattr i | cut -c5)" = i ] && ! rm -f i 2>/dev/null && ! eval "echo y >>i" 2>/dev/null && chattr -i i'
needs_root "an immutable directory keeps its names" eval 'mkdir id && touch id/x && chattr +i id && ! touch id/y 2>/dev/null && ! rm -f id/x 2>/dev/null &&
	! mv id/x id/y 2>/dev/null && touch id/x && chattr -i id && rm id/x'
needs_root "an append-only directory gets names, and loses none" eval 'mkdir ad && chattr +a ad && touch ad/x && ! rm -f ad/x 2>/dev/null && ! mv ad/x ad/y 2>/dev/null &&
	! ln -sf x ad/x 2>/dev/null && chattr -a ad && rm ad/x'
needs_root "only root sets them" eval 'touch h && chown 1234 h && ! as 1234:5 chattr +i h 2>/dev/null && as 1234:5 chattr +d h && [ "$(lsattr h | cut -c7)" = d ]'

# --- capabilities ---

# loses_capability COMMAND... : does a program lose its capabilities by that?
loses_capability() {
	[ -e program ] || { head -c 5000 /dev/urandom >program && chmod 755 program; }
	setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 program && getfattr -n security.capability program &&
		"$@" && ! getfattr -n security.capability program
}
needs_root "writing to a program takes its capabilities away" loses_capability eval 'echo >>program'
needs_root "so does truncating it" loses_capability truncate -s 3000 program
needs_root "so does opening it to truncate it" loses_capability eval ': >program'
needs_root "so does giving it to somebody" loses_capability chown 1:1 program
needs_root "so does copying into it" loses_capability dd if=/dev/zero of=program bs=1000 count=1 conv=notrunc status=none
needs_root "so does setting blocks aside" loses_capability fallocate -l 100000 program
labelled() {
	setfattr -n security.selinux -v label program && [ "$(getfattr -n security.selinux --only-values program)" = label ] &&
		cp -a program labelled && setfattr -x security.selinux program && ! getfattr -n security.selinux program
}
needs_root "a label can be given and taken" labelled
needs_root "so does punching a hole" loses_capability fallocate -p -o 0 -l 4096 program
needs_root "changing its mode does not" not loses_capability chmod 4711 program

# --- what other parts of the kernel do with files ---

refuse_swap() {
	fallocate -l 16M swap && chmod 600 swap && mkswap -q swap && ! swapon ./swap 2>"$work/said" && ! grep -q "$mnt/swap" /proc/swaps && rm swap
}
needs_root "swapping to a file is refused" refuse_swap
inner_filesystem() {
	truncate -s 64M ext4 && mkfs.ext4 -q ext4 && mkdir inner && mount -o loop ext4 inner && cp -a d inner/ &&
		head -c 20M /dev/urandom >inner/data && sync -f inner && umount inner && e2fsck -fn ext4
}
if losetup -f >/dev/null 2>&1; then
	needs_root "ext4 in a file, on a loop device" inner_filesystem
else
	tap_skip "ext4 in a file, on a loop device" "no loop devices"
fi
overlay() {
	mkdir -p lower/d merged && echo lower >lower/f && echo g >lower/d/g && mount -t overlay overlay -o "lowerdir=lower,upperdir=$1,workdir=$2" merged &&
		[ "$(cat merged/f)" = lower ] && echo upper >merged/f && rm merged/d/g && rmdir merged/d && mkdir merged/d && mv merged/f merged/h && echo n >merged/n &&
		! ls merged/d/g 2>/dev/null && umount merged && [ "$(cat lower/f lower/d/g)" = "lower
g" ] && mount -t overlay overlay -o "lowerdir=lower,upperdir=$1,workdir=$2" merged && [ "$(cat merged/h)" = upper ] && [ ! -e merged/f ] &&
		[ -z "$(ls merged/d)" ]
	local status=$?
	umount merged
	rm -rf lower merged
	return "$status"
}
lower_only() {
	local memory=$work/memory status
	mkdir "$memory" && mount -t tmpfs none "$memory" && mkdir "$memory/upper" "$memory/work" && overlay "$memory/upper" "$memory/work"
	status=$?
	umount "$memory"
	return "$status"
}
if grep -qw overlay /proc/filesystems; then
	needs_root "overlayfs over a directory here" lower_only
	needs_root "overlayfs with all of its layers here" eval 'mkdir upper work && overlay upper work && [ "$(stat -c %F:%t:%T upper/f)" = "character special file:0:0" ]'
else
	tap_skip "overlayfs over a directory here" "no overlayfs"
fi

# --- what a shell cannot ask ---

for probe in fallocate copy_file_range seek times xattrs relatime flags names symlinks renameat2 link_unlinked links telldir deep inotify flock fcntl ofd aio; do
	check "$probe" program posix "$probe"
done
# What only younger kernels ask FUSE filesystems for: O_TMPFILE since 6.1, times of birth since 6.6
for probe in tmpfile birth; do
	program posix "$probe" 2>"$work/said"
	case $? in
	0) check "$probe" true ;;
	77) tap_skip "$probe" "the kernel does not ask for it" ;;
	*) check_fails "$probe" cat "$work/said" ;;
	esac
done
for probe in immutable append_only; do
	needs_root "$probe, with a file that is open" program posix "$probe"
done

# --- the end ---

lists_of d >"$work/lists"
cd "$work" || exit 1
check "unmount" stop
check "check" th check "$image"
check "mount" start "$image" "$mnt"
check "the lists are there" eval 'lists_of "$mnt/d" | diff "$work/lists" -'
check "unmount again" stop
check "mount -o nodiratime" eval 'start -o nodiratime "$image" "$mnt" && stop'
for mode in noatime strictatime; do
	check "mount -o $mode" start -o "$mode" "$image" "$mnt"
	check "times of access follow it" eval 'cd "$mnt" && program posix "$mode"'
	cd "$work" || exit 1
	check "unmount" stop
done
check "mount -o commit=600" start -o commit=600 "$image" "$mnt"
check "aio_durable" eval 'cd "$mnt" && program posix aio_durable'
cd "$work" || exit 1
killed() {
	kill -9 "$daemon"
	gone "$daemon" 30
	umount "$mnt" && start "$image" "$mnt"
}
check "killed, and mounted again" killed
check "what was written asynchronously with O_DSYNC is there" eval '[ "$(tr -dc d <"$mnt/aio_durable" | wc -c)" -eq 262144 ]'
check "unmount" stop
check "check" th check "$image"
tap_done
