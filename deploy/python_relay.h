/*
 * What a relay of the Python services consists of, as its deployment leaves it on a server.
 */
#ifndef DEPLOY_PYTHON_RELAY_H
#define DEPLOY_PYTHON_RELAY_H

#include <stdbool.h>
#include <stddef.h>

#define PYTHON_RELAY_VENV   "/usr/local/lib/chatmaild/venv/"
#define PYTHON_RELAY_FILTER "/usr/local/bin/filtermail"

/* Where on the server it is kept for the way back; takeover.sh. */
#define PYTHON_RELAY_KEPT "/var/lib/cmdeploy/taken-over"

/* Its units, sorted by name; but for those that ours have the same name as. */
extern const char *const python_relay_units[];
extern const size_t npython_relay_units;

/* What stands in nobody's way once ours run: files and directories. */
extern const char *const python_relay_paths[];
extern const size_t npython_relay_paths;

/* Is this unit one of these? */
bool python_relay_has_unit(const char *name);

/* Does a unit's program, after "path=" in its ExecStart, belong to it? */
bool python_relay_runs(const char *exec_start);

#endif
