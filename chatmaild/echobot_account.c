/* See echobot_account.h. */
#include "chatmaild/echobot_account.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER        "echobot"
#define PASSWORD_FILE "password"
#define LINK_FILE     "invite-link.txt"

/* 62 of 64 of them: bytes that would favour some are thrown away. */
static const char alphabet[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

static int invent_password(char password[ECHOBOT_PASSWORD + 1])
{
	size_t n = 0;

	while (n < ECHOBOT_PASSWORD) {
		unsigned char random;

		if (getrandom(&random, 1, 0) != 1)
			return -1;
		random %= 64; /* 256 is a multiple of it */
		if (random < sizeof(alphabet) - 1)
			password[n++] = alphabet[random];
	}
	password[n] = '\0';
	return 0;
}

/* The folder, made if it is not there: a descriptor, or -1 with errno. */
static int open_folder(const char *state_dir)
{
	char path[MAILBOX_PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/" FOLDER, state_dir) >=
	    (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A small file without its final LF; -1 with errno, also if it is longer than size - 1. */
static int read_text(int folder, const char *name, char *text, size_t size)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, size);
	close(fd);
	if (n < 0 || n == (ssize_t)size) {
		errno = n < 0 ? EIO : EFBIG;
		return -1;
	}
	if (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	return 0;
}

/* Whole or not at all, and durable: by another name, fsync and rename. */
static int write_text(int folder, const char *name, const char *text, mode_t mode)
{
	char fresh[64], line[ECHOBOT_LINK_MAX + 1];
	int len = snprintf(line, sizeof(line), "%s\n", text);
	int fd, error;

	snprintf(fresh, sizeof(fresh), "%s.new", name);
	if (unlinkat(folder, fresh, 0) < 0 && errno != ENOENT)
		return -1;
	fd = openat(
	    folder, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -1;
	errno = ENOSPC; /* of a short write */
	if (write(fd, line, (size_t)len) == len && fchmod(fd, mode) == 0 &&
	    fsync(fd) == 0 && renameat(folder, fresh, folder, name) == 0) {
		close(fd);
		return fsync(folder);
	}
	error = errno;
	close(fd);
	unlinkat(folder, fresh, 0);
	errno = error;
	return -1;
}

static bool is_password(const char *text)
{
	return strlen(text) == ECHOBOT_PASSWORD && text[strspn(text, alphabet)] == '\0';
}

/* What is no password of ours is as good as none. */
static int find_password(struct echobot_account *a, int folder)
{
	char text[ECHOBOT_PASSWORD + 3];

	if (read_text(folder, PASSWORD_FILE, text, sizeof(text)) < 0) {
		if (errno != ENOENT && errno != EFBIG)
			return -1;
		text[0] = '\0';
	}
	if (is_password(text)) {
		memcpy(a->password, text, sizeof(a->password));
		explicit_bzero(text, sizeof(text));
		return 0;
	}
	return invent_password(a->password) == 0
		   ? write_text(folder, PASSWORD_FILE, a->password, 0600)
		   : -1;
}

static void read_link(struct echobot_account *a, int folder)
{
	if (read_text(folder, LINK_FILE, a->link, sizeof(a->link)) < 0 ||
	    !echobot_is_link(a->link))
		a->link[0] = '\0';
}

/* The mailbox gets the password's hash, unless it has one. */
static void write_hash(struct echobot_account *a, enum mailbox_state state)
{
	struct mailbox_stamp stamp;
	int rc;

	if (password_hash(span_of(a->password), a->hash, sizeof(a->hash)) < 0) {
		a->why = "cannot hash its password";
		return;
	}
	rc = state == MAILBOX_ABSENT
		 ? mailbox_make(a->mailboxes_dir, a->address, a->hash, &stamp)
		 : mailbox_rewrite(a->mailboxes_dir, a->address, a->hash);
	if (rc < 0) {
		a->error = errno;
		a->why = "cannot write its mailbox's password file";
	}
	a->written = rc == 0;
}

static void see_to_mailbox(struct echobot_account *a)
{
	struct mailbox_stamp stamp;
	enum mailbox_state state =
	    mailbox_read(a->mailboxes_dir, a->address, a->hash, &stamp, NULL);

	if (state == MAILBOX_BLOCKED) {
		a->blocked = true;
		a->why = "its mailbox is blocked by hand: its password file is empty "
			 "or no hash";
	} else if (state == MAILBOX_TROUBLE) {
		a->error = errno;
		a->why = "cannot read its mailbox's password file";
	} else if (state == MAILBOX_ABSENT ||
		   !password_matches(span_of(a->password), a->hash)) {
		write_hash(a, state);
	}
}

void echobot_account_init(struct echobot_account *a, const struct config *config)
{
	*a = (struct echobot_account){
		.mailboxes_dir = strdup(config->mailboxes_dir),
		.state_dir = strdup(config->state_dir),
	};
	if (!a->mailboxes_dir || !a->state_dir)
		abort();
	snprintf(a->address, sizeof(a->address), ADMISSION_ECHOBOT "@%s",
	    config->mail_domain);
}

void echobot_account_deinit(struct echobot_account *a)
{
	explicit_bzero(a->password, sizeof(a->password));
	free(a->mailboxes_dir);
	free(a->state_dir);
}

void echobot_account_prepare(struct echobot_account *a)
{
	int folder = open_folder(a->state_dir);

	if (folder < 0 || find_password(a, folder) < 0) {
		a->error = errno;
		a->why = "cannot keep its password in state_dir";
	} else {
		read_link(a, folder);
		see_to_mailbox(a);
	}
	if (folder >= 0)
		close(folder);
}

int echobot_account_keep_link(const char *state_dir, const char *link)
{
	int folder = open_folder(state_dir), rc, error;

	if (folder < 0)
		return -1;
	rc = write_text(folder, LINK_FILE, link, 0644);
	error = errno;
	close(folder);
	errno = error;
	return rc;
}
