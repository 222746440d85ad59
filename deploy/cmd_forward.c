/*
 * cmdeploy forward: a server whose relay has moved hands its connections on to the new one.
 */
#include <getopt.h>
#include <stdio.h>

#include "deploy/command.h"
#include "deploy/forward.h"

struct options {
	struct command_common common;
	const char *address;
	bool stop;
};

static bool tell(bool good, const struct host *host, const char *error)
{
	if (!good && !host_interrupted(host))
		say_bad("%s", error);
	return good;
}

static bool stop(const struct options *o, const char *old_name)
{
	char error[FORWARD_ERROR_MAX] = "";
	struct host *host = host_open(old_name, o->common.verbose, error);
	struct progress *progress;
	bool good;

	if (!host) {
		say_bad("%s", error);
		return false;
	}
	progress = progress_create(o->common.verbose);
	progress_begin(progress, "stop forwarding");
	good = forward_stop(host, progress, error);
	progress_end(progress, good, NULL);
	progress_free(progress);
	tell(good, host, error);
	host_close(host);
	return good;
}

static bool start_between(struct forward *f)
{
	char error[FORWARD_ERROR_MAX] = "";
	bool good;

	progress_begin(f->progress, "forward");
	good = forward_start(f, error);
	progress_end(f->progress, good, NULL);
	if (good)
		say_good("%s hands its connections on to %s, until: cmdeploy forward "
			 "--stop %s",
		    host_name(f->from), host_name(f->to), host_name(f->from));
	return tell(good, f->from, error);
}

static bool start(const struct options *o, char *const names[2])
{
	struct config *config = command_load_config(&o->common);
	struct forward f = { .address = o->address };
	char error[HOST_ERROR_MAX];
	bool good = false;

	if (!config)
		return false;
	f.cert_path = config->tls_cert_path;
	f.from = host_open(names[0], o->common.verbose, error);
	if (f.from)
		f.to = host_open(names[1], o->common.verbose, error);
	if (f.to) {
		f.progress = progress_create(o->common.verbose);
		good = start_between(&f);
		progress_free(f.progress);
	} else {
		say_bad("%s", error);
	}
	host_close(f.to);
	host_close(f.from);
	config_free(config);
	return good;
}

static int run(int argc, char **argv)
{
	struct options o = { .address = NULL };
	const struct command_option own[] = {
		{ "stop", NULL, "no longer; what ran before runs again", &o.stop,
		    NULL },
		{ "address", "IP", "of NEW, as OLD reaches it; else its own", NULL,
		    &o.address },
	};
	bool good;
	int status;

	if (!command_parse(&forward_command, own, sizeof(own) / sizeof(own[0]),
		&o.common, 1, 2, argc, argv, &status))
		return status;
	if (o.stop != (argc - optind == 1)) {
		say_bad("cmdeploy forward: say OLD NEW, or --stop OLD");
		return COMMAND_USAGE;
	}
	good = o.stop ? stop(&o, argv[optind]) : start(&o, argv + optind);
	return good ? COMMAND_OK : COMMAND_FAILED;
}

const struct command forward_command = {
	.name = "forward",
	.arguments = "[--address IP] OLD NEW | --stop OLD",
	.summary = "A server whose relay has moved hands connections on.",
	.run = run,
};
