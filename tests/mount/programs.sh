#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everyday programs, and the promises of a filesystem that they rely on.
#   TH_PROGRAMS_ENTRIES     entries in one directory (10000)
#   TH_PROGRAMS_OPERATIONS  operations of fsx (2000)
. "$(dirname "$0")/../support/mount_test.sh"
entries=${TH_PROGRAMS_ENTRIES:-10000}
sources=$work/sources
mkdir "$sources"
tar -cC "$(dirname "$0")/../.." tests tree journal fs tools | tar -xC "$sources"
check "mkfs and mount" fresh 2G
cd "$mnt" || bail_out "cd $mnt"

same() {
	manifest -p "$1" >"$work/a" && manifest -p "$2" >"$work/b" && diff "$work/a" "$work/b"
}

# --- archives and copies ---

tar_out() {
	mkdir "$work/out" && tar -cC "$mnt" tree | tar -xC "$work/out" && same "$mnt/tree" "$work/out/tree"
}
check "cp -a copies a tree into the mount" eval 'cp -a "$sources" tree && same "$sources" tree'
check "tar copies it out of the mount" tar_out
check "rsync copies it inside the mount" eval 'rsync -aHAX tree/ rsynced/ && same tree rsynced'
check "rsync by times finds nothing more to do" eval '[ -z "$(rsync -aHAX --itemize-changes tree/ rsynced/)" ]'
check "rsync by checksums finds nothing more to do" eval '[ -z "$(rsync -aHAXc --itemize-changes tree/ rsynced/)" ]'
check "cp -a keeps hard links" eval 'mkdir hard && echo x >hard/a && ln hard/a hard/b && cp -a hard hard2 &&
	[ hard2/a -ef hard2/b ] && ! [ hard/a -ef hard2/a ]'

# --- git, databases ---

git_cycle() {
	local git="git -c user.name=test -c user.email=test@example.org -c init.defaultBranch=main"
	(cd tree && $git init -q && $git add . && $git commit -qm all && $git status --porcelain >"$work/status" &&
		[ ! -s "$work/status" ]) && $git clone -q "file://$mnt/tree" clone && $git clone -q tree clone2 &&
		git -C clone fsck --full --strict && git -C clone2 fsck --full && git -C clone gc -q &&
		git -C clone fsck --full && diff -r -x .git "$sources" clone
}
check "git commits, clones and collects, and its fsck agrees" git_cycle
git_worktree() {
	local git="git -C clone"
	$git worktree add -q "$mnt/worktree" && diff -r -x .git "$sources" worktree && echo more >worktree/more &&
		[ -n "$(git -C worktree status --porcelain)" ] && ! $git worktree remove "$mnt/worktree" 2>/dev/null &&
		$git worktree remove --force "$mnt/worktree" && [ ! -e worktree ] && $git fsck --full
}
check "git adds and removes a worktree" git_worktree
database() {
	printf '%s\n' "PRAGMA journal_mode=$1;" 'CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c BLOB);' \
		'CREATE INDEX i ON t(b);' >"$work/sql"
	for i in {1..20}; do
		echo "BEGIN; WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x < 500)
			INSERT INTO t(b, c) SELECT 'row ' || x, randomblob(200) FROM n; COMMIT;"
		echo "DELETE FROM t WHERE a % $((i + 3)) = 0;"
	done >>"$work/sql"
	echo 'VACUUM; PRAGMA integrity_check;' >>"$work/sql"
	sqlite3 "$1.db" <"$work/sql" | tail -1 | grep -qx ok && [ "$(sqlite3 "$1.db" 'PRAGMA integrity_check')" = ok ]
}
check "sqlite3 with a rollback journal finds its database whole" database delete
check "sqlite3 with a write-ahead log finds its database whole" database wal
check "fsx reads what it wrote" program fsx "$mnt/fsx" "${TH_PROGRAMS_OPERATIONS:-2000}" "$seed"

# --- files ---

unlinked_open() {
	echo kept >open && exec 7<>open && rm open && [ ! -e open ] && [ "$(cat <&7)" = kept ] && echo more >&7 &&
		[ "$(stat -L -c %h /proc/self/fd/7)" -eq 0 ]
	local status=$?
	exec 7>&-
	return $status
}
check "an unlinked file stays usable while it is open" unlinked_open
check "rename replaces another file" eval 'echo new >n && echo old >o && ln o o2 && mv -T n o && [ "$(cat o o2)" = "new
old" ] && [ "$(stat -c %h o2)" -eq 1 ]'
check "an open file keeps its content when another takes its name" eval 'echo 1 >p && exec 8<p && echo 2 >q && mv q p &&
	[ "$(cat <&8)" = 1 ] && [ "$(cat p)" = 2 ]; s=$?; exec 8<&-; (exit $s)'
check "a directory replaces an empty one and no other" eval 'mkdir d1 d2 d3 && touch d1/x d3/y &&
	mv -T d1 d2 && [ -e d2/x ] && ! mv -T d2 d3 2>/dev/null'
check_fails "a directory cannot move into itself" mv d2 d2/below
check "hard links share a file until the last" eval 'echo x >h && ln h h2 && ln h d2/h3 && [ "$(stat -c %h h)" -eq 3 ] && rm h && [ "$(cat d2/h3)" = x ] &&
	[ "$(stat -c %h h2)" -eq 2 ]'
check "symlinks keep targets of up to 4,000 bytes" eval 'ln -s nowhere s && [ "$(readlink s)" = nowhere ] && ! [ -e s ] &&
	ln -s "$(printf %04000d 1)" long && [ "$(readlink long | tr -d "\n" | wc -c)" -eq 4000 ]'
