# SPDX-License-Identifier: Apache-2.0
# What the tests of the tool share: a place to work in, and TAP.  THUNDERHEAD names the program.
# Sourced with `set -u`; a test ends with tap_done.
set -u
: "${THUNDERHEAD:?the program to test}"
unset TH_TEST_KEEP

tap_count=0
tap_failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/thunderhead-test.XXXXXX")
mounts=()

tap_cleanup() {
	local place
	for place in ${mounts[@]+"${mounts[@]}"}; do
		umount "$place" 2>/dev/null || fusermount3 -u "$place" 2>/dev/null
	done
	rm -rf "$work"
}
trap tap_cleanup EXIT

# result WORD... : one test point, passed if the last command did
tap() {
	local status=$?
	tap_count=$((tap_count + 1))
	if [ "$status" -eq 0 ]; then
		printf 'ok %d - %s\n' "$tap_count" "$*"
	else
		printf 'not ok %d - %s\n' "$tap_count" "$*"
		tap_failed=$((tap_failed + 1))
	fi
}

tap_skip() {
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s # SKIP %s\n' "$tap_count" "$1" "$2"
}

tap_done() {
	printf '1..%d\n' "$tap_count"
	exit $((tap_failed > 0))
}

th() {
	"$THUNDERHEAD" "$@"
}

# refused CODE PATTERN COMMAND... : the command fails with that code, says one line that matches, and leaves everything
# in $work as it was.
refused() {
	local code=$1 pattern=$2 status before after lines
	shift 2
	before=$(fingerprint)
	"$@" >"$work.out" 2>"$work.err"
	status=$?
	after=$(fingerprint)
	lines=$(wc -l <"$work.err")
	if [ "$status" -eq "$code" ] && [ "$lines" -eq 1 ] && grep -q '^thunderhead: ' "$work.err" &&
		grep -qE -- "$pattern" "$work.err" && [ ! -s "$work.out" ] && [ "$before" = "$after" ]; then
		rm -f "$work.out" "$work.err"
		return 0
	fi
	printf '# %s\n' "$*"
	printf '# exit %d, expected %d; stderr (%d lines), expected one that matches %s:\n' "$status" "$code" "$lines" "$pattern"
	sed 's/^/#   /' "$work.err" "$work.out"
	[ "$before" = "$after" ] || printf '# files were changed\n'
	rm -f "$work.out" "$work.err"
	return 1
}

# Names, sizes and contents of the files in $work; not what is mounted there.
fingerprint() {
	(cd "$work" && find . -xdev -printf '%p %y %s\n' | sort && find . -xdev -type f -exec b2sum {} +) | b2sum
}

# Mounts an image and remembers to unmount it.
mount_image() {
	mkdir -p "$2"
	th mount "$@" && mounts+=("$2")
}

can_mount() {
	[ -w /dev/fuse ] && { [ "$(id -u)" -eq 0 ] || command -v fusermount3 >/dev/null; }
}

# Unmounts, and waits until the daemon has let go of the image.
unmount() {
	umount "$1" 2>/dev/null || fusermount3 -u "$1" || return 1
	flock -w 20 "$2" true
}
