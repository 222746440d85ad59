/*
 * The commands of the filter's SMTP server: what each does and answers, and when it may
 * come. RFC 5321 section 4.1.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chatmaild/filter_private.h"
#include "chatmaild/log.h"
#include "chatmaild/mailbox.h"
#include "proto/address.h"
#include "proto/smtp.h"

static void smtp_helo(struct filter_conn *c, struct span arg)
{
	filter_conn_reset(c);
	c->state = FILTER_READY;
	filter_conn_reply(c, "250 %s", c->filter->daemon->config->mail_domain);
}

/* No PIPELINING: Postfix does not use it here. No SMTPUTF8: it is passed on unasked. */
static void smtp_ehlo(struct filter_conn *c, struct span arg)
{
	const struct config *config = c->filter->daemon->config;

	filter_conn_reset(c);
	c->state = FILTER_READY;
	filter_conn_reply(c, "250-%s\r\n250-8BITMIME\r\n250 SIZE %lld",
	    config->mail_domain, (long long)config->max_message_size);
}

/* True: may send now. Else the reply is given. */
static bool may_send(struct filter_conn *c, struct span sender)
{
	struct span local, domain;
	struct timespec now;
	int64_t now_us, wait_us;
	time_t until;
	struct tm tm;
	char text[32];

	if (!address_split(sender, &local, &domain)) {
		c->filter->counters.bad_sender++;
		filter_conn_reply(
		    c, "500 Invalid from address <%.*s>", SPAN_ARG(sender));
		return false;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	now_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	if (ratelimit_take(c->filter->ratelimit, sender, now_us, &wait_us))
		return true;
	until = time(NULL) + (time_t)(wait_us / 1000000) + 1;
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&until, &tm));
	c->filter->counters.rate_limited++;
	filter_conn_reply(c,
	    "450 4.7.1: Too much mail from <%.*s>, rate limited until %s",
	    SPAN_ARG(sender), text);
	return false;
}

static char *copy_of(struct span address)
{
	char *copy = span_dup(address);

	if (!copy)
		abort();
	return copy;
}

static void smtp_mail(struct filter_conn *c, struct span arg)
{
	struct span sender;
	const char *why = smtp_parse_path(arg, "FROM", &sender);

	if (why) {
		log_debug("filter: MAIL: %s", why);
		filter_conn_fault(c, "501 5.1.7 Bad sender address syntax");
		return;
	}
	if (c->filter->direction == MAIL_OUTGOING && sender.len > 0 &&
	    !may_send(c, sender))
		return;
	c->mail_from = copy_of(sender);
	c->envelope.mail_from = span_make(c->mail_from, sender.len);
	c->state = FILTER_MAIL;
	filter_conn_say(c, "250 OK\r\n");
}

/*
 * Does the mailbox that will get it insist on encryption? Only a plain name in our domain
 * can tell of a mailbox that does not. Postfix reads routes out of the others, such as
 * "a%ours@ours", "ours!a@ours" or "a(x)@ours", and delivers them to another mailbox.
 */
static bool recipient_enforces(const struct filter *f, struct span recipient)
{
	const struct config *config = f->daemon->config;
	char mailbox[ADDRESS_MAX + 1];
	int len = address_mailbox(recipient, mailbox, sizeof mailbox);
	struct span address, local, domain;

	if (len < 0)
		return true;
	address = span_make(mailbox, (size_t)len);
	if (!address_is_path(address) || !address_split(address, &local, &domain) ||
	    !address_local_creatable(local) ||
	    !span_is_nocase(domain, config->mail_domain))
		return true;
	return mailbox_enforces(config->mailboxes_dir, mailbox);
}

static void add_recipient(struct filter_conn *c, struct span recipient)
{
	if (c->nrcpt == c->rcpt_size) {
		c->rcpt_size = c->rcpt_size ? 2 * c->rcpt_size : 4;
		c->rcpt_to = realloc(c->rcpt_to, c->rcpt_size * sizeof *c->rcpt_to);
		if (!c->rcpt_to)
			abort();
	}
	c->rcpt_to[c->nrcpt++] = span_make(copy_of(recipient), recipient.len);
	c->rcpt_bytes += recipient.len;
	c->envelope.rcpt_to = c->rcpt_to;
	c->envelope.nrcpt = c->nrcpt;
}

