/*
 * Reading the config for the daemon: mistakes go to the log, and a config that is read
 * again keeps what cannot change while we run.
 */
#ifndef CHATMAILD_RELOAD_H
#define CHATMAILD_RELOAD_H

#include <stddef.h>

#include "chatmaild/config.h"

/* config_load() with its lines in the log: errors if it failed, else warnings. */
struct config *reload_read(const char *path);

/*
 * Make fresh fit for a process that started with old: keys that need a restart and
 * differ get old's value again (what old owned is swapped into fresh, so free both as
 * usual). changed gets those keys, blank-separated, cut to size; "" if none. Returns
 * their number.
 */
size_t reload_keep_fixed(
    struct config *fresh, struct config *old, char *changed, size_t size);

#endif
