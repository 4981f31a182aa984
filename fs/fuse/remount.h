/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount -o remount: what the kernel itself keeps of a mount (ro, nosuid, nodev, noexec ...) is set anew.  The daemon is
 * not asked, and goes on with the options that it was begun with.
 */
#ifndef TH_FS_FUSE_REMOUNT_H
#define TH_FS_FUSE_REMOUNT_H

/*
 * Gives what is mounted on a directory the flags among these options, joined by commas, and no others.  Says on stderr
 * what went wrong, naming `place`.
 * -EROFS: it is to be written, and was mounted to be read only.
 */
int th_remount(const char *image, const char *directory, const char *options, const char *place);

#endif
