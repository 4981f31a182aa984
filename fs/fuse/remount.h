/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount -o remount: changes the flags that the kernel itself keeps of a mount (ro, nosuid, nodev, noexec ...).  The
 * daemon is not involved, and keeps the options that it was started with.
 */
#ifndef TH_FS_FUSE_REMOUNT_H
#define TH_FS_FUSE_REMOUNT_H

/* Sets the flags of the mount on `directory` to those among `options`, joined by commas, and clears all others.
 * Returns 0,
 * -EROFS if it shall become writable but was mounted read-only or refuses changes after an error, or -errno; reports
 * errors on stderr, where `place` names the directory. */
int th_remount(const char *image, const char *directory, const char *options, const char *place);

#endif
