#include "deploy/doctor_dkim.h"

#include <stdio.h>
#include <sys/types.h>

#include <dkim.h>

#include "deploy/text.h"

/* Every signature's key is this one; those of other domains are passed over afterwards. */
static DKIM_CBSTAT look_up(DKIM *dkim, DKIM_SIGINFO *sig, u_char *buf, size_t size)
{
	const char *record = dkim_get_user_context(dkim);

	if (strlen(record) >= size)
		return DKIM_CBSTAT_ERROR;
	memcpy(buf, record, strlen(record) + 1);
	return DKIM_CBSTAT_CONTINUE;
}

/* What became of the signature of this domain. */
static enum doctor_signature judge(
    DKIM *dkim, const char *domain, char why[DOCTOR_WHY_MAX])
{
	enum doctor_signature result = SIGNATURE_NONE;
	DKIM_SIGINFO **list;
	const char *text;
	int n;

	if (dkim_getsiglist(dkim, &list, &n) != DKIM_STAT_OK)
		return SIGNATURE_NONE;
	for (int i = 0; i < n && result != SIGNATURE_GOOD; i++) {
		const char *of = (const char *)dkim_sig_getdomain(list[i]);

		if (!of || strcasecmp(of, domain) != 0)
			continue;
		if (DKIM_SIG_CHECK(list[i]))
			return SIGNATURE_GOOD;
		result = SIGNATURE_BAD;
		text = dkim_sig_geterrorstr(dkim_sig_geterror(list[i]));
		snprintf(why, DOCTOR_WHY_MAX, "%s",
		    dkim_sig_getbh(list[i]) == DKIM_SIGBH_MISMATCH
			? "the body was changed after it was signed"
		    : text ? text
			   : "unknown");
	}
	return result;
}

static enum doctor_signature verify(
    DKIM *dkim, struct span message, const char *domain, char why[DOCTOR_WHY_MAX])
{
	bool test = false;

	if (dkim_chunk(dkim, (u_char *)message.data, message.len) != DKIM_STAT_OK ||
	    dkim_chunk(dkim, NULL, 0) != DKIM_STAT_OK)
		return judge(dkim, domain, why);
	dkim_eom(dkim, &test);
	return judge(dkim, domain, why);
}

enum doctor_signature doctor_verify(struct span message, const char *domain,
    const char *record, char why[DOCTOR_WHY_MAX])
{
	enum doctor_signature result = SIGNATURE_UNKNOWN;
	DKIM_LIB *lib = dkim_init(NULL, NULL);
	DKIM_STAT stat;
	DKIM *dkim;

	why[0] = '\0';
	if (!lib)
		return result;
	dkim_set_key_lookup(lib, look_up);
	dkim = dkim_verify(lib, (const unsigned char *)"doctor", NULL, &stat);
	if (dkim) {
		dkim_set_user_context(dkim, (void *)record);
		result = verify(dkim, message, domain, why);
		dkim_free(dkim);
	}
	dkim_close(lib);
	return result;
}

static bool is_delimiter(struct span line)
{
	return line.len > 2 && span_starts(line, "--");
}

/* A line without its CR. */
static bool next_line(struct span *rest, struct span *line)
{
	if (!span_cut(rest, '\n', line))
		return false;
	if (line->len > 0 && line->data[line->len - 1] == '\r')
		line->len--;
	return true;
}

/* The whole message, or its header alone, as Postfix returns what asked for no more. */
static bool is_returned(struct span line)
{
	return span_starts_nocase(line, "Content-Type: message/rfc822") ||
	       span_starts_nocase(line, "Content-Type: text/rfc822-headers");
}

/* Go on behind the headers of the part that was returned; false if there is none. */
static bool find_part(struct span *rest, struct span *delimiter)
{
	struct span line;
	bool in_header = false, found = false;

	while (next_line(rest, &line)) {
		if (is_delimiter(line)) {
			*delimiter = line;
			in_header = true;
			found = false;
		} else if (line.len == 0) {
			if (found)
				return rest->data != NULL;
			in_header = false;
		} else if (in_header && is_returned(line)) {
			found = true;
		}
	}
	return false;
}

bool doctor_returned(struct span report, struct span *header)
{
	struct span rest = report, delimiter = span_of(""), line;
	const char *start;

	if (!find_part(&rest, &delimiter))
		return false;
	start = rest.data;
	while (next_line(&rest, &line) && rest.data) {
		if (line.len == 0 ||
		    (line.len >= delimiter.len &&
			span_equal(span_make(line.data, delimiter.len), delimiter))) {
			*header = span_make(start, (size_t)(line.data - start));
			return true;
		}
	}
	return false;
}

char *doctor_join_text(const char *found)
{
	struct text t = { 0 };
	bool quoted = false;

	text_add(&t, "");
	for (const char *c = found; *c; c++) {
		if (*c == '"')
			quoted = !quoted;
		else if (*c == '\\' && c[1] && quoted)
			text_add_span(&t, span_make(++c, 1));
		else if (quoted)
			text_add_span(&t, span_make(c, 1));
	}
	return text_take(&t);
}
