/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stream/piece.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "journal/base/array.h"
#include "journal/base/checksum.h"

/* A level that keeps up with a disk.  Higher ones gain little on blocks of files. */
#define LEVEL 3

/* --- writing --- */

/* Compresses the content into the bytes after the head.  Returns the bytes, or 0 if that gains nothing. */
static size_t compress(struct th_piece_writer *writer, const void *content, size_t size)
{
	size_t stored;

	if (!writer->compress)
		return 0;
	if (!writer->context)
		writer->context = ZSTD_createCCtx();
	if (!writer->context)
		return 0;
	stored = ZSTD_compressCCtx(writer->context, writer->bytes + sizeof(struct th_piece_head),
				   writer->capacity - sizeof(struct th_piece_head), content, size, LEVEL);
	return ZSTD_isError(stored) || stored >= size ? 0 : stored;
}

int th_piece_write(struct th_piece_writer *writer, enum th_piece_kind kind, const void *content, size_t size)
{
	struct th_piece_head head = { .kind = (uint8_t)kind, .before = th_le64(writer->before) };
	size_t stored;

	if (th_grow(writer->bytes, writer->capacity, sizeof(head) + ZSTD_compressBound(size)))
		return -ENOMEM;
	stored = compress(writer, content, size);
	head.compression = stored ? TH_PIECE_ZSTD : TH_PIECE_PLAIN;
	if (!stored) {
		stored = size;
		memcpy(writer->bytes + sizeof(head), content, size);
	}
	memcpy(head.magic, TH_PIECE_MAGIC, sizeof(head.magic));
	head.stored = th_le32((uint32_t)stored);
	head.size = th_le32((uint32_t)size);
	memcpy(writer->bytes, &head, sizeof(head));
	writer->size = sizeof(head) + stored;
	writer->before = kind == TH_PIECE_END ? 0
					      : th_checksum(writer->bytes + sizeof(head.checksum),
							    writer->size - sizeof(head.checksum));
	head.checksum =
		th_le64(th_checksum(writer->bytes + sizeof(head.checksum), writer->size - sizeof(head.checksum)));
	memcpy(writer->bytes, &head.checksum, sizeof(head.checksum));
	return 0;
}

void th_piece_writer_release(struct th_piece_writer *writer)
{
	ZSTD_freeCCtx(writer->context);
	free(writer->bytes);
}

/* --- reading --- */

int th_piece_head_check(const struct th_piece_head *head, size_t *ret_stored)
{
	size_t stored = th_get_le32(head->stored), size = th_get_le32(head->size);

	if (memcmp(head->magic, TH_PIECE_MAGIC, sizeof(head->magic)) || th_get_le16(head->reserved))
		return -EUCLEAN;
	if (head->kind < TH_PIECE_BEGIN || head->kind > TH_PIECE_END || head->compression > TH_PIECE_ZSTD)
		return -EUCLEAN;
	if (!size || size > TH_PIECE_SIZE_MAX || stored > size ||
	    (head->compression == TH_PIECE_PLAIN && stored != size))
		return -EUCLEAN;
	*ret_stored = stored;
	return 0;
}

static int decompress(struct th_piece_reader *reader, struct th_slice stored, size_t size, struct th_slice *ret)
{
	if (!reader->context)
		reader->context = ZSTD_createDCtx();
	if (!reader->content)
		reader->content = malloc(TH_PIECE_SIZE_MAX);
	if (!reader->context || !reader->content)
		return -ENOMEM;
	if (ZSTD_decompressDCtx(reader->context, reader->content, TH_PIECE_SIZE_MAX, stored.data, stored.size) != size)
		return -EUCLEAN;
	*ret = (struct th_slice){ reader->content, size };
	return 0;
}

int th_piece_read(struct th_piece_reader *reader, const void *piece, size_t size, enum th_piece_kind *ret_kind,
		  struct th_slice *ret_content)
{
	struct th_piece_head head;
	uint64_t checksum;
	size_t stored;

	if (size < sizeof(head))
		return -EUCLEAN;
	memcpy(&head, piece, sizeof(head));
	if (th_piece_head_check(&head, &stored) || size != sizeof(head) + stored)
		return -EUCLEAN;
	checksum = th_checksum((const uint8_t *)piece + sizeof(head.checksum), size - sizeof(head.checksum));
	if (th_get_le64(head.checksum) != checksum)
		return -EBADMSG;
	if (th_get_le64(head.before) != reader->before)
		return -EUCLEAN;
	reader->before = head.kind == TH_PIECE_END ? 0 : checksum;
	*ret_kind = head.kind;
	*ret_content = (struct th_slice){ (const uint8_t *)piece + sizeof(head), stored };
	if (head.compression == TH_PIECE_PLAIN)
		return 0;
	return decompress(reader, *ret_content, th_get_le32(head.size), ret_content);
}

void th_piece_reader_release(struct th_piece_reader *reader)
{
	ZSTD_freeDCtx(reader->context);
	free(reader->content);
}
