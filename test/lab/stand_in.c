/*
 * What listens in place of chatmail-turn and iroh-relay where those cannot be fetched: takes
 * their arguments and holds their ports and sockets. As chatmail-turn it hands out
 * credentials, and takes packets without relaying any; as iroh-relay it answers every
 * request with 204.
 */
#include <arpa/inet.h>
#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define TURN_PORT     3478
#define IROH_PORT     3340
#define VALID_SECONDS (5 * 86400)

static int listen_at(const struct sockaddr *address, socklen_t len, int type)
{
	int fd = socket(address->sa_family, type | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, address, len) < 0 || (type == SOCK_STREAM && listen(fd, 64) < 0))
		err(1, "cannot listen");
	return fd;
}

static int listen_inet(in_addr_t address, uint16_t port, int type)
{
	const struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(address) };

	return listen_at((const struct sockaddr *)&in, sizeof(in), type);
}

static int listen_unix(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(un.sun_path))
		errx(1, "%s: too long", path);
	memcpy(un.sun_path, path, strlen(path));
	unlink(path);
	return listen_at((const struct sockaddr *)&un, sizeof(un), SOCK_STREAM);
}

/* Accept, say text, close. */
static void say(int listener, const char *text)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		warn("send");
	close(fd);
}

static void drop_packet(int fd)
{
	char packet[2048];

	if (recv(fd, packet, sizeof(packet), 0) < 0)
		warn("recv");
}

_Noreturn static void serve_turn(const char *path)
{
	struct pollfd p[] = {
		{ .fd = listen_unix(path), .events = POLLIN },
		{ .fd = listen_inet(INADDR_ANY, TURN_PORT, SOCK_STREAM),
		    .events = POLLIN },
		{ .fd = listen_inet(INADDR_ANY, TURN_PORT, SOCK_DGRAM),
		    .events = POLLIN },
	};

	for (;;) {
		char line[64];

		if (poll(p, sizeof(p) / sizeof(p[0]), -1) < 0)
			err(1, "poll");
		snprintf(line, sizeof(line), "%lld:stand-in\n",
		    (long long)time(NULL) + VALID_SECONDS);
		if (p[0].revents)
			say(p[0].fd, line);
		if (p[1].revents)
			say(p[1].fd, "");
		if (p[2].revents)
			drop_packet(p[2].fd);
	}
}

/* nginx, its only client, waits for the request to be read before it reads the answer. */
static void answer_http(int listener)
{
	static const char answer[] =
	    "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char request[8192];

	if (fd < 0)
		return;
	if (recv(fd, request, sizeof(request), 0) > 0 &&
	    send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
		warn("send");
	close(fd);
}

_Noreturn static void serve_iroh(void)
{
	int listener = listen_inet(INADDR_LOOPBACK, IROH_PORT, SOCK_STREAM);

	for (;;)
		answer_http(listener);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 5 && strcmp(argv[1], "--realm") == 0 &&
	    strcmp(argv[3], "--socket") == 0)
		serve_turn(argv[4]);
	if (argc == 3 && strcmp(argv[1], "--config-path") == 0 &&
	    access(argv[2], R_OK) == 0)
		serve_iroh();
	fputs("usage: chatmail-turn --realm NAME --socket PATH\n"
	      "       iroh-relay --config-path FILE\n",
	    stderr);
	return 2;
}
