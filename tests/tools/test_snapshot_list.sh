#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# snapshot list: columns, order, forms, and the space of snapshots.
. "$(dirname "$0")/../support/tap.sh"
image=$work/image

# listed ARGUMENT... : the list in one line
listed() {
	th snapshot list -H "$@" "$image" | tr '\t\n' ' ;'
}

th mkfs --size 64M "$image" || bail_out "no image"
check "a list of no snapshots is empty" is "" "$(th snapshot list "$image")"
check "its JSON is an empty array" is "[]" "$(th snapshot list --json "$image" | tr -d ' \n')"
th snapshot create "$image" b a 'c d' && th snapshot hold "$image" tag a
tap "snapshots"
check "a list has a heading" is "NUMBER CREATED AGE SPACE NAME HOLDS" "$(th snapshot list "$image" | head -1 | xargs)"
check "columns are chosen" is 'b 1;a 2;c\0040d 3;' "$(listed -o name,number)"
check "columns of holds and branches" is 'b 0 main;a 1 main;c\0040d 0 main;' "$(listed -o name,holds,branch)"
check "sorted by name" is 'a;b;c\0040d;' "$(listed -o name -s name)"
check "in reverse" is 'c\0040d;b;a;' "$(listed -o name -s name -r)"
check "sorted by holds" is 'b;c\0040d;a;' "$(listed -o name --sort holds)"
check "the oldest last" is 'c\0040d;a;b;' "$(listed -o name -s age)"
check "some" is 'a;c\0040d;' "$(th snapshot list -H -o name "$image" a.. | tr '\n' ';')"
th snapshot list -H -p -o created "$image" a | grep -qxE '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z'
tap "exact times are RFC 3339"
check "exact ages and sizes are numbers" eval 'th snapshot list -Hp -o age,space "$image" | grep -cxE "[0-9]+	[0-9]+" | grep -qx 3'
th snapshot list --json "$image" a | tr -d ' \n' | grep -q '"created":"2[^"]*Z","created_ns":[0-9]*,"space_bytes":[0-9]*,"holds":1'
tap "JSON has times and sizes"
check "an unknown column is refused" refused 2 "size: not a column: number, name," th snapshot list -o name,size "$image"
check "an unknown order is refused" refused 2 "size: not a column: number, name," th snapshot list -s size "$image"
check "no column is refused" refused 2 "a column is missing" th snapshot list -o , "$image"
check "a missing snapshot is refused" refused 1 "no snapshot 'x'" th snapshot list "$image" a x
th branch create --from a "$image" other
check "the space of an origin is not known" is "-" "$(th snapshot list -H -o space "$image" a)"
check "it is null in JSON" eval 'th snapshot list --json "$image" a | tr -d " " | grep -q "\"space_bytes\":null"'
check "nor is that of a deletion with it" is "deleting 3 snapshots frees 0 B (0 bytes)" "$(th branch delete "$image" other && th snapshot release "$image" tag a && th snapshot delete -n "$image" '*' | tail -1)"

if ! can_mount; then
	tap_skip "space on a mounted filesystem" "no /dev/fuse"
	tap_done
fi
mnt=$work/mnt
rm "$image" && th mkfs --size 64M "$image" && start_detached "$image" "$mnt"
megabytes() {
	head -c "$1"000000 /dev/urandom >"$mnt/$2" && sync "$mnt/$2"
}
# number COMMAND... : whether the size that it prints is about that many megabytes
about() {
	local bytes
	bytes=$("${@:2}" | grep -oE '[0-9]{4,}' | tail -1)
	[ "$bytes" -ge "$1"000000 ] && [ "$bytes" -le $(($1 * 1000000 + 200000)) ] || is "about $1 MB" "$bytes"
}
megabytes 3 common && th snapshot create "$mnt" one && megabytes 4 common && megabytes 2 two && th snapshot create "$mnt" two && th snapshot create "$mnt" three &&
	rm "$mnt/two" && th snapshot create "$mnt" four && rm "$mnt/common" && th snapshot create "$mnt" five
tap "files are written and deleted"
check "a snapshot alone holds what others have not" about 3 th snapshot list -Hp -o space "$mnt" one
check "what two have, none has alone" eval '[ "$(th snapshot list -Hp -o space "$mnt" two)" -lt 200000 ]'
check "deleting both gives it back" about 2 th snapshot delete -n "$mnt" two three
check "and a range more" about 6 th snapshot delete -n "$mnt" two..four
check "all" about 9 th snapshot delete -n "$mnt" '*'
cp "$mnt/.snapshots/four/common" "$mnt/back" && sync "$mnt/back" && th snapshot create "$mnt" six
tap "a file is copied back"
check "its blocks stay" about 5 th snapshot delete -n "$mnt" one..five
before=$(th info --json "$mnt" | sed -n 's/.*"snapshot_bytes": *\([0-9]*\).*/\1/p')
th snapshot delete --wait "$mnt" one..five
tap "the range is deleted"
check "nothing of it is left" eval '[ "$(th info --json "$mnt" | sed -n "s/.*\"snapshot_bytes\": *\([0-9]*\).*/\1/p")" -lt $((before - 5000000)) ]'
check "the image is unlocked" release "$mnt" "$image"
check "nothing is wrong in it" th check "$image"
tap_done
