/* chatmailctl about the daemon: how it is, its config, registration, notifications. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/admission.h"
#include "chatmaild/ctl.h"

static enum ctl_exit ask(struct ctl *c, const char *command, json_t **reply)
{
	return ctl_ask(c, json_pack("{s:s}", "command", command), NULL, NULL, reply);
}

/* --- status -------------------------------------------------------------------------- */

static void print_status(const json_t *s)
{
	const json_t *accounts = json_object_get(s, "accounts");
	const json_t *active = json_object_get(accounts, "active");
	char text[CTL_WORDS_MAX];
	int64_t now = time(NULL), end = ctl_number(s, "expiry_end");

	printf("chatmaild %s of %s, running for %s%s\n", ctl_text(s, "version"),
	    ctl_text(s, "mail_domain"), ctl_span(text, now - ctl_number(s, "started")),
	    json_is_true(json_object_get(s, "draining")) ? ", stopping" : "");
	printf("config         %s\n", ctl_text(s, "config"));
	printf(
	    "accounts       %lld (%lld of them tests'), %lld active today, %lld in 30 "
	    "days\n",
	    (long long)ctl_number(accounts, "all"),
	    (long long)ctl_number(accounts, "ci"), (long long)ctl_number(active, "1"),
	    (long long)ctl_number(active, "30"));
	printf("registration   %s\n", ctl_text(s, "registration"));
	printf("connections    %lld\n", (long long)ctl_number(s, "connections"));
	printf(
	    "notifications  %lld waiting\n", (long long)ctl_number(s, "push_queued"));
	if (json_is_true(json_object_get(s, "expiring")))
		printf("expiry         under way\n");
	else if (end > 0)
		printf("expiry         ended %s ago\n", ctl_span(text, now - end));
	else
		printf("expiry         not since the start of the daemon\n");
	printf("slowest turn   %.1f ms in the last minute\n",
	    (double)ctl_number(s, "stall_us") / 1000);
	if (*ctl_text(s, "unknown_keys"))
		printf("no effect      %s; remove these from the config\n",
		    ctl_text(s, "unknown_keys"));
}

enum ctl_exit ctl_status(struct ctl *c)
{
	json_t *reply;
	enum ctl_exit rc = ask(c, "status", &reply);

	if (rc != CTL_OK)
		return rc;
	if (c->json)
		ctl_put_json(reply);
	else
		print_status(reply);
	json_decref(reply);
	return CTL_OK;
}

enum ctl_exit ctl_reload(struct ctl *c)
{
	const char *changed;
	json_t *reply;
	enum ctl_exit rc;

	ctl_config(c); /* mistakes are shown here, where they are looked for */
	rc = ask(c, "reload", &reply);
	if (rc != CTL_OK)
		return rc;
	changed = ctl_text(reply, "needs_restart");
	printf("%s is in force\n", ctl_text(reply, "config"));
	if (*changed)
		printf("but for these, which need systemctl restart chatmaild: %s\n",
		    changed);
	json_decref(reply);
	return CTL_OK;
}

/* --- registration -------------------------------------------------------------------- */

/* Not the daemon's to make: it may write where mail is, not in /etc. */
enum ctl_exit ctl_registration_closed(struct ctl *c)
{
	int fd = open(
	    ADMISSION_CLOSED_FILE, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0) {
		ctl_error("%s: %s", ADMISSION_CLOSED_FILE, strerror(errno));
		return CTL_FAILED;
	}
	close(fd);
	puts("closed: no new accounts are made (" ADMISSION_CLOSED_FILE ")");
	return CTL_OK;
}

enum ctl_exit ctl_registration_open(struct ctl *c)
{
	if (unlink(ADMISSION_CLOSED_FILE) < 0 && errno != ENOENT) {
		ctl_error("%s: %s", ADMISSION_CLOSED_FILE, strerror(errno));
		return CTL_FAILED;
	}
	puts("open: a first login makes an account");
	return CTL_OK;
}

enum ctl_exit ctl_registration_status(struct ctl *c)
{
	json_t *reply;
	enum ctl_exit rc = ask(c, "registration", &reply);

	if (rc != CTL_OK)
		return rc;
	if (c->json)
		ctl_put_json(reply);
	else
		puts(ctl_text(reply, "registration"));
	json_decref(reply);
	return CTL_OK;
}

/* --- invites ------------------------------------------------------------------------- */

static void on_invite(void *arg, const json_t *line)
{
	const struct ctl *c = arg;

	if (c->json)
		ctl_put_json(line);
	else
		printf("%s\n%s\n\n", ctl_text(line, "dcaccount_url"),
		    ctl_text(line, "dclogin_url"));
}

enum ctl_exit ctl_invite(struct ctl *c)
{
	json_t *request = json_pack("{s:s}", "command", "invite"), *reply;
	enum ctl_exit rc;

	if (c->count >= 0)
		json_object_set_new(request, "count", json_integer(c->count));
	if (c->days >= 0)
		json_object_set_new(request, "days", json_integer(c->days));
	rc = ctl_ask(c, request, on_invite, c, &reply);
	if (rc != CTL_OK)
		return rc;
	if (!json_is_true(json_object_get(reply, "needed")))
		fputs("Nobody needs an invite before registration = invite is set.\n",
		    stderr);
	json_decref(reply);
	return CTL_OK;
}

/* --- notifications ------------------------------------------------------------------- */

static void print_pushes(const json_t *p)
{
	char text[CTL_WORDS_MAX];
	int64_t oldest = ctl_number(p, "oldest");

	printf("service    ");
	ctl_put(stdout, ctl_text(p, "url"));
	printf("\nwaiting    %lld, %lld of them for another try\n",
	    (long long)ctl_number(p, "queued"), (long long)ctl_number(p, "retrying"));
	if (oldest > 0)
		printf("oldest     %s\n", ctl_span(text, time(NULL) - oldest));
	printf("on its way %lld\n", (long long)ctl_number(p, "in_flight"));
	printf("since the start of the daemon:\n"
	       "  sent %lld, failed tries %lld, dead tokens %lld, too late %lld, "
	       "account gone %lld, queue full %lld\n",
	    (long long)ctl_number(p, "sent"), (long long)ctl_number(p, "failed"),
	    (long long)ctl_number(p, "dead_tokens"),
	    (long long)ctl_number(p, "expired"), (long long)ctl_number(p, "ownerless"),
	    (long long)ctl_number(p, "shed"));
}

enum ctl_exit ctl_push_status(struct ctl *c)
{
	json_t *reply;
	enum ctl_exit rc = ask(c, "push-status", &reply);

	if (rc != CTL_OK)
		return rc;
	if (c->json)
		ctl_put_json(reply);
	else
		print_pushes(reply);
	json_decref(reply);
	return CTL_OK;
}

enum ctl_exit ctl_push_flush(struct ctl *c)
{
	json_t *reply;
	enum ctl_exit rc = ask(c, "push-flush", &reply);

	if (rc != CTL_OK)
		return rc;
	printf("%lld notifications are tried again now\n",
	    (long long)ctl_number(reply, "due"));
	json_decref(reply);
	return CTL_OK;
}
