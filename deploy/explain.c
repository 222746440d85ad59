#include "deploy/explain.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define WIDTH 78 /* columns of a comment */

void explain_range(const struct config_option *o, char range[EXPLAIN_RANGE_MAX])
{
	range[0] = '\0';
	if (o->min == 0 && o->max == 0)
		return;
	if (o->max >= INT_MAX)
		snprintf(range, EXPLAIN_RANGE_MAX, "%" PRId64 " or more", o->min);
	else
		snprintf(range, EXPLAIN_RANGE_MAX, "%" PRId64 " to %" PRId64, o->min,
		    o->max);
}

bool explain_is_current(const struct config_option *o)
{
	return o->type != CONFIG_UNUSED && o->type != CONFIG_PORT;
}

static bool is_required(const struct config_option *o)
{
	return strcmp(o->key, "mail_domain") == 0;
}

static const char *default_of(const struct config_option *o)
{
	if (is_required(o))
		return "none, it is required";
	if (!o->fallback)
		return "unset";
	return o->fallback[0] ? o->fallback : "empty";
}

void explain_key(const struct config_option *o, FILE *out)
{
	char range[EXPLAIN_RANGE_MAX];

	explain_range(o, range);
	fprintf(out, "%s\n  %s\n", o->key, o->help);
	fprintf(out, "  type:    %s\n", config_type_name(o->type));
	if (explain_is_current(o))
		fprintf(out, "  default: %s\n", default_of(o));
	if (range[0])
		fprintf(out, "  range:   %s\n", range);
}

/* The new file. */

/* Keys that a new file sets: whose values only the operator knows, or that are wished for on
 * every new relay though not on every old one. */
static const struct {
	const char *key, *value;
} settings[] = {
	{ "metrics_address", "127.0.0.1:3905" },
	{ "privacy_postal", "" },
	{ "privacy_mail", "" },
	{ "privacy_pdo", "" },
	{ "privacy_supervisor", "" },
};

/* Headings, each before the key named. */
static const struct {
	const char *key, *text;
} headings[] = {
	{ "max_user_send_per_minute", "Sending" },
	{ "max_mailbox_size", "Keeping" },
	{ "username_min_length", "New accounts" },
	{ "mailboxes_dir", "Places" },
	{ "auth_socket", "Sockets: unix:/path or inet:ADDRESS:PORT" },
	{ "push_url", "Notifications, calls and helpers" },
	{ "disable_ipv6", "The server" },
	{ "privacy_postal",
	    "Who is responsible, for the privacy page. More than one line is fine: "
	    "further lines start with a blank" },
	{ "max_imap_connections", "Limits" },
};

/* Text as a comment, broken at blanks. */
static void print_comment(const char *text, FILE *out)
{
	while (*text) {
		size_t len = strlen(text), cut = len;

		if (len > WIDTH - 2) {
			cut = WIDTH - 2;
			while (cut > 0 && text[cut] != ' ')
				cut--;
			if (cut == 0)
				cut = strcspn(text, " ");
		}
		fprintf(out, "# %.*s\n", (int)cut, text);
		text += cut;
		text += strspn(text, " ");
	}
}

static void print_heading(const struct config_option *o, FILE *out)
{
	for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++) {
		if (strcmp(headings[i].key, o->key) != 0)
			continue;
		fputc('\n', out);
		fputs("#\n", out);
		print_comment(headings[i].text, out);
		fputs("#\n", out);
	}
}

static void print_setting(const struct config_option *o, const char *domain, FILE *out)
{
	if (is_required(o)) {
		fprintf(out, "%s = %s\n", o->key, domain);
		return;
	}
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (strcmp(settings[i].key, o->key) == 0) {
			fprintf(out, "%s = %s\n", o->key, settings[i].value);
			return;
		}
	}
	fprintf(out, "#%s = %s\n", o->key, o->fallback ? o->fallback : "");
}

static void print_option(const struct config_option *o, const char *domain, FILE *out)
{
	char range[EXPLAIN_RANGE_MAX], text[512];

	explain_range(o, range);
	print_heading(o, out);
	snprintf(text, sizeof(text), "%s (%s%s%s%s)", o->help,
	    config_type_name(o->type), range[0] ? ", " : "", range,
	    o->fallback || is_required(o) ? "" : "; unset");
	fputc('\n', out);
	print_comment(text, out);
	print_setting(o, domain, out);
}

void explain_file(const char *domain, FILE *out)
{
	const struct config_option *options;
	size_t n;

	fputs("# The relay's one file, read by cmdeploy and chatmaild.\n"
	      "# A line that starts with # is a comment; #key = value shows the "
	      "default.\n"
	      "# What stays a comment follows the defaults of newer versions.\n"
	      "# There are no comments behind a value.\n\n"
	      "[params]\n",
	    out);
	options = config_options(&n);
	for (size_t i = 0; i < n; i++) {
		if (explain_is_current(&options[i]))
			print_option(&options[i], domain, out);
	}
}
