#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# That nobody waits for another's disk: an image on a loop device that gives the daemon so many reads a second and no more;
# programs that read files with nothing cached, each of which waits for that; beside them one that asks for attributes of files
# that the daemon knows, and makes files.  Prints what that one waits, with the readers and without.
#
#   slow_disk.sh [-i READS-A-SECOND] [-s SECONDS]     20, and 8
#
# THUNDERHEAD, TH_BENCH_FILES and TH_BENCH_LATENCY name the programs.  Takes root, and the blkio controller of cgroup v1,
# mounted: Debian's default is v2, whose io.max this script does not set.  Exits 77 if it cannot run.
set -uo pipefail
: "${THUNDERHEAD:?the program}"
: "${TH_BENCH_FILES:?bench_files}"
: "${TH_BENCH_LATENCY:?bench_latency}"
reads=20 seconds=8 readers=3
while getopts i:s: option; do
	case $option in
	i) reads=$OPTARG ;;
	s) seconds=$OPTARG ;;
	*) exit 2 ;;
	esac
done
blkio=/sys/fs/cgroup/blkio
if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/loop-control ] || [ ! -e /dev/fuse ]; then
	echo "skipped: mounting loop devices takes root, and FUSE" >&2
	exit 77
fi
if [ ! -w "$blkio/blkio.throttle.read_iops_device" ]; then
	echo "skipped: the blkio controller of cgroup v1 is not there (v2 is not used)" >&2
	exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/thunderhead-slow.XXXXXX")
mnt=$work/mnt group=$blkio/${work##*/} loop='' daemon='' jobs=()
export LC_ALL=C

cleanup() {
	[ ${#jobs[@]} -eq 0 ] || kill "${jobs[@]}" 2>/dev/null
	limit 0 2>/dev/null
	[ -z "$daemon" ] || { umount "$mnt" 2>/dev/null || umount -l "$mnt"; wait "$daemon"; }
	[ -z "$loop" ] || losetup -d "$loop"
	rmdir "$group"
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# limit READS : a second, 0: none
limit() {
	echo "$(cat "/sys/block/${loop#/dev/}/dev") $1" >"$group/blkio.throttle.read_iops_device"
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

# The known files are asked for before anybody has to wait.
fill() {
	mkdir "$mnt/known" "$mnt/quiet" "$mnt/busy"
	"$TH_BENCH_FILES" crowd "$mnt/known" 1 200 || exit
	for ((i = 0; i < readers; i++)); do
		"$TH_BENCH_FILES" write "$mnt/file-$i" $((256 << 20)) $((1 << 20)) $((256 << 20)) seq end || exit
	done
}

# row DIRECTORY WHO
row() {
	"$TH_BENCH_LATENCY" "$mnt/known" "$mnt/$1" "$seconds" >"$work/times" || exit
	awk -F'|' -v who="$2" '{ printf "| %s, %s | %d | %d | %d | %d |\n", $1, who, $2, $3, $4, $5 }' "$work/times"
}

mkdir "$mnt" "$group" && truncate -s 4G "$work/disk" && loop=$(losetup --find --show "$work/disk") || exit
"$THUNDERHEAD" mkfs "$loop" >/dev/null && attach && fill && cold || exit
ls -l "$mnt/known" >"$work/listing"
printf '| microseconds | number | median | 99 %% | longest |\n| --- | ---: | ---: | ---: | ---: |\n'
row quiet "nobody reading"
limit "$reads"
before=$(transfers)
for ((i = 0; i < readers; i++)); do
	"$TH_BENCH_FILES" read "$mnt/file-$i" $((256 << 20)) 4096 $((256 << 20)) random &
	jobs+=($!)
done
sleep 1 # until all wait
row busy "$readers waiting for the disk"
printf '\n%d transfers in %d s: each of %d readers waits some %d ms for one\n' $(($(transfers) - before)) $((seconds + 1)) "$readers" \
	$((readers * 1000 * (seconds + 1) / ($(transfers) - before + 1)))
