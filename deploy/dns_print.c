/*
 * What a report of dns.h looks like.
 */
#include <stdlib.h>

#include "deploy/dns.h"
#include "deploy/progress.h"

static void print_server(
    const struct dns_name_server *s, enum dns_service service, FILE *out)
{
	static const char *const services[] = {
		[DNS_SERVES] = "",
		[DNS_SERVES_PARTLY] = "left questions without a usable answer",
		[DNS_LAME] = "lame: it does not serve the zone",
		[DNS_DEAD] = "does not answer, neither by UDP nor by TCP",
		[DNS_UNREACHED] = "not asked: no route from this machine",
	};

	fprintf(out, "  %-32s %s%s%s\n", s->name, s->text,
	    service == DNS_SERVES ? "" : "  ", services[service]);
}

static void print_servers(const struct dns_report *report, FILE *out)
{
	const struct dns_servers *s = &report->servers;

	if (s->zone)
		fprintf(out, "Name servers of %s\n", s->zone);
	else
		fputs("The zone has no name servers that could be found; its resolver "
		      "was "
		      "asked instead.\n",
		    out);
	for (size_t i = 0; i < s->n; i++)
		print_server(&s->server[i], report->service[i], out);
	/* A zone of one label belongs to a registry, not to a relay. */
	if (s->zone && strchr(s->zone, '.') == s->zone + strlen(s->zone) - 1)
		fprintf(out, "  (of the top level: is the name registered?)\n");
	fputc('\n', out);
}

static const char *type_name(const struct dns_record *r)
{
	return r->kind == DNS_ANY_ADDRESS ? "A/AAAA" : r->type;
}

static void print_result(const struct dns_result *r, FILE *out)
{
	bool differs = r->is.verdict != DNS_RIGHT || r->is.remark[0];

	if (r->want->kind == DNS_NO_ADDRESS && !differs)
		return;
	fprintf(out, "%-9s  %-6s %s", dns_verdict_name(r->is.verdict),
	    type_name(r->want), r->want->name);
	if (r->is.remark[0])
		fprintf(out, ": %s", r->is.remark);
	fprintf(out, "%s\n", r->disagree ? " [name servers disagree]" : "");
}

static bool is_due(const struct dns_result *r, bool required)
{
	/* What may be meant so is no more than recommended. */
	bool must = r->want->required && r->is.verdict != DNS_DOUBTFUL;

	return r->is.verdict != DNS_RIGHT && r->is.verdict != DNS_UNANSWERED &&
	       must == required;
}

/* Indented comments, a line each. */
static void print_each(const char *lines, FILE *out)
{
	struct span rest = span_of(lines), line;

	while (span_cut(&rest, '\n', &line)) {
		if (line.len > 0)
			fprintf(out, ";   %.*s\n", SPAN_ARG(line));
	}
}

static void print_due(const struct dns_result *r, FILE *out)
{
	if (r->disagree && r->each)
		print_each(r->each, out);
	else if (r->found[0])
		fprintf(out, "; instead of: %s\n", r->found);
	if (r->want->kind == DNS_NO_ADDRESS)
		fprintf(out, "; remove the %s record of %s\n", r->want->type,
		    r->want->name);
	dns_record_print(r->want, out);
	if (r->want->kind == DNS_DKIM) {
		char *text = dns_record_unsplit(r->want);

		fprintf(out, "; the same for a form on the web:\n; %s\n", text);
		free(text);
	}
}

static void print_section(const struct dns_report *report, bool required, FILE *out)
{
	for (size_t i = 0; i < report->nresults; i++) {
		if (is_due(&report->result[i], required))
			print_due(&report->result[i], out);
	}
}

static size_t count_due(const struct dns_report *report, bool required)
{
	size_t n = 0;

	for (size_t i = 0; i < report->nresults; i++)
		n += is_due(&report->result[i], required);
	return n;
}

static size_t count_unanswered(const struct dns_report *report)
{
	size_t n = 0;

	for (size_t i = 0; i < report->nresults; i++)
		n += report->result[i].is.verdict == DNS_UNANSWERED;
	return n;
}

static size_t count_disagreements(const struct dns_report *report)
{
	size_t n = 0;

	for (size_t i = 0; i < report->nresults; i++)
		n += report->result[i].disagree;
	return n;
}

static void print_disagreements(const struct dns_report *report, FILE *out)
{
	for (size_t i = 0; i < report->nresults; i++) {
		const struct dns_result *r = &report->result[i];

		if (!r->disagree || r->is.verdict != DNS_RIGHT)
			continue; /* the others are shown with what is to be set */
		fprintf(out, "; %s %s\n", r->want->name, r->want->type);
		print_each(r->each, out);
	}
}

void dns_report_print(
    const struct dns_report *report, const struct dns_zone *zone, FILE *out)
{
	size_t required = count_due(report, true),
	       recommended = count_due(report, false);
	size_t disagreements = count_disagreements(report);
	size_t unanswered = count_unanswered(report);

	print_servers(report, out);
	for (size_t i = 0; i < report->nresults; i++)
		print_result(&report->result[i], out);
	fputc('\n', out);
	fflush(out);
	if (unanswered > 0)
		say_bad("No name server gave an answer about %zu record%s.", unanswered,
		    unanswered == 1 ? "" : "s");
	if (disagreements > 0) {
		say_bad(
		    "The name servers disagree; if the zone was changed just now, ask "
		    "again in a while.");
		print_disagreements(report, out);
		fflush(out);
	}
	if (required > 0) {
		say_bad("%zu required record%s to be set:", required,
		    required == 1 ? " is" : "s are");
		print_section(report, true, out);
		fflush(out);
	}
	if (recommended > 0) {
		say_bad("Warning: %zu recommended record%s to be set:", recommended,
		    recommended == 1 ? " is" : "s are");
		print_section(report, false, out);
		fflush(out);
	}
	if (required + recommended + disagreements + unanswered == 0)
		say_good("The DNS of %s is right.", zone->domain);
}
