/*
 * Connects to the sockets of chatmaild again and again, says the first words of each one's
 * protocol, and counts who is refused or not answered; until SIGTERM, which makes it tell.
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_S 30 /* as long as the least patient of its peers waits */

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	ended = number;
}

/* What a peer says first, by the name of the socket; "" if it waits for a greeting. */
static const char *first_words(const char *path)
{
	if (strstr(path, "http"))
		return "GET /healthz HTTP/1.1\r\nHost: relay\r\nConnection: "
		       "close\r\n\r\n";
	if (strstr(path, "outgoing") || strstr(path, "incoming"))
		return "";
	return "H2\t2\t0\t\tknock\nLshared/nothing\tnobody@relay.example\n";
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1000 + (double)ts.tv_nsec / 1e6;
}

static bool knock(const char *path)
{
	const struct timeval patience = { .tv_sec = ANSWER_S };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const char *words = first_words(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[512];
	bool good;

	if (fd < 0)
		err(1, "socket");
	if (strlen(path) >= sizeof(un.sun_path))
		errx(1, "%s: too long", path);
	memcpy(un.sun_path, path, strlen(path));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	good = connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0 &&
	       send(fd, words, strlen(words), MSG_NOSIGNAL) >= 0 &&
	       recv(fd, answer, sizeof(answer), 0) > 0;
	/* The signal that ends us interrupts whatever has a time limit. */
	if (!good && errno == EINTR)
		good = true;
	if (!good)
		warn("%s", path);
	close(fd);
	return good;
}

int main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_signal,
		.sa_flags = SA_RESTART };
	const struct timespec pause = { .tv_nsec = 2000000 };
	unsigned made = 0, refused = 0;
	double longest = 0;

	sigaction(SIGTERM, &action, NULL);
	while (!ended) {
		for (int i = 1; i < argc; i++) {
			double begin = now_ms(), took;

			refused += !knock(argv[i]);
			made++;
			took = now_ms() - begin;
			if (took > longest)
				longest = took;
		}
		nanosleep(&pause, NULL);
	}
	printf("%u of %u connections refused, the longest took %.0f ms\n", refused,
	    made, longest);
	return 0;
}
