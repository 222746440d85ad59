/* What a benchmark found, as JSON: what another run is compared with may come from anywhere. */
#include "deploy/measure.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>

#define FORMAT     1 /* of the file */
#define TEXT_MAX   200
#define SCHEMA_KEY "chatmail_bench"

static json_t *figures_to_json(const struct measure *m)
{
	const struct measure_figures f = measure_figures(m);

	return json_pack("{s:f, s:f, s:f, s:f}", "min", f.min, "median", f.median,
	    "p95", f.p95, "max", f.max);
}

/* The figures are for other programs; they are not read again. */
static json_t *measure_to_json(const struct measure *m)
{
	json_t *seconds = json_array();

	for (size_t i = 0; i < m->n; i++)
		json_array_append_new(seconds, json_real(m->seconds[i]));
	return json_pack("{s:s, s:s, s:o*, s:o}", "name", m->name, "title", m->title,
	    "figures", m->n > 0 ? figures_to_json(m) : NULL, "seconds", seconds);
}

char *measures_write(const struct measures *m)
{
	json_t *list = json_array(), *o;
	char *text;

	for (size_t i = 0; i < m->n; i++)
		json_array_append_new(list, measure_to_json(&m->list[i]));
	o = json_pack("{s:i, s:s*, s:s*, s:s*, s:s*, s:o}", SCHEMA_KEY, FORMAT,
	    "version", m->version, "relay", m->relay, "second_relay", m->second, "when",
	    m->when, "measures", list);
	text = o ? json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
	if (!text)
		abort();
	json_decref(o);
	return text;
}

__attribute__((format(printf, 2, 3))) static bool bad(
    char error[MEASURE_ERROR_MAX], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(error, MEASURE_ERROR_MAX, format, ap);
	va_end(ap);
	return false;
}

/* A text of the object that is fit to be shown, or NULL. */
static const char *short_text(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text && strlen(text) <= TEXT_MAX ? text : NULL;
}

static char *keep_text(const json_t *o, const char *key)
{
	const char *text = short_text(o, key);

	return text ? span_dup(span_of(text)) : NULL;
}

static bool read_samples(
    struct measure *to, const json_t *seconds, char error[MEASURE_ERROR_MAX])
{
	size_t n = json_array_size(seconds);

	if (!json_is_array(seconds) || n > MEASURE_SAMPLES_MAX)
		return bad(error, "a measure without its seconds, or too many of them");
	for (size_t i = 0; i < n; i++) {
		const json_t *value = json_array_get(seconds, i);
		double s = json_number_value(value);

		if (!json_is_number(value) || !(s >= 0 && s <= MEASURE_SECONDS_MAX))
			return bad(error, "seconds that are none");
		measure_sample(to, s);
	}
	return true;
}

static bool read_measure(
    struct measures *m, const json_t *o, char error[MEASURE_ERROR_MAX])
{
	const char *name = short_text(o, "name"), *title = short_text(o, "title");

	if (!name || !title)
		return bad(error, "a measure without name and title");
	if (measures_find(m, name))
		return bad(error, "a measure twice");
	return read_samples(
	    measures_add(m, name, title), json_object_get(o, "seconds"), error);
}

static bool read_all(struct measures *m, const json_t *o, char error[MEASURE_ERROR_MAX])
{
	const json_t *list = json_object_get(o, "measures");
	size_t n = json_array_size(list);

	if (json_integer_value(json_object_get(o, SCHEMA_KEY)) != FORMAT)
		return bad(error, "it was not written by cmdeploy bench --json");
	if (!json_is_array(list) || n > MEASURES_MAX)
		return bad(error, "it has no measures, or too many");
	m->relay = keep_text(o, "relay");
	m->second = keep_text(o, "second_relay");
	m->version = keep_text(o, "version");
	m->when = keep_text(o, "when");
	for (size_t i = 0; i < n; i++) {
		if (!read_measure(m, json_array_get(list, i), error))
			return false;
	}
	return true;
}

bool measures_read(struct measures *m, struct span json, char error[MEASURE_ERROR_MAX])
{
	json_error_t why;
	json_t *o = json_loadb(json.data, json.len, 0, &why);
	bool good;

	*m = (struct measures){ 0 };
	if (!o)
		return bad(error, "line %d: %.150s", why.line, why.text);
	good = read_all(m, o, error);
	if (!good)
		measures_free(m);
	json_decref(o);
	return good;
}
