#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What POSIX and Linux promise of a filesystem, beyond the needs of everyday programs (programs.sh).
. "$(dirname "$0")/../support/mount_test.sh"
umask 022
root=$([ "$(id -u)" -eq 0 ] && echo yes)
check "mkfs and mount" fresh 1G
chmod 755 "$work"
cd "$mnt" || bail_out "cd $mnt"

# as UID[:GID] COMMAND... : as another user
as() {
	local user=$1
	shift
	setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups "$@"
}

# needs_root NAME COMMAND... : a check that takes root
needs_root() {
	if [ "$root" ]; then
		check "$@"
	else
		tap_skip "$1" "not root"
	fi
}

mode_is() {
	is "$1" "$(stat -c %a "$2")"
}

# --- access control lists ---

# The access control list of a file, in one line
list() {
	getfacl -cn --absolute-names "$1" | sed 's/[ \t]*#.*//' | paste -sd, | sed 's/,*$//'
}

list_is() {
	is "$1" "$(list "$2")"
}

check "setfacl changes the mode" eval 'echo secret >a && chmod 640 a && setfacl -m u:1234:rw a && mode_is 660 a &&
	list_is user::rw-,user:1234:rw-,group::r--,mask::rw-,other::--- a'
needs_root "a list grants and denies access" eval 'as 1234:5 grep -q secret a && ! as 1235:5 cat a 2>/dev/null &&
	setfacl -m u:1236:- a && chmod o+r a && as 1235:5 cat a && ! as 1236:5 cat a 2>/dev/null && chmod o-r a && setfacl -x u:1236 a'
check "chmod changes the mask of a list" eval 'chmod 600 a && list_is user::rw-,user:1234:rw-,group::r--,mask::---,other::--- a && mode_is 600 a'
needs_root "the mask limits access" eval '! as 1234:5 cat a 2>/dev/null && chmod 640 a && as 1234:5 cat a && ! as 1234:5 sh -c "echo >>a" 2>/dev/null'
check "setfacl -b removes a list" eval 'chmod 660 a && setfacl -b a && list_is user::rw-,group::r--,other::--- a && mode_is 640 a && [ -z "$(getfattr -m - a)" ]'
check "setfacl -b of a file without a list succeeds" setfacl -b a
check "a list equal to the mode is stored as the mode alone" eval 'setfacl -m u::r,g::-,o::w a && mode_is 402 a && [ -z "$(getfattr -m - a)" ] && chmod 640 a'
check "a directory has a default list" eval 'mkdir d && setfacl -d -m u:1234:rwx,g:55:rx,o::- d && mode_is 755 d &&
	list_is user::rwx,group::r-x,other::r-x,default:user::rwx,default:user:1234:rwx,default:group::r-x,default:group:55:r-x,default:mask::rwx,default:other::--- d'
inherited=user:1234:rwx,group::r-x,group:55:r-x
check "new files inherit the default list and ignore the umask" eval '(umask 077 && touch d/f && mkdir d/d && mkfifo d/p && ln -s nowhere d/l) &&
	mode_is 660 d/f && list_is "user::rw-,$inherited,mask::rw-,other::---" d/f && list_is "user::rw-,$inherited,mask::rw-,other::---" d/p &&
	mode_is 770 d/d && list_is "user::rwx,$inherited,mask::rwx,other::---,default:user::rwx,default:user:1234:rwx,default:group::r-x,default:group:55:r-x,default:mask::rwx,default:other::---" d/d'
check "the umask applies where there is no default list" eval '(umask 027 && touch u && mkdir v && mkfifo w) && mode_is 640 u && mode_is 750 v && mode_is 640 w'
check_fails "a default list of a file is refused" setfacl -d -m u:1234:r a
refused_value() {
	setfattr "$@" 2>&1 | grep -q 'Invalid argument'
}
check "a malformed list is refused" eval 'refused_value -n system.posix_acl_access -v 0x02 a && refused_value -n system.posix_acl_access \
	-v 0x0200000001000600ffffffff04000400ffffffff a && refused_value -n system.posix_acl_default -v 0x0200000001000600ffffffff04 d &&
	list_is user::rw-,group::r--,other::--- a'
set_gid_is_cleared() {
	touch g && chown 1234:55 g && chmod 2770 g && as 1234:55 setfacl -m u:7:r g && mode_is 2770 g &&
		as 1234:5 setfacl -m u:8:r g && mode_is 770 g
}
needs_root "setfacl by a user outside the group clears set-gid" set_gid_is_cleared
lists_of() {
	(cd "$1" && find . ! -type l -exec getfacl -n {} + | grep -v '^# owner\|^# group')
}
same_lists() {
	lists_of "$1" >"$work/a" && lists_of "$2" | diff "$work/a" -
}
check "cp -a, rsync -A and tar --acls copy lists" eval 'setfacl -m u:9:x d/d && cp -a d cp && same_lists d cp && rsync -aA d/ rsync && same_lists d rsync &&
	mkdir tar && tar --acls -cC d . | tar --acls -xC tar && same_lists d tar'
check "a snapshot has the lists, read-only" eval 'mkdir .snapshots/acl && same_lists d .snapshots/acl/d && ! setfacl -m u:9:r .snapshots/acl/d/f 2>"$work/said" &&
	grep -q "Read-only" "$work/said"'
check "diff reports a changed list" eval 'setfacl -m u:9:r d/f && is "M	/d/f" "$(th diff "$mnt" acl)" &&
	th diff --json "$mnt" acl | grep -q "\"xattr"'

# --- flags ---

