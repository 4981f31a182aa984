# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Tests on real mounts.  Sourced; TH_MOUNT_PROGRAMS names the directory of the programs built for them (manifest,
# diff_oracle, edit, durable, oracle and others).  A mount that cannot be made is a failure, and the test ends at
# once: no script goes on in the bare directory.  Each script says in its head which variables set its size.
. "$(dirname "${BASH_SOURCE[0]}")/tap.sh"
: "${TH_MOUNT_PROGRAMS:?names the directory of manifest, edit and the others}"
export LC_ALL=C
image=$work/image
mnt=$work/mnt
mkdir "$mnt"

program() {
	local name=$1
	shift
	"$TH_MOUNT_PROGRAMS/$name" "$@"
}

manifest() {
	program manifest "$@"
}

# stop [DIRECTORY] : unmounts, and waits for $daemon.  Returns its exit code.
stop() {
	unmount "${1:-$mnt}" && wait_for ended "$daemon" && wait "$daemon"
}

# fresh SIZE OPTION... : a new image of the given size, mounted
fresh() {
	local size=$1
	shift
	th mkfs --force --size "$size" "$image" || bail_out "thunderhead mkfs --size $size $image: failed"
	start "$@" "$image" "$mnt"
}

# Makes everything durable and frees the space of everything deleted, which takes a second checkpoint.
settle() {
	sync -f "$mnt" && th snapshot create "$mnt" settle.1 && th snapshot delete "$mnt" settle.1 &&
		th snapshot create "$mnt" settle.2 && th snapshot delete "$mnt" settle.2
}

# random_below N : a number from 0 to N - 1 that follows from the seed, in $random
random_below() {
	random_state=$(((random_state * 1103515245 + 12345) & 0x7fffffff))
	random=$((random_state / 65536 % 32768 * $1 / 32768))
}

seed=${TH_TEST_SEED:-$((RANDOM * 32768 + RANDOM))}
random_state=$seed
say "$(basename "$0"): TH_TEST_SEED=$seed"
