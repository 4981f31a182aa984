/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a stream: packing, and checking what was read. */
#ifndef TH_FS_STREAM_PIECE_H
#define TH_FS_STREAM_PIECE_H

#include <stdbool.h>

#include "fs/stream/stream_format.h"

/* Writes the pieces of a stream, one after another. */
struct th_piece_writer {
	bool compress;
	uint64_t before; /* checksum of the last piece; 0 at the beginning of a stream */
	uint8_t *bytes; /* the last piece */
	size_t size, capacity;
	void *context; /* of zstd */
};

/* The caller zeros the writer and sets `compress`. */
void th_piece_writer_release(struct th_piece_writer *writer);
/* Makes the next piece: writer->bytes and ->size.  size: at most TH_PIECE_SIZE_MAX.  A piece that compression does not
 * make smaller stays plain.  Returns 0 or -ENOMEM. */
int th_piece_write(struct th_piece_writer *writer, enum th_piece_kind kind, const void *content, size_t size);

/* Checks and unpacks the pieces of a stream. */
struct th_piece_reader {
	uint64_t before;
	uint8_t *content; /* of the last compressed piece */
	void *context;
};

/* Checks the head of a piece.  Returns the bytes that follow it in *ret_stored.  Returns 0, or -EUCLEAN if it is
 * none. */
int th_piece_head_check(const struct th_piece_head *head, size_t *ret_stored);
/* Checks a whole piece of a stream, head included, and unpacks it.  The content is valid until the next call, or is in
 * the piece.  Returns 0; -EBADMSG for a wrong checksum; -EUCLEAN if it does not follow the piece before, or is
 * malformed; or -ENOMEM. */
int th_piece_read(struct th_piece_reader *reader, const void *piece, size_t size, enum th_piece_kind *ret_kind,
		  struct th_slice *ret_content);
void th_piece_reader_release(struct th_piece_reader *reader);

#endif
