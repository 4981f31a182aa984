# SPDX-License-Identifier: Apache-2.0
# limits.py LIMIT DIRECTORY : tries an operation, and prints its result or the error's name.  The directory has a file
# "file" of 1 MiB.
import ctypes
import errno
import fcntl
import mmap
import os
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
limit, directory = sys.argv[1:]


def opened(name, flags=os.O_RDWR):
    return os.open(os.path.join(directory, name), flags, 0o600)


def ioctl(fd, number, argument=0):
    fcntl.ioctl(fd, number, argument)
    return "works"


def fallocate(mode):
    if libc.fallocate(opened("file"), mode, ctypes.c_long(0), ctypes.c_long(4096)):
        raise OSError(ctypes.get_errno(), "")
    return "works"


def seek_data(write_back):
    fd = opened("sparse", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.ftruncate(fd, 1 << 20)
    memory = mmap.mmap(fd, 1 << 20)
    memory[500000:500005] = b"hello"
    assert os.pread(fd, 5, 500000) == b"hello"
    if write_back:
        memory.flush()
    return os.lseek(fd, 0, os.SEEK_DATA)


def attribute_bits():
    buffer = ctypes.create_string_buffer(256)
    assert not libc.statx(-100, os.path.join(directory, "file").encode(), 0, 0x7FF, buffer)
    return "none" if not struct.unpack_from("Q", buffer, 56)[0] & 0x10 else "STATX_ATTR_IMMUTABLE"


def cached_atime():
    fd = opened("file", os.O_RDONLY)
    os.pread(fd, 4096, 0)
    before = os.fstat(fd).st_atime_ns
    os.pread(fd, 4096, 0)
    return "unchanged" if os.fstat(fd).st_atime_ns == before else "updated"


limits = {
    "seek": lambda: seek_data(False),
    "seek-msync": lambda: seek_data(True),
    "clone": lambda: ioctl(opened("clone", os.O_RDWR | os.O_CREAT), 0x40049409, opened("file")),
    "fiemap": lambda: ioctl(opened("file"), 0xC020660B, bytes(32)),
    "collapse": lambda: fallocate(8),
    "insert": lambda: fallocate(32),
    "freeze": lambda: ioctl(os.open(directory, os.O_RDONLY), 0xC0045877),
    "attributes": attribute_bits,
    "atime": cached_atime,
}
try:
    print(limits[limit]())
except OSError as error:
    print(errno.errorcode[error.errno])
