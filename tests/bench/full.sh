#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Work on a full filesystem beside the same work on an empty one, and removing many files beside btrfs.
#
#   full.sh [-r ROUNDS] [-n FILES]     20 rounds; a million files, 0 for none
#
# Two images are mounted at the same time.  One is empty.  The other is 99 % full: it was filled with files of 4 KiB, of
# which every 80th was removed, so that the free blocks are single ones.  In each round the same files of 4 KiB are
# created, overwritten, renamed and unlinked on one and then on the other, with an fsync after each kind.  Prints the
# operations per second of each kind, and how much longer they take on the full image.  Near full, checkpoints for room
# would dominate: their number is printed too.
#
# Then files of 100 bytes are created and removed with rm -rf, on Thunderhead and on btrfs.
#
# THUNDERHEAD and TH_BENCH_FILES name the programs.  Takes root and some 20 GiB in TMPDIR for a million files.
set -uo pipefail
: "${THUNDERHEAD:?the program}"
: "${TH_BENCH_FILES:?bench_files}"
rounds=20 files=1000000
while getopts r:n: option; do
	case $option in
	r) rounds=$OPTARG ;;
	n) files=$OPTARG ;;
	*) exit 2 ;;
	esac
done
[ -e /dev/fuse ] || { echo "skipped: there is no /dev/fuse" >&2; exit 77; }
here=$(dirname "$0")
work=$(mktemp -d "${TMPDIR:-/tmp}/thunderhead-full.XXXXXX")
mnt=$work/mnt fs=none loop=
mkdir "$mnt" "$work/empty" "$work/full"
export LC_ALL=C
. "$here/../support/mount.sh"
. "$here/peers.sh"

cleanup() {
	[ -z "$loop" ] || end >/dev/null 2>&1
	unmount_below "$work"
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

stop_with() {
	echo "full: $*" >&2
	exit 1
}

# --- full and empty ---

mix_files=250 # 1 MB: less than the free blocks of the full image, so that nothing fails

attach_image() { # NAME
	"$THUNDERHEAD" mkfs --size 256M "$work/$1.img" >/dev/null && mount_detached "$work/$1.img" "$work/$1"
}

# Fills the image with files of 4 KiB, and removes every 80th.
fill_image() {
	local i
	"$TH_BENCH_FILES" create "$work/full/fill" 1000000 4096 1 2>"$work/err"
	grep -q 'No space left' "$work/err" || stop_with "the image does not become full: $(cat "$work/err")"
	for ((i = 0; i < 100; i++)); do
		find "$work/full/fill/$i" -type f | awk 'NR % 80 == 0'
	done | xargs rm -f
	sync -f "$work/full"
	is_mounted "$work/full" || stop_with "the full image is not mounted any more"
}

measure() { # NAME
	"$TH_BENCH_FILES" mix "$work/$1" "$mix_files" 4096 >>"$work/$1.times" || stop_with "the mix failed on the $1 image"
}

compare() {
	paste -d ' ' "$work/empty.times" "$work/full.times" | awk -v n="$((rounds * mix_files))" '
		{ for (i = 1; i <= 8; i++) sum[i] += $i }
		END {
			split("create overwrite rename unlink", name)
			for (i = 1; i <= 4; i++)
				printf "%-10s %7d a second empty, %7d full: %.2f times as long\n", name[i], n / sum[i], n / sum[i + 4], sum[i + 4] / sum[i]
		}'
}

full_and_empty() {
	local round name before=()
	printf 'Files of 4 KiB on an empty image and on one that is 99 %% full\n'
	attach_image empty && attach_image full || exit
	fill_image
	df -k "$work/full" | awk 'NR == 2 { printf "%d of %d KiB used\n", $3, $2 }'
	for name in empty full; do before+=("$(info_number checkpoints "$work/$name")"); done
	for ((round = 0; round < rounds; round++)); do
		measure empty
		measure full
	done
	compare
	printf 'checkpoints: %d empty, %d full\n\n' $(($(info_number checkpoints "$work/empty") - before[0])) \
		$(($(info_number checkpoints "$work/full") - before[1]))
	unmount "$work/empty" && unmount "$work/full"
}

# --- rm -rf ---

remove_files() { # FILESYSTEM
	local from missing
	fs=$1
	missing=$(of missing)
	[ -z "$missing" ] && [ "$(id -u)" -eq 0 ] || { echo "$fs: skipped: ${missing:-takes root}"; return; }
	begin || stop_with "$fs cannot be mounted"
	"$TH_BENCH_FILES" create "$mnt/tree" "$files" 100 1 && cold || stop_with "$fs: files cannot be created"
	from=$EPOCHREALTIME
	rm -rf "$mnt/tree" && of durable || stop_with "$fs: rm failed"
	awk -v f="$fs" -v n="$files" -v a="$from" -v b="$EPOCHREALTIME" \
		'BEGIN { printf "%-12s %7d a second, %.1f s\n", f, n / (b - a), b - a }'
	end
}

full_and_empty
[ "$files" -gt 0 ] || exit 0
printf 'rm -rf of %d files of 100 bytes, caches empty, until it is durable\n' "$files"
remove_files thunderhead
remove_files btrfs
