/* SPDX-License-Identifier: Apache-2.0 */
/* The engines of this build: Meson defines HAVE_... for those that it found. */
#include "tests/bench/engines/thunderhead.h"

extern const struct engine engine_lmdb, engine_rocksdb, engine_sqlite;

const struct engine *const engines[] = {
	&engine_thunderhead,
	&engine_thunderhead_buffered,
#ifdef HAVE_LMDB
	&engine_lmdb,
#endif
#ifdef HAVE_ROCKSDB
	&engine_rocksdb,
#endif
#ifdef HAVE_SQLITE
	&engine_sqlite,
#endif
	NULL,
};
