/* chatmailctl hand-back: on the way to the Python services. */
#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

#include "chatmaild/ctl.h"
#include "chatmaild/hand_back.h"

enum ctl_exit ctl_hand_back(struct ctl *c)
{
	const struct config *config = ctl_config(c);
	char error[HAND_BACK_ERROR_MAX];
	struct hand_back_totals t;

	umask(077);
	if (hand_back(config->state_dir, config->mailboxes_dir, time(NULL), &t, error) <
	    0) {
		ctl_error("%s", error);
		return CTL_FAILED;
	}
	printf("%" PRIu64 " device tokens of %" PRIu64 " accounts, %" PRIu64
	       " waiting notifications\n",
	    t.tokens, t.accounts, t.pushes);
	return CTL_OK;
}
