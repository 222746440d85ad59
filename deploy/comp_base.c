/*
 * What every relay stands on: settings of apt, of the kernel and of the environment, the
 * host's mail name.
 */
#include <stdlib.h>

#include "deploy/component.h"
#include "deploy/text.h"

/*
 * Each IMAP session watches its mailbox by an inotify instance of its own, in a handful of
 * watches; the kernel's default is 128 instances for all of a user. The numbers are what
 * relays have used for years, or more where more sessions are allowed.
 */
#define INOTIFY_MIN         65535
#define WATCHES_PER_SESSION 8

static const char *const packages[] = {
	"ca-certificates",
	"curl",
};

static const struct component_file files[] = {
	{ .path = "/etc/apt/apt.conf.d/00InstallRecommends" },
	{ .path = "/etc/mailname" },
};

/* A container's kernel belongs to its host: there a limit that is too low is only told of,
 * once. */
static const char inotify_check[] =
    "enough() {\n"
    "	[ ! -w \"/proc/sys/fs/inotify/$1\" ] ||\n"
    "		[ \"$(cat \"/proc/sys/fs/inotify/$1\")\" -ge \"$2\" ]\n"
    "}\n"
    "[ -e /etc/sysctl.d/60-chatmail.conf ]\n"
    "enough max_user_instances $instances\n"
    "enough max_user_watches $watches\n";

/* What the kernel allows by itself beyond our numbers is not written down: at the next
 * start it would be lowered. */
static const char inotify_mend[] =
    "persistent=/etc/sysctl.d/60-chatmail.conf\n"
    "raise() {\n"
    "	file=/proc/sys/fs/inotify/$1\n"
    "	[ -e \"$file\" ] || return 0\n"
    "	now=$(cat \"$file\")\n"
    "	[ \"$now\" -le \"$2\" ] || return 0\n"
    "	echo \"fs.inotify.$1 = $2\" >>\"$persistent.new\"\n"
    "	[ \"$now\" -lt \"$2\" ] || return 0\n"
    "	(echo \"$2\" >\"$file\") 2>/dev/null ||\n"
    "		echo \"@note fs.inotify.$1 is $now and cannot be changed from here:\" "
    "\\\n"
    "			\"set it to $2 on the host of this container\" >&2\n"
    "}\n"
    "echo '# One inotify instance for each IMAP session.' >\"$persistent.new\"\n"
    "raise max_user_instances $instances\n"
    "raise max_user_watches $watches\n"
    "mv -f \"$persistent.new\" \"$persistent\"\n";

static void want_inotify_limits(const struct config *config, struct wanted *w)
{
	long long sessions = config->max_imap_connections;
	long long instances = sessions > INOTIFY_MIN ? sessions : INOTIFY_MIN;
	long long watches = sessions * WATCHES_PER_SESSION;
	struct text what = { 0 }, check = { 0 }, mend = { 0 };

	if (watches < INOTIFY_MIN)
		watches = INOTIFY_MIN;
	text_printf(&what, "inotify limits of %lld instances, %lld watches", instances,
	    watches);
	text_printf(&check, "instances=%lld watches=%lld\n%s", instances, watches,
	    inotify_check);
	text_printf(
	    &mend, "instances=%lld watches=%lld\n%s", instances, watches, inotify_mend);
	want_state(w, &(struct wanted_state){ .what = what.data,
			  .check = check.data,
			  .mend = mend.data,
			  .stage = STAGE_CONFIGURE });
	text_free(&what);
	text_free(&check);
	text_free(&mend);
}

/* Without it each line that a program logs looks for the time zone anew. */
static const struct wanted_state time_zone = {
	.what = "TZ=:/etc/localtime in /etc/environment",
	.check = "grep -qsxF TZ=:/etc/localtime /etc/environment",
	.mend = "touch /etc/environment\n"
		"sed -i '/^TZ=/d' /etc/environment\n"
		"[ -z \"$(tail -c 1 /etc/environment)\" ] || echo >>/etc/environment\n"
		"echo TZ=:/etc/localtime >>/etc/environment\n",
	.stage = STAGE_CONFIGURE,
};

static bool want(struct relay *r, struct wanted *w)
{
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		want_package(w, packages[i]);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!component_file(r, w, "base", &files[i]))
			return false;
	}
	want_inotify_limits(r->config, w);
	want_state(w, &time_zone);
	return true;
}

const struct component base_component = { "base", want };
