/*
 * The logo is one list of shapes, from which both kinds of pictures are made; it is the
 * drawing of www/src/logo.svg.
 */
#include "deploy/page_qr.h"

#include <png.h>
#include <qrencode.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define QUIET    4 /* modules */
#define SAMPLES  4 /* of a pixel of the logo, each way */
#define LOGO_DIV 5 /* the logo has this part of the code's width */

/* A rectangle with round corners, in 64ths of the logo; a circle is a round one. */
struct shape {
	double x, y, width, height, radius;
	uint32_t colour;
};

static const struct shape logo[] = {
	{ 0, 0, 64, 64, 0, 0xffffff },
	{ 3, 3, 58, 58, 15, 0x1f5f8b },
	{ 13, 16, 38, 26, 10, 0xffffff }, /* a speech bubble */
	{ 17, 32, 10, 18, 5, 0xffffff },  /* its tail */
	{ 20.5, 26, 6, 6, 3, 0x1f5f8b },
	{ 29, 26, 6, 6, 3, 0x1f5f8b },
	{ 37.5, 26, 6, 6, 3, 0x1f5f8b },
};

#define NSHAPES (sizeof(logo) / sizeof(logo[0]))

/* How many modules the logo covers each way: odd like the code, so it sits in the middle. */
static int logo_modules(const QRcode *code)
{
	return (code->width / LOGO_DIV) | 1;
}

static bool is_dark(const QRcode *code, int x, int y)
{
	return code->data[y * code->width + x] & 1;
}

/* Runs of dark modules, as one path. */
static void add_modules(struct text *out, const QRcode *code)
{
	for (int y = 0; y < code->width; y++) {
		for (int x = 0, end; x < code->width; x = end + 1) {
			for (end = x; end < code->width && is_dark(code, end, y);)
				end++;
			if (end > x)
				text_printf(out, "M%d %dh%dv1h-%dz", x + QUIET,
				    y + QUIET, end - x, end - x);
		}
	}
}

static QRcode *encode(const char *text)
{
	return QRcode_encodeString8bit(text, 0, QR_ECLEVEL_H);
}

bool page_qr_svg(const char *text, struct text *out)
{
	QRcode *code = encode(text);
	int all, modules;
	double at;

	if (!code)
		return false;
	all = code->width + 2 * QUIET;
	modules = logo_modules(code);
	at = (all - modules) / 2.0;
	text_printf(out,
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
	    "shape-rendering=\"crispEdges\">\n"
	    "<path fill=\"#fff\" d=\"M0 0h%dv%dh-%dz\"/>\n<path d=\"",
	    all, all, all, all, all);
	add_modules(out, code);
	text_printf(out,
	    "\"/>\n<g transform=\"translate(%g %g) scale(%.6f)\" "
	    "shape-rendering=\"auto\">\n",
	    at, at, modules / 64.0);
	for (size_t i = 0; i < NSHAPES; i++)
		text_printf(out,
		    "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" rx=\"%g\" "
		    "fill=\"#%06x\"/>\n",
		    logo[i].x, logo[i].y, logo[i].width, logo[i].height, logo[i].radius,
		    logo[i].colour);
	text_add(out, "</g>\n</svg>\n");
	QRcode_free(code);
	return true;
}

/* Whether a point is in the shape. */
static bool covers(const struct shape *s, double x, double y)
{
	double left = x - s->x, top = y - s->y, r = s->radius, dx = 0, dy = 0;

	if (left < 0 || top < 0 || left > s->width || top > s->height)
		return false;
	if (left < r)
		dx = r - left;
	else if (left > s->width - r)
		dx = left - (s->width - r);
	if (top < r)
		dy = r - top;
	else if (top > s->height - r)
		dy = top - (s->height - r);
	return dx * dx + dy * dy <= r * r || dx <= 0 || dy <= 0;
}

static uint32_t colour_at(double x, double y)
{
	uint32_t colour = 0xffffff;

	for (size_t i = 0; i < NSHAPES; i++) {
		if (covers(&logo[i], x, y))
			colour = logo[i].colour;
	}
	return colour;
}

/* Pixel (x, y) of a logo that is size pixels wide: the mean of its samples. */
static void logo_pixel(png_byte rgb[3], int x, int y, int size)
{
	unsigned sum[3] = { 0 };

	for (int i = 0; i < SAMPLES * SAMPLES; i++) {
		double sx = x + (i % SAMPLES + 0.5) / SAMPLES;
		double sy = y + (i / SAMPLES + 0.5) / SAMPLES;
		uint32_t colour = colour_at(sx * 64 / size, sy * 64 / size);

		for (int c = 0; c < 3; c++)
			sum[c] += colour >> (16 - 8 * c) & 0xff;
	}
	for (int c = 0; c < 3; c++)
		rgb[c] = (png_byte)(sum[c] / (SAMPLES * SAMPLES));
}

/* All pixels, three bytes each. */
static png_byte *paint(const QRcode *code, int size)
{
	int modules = logo_modules(code), logo_size = modules * PAGE_QR_SCALE;
	int at = (size - logo_size) / 2;
	png_byte *pixels = malloc((size_t)size * (size_t)size * 3);

	if (!pixels)
		abort();
	for (int y = 0; y < size; y++) {
		for (int x = 0; x < size; x++) {
			png_byte *rgb =
			    pixels + ((size_t)y * (size_t)size + (size_t)x) * 3;
			int mx = x / PAGE_QR_SCALE - QUIET,
			    my = y / PAGE_QR_SCALE - QUIET;
			bool within =
			    mx >= 0 && my >= 0 && mx < code->width && my < code->width;

			if (x >= at && y >= at && x < at + logo_size &&
			    y < at + logo_size)
				logo_pixel(rgb, x - at, y - at, logo_size);
			else
				memset(
				    rgb, within && is_dark(code, mx, my) ? 0 : 255, 3);
		}
	}
	return pixels;
}

static void on_png_data(png_structp png, png_bytep data, size_t len)
{
	text_add_span(png_get_io_ptr(png), span_make((const char *)data, len));
}

static void on_png_flush(png_structp png)
{
}

/* libpng reports by longjmp(); nothing of ours is owned across it. */
static bool write_png(struct text *out, png_byte *pixels, int size)
{
	png_structp png =
	    png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png ? png_create_info_struct(png) : NULL;

	if (!info || setjmp(png_jmpbuf(png))) {
		png_destroy_write_struct(&png, &info);
		return false;
	}
	png_set_write_fn(png, out, on_png_data, on_png_flush);
	png_set_IHDR(png, info, (png_uint_32)size, (png_uint_32)size, 8,
	    PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
	    PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, info);
	for (int y = 0; y < size; y++)
		png_write_row(png, pixels + (size_t)y * (size_t)size * 3);
	png_write_end(png, info);
	png_destroy_write_struct(&png, &info);
	return true;
}

bool page_qr_png(const char *text, struct text *out)
{
	QRcode *code = encode(text);
	png_byte *pixels;
	int size;
	bool good;

	if (!code)
		return false;
	size = (code->width + 2 * QUIET) * PAGE_QR_SCALE;
	pixels = paint(code, size);
	good = write_png(out, pixels, size);
	free(pixels);
	QRcode_free(code);
	return good;
}
