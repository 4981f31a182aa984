/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/rescue/lost_names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs/check/damage_name.h"
#include "fs/rescue/inventory.h"
#include "journal/base/report.h"

int th_lost_names(struct th_view *view, const char *tree, void (*report)(void *arg, const char *line), void *arg)
{
	struct th_inventory inventory;
	int err = th_inventory_take(view, &inventory);

	for (size_t i = 0; i < inventory.holes_count && !err; i++)
		th_report_format(report, arg,
				 "damaged node: %s: records of inodes %" PRIu64 " to %" PRIu64 " cannot be read", tree,
				 inventory.holes[i].from, inventory.holes[i].to);
	for (size_t i = 0; i < inventory.names_count && !err; i++) {
		const struct th_found_name *name = &inventory.names[i];
		char *path;

		if (th_inventory_inode(&inventory, name->id) || !th_inventory_in_hole(&inventory, name->id))
			continue;
		path = th_damage_path(view, name->parent, name->name);
		if (path)
			th_report_format(report, arg, "damaged node: %s: '%s' (inode %" PRIu64 ") cannot be read", tree,
					 path, name->id);
		else
			err = -ENOMEM;
		free(path);
	}
	th_inventory_release(&inventory);
	return err;
}
