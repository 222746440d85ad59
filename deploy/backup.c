/* The scripts of backup and restore. Words that begin with "$" are set at their front. */
#include "deploy/backup.h"

#include "deploy/quote.h"

/* Without the slash at the front: as they are called in the archive, and below "/". */
static const char *const fixed_paths[] = {
	"etc/chatmaild",
	"etc/chatmail-nocreate",
	"etc/dkimkeys",
	"var/lib/acme",
	"var/www/html",
};

static const char backup_body[] =
    "command -v chatmaild >/dev/null && [ -d \"$mailboxes\" ] || {\n"
    "	echo \"there is no relay with mailboxes in $mailboxes\" >&2\n"
    "	exit 1\n"
    "}\n"
    "chatmaild --help | grep -q -e --copy-database || {\n"
    "	echo 'its chatmaild is too old for this: bring it up to date by cmdeploy run' "
    ">&2\n"
    "	exit 1\n"
    "}\n"
    "find \"$state\" -maxdepth 1 -name 'backup.*' -mmin +1440 -exec rm -rf {} +\n"
    "umask 077\n"
    "tmp=$(runuser -u vmail -- mktemp -d \"$state/backup.XXXXXX\")\n"
    "trap 'rm -rf \"$tmp\"' EXIT\n"
    "trap 'exit 1' HUP INT PIPE TERM\n"
    "own=$tmp/chatmail-backup\n"
    "runuser -u vmail -- mkdir \"$own\"\n"
    "printf '%s' \"$info\" >\"$own/info\"\n"
    "if [ -e \"$state/chatmaild.sqlite\" ]; then\n"
    "	runuser -u vmail -- chatmaild --copy-database \"$own/chatmaild.sqlite\"\n"
    "fi\n"
    "plain() {\n"
    "	printf '%s' \"${1#/}\" | sed 's/[][*?\\\\]/\\\\&/g'\n"
    "}\n"
    "mail=$(plain \"$mailboxes\")\n"
    "set -- --anchored --exclude=\"$mail/*/tmp/?*\" "
    "--exclude=\"$mail/*/dovecot*.index*\" \\\n"
    "	--exclude=\"$mail/*/maildirsize\" \\\n"
    "	--exclude=\"$(plain \"$state\")/chatmaild.sqlite*\" \\\n"
    "	--exclude=\"$(plain \"$state\")/backup.*\"\n"
    "[ -n \"$messages\" ] || set -- \"$@\" --exclude=\"$mail/*/cur/?*\" "
    "--exclude=\"$mail/*/new/?*\"\n"
    "set -- \"$@\" -C \"$tmp\" chatmail-backup/info\n"
    "[ ! -e \"$own/chatmaild.sqlite\" ] || set -- \"$@\" "
    "chatmail-backup/chatmaild.sqlite\n"
    "set -- \"$@\" -C /\n"
    "[ -z \"$mailboxes_too\" ] || set -- \"$@\" \"${mailboxes#/}\"\n"
    "for path in $paths \"${state#/}\"; do\n"
    "	[ ! -e \"/$path\" ] || set -- \"$@\" \"$path\"\n"
    "done\n"
    /* 1: a file changed or vanished meanwhile, as mail does. */
    "status=0\n"
    "tar --create --format=gnu --warning=no-file-changed \\\n"
    "	--warning=no-file-removed --warning=no-file-ignored \"$@\" || status=$?\n"
    "[ \"$status\" -le 1 ]\n";

static const char look_body[] =
    "found=\n"
    "for path in \"$state/chatmaild.sqlite\" /etc/dkimkeys/*.private; do\n"
    "	[ ! -e \"$path\" ] || found=\"$found $path\"\n"
    "done\n"
    "if [ -d \"$mailboxes\" ]; then\n"
    "	n=$(find \"$mailboxes\" -mindepth 2 -maxdepth 2 -name password | wc -l)\n"
    "	[ \"$n\" -eq 0 ] || found=\"$found $mailboxes ($n accounts)\"\n"
    "fi\n"
    "[ -z \"$found\" ] || {\n"
    "	echo \"${found# }\"\n"
    "	exit 3\n"
    "}\n";

static const char unpack[] =
    /* Owners are known by name, so the names come first. */
    "user() {\n"
    "	getent passwd \"$1\" >/dev/null || useradd --system --user-group \\\n"
    "		--home-dir \"$2\" --no-create-home --shell /usr/sbin/nologin \"$1\"\n"
    "}\n"
    "user vmail /home/vmail\n"
    "user opendkim /run/opendkim\n"
    "own() {\n"
    "	[ -d \"$1\" ] || install -d -o vmail -g vmail -m 700 \"$1\"\n"
    "}\n"
    "parent=${mailboxes%/*}\n"
    "own /home/vmail\n"
    "own \"$parent\"\n"
    "own \"$state\"\n"
    "stage=$parent/.restore\n"
    "rm -rf \"$stage\"\n"
    "mkdir -m 700 \"$stage\"\n"
    "trap 'rm -rf \"$stage\"' EXIT\n"
    /* It says of each file that the disk is full. */
    "why=$(tar --extract --preserve-permissions --same-owner -C \"$stage\" 2>&1) || {\n"
    "	echo \"${why%%\n*}\" >&2\n"
    "	exit 1\n"
    "}\n";

