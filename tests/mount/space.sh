#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Space: what is free is told truly, shared blocks take none, and a full filesystem says so and can be emptied.
. "$(dirname "$0")/mount.sh"
check "mkfs and mount" fresh 160M || tap_done

# used BYTES SLACK: as much space went since the last call
# A file that was removed gives its space back when the kernel lets go of it, which is after rm has ended.
used() {
	local free now tries
	for ((tries = 0; tries < 50; tries++)); do
		settle
		now=$(number free_bytes)
		free=$((last - now))
		[ "$free" -ge $(($1 - $2)) ] && [ "$free" -le $(($1 + $2)) ] && break
		sleep 0.2
	done
	last=$now
	echo "$free bytes went, expected $1 (+- $2)"
	[ "$tries" -lt 50 ]
}
settle
last=$(number free_bytes)
df_agrees() {
	local df
	df=$(df -B1 --output=avail "$mnt" | tail -1)
	echo "df: $df, info: $last less $(number reserve_bytes)"
	[ "$df" -le "$last" ] && [ "$df" -ge $((last - $(number reserve_bytes) - (1 << 20))) ]
}
check "df agrees with info" df_agrees
head -c 40M /dev/urandom >"$mnt/a"
check "40 MiB take 40 MiB" used $((40 << 20)) $((1 << 20))
check "df agrees with info" df_agrees
check "cp inside the mount" cp "$mnt/a" "$mnt/b"
check "shares all blocks" used 0 $((1 << 20))
check "that is told" eval '[ "$(number shared_bytes)" -ge $((39 << 20)) ]'
check "writing to a copy" eval 'head -c 4M /dev/urandom | dd of="$mnt/b" bs=1M seek=10 conv=notrunc status=none'
check "takes what was written" used $((4 << 20)) $((1 << 20))
check "the other is as it was" eval '[ "$(head -c 10M "$mnt/a" | md5sum)" = "$(head -c 10M "$mnt/b" | md5sum)" ] && ! cmp -s "$mnt/a" "$mnt/b"'
mkdir "$mnt/.snapshots/s"
rm "$mnt/a"
check "what a snapshot holds is not free" used 0 $((1 << 20))
check "cp out of a snapshot" cp "$mnt/.snapshots/s/a" "$mnt/a"
check "shares too" used 0 $((1 << 20))
rmdir "$mnt/.snapshots/s"
rm "$mnt/b"
check "deleting gives back what nobody shares" used $((-4 << 20)) $((1 << 20))
rm "$mnt/a"
check "deleting the last gives back all" used $((-40 << 20)) $((1 << 20))

# Nothing commits here by itself for ten minutes, and nobody waits for the disk: to ask is enough.
available() {
	df -B1 --output=avail "$mnt" | tail -1
}
shows() {
	local tries
	for ((tries = 0; tries < 100 && $(available) < $1; tries++)); do
		sleep 0.2
	done
	[ "$tries" -lt 100 ]
}
check "mount -o commit=600" eval 'stop && start -o commit=600 "$image" "$mnt"'
before=$(available)
head -c 40M /dev/urandom >"$mnt/c"
check "what was removed is free when df is asked" eval 'rm "$mnt/c" && shows $((before - (1 << 20)))'
head -c 40M /dev/urandom >"$mnt/c"
check "what was cut off, too" eval 'sync "$mnt/c" && truncate -s 1M "$mnt/c" && shows $((before - (3 << 20))) && rm "$mnt/c"'
check "mount as usual" eval 'stop && start "$image" "$mnt"'

fill() {
	! dd if=/dev/urandom of="$mnt/full.$1" bs=1M status=none 2>"$work/dd" && grep -q 'No space left' "$work/dd"
}
check "a full filesystem says so" fill 1
sync "$mnt/full.1" 2>/dev/null
check "it stays readable" eval 'cat "$mnt/full.1" >/dev/null && ls "$mnt" >/dev/null'
small_files() {
	local i
	for ((i = 0; i < 200000; i++)); do
		mkdir "$mnt/d$i" 2>/dev/null && echo x >"$mnt/d$i/f" 2>/dev/null || break
	done
	echo "$i directories fit still"
	[ "$i" -lt 200000 ]
}
check "with names too" small_files
check "a snapshot may be refused, no worse" eval 'mkdir "$mnt/.snapshots/full" 2>/dev/null; rmdir "$mnt/.snapshots/full" 2>/dev/null; true'
check "deleting works when it is full" rm "$mnt/full.1"
check "so does writing afterwards" eval 'head -c 50M /dev/urandom >"$mnt/again" && sync "$mnt/again"'
check "rm -r of all" eval 'rm -rf "$mnt"/d* "$mnt/again"'
check "all space is back" used 0 $((4 << 20))
fill 2
check "unmount when full" stop
check "check" th check "$image"
check "mount" start "$image" "$mnt"
check "rm" rm "$mnt/full.2"
check "all space is back" used 0 $((4 << 20))
check "unmount" stop
check "check at the end" th check "$image"
tap_done
