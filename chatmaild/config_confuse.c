/*
 * Options through libconfuse. The items of the file are written again in its syntax,
 * line for line, so that it types, defaults and validates them and its line numbers are
 * the file's.
 */
#include <confuse.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "chatmaild/config_loader.h"
#include "chatmaild/config_value.h"

/*
 * Libconfuse takes a line break in quotes for the next line of the file, while a value
 * of several lines belongs to the line of its key. So line breaks travel as this byte,
 * which config_check_bytes() refuses in a file.
 */
#define LINE_BREAK '\x1f'

/*
 * libconfuse's callbacks. They report a mistake and go on with another value, so that
 * one run finds all of them: a callback that fails would end the parsing.
 */
static const char loader_name[] = "loader"; /* an option that no file can set */

static struct config_loader *loader_of(cfg_t *cfg)
{
	return cfg_getptr(cfg, loader_name);
}

static const struct config_option *option_of(const cfg_opt_t *opt)
{
	return config_find_option(span_of(opt->name));
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	struct config_loader *l = loader_of(cfg);

	l->errors++;
	config_vreport(l, (unsigned)cfg->line, "", NULL, fmt, ap);
}

static bool has_comment(const char *value)
{
	return strpbrk(value, "#;") != NULL;
}

/* A good number for the option; those without default are ports. */
static const char *example(const struct config_option *o)
{
	return o->fallback ? o->fallback : "10080";
}

/* The value is of the wrong kind. what: "a whole number"; like: a good value. */
static void wrong_kind(cfg_t *cfg, const cfg_opt_t *opt, const char *value,
    const char *what, const char *like)
{
	config_mistake(loader_of(cfg), (unsigned)cfg->line, opt->name,
	    "'%s' is not %s; write e.g. %s = %s%s", config_excerpt(value).text, what,
	    opt->name, like,
	    has_comment(value) ? " (and a comment on a line of its own)" : "");
}

static int parse_number(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	const struct config_option *o = option_of(opt);
	bool is_size = o->type == CONFIG_SIZE;
	struct span text = span_of(value);
	int64_t n;

	if (is_size ? config_parse_size(text, &n) : config_parse_integer(text, &n)) {
		/* What a long cannot hold is out of every option's range. */
		*(long *)result = n > INT_MAX ? LONG_MAX : n < 0 ? -1 : (long)n;
		return 0;
	}
	wrong_kind(cfg, opt, value,
	    is_size ? "a size in megabytes (M) or gigabytes (G)" : "a whole number",
	    example(o));
	*(long *)result = (long)o->min;
	return 0;
}

static int validate_number(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct config_option *o = option_of(opt);
	long n = cfg_opt_getnint(opt, 0);

	if (n < o->min || n > o->max)
		config_mistake(loader_of(cfg), (unsigned)cfg->line, o->key,
		    "out of range, it goes from %lld to %lld; write e.g. %s = %s",
		    (long long)o->min, (long long)o->max, o->key, example(o));
	return 0;
}

static int parse_decimal(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	double *d = result;

	if (!config_parse_decimal(span_of(value), d)) {
		wrong_kind(
		    cfg, opt, value, "a decimal number", option_of(opt)->fallback);
		*d = 0;
	}
	return 0;
}

/* Only "true" is true, as it always was: yes, on and 1 have meant false. */
static int parse_boolean(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	bool yes = strcasecmp(value, "true") == 0;

	if (!yes && strcasecmp(value, "false") != 0)
		config_warn(loader_of(cfg), (unsigned)cfg->line, opt->name,
		    "'%s' means false; write %s = true or %s = false",
		    config_excerpt(value).text, opt->name, opt->name);
	*(cfg_bool_t *)result = yes ? cfg_true : cfg_false;
	return 0;
}

/* An empty text is fine where there is no default to take its place. */
static const char *check_text(const struct config_option *o, const char *value)
{
	struct endpoint ep;

	bool one_line = o->type != CONFIG_TEXTS && o->type != CONFIG_LIST;

	if (one_line && strchr(value, LINE_BREAK))
		return "it goes on over several lines; write it on one, and begin "
		       "other "
		       "lines without a blank";
	if (*value == '\0' && !o->fallback)
		return NULL;
	if (o->type == CONFIG_ENDPOINT)
		return endpoint_parse(&ep, span_of(value));
	return o->check ? o->check(value) : NULL;
}

