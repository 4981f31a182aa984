#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# That nobody waits for another's disk: an image on a loop device that gives the daemon so many reads a second and no more;
# programs that read files with nothing cached, then others that write 100 bytes here and there, for which the rest of the
# block must be read: each waits for the disk.  Beside them one that asks for attributes of these very files, and makes others.
# Prints what that one waits: while nobody else does, beside the readers, and beside the writers.
#
#   slow_disk.sh [-i READS-A-SECOND] [-s SECONDS]     20, and 8
#
# THUNDERHEAD, TH_BENCH_FILES and TH_BENCH_LATENCY name the programs.  Takes root, and the controller of block devices, of
# cgroup v1 or v2, mounted.  Exits 77 if it cannot run.
set -uo pipefail
: "${THUNDERHEAD:?the program}"
: "${TH_BENCH_FILES:?bench_files}"
: "${TH_BENCH_LATENCY:?bench_latency}"
reads=20 seconds=8 programs=3 size=$((128 << 20))
while getopts i:s: option; do
	case $option in
	i) reads=$OPTARG ;;
	s) seconds=$OPTARG ;;
	*) exit 2 ;;
	esac
done
if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/loop-control ] || [ ! -e /dev/fuse ]; then
	echo "skipped: mounting loop devices takes root, and FUSE" >&2
	exit 77
fi
v1=$(awk '$3 == "cgroup" && $4 ~ /(^|,)blkio(,|$)/ { print $2; exit }' /proc/mounts)
v2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
if [ -n "$v1" ]; then
	groups=$v1 file=blkio.throttle.read_iops_device key='' none=0
elif [ -n "$v2" ] && grep -qw io "$v2/cgroup.controllers" && echo +io >"$v2/cgroup.subtree_control"; then
	groups=$v2 file=io.max key=riops= none=max
else
	echo "skipped: no cgroup has the controller of block devices" >&2
	exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/thunderhead-slow.XXXXXX")
mnt=$work/mnt group=$groups/${work##*/} loop='' daemon='' jobs=()
export LC_ALL=C

cleanup() {
	[ ${#jobs[@]} -eq 0 ] || kill "${jobs[@]}" 2>/dev/null
	limit "$none" 2>/dev/null
	[ -z "$daemon" ] || { umount "$mnt" 2>/dev/null || umount -l "$mnt"; wait "$daemon"; }
	[ -z "$loop" ] || losetup -d "$loop"
	rmdir "$group"
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# limit READS : a second
limit() {
	echo "$(cat "/sys/block/${loop#/dev/}/dev") $key$1" >"$group/$file"
}

attach() {
	(echo "$BASHPID" >"$group/cgroup.procs" && exec "$THUNDERHEAD" mount -f "$loop" "$mnt") &
	daemon=$!
	until mountpoint -q "$mnt"; do
		kill -0 "$daemon" 2>/dev/null || exit
		sleep 0.01
	done
}

cold() {
	umount "$mnt" && wait "$daemon"
	daemon=
	echo 3 >/proc/sys/vm/drop_caches
	attach
}

transfers() {
	awk '{ print $1 }' "/sys/block/${loop#/dev/}/stat"
}

fill() {
	mkdir "$mnt/used" "$mnt/quiet" "$mnt/read" "$mnt/written"
	for ((i = 0; i < programs; i++)); do
		"$TH_BENCH_FILES" write "$mnt/used/read-$i" "$size" $((1 << 20)) "$size" seq end || exit
		"$TH_BENCH_FILES" write "$mnt/used/written-$i" "$size" $((1 << 20)) "$size" seq end || exit
	done
}

# start PROGRAM COMMAND BLOCK [ARGUMENT] : in the background, each with a file of its own
start() {
	jobs=()
	for ((i = 0; i < programs; i++)); do
		"$TH_BENCH_FILES" "$2" "$mnt/used/$1-$i" "$size" "$3" "$size" random ${4+"$4"} &
		jobs+=($!)
	done
	sleep 1 # until all wait
}

stop() {
	kill "${jobs[@]}"
	wait "${jobs[@]}" 2>/dev/null
	jobs=()
}

# row DIRECTORY WHO
row() {
	"$TH_BENCH_LATENCY" "$mnt/used" "$mnt/$1" "$seconds" >"$work/times" || exit
	awk -F'|' -v who="$2" '{ printf "| %s, %s | %d | %d | %d | %d |\n", $1, who, $2, $3, $4, $5 }' "$work/times"
}

# row_beside COMMAND BLOCK DIRECTORY WHO : while the programs run
row_beside() {
	local before

	cold || exit
	ls -l "$mnt/used" >"$work/listing" # before anybody has to wait
	limit "$reads"
	before=$(transfers)
	start "$3" "$1" "$2" ${5+"$5"}
	row "$3" "$4"
	stop
	told+="$(($(transfers) - before)) transfers in $((seconds + 1)) s beside those $4; "
	limit "$none"
}

mkdir "$mnt" "$group" && truncate -s 4G "$work/disk" && loop=$(losetup --find --show "$work/disk") || exit
"$THUNDERHEAD" mkfs "$loop" >/dev/null && attach && fill && cold || exit
ls -l "$mnt/used" >"$work/listing"
told=''
printf '| microseconds | number | median | 99 %% | longest |\n| --- | ---: | ---: | ---: | ---: |\n'
row quiet "nobody else"
row_beside read 4096 read "$programs reading"
row_beside write 100 written "$programs writing" each
printf '\n%sthe disk gives %d a second\n' "$told" "$reads"
