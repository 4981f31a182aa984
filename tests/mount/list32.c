/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list32 DIRECTORY: prints its names as a 32-bit program without large file support sees them: by the old getdents(2).
 * Exit status 0, or 1 if the directory cannot be listed to its end, as for an inode number or cookie of more than 32
 * bits.
 */
enum { SYS_EXIT = 1, SYS_WRITE = 4, SYS_OPEN = 5, SYS_GETDENTS = 141 };

struct dirent32 {
	unsigned ino, off;
	unsigned short length;
	char name[];
};

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

static void print(const char *text)
{
	long size = 0;

	while (text[size])
		size++;
	call(SYS_WRITE, 1, (long)text, size);
	call(SYS_WRITE, 1, (long)"\n", 1);
}

/* The C library's readdir(3) fails for a cookie that is no positive off_t of 32 bits. */
static long list(const char *directory)
{
	static char buffer[4096];
	long fd = call(SYS_OPEN, (long)directory, 0200000 /* O_DIRECTORY */, 0), size;

	while ((size = call(SYS_GETDENTS, fd, (long)buffer, sizeof(buffer))) > 0) {
		for (long at = 0; at < size;) {
			struct dirent32 *entry = (struct dirent32 *)(buffer + at);

			if (entry->off >> 31)
				return -1;
			print(entry->name);
			at += entry->length;
		}
	}
	return size;
}

__attribute__((used)) static void start(const long *stack)
{
	call(SYS_EXIT, stack[0] == 2 && !list((const char *)stack[2]) ? 0 : 1, 0, 0);
}

__asm__(".globl _start\n_start: push %esp\n call start\n");
