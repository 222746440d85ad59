/*
 * The commands of older relays, as an operator may have them in a crontab: this program
 * under their names, with their options and their output. They work on the files, with or
 * without the daemon, which notices.
 */
#ifndef CHATMAILD_CTL_OLD_H
#define CHATMAILD_CTL_OLD_H

/* main() of the command of this name; -1 if there is none. argv[0] is its name. */
int ctl_old_run(const char *name, int argc, char **argv);

/* Each is a main(). */
int ctl_old_expire(int argc, char **argv);   /* chatmail-expire, ctl_old_expire.c */
int ctl_old_inactive(int argc, char **argv); /* delete_inactive_users */
int ctl_old_quota(int argc, char **argv);    /* chatmail-quota-expire */
int ctl_old_report(int argc, char **argv);   /* chatmail-fsreport, ctl_report.c */
int ctl_old_metrics(int argc, char **argv);  /* chatmail-metrics */

/* What they share: a number not below 0, else the program ends with 2; the config that
 * argv names at optind, or the usual one, else the program ends with 1. */
#include <stdint.h>

#include "chatmaild/config.h"
int64_t ctl_old_number(const char *program, const char *option, const char *text);
struct config *ctl_old_config(int argc, char **argv);

#endif