check "extended attributes are set, listed and removed" eval 'touch x && setfattr -n user.a -v one x && setfattr -n user.b -v two x &&
	[ "$(getfattr --absolute-names -d x | grep -c ^user)" -eq 2 ] && setfattr -x user.a x &&
	[ "$(getfattr --only-values -n user.b x)" = two ] && ! getfattr -n user.a x 2>/dev/null'
check "fifos and devices work" eval 'mkfifo fifo && (echo through >fifo & cat fifo | grep -q through) && { [ "$(id -u)" -ne 0 ] ||
	{ mknod null c 1 3 && [ "$(stat -c %t:%T null)" = 1:3 ]; }; }'
check "modes keep their set-id and sticky bits" eval 'touch mode && chmod 6751 mode && [ "$(stat -c %a mode)" = 6751 ] && mkdir sticky &&
	chmod 3777 sticky && [ "$(stat -c %a sticky)" = 3777 ]'
check "times before 1970 keep their nanoseconds" eval 'touch -d "1969-07-20 20:17:40.123456789 UTC" t && [ "$(stat -c %y t)" = "1969-07-20 20:17:40.123456789 +0000" ] ||
	[ "$(date -ur t +%s.%N)" = "-14182939.876543211" ]'
check "a name of 255 bytes is accepted" eval 'echo x >"$(printf %0255d 1)" && [ "$(cat "$(printf %0255d 1)")" = x ]'
check_fails "a name of 256 bytes is refused" eval 'touch "$(printf %0256d 1)" 2>/dev/null'
check "names may have any bytes" eval 'touch "$(printf "a\nb\001\377\\c")" && ls | grep -q "^b" && rm "$(printf "a\nb\001\377\\c")"'

# --- sparse and large files ---

sparse() {
	truncate -s 1G sparse && printf end | dd of=sparse bs=1 seek=500000000 conv=notrunc status=none &&
		sync sparse && [ "$(du -k sparse | cut -f1)" -le 8 ] && [ "$(tail -c +500000001 sparse | head -c 3)" = end ] &&
		cp --sparse=always sparse sparse2 && [ "$(du -k sparse2 | cut -f1)" -le 8 ] && cmp -n 600000000 sparse sparse2
}
check "holes of a sparse file take no space" sparse
check "a file has data past 4 GiB" eval 'printf far | dd of=far bs=1 seek=10000000000 status=none && [ "$(stat -c %s far)" -eq 10000000003 ] &&
	[ "$(tail -c 3 far)" = far ] && truncate -s 9999999999 far && [ "$(tail -c 3 far | tr -d "\0" | wc -c)" -eq 0 ]'
check "fallocate punches holes and extends" eval 'head -c 1M /dev/urandom >f && fallocate -p -o 100000 -l 300000 f &&
	[ "$(tail -c +100001 f | head -c 300000 | tr -d "\0" | wc -c)" -eq 0 ] && fallocate -l 3M f && [ "$(stat -c %s f)" -eq 3145728 ]'

# --- a large directory ---

many_entries() {
	mkdir many && (cd many && seq "$entries" | xargs -n 2000 touch) && [ "$(ls many | wc -l)" -eq "$entries" ] &&
		[ "$(ls -f many | sort | uniq | wc -l)" -eq $((entries + 2)) ]
}
delete_while_listing() {
	find many -name '*7' -delete && [ "$(ls many | wc -l)" -eq $((entries - entries / 10)) ] && [ ! -e many/17 ] && [ -e many/18 ]
}
check "a directory holds $entries entries" many_entries
check "entries are deleted while the directory is listed" delete_while_listing
check "rm -r removes a large directory" rm -r many

# --- the same programs on a snapshot, after the live files have changed ---

seen=.snapshots/seen/tree
th snapshot create "$mnt" seen
cp -a tree "$work/tree" && find tree -type f -not -path '*/.git/*' -exec sh -c 'echo more >>"$1"' sh {} \;
rsync_out() {
	rsync -aHAX "$seen/" "$work/rsynced/" && [ -z "$(rsync -aHAXc --itemize-changes "$seen/" "$work/rsynced/")" ]
}
tar_snapshot() {
	mkdir "$work/tarred" && tar --xattrs --acls --sparse -cf - -C "$seen" . | tar --xattrs --acls -xf - -C "$work/tarred"
}
crawled() { # DIRECTORY : the output of find, grep -r and du
	(cd "$1" && find . -type f | sort && grep -rc include . | sort && du -s --apparent-size .)
}
check "rsync copies out of a snapshot, and finds nothing more to do" eval 'rsync_out && diff -r "$work/tree" "$work/rsynced"'
check "tar copies out of a snapshot" eval 'tar_snapshot && diff -r "$work/tree" "$work/tarred"'
check "cp -a copies out of a snapshot" eval 'cp -a "$seen" back && diff -r "$work/tree" back'
check "diff -r compares with a snapshot" eval 'diff -r "$seen" "$work/tree" && ! diff -rq "$seen" tree >/dev/null'
check "find, grep -r and du see a snapshot unchanged" eval '[ "$(crawled "$seen")" = "$(crawled back)" ] && [ "$(crawled "$seen")" != "$(crawled tree)" ]'
check "git status is clean in a snapshot, and not in the live tree" eval 'git -C "$seen" status --porcelain >"$work/status" && [ ! -s "$work/status" ] &&
	[ -n "$(git -C tree status --porcelain)" ]'
check "find does not descend into snapshots" eval '[ -z "$(find tree clone -name .snapshots)" ]'

cd "$work" || exit
manifest "$mnt" >"$work/before"
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
check "the image mounts again" start "$image" "$mnt"
check "the whole tree is equal after the next mount" eval 'manifest "$mnt" | diff "$work/before" -'
check "unmount again" stop
tap_done
