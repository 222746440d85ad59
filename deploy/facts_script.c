/*
 * The script that asks a server what is so. It answers in records, each a word, a TAB, a
 * value as some program said it, and a NUL; a NUL within a value is dropped. So no value can
 * be taken for another record, and all reading of values is done here, in facts.c.
 */
#include "deploy/facts_impl.h"
#include "deploy/quote.h"

#include <stdlib.h>

#define STATE_SECONDS 20u /* for a check that was promised to be cheap */

/* A program that is not there, or fails, leaves an empty value. */
static const char prologue[] = "# what is so on the server\n"
			       "say() {\n"
			       "	printf '%s\\t' \"$1\"\n"
			       "	shift\n"
			       "	\"$@\" 2>/dev/null </dev/null | tr -d '\\000'\n"
			       "	printf '\\000'\n"
			       "}\n"
			       "say facts echo 1\n"
			       "set --\n";

/* What is asked of every server. */
static const char general[] =
    "systemd() { [ -d /run/systemd/system ] && echo yes; }\n"
    "apt() {\n"
    "	set -- /var/lib/apt/lists/*_Packages*\n"
    "	[ -e \"$1\" ] || return 0\n"
    "	find " FACTS_APT_STAMP " /var/lib/apt/periodic/update-success-stamp \\\n"
    "		/var/lib/apt/lists -maxdepth 0 -mmin -1440 -print\n"
    "}\n"
    "inet6() { [ -e /proc/net/if_inet6 ] && echo yes; }\n"
    "resolv() {\n"
    "	[ ! -L /etc/resolv.conf ] || "
    "printf -- '-> %s\\n' \"$(readlink /etc/resolv.conf)\"\n"
    "	head -c 65536 /etc/resolv.conf\n"
    "}\n"
    "say os head -c 65536 /etc/os-release\n"
    "say machine uname -m\n"
    "say arch dpkg --print-architecture\n"
    "say systemd systemd\n"
    "say container systemd-detect-virt --container\n"
    "say apt apt\n"
    "say disk df -B1 --output=avail /\n"
    "say home df -B1 --output=avail /home\n"
    "say memory grep '^MemTotal:' /proc/meminfo\n"
    "say ipv6 cat /proc/net/if_inet6\n"
    "say inet6 inet6\n"
    "say addresses hostname -I\n"
    "say resolv resolv\n"
    "if command -v ss >/dev/null; then say ports ss -H -lntup; fi\n";

/* What our own former runs left. */
static const char generations[] =
    "pending() { cd /var/lib/cmdeploy/pending && grep -s -m1 -H -e . -- *; }\n"
    "say pending pending\n"
    "say missing find " FACTS_MISSING " -type f -mmin -1440 -printf '%f\\n'\n"
    "g=0\n"
    "for d in /var/lib/cmdeploy/generations/[0-9]*/applied; do\n"
    "	d=${d%/applied}\n"
    "	n=${d##*/}\n"
    "	case $n in *[!0-9]* | ??????????*) continue ;; esac\n"
    "	[ ! -e \"$d/applied\" ] || [ \"$n\" -le \"$g\" ] || g=$n\n"
    "done\n"
    "say generation echo \"$g\"\n"
    "say manifest head -c 8388608 \"/var/lib/cmdeploy/generations/$g/manifest\"\n";

/* Append the names, each with a blank before it; false if there are none. */
static bool add_names(
    struct text *script, const struct wanted *w, enum facts_subject subject)
{
	struct facts_names names = facts_names(w, subject);
	bool any = names.n > 0;

	for (size_t i = 0; i < names.n; i++)
		quote_command(script, " %s", names.name[i]);
	free(names.name);
	return any;
}

/* "say KEY COMMAND 'name' 'name'...", if there are names. */
static void ask_by_name(struct text *script, const struct wanted *w,
    enum facts_subject subject, const char *command)
{
	struct text names = { 0 };

	if (add_names(&names, w, subject))
		quote_command(script, "%r%r\n", command, names.data);
	text_free(&names);
}

/*
 * Two records a path, for its name and the target of a link may hold anything; hashes come
 * as sha256sum(1) tells them.
 */
static void ask_files(struct text *script, const struct wanted *w)
{
	ask_by_name(script, w, FACTS_PATHS, "set --");
	text_add(script,
	    "if [ $# -gt 0 ]; then\n"
	    "	find \"$@\" -maxdepth 0 -printf "
	    "'file\\t%y\\t%m\\t%u\\t%g\\t%p\\0link\\t%l\\0' 2>/dev/null || :\n"
	    "	{ find \"$@\" -maxdepth 0 -type f -print0 2>/dev/null || :; } |\n"
	    "		{ xargs -0r sha256sum -z -- 2>/dev/null || :; } |\n"
	    "		sed -z 's/^/hash\\t/'\n"
	    "fi\n");
}

/* The programs that the units run, too: "/proc/PID/exe PROGRAM", a line each. */
static void ask_units(struct text *script, const struct wanted *w)
{
	text_add(script, "set --");
	add_names(script, w, FACTS_UNITS);
	text_add(script,
	    "\n"
	    "units() { printf '%s\\n' \"$units\"; }\n"
	    "units=$(systemctl show --no-pager -p Id,Names,LoadState,ActiveState,"
	    "UnitFileState,NeedDaemonReload,MainPID,ExecStart -- \"$@\" "
	    "2>/dev/null </dev/null) || :\n"
	    "say units units\n"
	    "programs=$(units | "
	    "sed -n 's/^MainPID=\\([1-9][0-9]*\\)$/\\/proc\\/\\1\\/exe/p')\n"
	    "[ -z \"$programs\" ] || "
	    "say programs find $programs -maxdepth 0 -printf '%p %l\\n'\n");
}

static void ask_states(struct text *script, const struct wanted *w)
{
	size_t n;
	const struct wanted_thing *things = wanted_list(w, &n);

	for (size_t i = 0; i < n; i++) {
		if (things[i].kind != WANTED_STATE)
			continue;
		quote_command(script,
		    "if why=$(timeout %u sh -euc %s </dev/null 2>&1 >/dev/null); "
		    "then say state echo 1; "
		    "else say state printf '0%%s' \"$why\"; fi\n",
		    STATE_SECONDS, things[i].state.check);
	}
}

char *facts_script(const struct wanted *w)
{
	struct text script = { 0 };

	text_add(&script, prologue);
	text_add(&script, general);
	ask_by_name(&script, w, FACTS_PACKAGES,
	    "say packages dpkg-query -W "
	    "-f '${Package}\\t${Version}\\t${db:Status-Status}\\n' --");
	ask_by_name(&script, w, FACTS_USERS, "say passwd getent passwd --");
	ask_by_name(&script, w, FACTS_GROUPS, "say group getent group --");
	ask_files(&script, w);
	ask_units(&script, w);
	ask_states(&script, w);
	text_add(&script, generations);
	text_add(&script, "say end echo 1\n");
	return text_take(&script);
}
