#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Keys and values in an image: thunderhead kv.
. "$(dirname "$0")/../support/tap.sh"

image=$work/store.img

for verb in create get put del range load dump stat; do
	th kv "$verb" --help | grep -q "^usage: thunderhead kv $verb "
	tap "kv $verb --help prints the usage"
	check "kv $verb with an unknown option is refused" refused 2 "^thunderhead: kv $verb: --nonsense: no such option" th kv "$verb" --nonsense
	check "kv $verb without an image is refused" refused 2 "^thunderhead: kv $verb: .*image is needed" th kv "$verb"
done
check "kv with an unknown verb is refused" refused 2 'frob: not one of' th kv frob

th kv create --size 32M --label numbers "$image" && is $((32 << 20)) "$(stat -c %s "$image")"
tap "kv create makes a file of the given size"
check "kv create of an existing image is refused" refused 1 'a Thunderhead image already; --force' th kv create "$image"
check "kv get of a missing key is refused" refused 1 "there is no key 'one'" th kv get "$image" one
th kv put "$image" one 1 && th kv put "$image" two "$(printf 'a tab\there')" && printf '3' | th kv put "$image" three
tap "kv put takes values from the command line and from standard input"
is 1 "$(th kv get "$image" one)" && is 3 "$(th kv get "$image" three)"
tap "kv get prints the values"
th kv put "$image" one eins && is eins "$(th kv get "$image" one)"
tap "kv put replaces a value"
th kv put -e "$image" '\00\ff\\' 'new\0aline' && is $'new\nline' "$(th kv get -e "$image" '\00\ff\5c')"
tap "kv put -e and get -e pass any bytes"
check "kv put -e with a malformed escape is refused" refused 2 'without two digits' th kv put -e "$image" '\0' x
check "kv range lists all records in order" is "$(printf '%s\n' '\00\ff\\	new\0aline' 'one	eins' 'three	3' 'two	a tab\09here')" "$(th kv range "$image")"
check "kv range --reverse --limit lists the last records" is $'two\nthree' "$(th kv range --keys --reverse --limit 2 "$image")"
check "kv range --from --to excludes the end" is $'one\nthree' "$(th kv range --keys --from one --to two "$image")"
check "kv range --prefix lists keys with the prefix" is $'three\ntwo' "$(th kv range --keys --prefix t "$image")"
check "kv range with both --prefix and --to is refused" refused 2 'goes with neither' th kv range --prefix t --to z "$image"
check "kv range with a malformed --limit is refused" refused 2 'not a number' th kv range --limit -1 "$image"
head -c 1000000 /dev/urandom >"$work/large" && th kv put "$image" large <"$work/large" &&
	th kv get "$image" large | cmp - "$work/large"
tap "a value of a megabyte is stored"
: | th kv put "$image" empty && [ -z "$(th kv get "$image" empty)" ]
tap "an empty value is stored"
check "a key of 1,025 bytes is refused" refused 2 'more than 1024 bytes' th kv put "$image" "$(printf 'k%.0s' {1..1025})" x
head -c $(((16 << 20) + 1)) /dev/zero >"$work/huge"
put_huge() {
	th kv put "$image" huge <"$work/huge"
}
check "a value of more than 16 MiB is refused" refused 1 'at most 16777216 bytes' put_huge
rm -f "$work/huge"

# --- dumps ---
copy=$work/copy.img
th kv create --size 32M "$copy" && th kv dump "$image" >"$work/dump" && th kv load "$copy" "$work/dump" &&
	th kv dump "$copy" | cmp - "$work/dump"
tap "kv dump and load copy every byte"
th kv dump -p "$image" >"$work/dump.print" && th kv create --force "$copy" && th kv load "$copy" <"$work/dump.print" &&
	th kv dump "$copy" | cmp - "$work/dump"