needs_root "an immutable file refuses every change" eval 'echo x >i && chattr +i i && [ "$(lsattr i | cut -c5)" = i ] && ! rm -f i 2>/dev/null && ! eval "echo y >>i" 2>/dev/null && chattr -i i'
needs_root "an immutable directory refuses changes of its names" eval 'mkdir id && touch id/x && chattr +i id && ! touch id/y 2>/dev/null && ! rm -f id/x 2>/dev/null &&
	! mv id/x id/y 2>/dev/null && touch id/x && chattr -i id && rm id/x'
needs_root "an append-only directory accepts new names and loses none" eval 'mkdir ad && chattr +a ad && touch ad/x && ! rm -f ad/x 2>/dev/null && ! mv ad/x ad/y 2>/dev/null &&
	! ln -sf x ad/x 2>/dev/null && chattr -a ad && rm ad/x'
needs_root "only root sets the flags immutable and append-only" eval 'touch h && chown 1234 h && ! as 1234:5 chattr +i h 2>/dev/null && as 1234:5 chattr +d h && [ "$(lsattr h | cut -c7)" = d ]'

# --- capabilities ---

# loses_capability COMMAND... : true if the command clears the capabilities of a program
loses_capability() {
	[ -e program ] || { head -c 5000 /dev/urandom >program && chmod 755 program; }
	setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 program && getfattr -n security.capability program &&
		"$@" && ! getfattr -n security.capability program
}
needs_root "a write clears the capabilities of a program" loses_capability eval 'echo >>program'
needs_root "truncate clears them" loses_capability truncate -s 3000 program
needs_root "open with O_TRUNC clears them" loses_capability eval ': >program'
needs_root "chown clears them" loses_capability chown 1:1 program
needs_root "writing into the middle clears them" loses_capability dd if=/dev/zero of=program bs=1000 count=1 conv=notrunc status=none
needs_root "fallocate clears them" loses_capability fallocate -l 100000 program
labelled() {
	setfattr -n security.selinux -v label program && [ "$(getfattr -n security.selinux --only-values program)" = label ] &&
		cp -a program labelled && setfattr -x security.selinux program && ! getfattr -n security.selinux program
}
needs_root "a security label can be set, copied and removed" labelled
needs_root "punching a hole clears them" loses_capability fallocate -p -o 0 -l 4096 program
needs_root "chmod keeps them" not loses_capability chmod 4711 program

# --- other users of files in the kernel ---

refuse_swap() {
	fallocate -l 16M swap && chmod 600 swap && mkswap -q swap && ! swapon ./swap 2>"$work/said" && ! grep -q "$mnt/swap" /proc/swaps && rm swap
}
needs_root "a swap file is refused" refuse_swap
inner_filesystem() {
	truncate -s 64M ext4 && mkfs.ext4 -q ext4 && mkdir inner && mount -o loop ext4 inner && cp -a d inner/ &&
		head -c 20M /dev/urandom >inner/data && sync -f inner && umount inner && e2fsck -fn ext4
}
if losetup -f >/dev/null 2>&1; then
	needs_root "a file backs a loop device with ext4" inner_filesystem
else
	tap_skip "a file backs a loop device with ext4" "no loop devices"
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
	needs_root "overlayfs accepts a lower layer here" lower_only
	needs_root "overlayfs accepts all of its layers here" eval 'mkdir upper work && overlay upper work && is "character special file:0:0" "$(stat -c %F:%t:%T upper/f)"'
else
	tap_skip "overlayfs accepts a lower layer here" "no overlayfs"
fi

# --- system calls that a shell cannot make: posix.c ---

for probe in fallocate copy_file_range seek times xattrs relatime flags names symlinks renameat2 link_unlinked links telldir deep inotify flock fcntl ofd aio; do
	check "probe $probe" program posix "$probe"
done
# Requests that only newer kernels send to FUSE filesystems: O_TMPFILE since 6.1, times of birth since 6.6
for probe in tmpfile birth; do
	program posix "$probe" 2>"$work/said"
	probe_status=$?
	if [ "$probe_status" -eq 77 ]; then
		tap_skip "probe $probe" "the kernel does not send it"
	else
		check "probe $probe" eval 'cat "$work/said" && is 0 "$probe_status"'
	fi
done
for probe in immutable append_only; do
	needs_root "probe $probe, of an open file" program posix "$probe"
done

# --- after the next mount ---

lists_of d >"$work/lists"
cd "$work" || exit
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
check "the image mounts again" start "$image" "$mnt"
check "the lists are there after the next mount" eval 'lists_of "$mnt/d" | diff "$work/lists" -'
check "unmount again" stop
check "mount -o nodiratime is accepted" eval 'start -o nodiratime "$image" "$mnt" && stop'
for mode in noatime strictatime; do
	check "mount -o $mode" start -o "$mode" "$image" "$mnt"
	check "access times follow $mode" eval 'cd "$mnt" && program posix "$mode"'
	cd "$work" || exit
	check "unmount after $mode" stop
done
check "mount -o commit=600" start -o commit=600 "$image" "$mnt"
check "probe aio_durable" eval 'cd "$mnt" && program posix aio_durable'
cd "$work" || exit
killed() {
	kill -9 "$daemon"
	wait_for ended "$daemon" && unmount "$mnt" && start "$image" "$mnt"
}
check "the image mounts after a kill" killed
check "an asynchronous write with O_DSYNC survives a kill" eval 'is 262144 "$(tr -dc d <"$mnt/aio_durable" | wc -c)"'
check "unmount after the kill" stop
check "nothing is wrong in the image at the end" th check "$image"
tap_done
