#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Thunderhead beside other filesystems: the same work on each in turn, each on a loop device of its own over the same
# disk.  Prints the duration of each phase in seconds (the median of the runs) and Thunderhead's relative to it; the
# spread of the runs; the speedup of four jobs over one; and the bytes that the device wrote.  After each phase the
# work is verified: names and attributes of every file, digests of their contents, the data of every written block,
# read from the device again.  A phase that did not do its work is called FAILED, and so is the comparison.
#
#   filesystems.sh [-r RUNS] [-s] [-g GROUPS] [FILESYSTEM...]
#
# -s: small, for a first look.  -g: only these groups of phases (trees programs files jobs).
#
# The filesystems are thunderhead, null (null_fs.c, the cost of FUSE itself), ext4, btrfs, zfs-fuse and bindfs (over
# ext4).  Their runs alternate.  A phase that cannot run is skipped with a message.  run-benchmarks installs the
# packages.
#
# THUNDERHEAD, TH_NULL_FS and TH_BENCH_FILES name the programs.  The tree to unpack is from Debian's linux-source-6.1,
# or TH_BENCH_TREE, a tar archive.  Takes root, and some 15 GB in TMPDIR.  Exits 77 if it cannot run.
set -uo pipefail
: "${THUNDERHEAD:?the program}"
: "${TH_NULL_FS:?null_fs}"
: "${TH_BENCH_FILES:?bench_files}"
runs=3
small=
groups='trees programs files jobs'
while getopts r:sg: option; do
	case $option in
	r) runs=$OPTARG ;;
	s) small=1 ;;
	g) groups=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
read -ra filesystems <<<"${*:-thunderhead null ext4 btrfs zfs-fuse bindfs}"
if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/loop-control ] || [ ! -e /dev/fuse ]; then
	echo "skipped: mounting loop devices takes root, and FUSE" >&2
	exit 77
fi

here=$(dirname "$0")
work=$(mktemp -d "${TMPDIR:-/tmp}/thunderhead-filesystems.XXXXXX")
mnt=$work/mnt
mkdir "$mnt" "$work/below"
fs=none
loop=
export LC_ALL=C
. "$here/../support/mount.sh"
. "$here/peers.sh"

