/*
 * How the machine under the daemon does: room for mail, memory, the certificate, whether the
 * relay's ports are listened on. A worker looks once a minute, for a disk may hang; the
 * gauges are of the last look.
 */
#ifndef CHATMAILD_MACHINE_H
#define CHATMAILD_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "chatmaild/metric.h"

#define MACHINE_SECONDS 60
#define MACHINE_PORTS   6

struct daemon;
struct machine;

/* All zero is unknown. */
struct machine_gauges {
	uint64_t disk_free, disk_size; /* bytes, where the mailboxes are */
	uint64_t inodes_free;
	uint64_t memory;           /* bytes that programs could still have */
	uint64_t certificate_ends; /* Unix time; 0: it cannot be read */
	uint64_t port_open[MACHINE_PORTS];
};
extern const struct metric_def machine_metrics[];
extern const size_t nmachine_metrics;

/* Looks at once, and then each minute. d's config, base and workers must be there. */
struct machine *machine_create(struct daemon *d);

/* After the workers are destroyed, which may still be looking. Accepts NULL. */
void machine_destroy(struct machine *m);

const struct machine_gauges *machine_gauges(const struct machine *m);

/* Note which of the ports something listens on, from text like that of /proc/net/tcp. */
void machine_read_ports(FILE *in, uint64_t open[MACHINE_PORTS]);

/* When the first certificate of a PEM file ends; 0 if it cannot be read. */
uint64_t machine_certificate_ends(const char *path);

#endif
