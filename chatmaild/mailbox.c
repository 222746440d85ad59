/*
 * The files of an account. Every call goes to the disk; caching is users.c's.
 */
#include "chatmaild/mailbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWORD_FILE "password"
#define ENFORCE_FILE  "enforceE2EEincoming"
/* One name, not a random one: what a crash left behind is replaced, not added to. */
#define PASSWORD_TMP "password.tmp-chatmaild"

static int make_path(
    char path[MAILBOX_PATH_MAX], const char *dir, const char *address, const char *file)
{
	int n = snprintf(path, MAILBOX_PATH_MAX, "%s/%s/%s", dir, address, file);

	if (n < 0 || n >= MAILBOX_PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

static bool absence(int error)
{
	/* A name too long for the file system cannot be there either. */
	return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG;
}

static enum mailbox_state judge(const struct stat *st, struct mailbox_stamp *stamp)
{
	if (!S_ISREG(st->st_mode) || st->st_size == 0 ||
	    st->st_size > PASSWORD_HASH_MAX)
		return MAILBOX_BLOCKED;
	stamp->inode = st->st_ino;
	stamp->size = st->st_size;
	stamp->ctime_ns =
	    (int64_t)st->st_ctim.tv_sec * 1000000000 + (int64_t)st->st_ctim.tv_nsec;
	return MAILBOX_USABLE;
}

enum mailbox_state mailbox_stat(
    const char *dir, const char *address, struct mailbox_stamp *stamp)
{
	char path[MAILBOX_PATH_MAX];
	struct stat st;

	if (make_path(path, dir, address, PASSWORD_FILE) < 0 || lstat(path, &st) < 0)
		return absence(errno) ? MAILBOX_ABSENT : MAILBOX_TROUBLE;
	return judge(&st, stamp);
}

enum mailbox_state mailbox_stat_at(int mailbox, int64_t *last_login)
{
	struct mailbox_stamp stamp;
	enum mailbox_state state;
	struct stat st;

	if (fstatat(mailbox, PASSWORD_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return absence(errno) ? MAILBOX_ABSENT : MAILBOX_TROUBLE;
	state = judge(&st, &stamp);
	*last_login = state == MAILBOX_USABLE ? st.st_mtim.tv_sec : 0;
	return state;
}

/* Takes fd. */
static enum mailbox_state read_password(int fd, char hash[PASSWORD_HASH_MAX],
    struct mailbox_stamp *stamp, int64_t *last_login)
{
	char text[PASSWORD_HASH_MAX + 1];
	enum mailbox_state state = MAILBOX_TROUBLE;
	struct stat st;
	ssize_t len;
	int error;

	if (fstat(fd, &st) < 0)
		goto out;
	state = judge(&st, stamp);
	if (state != MAILBOX_USABLE)
		goto out;

	len = read(fd, text, sizeof(text));
	if (len < 0) {
		state = MAILBOX_TROUBLE;
		goto out;
	}
	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (!password_is_hash(span_make(text, (size_t)len))) {
		state = MAILBOX_BLOCKED;
		goto out;
	}
	memcpy(hash, text, (size_t)len);
	hash[len] = '\0';
	if (last_login)
		*last_login = st.st_mtim.tv_sec;
out:
	error = errno;
	close(fd);
	errno = error;
	return state;
}

/* Why there is no descriptor, after an open of a password file with OPEN_PASSWORD. */
#define OPEN_PASSWORD (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
static enum mailbox_state open_failure(int error)
{
	if (absence(error))
		return MAILBOX_ABSENT;
	/* A symbolic link; a socket. */
	if (error == ELOOP || error == ENXIO)
		return MAILBOX_BLOCKED;
	return MAILBOX_TROUBLE;
}

enum mailbox_state mailbox_read(const char *dir, const char *address,
    char hash[PASSWORD_HASH_MAX], struct mailbox_stamp *stamp, int64_t *last_login)
{
	char path[MAILBOX_PATH_MAX];
	int fd;

	if (make_path(path, dir, address, PASSWORD_FILE) < 0)
		return MAILBOX_ABSENT;
	fd = open(path, OPEN_PASSWORD);
	if (fd < 0)
		return open_failure(errno);
	return read_password(fd, hash, stamp, last_login);
}

enum mailbox_state mailbox_read_at(int dirfd, const char *address,
    char hash[PASSWORD_HASH_MAX], struct mailbox_stamp *stamp, int64_t *last_login)
{
	int error, fd, box;

	box = openat(dirfd, address, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (box < 0)
		return absence(errno) || errno == ELOOP ? MAILBOX_ABSENT
							: MAILBOX_TROUBLE;
	fd = openat(box, PASSWORD_FILE, OPEN_PASSWORD);
	error = errno;
	close(box);
	if (fd < 0) {
		errno = error;
		return open_failure(error);
	}
	return read_password(fd, hash, stamp, last_login);
}

static int sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc, error;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	error = errno;
	close(fd);
	errno = error;
	return rc;
}

/* mkdir -p, each new name made durable in its parent. */
static int make_parents(const char *dir)
{
	char path[MAILBOX_PATH_MAX];
	struct stat st;

	if (stat(dir, &st) == 0)
		return 0;
	if (snprintf(path, sizeof(path), "%s/", dir) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(path, 0700) == 0) {
			char *name = strrchr(path, '/');

			if (name && name != path) {
				*name = '\0';
				if (sync_directory(path) < 0)
					return -1;
				*name = '/';
			}
		} else if (errno != EEXIST) {
			return -1;
		}
		*slash = '/';
	}
	return 0;
}

/* Like rename(), but EEXIST instead of replacing, where the file system can do that. */
static int rename_new(int box, const char *from, const char *to)
{
	if (renameat2(box, from, box, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	return renameat(box, from, box, to);
}

/* The password file under its temporary name: an open descriptor, or -1 with errno. */
static int write_password(int box, const char *hash, bool durable)
{
	size_t len = strlen(hash);
	ssize_t written;
	int error, fd;

	if (unlinkat(box, PASSWORD_TMP, 0) < 0 && errno != ENOENT)
		return -1;
	fd = openat(box, PASSWORD_TMP,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	written = write(fd, hash, len);
	if (written == (ssize_t)len && (!durable || fsync(fd) == 0))
		return fd;
	error = written >= 0 && written < (ssize_t)len ? ENOSPC : errno;
	close(fd);
	unlinkat(box, PASSWORD_TMP, 0);
	errno = error;
	return -1;
}

/* Creates the flag file; *made tells whether it is new. */
static int make_flag(int box, bool *made)
{
	int fd = openat(box, ENFORCE_FILE,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EEXIST ? 0 : -1;
	*made = true;
	close(fd);
	return 0;
}

/*
 * Everything inside the account's directory. The flag comes before the password: an
 * account that exists is never without it. Returns 0, or -1 with errno and all undone.
 */
static int fill_box(int box, const char *hash, struct mailbox_stamp *stamp)
{
	bool flag = false, named = false;
	struct stat st;
	int error, fd;

	fd = write_password(box, hash, true);
	if (fd < 0)
		return -1;
	if (make_flag(box, &flag) < 0 ||
	    rename_new(box, PASSWORD_TMP, PASSWORD_FILE) < 0)
		goto undo;
	named = true;
	if (fsync(box) < 0 || fstat(fd, &st) < 0 || judge(&st, stamp) != MAILBOX_USABLE)
		goto undo;
	close(fd);
	return 0;
undo:
	error = errno;
	unlinkat(box, named ? PASSWORD_FILE : PASSWORD_TMP, 0);
	if (flag)
		unlinkat(box, ENFORCE_FILE, 0);
	close(fd);
	errno = error;
	return -1;
}

int mailbox_make(
    const char *dir, const char *address, const char *hash, struct mailbox_stamp *stamp)
{
	char path[MAILBOX_PATH_MAX];
	bool made = false;
	int box, rc, error;

	if (make_parents(dir) < 0 || make_path(path, dir, address, "") < 0)
		return -1;
	if (mkdir(path, 0700) == 0)
		made = true;
	else if (errno != EEXIST)
		return -1;
	box = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = box < 0 ? -1 : fill_box(box, hash, stamp);
	if (rc == 0) {
		/* Also when it was there: a crash may have come before its sync. */
		rc = sync_directory(dir);
		if (rc < 0) {
			error = errno;
			mailbox_unmake(dir, address, stamp);
			errno = error;
		}
	}
	error = errno;
	if (box >= 0)
		close(box);
	if (rc < 0 && made)
		rmdir(path);
	errno = error;
	return rc;
}

int mailbox_open_all(const char *dir)
{
	if (make_parents(dir) < 0 || (mkdir(dir, 0700) < 0 && errno != EEXIST))
		return -1;
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Its time is set before it gets its name. */
static int import_password(int box, const char *text, int64_t last_login)
{
	const struct timespec when = { .tv_sec =
					   last_login - last_login % MAILBOX_DAY };
	const struct timespec times[2] = { when, when };
	int fd = write_password(box, text, false), rc, error;

	if (fd < 0)
		return -1;
	rc = last_login > 0 ? futimens(fd, times) : 0;
	if (rc == 0)
		rc = renameat(box, PASSWORD_TMP, box, PASSWORD_FILE);
	error = errno;
	close(fd);
	if (rc < 0)
		unlinkat(box, PASSWORD_TMP, 0);
	errno = error;
	return rc;
}

int mailbox_import_at(
    int dirfd, const char *address, const char *text, int64_t last_login)
{
	char hash[PASSWORD_HASH_MAX];
	struct mailbox_stamp stamp;
	enum mailbox_state state = mailbox_read_at(dirfd, address, hash, &stamp, NULL);
	bool made;
	int box, rc, error;

	if (state == MAILBOX_TROUBLE)
		return -1;
	if (state == MAILBOX_BLOCKED ||
	    (state == MAILBOX_USABLE && strcmp(hash, text) == 0))
		return 0;
	if (mkdirat(dirfd, address, 0700) < 0 && errno != EEXIST)
		return -1;
	box = openat(dirfd, address, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (box < 0)
		return -1;
	/* An account that is there may have lost its flag by its operator's will. */
	rc = state == MAILBOX_ABSENT ? make_flag(box, &made) : 0;
	if (rc == 0)
		rc = import_password(box, text, last_login);
	error = errno;
	close(box);
	errno = error;
	return rc < 0 ? -1 : 1;
}

/* Nothing in it but the flag file. */
static bool box_is_bare(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	bool bare = d != NULL;

	while (bare && (e = readdir(d)))
		bare = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		       strcmp(e->d_name, ENFORCE_FILE) == 0;
	if (d)
		closedir(d);
	return bare;
}

void mailbox_unmake(
    const char *dir, const char *address, const struct mailbox_stamp *stamp)
{
	char path[MAILBOX_PATH_MAX], file[MAILBOX_PATH_MAX];
	struct mailbox_stamp now;

	if (mailbox_stat(dir, address, &now) != MAILBOX_USABLE ||
	    !mailbox_stamp_equal(&now, stamp))
		return; /* somebody else's by now */
	if (make_path(file, dir, address, PASSWORD_FILE) < 0 || unlink(file) < 0 ||
	    make_path(path, dir, address, "") < 0)
		return;
	if (box_is_bare(path) && make_path(file, dir, address, ENFORCE_FILE) == 0) {
		unlink(file);
		rmdir(path);
		sync_directory(dir);
	} else {
		sync_directory(path);
	}
}

int mailbox_touch(const char *dir, const char *address, int64_t seconds)
{
	char path[MAILBOX_PATH_MAX];
	struct timespec times[2] = { 0 };
	struct stat st;

	if (make_path(path, dir, address, PASSWORD_FILE) < 0 || lstat(path, &st) < 0) {
		if (absence(errno))
			errno = ENOENT;
		return -1;
	}
	times[0].tv_sec = times[1].tv_sec = seconds - seconds % MAILBOX_DAY;
	if (st.st_mtim.tv_sec == times[1].tv_sec)
		return 0;
	return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) < 0 ? -1 : 1;
}

bool mailbox_enforces(const char *dir, const char *address)
{
	char path[MAILBOX_PATH_MAX];

	if (make_path(path, dir, address, ENFORCE_FILE) < 0)
		return false;
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       !absence(errno);
}

/* Takes box. */
static int replace_password(int box, const char *hash)
{
	bool made = false;
	int error, rc = -1, fd = write_password(box, hash, true);

	if (fd >= 0) {
		close(fd);
		rc = make_flag(box, &made);
		if (rc == 0)
			rc = renameat(box, PASSWORD_TMP, box, PASSWORD_FILE);
		if (rc == 0)
			rc = fsync(box);
	}
	error = errno;
	if (rc < 0)
		unlinkat(box, PASSWORD_TMP, 0);
	close(box);
	errno = error;
	return rc;
}

int mailbox_rewrite(const char *dir, const char *address, const char *hash)
{
	char path[MAILBOX_PATH_MAX];
	int box;

	if (make_path(path, dir, address, "") < 0)
		return -1;
	box = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return box < 0 ? -1 : replace_password(box, hash);
}
