#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is killed with SIGKILL at random moments of mixed work: a writer makes changes durable and records them
# elsewhere, beside random edits, tar and rm, and snapshots being taken and deleted.  After each kill the image passes
# the check as it is, the next mount succeeds, no durable change is lost, every snapshot is whole, and the image
# passes the check again after unmounting.
#   TH_KILL_ROUNDS  kills (5)
#   TH_KILL_MS      the longest time from the first durable change of a round to the kill, in milliseconds (1500)
#   TH_KILL_SIZE    size of the image (256M)
. "$(dirname "$0")/../support/mount_test.sh"
rounds=${TH_KILL_ROUNDS:-5}
longest=${TH_KILL_MS:-1500}
options=commit=1,snapsuid
snapshots=$work/snapshots # a directory for each one that was taken (mkdir returned), with its manifest once that is whole
record=$work/record
mkdir "$snapshots"
: >"$record"

# --- the work: each job ends when the filesystem is gone ---

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

# The manifest is read from the snapshot itself.
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
			# From here on the snapshot may exist or not.
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

durable_changes() {
	grep -c ' done$' "$record"
}

# made_durable N : true once more than N changes were durable, or the writer has ended
made_durable() {
	[ "$(durable_changes)" -gt "$1" ] || ended "${workers[0]}"
}

# All jobs end before the next mount: one that lived on would work in that.
end_work() {
	local pid
	for pid in "${workers[@]}"; do
		wait_for ended "$pid" || return
		wait "$pid"
	done
	workers=()
}

# --- the verdict ---

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
	# A snapshot that was being taken or deleted is whole too.
	for name in $(ls "$mnt/.snapshots"); do
		[ -e "$snapshots/$name" ] || manifest "$mnt/.snapshots/$name" >/dev/null || bad=1
		[ -e "$snapshots/$name" ] || rmdir "$mnt/.snapshots/$name" || bad=1
	done
	return $bad
}

# The kill comes at a random time after the first durable change: before that nothing would be tested.
kill_during_work() {
	local before
	before=$(durable_changes)
	random_below "$longest"
	begin_work 2>"$work/jobs.log"
	wait_for made_durable "$before" && [ "$(durable_changes)" -gt "$before" ] ||
		{ echo "the writer made nothing durable:"; tail -n 5 "$work/jobs.log"; return 1; }
	sleep "$((random / 1000)).$(printf %03d $((random % 1000)))"
	kill -9 "$daemon" || { echo "the daemon had ended by itself"; return 1; }
	wait "$daemon" 2>/dev/null
	end_work 2>/dev/null || { echo "a job does not end"; return 1; }
	umount -l "$mnt"
}

one_round() {
	must_be_mounted "$mnt"
	kill_during_work || return 1
	cp --sparse=always "$image" "$work/image.killed" 2>/dev/null
	th check "$image" || { echo "check after the kill: $?"; return 1; }
	start -o "$options" "$image" "$mnt"
	program durable verify "$mnt/durable" "$record" >"$work/verified" || { cat "$work/verified"; return 1; }
	verify_snapshots || return 1
	manifest "$mnt" >/dev/null || { echo "the live tree cannot be read"; return 1; }
	stop || { echo "unmounting failed"; return 1; }
	th check "$image" || { echo "check after unmounting: $?"; return 1; }
	start -o "$options" "$image" "$mnt"
}

tar -cf "$work/sources.tar" -C "$(dirname "$0")/../.." tests tree journal fs tools
check "mkfs and mount" fresh "${TH_KILL_SIZE:-256M}" -o "$options"
check "directories that survive every kill" eval 'mkdir "$mnt/durable" "$mnt/tar" "$mnt/edit" && program edit "$mnt/edit" "$seed" 2000 &&
	sync "$mnt/durable" "$mnt/tar" "$mnt/edit" "$mnt"'
for ((round = 1; round <= rounds; round++)); do
	check "kill $round loses nothing durable" one_round || { diag "TH_KEEP=1 keeps image.killed, the image as it was after the kill"; break; }
done
say "$(cat "$work/verified" 2>/dev/null); $(ls "$mnt/.snapshots" | wc -l) snapshots at the end"
check "unmount" stop
tap_done
