#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Latency beside programs that wait for the disk.  The image is on a loop device with a limited number of reads a
# second.  Some programs read files that are not cached; then others write 100 bytes at random places, for which the
# rest of the block must be read: all of them wait for the disk.  Beside them one program asks for attributes of these
# files and creates others; its latency is printed: alone, beside the readers, and beside the writers.
#
#   slow_disk.sh [-i READS-A-SECOND] [-s SECONDS]     20, and 8
#
# THUNDERHEAD, TH_BENCH_FILES and TH_BENCH_LATENCY name the programs.  Takes root and a mounted cgroup, v1 or v2, with
# the controller of block devices.  Exits 77 if it cannot run.
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
mnt=$work/mnt group=$groups/${work##*/} loop='' jobs=()
export LC_ALL=C
. "$(dirname "$0")/../support/mount.sh"
launcher=(in_group)

cleanup() {
	[ ${#jobs[@]} -eq 0 ] || kill "${jobs[@]}" 2>/dev/null
	limit "$none" 2>/dev/null
	unmount_below "$work"
	[ -z "$loop" ] || losetup -d "$loop"
	rmdir "$group"
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# limit READS : a second
limit() {
	echo "$(cat "/sys/block/${loop#/dev/}/dev") $key$1" >"$group/$file"
}

# in_group COMMAND... : becomes the command, in the cgroup with the limit
in_group() {
	echo "$BASHPID" >"$group/cgroup.procs" && exec "$@"
}

attach() {
	mount_foreground "$loop" "$mnt" || exit
}

cold() {
	unmount "$mnt" && wait "$daemon"
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

# transferred N : true if the disk has done more than so many transfers
transferred() {
	[ "$(transfers)" -gt "$1" ]
}

# start_programs NAME COMMAND BLOCK [ARGUMENT] : in the background, each with a file of its own; returns when the disk
# is busy with as many transfers
start_programs() {
	local from
	from=$(transfers)
	jobs=()
	for ((i = 0; i < programs; i++)); do
		"$TH_BENCH_FILES" "$2" "$mnt/used/$1-$i" "$size" "$3" "$size" random ${4+"$4"} &
		jobs+=($!)
	done
	wait_for transferred $((from + programs))
}

stop_programs() {
	kill "${jobs[@]}"
	wait "${jobs[@]}" 2>/dev/null
	jobs=()
}

# row DIRECTORY LABEL
row() {
	"$TH_BENCH_LATENCY" "$mnt/used" "$mnt/$1" "$seconds" >"$work/times" || exit
	awk -F'|' -v label="$2" '{ printf "| %s, %s | %d | %d | %d | %d |\n", $1, label, $2, $3, $4, $5 }' "$work/times"
}

# row_beside COMMAND BLOCK DIRECTORY LABEL [ARGUMENT] : while the programs run
row_beside() {
	local before from
	cold || exit
	ls -l "$mnt/used" >"$work/listing" # while the disk is fast
	limit "$reads"
	before=$(transfers) from=$EPOCHREALTIME
	start_programs "$3" "$1" "$2" ${5+"$5"}
	row "$3" "$4"
	stop_programs
	rates+="$(awk -v n="$(($(transfers) - before))" -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%d transfers in %.1f s", n, b - a }') beside $4; "
	limit "$none"
}

mkdir "$mnt" "$group" && truncate -s 4G "$work/disk" && loop=$(losetup --find --show "$work/disk") || exit
"$THUNDERHEAD" mkfs "$loop" >/dev/null && attach && fill && cold || exit
ls -l "$mnt/used" >"$work/listing"
rates=''
printf '| microseconds | number | median | 99 %% | longest |\n| --- | ---: | ---: | ---: | ---: |\n'
row quiet "alone"
row_beside read 4096 read "$programs reading"
row_beside write 100 written "$programs writing" each
printf '\n%sthe disk does %d a second\n' "$rates" "$reads"
