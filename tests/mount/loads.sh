#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Demanding programs, each of which verifies its own data.  One that is not installed is skipped; Debian has them in
# postgresql fio stress-ng dbench postmark rocksdb-tools lmdb-utils debootstrap.
#   TH_LOADS_SECONDS  duration of each timed load (20)
#   TH_LOADS_ENTRIES  entries in one directory (1000000)
#   TH_LOADS_MIRROR   the mirror for debootstrap (the first one in sources.list)
. "$(dirname "$0")/../support/mount_test.sh"
seconds=${TH_LOADS_SECONDS:-20}
entries=${TH_LOADS_ENTRIES:-1000000}

# load NAME PROGRAM COMMAND... : a check that needs this program
load() {
	local name=$1 needed=$2
	shift 2
	if command -v "$needed" >/dev/null; then
		check "$name" "$@"
	else
		tap_skip "$name" "no $needed"
	fi
}

remount() {
	cd "$work" && stop && th check "$image" && start "$image" "$mnt" && cd "$mnt" || return 1
}

check "mkfs and mount" fresh 16G
[ "$(id -u)" -ne 0 ] || chmod 755 "$work"
cd "$mnt" || bail_out "cd $mnt"

# --- databases ---

postgres=$(find /usr/lib/postgresql/*/bin -maxdepth 0 2>/dev/null | tail -1)
PATH=$PATH${postgres:+:$postgres}
data=$mnt/postgres
as_postgres() {
	if [ "$(id -u)" -eq 0 ]; then
		(cd / && setpriv --reuid postgres --regid postgres --init-groups env PATH="$PATH" "$@")
	else
		(cd / && "$@")
	fi
}
postgres_run() {
	as_postgres pg_ctl -D "$data" -l "$data/log" -w -t "$TH_PATIENCE" -o "-k $data -c listen_addresses=" "$@"
}
bank() {
	as_postgres "${@:1:1}" -h "$data" "${@:2}" bank
}
postgres_new() {
	mkdir "$data" && chmod 700 "$data" && { [ "$(id -u)" -ne 0 ] || chown postgres:postgres "$data"; } &&
		as_postgres initdb -k -D "$data" && postgres_run start && as_postgres createdb -h "$data" bank &&
		bank pgbench -q -i -s 10
}
# Committed transactions are there after the server was killed.  The children of the killed process end by themselves,
# and must have ended before the next start.
postgres_children_ended() {
	local child
	for child in "$@"; do
		ended "$child" || return 1
	done
}
postgres_killed() {
	local main before children
	main=$(head -1 "$data/postmaster.pid")
	bank pgbench -n -c 4 -T "$seconds" >"$work/bank" 2>&1 &
	sleep $((seconds / 2))
	mapfile -t children < <(pgrep -P "$main")
	kill -9 "$main"
	wait $!
	before=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$work/bank")
	rm -f "$data/postmaster.pid"
	wait_for postgres_children_ended "${children[@]}" && postgres_run start && [ "$(bank psql -At -c 'SELECT count(*) FROM pgbench_history')" -ge "${before:-1}" ] && balanced
}
balanced() {
	[ "$(bank psql -At -c 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)
		AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT coalesce(sum(delta), 0) FROM pgbench_history)')" = t ]
}
load "PostgreSQL creates a database" initdb postgres_new
load "PostgreSQL serves pgbench" initdb bank pgbench -c 4 -T "$seconds"
load "PostgreSQL keeps committed transactions after a kill" initdb postgres_killed
load "PostgreSQL finds its page checksums right" initdb eval 'postgres_run stop -m fast && as_postgres pg_checksums --check -D "$data"'
check "nothing is wrong in the image, and it mounts again" remount
load "PostgreSQL starts after the next mount with the right sums" initdb eval 'postgres_run start && balanced && postgres_run stop -m fast'

rocksdb() {
	db_bench --db="$mnt/rocksdb" --num=300000 --value_size=400 --verify_checksum=1 --sync=0 "$@" | tee "$work/rocksdb.log" &&
		! grep -qiE 'corrupt|error' "$work/rocksdb.log"
}
load "RocksDB reads back its records" db_bench rocksdb --benchmarks=fillrandom,overwrite,readwhilewriting,compact,verifychecksum --reads=50000
load "RocksDB with O_DIRECT reads back its records" db_bench rocksdb --use_existing_db=1 --use_direct_reads=1 \
	--use_direct_io_for_flush_and_compaction=1 --benchmarks=overwrite,readrandom,compact,verifychecksum --reads=50000
lmdb() {
	mkdir lmdb lmdb2
	{
		printf 'VERSION=3\nformat=print\ntype=btree\nmapsize=2147483648\nHEADER=END\n'
		seq 300000 | sed 's/.*/ key &\n value of & &/'
		printf 'DATA=END\n'
	} >"$work/dump" && mdb_load -f "$work/dump" lmdb && mdb_copy lmdb lmdb2 && mdb_dump -p lmdb | cksum >"$work/a" &&
		mdb_dump -p lmdb2 | cksum | cmp - "$work/a" && [ "$(mdb_dump -p lmdb | grep -c '^ value of')" -eq 300000 ]
}
load "LMDB copies and dumps its records" mdb_load lmdb