tap "kv dump --print and load copy every byte"
sed -n 3p "$work/dump.print" | grep -qx 'type=btree' && grep -qx ' new\\0aline' "$work/dump.print"
tap "kv dump --print escapes as mdb_dump does"
check "kv dump --prefix dumps keys with the prefix" is ' two, a tab\09here,DATA=END' "$(th kv dump -p --prefix two "$image" | tail -3 | paste -sd,)"
{ printf 'VERSION=3\nformat=print\ntype=btree\nHEADER=END\n' && seq -f ' %06.0f' 1 20000 && echo DATA=END; } >"$work/many"
th kv load "$copy" "$work/many" && is 020000 "$(th kv get "$copy" 019999)" &&
	is 10000 "$(th kv range --keys --prefix 0 "$copy" | wc -l)"
tap "kv load takes 20,000 records"
cp "$work/many" "$work/bad" && printf 'more\n' >>"$work/bad"
load_bad() {
	th kv load "$1" "$work/bad"
}
check "kv load reports the line of an error" is "thunderhead: $work/bad: line 20006: a second dump" "$(load_bad "$copy" 2>&1)"
check "kv load of a file that is not there is refused" refused 1 'no-dump: No such file' th kv load "$copy" "$work/no-dump"
th kv stat "$copy" | grep -qE '^records +10006$' && th kv stat "$copy" | grep -qE '^holds +keys and values$'
tap "kv stat counts the records"
th kv dump "$copy" >/dev/full 2>/dev/null
check "kv dump to a full disk fails" [ $? -eq 1 ]

# To another store and back, by that store's tools
if command -v mdb_load >/dev/null; then
	th kv dump --prefix 00 "$copy" >"$work/mdb.in" && mdb_load -n -f "$work/mdb.in" "$work/mdb" &&
		mdb_dump -n "$work/mdb" >"$work/mdb.out" && th kv create --force "$copy" && th kv load "$copy" "$work/mdb.out" &&
		th kv dump "$copy" | cmp - "$work/mdb.in"
	tap "a dump survives the way through LMDB and back"
else
	tap_skip "a dump survives the way through LMDB and back" "no mdb_load"
fi

# --- deleting ---
refused_del() {
	th kv del "$image" one none two
}
is "thunderhead: $image: there is no key 'none'" "$(refused_del 2>&1)" && is eins "$(th kv get "$image" one)"
tap "kv del with a missing key deletes nothing"
th kv del "$image" one two && is $'empty\nlarge\nthree' "$(th kv range --keys --from a --to z "$image")"
tap "kv del deletes several keys"

check "kv load from a directory is refused" refused 1 "^thunderhead: $work: Is a directory$" th kv load "$image" "$work"
check "kv put from a directory is refused" refused 1 '^thunderhead: standard input: Is a directory$' eval 'th kv put "$image" a <"$work"'

# --- filesystems ---
files=$work/files.img
check "mkfs makes a filesystem beside the store" th mkfs --size 16M "$files"
# The root, the next id, and the key of the hash of names.
th kv stat "$files" | grep -qE '^holds +a filesystem$' && is 3 "$(th kv range "$files" | wc -l)"
tap "kv stat and range read a filesystem"
check "kv put into a filesystem is refused" refused 1 'holds a filesystem' th kv put "$files" a b
check "kv del from a filesystem is refused" refused 1 'holds a filesystem' th kv del "$files" a
check "kv load into a filesystem is refused" refused 1 'holds a filesystem' th kv load "$files" "$work/dump"
check "info of a store without a filesystem is refused" refused 1 'holds keys and values, and no filesystem' th info "$image"
th check "$image" >"$work/said" && grep -q 'entries, .* no problems$' "$work/said"
tap "check of a store without a filesystem finds nothing wrong"
cp "$image" "$work/broken.img"
# Changes one byte of every node.
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
tap "check of a broken store without a filesystem reports the checksum"
check "mount of a store without a filesystem is refused" refused 1 'holds keys and values, and no filesystem' th mount -o ro "$image" "$work"
check "kv get from a file that is no image is refused" refused 1 'not a Thunderhead image' th kv get "$work/many" a
tap_done
