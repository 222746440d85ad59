/* What ssh says, and what helps. */
#include "deploy/host_impl.h"

#include <stdio.h>

/* In the order in which they are looked for: a changed key is also a failed check. */
static const struct remedy {
	const char *said; /* by ssh(1), a part of a line */
	const char *cause;
	const char *help; /* %l: as what we log in, %h: the host without the user */
} remedies[] = {
	{ "REMOTE HOST IDENTIFICATION HAS CHANGED",
	    "its host key is another one than before",
	    "if the server was set up anew, forget the old key: ssh-keygen -R %h; "
	    "else somebody may sit in between" },
	{ "Host key verification failed", "its host key is not known yet",
	    "run \"ssh %l\" once by hand and compare the fingerprint" },
	{ "Could not resolve hostname", "the name does not resolve",
	    "correct it, set its A record, or name the server by --ssh-host" },
	{ "Connection refused", "no SSH server answers there",
	    "is it another port? Set it in ~/.ssh/config" },
	{ "timed out", "it does not answer",
	    "is it up, and its port 22 not filtered?" },
	{ "No route to host", "there is no way to it", "is it up, are you online?" },
	{ "Network is unreachable", "there is no way to it", "are you online?" },
	{ "Too many authentication failures",
	    "the server took none of the first keys of the agent",
	    "set IdentityFile and IdentitiesOnly for it in ~/.ssh/config" },
	{ "Permission denied", "it accepts none of your keys",
	    "load the key into your agent (ssh-add), or copy it there "
	    "(ssh-copy-id %l)" },
	{ "sudo:", "the login may not become root without a password",
	    "log in as root, or allow it by a line \"USER ALL=(ALL) NOPASSWD: ALL\" "
	    "in a file in /etc/sudoers.d" },
	{ "Connection closed by", "its SSH server hung up",
	    "it may have locked you out for a while (fail2ban)" },
	{ "Connection reset by", "its SSH server hung up",
	    "it may have locked you out for a while (fail2ban)" },
	{ "Bad configuration option", "ssh does not accept its configuration",
	    "correct ~/.ssh/config" },
};

static bool says(struct span said, const char *what)
{
	return said.len > 0 && memmem(said.data, said.len, what, strlen(what));
}

void host_last_line(struct span said, char *line, size_t size)
{
	struct span rest = said, part, last = span_of("");
	size_t n;

	while (span_cut(&rest, '\n', &part)) {
		if (span_trim(part).len > 0)
			last = span_trim(part);
	}
	n = last.len < size ? last.len : size - 1;
	for (size_t i = 0; i < n; i++)
		line[i] = span_control(last.data[i]) ? '?' : last.data[i];
	line[n] = '\0';
}

/* Put help into text, with login and host for %l and %h. */
static void fill_help(
    char *text, size_t size, const char *help, const char *login, const char *host)
{
	const char *place = strchr(help, '%');

	if (!place)
		snprintf(text, size, "%s", help);
	else
		snprintf(text, size, "%.*s%s%s", (int)(place - help), help,
		    place[1] == 'l' ? login : host, place + 2);
}

void host_remedy(
    const char *name, bool root_user, struct span said, char error[HOST_ERROR_MAX])
{
	char last[300], help[400], login[260];
	const char *at = strrchr(name, '@');

	host_last_line(said, last, sizeof(last));
	snprintf(login, sizeof(login), "%s%.250s", root_user ? "root@" : "", name);
	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++) {
		const struct remedy *r = &remedies[i];

		if (!says(said, r->said))
			continue;
		fill_help(help, sizeof(help), r->help, login, at ? at + 1 : name);
		snprintf(error, HOST_ERROR_MAX, "%.250s: %s (%s); %s", name, r->cause,
		    last, help);
		return;
	}
	snprintf(error, HOST_ERROR_MAX,
	    "%.250s: ssh could not log in: %s; try \"ssh %s\" by hand", name,
	    last[0] ? last : "it says nothing", login);
}