cleanup() {
	[ "$fs" = none ] || end >/dev/null 2>&1
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

: >"$work/result"
: >"$work/skipped"
skip() {
	grep -qxF "$*" "$work/skipped" || echo "$*" >>"$work/skipped"
}

# --- measuring ---

# MB written to the device so far
written() {
	awk '{ print $7 * 512 / 1e6 }' "/sys/block/${loop#/dev/}/stat"
}

# note PHASE SECONDS MB
note() {
	echo "$1|$fs|$run|$2|$3" | tee -a "$work/result"
}

failure() { # PHASE REASON
	note "$1" FAILED ''
	printf '%s: %s: %s:\n' "$fs" "$1" "$2" >&2
	tail -n 5 "$work/out" >&2
}

# phase NAME COMMAND ARGUMENT... : runs the command, notes its duration (the one in $work/took if it writes that) and
# the MB that the device wrote.  COMMAND_done ARGUMENT... then verifies its work.  Without a mount nothing runs: it
# would measure, and fill, the host's disk.
phase() {
	local name=$1 from seconds before mb
	shift
	rm -f "$work/took"
	mountpoint -q "$mnt" || { : >"$work/out"; failure "$name" "nothing is mounted"; return 1; }
	before=$(written)
	from=$EPOCHREALTIME
	"$@" >"$work/out" 2>&1 || { failure "$name" failed; return 1; }
	seconds=$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.4f", b - a }')
	[ ! -e "$work/took" ] || seconds=$(cat "$work/took")
	mb=$(awk -v a="$before" -v b="$(written)" 'BEGIN { printf "%.1f", b - a }')
	"$1_done" "${@:2}" >"$work/why" 2>&1 || { mv "$work/why" "$work/out"; failure "$name" "the work was not done"; return 1; }
	note "$name" "$seconds" "$mb"
}

# --- verifying the work ---

# listing DIRECTORY : names and attributes of all files below it; the first is the time
listing() {
	(cd "$1" && find . -mindepth 1 -type d -printf '%T@ %p %y %m %U %G\n' -o -printf '%T@ %p %y %m %U %G %s %l\n') | kept | sort -k 2
}

# The attributes in a listing that the current filesystem keeps
kept() {
	if can timeless; then sed 's/^[^ ]*/-/'; else cat; fi
}

# digest DIRECTORY : of the contents of all files below it, without those of a git repository
digest() {
	(cd "$1" && find . -name .git -prune -o -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
}

same_tree() {
	diff <(listing "$1") <(listing "$2") && { can zeros || diff -r --no-dereference "$1" "$2"; }
}

# same_contents DIRECTORY : true if they are those of the archive
same_contents() {
	[ "$(digest "$1")" = "$contents" ] || { echo "contents differ from the archive"; return 1; }
}

# number EXPECTED FOUND
number() {
	[ "$1" -eq "$2" ] || { echo "found $2, expected $1"; return 1; }
}

# The number of files in the output of ls -lR
lines_of_files() {
	grep -c '^[-dlbcps][-rwxsStT]\{9\}'
}

# The output of the command is this number.
printed() {
	number "$1" "$(cat "$work/out")"
}

# --- phases ---

unpack() { mkdir "$mnt/tree" && tar -xf "$archive" -C "$mnt/tree" && of durable; }
unpack_done() {
	cold && diff <(kept <"$work/listing") <(listing "$mnt/tree") && { can zeros || same_contents "$mnt/tree"; }
}
find_all() { find "$mnt/tree" | wc -l; }
find_all_done() { printed "$entries"; }
read_all() { tar -cf - -C "$mnt/tree" . | wc -c; }
read_all_done() { printed "$bytes"; }
list_all() { ls -lR "$mnt/tree"; }
list_all_done() { number "$listed" "$(lines_of_files <"$work/out")"; }
search_all() { grep -rl EXPORT_SYMBOL_GPL "$mnt/tree" | wc -l; }
search_all_done() { printed "$found"; }
copy_part() { cp -a "$mnt/tree/$part" "$mnt/$1"; }
copy_part_done() { same_tree "$mnt/tree/$part" "$mnt/$1"; }
remove_all() { rm -rf "$mnt/tree" "$mnt/copy"; }
remove_all_done() { [ ! -e "$mnt/tree" ] && [ ! -e "$mnt/copy" ]; }
hundred() { for i in {1..100}; do of "$1" "n$i" || return; done; }
hundred_done() {
	if [ "$1" = delete ]; then
		number 0 "$(of count)"
	else
		number 100 "$(of count)" && { ! can old || number "$entries" "$(find "$(of old n100)" | wc -l)"; }
	fi
}
touch_some() { find "$mnt/tree" -type f | awk 'NR % 50 == 0' | while read -r file; do echo >>"$file"; done; }
differ() { of diff before after | wc -c; }
differ_done() { number "$touched" "$(of changed before after)"; }
copy_old() { cp -a "$(of old before)/$part" "$mnt/old"; }
copy_old_done() { same_tree "$(of old before)/$part" "$mnt/old"; }
checkout() { git clone -q --shared "$work/repository" "$mnt/git" && of durable; }
# git reads a file again, and rewrites its index, if the file is as new as the index, to the second.
checkout_done() { sleep 1 && git_status && same_contents "$mnt/git" && git_status; }
git_status() { git -C "$mnt/git" status --porcelain >"$work/status" && [ ! -s "$work/status" ]; }
git_status_done() { true; } # it verifies itself
build() { cp -r "$work/project" "$mnt/project" && meson setup "$mnt/project/build" "$mnt/project" -Dtests=disabled && ninja -C "$mnt/project/build" && of durable; }
build_done() { "$mnt/project/build/tools/thunderhead" --version; }
create_files() { # DIRECTORY COUNT THREADS [fsync]
	"$TH_BENCH_FILES" create "$mnt/$1" "$2" 4096 "${@:3}" && { [ $# -eq 4 ] || of durable; }
}
create_files_done() {
	number "$2" "$(find "$mnt/$1" -type f -size 4096c | wc -l)" &&
		{ can zeros || { cold && "$TH_BENCH_FILES" created "$mnt/$1" "$2" 4096; }; }
}
create_own() { "$TH_BENCH_FILES" own "$mnt/own-$1" "$creates" "$1"; }
create_own_done() { number "$creates" "$(find "$mnt/own-$1" -type f | wc -l)"; }
look_up() { "$TH_BENCH_FILES" look "$mnt/crowd" "$crowd" "$1"; }
look_up_done() { true; } # it fails unless it finds all names
write_data() { "$TH_BENCH_FILES" write "$mnt/file" "$size" "$@"; } # BLOCK TOTAL ORDER SYNC
write_data_done() {
	number "$size" "$(stat -c %s "$mnt/file")" &&
		{ can zeros || { cold && "$TH_BENCH_FILES" written "$mnt/file" "$size" "${@:1:3}"; }; }
}
read_data() { "$TH_BENCH_FILES" read "$mnt/file" "$size" "$@"; }
read_data_done() { true; } # it fails unless it reads all bytes; write_data_done has verified their values

# fio_reads JOBS : the same total number of reads by this many processes; the start of fio is not counted.
fio_reads() {
	fio --name=reads --filename="$mnt/file" --size="$size" --rw=randread --bs=4k --io_size=$((random_reads / $1)) --numjobs="$1" \
		--group_reporting --allow_file_create=0 --minimal --terse-version=3 &&
		awk -F';' '$1 == 3 { printf "%.4f", $9 / 1000 }' "$work/out" >"$work/took"
}
fio_reads_done() { number $((random_reads / 1024)) "$(awk -F';' '$1 == 3 && $5 == 0 { print $6 }' "$work/out")"; }

phases_of_trees() {
	! can timeless || skip "$fs: verification of times, which it does not keep where only one of a file's is set"
	phase "untar, durable" unpack || return
	cold && phase "find, cold" find_all
	cold && phase "read all, cold" read_all
	list_all >/dev/null
	phase "find, warm" find_all
	phase "ls -lR, warm" list_all
	if can zeros; then
		skip "$fs: phases in which written data is read back, or files are renamed"
	else
		search_all >/dev/null
		phase "grep -r, warm" search_all
	fi
	phase "cp -a of a part" copy_part copy
	if can snapshot; then
		phase "100 snapshots" hundred snapshot
		phase "deleting them" hundred delete
	else
		skip "$fs: snapshots, which it does not have"
	fi
	if can diff; then
		of snapshot before && touch_some && of snapshot after
		phase "diff, 1 file in 50 touched" differ
		phase "cp -a of a part from a snapshot" copy_old
		of delete before && of delete after && rm -rf "$mnt/old"
	else
		skip "$fs: diffs and copies of snapshots, which it does not have"
	fi
	phase "rm -rf of all" remove_all
}

phases_of_programs() {
	if can zeros; then
		return
	fi
	if have git; then
		phase "git clone, durable" checkout
		phase "git status, warm" git_status
		rm -rf "$mnt/git"
	else
		skip "git clone and status: git is not installed"
	fi
	if have meson && have ninja; then
		phase "build of this project, durable" build
		rm -rf "$mnt/project"
	else
		skip "build of this project: meson or ninja is not installed"
	fi
}

phases_of_files() {
	phase "creates of 4 KiB" create_files many "$creates" 2
	rm -rf "$mnt/many"
	phase "creates of 4 KiB, fsync each" create_files few "$durable_creates" 1 fsync
	phase "sequential write, fsync" write_data 1048576 "$size" seq end
	cold && phase "sequential read, cold" read_data 1048576 "$size" seq
	phase "random 4 KiB writes, fsync" write_data 4096 "$random_writes" random end
	phase "random 4 KiB writes, fsync each" write_data 4096 "$durable_writes" random each
	cold && phase "random 4 KiB reads, cold" read_data 4096 "$random_reads" random
}

# The file to read comes from phases_of_files.
phases_of_jobs() {
	local jobs
	for jobs in '1 job' '4 jobs'; do
		phase "creates and attributes, $jobs" create_own "${jobs%% *}"
	done
	"$TH_BENCH_FILES" crowd "$mnt/crowd" 1 "$crowd" || return
	for jobs in '1 job' '4 jobs'; do
		cold && phase "lookups in one directory, cold, $jobs" look_up "${jobs%% *}"
	done
	rm -rf "$mnt/crowd"
	if have fio && in_group files; then
		for jobs in '1 job' '4 jobs'; do
			cold && phase "random 4 KiB reads by fio, cold, $jobs" fio_reads "${jobs%% *}"
		done
	else
		skip "random reads by several jobs, which take fio (Debian: fio) and the group files"
	fi
}

# in_group NAME : true if this group of phases was selected
in_group() {
	[[ " $groups " == *" $1 "* ]]
}

phases() {
	local group
	for group in trees programs files jobs; do
		in_group "$group" || skip "phases of $group, which were not selected"
		if in_group "$group"; then "phases_of_$group"; fi
	done
}

# --- the tree ---

archive=${TH_BENCH_TREE:-}
source=/usr/src/linux-source-6.1.tar.xz
creates=50000 crowd=40000 durable_creates=1000 size=$((1 << 30)) random_writes=$((256 << 20)) durable_writes=$((8 << 20)) random_reads=$((64 << 20))
[ -z "$small" ] || { creates=2000 crowd=2000 durable_creates=50 size=$((64 << 20)) random_writes=$((16 << 20)) durable_writes=$((1 << 20)) random_reads=$((4 << 20)); }
tree=$work/repository
if [ -z "$archive" ]; then
	[ -e "$source" ] || { echo "skipped: neither TH_BENCH_TREE nor $source is there (Debian: linux-source-6.1)" >&2; exit 77; }
	parts=(fs net kernel include mm lib block crypto security)
	[ -z "$small" ] || parts=(fs)
	archive=$work/tree.tar
	mkdir "$work/source" && tar -xf "$source" -C "$work/source" --strip-components=1 "${parts[@]/#/linux-source-6.1/}" &&
		tar -cf "$archive" -C "$work/source" . && rm -rf "$work/source" || exit
fi
# The expected listing is of the unpacked archive, whose times may be coarser than the originals.
mkdir "$tree" && tar -xf "$archive" -C "$tree" || exit
listing "$tree" >"$work/listing" || exit
contents=$(digest "$tree")
entries=$(find "$tree" | wc -l)
bytes=$(tar -cf - -C "$tree" . | wc -c)
listed=$(ls -lR "$tree" | lines_of_files)
found=$(grep -rl EXPORT_SYMBOL_GPL "$tree" | wc -l)
touched=$(($(find "$tree" -type f | wc -l) / 50))
part=fs
[ -d "$tree/$part" ] || part=$(cd "$tree" && for d in */; do echo "$(find "$d" | wc -l) ${d%/}"; done | sort -rn | awk 'NR == 1 { print $2 }')
if in_group programs && have git; then
	git -C "$tree" init -q && git -C "$tree" add -Af . && git -C "$tree" -c user.name=bench -c user.email=bench commit -qm tree || exit
fi
! in_group programs || { mkdir "$work/project" && tar -cf - -C "$here/../.." --exclude ./build --exclude ./.git . | tar -xf - -C "$work/project"; } || exit

# --- the runs ---

for ((run = 1; run <= runs; run++)); do
	for name in "${filesystems[@]}"; do
		fs=$name
		can missing || { echo "filesystems.sh: $fs: no such filesystem" >&2; fs=none; exit 2; }
		missing=$(of missing)
		[ -z "$missing" ] || { skip "$fs: $missing"; continue; }
		if begin >"$work/out" 2>&1; then
			phases
		else
			failure "mount" failed
		fi
		end
	done
done

# table KIND TITLE
table() {
	printf '\n%s\n\n' "$2"
	awk -v order="${filesystems[*]}" -v kind="$1" -f "$here/table.awk" "$work/result"
}

printf '\n%s entries, %s runs, the part is %s\n' "$entries" "$runs" "$part"
table seconds 'Seconds; in brackets, the time of Thunderhead relative to it'
[ "$runs" -eq 1 ] || table spread 'The fastest and the slowest run, and the ratios within one run'
table jobs 'The speedup of four jobs over one'
table mb 'MB written to the device, where Thunderhead writes at least one'
[ ! -s "$work/skipped" ] || { printf '\nSkipped:\n'; cat "$work/skipped"; }
if grep -qF '|FAILED|' "$work/result"; then
	printf '\nFAILED:\n'
	awk -F'|' '$4 == "FAILED" { print $2 ": " $1 ", run " $3 }' "$work/result"
	exit 1
fi
