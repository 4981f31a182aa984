#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# thunderhead rescue: arguments, target directories and exit codes.  tests/fs/rescue has what it copies.
. "$(dirname "$0")/../support/tap.sh"
image=$work/image

th mkfs --size 16M "$image" || bail_out "mkfs: failed"
th snapshot create "$image" one || bail_out "snapshot create: failed"
check "rescue without arguments is refused" refused 2 'an image and a directory are needed' th rescue
check "--all and --snapshot are refused together" refused 2 'exclude each other' th rescue --all --snapshot one "$image" "$work/out"
check "a generation that is no number is refused" refused 2 'not a number' th rescue --generation x "$image" "$work/out"
check "a missing image is refused" refused 1 'No such file' th rescue "$work/none" "$work/none.out"
check "an empty filesystem is copied" eval 'th rescue "$image" "$work/out" >"$scratch/out" 2>"$scratch/err" && grep -q "no loss found" "$scratch/out"'
check "the generation is named" grep -q 'is shown, the newest one' "$scratch/err"
touch "$work/out/x"
check "a directory that is not empty is refused" eval '! th rescue "$image" "$work/out" 2>"$scratch/err" && grep -q "is not empty" "$scratch/err"'
check "all trees are copied" eval 'th rescue --all "$image" "$work/all" && test -d "$work/all/live" && test -d "$work/all/snapshots/one"' 2>/dev/null
check "a missing snapshot is refused" eval '! th rescue --snapshot two "$image" "$work/two" 2>"$scratch/err" && grep -q "snapshot .two.: No such" "$scratch/err"'
check "a generation without a superblock is refused" refused 1 'no superblock of that generation' th rescue --generation 999 "$image" "$work/old"
check "the image is as before" th check "$image"
dd if=/dev/zero of="$image" bs=4k count=8 conv=notrunc status=none
check "the superblocks at the end are enough" eval 'th rescue "$image" "$work/end" 2>/dev/null'
tap_done
