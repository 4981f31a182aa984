#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Set-id bits and file capabilities are cleared when an unprivileged user changes a file, by whichever call, and stay
# when root writes, as on any Linux filesystem.
. "$(dirname "$0")/../support/mount_test.sh"

user() {
	setpriv --reuid 1000 --regid 1000 --clear-groups "$@"
}

# A member of the file's group
member() {
	setpriv --reuid 1000 --regid 1000 --groups 0 "$@"
}

# after MODE EXPECTED COMMAND... : the mode that the file has after the command
after() {
	local mode=$1 expected=$2
	shift 2
	chmod "$mode" "$mnt/file" && "$@" && is "$expected" "$(stat -c %a "$mnt/file")"
}

append() { "$@" sh -c 'echo more >>"$0"' "$mnt/file"; }
shorten() { "$@" sh -c ': >"$0"' "$mnt/file"; }

check "mkfs and mount" fresh 256M -o allow_other,suid
chmod 755 "$work"
chmod 777 "$mnt"
head -c 10000 /dev/urandom >"$mnt/file"
check "a write by a user clears both set-id bits" after 6777 777 append user
check "the next write clears bits that were set again" after 6777 777 append user
check "a write by root clears none" after 6777 6777 append env
check "a write by a user clears set-gid of a file that the group may not execute" after 2767 767 append user
check "a write by a member of the group keeps that" after 2767 2767 append member
check "fallocate by a user clears it" after 2767 767 user fallocate -l 20000 "$mnt/file"
check "fallocate by a member of the group keeps it" after 2767 2767 member fallocate -l 20000 "$mnt/file"
# chgrp of a user's fifo to the group that it has already; prints the mode after it
regrouped() { # MODE AS
	mkfifo "$mnt/fifo" && chown 1000:0 "$mnt/fifo" && chmod "$1" "$mnt/fifo" && shift && "$@" chgrp 0 "$mnt/fifo" &&
		stat -c %a "$mnt/fifo" && rm "$mnt/fifo"
}
check "chgrp of a fifo to its own group by a user clears set-gid" eval 'is 767 "$(regrouped 2767 user)"'
check "chgrp of a fifo to its own group by a member keeps set-gid" eval 'is 2767 "$(regrouped 2767 member)"'
check "open with O_TRUNC by a user clears both" after 6777 777 shorten user
check "open with O_TRUNC by root clears none" after 6777 6777 shorten env
check "truncate by a user clears both" after 6777 777 user truncate -s 3 "$mnt/file"
check "fallocate by a user clears both" after 6777 777 user fallocate -l 8192 "$mnt/file"
check "chown clears both, by root too" after 6755 755 chown 1 "$mnt/file"
check "the mode is the same after the next mount" eval 'stop && start "$image" "$mnt" && is 755 "$(stat -c %a "$mnt/file")"'
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
tap_done