static const char restore_mail[] =
    "from=$stage$mailboxes\n"
    "[ -d \"$from\" ] && [ -e \"$stage/chatmail-backup/manifest\" ]\n"
    "find \"$from\" -name dovecot-uidlist -exec perl -i -pe '\n"
    "	s/^(3 .*?\\bN)(\\d+)/$1.($2 + 1000000)/e if $. == 1;\n"
    "	close ARGV if eof' {} +\n"
    "echo \"accounts $(find \"$from\" -mindepth 2 -maxdepth 2 -name password | wc "
    "-l)\"\n"
    "echo \"messages $(find \"$from\" -type f -regex '.*/\\(cur\\|new\\)/[^/]*' | wc "
    "-l)\"\n"
    "stop() {\n"
    "	for unit; do\n"
    "		[ \"$(systemctl show -p LoadState --value \"$unit\")\" = not-found ] "
    "||\n"
    "			systemctl stop \"$unit\"\n"
    "	done\n"
    "}\n"
    "stop postfix.service postfix@-.service dovecot.service chatmaild.socket \\\n"
    "	chatmaild-filter.socket chatmaild-http.socket chatmaild.service\n"
    "if [ -e \"$mailboxes\" ] && ! rmdir \"$mailboxes\" 2>/dev/null; then\n"
    "	[ -n \"$force\" ]\n"
    "	aside=$mailboxes.$(date +%Y%m%d-%H%M%S)\n"
    "	mv -T \"$mailboxes\" \"$aside\"\n"
    "	echo \"aside $aside\"\n"
    "fi\n"
    "mv -T \"$from\" \"$mailboxes\"\n";

static const char place[] =
    "rm -f \"$state\"/chatmaild.sqlite*\n"
    "for path in $paths \"${state#/}\"; do\n"
    "	[ -e \"$stage/$path\" ] || continue\n"
    "	mkdir -p \"/${path%/*}\"\n"
    "	cp -aT \"$stage/$path\" \"/$path\"\n"
    "done\n"
    "if [ -e \"$stage/chatmail-backup/chatmaild.sqlite\" ]; then\n"
    "	mv \"$stage/chatmail-backup/chatmaild.sqlite\" \"$state/chatmaild.sqlite\"\n"
    "	chown vmail:vmail \"$state/chatmaild.sqlite\"\n"
    "fi\n"
    "sync\n";

/* The certificate is the relay's own to keep only if the relay made it. */
static void add_paths(const struct config *config, struct text *to)
{
	for (size_t i = 0; i < sizeof(fixed_paths) / sizeof(fixed_paths[0]); i++)
		text_printf(to, "%s ", fixed_paths[i]);
	if (config->tls_mode == TLS_SELF)
		text_printf(
		    to, "%s %s ", config->tls_cert_path + 1, config->tls_key_path + 1);
}

static void add_head(const struct config *config, const char *what, struct text *script)
{
	struct text paths = { 0 };

	add_paths(config, &paths);
	quote_command(script, "# %r\nmailboxes=%s state=%s paths=%s\n", what,
	    config->mailboxes_dir, config->state_dir, paths.data);
	text_free(&paths);
}

void backup_script(
    const struct config *config, enum backup_part part, struct text *script)
{
	struct text info = { 0 };

	text_printf(&info, "chatmail-backup 1\ndomain %s\nmailboxes %s\nmessages %s\n",
	    config->mail_domain, config->mailboxes_dir,
	    part == BACKUP_ALL ? "yes" : "no");
	add_head(config, "backup", script);
	quote_command(script, "info=%s messages=%s mailboxes_too=%s\n%r", info.data,
	    part == BACKUP_ALL ? "yes" : "", part == BACKUP_STATE ? "" : "yes",
	    backup_body);
	text_free(&info);
}

void backup_look_script(const struct config *config, struct text *script)
{
	add_head(config, "is there a relay already?", script);
	text_add(script, look_body);
}

void backup_restore_script(const struct config *config, bool force, struct text *script)
{
	add_head(config, "restore", script);
	quote_command(script, "force=%s\n%r%r%r", force ? "yes" : "", unpack,
	    restore_mail, place);
}

void backup_state_script(const struct config *config, struct text *script)
{
	add_head(config, "state of a relay", script);
	quote_command(script, "%r%r", unpack, place);
}
