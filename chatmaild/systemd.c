/* sd_notify(3) in our words. A failed send is the supervisor's trouble: it has
 * timeouts. */
#include "chatmaild/systemd.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>
#include <time.h>

void systemd_ready(const char *status)
{
	sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void systemd_status(const char *status)
{
	sd_notifyf(0, "STATUS=%s", status);
}

void systemd_starting(const char *status, unsigned seconds)
{
	sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=%s",
	    (uint64_t)seconds * 1000000, status);
}

void systemd_reloading(void)
{
	struct timespec now;

	/* The time tells this reload's READY from that of an earlier one. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
	    (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

void systemd_stopping(void)
{
	sd_notify(0, "STOPPING=1\nSTATUS=Sending what is owed");
}

uint64_t systemd_watchdog_us(void)
{
	uint64_t us;

	return sd_watchdog_enabled(0, &us) > 0 ? us : 0;
}

void systemd_alive(void)
{
	sd_notify(0, "WATCHDOG=1");
}
