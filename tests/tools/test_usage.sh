#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How the commands are called, and how not.
. "$(dirname "$0")/tap.sh"

for command in mkfs mount snapshot diff check info kv; do
	th "$command" --help | grep -q "^usage: thunderhead $command "
	tap "$command --help"
	th --help | grep -q "^  $command "
	tap "--help names $command"
done
th --version | grep -qE '^thunderhead [0-9]+\.[0-9]+\.[0-9]+$'
tap "--version"
th --help >/dev/full 2>/dev/null
[ $? -eq 1 ]
tap "a help that cannot be written is a failure"

refused 2 'no command given' th
tap "no command"
refused 2 'frobnicate: no such command' th frobnicate
tap "unknown command"
for command in mkfs mount snapshot diff info kv; do
	refused 2 "$command: --nonsense: no such option" th "$command" --nonsense
	tap "$command: unknown option"
	refused 2 "^thunderhead: $command: .*--help\)$" th "$command"
	tap "$command: nothing given"
done
refused 16 'one image is needed' th check
tap "check: nothing given"
refused 16 'no such option' th check --nonsense image
tap "check: unknown option"

for size in 5x -1 1.5 10GG "" 0 1e9 99999999999999999999 9E; do
	refused 2 'not a size' th mkfs --size "$size" "$work/new.img"
	tap "mkfs: size '$size'"
done
refused 1 'too small' th mkfs --size 1M "$work/new.img"
tap "mkfs: an image that is too small"
refused 2 'at most 63 bytes' th mkfs --size 64M --label "$(printf 'x%.0s' {1..64})" "$work/new.img"
tap "mkfs: a label that is too long"
refused 2 'needs a value' th mkfs --size
tap "mkfs: --size without a size"
refused 2 'one image is needed' th mkfs a b
tap "mkfs: two images"

refused 2 'frob: not one of' th snapshot frob "$work"
tap "snapshot: unknown verb"
refused 2 'of which target' th snapshot list
tap "snapshot: no target"
refused 2 'a name is missing' th snapshot delete "$work"
tap "snapshot delete: no name"
refused 2 'a name is missing' th snapshot rename "$work" a
tap "snapshot rename: one name"
refused 2 'too many names' th snapshot rename "$work" a b c
tap "snapshot rename: three names"
refused 2 'json is for the list' th snapshot create --json "$work" a
tap "snapshot create --json"
refused 2 'a tag is missing' th snapshot hold "$work"
tap "snapshot hold: no tag"
refused 2 'a name is missing' th snapshot hold "$work" tag
tap "snapshot hold: no name"
refused 2 'a name is missing' th snapshot release "$work" tag
tap "snapshot release: no name"
refused 2 'json is for the lists' th snapshot hold --json "$work" tag a
tap "snapshot hold --json"
refused 2 'wait is for delete' th snapshot create --wait "$work" a
tap "snapshot create --wait"
refused 2 'goes with none' th diff --json -H "$work" a
tap "diff: --json and -H"
refused 2 'one or two snapshots' th diff "$work" a b c
tap "diff: three snapshots"
tap_done
