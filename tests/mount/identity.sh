#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What identifies a file: file handles, inode numbers, directory cookies, times of birth.
. "$(dirname "$0")/../support/mount_test.sh"
S=$mnt/.snapshots
check "mkfs and mount with -o export" fresh 256M -o export
mkdir -p "$mnt/a/b/c" "$mnt/gone" && echo one >"$mnt/a/b/file" && ln "$mnt/a/b/file" "$mnt/a/link" && ln -s b "$mnt/a/symlink"
check "two snapshots" eval 'mkdir "$S/one" && echo two >"$mnt/a/new" && mkdir "$S/two"'

identity() {
	program identity "$@"
}

# --- file handles ---

paths=("$mnt/a/b/file" "$mnt/a/b" "$S" "$mnt/a/b/.snapshots" "$S/one" "$S/one/a/b/c" "$S/one/a/b/file" "$S/one/a/link"
	"$mnt/a/.snapshots/two" "$mnt/a/.snapshots/two/b/c" "$mnt/a/b/.snapshots/one/file")
# all_are RESULT : opening each handle has this result
all_are() {
	is "$1" "$(identity open "$work/handles" "$mnt" | sort -u)"
}
# Only this filesystem's own caches have to go; those of the machine are dropped with them.
forget() {
	echo 2 >/proc/sys/vm/drop_caches && echo 2 >/proc/sys/vm/drop_caches # the first pass spares what was used just now
}
if [ "$(id -u)" -eq 0 ]; then
	check "each file and directory has a file handle" identity save "$work/handles" "${paths[@]}"
	check "handles are valid" all_are ok
	check "handles are valid when the kernel has dropped its caches" eval 'forget && all_are ok'
	check "handles are valid when the names were looked up again" eval 'forget && ls -d "${paths[@]}" && all_are ok'
	check ".snapshots is listed nowhere, also where the kernel looked for its name" eval 'forget && all_are ok &&
		is "a gone" "$(ls -A "$mnt" | xargs)" && is "b link new symlink" "$(ls -A "$mnt/a" | xargs)"'
	check "handles are valid after the next mount" eval 'stop && start -o export "$image" "$mnt" && all_are ok'
	check "a handle opens the version of its snapshot" eval 'identity save "$work/old" "$S/one/a/b/file" && forget &&
		echo changed >"$mnt/a/b/file" && python3 -c "
