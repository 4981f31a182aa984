#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cp and restore: copies of files and trees inside a filesystem.
. "$(dirname "$0")/../support/tap.sh"
image=$work/image

if ! can_mount; then
	tap_skip "cp and restore" "no /dev/fuse"
	tap_done
fi
mnt=$work/mnt
th mkfs --size 64M "$image" && start_detached "$image" "$mnt" || bail_out "no filesystem"

# used : megabytes in use
used() {
	th info --json "$mnt" | sed -n 's/.*"data_bytes": *\([0-9]*\).*/\1/p' | awk '{ print int($1 / 1000000) }'
}
# fails CODE PATTERN COMMAND... : as refused, but the image may change, as it is mounted
fails() {
	local status
	"${@:3}" >"$scratch/out" 2>"$scratch/err"
	status=$?
	[ "$status" -eq "$1" ] && [ ! -s "$scratch/out" ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] && grep -qE "^thunderhead: .*$2" "$scratch/err" ||
		is "exit $1: $2" "exit $status: $(cat "$scratch/err")"
}
# kept NAME : the name under which the present state was kept
kept() {
	(cd "$(dirname "$1")" && ls -d "$(basename "$1").before-restore-"*)
}

mkdir -p "$mnt/docs/deep" "$mnt/other" && printf 'one\n' >"$mnt/docs/a" && printf 'two\n' >"$mnt/docs/deep/b c" &&
	head -c 8000000 /dev/urandom >"$mnt/docs/big" && ln "$mnt/docs/a" "$mnt/docs/link" && ln -s a "$mnt/docs/symbolic" &&
	chmod 751 "$mnt/docs/deep" && touch -d 2020-01-01 "$mnt/docs/deep"
tap "files are made"

# --- cp ---
ls "$mnt" "$mnt/other" >/dev/null && [ ! -e "$mnt/copy" ]
tap "the kernel knows that there is no copy"
check "cp of a directory" th cp "$mnt/docs" "$mnt/copy"
check "it is listed" is "copy docs other" "$(ls "$mnt" | paste -sd' ')"
check "it has all content" diff -r --no-dereference "$mnt/docs" "$mnt/copy"
check "and all attributes" eval '(cd "$mnt/docs" && find . -printf "%p %y %m %n %s %T@ %l\n" | sort) | diff - <(cd "$mnt/copy" && find . -printf "%p %y %m %n %s %T@ %l\n" | sort)'
check "its data is shared" eval '[ "$(used)" -lt 12 ]'
check "no snapshot is left" is "" "$(th snapshot list "$mnt")"
printf 'more\n' >>"$mnt/copy/a" && is one "$(cat "$mnt/docs/a")"
tap "a change of the copy leaves the source"
check "the copy of a file" eval 'th cp "$mnt/docs/deep/b c" "$mnt/other/b" && is two "$(cat "$mnt/other/b")"'
(cd "$mnt/other" && th cp b ./again && th cp ../docs/a . 2>"$scratch/err")
check "a relative path, and a directory that exists" eval 'is two "$(cat "$mnt/other/again")" && grep -q "exists; choose another name" "$scratch/err"'
check "cp to a name that exists is refused" fails 1 "'/other/b' exists; choose another name" th cp "$mnt/docs/a" "$mnt/other/b"
check "cp of a missing file is refused" fails 1 "'/docs/none': No such file" th cp "$mnt/docs/none" "$mnt/other/none"
check "cp to a missing directory is refused" fails 1 'No such file' th cp "$mnt/docs/a" "$mnt/none/a"
check "cp to another filesystem is refused" fails 1 'not in the same filesystem' th cp "$mnt/docs/a" "$work/a"
check "cp without a destination is refused" fails 2 'a source and a destination are needed' th cp "$mnt/docs/a"

