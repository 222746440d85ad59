/*
 * chatmailctl queue: what Postfix holds, by destination and reason. Asks postqueue(1), so it
 * needs no daemon.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "chatmaild/ctl.h"
#include "chatmaild/ctl_mailq.h"

static void put_group(const struct mailq_group *g, bool json, int64_t now)
{
	char age[CTL_WORDS_MAX];
	json_t *line;

	if (json) {
		line = json_pack("{s:s, s:I, s:I, s:I, s:s, s:s?}", "destination",
		    g->destination, "recipients", (json_int_t)g->recipients, "bytes",
		    (json_int_t)g->bytes, "oldest", (json_int_t)g->oldest, "reason",
		    g->reason, "meaning", g->meaning);
		ctl_put_json(line);
		json_decref(line);
		return;
	}
	printf("%llu for ", (unsigned long long)g->recipients);
	ctl_put(stdout, g->destination);
	printf(", waiting up to %s. ", ctl_span(age, now - g->oldest));
	if (g->meaning)
		printf("%s", g->meaning);
	else if (*g->reason)
		ctl_put(stdout, g->reason);
	else
		printf("On its way now.");
	putchar('\n');
}

static void put_queue(struct mailq *q, bool json)
{
	char size[CTL_WORDS_MAX], age[CTL_WORDS_MAX];
	int64_t now = time(NULL);

	mailq_sort(q);
	for (size_t i = 0; i < q->n; i++)
		put_group(&q->group[i], json, now);
	if (json)
		return;
	if (q->messages == 0)
		printf("The queue is empty.\n");
	else
		printf("%llu messages, %s, the oldest waits for %s\n",
		    (unsigned long long)q->messages, ctl_size(size, q->bytes),
		    ctl_span(age, now - q->oldest));
}

enum ctl_exit ctl_queue(struct ctl *c)
{
	FILE *in = popen("postqueue -j", "re");
	struct mailq q = { 0 };
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int status;

	if (!in) {
		ctl_error("postqueue cannot be started");
		return CTL_FAILED;
	}
	while ((len = getline(&line, &size, in)) > 0)
		mailq_take(&q, line, (size_t)len);
	free(line);
	status = pclose(in);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		put_queue(&q, c->json);
	else
		ctl_error("postqueue failed; Postfix is not here, or does not run: "
			  "systemctl start postfix");
	mailq_deinit(&q);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CTL_OK : CTL_FAILED;
}
