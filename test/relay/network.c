#include "test/relay/network.h"

#include <err.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void loopback_up(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		err(1, "loopback");
	close(fd);
}

/* Of this network only. */
static void every_port_for_everybody(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "we");

	if (!f || fputs("0\n", f) < 0 || fclose(f) != 0)
		err(1, "ip_unprivileged_port_start");
}

/* The text is in the mount only: its file is gone. */
static void cover(const char *path, const char *text)
{
	char temporary[] = "/run/chatmail-network-XXXXXX";
	int fd = mkstemp(temporary);

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || fchmod(fd, 0644) < 0 ||
	    mount(temporary, path, NULL, MS_BIND, NULL) < 0)
		err(1, "covering %s", path);
	close(fd);
	unlink(temporary);
}

bool network_alone(const char *domain)
{
	char hosts[320];

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		warn("no network of its own");
		return false;
	}
	loopback_up();
	every_port_for_everybody();
	snprintf(hosts, sizeof(hosts), "127.0.0.1 localhost %s\n", domain);
	cover("/etc/hosts", hosts);
	cover("/etc/resolv.conf", "nameserver 127.0.0.1\n");
	return true;
}
