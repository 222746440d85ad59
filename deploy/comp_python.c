/*
 * What is left of a Python relay once ours runs in its place: its units, programs and pins.
 * They are set aside, whole, for the way back (takeover.sh).
 */
#include "deploy/component.h"
#include "deploy/python_relay.h"
#include "deploy/quote.h"

static const char mend[] = ". /var/lib/cmdeploy/server.sh\n"
			   "set_aside";

static bool want(struct relay *r, struct wanted *w)
{
	struct text paths = { 0 }, check = { 0 }, aside = { 0 };

	(void)r;
	for (size_t i = 0; i < npython_relay_paths; i++)
		quote_command(&paths, " %s", python_relay_paths[i]);
	quote_command(
	    &check, "for path in%r; do\n\t[ ! -e \"$path\" ]\ndone\n", paths.data);
	quote_command(&aside, "%r%r\n", mend, paths.data);
	want_state(
	    w, &(struct wanted_state){ .what = "nothing of the Python relay in the way "
					       "(it is kept in " PYTHON_RELAY_KEPT ")",
		   .check = check.data,
		   .mend = aside.data,
		   .stage = STAGE_ACTIVATE });
	text_free(&paths);
	text_free(&check);
	text_free(&aside);
	return true;
}

const struct component python_component = { "python", want };
