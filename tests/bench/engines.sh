#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The store beside other stores, one after the other on one loop device: Thunderhead on the device itself, the others in
# ext4 on it.  Prints the results of each phase (described in bench_engines.c), and a table with ratios.
#
#   engines.sh [RECORDS [ENGINE...]]
#
# TH_BENCH_ENGINES names the program; TH_BENCH_SIZE is the size of the device (32G, sparse), in TMPDIR; TH_BENCH_CACHE
# is the cache of an engine, in MiB (512).  Thunderhead reads the device with O_DIRECT, and once more (-buffered)
# through the page cache, which the others have beside their own.  Exits 77 without the right to set up a loop device.
set -euo pipefail
: "${TH_BENCH_ENGINES:?the program}"
records=${1:-1000000}
[ $# -gt 0 ] && shift
read -ra engines <<<"${*:-thunderhead thunderhead-buffered lmdb rocksdb sqlite}"
if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/loop-control ]; then
	echo "skipped: a loop device takes root" >&2
	exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/thunderhead-engines.XXXXXX")
loop=
cleanup() {
	umount "$work/mnt" 2>/dev/null || true
	[ -n "$loop" ] && losetup -d "$loop"
	rm -rf "$work"
}
trap cleanup EXIT
mkdir "$work/mnt"

# fresh ENGINE : a new device, in $loop; the path for the engine, in $place
fresh() {
	umount "$work/mnt" 2>/dev/null || true
	[ -n "$loop" ] && losetup -d "$loop"
	rm -f "$work/disk"
	truncate -s "${TH_BENCH_SIZE:-32G}" "$work/disk"
	loop=$(losetup --find --show "$work/disk")
	place=$loop
	if [[ $1 != thunderhead* ]]; then
		mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0,nodiscard "$loop"
		mount -o noatime "$loop" "$work/mnt"
		mkdir "$work/mnt/data"
		place=$work/mnt/data
	fi
}

there=$("$TH_BENCH_ENGINES" engines)
for engine in "${engines[@]}"; do
	if ! grep -qx "$engine" <<<"$there"; then
		echo "skipped: $engine, which was not found at build time" >&2
		continue
	fi
	for run in order random; do
		fresh "$engine"
		"$TH_BENCH_ENGINES" "$run" "$engine" "$place" "$records" "${loop#/dev/}" "${TH_BENCH_CACHE:-512}" | tee -a "$work/result"
	done
done

# table FIELD TITLE : a row a phase, thousands of operations a second by this field of the results; then the ratios of
# the first engine to each of the others
table() {
	printf '\n%s records; thousands of operations a second of %s (bytes written per byte put)\n\n' "$records" "$2"
	awk -F'\t' -v field="$1" '
	{
		if (!($1 in row)) { row[$1] = ++rows; phase[rows] = $1 }
		if (!($2 in column)) { column[$2] = ++columns; engine[columns] = $2 }
		rate[$1, $2] = $3 / ($field > 0 ? $field : 0.0001)
		text[$1, $2] = sprintf("%.1f", rate[$1, $2] / 1000)
		if ($1 ~ /^(load|overwrite)/) text[$1, $2] = text[$1, $2] sprintf(" (%.2f)", $7 / $6)
	}
	END {
		line = "| phase |"; rule = "| --- |"
		for (c = 1; c <= columns; c++) { line = line " " engine[c] " |"; rule = rule " ---: |" }
		for (c = 2; c <= columns; c++) { line = line " / " engine[c] " |"; rule = rule " ---: |" }
		print line "\n" rule
		for (r = 1; r <= rows; r++) {
			line = "| " phase[r] " |"
			for (c = 1; c <= columns; c++) line = line " " text[phase[r], engine[c]] " |"
			for (c = 2; c <= columns; c++)
				line = line ((phase[r], engine[c]) in rate ? sprintf(" %.2f |", rate[phase[r], engine[1]] / rate[phase[r], engine[c]]) : " |")
			print line
		}
	}' "$work/result"
}
table 4 "time"
table 9 "processor time, background work included"
printf '\nMost memory of the process, in MiB\n\n'
awk -F'\t' '
{
	if (!($1 in row)) { row[$1] = ++rows; phase[rows] = $1 }
	if (!($2 in column)) { column[$2] = ++columns; engine[columns] = $2 }
	peak[$1, $2] = sprintf("%d", $10 / 1048576)
}
END {
	line = "| phase |"; rule = "| --- |"
	for (c = 1; c <= columns; c++) { line = line " " engine[c] " |"; rule = rule " ---: |" }
	print line "\n" rule
	for (r = 1; r <= rows; r++) {
		line = "| " phase[r] " |"
		for (c = 1; c <= columns; c++) line = line " " peak[phase[r], engine[c]] " |"
		print line
	}
}' "$work/result"
awk -F'\t' '
$1 == "scan" { scan[$2] = $4; scan_processor[$2] = $9 }
$1 == "diff" {
	printf "\n%s: a diff of %d changes read %d nodes (%.2f a change) and took %.2f %% of the time of a scan, %.2f %% of its processor time\n",
		$2, $11, $12, $12 / $11, 100 * $4 / scan[$2], 100 * $9 / scan_processor[$2]
}' "$work/result"
