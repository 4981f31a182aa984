#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Command lines: help, version, and malformed ones that are refused.
. "$(dirname "$0")/../support/tap.sh"

for command in mkfs mount snapshot branch rollback diff check info resize trim kv; do
	th "$command" --help | grep -q "^usage: thunderhead $command "
	tap "$command --help prints the usage"
	th --help | grep -q "^  $command "
	tap "--help lists $command"
done
th --version | grep -qE '^thunderhead [0-9]+\.[0-9]+\.[0-9]+$'
tap "--version prints the version"
th --help >/dev/full 2>/dev/null
check "--help to a full disk fails" [ $? -eq 1 ]

check "no command is refused" refused 2 'no command given' th
check "an unknown command is refused" refused 2 'frobnicate: no such command' th frobnicate
for command in mkfs mount snapshot branch rollback diff info resize trim kv; do
	check "$command with an unknown option is refused" refused 2 "$command: --nonsense: no such option" th "$command" --nonsense
	check "$command without arguments is refused" refused 2 "^thunderhead: $command: .*--help\)$" th "$command"
done
check "check without arguments is refused" refused 16 'one image is needed' th check
check "check with an unknown option is refused" refused 16 'no such option' th check --nonsense image

for size in 5x -1 1.5 10GG "" 0 1e9 99999999999999999999 9E; do
	check "mkfs with the size '$size' is refused" refused 2 'not a size' th mkfs --size "$size" "$work/new.img"
done
check "mkfs with a size that is too small is refused" refused 1 'too small' th mkfs --size 1M "$work/new.img"
check "mkfs with a label of 64 bytes is refused" refused 2 'at most 63 bytes' th mkfs --size 64M --label "$(printf 'x%.0s' {1..64})" "$work/new.img"
check "mkfs --size without a size is refused" refused 2 'needs a value' th mkfs --size
check "mkfs of two images is refused" refused 2 'one image is needed' th mkfs a b

check "snapshot with an unknown verb is refused" refused 2 'frob: not one of' th snapshot frob "$work"
check "a misspelt command is recognised" refused 2 "snapshto: no such command; did you mean 'snapshot'\?" th snapshto list
check "a misspelt subcommand is recognised" refused 2 "lits: not one of .*; did you mean 'list'\?" th snapshot lits
check "a misspelt option is recognised" refused 2 "--older-then: no such option; did you mean '--older-than'\?" th snapshot delete --older-then 1d "$work/x"
check "snapshot without a target is refused" refused 2 'a target is missing' th snapshot list
check "snapshot delete without a name is refused" refused 2 'a name is missing' th snapshot delete "$work"
check "snapshot rename with one name is refused" refused 2 'a name is missing' th snapshot rename "$work" a
check "snapshot rename with three names is refused" refused 2 'too many names' th snapshot rename "$work" a b c
check "snapshot create --json is refused" refused 2 'json: no such option' th snapshot create --json "$work" a
check "snapshot hold without a tag is refused" refused 2 'a tag is missing' th snapshot hold "$work"
check "snapshot hold without a name is refused" refused 2 'a name is missing' th snapshot hold "$work" tag
check "snapshot release without a name is refused" refused 2 'a name is missing' th snapshot release "$work" tag
check "snapshot hold --json is refused" refused 2 'json: no such option' th snapshot hold --json "$work" tag a
check "snapshot create --wait is refused" refused 2 'wait: no such option' th snapshot create --wait "$work" a
check "diff with both --json and -H is refused" refused 2 'goes with none' th diff --json -H "$work" a
check "diff with three snapshots is refused" refused 2 'one or two snapshots' th diff "$work" a b c
tap_done