static int validate_text(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct config_option *o = option_of(opt);
	const char *why = check_text(o, cfg_opt_getnstr(opt, 0));

	if (why)
		config_mistake(loader_of(cfg), (unsigned)cfg->line, o->key, "%s", why);
	return 0;
}

/* The table in libconfuse's words. */
static cfg_opt_t make_opt(const struct config_option *o)
{
	cfg_opt_t opt = { .name = o->key, .type = CFGT_STR, .validcb = validate_text };
	struct span fallback = span_of(o->fallback ? o->fallback : "");
	int64_t number = 0;

	switch (o->type) {
	case CONFIG_SIZE:
		config_parse_size(fallback, &number);
		break;
	case CONFIG_INTEGER:
	case CONFIG_BYTES:
	case CONFIG_PORT:
		config_parse_integer(fallback, &number);
		break;
	case CONFIG_DECIMAL:
		opt.type = CFGT_FLOAT;
		opt.parsecb = parse_decimal;
		opt.validcb = NULL;
		config_parse_decimal(fallback, &opt.def.fpnumber);
		return opt;
	case CONFIG_BOOLEAN:
		opt.type = CFGT_BOOL;
		opt.parsecb = parse_boolean;
		opt.validcb = NULL;
		opt.def.boolean = span_is(fallback, "true") ? cfg_true : cfg_false;
		return opt;
	default:
		opt.def.string = fallback.data;
		return opt;
	}
	opt.type = CFGT_INT;
	opt.parsecb = parse_number;
	opt.validcb = validate_number;
	opt.def.number = (long)number;
	return opt;
}

/* Single quotes: in double ones libconfuse puts environment variables in place of
 * ${...}. */
static void write_quoted(FILE *out, struct span value)
{
	fputc('\'', out);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.data[i];

		if (c == '\'' || c == '\\')
			fputc('\\', out);
		fputc(c == '\n' ? LINE_BREAK : c, out);
	}
	fputc('\'', out);
}

/* The known items of the section in libconfuse's syntax, each on its line. */
static char *write_syntax(const struct ini *ini)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	unsigned line = 1;

	if (!out)
		abort();
	for (size_t i = 0; i < ini->nitems; i++) {
		const struct ini_item *item = &ini->item[i];
		const struct config_option *o = config_find_option(item->key);

		if (!span_is(item->section, CONFIG_SECTION) || !o ||
		    o->type == CONFIG_UNUSED)
			continue;
		for (; line < item->line; line++)
			fputc('\n', out);
		fprintf(out, "%s = ", o->key);
		write_quoted(out, item->value);
	}
	if (fclose(out) != 0)
		abort();
	return text;
}

/* All options, from the file or by default. self must live as long as the result. */
static cfg_t *parse_options(struct config_loader **self)
{
	size_t n;
	const struct config_option *options = config_options(&n);
	cfg_opt_t *opts = calloc(n + 2, sizeof(*opts));
	char *text = write_syntax(&(*self)->ini);
	cfg_t *cfg;

	if (!opts)
		abort();
	for (size_t i = 0; i < n; i++)
		opts[i] = make_opt(&options[i]);
	opts[n] = (cfg_opt_t){
		.name = loader_name,
		.type = CFGT_PTR,
		.simple_value = { .ptr = (void **)self },
	};
	opts[n + 1] = (cfg_opt_t)CFG_END();
	cfg = cfg_init(opts, CFGF_NONE);
	if (!cfg)
		abort();
	cfg_set_error_function(cfg, on_error);
	if (cfg_parse_buf(cfg, text) != CFG_SUCCESS && (*self)->errors == 0)
		config_mistake(*self, 0, NULL, "cannot be parsed");
	free(text);
	free(opts);
	return cfg;
}