import ctypes, os, sys
record = bytearray(open(sys.argv[1], \"rb\").read())
handle = (ctypes.c_char * len(record)).from_buffer(record)
mount = os.open(sys.argv[2], os.O_RDONLY)
fd = ctypes.CDLL(None, use_errno=True).open_by_handle_at(mount, handle, os.O_RDONLY)
sys.exit(fd < 0 or os.read(fd, 100) != b\"one\\n\")" "$work/old" "$mnt"'
	check "handles of a deleted directory and of a deleted snapshot are stale" eval '
		identity save "$work/handles" "$mnt/gone" "$S/two" "$S/two/a/b/file" "$mnt/a/.snapshots/two" &&
		rmdir "$mnt/gone" "$S/two" && wait_for eval "forget; all_are ESTALE"'
	check "they are stale after the next mount" eval 'stop && start -o export "$image" "$mnt" && all_are ESTALE'
	check "handles of another image are stale" eval 'identity save "$work/handles" "$mnt/a" "$mnt/a/b/file" && stop &&
		cp "$image" "$work/kept" && fresh 256M -o export && mkdir -p "$mnt/a/b/c" "$mnt/gone" && echo one >"$mnt/a/b/file" &&
		all_are ESTALE && stop && cp "$work/kept" "$image" && start -o export "$image" "$mnt" && all_are ok'
	# Some kernels make handles for every FUSE filesystem.
	not_exported() {
		stop && start "$image" "$mnt" || return 1
		identity save "$work/handles" "$mnt/a/b/file" 2>"$work/said" || { grep -q 'not supported' "$work/said"; return; }
		all_are ok && wait_for eval "forget; all_are ESTALE"
	}
	check "without -o export handles do not outlive the caches" not_exported
else
	check "mount again" eval 'stop && start "$image" "$mnt"'
fi

# --- inode numbers ---

check "many files, and snapshots of them" eval 'rm -f "$mnt/a/new" && mkdir "$mnt/many" "$S/three" && touch "$mnt"/many/{1..3000} &&
	mkdir "$S/four" && rm "$mnt"/many/{1..1500} && mkdir "$S/five"'
live=$(identity numbers "$mnt/many" "$mnt/a" "$mnt/a/b" | grep -v ' \.\.$')
past=$(identity numbers "$S/five/many" "$S/five/a" "$S/five/a/b" | grep -v ' \.\.$')
as_mounted() {
	local snapshot
	for snapshot in five four; do
		stop && start -o "snapshot=$snapshot" "$image" "$mnt" || return 1
		[ "$snapshot" = five ] || rm -f "$work/numbers"
		identity numbers "$mnt/many" "$mnt/a" "$mnt/a/b" | grep -v ' \.\.$' | sort >"$work/numbers"
		is "" "$(comm -13 "$work/numbers" <(sort <<<"$live"))" || return 1
	done
	is 1 "$(stat -c %i "$mnt")" && stop && start "$image" "$mnt"
}
check "a file has its number in each mounted snapshot" as_mounted
check "in .snapshots the numbers are others, and the same after the next mount" eval 'is "" "$(comm -12 <(sort <<<"$live" | cut -d" " -f1 | sort) \
	<(cut -d" " -f1 <<<"$past" | sort))" && is "$past" "$(identity numbers "$S/five/many" "$S/five/a" "$S/five/a/b" | grep -v " \.\.$")"'
numbers_agree() {
	local path
	for path in "$mnt/a" "$S" "$S/one" "$S/one/a/b" "$mnt/a/.snapshots/one/b"; do
		is "$(stat -c '%i .' "$path")" "$(identity numbers "$path" | grep ' \.$')" &&
			is "$(stat -c '%i ..' "$path/..")" "$(identity numbers "$path" | grep ' \.\.$')" || return 1
	done
	is "$(stat -c '%i one' "$S/one")" "$(identity numbers "$S" | grep ' one$')" &&
		is "$(stat -c '%i file' "$S/one/a/b/file")" "$(identity numbers "$mnt/a/b/.snapshots/one" | grep ' file$')"
}
check "stat and readdir agree" numbers_agree

# --- 32 bits ---

check "inode numbers have 32 bits and cookies 31" identity widths "$mnt" "$mnt/many" "$S" "$S/four/many" "$mnt/a/.snapshots/four"
if [ -x "$TH_MOUNT_PROGRAMS/list32" ]; then
	check "a 32-bit program lists a directory" eval 'is 1502 "$(program list32 "$mnt/many" | sort -u | wc -l)"'
	check "a 32-bit program lists .snapshots and a snapshot" eval 'is ". .. five four one three" "$(program list32 "$S" | sort | xargs)" &&
		is 3002 "$(program list32 "$S/four/many" | sort -u | wc -l)"'
fi
check "with snapdir=visible, too" eval 'stop && start -o snapdir=visible "$image" "$mnt" && identity widths "$mnt" "$mnt/a" "$mnt/many"'
check "with ino32 the numbers of a small filesystem are the same" eval 'stop && start -o ino32 "$image" "$mnt" &&
	is "$past" "$(identity numbers "$S/five/many" "$S/five/a" "$S/five/a/b" | grep -v " \.\.$")"'

# --- the time of birth ---

if [ -n "$(stat -c %w "$mnt" | grep -v -- '^-$')" ]; then
	later() {
		[ "$(stat -c %w "$1")" \> "$(stat -c %w "$2")" ]
	}
	check "a snapshot is born when it is taken" eval 'later "$S/five" "$S/four/many" && later "$S/five" "$S/four" &&
		is "$(stat -c %w "$S/five")" "$(stat -c %w "$mnt/a/.snapshots/five")" && later "$S/five" "$S/five/a"'
	born=$(stat -c %w "$S/five")
	check "so is the root of a mounted snapshot" eval 'stop && start -o snapshot=five "$image" "$mnt" && is "$born" "$(stat -c %w "$mnt")"'
fi
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
tap_done
