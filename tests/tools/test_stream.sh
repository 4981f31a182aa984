#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# thunderhead send and receive of images that are not mounted: the command line, exit codes and messages.
. "$(dirname "$0")/../support/tap.sh"
source=$work/source
copy=$work/copy
third=$work/third

# fails_with WORDS COMMAND... : exit code 1, and the words on standard error.  Unlike `refused`, it lets the image change,
# which is opened for writing before the reason is found.
fails_with() {
	local words=$1 status
	shift
	"$@" 2>"$scratch/fails"
	status=$?
	cat "$scratch/fails"
	[ "$status" -eq 1 ] && grep -q "$words" "$scratch/fails"
}

for image in "$source" "$copy" "$third"; do
	th mkfs --size 32M "$image" || bail_out "mkfs: failed"
done
th snapshot create "$source" a b || bail_out "snapshot create: failed"

check "a stream goes to a file" th send -o "$work/a" "$source" a
check "only its owner may read it" is 600 "$(stat -c %a "$work/a")"
check "a file is received" th receive "$copy" "$work/a"
check "it is received once" grep -q "already has snapshot 'a'" <(th receive "$copy" "$work/a")
check "standard input is received" th receive -q "$third" <"$work/a"
check "the snapshot is there" grep -qw a <(th snapshot list "$third")
check "changes go through a pipe" eval 'th send --from a --compress zstd "$source" b | th receive "$copy"'
check "nothing is wrong in the copy" th check "$copy"
check "a copy of the copy is received" eval 'th send --from a "$copy" b | th receive "$third"'

check "send --describe prints totals" grep -q "^snapshot b since a: .* files new or changed" \
	<(th send --describe --from a "$source" b)
check "receive --dry-run prints the same" grep -q "^snapshot a: .* files new or changed" <(th receive -n none "$work/a")
check "receive --dry-run needs no image" [ ! -e none ]

th snapshot create "$source" c && th branch create --from b "$source" work || bail_out "snapshot create: failed"
th mkfs --force --size 32M "$third" || bail_out "mkfs: failed"
check "all snapshots are sent" eval 'th send --all "$source" | th receive -q "$third"'
check "and are there" is "$(th snapshot list "$source" | cut -d" " -f1)" "$(th snapshot list "$third" | cut -d" " -f1)"
check "and are skipped if they are there" is 3 "$(th send --all "$source" | th receive "$third" | grep -c 'already has')"
check "nothing is wrong in it" th check "$third"
check "a snapshot beside --all is refused" refused 2 'only a target' th send --all "$source" a

check "an unknown snapshot is refused" refused 1 "no snapshot 'none'" th send -o /dev/null "$source" none
check "an unknown base is refused" refused 1 "no snapshot 'none'" th send -o /dev/null --from none "$source" a
check "a snapshot since itself is refused" refused 1 'changes since itself' th send -o /dev/null --from a "$source" a
check "an unknown compression is refused" refused 2 'zstd is one' th send --compress lzw "$source" a
check "a token that is none is refused" refused 1 'is not a token' th send -o /dev/null --resume abc "$source"
check "a snapshot beside a token is refused" refused 2 'only a target' th send --resume abc "$source" a
check "send without a snapshot is refused" refused 2 'a target and a snapshot are needed' th send "$source"
check "a file that is no stream is refused" refused 1 'not a stream' th receive "$copy" "$0"
check "an empty stream is refused" refused 1 'the stream is empty' th receive "$copy" /dev/null
head -c $(($(stat -c %s "$work/a") - 1)) "$work/a" >"$work/cut"
th mkfs --force --size 32M "$third" || bail_out "mkfs: failed"
check "no token without an unfinished receive" refused 1 'no part of a snapshot' th receive --token "$third"
check "a stream that is cut off is refused" fails_with 'ends before its end' th receive "$third" "$work/cut"
check "the image keeps what was received" th receive --token "$third"
check "no snapshot can be taken of it" fails_with 'being received' th snapshot create "$third" x
check "a whole stream continues a part" eval 'th send --resume "$(th receive --token "$third")" "$source" | th receive "$third"'
check "nothing is wrong in it" th check "$third"
check "changes need their base" eval 'th send --from a "$source" b >"$work/b" && th mkfs --force --size 32M "$third" &&
	fails_with "no snapshot .a. with the same identity" th receive "$third" "$work/b"'
check "a directory is refused" refused 1 'is a directory' th receive "$work" "$work/a"
check "a missing image is refused" refused 1 'No such file' th receive "$work/none" "$work/a"
check "two of the actions are refused" refused 2 'exclude each other' th receive --token --abort "$copy"

fourth=$work/fourth
th mkfs --size 32M "$fourth" || bail_out "mkfs: failed"
check "a replication brings all" eval 'th replicate "$source" "$fourth" >"$scratch/out"'
check "and tells what it brought" is 3 "$(grep -c 'received snapshot' "$scratch/out")"
check "the last common snapshot is held" is c "$(th snapshot holds "$source" | grep -B1 replicate- | head -1 | cut -d" " -f1)"
th snapshot create "$source" d && th snapshot delete "$fourth" a && th snapshot delete "$source" a || bail_out "snapshot: failed"
check "the next one brings the rest" eval 'th replicate "$source" "$fourth" >"$scratch/out"'
check "and nothing else" is 1 "$(grep -c 'received snapshot' "$scratch/out")"
check "the hold moves" is d "$(th snapshot holds "$source" | grep -B1 replicate- | head -1 | cut -d" " -f1)"
check "nothing is to be done then" is '' "$(th replicate "$source" "$fourth")"
check "nothing is wrong in the copy" th check "$fourth"
check "replicate into a directory is refused" refused 1 'is a directory' th replicate "$source" "$work"
check "replicate of one image is refused" refused 2 'a target and an image' th replicate "$source"
tap_done
