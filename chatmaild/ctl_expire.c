/* chatmailctl about what is deleted: a run now, one mailbox now. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/ctl.h"
#include "chatmaild/expire.h"
#include "proto/address.h"

static void on_note(void *arg, const json_t *line)
{
	const struct ctl *c = arg;
	const char *why = ctl_text(line, "why"), *error = ctl_text(line, "error");
	char day[CTL_WORDS_MAX];
	int64_t when = ctl_number(line, "when");

	if (c->json) {
		ctl_put_json(line);
		return;
	}
	printf("%-8s ", ctl_text(line, "event"));
	ctl_put(stdout, ctl_text(line, "path"));
	if (*why)
		printf(": %s", why);
	if (when)
		printf(", of %s", ctl_day(day, when));
	if (*error)
		printf(": %s", error);
	putchar('\n');
}

enum ctl_exit ctl_expire(struct ctl *c)
{
	char size[CTL_WORDS_MAX];
	json_t *reply;
	enum ctl_exit rc;

	if (!c->dry_run &&
	    !ctl_confirm(c, "Delete old mail and unused accounts of %s now?",
		ctl_config(c)->mail_domain))
		return CTL_FAILED;
	rc = ctl_ask(c,
	    json_pack("{s:s, s:b}", "command", "expire", "dry_run", c->dry_run),
	    on_note, c, &reply);
	if (rc != CTL_OK)
		return rc;
	if (c->json)
		ctl_put_json(reply);
	else
		printf("%s %lld of %lld accounts and %lld of %lld files, %s; %lld "
		       "errors\n",
		    c->dry_run ? "would remove" : "removed",
		    (long long)ctl_number(reply, "mailboxes_removed"),
		    (long long)ctl_number(reply, "mailboxes"),
		    (long long)ctl_number(reply, "files_removed"),
		    (long long)ctl_number(reply, "files"),
		    ctl_size(size, (uint64_t)ctl_number(reply, "bytes_removed")),
		    (long long)ctl_number(reply, "errors"));
	json_decref(reply);
	return CTL_OK;
}

/* --- one mailbox --------------------------------------------------------------------- */

/* Without the daemon: what it would do. */
static enum ctl_exit trim_here(const struct config *config, const char *address)
{
	struct expire e = { .dir = config->mailboxes_dir,
		.rules = { .now = time(NULL),
		    .quota = config->max_mailbox_size * 1024 * 1024 *
			     EXPIRE_QUOTA_PERCENT / 100 } };
	uint64_t n;

	e.dirfd = open(e.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e.dirfd < 0) {
		ctl_error("%s: %s", e.dir, strerror(errno));
		return CTL_FAILED;
	}
	n = expire_trim(&e, address);
	close(e.dirfd);
	/* Monitoring counts this line. */
	if (n > 0)
		fprintf(stderr, "quota-expire: removed %llu message(s) from %s\n",
		    (unsigned long long)n, address);
	return e.totals.errors > 0 ? CTL_FAILED : CTL_OK;
}

/* Dovecot calls this for a mailbox that gets full: nothing is asked, little is said. */
enum ctl_exit ctl_trim(struct ctl *c)
{
	const struct config *config = ctl_config(c);
	const char *address = c->arg[0];
	struct ctl_link *link;
	json_t *reply = NULL;
	enum ctl_exit rc;

	if (!address_is_path(span_of(address)) ||
	    !address_in_domain(span_of(address), config->mail_domain)) {
		ctl_error("%s: no address of this relay", address);
		return CTL_FAILED;
	}
	link = ctl_link_open(c, false);
	if (!link)
		return trim_here(config, address);
	rc = ctl_link_ask(link,
	    json_pack("{s:s, s:s}", "command", "trim", "address", address), NULL, NULL,
	    &reply);
	json_decref(reply);
	ctl_link_close(link);
	return rc;
}
