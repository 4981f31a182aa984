#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Keys and values in an image: thunderhead kv.
. "$(dirname "$0")/tap.sh"

image=$work/store.img

for verb in create get put del range load dump stat; do
	th kv "$verb" --help | grep -q "^usage: thunderhead kv $verb "
	tap "kv $verb --help"
	refused 2 "^thunderhead: kv $verb: --nonsense: no such option" th kv "$verb" --nonsense
	tap "kv $verb: unknown option"
	refused 2 "^thunderhead: kv $verb: .*image is needed" th kv "$verb"
	tap "kv $verb: no image"
done
refused 2 'frob: not one of' th kv frob
tap "an unknown verb"

th kv create --size 32M --label numbers "$image" && [ "$(stat -c %s "$image")" -eq $((32 << 20)) ]
tap "create"
refused 1 'a Thunderhead image already; --force' th kv create "$image"
tap "create refuses an image that is there"
refused 1 "there is no key 'one'" th kv get "$image" one
tap "get from an empty store"
th kv put "$image" one 1 && th kv put "$image" two "$(printf 'a tab\there')" && printf '3' | th kv put "$image" three
tap "put, from the command line and from standard input"
[ "$(th kv get "$image" one)" = 1 ] && [ "$(th kv get "$image" three)" = 3 ]
tap "get"
th kv put "$image" one eins && [ "$(th kv get "$image" one)" = eins ]
tap "put over a value"
th kv put -e "$image" '\00\ff\\' 'new\0aline' && [ "$(th kv get -e "$image" '\00\ff\5c')" = $'new\nline' ]
tap "put and get of any bytes"
refused 2 'without two digits' th kv put -e "$image" '\0' x
tap "an escape that is none"
[ "$(th kv range "$image")" = "$(printf '%s\n' '\00\ff\\	new\0aline' 'one	eins' 'three	3' 'two	a tab\09here')" ]
tap "range"
[ "$(th kv range --keys --reverse --limit 2 "$image")" = $'two\nthree' ]
tap "range --keys --reverse --limit"
[ "$(th kv range --keys --from one --to two "$image")" = $'one\nthree' ]
tap "range --from --to"
[ "$(th kv range --keys --prefix t "$image")" = $'three\ntwo' ]
tap "range --prefix"
refused 2 'goes with neither' th kv range --prefix t --to z "$image"
tap "range --prefix and --to"
refused 2 'not a number' th kv range --limit -1 "$image"
tap "range --limit that is none"
head -c 1000000 /dev/urandom >"$work/large" && th kv put "$image" large <"$work/large" &&
	th kv get "$image" large | cmp - "$work/large"
tap "a large value"
: | th kv put "$image" empty && [ -z "$(th kv get "$image" empty)" ]
tap "an empty value"
refused 2 'more than 1024 bytes' th kv put "$image" "$(printf 'k%.0s' {1..1025})" x
tap "a key that is too long"
head -c $(((16 << 20) + 1)) /dev/zero >"$work/huge"
put_huge() {
	th kv put "$image" huge <"$work/huge"
}
refused 1 'at most 16777216 bytes' put_huge
tap "a value that is too large"
rm -f "$work/huge"

# --- dumps ---
copy=$work/copy.img
th kv create --size 32M "$copy" && th kv dump "$image" >"$work/dump" && th kv load "$copy" "$work/dump" &&
	th kv dump "$copy" | cmp - "$work/dump"
tap "dump and load bring every byte over"
th kv dump -p "$image" >"$work/dump.print" && th kv create --force "$copy" && th kv load "$copy" <"$work/dump.print" &&
	th kv dump "$copy" | cmp - "$work/dump"