static void smtp_rcpt(struct filter_conn *c, struct span arg)
{
	struct span recipient;
	const char *why = smtp_parse_path(arg, "TO", &recipient);

	if (why) {
		log_debug("filter: RCPT: %s", why);
		filter_conn_fault(c, "501 5.1.3 Bad recipient address syntax");
		return;
	}
	if (c->nrcpt >= FILTER_RCPT_MAX ||
	    c->rcpt_bytes + recipient.len > FILTER_RCPT_BYTES) {
		c->filter->counters.too_many_recipients++;
		filter_conn_say(c, "452 4.5.3 Too many recipients\r\n");
		return;
	}
	add_recipient(c, recipient);
	if (c->filter->direction == MAIL_INCOMING && !c->envelope.enforced)
		c->envelope.enforced = recipient_enforces(c->filter, recipient);
	c->state = FILTER_RCPT;
	filter_conn_say(c, "250 OK\r\n");
}

static void smtp_data(struct filter_conn *c, struct span arg)
{
	if (arg.len > 0) {
		filter_conn_fault(c, "501 5.5.4 Syntax: DATA");
		return;
	}
	filter_conn_begin_mail(c);
	filter_conn_say(c, "354 End data with <CR><LF>.<CR><LF>\r\n");
}

static void smtp_rset(struct filter_conn *c, struct span arg)
{
	filter_conn_reset(c);
	filter_conn_say(c, "250 OK\r\n");
}

static void smtp_noop(struct filter_conn *c, struct span arg)
{
	filter_conn_say(c, "250 OK\r\n");
}

static void smtp_vrfy(struct filter_conn *c, struct span arg)
{
	filter_conn_say(c, "252 2.5.2 Send some mail, I'll try my best\r\n");
}

static void smtp_quit(struct filter_conn *c, struct span arg)
{
	filter_conn_say(c, "221 Bye\r\n");
	c->state = FILTER_BYE;
}

#define IN(state) (1u << (state))
#define ANY       (~0u)

/* Which command is good when, RFC 5321 section 4.1.4; elsewhere it earns a 503. */
static const struct smtp_command {
	enum smtp_verb verb;
	unsigned states; /* bits of enum filter_state */
	void (*run)(struct filter_conn *c, struct span arg);
	const char *otherwise;
} smtp_commands[] = {
	{ SMTP_HELO, ANY, smtp_helo, NULL },
	{ SMTP_EHLO, ANY, smtp_ehlo, NULL },
	{ SMTP_MAIL, IN(FILTER_READY), smtp_mail,
	    "503 5.5.1 EHLO first, and one MAIL only" },
	{ SMTP_RCPT, IN(FILTER_MAIL) | IN(FILTER_RCPT), smtp_rcpt,
	    "503 5.5.1 Need MAIL command" },
	{ SMTP_DATA, IN(FILTER_RCPT), smtp_data, "503 5.5.1 Need RCPT command" },
	{ SMTP_RSET, ANY, smtp_rset, NULL },
	{ SMTP_NOOP, ANY, smtp_noop, NULL },
	{ SMTP_VRFY, ANY, smtp_vrfy, NULL },
	{ SMTP_QUIT, ANY, smtp_quit, NULL },
};

void filter_command(struct filter_conn *c, struct span line)
{
	struct span arg;
	enum smtp_verb verb = smtp_parse_command(line, &arg);

	for (size_t i = 0; i < sizeof smtp_commands / sizeof *smtp_commands; i++) {
		const struct smtp_command *command = &smtp_commands[i];

		if (command->verb != verb)
			continue;
		if (command->states & IN(c->state))
			command->run(c, arg);
		else
			filter_conn_fault(c, command->otherwise);
		return;
	}
	filter_conn_fault(c, "500 5.5.2 Command not recognized");
}
