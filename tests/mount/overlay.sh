#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# overlayfs with all its layers on a mount, also after a new mount of the layers, as containers have it after a reboot.  Each
# configuration: files are changed through the overlay, everything is mounted again, and all files are read, changed, renamed
# and removed; every access is done twice, since the second one finds what the first one cached.
. "$(dirname "$0")/../support/mount_test.sh"
if [ "$(id -u)" -ne 0 ] || ! { grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null; }; then
	tap_skip "overlayfs loses nothing" "needs root and overlayfs"
	tap_done
fi
check "mkfs and mount" fresh 256M
merged=$work/merged
mkdir "$merged"

layers=
# overlay OPTIONS : mounts the overlay
overlay() {
	mount -t overlay test "$merged" -o "lowerdir=$layers,upperdir=$mnt/upper,workdir=$mnt/work$1"
}
# again OPTIONS : mounts everything again
again() {
	umount "$merged" && stop && start "$image" "$mnt" && overlay "$1"
}
prepare() {
	local i
	rm -rf "${mnt:?}"/{lower,lower2,upper,work} && mkdir -p "$mnt"/{lower/dir/deep,lower2/dir,upper,work} || return 1
	for i in read write chmod rename rm link replace untouched; do
		echo "lower $i" >"$mnt/lower/dir/$i" && echo "deep $i" >"$mnt/lower/dir/deep/$i" && echo "second $i" >"$mnt/lower2/dir/second-$i" || return 1
	done
	mkdir "$mnt/lower/moved" && echo inside >"$mnt/lower/moved/file" && ln "$mnt/lower/dir/link" "$mnt/lower/dir/link2"
}
change() {
	local d=$merged/dir
	echo more >>"$d/read" && echo more >>"$d/write" && chmod 600 "$d/chmod" && mv "$d/rename" "$d/renamed" && rm "$d/rm" &&
		echo new >"$d/replace.new" && mv "$d/replace.new" "$d/replace" && echo more >>"$d/link" && echo more >>"$d/deep/write" &&
		echo more >>"$d/second-write" && echo created >"$d/created"
}
# A directory of a lower layer is renamed only with redirect_dir; mv copies it otherwise.
move() {
	mv "$merged/moved" "$merged/there"
}
expect_all() {
	local d=$merged/dir i
	for i in 1 2 3; do
		is "lower read more" "$(xargs <"$d/read")" && is "lower write more" "$(xargs <"$d/write")" && is 600 "$(stat -c %a "$d/chmod")" &&
			is "lower chmod" "$(cat "$d/chmod")" && is "lower rename" "$(cat "$d/renamed")" && [ ! -e "$d/rename" ] && [ ! -e "$d/rm" ] &&
			is new "$(cat "$d/replace")" && is "lower link more" "$(xargs <"$d/link")" && is "deep write more" "$(xargs <"$d/deep/write")" &&
			is "second write more" "$(xargs <"$d/second-write")" && is created "$(cat "$d/created")" &&
			is "lower untouched" "$(cat "$d/untouched")" && is inside "$(cat "$merged/there/file")" &&
			is "chmod created deep link link2 read renamed replace second-chmod second-link second-read second-rename second-replace second-rm second-untouched second-write untouched write" \
				"$(ls "$d" | xargs)" && [ "$(find "$merged" | wc -l)" -eq 30 ] || return 1
	done
}
# Each of these found a file missing or stale, after a file that was changed before was looked up once.
change_again() {
	local d=$merged/dir i
	for i in read write chmod renamed replace link second-write deep/write created; do
		stat "$d/$i" >/dev/null && echo again >>"$d/$i" && is again "$(tail -n 1 "$d/$i")" && chmod 640 "$d/$i" &&
			is 640 "$(stat -c %a "$d/$i")" && mv "$d/$i" "$d/$i.moved" && is again "$(tail -n 1 "$d/$i.moved")" &&
			rm "$d/$i.moved" && [ ! -e "$d/$i.moved" ] || return 1
	done
	rm -r "$merged/there" && rm -r "$merged/dir" && is "" "$(ls -A "$merged")"
}

for options in "" ,redirect_dir=on ,index=on ,metacopy=on,redirect_dir=on ,xino=on ,xino=auto ,xino=off,index=on \
	,index=on,redirect_dir=on,xino=on two-layers; do
	layers=$mnt/lower:$mnt/lower2
	name=${options:-plain} name=${name#,}
	[ "$options" != two-layers ] || { layers=$mnt/lower2:$mnt/lower && options=; }
	check "$name: mount" eval 'prepare && overlay "$options"'
	must_be_overlay() {
		[ "$(stat -f -c %t "$merged")" = 794c7630 ] || bail_out "$merged: no overlayfs is mounted"
	}
	must_be_overlay
	check "$name: change" eval 'change && move && expect_all'
	check "$name: all is there after a new mount" eval 'again "$options" && must_be_overlay && expect_all'
	check "$name: and after another one" eval 'again "$options" && must_be_overlay && expect_all'
	check "$name: all can be changed again" change_again
	check "$name: unmount" umount "$merged"
done

# --- limits of the kernel: docs/compatibility.md names them, and this tells when they are gone ---

# lost MOUNT-OPTIONS OVERLAY-OPTIONS : true if the overlay loses files in a new mount
lost() {
	local status
	layers=$mnt/lower:$mnt/lower2
	stop && start ${1:+-o "$1"} "$image" "$mnt" && prepare && overlay "$2" && must_be_overlay && change && umount "$merged" &&
		stop && start ${1:+-o "$1"} "$image" "$mnt" || return 1
	overlay "$2" || return 0
	cat "$merged/dir/read" && cat "$merged/dir/read" && ls -l "$merged/dir" && cat "$merged/dir/untouched"
	status=$?
	umount "$merged" && [ "$status" -ne 0 ]
}
check "the limit is still there: with -o export overlayfs loses files" lost export ""
check "the limit is still there: overlayfs with nfs_export=on loses files" lost "" ,index=on,nfs_export=on
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
tap_done
