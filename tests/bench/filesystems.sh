#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Thunderhead among other filesystems: the same work on each in turn, every one on a loop device of its own over the same
# disk.  Prints what each phase took, in seconds (the median of the runs), and how many times as long it took Thunderhead;
# then the same of the bytes that the device wrote.
#
#   filesystems.sh [-r RUNS] [-s] [FILESYSTEM...]     thunderhead ext4 btrfs zfs-fuse bindfs; -s: small, for a look
#
# THUNDERHEAD and TH_BENCH_FILES name the programs.  The tree that is unpacked comes from Debian's linux-source-6.1, or is TH_BENCH_TREE, a
# tar archive.  Takes root, some 15 GB in TMPDIR, and of Debian's packages btrfs-progs, zfs-fuse and bindfs those that
# the filesystems asked for need: what is missing is said and skipped.  Exits 77 if it cannot run.
#
# What is written counts as done when it is on the disk.  sync(2) does not reach a FUSE daemon; there a snapshot, which
# makes everything durable, stands for it.
set -uo pipefail
: "${THUNDERHEAD:?the program}"
: "${TH_BENCH_FILES:?bench_files}"
runs=3
small=
while getopts r:s option; do
	case $option in
	r) runs=$OPTARG ;;
	s) small=1 ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
read -ra filesystems <<<"${*:-thunderhead ext4 btrfs zfs-fuse bindfs}"
if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/loop-control ]; then
	echo "skipped: mounting loop devices takes root" >&2
	exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/thunderhead-filesystems.XXXXXX")
mnt=$work/mnt
mkdir "$mnt" "$work/below"
fs=none
loop=
export LC_ALL=C

have() {
	command -v "$1" >/dev/null
}

# --- the filesystems: make on $loop, attach and detach; durable makes everything durable ---

thunderhead_make() { "$THUNDERHEAD" mkfs "$loop" >/dev/null; }
thunderhead_attach() { "$THUNDERHEAD" mount -o allow_other "$loop" "$mnt"; }
thunderhead_detach() { umount "$mnt" && flock -w 60 "$loop" true; }
thunderhead_durable() { mkdir "$mnt/.snapshots/durable" && rmdir "$mnt/.snapshots/durable"; }
thunderhead_snapshot() { "$THUNDERHEAD" snapshot create "$mnt" "$1" >/dev/null; }
thunderhead_delete() { "$THUNDERHEAD" snapshot delete "$mnt" "$1"; }
thunderhead_diff() { { "$THUNDERHEAD" diff "$mnt" "$1" "$2" || [ $? -eq 1 ]; } | wc -l; } # 1: there are differences
thunderhead_old() { echo "$mnt/.snapshots/$1/tree"; }

ext4_make() { mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$loop"; }
ext4_attach() { mount "$loop" "$mnt"; }
ext4_detach() { umount "$mnt"; }
ext4_durable() { sync -f "$mnt"; }

btrfs_make() { mkfs.btrfs -q -f "$loop"; }
btrfs_attach() { mount "$loop" "$mnt"; }
btrfs_detach() { umount "$mnt"; }
btrfs_durable() { sync -f "$mnt"; }
btrfs_snapshot() { btrfs -q subvolume snapshot -r "$mnt" "$mnt/snapshot-$1"; }
btrfs_delete() { btrfs -q subvolume delete "$mnt/snapshot-$1"; }
btrfs_diff() { btrfs -q send --no-data -p "$mnt/snapshot-$1" "$mnt/snapshot-$2" | wc -c; }
btrfs_old() { echo "$mnt/snapshot-$1/tree"; }

zfs_fuse_make() {
	pgrep -x zfs-fuse >/dev/null || zfs-fuse || return
	sleep 1
	zpool create -f -m none thunderhead-bench "$loop" && zfs set mountpoint="$mnt" thunderhead-bench
}
zfs_fuse_attach() { mountpoint -q "$mnt" || { zpool list thunderhead-bench >/dev/null 2>&1 || zpool import -d "$work/devices" thunderhead-bench; }; }
zfs_fuse_detach() { zpool export thunderhead-bench; }
zfs_fuse_durable() { sync; }
zfs_fuse_snapshot() { zfs snapshot "thunderhead-bench@$1"; }
zfs_fuse_delete() { zfs destroy "thunderhead-bench@$1"; }
zfs_fuse_end() { zpool destroy thunderhead-bench 2>/dev/null; }

bindfs_make() { mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$loop"; }
bindfs_attach() { mount "$loop" "$work/below" && bindfs "$work/below" "$mnt"; }
bindfs_detach() { umount "$mnt" && umount "$work/below"; }
bindfs_durable() { sync -f "$work/below"; }

# of NAME ARGUMENT... : the present filesystem's own
of() {
	local name=${fs//-/_}_$1
	shift
	"$name" "$@"
}

can() {
	declare -F "${fs//-/_}_$1" >/dev/null
}

cold() {
	of detach && echo 3 >/proc/sys/vm/drop_caches && of attach
}

usable() {
	case $fs in
	thunderhead) true ;;
	ext4) have mkfs.ext4 ;;
	btrfs) have mkfs.btrfs ;;
	zfs-fuse) have zfs-fuse ;;
	bindfs) have bindfs ;;
	*) false ;;
	esac
}

