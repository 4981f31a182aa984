#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# thunderhead scrub of an image that is not mounted.
. "$(dirname "$0")/../support/tap.sh"
image=$work/image

# Overwrites a block of the image with zeros.
damage() {
	dd if=/dev/zero of="$image" bs=4k seek="$1" count=1 conv=notrunc status=none
}

th mkfs --size 32M "$image" || bail_out "mkfs: failed"
check "a new image has nothing to heal" eval 'th scrub start "$image" >"$scratch/out" && grep -q ", 0 healed, 0 damaged$" "$scratch/out"'
check "status names the last complete scrub" eval 'th scrub status "$image" | grep -q "^last complete *20"'
check "nothing is under way afterwards" eval 'th scrub status "$image" | grep -q "^scrub *none is running"'
for verb in pause stop; do
	check "$verb needs a scrub" eval '! th scrub $verb "$image" 2>"$scratch/err" && grep -q "no scrub is under way" "$scratch/err"'
done
check "something that is no rate is refused" refused 2 'not a rate' th scrub start --rate much "$image"
check "scrub without a target is refused" refused 2 'one target is needed' th scrub start
damage 0
damage 1
check "opening for writing mends superblocks and says so" eval 'th scrub start "$image" >"$scratch/out" 2>"$scratch/err" && grep -q "superblock: 2 of 16 copies were damaged, of which 2 are rewritten" "$scratch/err"'
check "and the next time there is nothing to say" eval 'th scrub start "$image" 2>"$scratch/err" >/dev/null && ! [ -s "$scratch/err" ]'
# The tree of an empty filesystem is one node, whose first copy is the first block with its magic number.
node=$(grep -abo THND "$image" | head -1 | cut -d: -f1)
damage $((node / 4096))
check "nothing is wrong after a damaged node was healed" eval 'th scrub start "$image" >"$scratch/out" 2>&1; th check "$image"'
tap_done
