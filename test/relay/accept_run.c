/*
 * What systemd does for a socket unit with Accept=yes: listens on a UNIX socket and starts
 * a program for each connection, which is its standard input and output. One at a time;
 * it ends with this process.
 *
 * usage: accept_run SOCKET PROGRAM [ARGUMENT]...
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int listen_at(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(at.sun_path))
		errx(2, "%s: too long a path for a socket", path);
	strcpy(at.sun_path, path);
	unlink(path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, 8) < 0)
		err(1, "%s", path);
	return fd;
}

static void run(int connection, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(connection, STDIN_FILENO) < 0 || dup2(connection, STDOUT_FILENO) < 0)
		_exit(126);
	execv(argv[0], argv);
	warn("%s", argv[0]);
	_exit(127);
}

int main(int argc, char **argv)
{
	int at;

	if (argc < 3) {
		fputs("usage: accept_run SOCKET PROGRAM [ARGUMENT]...\n", stderr);
		return 2;
	}
	at = listen_at(argv[1]);
	for (;;) {
		int connection = accept4(at, NULL, NULL, SOCK_CLOEXEC);
		pid_t child = connection < 0 ? -1 : fork();

		if (child == 0)
			run(connection, argv + 2);
		if (connection >= 0)
			close(connection);
		else if (errno != EINTR)
			err(1, "accept");
		while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
}