begin() {
	truncate -s 16G "$work/disk" && loop=$(losetup --find --show "$work/disk") && of make && of attach
}

end() {
	of detach 2>/dev/null || { mountpoint -q "$mnt" && umount -l "$mnt"; }
	if can end; then of end; fi
	[ -z "$loop" ] || losetup -d "$loop"
	loop=
	rm -f "$work/disk"
}

cleanup() {
	end >/dev/null 2>&1
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# --- phases ---

# MB written to the device, so far
written() {
	awk '{ print $7 * 512 / 1e6 }' "/sys/block/${loop#/dev/}/stat"
}

# phase NAME COMMAND... : runs it, and notes how long it took and what the device wrote meanwhile
phase() {
	local name=$1 from to before
	shift
	before=$(written)
	from=$EPOCHREALTIME
	if ! "$@" >"$work/out" 2>&1; then
		printf '%s: %s failed:\n' "$fs" "$name" >&2
		tail -n 5 "$work/out" >&2
		return 1
	fi
	to=$EPOCHREALTIME
	awk -v n="$name" -v f="$fs" -v a="$from" -v b="$to" -v v="$before" -v w="$(written)" \
		'BEGIN { printf "%s|%s|%.4f|%.1f\n", n, f, b - a, w - v }' | tee -a "$work/result"
}

unpack() { mkdir "$mnt/tree" && tar -xf "$archive" -C "$mnt/tree" && of durable; }
find_all() { [ "$(find "$mnt/tree" | wc -l)" -eq "$entries" ]; }
read_all() { tar -cf - -C "$mnt/tree" . | wc -c; }
list_all() { ls -lR "$mnt/tree"; }
search_all() { [ -n "$(grep -rl EXPORT_SYMBOL_GPL "$mnt/tree")" ]; }
copy_part() { cp -a "$mnt/tree/$part" "$mnt/$1"; }
remove_all() { rm -rf "$mnt/tree" "$mnt/copy"; }
hundred() { for i in {1..100}; do of "$1" "n$i" || return; done; }
touch_some() { find "$mnt/tree" -type f | awk 'NR % 50 == 0' | while read -r file; do echo >>"$file"; done; }
copy_old() { cp -a "$(of old before)/$part" "$mnt/old"; }
create_many() { "$TH_BENCH_FILES" create "$mnt/many" "$creates" 4096 2 && of durable; }
create_durable() { "$TH_BENCH_FILES" create "$mnt/few" "$durable_creates" 4096 1 fsync; }
checkout() { git clone -q --shared "$work/repository" "$mnt/git" && of durable; }
status() { [ -z "$(git -C "$mnt/git" status --porcelain)" ]; }
build() { cp -r "$work/project" "$mnt/project" && meson setup "$mnt/project/build" "$mnt/project" -Dtests=disabled && ninja -C "$mnt/project/build"; }
write_data() { "$TH_BENCH_FILES" write "$mnt/file" "$size" "$@"; }
read_data() { "$TH_BENCH_FILES" read "$mnt/file" "$size" "$@"; }

phases() {
	phase "untar, durable" unpack || return
	cold && phase "find, cold" find_all
	cold && phase "read all, cold" read_all
	list_all >/dev/null && search_all && find_all
	phase "find, warm" find_all
	phase "ls -lR, warm" list_all
	phase "grep -r, warm" search_all
	phase "cp -a of a part" copy_part copy
	if can snapshot; then
		phase "100 snapshots" hundred snapshot
		phase "deleting them" hundred delete
	fi
	if can diff; then
		of snapshot before && touch_some && of snapshot after
		phase "diff, 1 file in 50 touched" of diff before after
		phase "cp -a of a part from a snapshot" copy_old
		of delete before && of delete after && rm -rf "$mnt/old"
	fi
	phase "rm -rf of all" remove_all
	if have git; then
		phase "git clone, durable" checkout && status
		phase "git status, warm" status
		rm -rf "$mnt/git"
	fi
	if have meson && have ninja; then
		phase "build of this project" build
		rm -rf "$mnt/project"
	fi
	phase "creates of 4 KiB" create_many
	rm -rf "$mnt/many"
	phase "creates of 4 KiB, fsync each" create_durable
	phase "sequential write, fsync" write_data 1048576 "$size" seq end
	cold && phase "sequential read, cold" read_data 1048576 "$size" seq
	phase "random 4 KiB writes, fsync" write_data 4096 "$random_writes" random end
	phase "random 4 KiB writes, fsync each" write_data 4096 "$durable_writes" random each
	cold && phase "random 4 KiB reads, cold" read_data 4096 "$random_reads" random
}

# --- the tree ---

archive=${TH_BENCH_TREE:-}
source=/usr/src/linux-source-6.1.tar.xz
creates=50000 durable_creates=1000 size=$((1 << 30)) random_writes=$((256 << 20)) durable_writes=$((8 << 20)) random_reads=$((64 << 20))
[ -z "$small" ] || { creates=2000 durable_creates=50 size=$((64 << 20)) random_writes=$((16 << 20)) durable_writes=$((1 << 20)) random_reads=$((4 << 20)); }
if [ -z "$archive" ]; then
	[ -e "$source" ] || { echo "skipped: neither TH_BENCH_TREE nor $source is there" >&2; exit 77; }
	mkdir "$work/tree"
	parts=(fs net kernel include mm lib block crypto security)
	[ -z "$small" ] || parts=(fs)
	tar -xf "$source" -C "$work/tree" --strip-components=1 "${parts[@]/#/linux-source-6.1/}" || exit
	archive=$work/tree.tar
	tar -cf "$archive" -C "$work/tree" . && rm -rf "$work/tree"
fi
if have git; then
	mkdir "$work/repository" && tar -xf "$archive" -C "$work/repository" && git -C "$work/repository" init -q &&
		git -C "$work/repository" add -Af . && git -C "$work/repository" -c user.name=bench -c user.email=bench commit -qm tree || exit
fi
mkdir "$work/project" && tar -cf - -C "$(dirname "$0")/../.." --exclude ./build --exclude ./.git . | tar -xf - -C "$work/project"
tar -tf "$archive" >"$work/list" || exit
entries=$(wc -l <"$work/list")
part=$(sed 's,^\./,,' "$work/list" | cut -d/ -f1 | grep . | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }')
! grep -q '^\./fs/' "$work/list" || part=fs

: >"$work/result"
for ((run = 0; run < runs; run++)); do
	for fs in "${filesystems[@]}"; do
		usable || { echo "skipped: $fs is not there" >&2; continue; }
		begin && phases
		end
	done
done

# A row a phase, in the order in which they were run: field $1 of the results.  $2: what Thunderhead's must be
# for the row to be printed.
table() {
	awk -F'|' -v order="${filesystems[*]}" -v field="$1" -v least="${2:-0}" '
	!($1 in seen) { seen[$1] = 1; phase[++phases] = $1 }
	{ figures[$1, $2] = figures[$1, $2] " " $field }
	function median(list, a, n, i, j, t) {
		n = split(list, a, " ")
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
		return n ? a[int((n + 1) / 2)] : ""
	}
	END {
		n = split(order, fs, " ")
		printf "| phase |"; for (i = 1; i <= n; i++) printf " %s |", fs[i]; print ""
		printf "| --- |"; for (i = 1; i <= n; i++) printf " ---: |"; print ""
		for (p = 1; p <= phases; p++) {
			ours = median(figures[phase[p], "thunderhead"])
			if (ours + 0 < least) continue
			printf "| %s |", phase[p]
			for (i = 1; i <= n; i++) {
				t = median(figures[phase[p], fs[i]])
				if (t == "") printf " |"
				else if (fs[i] == "thunderhead" || ours == "" || t == 0) printf " %.3f |", t
				else printf " %.3f (%.2f) |", t, ours / t
			}
			print ""
		}
	}' "$work/result"
}

printf '\n%s entries, %s runs, the part is %s; seconds, and Thunderhead against each\n\n' "$entries" "$runs" "$part"
table 3
printf '\nMB written to the device meanwhile, where Thunderhead writes at least one\n\n'
table 4 1