/* What no option can tell alone. */
static void check_together(struct config_loader *l, cfg_t *cfg)
{
	long shortest = cfg_getint(cfg, "username_min_length");
	long longest = cfg_getint(cfg, "username_max_length");

	if (*cfg_getstr(cfg, "mail_domain") == '\0')
		config_mistake(l, config_line(l, "mail_domain"), "mail_domain",
		    "missing; write below [params]: mail_domain = chat.example.org");
	/* A length that was refused itself is no measure for the other. */
	if (l->errors == 0 && shortest > longest) {
		unsigned line = config_line(l, "username_max_length");

		config_mistake(l, line ? line : config_line(l, "username_min_length"),
		    "username_max_length",
		    "%ld is below username_min_length; write username_max_length = %ld",
		    longest, shortest);
	}
}

/* From libconfuse into the fields of struct config. */

static char *copy_text(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	for (char *c = copy; *c; c++) {
		if (*c == LINE_BREAK)
			*c = '\n';
	}
	return copy;
}

/* The words of text, parted by blanks or line breaks. */
static char **copy_list(const char *text)
{
	static const char parting[] = { ' ', '\t', LINE_BREAK, '\0' };
	size_t n = 0, max = strlen(text) / 2 + 2; /* a word, a blank; the NULL */
	char **list = calloc(max, sizeof(*list));

	if (!list)
		abort();
	for (;;) {
		size_t len;

		text += strspn(text, parting);
		len = strcspn(text, parting);
		if (len == 0)
			return list;
		list[n] = span_dup(span_make(text, len));
		if (!list[n++])
			abort();
		text += len;
	}
}

static void set_port(const struct config_loader *l, cfg_t *cfg,
    const struct config_option *o, struct endpoint *ep)
{
	char text[32];

	if (!config_item(l, o->key))
		return;
	snprintf(text, sizeof(text), "inet:127.0.0.1:%ld", cfg_getint(cfg, o->key));
	endpoint_parse(ep, span_of(text));
}

/* An old port key came first in the table: it counts if this key is not in the file. */
static void set_endpoint(struct config_loader *l, cfg_t *cfg,
    const struct config_option *o, struct endpoint *ep)
{
	const char *text = cfg_getstr(cfg, o->key);

	if (ep->len > 0 && !config_item(l, o->key))
		return;
	if (ep->len > 0)
		config_warn(l, config_line(l, o->key), o->key,
		    "it counts, the old port key for the same socket does not; take "
		    "that "
		    "one out");
	if (*text)
		endpoint_parse(ep, span_of(text));
}

static void set_field(struct config_loader *l, cfg_t *cfg, struct config *config,
    const struct config_option *o)
{
	void *field = (char *)config + o->field;

	switch (o->type) {
	case CONFIG_TEXT:
	case CONFIG_TEXTS:
	case CONFIG_FILE:
		*(char **)field = copy_text(cfg_getstr(cfg, o->key));
		break;
	case CONFIG_LIST:
		*(char ***)field = copy_list(cfg_getstr(cfg, o->key));
		break;
	case CONFIG_INTEGER:
		*(int *)field = (int)cfg_getint(cfg, o->key);
		break;
	case CONFIG_BYTES:
	case CONFIG_SIZE:
		*(int64_t *)field = cfg_getint(cfg, o->key);
		break;
	case CONFIG_DECIMAL:
		*(double *)field = cfg_getfloat(cfg, o->key);
		break;
	case CONFIG_BOOLEAN:
		*(bool *)field = cfg_getbool(cfg, o->key);
		break;
	case CONFIG_ENDPOINT:
		set_endpoint(l, cfg, o, field);
		break;
	case CONFIG_PORT:
		set_port(l, cfg, o, field);
		break;
	case CONFIG_UNUSED:
		break;
	}
}

void config_read_options(struct config_loader *l, struct config *config)
{
	size_t n;
	const struct config_option *options = config_options(&n);
	cfg_t *cfg = parse_options(&l);

	check_together(l, cfg);
	for (size_t i = 0; i < n && l->errors == 0; i++)
		set_field(l, cfg, config, &options[i]);
	cfg_free(cfg);
}
