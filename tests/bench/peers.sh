# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# The filesystems that filesystems.sh compares; sourced by it.  For each, on the loop device $loop and mounted at $mnt:
#
#   X_missing                        prints the programs that it needs and that are not installed
#   X_make, X_attach, X_detach       attach begins with empty caches; X_keep replaces both and drops the caches
#   X_durable                        makes all written data durable
#   X_end                            ends what make has started
#   X_snapshot, X_delete, X_count    takes, deletes and counts snapshots
#   X_old                            prints the directory in which a snapshot shows the tree
#   X_diff, X_changed                a diff of two snapshots, and the number of files it finds changed
#   X_timeless                       defined if the filesystem does not keep times
#   X_zeros                          defined if it discards data: phases that read data back are skipped
#
# A function that a filesystem cannot provide is not defined.  sync(2) does not reach a FUSE daemon; a snapshot, which
# makes everything durable, replaces it.

have() {
	command -v "$1" >/dev/null
}

# need COMMAND PACKAGE
need() {
	have "$1" || echo "$1 is not installed (Debian: $2)"
}

drop_caches() {
	echo 3 >/proc/sys/vm/drop_caches
}

thunderhead_missing() { :; }
thunderhead_make() { "$THUNDERHEAD" mkfs "$loop" >/dev/null; }
thunderhead_attach() { mount_detached -o allow_other "$loop" "$mnt"; }
thunderhead_detach() { umount "$mnt" && unlocked "$loop"; }
thunderhead_durable() { mkdir "$mnt/.snapshots/durable" && rmdir "$mnt/.snapshots/durable"; }
thunderhead_snapshot() { "$THUNDERHEAD" snapshot create "$mnt" "$1" >/dev/null; }
thunderhead_delete() { "$THUNDERHEAD" snapshot delete "$mnt" "$1"; }
thunderhead_count() { find "$mnt/.snapshots" -mindepth 1 -maxdepth 1 | wc -l; }
thunderhead_old() { echo "$mnt/.snapshots/$1/tree"; }
thunderhead_diff() { "$THUNDERHEAD" diff "$mnt" "$1" "$2" || [ $? -eq 1 ]; } # 1: there are differences
thunderhead_changed() { thunderhead_diff "$1" "$2" | grep -c '^M'; }

ext4_missing() { need mkfs.ext4 e2fsprogs; }
ext4_make() { mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$loop"; }
ext4_attach() { mount "$loop" "$mnt"; }
ext4_detach() { umount "$mnt"; }
ext4_durable() { sync -f "$mnt"; }

btrfs_missing() { need mkfs.btrfs btrfs-progs; }
btrfs_make() { mkfs.btrfs -q -f "$loop"; }
btrfs_attach() { mount "$loop" "$mnt"; }
btrfs_detach() { umount "$mnt"; }
btrfs_durable() { sync -f "$mnt"; }
btrfs_snapshot() { btrfs -q subvolume snapshot -r "$mnt" "$mnt/snapshot-$1"; }
btrfs_delete() { btrfs -q subvolume delete "$mnt/snapshot-$1"; }
btrfs_count() { find "$mnt" -maxdepth 1 -name 'snapshot-*' | wc -l; }
btrfs_old() { echo "$mnt/snapshot-$1/tree"; }
btrfs_diff() { btrfs -q send --no-data -p "$mnt/snapshot-$1" "$mnt/snapshot-$2"; }
btrfs_changed() { btrfs_diff "$1" "$2" | btrfs receive --dump | awk '$1 == "update_extent" { print $2 }' | sort -u | wc -l; }

# Its snapshots can be read through a clone only, and it has no diff.
zfs_pool=thunderhead-bench
zfs_fuse_missing() {
	need zfs-fuse zfs-fuse
	[ -n "${zfs_daemon:-}" ] || ! pgrep -x zfs-fuse >/dev/null || echo 'another zfs-fuse is running'
}
zfs_fuse_make() {
	mkdir -p "$work/devices" && ln -sfn "$loop" "$work/devices/disk" || return
	zfs-fuse --no-daemon --no-kstat-mount >"$work/zfs-fuse.log" 2>&1 &
	zfs_daemon=$!
	wait_for zpool list >/dev/null 2>&1 || return
	zpool create -f -m none -o cachefile=none "$zfs_pool" "$work/devices/disk" && zfs set mountpoint="$mnt" "$zfs_pool"
}
zfs_fuse_attach() { mountpoint -q "$mnt" || zpool import -o cachefile=none -d "$work/devices" "$zfs_pool"; }
zfs_fuse_detach() { zpool export "$zfs_pool"; }
zfs_fuse_durable() { zfs_fuse_snapshot durable && zfs_fuse_delete durable; }
zfs_fuse_snapshot() { zfs snapshot "$zfs_pool@$1"; }
zfs_fuse_delete() { zfs destroy "$zfs_pool@$1"; }
zfs_fuse_count() { zfs list -t snapshot -H -o name 2>/dev/null | grep -c "^$zfs_pool@"; }
zfs_fuse_end() {
	[ -n "${zfs_daemon:-}" ] || return 0
	zpool destroy -f "$zfs_pool" 2>/dev/null
	kill "$zfs_daemon" && wait "$zfs_daemon"
	zfs_daemon=
}

# The cost of passing every request on: bindfs over ext4
bindfs_missing() { need bindfs bindfs && need mkfs.ext4 e2fsprogs; }
bindfs_make() { ext4_make; }
bindfs_attach() { mount "$loop" "$work/below" && bindfs "$work/below" "$mnt"; }
bindfs_detach() { umount "$mnt" && umount "$work/below"; }
bindfs_durable() { sync -f "$work/below"; }
bindfs_timeless() { :; }

# The cost of FUSE itself: null_fs.c
null_missing() { :; }
null_make() { :; }
null_attach() { "$TH_NULL_FS" "$mnt"; }
null_detach() { umount "$mnt"; }
null_keep() { drop_caches; }
null_durable() { :; }
null_zeros() { :; }

# The same, but it claims to keep data, which the comparison must detect: for test_filesystems.sh.
liar_missing() { :; }
liar_make() { :; }
liar_attach() { null_attach; }
liar_detach() { null_detach; }
liar_keep() { drop_caches; }
liar_durable() { :; }

# of NAME ARGUMENT... : calls the function of the current filesystem
of() {
	local name=${fs//-/_}_$1
	shift
	"$name" "$@"
}

# can NAME : true if the current filesystem has the function
can() {
	declare -F "${fs//-/_}_$1" >/dev/null
}

# Empties all caches, of the kernel and of a daemon.
cold() {
	if can keep; then
		of keep
	else
		of detach && drop_caches && of attach
	fi
}

begin() {
	truncate -s 16G "$work/disk" && loop=$(losetup --find --show "$work/disk") && of make && of attach
}

end() {
	local from=$SECONDS
	until of detach 2>/dev/null || ! mountpoint -q "$mnt"; do
		[ $((SECONDS - from)) -lt 10 ] || umount -l "$mnt"
		sleep 0.2
	done
	! mountpoint -q "$work/below" || umount "$work/below"
	if can end; then of end; fi
	[ -z "$loop" ] || losetup -d "$loop"
	loop=
	rm -f "$work/disk"
}
