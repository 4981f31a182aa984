#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The installed library: it exports the functions of its headers and no others; the headers compile alone in C and
# C++; the examples and the snippets of docs/library.md compile with the options of pkg-config alone; the examples
# work.
. "$(dirname "$0")/../support/tap.sh"

root=$work/root
cc=${CC:-cc}
cxx=${CXX:-c++}
flags=(-Wall -Wextra -Werror)
[ "${TH_SANITIZE:-none}" = none ] || flags+=("-fsanitize=$TH_SANITIZE")
headers=(thunderhead.h chunk.h reference.h disk.h future.h transfer.h)

export LD_LIBRARY_PATH=$root$TH_LIBDIR PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=$root$TH_LIBDIR/pkgconfig
unset DESTDIR

# package OPTION... : the options from pkg-config, in the array `package`
package() {
	read -ra package <<<"$(pkg-config "$@" thunderhead)"
}

# compile COMPILER SOURCE PROGRAM OPTION...
compile() {
	local compiler=$1 source=$2 program=$3
	shift 3
	package --cflags --libs
	"$compiler" "${flags[@]}" "$@" "$source" -o "$program" "${package[@]}"
}

DESTDIR=$root meson install -C "$TH_BUILD" --no-rebuild >"$work/install.log" 2>&1 || diag "$(cat "$work/install.log")"
[ -e "$root$TH_LIBDIR/libthunderhead.so" ] && [ -e "$root$TH_LIBDIR/libthunderhead.a" ]
tap "meson install installs the shared and the static library"
check "pkg-config reports the version" is "$("$THUNDERHEAD" --version | grep -oE '[0-9]+\.[0-9.]+' | head -n 1)" "$(pkg-config --modversion thunderhead)"

# --- where pkg-config looks ---

