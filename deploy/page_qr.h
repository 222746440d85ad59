/*
 * A QR code (ISO/IEC 18004) with the logo in its middle: error correction level H, which
 * makes good for what the logo hides; byte mode; the smallest version that fits; a quiet
 * zone of four modules, as the standard asks.
 */
#ifndef DEPLOY_PAGE_QR_H
#define DEPLOY_PAGE_QR_H

#include <stdbool.h>

#include "deploy/text.h"

#define PAGE_QR_SCALE 10 /* pixels of the PNG for a module */

/*
 * Add the picture of text, without time stamps or the like: the same text makes the same
 * bytes. false if the text is too long for a QR code.
 */
bool page_qr_svg(const char *text, struct text *out);
bool page_qr_png(const char *text, struct text *out);

#endif
