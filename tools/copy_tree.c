/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/copy_tree.h"

#include <errno.h>
#include <string.h>

#include "tools/error.h"

static int set_path(char *to, size_t size, const char *path)
{
	if (strlen(path) >= size)
		return -ENAMETOOLONG;
	strcpy(to, path);
	return 0;
}

int th_copy_tree_ask(struct th_target *target, const struct th_copy_names *names, struct th_control_copy *ret)
{
	int err;

	memset(ret, 0, sizeof(*ret));
	err = set_path(ret->source, sizeof(ret->source), names->source);
	if (!err)
		err = set_path(ret->target, sizeof(ret->target), names->destination);
	if (!err && names->from)
		err = th_target_name(names->from, &ret->from);
	if (!err && names->aside)
		err = th_target_name(names->aside, &ret->aside);
	return err ? err : th_target_ask(target, TH_CONTROL_COPY, ret);
}

int th_copy_tree_report(struct th_target *target, const struct th_copy_names *names, int err)
{
	const char *path = th_target_path(target);

	switch (err) {
	case -ESRCH:
		return th_error_line("%s: there is no snapshot '%s' (see thunderhead snapshot list)", path,
				     names->from);
	case -ENXIO:
		if (names->from)
			return th_error_line("%s: '%s' is not in snapshot '%s'", path, names->source, names->from);
		return th_error_line("%s: '%s': No such file or directory", path, names->source);
	case -EEXIST:
		return th_error_line("%s: '%s' exists; choose another name", path, names->destination);
	case -EPERM:
		return th_error_line("%s: only root and the user who mounted it may copy inside it, and nothing can be "
				     "changed in an immutable directory",
				     path);
	default:
		return th_error(err, "%s: '%s'", path, names->destination);
	}
}