default_path=$(pkg-config --variable pc_path pkg-config)
# in_default_path DIRECTORY
in_default_path() {
	[[ :$default_path: == *:$1:* ]]
}
found_by_default() {
	local staged=${default_path//:/:$root}
	is "$root$TH_LIBDIR/pkgconfig" "$(PKG_CONFIG_SYSROOT_DIR='' PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR=$root$staged:$default_path pkg-config --variable pcfiledir thunderhead)"
}
if in_default_path "$TH_LIBDIR/pkgconfig"; then
	check "pkg-config finds the library in its default path" found_by_default
else
	tap_skip "pkg-config finds the library in its default path" "configured for $TH_LIBDIR"
fi

# README's command on a system without dpkg-architecture, from which meson learns the directory on Debian
fresh_install() {
	mkdir "$work/bin" && printf '#!/bin/sh\nexit 1\n' >"$work/bin/dpkg-architecture" && chmod +x "$work/bin/dpkg-architecture" &&
		PATH=$work/bin:$PATH meson setup "$work/fresh" "$TH_SOURCE" --prefix=/usr -Dtests=disabled >"$work/fresh.log" 2>&1 ||
		{ cat "$work/fresh.log"; return 1; }
	installed=$(meson introspect "$work/fresh" --installed | grep -oE '"/usr/[^"]*/(thunderhead\.pc|libthunderhead\.a)"' | tr -d '"')
	in_default_path "$(dirname "$(grep 'pc$' <<<"$installed")")" &&
		is "$(dirname "$(dirname "$(grep 'pc$' <<<"$installed")")")" "$(dirname "$(grep 'a$' <<<"$installed")")"
}
if [ -e /etc/debian_version ]; then
	check "a fresh Debian installs to where pkg-config looks" fresh_install
else
	tap_skip "a fresh Debian installs to where pkg-config looks" "not Debian"
fi

# --- exported symbols ---

# Functions that the headers declare: the name before the first parenthesis of a statement that is no typedef
declared() {
	package --cflags
	printf '#include <thunderhead/%s>\n' "${headers[@]}" | "$cc" -E -P "${package[@]}" - | tr '\n' ' ' | tr ';{}' '\n\n\n' |
		grep -v '^ *typedef' | sed -nE 's/^[^(]*[ *](th_[a-z0-9_]+)\(.*/\1/p' | sort -u
}

declared >"$work/declared"
nm -D --defined-only "$root$TH_LIBDIR/libthunderhead.so" | awk '$2 == "T" { print $3 }' | sort >"$work/versioned"
sed 's/@.*//' "$work/versioned" >"$work/exported"
diff "$work/declared" "$work/exported" >"$work/difference" || diag "$(cat "$work/difference")"
[ ! -s "$work/difference" ] && [ "$(wc -l <"$work/declared")" -gt 80 ]
tap "the shared library exports the functions that its headers declare, and nothing else"
! grep -qv '@@THUNDERHEAD_0$' "$work/versioned"
tap "every symbol has the version of the map"
! nm -D --defined-only "$root$TH_LIBDIR/libthunderhead.so" | awk '$2 ~ /[BDRVW]/' | grep -q . && \
	! nm -g --defined-only "$root$TH_LIBDIR/libthunderhead.a" | awk 'NF == 3 { print $3 }' | grep -v '^_*asan\|^_*odr' | grep -qv '^th_'
tap "no variables are exported, and all names of the static library begin with th_"

# --- headers ---

check "these headers are installed and no others" is "$(printf '%s\n' "${headers[@]}" | sort)" "$(cd "$root$TH_INCLUDES/thunderhead" && printf '%s\n' *.h)"
package --cflags
stands_alone() {
	local compiler=$1 language=$2 standard=$3 header
	for header in thunderhead.h "${headers[@]/#/thunderhead/}"; do
		printf '#include <%s>\n#include <%s>\n' "$header" "$header" |
			"$compiler" "${flags[@]}" -pedantic -std="$standard" -x "$language" -fsyntax-only "${package[@]}" - || return 1
	done
}
stands_alone "$cc" c c11 && stands_alone "$cc" c gnu17
tap "each header compiles alone in C"

cat >"$work/one.cc" <<'END'
#include <cstdio>
#include <thunderhead/disk.h>
#include <thunderhead/thunderhead.h>

int main()
{
	th_disk *disk;
	th_store *store;
	th_txn *txn;
	th_value value;
	const th_slice key = { "key", 3 };

	if (th_disk_memory_new(TH_IMAGE_MIN / TH_BLOCK_SIZE, &disk) || th_store_format(disk, nullptr) ||
	    th_store_open(disk, nullptr, &store) || th_txn_begin(store, &txn) || th_txn_put(txn, key, { "value", 5 }) ||
	    th_txn_commit(txn) || th_get(th_view_live(store), key, &value))
		return 1;
	std::printf("%.*s\n", static_cast<int>(value.size), static_cast<const char *>(value.data));
	th_value_release(&value);
	return th_store_close(store) ? 1 : 0;
}
END
if command -v "$cxx" >/dev/null; then
	stands_alone "$cxx" c++ c++11 && stands_alone "$cxx" c++ c++20
	tap "each header compiles alone in C++"
	compile "$cxx" "$work/one.cc" "$work/one" && is value "$("$work/one")"
	tap "a program in C++ stores and reads a value"
else
	tap_skip "headers compile in C++" "no compiler for it"
fi

# --- the examples ---

examples=$root$TH_DOCUMENTS/examples

expected_ledger='at closing time: 4 accounts, 4000 together
since then:
  account/ada: -50
  account/bob: +50
  transfer/late/0000: new
what if:
  account/cyd: -10
  account/dee: +10
  transfer/if/0000: new
on the main branch: 4 accounts, 4000 together'

run_ledger() {
	is "$expected_ledger" "$("$1" "$2")"
}

run_stripe() {
	is '3000 records, 0 problems' "$("$1" "$2.left" "$2.right")" && [ "$(du -k "$2.left" | cut -f 1)" -gt 1000 ] &&
		[ "$(du -k "$2.right" | cut -f 1)" -gt 1000 ]
}

compile "$cc" "$examples/ledger.c" "$work/ledger" && run_ledger "$work/ledger" "$work/ledger.img"
tap "ledger.c prints the expected report"
th check "$work/ledger.img" >"$work/checked" && grep -q '1 snapshots, 2 branches; no problems' "$work/checked"
tap "thunderhead check finds nothing wrong in its image"
compile "$cc" "$examples/stripe.c" "$work/stripe" && run_stripe "$work/stripe" "$work/stripe"
tap "stripe.c writes to both files and finds no problems"
"$work/ledger" "$work/ledger.img" 2>"$work/err"
[ $? -eq 1 ] && grep -q '^ledger: .*: File exists$' "$work/err"
tap "an example reports an existing image"

if [ "${TH_SANITIZE:-none}" = none ]; then
	package --static --cflags --libs
	"$cc" "${flags[@]}" -static "$examples/ledger.c" -o "$work/ledger-static" "${package[@]}" &&
		run_ledger "$work/ledger-static" "$work/ledger-static.img"
	tap "ledger.c runs when it is linked statically"
else
	tap_skip "ledger.c runs when it is linked statically" "sanitizers have shared libraries only"
fi

# --- the snippets of docs/library.md ---

# Each is the body of a function; its parameters are the objects that other snippets create.
snippets() {
	printf '#include <errno.h>\n#include <pthread.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n'
	printf '#include <thunderhead/disk.h>\n#include <thunderhead/reference.h>\n#include <thunderhead/thunderhead.h>\n'
	awk '/^```c$/ { printf "int snippet_%d(struct th_disk *disk, struct th_store *store, struct th_txn *txn, struct th_view *view, int err);\n", ++n;
			printf "int snippet_%d(struct th_disk *disk, struct th_store *store, struct th_txn *txn, struct th_view *view, int err)\n{\n#line %d \"library.md\"\n", n, NR + 1;
			inside = 1; next }
		/^```$/ { if (inside) print "return err;\n}"; inside = 0 }
		inside' "$1"
}

snippets "$TH_SOURCE/docs/library.md" >"$work/snippets.c" && package --cflags &&
	"$cc" -Wall -Werror -Wno-unused -c "$work/snippets.c" -o "$work/snippets.o" "${package[@]}" &&
	[ "$(grep -c '^int snippet_.*;$' "$work/snippets.c")" -gt 8 ]
tap "the snippets of docs/library.md compile"

tap_done
