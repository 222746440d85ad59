#include "test/relay/phone.h"

#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of deltachat.h. */
static struct {
	void *(*accounts_new)(const char *dir, int writable);
	void (*set_push_device_token)(void *accounts, const char *token);
	void *(*jsonrpc_init)(void *accounts);
	void (*jsonrpc_request)(void *jsonrpc, const char *request);
	char *(*jsonrpc_next_response)(void *jsonrpc);
	void (*str_unref)(char *text);
} dc;

static bool fenced;

/*
 * Two names that the library finds in this program, which exports its symbols: Python's
 * None, which the library as packaged, a module of Python's as well, wants to be loaded
 * and does not use; and connect().
 */
extern void *_Py_NoneStruct[8];
void *_Py_NoneStruct[8];

static bool is_local(const struct sockaddr *sa)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)sa;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)sa;

	if (sa->sa_family == AF_INET)
		return ntohl(four->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	if (sa->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
	return true;
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
	const struct sockaddr *sa = address.__sockaddr__;

	if (fenced && !is_local(sa)) {
		errno = ENETUNREACH;
		return -1;
	}
	return (int)syscall(SYS_connect, fd, sa, len);
}

static void load(const char *library)
{
	const struct {
		const char *name;
		void *slot;
	} functions[] = {
		{ "dc_accounts_new", &dc.accounts_new },
		{ "dc_accounts_set_push_device_token", &dc.set_push_device_token },
		{ "dc_jsonrpc_init", &dc.jsonrpc_init },
		{ "dc_jsonrpc_request", &dc.jsonrpc_request },
		{ "dc_jsonrpc_next_response", &dc.jsonrpc_next_response },
		{ "dc_str_unref", &dc.str_unref },
	};
	/* Lazily: what it wants of Python is not there. */
	void *handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);

	if (!handle)
		errx(1, "%s", dlerror());
	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
		void **slot = functions[i].slot;

		*slot = dlsym(handle, functions[i].name);
		if (!*slot)
			errx(1, "%s", dlerror());
	}
}

static void *pass_requests(void *jsonrpc)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0)
		dc.jsonrpc_request(jsonrpc, line);
	_exit(0);
}

void phone_serve(const void *phone)
{
	const struct phone *p = phone;
	pthread_t requests;
	void *accounts, *jsonrpc;
	char *response;

	fenced = true;
	load(p->library);
	accounts = dc.accounts_new(getenv("DC_ACCOUNTS_PATH"), 1);
	if (!accounts)
		errx(1, "%s gave no accounts", p->library);
	dc.set_push_device_token(accounts, p->token);
	jsonrpc = dc.jsonrpc_init(accounts);
	if (!jsonrpc || pthread_create(&requests, NULL, pass_requests, jsonrpc) != 0)
		errx(1, "cannot start %s", p->library);
	while ((response = dc.jsonrpc_next_response(jsonrpc))) {
		if (puts(response) < 0 || fflush(stdout) != 0)
			break;
		dc.str_unref(response);
	}
	_exit(1);
}
