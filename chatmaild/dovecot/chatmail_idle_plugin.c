/*
 * A plugin of Dovecot's imap process: a client that idles (IDLE, RFC 2177; NOTIFY,
 * RFC 5465) hears of a change at once. Dovecot itself watches the mailbox, too, but waits
 * for half a second whether more comes; that stays as it is, for changes that others than
 * Dovecot make.
 *
 * Every change that Dovecot makes, by whichever process, ends with a record in the
 * mailbox's index log. So that file tells when to look; the directory around it is
 * watched, not the file, which rotation and repair replace by another.
 *
 * Loaded with "mail_plugins = $mail_plugins chatmail_idle" in "protocol imap". Uses
 * Dovecot's installed headers only and shares no code with the daemon.
 */
#include <imap-common.h>

#include <ioloop.h>
#include <mail-storage-hooks.h>
#include <mail-storage-private.h>
#include <mail-user.h>
#include <module-context.h>
#include <sys/stat.h>
#include <unistd.h>

/* How Dovecot finds its way into a plugin: by the names of these. */
void chatmail_idle_plugin_init(struct module *module);
void chatmail_idle_plugin_deinit(void);
extern const char *chatmail_idle_plugin_version;
extern const char chatmail_idle_plugin_binary_dependency[];

const char *chatmail_idle_plugin_version = DOVECOT_ABI_VERSION;
const char chatmail_idle_plugin_binary_dependency[] = "imap";

/* What we keep of a mailbox, in its pool. */
struct idle_mailbox {
	union mailbox_module_context module_ctx;
	/* While somebody waits for changes; else NULL. */
	struct io *watch;        /* on the index directory */
	struct timeout *to_look; /* what came before the watch? */
	/* Of the index log and of the lock of a Maildir; known from the first watch on. */
	const char *log_path, *lock_path;
	/* The log when the mailbox was last read, or its client last told to: it has seen
	 * all that was in there. All zero when not known. */
	struct stat log;
};

struct idle_client {
	union imap_module_context module_ctx;
	int (*next_state_export)(
	    struct client *client, bool internal, buffer_t *dest, const char **error_r);
};

#define IDLE_MAILBOX(box)   MODULE_CONTEXT_REQUIRE(box, idle_mailbox_module)
#define IDLE_CLIENT(client) MODULE_CONTEXT_REQUIRE(client, idle_client_module)

static MODULE_CONTEXT_DEFINE_INIT(idle_mailbox_module, &mail_storage_module_register);
static MODULE_CONTEXT_DEFINE_INIT(idle_client_module, &imap_module_register);

static struct module *idle_module;
static imap_client_created_func_t *next_client_created;

/* --- watching ------------------------------------------------------------------- */

static struct stat idle_log_stat(const struct idle_mailbox *ibox)
{
	struct stat log;

	if (stat(ibox->log_path, &log) < 0)
		i_zero(&log);
	return log;
}

/*
 * Something changed in the index directory; mostly files that tell nothing. What is seen
 * is noted before the client is told: what comes meanwhile, even by our own reading of
 * the mailbox, makes us look once more, and a look that finds nothing changes nothing.
 *
 * A delivery writes the log a moment before it gives back its lock on the Maildir, which
 * reading takes, too. Dovecot finds a taken lock's end by a watch of its own, and to close
 * that costs it 10 to 20 ms in Linux. So nobody is told before: the lock's end is a change
 * of the directory. Should it never come, Dovecot's own half second does.
 */
static void idle_look(struct mailbox *box)
{
	struct idle_mailbox *ibox = IDLE_MAILBOX(box);
	struct stat log;

	if (access(ibox->lock_path, F_OK) == 0)
		return;
	log = idle_log_stat(ibox);
	if (!ST_CHANGED(ibox->log, log))
		return;
	ibox->log = log;
	/* The client may be gone after this, and the mailbox with it. */
	box->notify_callback(box, box->notify_context);
}

/* IDLE reads the mailbox when it begins. NOTIFY does not, and it begins anew, a second
 * late, after each command and each notice. */
static void idle_look_back(struct mailbox *box)
{
	struct idle_mailbox *ibox = IDLE_MAILBOX(box);

	timeout_remove(&ibox->to_look);
	idle_look(box);
}

/*
 * No index directory (INDEX=MEMORY) or no watch to be had (inotify's limits, of which
 * Dovecot warns itself): its own way remains.
 */
