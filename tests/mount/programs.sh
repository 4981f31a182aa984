#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everyday programs, and what they expect of a filesystem.
#   TH_PROGRAMS_ENTRIES     in one directory (10000)
#   TH_PROGRAMS_OPERATIONS  of fsx (2000)
. "$(dirname "$0")/mount.sh"
entries=${TH_PROGRAMS_ENTRIES:-10000}
sources=$work/sources
mkdir "$sources"
tar -cC "$(dirname "$0")/../.." tests tree journal fs tools | tar -xC "$sources"
check "mkfs and mount" fresh 2G || tap_done
cd "$mnt" || exit 1

same() {
	manifest -p "$1" >"$work/a" && manifest -p "$2" >"$work/b" && diff "$work/a" "$work/b"
}

# --- archives and copies ---

tar_out() {
	mkdir "$work/out" && tar -cC "$mnt" tree | tar -xC "$work/out" && same "$mnt/tree" "$work/out/tree"
}
check "cp -a into the mount" eval 'cp -a "$sources" tree && same "$sources" tree'
check "tar out of it" tar_out
check "rsync" eval 'rsync -aHAX tree/ rsynced/ && same tree rsynced'
check "rsync finds nothing to do" eval '[ -z "$(rsync -aHAX --itemize-changes tree/ rsynced/)" ]'
check "rsync by checksums neither" eval '[ -z "$(rsync -aHAXc --itemize-changes tree/ rsynced/)" ]'
check "cp -a of a tree with hard links" eval 'mkdir hard && echo x >hard/a && ln hard/a hard/b && cp -a hard hard2 &&
	[ hard2/a -ef hard2/b ] && ! [ hard/a -ef hard2/a ]'

# --- git, databases ---

git_cycle() {
	local git="git -c user.name=test -c user.email=test@example.org -c init.defaultBranch=main"
	(cd tree && $git init -q && $git add . && $git commit -qm all && $git status --porcelain >"$work/status" &&
		[ ! -s "$work/status" ]) && $git clone -q "file://$mnt/tree" clone && $git clone -q tree clone2 &&
		git -C clone fsck --full --strict && git -C clone2 fsck --full && git -C clone gc -q &&
		git -C clone fsck --full && diff -r -x .git "$sources" clone
}
check "git: commit, clone, gc, fsck" git_cycle
git_worktree() {
	local git="git -C clone"
	$git worktree add -q "$mnt/worktree" && diff -r -x .git "$sources" worktree && echo more >worktree/more &&
		[ -n "$(git -C worktree status --porcelain)" ] && ! $git worktree remove "$mnt/worktree" 2>/dev/null &&
		$git worktree remove --force "$mnt/worktree" && [ ! -e worktree ] && $git fsck --full
}
check "git: a worktree" git_worktree
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
check "sqlite3 with a rollback journal" database delete
check "sqlite3 with a write-ahead log" database wal
check "fsx" program fsx "$mnt/fsx" "${TH_PROGRAMS_OPERATIONS:-2000}" "$seed"

# --- files ---

unlinked_open() {
	echo kept >open && exec 7<>open && rm open && [ ! -e open ] && [ "$(cat <&7)" = kept ] && echo more >&7 &&
		[ "$(stat -L -c %h /proc/self/fd/7)" -eq 0 ]
	local status=$?
	exec 7>&-
	return $status
}
check "a file that is unlinked while it is open" unlinked_open
check "rename over another" eval 'echo new >n && echo old >o && ln o o2 && mv -T n o && [ "$(cat o o2)" = "new
old" ] && [ "$(stat -c %h o2)" -eq 1 ]'
check "an open file whose name is taken by another" eval 'echo 1 >p && exec 8<p && echo 2 >q && mv q p &&
	[ "$(cat <&8)" = 1 ] && [ "$(cat p)" = 2 ]; s=$?; exec 8<&-; (exit $s)'
check "rename of a directory over an empty one, not over a full one" eval 'mkdir d1 d2 d3 && touch d1/x d3/y &&
	mv -T d1 d2 && [ -e d2/x ] && ! mv -T d2 d3 2>/dev/null'
check_fails "a directory does not move into itself" mv d2 d2/below
check "hard links" eval 'echo x >h && ln h h2 && ln h d2/h3 && [ "$(stat -c %h h)" -eq 3 ] && rm h && [ "$(cat d2/h3)" = x ] &&
	[ "$(stat -c %h h2)" -eq 2 ]'
check "symlinks" eval 'ln -s nowhere s && [ "$(readlink s)" = nowhere ] && ! [ -e s ] &&
	ln -s "$(printf %04000d 1)" long && [ "$(readlink long | tr -d "\n" | wc -c)" -eq 4000 ]'
check "extended attributes" eval 'touch x && setfattr -n user.a -v one x && setfattr -n user.b -v two x &&
	[ "$(getfattr --absolute-names -d x | grep -c ^user)" -eq 2 ] && setfattr -x user.a x &&
	[ "$(getfattr --only-values -n user.b x)" = two ] && ! getfattr -n user.a x 2>/dev/null'