tap "dump --print and load too"
sed -n 3p "$work/dump.print" | grep -qx 'type=btree' && grep -qx ' new\\0aline' "$work/dump.print"
tap "dump --print prints"
[ "$(th kv dump -p --prefix two "$image" | tail -3 | paste -sd,)" = ' two, a tab\09here,DATA=END' ]
tap "dump --prefix"
{ printf 'VERSION=3\nformat=print\ntype=btree\nHEADER=END\n' && seq -f ' %06.0f' 1 20000 && echo DATA=END; } >"$work/many"
th kv load "$copy" "$work/many" && [ "$(th kv get "$copy" 019999)" = 020000 ] &&
	[ "$(th kv range --keys --prefix 0 "$copy" | wc -l)" -eq 10000 ]
tap "load of many records"
cp "$work/many" "$work/bad" && printf 'more\n' >>"$work/bad"
load_bad() {
	th kv load "$1" "$work/bad"
}
[ "$(load_bad "$copy" 2>&1)" = "thunderhead: $work/bad: line 20006: a second dump" ]
tap "what is wrong with a dump is told with its line"
refused 1 'no-dump: No such file' th kv load "$copy" "$work/no-dump"
tap "load of a file that is not there"
th kv stat "$copy" | grep -qE '^records +10006$' && th kv stat "$copy" | grep -qE '^holds +keys and values$'
tap "stat"
th kv dump "$copy" >/dev/full 2>/dev/null
[ $? -eq 1 ]
tap "a dump that cannot be written is a failure"


# There and back through another store's own tools.
if command -v mdb_load >/dev/null; then
	th kv dump --prefix 00 "$copy" >"$work/mdb.in" && mdb_load -n -f "$work/mdb.in" "$work/mdb" &&
		mdb_dump -n "$work/mdb" >"$work/mdb.out" && th kv create --force "$copy" && th kv load "$copy" "$work/mdb.out" &&
		th kv dump "$copy" | cmp - "$work/mdb.in"
	tap "a dump goes through LMDB and back"
else
	tap_skip "a dump goes through LMDB and back" "no mdb_load"
fi

# --- deleting ---
refused_del() {
	th kv del "$image" one none two
}
[ "$(refused_del 2>&1)" = "thunderhead: $image: there is no key 'none'" ] && [ "$(th kv get "$image" one)" = eins ]
tap "del deletes nothing where one key is not there"
th kv del "$image" one two && [ "$(th kv range --keys --from a --to z "$image")" = $'empty\nlarge\nthree' ]
tap "del"

refused 1 "^thunderhead: $work: Is a directory$" th kv load "$image" "$work"
tap "load from a directory"
refused 1 '^thunderhead: standard input: Is a directory$' eval 'th kv put "$image" a <"$work"'
tap "put what cannot be read"

# --- filesystems ---
files=$work/files.img
th mkfs --size 16M "$files"
tap "mkfs"
th kv stat "$files" | grep -qE '^holds +a filesystem$' && [ "$(th kv range "$files" | wc -l)" -eq 2 ]
tap "a filesystem is read"
refused 1 'holds a filesystem' th kv put "$files" a b
tap "put into a filesystem"
refused 1 'holds a filesystem' th kv del "$files" a
tap "del from a filesystem"
refused 1 'holds a filesystem' th kv load "$files" "$work/dump"
tap "load into a filesystem"
refused 1 'holds keys and values, and no filesystem' th info "$image"
tap "info of a store without a filesystem"
th check "$image" >"$work/said" && grep -q 'entries, .* no problems$' "$work/said"
tap "check of a store without a filesystem"
cp "$image" "$work/broken.img"
# One byte of every node is changed.
th_break() {
	local at
	grep -abo THND "$work/broken.img" | cut -d: -f1 | while read -r at; do
		printf X | dd of="$work/broken.img" bs=1 seek=$((at + 40)) conv=notrunc status=none
	done
}
th_break
status=0
th check "$work/broken.img" >"$work/said" 2>&1 || status=$?
[ "$status" -eq 4 ] && grep -q 'wrong checksum' "$work/said"
tap "check of a broken store without a filesystem"
refused 1 'holds keys and values, and no filesystem' th mount -o ro "$image" "$work"
tap "mount of a store without a filesystem"
refused 1 'not a Thunderhead image' th kv get "$work/many" a
tap "a file that is no image"
tap_done
