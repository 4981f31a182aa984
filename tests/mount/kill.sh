#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is killed with SIGKILL at random moments of mixed work: a writer that makes things durable and keeps a record
# of it elsewhere, random edits, tar in and rm, snapshots taken, deleted and renamed.  After each kill the image is checked as it is,
# the next mount succeeds, nothing that was durable is lost, every snapshot is whole, and after unmounting the check is clean.
#   TH_KILL_ROUNDS  kills (5)
#   TH_KILL_MS      the longest time from the start of the work to the kill, in milliseconds (1500)
#   TH_KILL_SIZE    of the image (256M)
. "$(dirname "$0")/mount.sh"
rounds=${TH_KILL_ROUNDS:-5}
longest=${TH_KILL_MS:-1500}
options=commit=1
snapshots=$work/snapshots # one directory for each: taken (by us, and mkdir returned), manifest (written whole)
record=$work/record
mkdir "$snapshots"

# --- the work; each ends when the filesystem is gone ---

work_tar() {
	while [ -d "$mnt/tar" ]; do
		tar -xf "$work/sources.tar" -C "$mnt/tar" || break
		rm -rf "$mnt/tar/"* || break
	done
}

work_edit() {
	local n=0
	while program edit "$mnt/edit" $((seed + round * 100000 + n)) 200; do
		n=$((n + 1))
	done
}

# Snapshots are taken of everything; the manifest is read from the snapshot itself.
work_snapshots() {
	local name n=0 old
	while [ -d "$mnt/edit" ]; do
		name=s$round.$n
		n=$((n + 1))
		mkdir "$mnt/.snapshots/$name" || break
		mkdir "$snapshots/$name"
		manifest "$mnt/.snapshots/$name/edit" >"$snapshots/$name/new" || break
		mv "$snapshots/$name/new" "$snapshots/$name/manifest"
		if [ "$(ls "$snapshots" | wc -l)" -gt 6 ]; then
			# From here on it may be there or not.
			old=$(ls "$snapshots" | shuf -n 1 --random-source=<(yes "$round $n"))
			rm -rf "${snapshots:?}/$old"
			rmdir "$mnt/.snapshots/$old" || break
		fi
		sleep 0.1
	done
}

begin_work() {
	program durable write "$mnt/durable" "$record" $((seed + round)) &
	workers=($!)
	work_tar &
	workers+=($!)
	work_edit &
	workers+=($!)
	work_snapshots &
	workers+=($!)
}

end_work() {
	local pid
	for pid in "${workers[@]}"; do
		gone "$pid" 20 || kill "$pid"
		wait "$pid"
	done
	workers=()
}

# --- what must hold afterwards ---

verify_snapshots() {
	local name bad=0
	for name in $(ls "$snapshots"); do
		if ! manifest "$mnt/.snapshots/$name/edit" >"$work/now"; then
			printf 'snapshot %s cannot be read\n' "$name"
			bad=1
		elif [ -e "$snapshots/$name/manifest" ] && ! cmp "$snapshots/$name/manifest" "$work/now"; then
			diff "$snapshots/$name/manifest" "$work/now" | head -20
			bad=1
		fi
	done
	# Others are whole too: one that was being taken or deleted.
	for name in $(ls "$mnt/.snapshots"); do
		[ -e "$snapshots/$name" ] || manifest "$mnt/.snapshots/$name" >/dev/null || bad=1
		[ -e "$snapshots/$name" ] || rmdir "$mnt/.snapshots/$name" || bad=1
	done
	return $bad
}

one_round() {
	random_below "$longest"
	begin_work 2>/dev/null
	sleep "$((random / 1000)).$(printf %03d $((random % 1000)))"
	kill -9 "$daemon" || { echo "the daemon had ended by itself"; return 1; }
	wait "$daemon" 2>/dev/null
	end_work 2>/dev/null
	umount -l "$mnt"
	cp --sparse=always "$image" "$work/image.killed" 2>/dev/null
	th check "$image" || { echo "check after the kill: $?"; return 1; }
	start -o "$options" "$image" "$mnt" || { echo "the next mount failed"; return 1; }
	program durable verify "$mnt/durable" "$record" >"$work/verified" || { cat "$work/verified"; return 1; }
	verify_snapshots || return 1
	manifest "$mnt" >/dev/null || { echo "the live tree cannot be read"; return 1; }
	stop || { echo "unmounting failed"; return 1; }
	th check "$image" || { echo "check after unmounting: $?"; return 1; }
	start -o "$options" "$image" "$mnt"
}

tar -cf "$work/sources.tar" -C "$(dirname "$0")/../.." tests tree journal fs tools
check "mkfs and mount" fresh "${TH_KILL_SIZE:-256M}" -o "$options" || tap_done
mkdir "$mnt/durable" "$mnt/tar" "$mnt/edit" && program edit "$mnt/edit" "$seed" 2000
for ((round = 1; round <= rounds; round++)); do
	check "kill $round" one_round || { say "replay: TH_TEST_SEED=$seed; the image as it was after the kill: TH_KEEP=1, image.killed"; break; }
done
say "$(cat "$work/verified" 2>/dev/null); $(ls "$mnt/.snapshots" | wc -l) snapshots at the end"
check "unmount" stop
tap_done
