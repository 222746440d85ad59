/*
 * A line of the operator's socket: a command that there is, with an object that names it and
 * perhaps an address of this relay; or why it is refused.
 */
#include "chatmaild/admin.h"
#include "proto/address.h"
#include "test/fuzz/fuzz.h"

#define DOMAIN "chat.example"

/* Takes args. */
static void check_address(json_t *args)
{
	struct config config = { .mail_domain = (char *)DOMAIN };
	struct daemon d = { .config = &config };
	struct admin_request *r = calloc(1, sizeof(*r));
	struct span address;

	FUZZ_CHECK(r);
	r->daemon = &d;
	r->args = args;
	if (!admin_address(r, &address))
		return; /* which ended it */
	FUZZ_CHECK(address_is_path(address));
	FUZZ_CHECK(address_in_domain(address, DOMAIN));
	admin_end(r, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = fuzz_copy(data, size);
	const struct admin_command *command;
	const char *why = NULL;
	json_t *args;

	command = admin_parse(line, size, &args, &why);
	free(line);
	FUZZ_CHECK(!command == (why != NULL));
	FUZZ_CHECK(!command == !args);
	if (!command)
		return 0;
	FUZZ_CHECK(strcmp(command->name,
		       json_string_value(json_object_get(args, "command"))) == 0);
	check_address(args);
	return 0;
}
