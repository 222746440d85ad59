/*
 * What the tests of idle clients share: a private relay, mail straight to Dovecot, what
 * an idle client is told, and the process that serves it. All fail the running test when
 * something else happens.
 *
 * Times are only compared with Dovecot's own delay: alone, it never tells before half a
 * second is over, however fast the machine; with our plugin in its imap processes the
 * fastest of some notices is earlier, however slow the machine.
 */
#ifndef TEST_RELAY_IDLE_H
#define TEST_RELAY_IDLE_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "test/relay/steps.h"

#define IDLE_PLUGIN   "lib95_chatmail_idle_plugin.so"
#define IDLE_DELAY_MS 500 /* NOTIFY_DELAY_MSECS of Dovecot's mailbox-watch.c */
#define IDLE_TRIES    10

/* Start a relay. Returns 0, or what main() is to return if that cannot be here, or not
 * with a plugin. */
int idle_relay_up(struct private_relay *r);

/* Start Dovecot anew, with text at the end of its configuration. */
void idle_configure(const struct private_relay *r, const char *text);

/* The plugin as it was built. */
const char *idle_built_plugin(void);

/* The path of a file of the relay, valid until the next but one call. */
const char *idle_path(const struct private_relay *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

int64_t idle_now_ms(void); /* monotonic */

struct client *idle_open_lmtp(const struct private_relay *r);
void idle_deliver(struct client *lmtp, const char *to);

/* Log in, select the inbox and idle. */
struct client *idle_open(const struct private_relay *r, const char *address);

/* Read what the server tells by itself up to a line that ends like this; or up to the
 * line that tells of count messages. */
void idle_assert_told(struct client *c, const char *end);
void idle_assert_told_count(struct client *c, int count);

/* Deliver messages number first to last, and return the shortest time from the begin of
 * a delivery to its notice. */
int64_t idle_fastest_ms(const struct private_relay *r, struct client *c,
    const char *address, int first, int last);

/* Deliver IDLE_TRIES messages, from number first on; each is told, whenever. */
void idle_assert_all_told(
    const struct private_relay *r, struct client *c, const char *address, int first);

/* Deliver IDLE_TRIES messages, from number first on, that Dovecot alone would have told
 * later. */
void idle_assert_at_once(
    const struct private_relay *r, struct client *c, const char *address, int first);

/* The imap process of this address's connection, or 0. */
pid_t idle_process(const struct private_relay *r, const char *address);

/* CPU time of a process so far, in ticks of sysconf(_SC_CLK_TCK). */
long idle_cpu_ticks(pid_t pid);

/* Nothing in Dovecot's log tells that a process of it stumbled. */
void idle_assert_no_crash(const struct private_relay *r);

#endif