# --- transfers ---

verified() {
	fio --name=verify --directory="$mnt" --size=256M --bs=4k-64k --verify=xxhash --verify_fatal=1 --do_verify=1 \
		--group_reporting --minimal "$@"
}
for engine in psync libaio io_uring mmap; do
	for direct in 0 1; do
		[ "$engine$direct" = mmap1 ] && continue
		bs=$([ $direct = 1 ] && echo --blockalign=4k)
		load "fio verifies random writes with $engine, direct=$direct" fio eval "mkdir -p fio.$engine.$direct && verified --filename=fio.$engine.$direct/f --rw=randwrite \
			--ioengine=$engine --direct=$direct --iodepth=16 --bs=4k $bs"
	done
done
check "nothing is wrong after the transfers, and the image mounts again" remount
load "fio verifies them after the next mount" fio eval 'for at in fio.*; do verified --filename=$at/f --rw=randwrite --bs=4k --verify_only || exit 1; done'
load "postmark creates and deletes files" postmark eval 'mkdir postmark && printf "set location postmark\nset number 5000\nset transactions 20000\nrun\nquit\n" | postmark && rmdir postmark'
load "dbench runs its client" dbench dbench -D "$mnt" -t "$seconds" -c /usr/share/dbench/client.txt 4

# --- an operating system ---

system_inside() {
	local mirror=${TH_LOADS_MIRROR:-$(sed -n 's/^deb [^h]*\(http[^ ]*\).*/\1/p' /etc/apt/sources.list | head -1)}
	debootstrap --variant=minbase bookworm system ${mirror:+"$mirror"} >"$work/debootstrap" || { tail -5 "$work/debootstrap"; return 1; }
	chroot system dpkg --verify && chroot system dpkg --audit && chroot system apt-get -qq check &&
		chroot system sh -c 'dpkg -l | grep -c ^ii' && cp -a system system2 && chroot system2 dpkg --verify
}
if [ "$(id -u)" -eq 0 ]; then
	load "a Debian system is installed and verified by dpkg and apt" debootstrap system_inside
fi

# --- directories ---

million() {
	mkdir many && seq "$entries" | (cd many && xargs -n 5000 touch) && [ "$(find many -type f | wc -l)" -eq "$entries" ] &&
		[ "$(find many | sort -u | wc -l)" -eq $((entries + 1)) ] && find many -name '*3' -delete &&
		[ "$(find many -type f | wc -l)" -eq $((entries - entries / 10)) ] && rm -r many
}
check "a directory holds $entries entries" million
linked() {
	mkdir links && echo x >links/0 && seq 65000 | (cd links && xargs -I{} -P2 -n 1 ln 0 {}) &&
		[ "$(stat -c %h links/0)" -eq 65001 ] && rm -r links
}
check "a file has 65000 links" linked
load "stress-ng finds nothing wrong" stress-ng stress-ng --temp-path "$mnt" --class filesystem --sequential 1 -t 3s --verify \
	--exclude "${TH_LOADS_STRESS_EXCLUDE:-binderfs,sysinval,quota,ioport}" --metrics-brief --oomable --no-rand-seed

cd "$work" || exit
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
tap_done
