/* The QR code: the modules of the PNG are those of the code but for the logo. */
#include "deploy/page_qr.h"

#include <png.h>
#include <qrencode.h>
#include <stdlib.h>

#include "test/support.h"

#define QUIET 4

static const struct code_case {
	const char *name, *text;
	int width; /* modules: 17 + 4 * version */
} code_cases[] = {
	{ "shortest", "DCACCOUNT:https://a.de/new", 33 },
	{ "as in the standard's table", "DCACCOUNT:https://chat.example.org/new", 37 },
	{ "an address as name", "DCACCOUNT:https://192.0.2.155/new", 33 },
	{ "long",
	    "DCACCOUNT:https://"
	    "a-quite-long-name-for-a-relay.some-department.example.org"
	    "/new",
	    49 },
};

/* One byte a pixel. */
static png_bytep read_png(const struct text *png, png_image *image)
{
	png_bytep pixels;

	*image = (png_image){ .version = PNG_IMAGE_VERSION };
	assert_true(png_image_begin_read_from_memory(image, png->data, png->len));
	assert_int_equal(image->width, image->height);
	image->format = PNG_FORMAT_GRAY;
	pixels = malloc(PNG_IMAGE_SIZE(*image));
	assert_non_null(pixels);
	assert_true(png_image_finish_read(image, NULL, pixels, 0, NULL));
	return pixels;
}

static bool in_logo(int x, int y, int width)
{
	int logo = (width / 5) | 1, at = (width - logo) / 2;

	return x >= at && y >= at && x < at + logo && y < at + logo;
}

static void png(void **state)
{
	const struct code_case *c = *state;
	QRcode *code = QRcode_encodeString8bit(c->text, 0, QR_ECLEVEL_H);
	struct text out = { 0 };
	png_image image;
	png_bytep pixels;
	int all = c->width + 2 * QUIET, size = all * PAGE_QR_SCALE;

	assert_int_equal(code->width, c->width);
	assert_true(page_qr_png(c->text, &out));
	pixels = read_png(&out, &image);
	assert_int_equal(image.width, size);
	for (int y = 0; y < size; y++) {
		for (int x = 0; x < size; x++) {
			int mx = x / PAGE_QR_SCALE - QUIET,
			    my = y / PAGE_QR_SCALE - QUIET;
			bool within =
			    mx >= 0 && my >= 0 && mx < c->width && my < c->width;
			bool dark = within && (code->data[my * c->width + mx] & 1);

			if (!in_logo(mx, my, c->width))
				assert_int_equal(pixels[y * size + x], dark ? 0 : 255);
		}
	}
	free(pixels);
	text_free(&out);
	QRcode_free(code);
}

static void svg(void **state)
{
	const struct code_case *c = *state;
	struct text out = { 0 };
	char box[64];

	assert_true(page_qr_svg(c->text, &out));
	snprintf(box, sizeof(box), "viewBox=\"0 0 %d %d\"", c->width + 2 * QUIET,
	    c->width + 2 * QUIET);
	assert_non_null(strstr(out.data, box));
	/* The first finder pattern begins with seven dark modules. */
	assert_non_null(strstr(out.data, "d=\"M4 4h7v1h-7z"));
	assert_null(strstr(out.data, "style"));
	text_free(&out);
}

static void same_twice(void **state)
{
	bool (*const forms[])(
	    const char *, struct text *) = { page_qr_svg, page_qr_png };

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct text a = { 0 }, b = { 0 };

		assert_true(forms[i](code_cases[0].text, &a));
		assert_true(forms[i](code_cases[0].text, &b));
		assert_true(span_equal(text_span(&a), text_span(&b)));
		text_free(&a);
		text_free(&b);
	}
}

static void too_long(void **state)
{
	char text[1400];
	struct text out = { 0 };

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_false(page_qr_svg(text, &out));
	assert_false(page_qr_png(text, &out));
	assert_int_equal(out.len, 0);
	text_free(&out);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(png, code_cases) },
		{ SUPPORT_TABLE(svg, code_cases) },
		{ SUPPORT_TEST(same_twice) },
		{ SUPPORT_TEST(too_long) },
	};

	return support_run("page_qr", tests, ARRAY_LEN(tests));
}