# --- restore ---
th snapshot create "$mnt" old && printf 'new\n' >"$mnt/docs/a" && rm "$mnt/docs/deep/b c" "$mnt/docs/big" && th snapshot create "$mnt" middle && rm -r "$mnt/docs/deep"
tap "files are changed and removed"
[ ! -e "$mnt/docs/big" ] && [ ! -e "$mnt/docs/deep/b c" ]
tap "the kernel knows that"
th restore "$mnt/docs/big" >"$scratch/out" && cmp "$mnt/docs/big" "$mnt/.snapshots/old/docs/big"
tap "restore of a deleted file"
check "it says from where" is "/docs/big: restored from snapshot old" "$(cat "$scratch/out")"
check "restore of a directory that is gone" eval 'th restore --from old "$mnt/docs/deep" >/dev/null && is two "$(cat "$mnt/docs/deep/b c")"'
check "a file of which the directory is gone is not restored" eval 'rm -r "$mnt/docs/deep" && fails 1 "No such file" th restore "$mnt/docs/deep/b c"'
check "but elsewhere" eval 'th restore --to "$mnt/other/saved" "$mnt/docs/deep/b c" >/dev/null && is two "$(cat "$mnt/other/saved")"'
exec {open}<"$mnt/docs/a"
check "restore over a file" th restore --from old "$mnt/docs/a"
check "it has the old content" is one "$(cat "$mnt/docs/a")"
check "the present one is kept" is new "$(cat "$mnt/docs/$(kept "$mnt/docs/a")")"
check "who has it open keeps it" is new "$(cat <&"$open")"
exec {open}<&-
mv "$mnt/docs/$(kept "$mnt/docs/a")" "$mnt/docs/a" && is new "$(cat "$mnt/docs/a")"
tap "mv undoes it"
check "restore over a directory" th restore --from old "$mnt/docs"
check "it is as in the snapshot" diff -r --no-dereference "$mnt/docs" "$mnt/.snapshots/old/docs"
check "the present one is kept" is new "$(cat "$mnt/$(kept "$mnt/docs")/a")"
check "a path in .snapshots names the snapshot" eval 'th restore --to "$mnt/other/path" "$mnt/docs/.snapshots/old/a" >/dev/null && is one "$(cat "$mnt/other/path")"'
check "cp from a path in .snapshots" eval 'th cp "$mnt/.snapshots/middle/docs/a" "$mnt/other/middle" && is new "$(cat "$mnt/other/middle")"'
check "restore of a moment" eval 'th restore --at 0s --to "$mnt/other/now" "$mnt/docs/a" | grep -q "snapshot middle"'
check "restore of too early a moment is refused" fails 1 "no snapshot of that time or before has '/docs/a'" th restore --at 1y "$mnt/docs/a"
check "restore of a file that never was is refused" fails 1 "no snapshot has '/never'" th restore "$mnt/never"
check "restore from a missing snapshot is refused" fails 1 "no snapshot 'none'" th restore --from none "$mnt/docs/a"
check "restore of a file that this one has not is refused" fails 1 "'/docs/big' is not in snapshot 'middle'" th restore --from middle "$mnt/docs/big"
check "restore to a name that exists is refused" fails 1 'exists; choose another name' th restore --to "$mnt/other/b" "$mnt/docs/a"
check "a wrong time is refused" fails 2 "noon: not a time" th restore --at noon "$mnt/docs/a"
check "two moments are refused" fails 2 'contradict each other' th restore --at 1d --from old "$mnt/docs/a"
check "restore without a path is refused" fails 2 'a path is needed' th restore

# --- a full disk ---
head -c 20000000 /dev/urandom >"$mnt/docs/lost" && th snapshot create "$mnt" full && rm "$mnt/docs/lost"
! cat /dev/zero >"$mnt/filler" 2>/dev/null
tap "the disk is full"
check "a file comes back on a full disk" th restore "$mnt/docs/lost"
check "all of it" cmp "$mnt/docs/lost" "$mnt/.snapshots/full/docs/lost"
check "and a directory" eval 'th restore --to "$mnt/back" --from full "$mnt/docs" >/dev/null && cmp "$mnt/back/lost" "$mnt/docs/lost"'
rm "$mnt/filler"
check "the image is unlocked" release "$mnt" "$image"

# --- an image that is not mounted ---
check "cp in an image" th cp "$image" /docs /again
check "restore in an image" th restore --from old "$image" docs/a
check "restore elsewhere in an image" th restore --to /elsewhere "$image" /docs/deep
check "cp to a name that exists in an image is refused" eval 'th cp "$image" /docs /again 2>&1 | grep -q "exists; choose another name"'
check "nothing is wrong in it" th check "$image"
start_detached -o ro "$image" "$mnt"
check "all copies are there" eval 'is one "$(cat "$mnt/docs/a")" && is two "$(cat "$mnt/elsewhere/b c")" && cmp "$mnt/again/lost" "$mnt/.snapshots/full/docs/lost"'
check "nothing is copied on a read-only mount" fails 1 'Read-only' th cp "$mnt/docs" "$mnt/x"
check "the image is unlocked at the end" release "$mnt" "$image"
tap_done
