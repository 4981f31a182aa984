#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Set-id bits and file capabilities go when somebody without privilege changes a file, whichever call it is by, and
# stay when root writes, as on any Linux filesystem.
. "$(dirname "$0")/mount.sh"

user() {
	setpriv --reuid 1000 --regid 1000 --clear-groups "$@"
}

# In the file's group, besides that of the user.
member() {
	setpriv --reuid 1000 --regid 1000 --groups 0 "$@"
}

# after MODE WANTED COMMAND... : the mode of the file after the command, run as it stands
after() {
	local mode=$1 wanted=$2
	shift 2
	chmod "$mode" "$mnt/file" && "$@" && [ "$(stat -c %a "$mnt/file")" = "$wanted" ]
}

append() { "$@" sh -c 'echo more >>"$0"' "$mnt/file"; }
shorten() { "$@" sh -c ': >"$0"' "$mnt/file"; }

check "mkfs and mount" fresh 256M -o allow_other,suid || tap_done
chmod 755 "$work"
chmod 777 "$mnt"
head -c 10000 /dev/urandom >"$mnt/file"
check "a user who writes clears both" after 6777 777 append user
check "once they are set again, again" after 6777 777 append user
check "root does not" after 6777 6777 append env
check "a group bit of a file that the group may not run goes, too" after 2767 767 append user
check "but stays when the group writes" after 2767 2767 append member
check "fallocate by one who is not of the group" after 2767 767 user fallocate -l 20000 "$mnt/file"
check "by one who is" after 2767 2767 member fallocate -l 20000 "$mnt/file"
given_again() { # a fifo of the user's, and of a group that the user is not in
	mkfifo "$mnt/fifo" && chown 1000:0 "$mnt/fifo" && chmod "$1" "$mnt/fifo" && shift && "$@" chgrp 0 "$mnt/fifo" &&
		stat -c %a "$mnt/fifo" && rm "$mnt/fifo"
}
check "chgrp of a fifo to the group it has, by one who is not of it" eval '[ "$(given_again 2767 user)" = 767 ]'
check "by one who is" eval '[ "$(given_again 2767 member)" = 2767 ]'
check "opening to truncate" after 6777 777 shorten user
check "root may" after 6777 6777 shorten env
check "truncate" after 6777 777 user truncate -s 3 "$mnt/file"
check "fallocate" after 6777 777 user fallocate -l 8192 "$mnt/file"
check "chown, by root too" after 6755 755 chown 1 "$mnt/file"
check "the mode is kept" eval 'stop && start "$image" "$mnt" && [ "$(stat -c %a "$mnt/file")" = 755 ]'
check "unmount" stop
check "check" th check "$image"
tap_done
