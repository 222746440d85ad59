/*
 * What the files of the configuration share while one is loaded; nobody else's.
 */
#ifndef CHATMAILD_CONFIG_LOADER_H
#define CHATMAILD_CONFIG_LOADER_H

#include <stdarg.h>

#include "chatmaild/config.h"
#include "proto/ini.h"

#define CONFIG_SECTION     "params"
#define CONFIG_REPORTS_MAX 50 /* mistakes, and warnings; who has more runs it again */

struct config_loader {
	const char *path;
	FILE *err;
	unsigned errors, warnings;
	struct ini ini;
};

/*
 * Report a mistake, which makes the load fail, or a warning. line 0: it stands in no
 * line; key NULL: it is about none.
 */
void config_mistake(struct config_loader *l, unsigned line, const char *key,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void config_warn(struct config_loader *l, unsigned line, const char *key,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void config_vreport(struct config_loader *l, unsigned line, const char *kind,
    const char *key, const char *fmt, va_list ap) __attribute__((format(printf, 5, 0)));

/* The key's item and line in the file; NULL and 0 if it is not there. */
const struct ini_item *config_item(const struct config_loader *l, const char *key);
unsigned config_line(const struct config_loader *l, const char *key);

/* Some of a value for a message: bounded, on one line. */
struct config_excerpt {
	char text[64];
};
struct config_excerpt config_excerpt(const char *value);

/* The option's row, or NULL. */
const struct config_option *config_find_option(struct span key);

/*
 * Type, default and validate all options, and fill their fields in config. Mistakes are
 * reported; only without any the fields are complete.
 */
void config_read_options(struct config_loader *l, struct config *config);

#endif
