/*
 * The checks in their order, which decides what is logged and counted.
 */
#include "chatmaild/admission.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "chatmaild/log.h"
#include "chatmaild/password.h"
#include "proto/address.h"

#define READING_MS 1000
#define MIB        (1024 * 1024)

static double read_load(const char *path)
{
	FILE *f = fopen(path, "re");
	double load = -1;

	if (!f || fscanf(f, "%lf", &load) != 1 || load < 0) {
		log_warning(
		    "cannot read the load average from %s, ignoring max_load_1m", path);
		load = -1;
	}
	if (f)
		fclose(f);
	return load;
}

static int64_t read_memory_mib(const char *path)
{
	FILE *f = fopen(path, "re");
	long long kib = -1;
	char line[256];

	while (f && kib < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %lld kB", &kib) != 1)
			kib = -1;
	if (f)
		fclose(f);
	if (kib < 0) {
		log_warning("cannot read MemAvailable from %s, ignoring "
			    "min_available_memory",
		    path);
		return -1;
	}
	return kib / 1024;
}

/* Of the directory, or the nearest parent that is there already. */
static int64_t read_disk_mib(const char *dir)
{
	char path[PATH_MAX];
	struct statvfs fs;
	int rc = -1;

	if (snprintf(path, sizeof(path), "%s", dir) < (int)sizeof(path)) {
		char *slash;

		while ((rc = statvfs(path, &fs)) < 0 && errno == ENOENT &&
		       (slash = strrchr(path, '/')) && slash != path)
			*slash = '\0';
	}
	if (rc < 0) {
		log_warning("cannot read the free space of mailboxes_dir, ignoring "
			    "min_free_disk_space");
		return -1;
	}
	return (int64_t)((unsigned long long)fs.f_bavail * fs.f_frsize / MIB);
}

static void take_readings(
    struct admission_control *a, const struct config *config, int64_t now_ms)
{
	if (a->read_at_ms && now_ms - a->read_at_ms < READING_MS)
		return;
	a->load_1m = read_load(a->loadavg);
	a->memory_mib = read_memory_mib(a->meminfo);
	a->disk_mib = read_disk_mib(config->mailboxes_dir);
	a->read_at_ms = now_ms;
}

enum admission admission_open(
    struct admission_control *a, const struct config *config, int64_t now_ms)
{
	if (access(a->closed_file, F_OK) == 0)
		return ADMISSION_CLOSED;
	take_readings(a, config, now_ms);
	if (a->load_1m >= 0 && a->load_1m > config->max_load_1m)
		return ADMISSION_LOAD;
	if (a->memory_mib >= 0 && a->memory_mib < config->min_available_memory)
		return ADMISSION_MEMORY;
	if (a->disk_mib >= 0 && a->disk_mib < config->min_free_disk_space)
		return ADMISSION_DISK;
	return ADMISSION_OK;
}

/* The texts are read by monitoring: keep them to the letter. */
static void log_machine(const struct admission_control *a, const struct config *config,
    enum admission answer)
{
	if (answer == ADMISSION_LOAD)
		log_warning("registration rejected: load avg %.2f > %.2f", a->load_1m,
		    config->max_load_1m);
	else if (answer == ADMISSION_MEMORY)
		log_warning("registration rejected: available memory %lldMB < %lldMB",
		    (long long)a->memory_mib, (long long)config->min_available_memory);
	else if (answer == ADMISSION_DISK)
		log_warning("registration rejected: free disk %lldMB < %lldMB",
		    (long long)a->disk_mib, (long long)config->min_free_disk_space);
}

static const char *check_password(const struct config *config, struct span password)
{
	if (password.len > PASSWORD_MAX)
		return "password too long";
	if (password_length(password) < (size_t)config->password_min_length)
		return "password too short";
	if (memchr(password.data, '\0', password.len))
		return "password holds a NUL";
	return NULL;
}

static const char *check_name(const struct config *config, struct span address)
{
	struct span local, domain;

	if (!address_split(address, &local, &domain))
		return "not exactly one @";
	if (config->echobot && span_is(local, ADMISSION_ECHOBOT))
		return "name of the echo bot";
	if (local.len < (size_t)config->username_min_length)
		return "name too short";
	if (local.len > (size_t)config->username_max_length || address.len > NAME_MAX)
		return "name too long";
	if (!address_local_creatable(local))
		return "name with other characters than a-z 0-9 . _ -";
	return NULL;
}

void admission_init(struct admission_control *a)
{
	*a = (struct admission_control){
		.closed_file = ADMISSION_CLOSED_FILE,
		.loadavg = "/proc/loadavg",
		.meminfo = "/proc/meminfo",
	};
}

enum admission admission_check(struct admission_control *a, const struct config *config,
    struct span address, struct span password, int64_t now_ms)
{
	enum admission answer = admission_open(a, config, now_ms);
	const char *why;

	if (answer == ADMISSION_CLOSED) {
		log_warning("no account made: %s exists", a->closed_file);
		return answer;
	}
	why = check_password(config, password);
	if (why) {
		log_info("no account made: %s", why);
		return ADMISSION_PASSWORD;
	}
	why = check_name(config, address);
	if (why) {
		log_info("no account made: %s", why);
		return ADMISSION_NAME;
	}
	log_machine(a, config, answer);
	return answer;
}

enum admission admission_check_form(
    const struct config *config, struct span address, struct span password)
{
	struct span local, domain;

	if (check_password(config, password))
		return ADMISSION_PASSWORD;
	if (!address_split(address, &local, &domain) || address.len > NAME_MAX ||
	    !address_local_creatable(local) ||
	    (config->echobot && span_is(local, ADMISSION_ECHOBOT)))
		return ADMISSION_NAME;
	return ADMISSION_OK;
}