check "special files" eval 'mkfifo fifo && (echo through >fifo & cat fifo | grep -q through) && { [ "$(id -u)" -ne 0 ] ||
	{ mknod null c 1 3 && [ "$(stat -c %t:%T null)" = 1:3 ]; }; }'
check "modes and set-id bits" eval 'touch mode && chmod 6751 mode && [ "$(stat -c %a mode)" = 6751 ] && mkdir sticky &&
	chmod 3777 sticky && [ "$(stat -c %a sticky)" = 3777 ]'
check "times" eval 'touch -d "1969-07-20 20:17:40.123456789 UTC" t && [ "$(stat -c %y t)" = "1969-07-20 20:17:40.123456789 +0000" ] ||
	[ "$(date -ur t +%s.%N)" = "-14182939.876543211" ]'
check "a name of 255 bytes" eval 'echo x >"$(printf %0255d 1)" && [ "$(cat "$(printf %0255d 1)")" = x ]'
check_fails "none of 256" eval 'touch "$(printf %0256d 1)" 2>/dev/null'
check "names of any bytes" eval 'touch "$(printf "a\nb\001\377\\c")" && ls | grep -q "^b" && rm "$(printf "a\nb\001\377\\c")"'

# --- sparse and large files ---

sparse() {
	truncate -s 1G sparse && printf end | dd of=sparse bs=1 seek=500000000 conv=notrunc status=none &&
		sync sparse && [ "$(du -k sparse | cut -f1)" -le 8 ] && [ "$(tail -c +500000001 sparse | head -c 3)" = end ] &&
		cp --sparse=always sparse sparse2 && [ "$(du -k sparse2 | cut -f1)" -le 8 ] && cmp -n 600000000 sparse sparse2
}
check "a sparse file" sparse
check "beyond 4 GiB" eval 'printf far | dd of=far bs=1 seek=10000000000 status=none && [ "$(stat -c %s far)" -eq 10000000003 ] &&
	[ "$(tail -c 3 far)" = far ] && truncate -s 9999999999 far && [ "$(tail -c 3 far | tr -d "\0" | wc -c)" -eq 0 ]'
check "fallocate, punching, zeroing" eval 'head -c 1M /dev/urandom >f && fallocate -p -o 100000 -l 300000 f &&
	[ "$(tail -c +100001 f | head -c 300000 | tr -d "\0" | wc -c)" -eq 0 ] && fallocate -l 3M f && [ "$(stat -c %s f)" -eq 3145728 ]'

# --- a large directory ---

many_entries() {
	mkdir many && (cd many && seq "$entries" | xargs -n 2000 touch) && [ "$(ls many | wc -l)" -eq "$entries" ] &&
		[ "$(ls -f many | sort | uniq | wc -l)" -eq $((entries + 2)) ]
}
delete_while_listing() {
	find many -name '*7' -delete && [ "$(ls many | wc -l)" -eq $((entries - entries / 10)) ] && [ ! -e many/17 ] && [ -e many/18 ]
}
check "$entries entries in a directory" many_entries
check "a tenth of them deleted while it is listed" delete_while_listing
check "rm -r of it" rm -r many

# --- the same programs on a snapshot, with the live files different since ---

seen=.snapshots/seen/tree
th snapshot create "$mnt" seen
cp -a tree "$work/tree" && find tree -type f -not -path '*/.git/*' -exec sh -c 'echo more >>"$1"' sh {} \;
rsync_out() {
	rsync -aHAX "$seen/" "$work/rsynced/" && [ -z "$(rsync -aHAXc --itemize-changes "$seen/" "$work/rsynced/")" ]
}
tar_snapshot() {
	mkdir "$work/tarred" && tar --xattrs --acls --sparse -cf - -C "$seen" . | tar --xattrs --acls -xf - -C "$work/tarred"
}
crawled() { # DIRECTORY: what several programs find below it
	(cd "$1" && find . -type f | sort && grep -rc include . | sort && du -s --apparent-size .)
}
check "rsync out of a snapshot, and nothing to do after it" eval 'rsync_out && diff -r "$work/tree" "$work/rsynced"'
check "tar out of it" eval 'tar_snapshot && diff -r "$work/tree" "$work/tarred"'
check "cp -a out of it" eval 'cp -a "$seen" back && diff -r "$work/tree" back'
check "diff -r against it" eval 'diff -r "$seen" "$work/tree" && ! diff -rq "$seen" tree >/dev/null'
check "find, grep -r and du see what they saw" eval '[ "$(crawled "$seen")" = "$(crawled back)" ] && [ "$(crawled "$seen")" != "$(crawled tree)" ]'
check "git status in it: clean, and in the live tree not" eval 'git -C "$seen" status --porcelain >"$work/status" && [ ! -s "$work/status" ] &&
	[ -n "$(git -C tree status --porcelain)" ]'
check "crawlers of a directory do not come to snapshots" eval '[ -z "$(find tree clone -name .snapshots)" ]'

cd "$work" || exit 1
manifest "$mnt" >"$work/before"
check "unmount" stop
check "check" th check "$image"
check "mount" start "$image" "$mnt"
check "everything is as it was" eval 'manifest "$mnt" | diff "$work/before" -'
check "unmount again" stop
tap_done
