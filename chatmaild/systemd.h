/*
 * What we tell the supervisor, sd_notify(3): ready, reloading, stopping, still alive.
 * All of it does nothing when no supervisor listens (no NOTIFY_SOCKET).
 */
#ifndef CHATMAILD_SYSTEMD_H
#define CHATMAILD_SYSTEMD_H

#include <stdint.h>

/* status is one line for "systemctl status". */
void systemd_ready(const char *status);
void systemd_status(const char *status);

/* The start takes longer: so many seconds more from now on are no failure. */
void systemd_starting(const char *status, unsigned seconds);

/* Ended by systemd_ready(). */
void systemd_reloading(void);
void systemd_stopping(void);

/*
 * The supervisor ends us when it hears nothing for this long: microseconds, 0 if it
 * does not watch.
 */
uint64_t systemd_watchdog_us(void);
void systemd_alive(void);

#endif