static void idle_watch_start(struct mailbox *box)
{
	struct idle_mailbox *ibox = IDLE_MAILBOX(box);
	const char *dir;

	if (mailbox_get_path_to(box, MAILBOX_LIST_PATH_TYPE_INDEX, &dir) <= 0)
		return;
	if (io_add_notify(dir, idle_look, box, &ibox->watch) != IO_NOTIFY_ADDED)
		return;
	if (ibox->log_path == NULL) {
		ibox->log_path =
		    p_strdup_printf(box->pool, "%s/%s.log", dir, box->index_prefix);
		ibox->lock_path =
		    p_strdup_printf(box->pool, "%s/dovecot-uidlist.lock", dir);
	}
	ibox->to_look = timeout_add_short(0, idle_look_back, box);
}

static void idle_watch_stop(struct idle_mailbox *ibox)
{
	io_remove(&ibox->watch);
	timeout_remove(&ibox->to_look);
}

static void idle_notify_changes(struct mailbox *box)
{
	struct idle_mailbox *ibox = IDLE_MAILBOX(box);

	ibox->module_ctx.super.notify_changes(box);
	if (box->notify_callback == NULL)
		idle_watch_stop(ibox);
	else if (ibox->watch == NULL)
		idle_watch_start(box);
}

/* The mailbox is read, for whatever reason. */
static struct mailbox_sync_context *idle_sync_init(
    struct mailbox *box, enum mailbox_sync_flags flags)
{
	struct idle_mailbox *ibox = IDLE_MAILBOX(box);

	if (ibox->log_path != NULL)
		ibox->log = idle_log_stat(ibox);
	return ibox->module_ctx.super.sync_init(box, flags);
}

static void idle_close(struct mailbox *box)
{
	struct idle_mailbox *ibox = IDLE_MAILBOX(box);

	idle_watch_stop(ibox);
	ibox->module_ctx.super.close(box);
}

static void idle_mailbox_allocated(struct mailbox *box)
{
	struct mailbox_vfuncs *v = box->vlast;
	struct idle_mailbox *ibox = p_new(box->pool, struct idle_mailbox, 1);

	ibox->module_ctx.super = *v;
	box->vlast = &ibox->module_ctx.super;
	v->notify_changes = idle_notify_changes;
	v->sync_init = idle_sync_init;
	v->close = idle_close;
	MODULE_CONTEXT_SET(box, idle_mailbox_module, ibox);
}

/* --- hibernation ---------------------------------------------------------------- */

/* Did the mailbox change since the client was last told? */
static bool idle_news_wait(struct mailbox *box)
{
	/* Of another user's mailbox we may know nothing. */
	const struct idle_mailbox *ibox = MODULE_CONTEXT(box, idle_mailbox_module);
	struct stat log;

	if (box->to_notify_delay != NULL)
		return TRUE;
	if (ibox == NULL || ibox->watch == NULL)
		return FALSE;
	log = idle_log_stat(ibox);
	return ST_CHANGED(ibox->log, log);
}

/*
 * The process that takes over a hibernating client watches the mailbox from then on:
 * what came before and was not told yet would wait for the next change. So not now; the
 * news are about to be told, and hibernation is tried again after that.
 */
static int idle_state_export(
    struct client *client, bool internal, buffer_t *dest, const char **error_r)
{
	struct idle_client *iclient = IDLE_CLIENT(client);
	int ret = iclient->next_state_export(client, internal, dest, error_r);

	if (ret > 0 && internal && client->mailbox != NULL &&
	    idle_news_wait(client->mailbox)) {
		*error_r = "The mailbox has just changed";
		return 0;
	}
	return ret;
}

static void idle_client_created(struct client **clientp)
{
	struct client *client = *clientp;
	struct idle_client *iclient;

	if (mail_user_is_plugin_loaded(client->user, idle_module)) {
		iclient = p_new(client->pool, struct idle_client, 1);
		iclient->next_state_export = client->v.state_export;
		client->v.state_export = idle_state_export;
		MODULE_CONTEXT_SET(client, idle_client_module, iclient);
	}
	if (next_client_created != NULL)
		next_client_created(clientp);
}

/* -------------------------------------------------------------------------------- */

static struct mail_storage_hooks idle_hooks = {
	.mailbox_allocated = idle_mailbox_allocated,
};

void chatmail_idle_plugin_init(struct module *module)
{
	idle_module = module;
	mail_storage_hooks_add(module, &idle_hooks);
	next_client_created = imap_client_created_hook_set(idle_client_created);
}

void chatmail_idle_plugin_deinit(void)
{
	imap_client_created_hook_set(next_client_created);
	mail_storage_hooks_remove(&idle_hooks);
}
