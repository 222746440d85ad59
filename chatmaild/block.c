/*
 * The password file with a mark before its hash, and without.
 */
#include "chatmaild/block.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/mailbox.h"

#define PASSWORD_FILE "password"
#define PASSWORD_TMP  "password.tmp-block" /* expiry removes what a crash leaves */

static int open_box(const char *dir, const char *address)
{
	char path[MAILBOX_PATH_MAX];
	int box;

	if (snprintf(path, sizeof(path), "%s/%s", dir, address) >= (int)sizeof(path)) {
		errno = ENOENT;
		return -1;
	}
	box = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (box < 0 && (errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG))
		errno = ENOENT;
	return box;
}

/* The text of the file, a final LF cut; its length, or -1 with errno. */
static ssize_t read_file(int box, char text[PASSWORD_HASH_MAX + 1], struct stat *st)
{
	ssize_t len = -1;
	int error, fd = openat(box, PASSWORD_FILE,
		       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		len = read(fd, text, PASSWORD_HASH_MAX + 1);
	else
		errno = EINVAL;
	error = errno;
	close(fd);
	errno = error;
	if (len > 0 && text[len - 1] == '\n')
		len--;
	return len;
}

static int fill_file(int fd, struct span text, const struct stat *old)
{
	const struct timespec times[2] = { old->st_atim, old->st_mtim };
	ssize_t n = write(fd, text.data, text.len);

	if (n != (ssize_t)text.len) {
		errno = n < 0 ? errno : ENOSPC;
		return -1;
	}
	/* Root may run this: the file stays its owner's. */
	if (geteuid() == 0 && fchown(fd, old->st_uid, old->st_gid) < 0)
		return -1;
	return futimens(fd, times) < 0 || fsync(fd) < 0 ? -1 : 0;
}

static int replace_file(int box, struct span text, const struct stat *old)
{
	int error, fd, rc;

	if (unlinkat(box, PASSWORD_TMP, 0) < 0 && errno != ENOENT)
		return -1;
	fd = openat(box, PASSWORD_TMP,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	rc = fill_file(fd, text, old);
	if (rc == 0)
		rc = renameat(box, PASSWORD_TMP, box, PASSWORD_FILE);
	error = errno;
	close(fd);
	if (rc < 0)
		unlinkat(box, PASSWORD_TMP, 0);
	else
		rc = fsync(box);
	errno = rc < 0 && error ? error : errno;
	return rc;
}

/* Why the file cannot be changed so, an errno, or 0; text is what it will hold then. */
static int change(bool block, struct span *text)
{
	struct span hash = *text;

	if (block)
		return password_is_hash(span_skip(hash, 1)) ? 0 : EALREADY;
	if (password_is_hash(hash))
		return EALREADY;
	if (hash.len == 0 || hash.data[0] != BLOCK_MARK ||
	    !password_is_hash(span_skip(hash, 1)))
		return EINVAL;
	*text = span_skip(hash, 1);
	return 0;
}

static int switch_account(const char *dir, const char *address, bool block)
{
	char buf[1 + PASSWORD_HASH_MAX + 1] = { BLOCK_MARK };
	int error, rc = -1, box = open_box(dir, address);
	struct span text;
	struct stat st;
	ssize_t len;

	if (box < 0)
		return -1;
	len = read_file(box, buf + 1, &st);
	if (len >= 0) {
		text = block ? span_make(buf, (size_t)len + 1)
			     : span_make(buf + 1, (size_t)len);
		errno = change(block, &text);
		rc = errno ? -1 : replace_file(box, text, &st);
	}
	error = errno;
	close(box);
	errno = error;
	return rc;
}

int block_account(const char *mailboxes_dir, const char *address)
{
	return switch_account(mailboxes_dir, address, true);
}

int unblock_account(const char *mailboxes_dir, const char *address)
{
	return switch_account(mailboxes_dir, address, false);
}
