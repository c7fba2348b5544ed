/* Crop, grayscale, blur and rotate on uncompressed images. A component, built with SIMD. */
#include "component.h"

typedef struct {
    uint32_t width, height, channels;
    uint8_t *samples;
} picture;

static const char NOT_AN_IMAGE[] = "not a binary PGM or PPM image with 8 bits a sample";

/* Reads a number and the one white space after it; 0 if there is none or it has more than 6 digits. */
static uint32_t read_number(const uint8_t **at, const uint8_t *end) {
    uint32_t number = 0, digits = 0;

    while (*at < end && **at >= '0' && **at <= '9' && digits++ < 6) {
        number = number * 10 + *(*at)++ - '0';
    }
    if (*at == end || (**at != ' ' && **at != '\n')) {
        return 0;
    }
    ++*at;
    return number;
}

static int read_picture(picture *image, uint8_t *file, uint32_t length) {
    const uint8_t *at = file + 3, *end = file + length;

    if (length < 3 || file[0] != 'P' || (file[1] != '5' && file[1] != '6') || file[2] != '\n') {
        return 0;
    }
    image->channels = file[1] == '6' ? 3 : 1;
    image->width = read_number(&at, end);
    image->height = read_number(&at, end);
    if (image->width == 0 || image->height == 0 || read_number(&at, end) != 255) {
        return 0;
    }
    image->samples = (uint8_t *)at;
    return (uint64_t)image->width * image->height * image->channels == (uint64_t)(end - at);
}

static uint8_t *write_number(uint8_t *out, uint32_t number, char after) {
    uint32_t unit = 1;

    while (number / unit >= 10) {
        unit *= 10;
    }
    for (; unit > 0; unit /= 10) {
        *out++ = (uint8_t)('0' + number / unit % 10);
    }
    *out++ = (uint8_t)after;
    return out;
}

/* Starts a file of that size, leaves `image` looking at its samples, and returns the result that will hold it. */
static outcome *new_picture(picture *image, uint32_t width, uint32_t height, uint32_t channels) {
    uint32_t size = width * height * channels;
    uint8_t *file = take(size + 24, 16), *out = file;

    *out++ = 'P';
    *out++ = channels == 3 ? '6' : '5';
    *out++ = '\n';
    out = write_number(out, width, ' ');
    out = write_number(out, height, '\n');
    out = write_number(out, 255, '\n');
    *image = (picture){width, height, channels, out};
    return return_ok(file, (uint32_t)(out - file) + size);
}

EXPORT("crop")
outcome *crop(uint8_t *file, uint32_t length, uint32_t x, uint32_t y, uint32_t width, uint32_t height) {
    picture in, out;

    if (!read_picture(&in, file, length)) {
        return return_error(NOT_AN_IMAGE);
    }
    if (width == 0 || height == 0 || (uint64_t)x + width > in.width || (uint64_t)y + height > in.height) {
        return return_error("the part to crop does not lie inside the image");
    }

    outcome *result = new_picture(&out, width, height, in.channels);
    uint32_t row = width * in.channels;

    for (uint32_t i = 0; i < height; i++) {
        __builtin_memcpy(out.samples + i * row, in.samples + ((y + i) * in.width + x) * in.channels, row);
    }
    return result;
}

EXPORT("grayscale")
outcome *grayscale(uint8_t *file, uint32_t length) {
    picture in, out;

    if (!read_picture(&in, file, length) || in.channels != 3) {
        return return_error("not a binary PPM image with 8 bits a sample");
    }

    outcome *result = new_picture(&out, in.width, in.height, 1);
    const uint8_t *restrict from = in.samples;
    uint8_t *restrict to = out.samples;
    uint32_t count = in.width * in.height;

    for (uint32_t i = 0; i < count; i++) {
        to[i] = (uint8_t)((from[3 * i] * 19595u + from[3 * i + 1] * 38470u + from[3 * i + 2] * 7471u + 32768u) >> 16);
    }
    return result;
}

/* One row of the blur: the samples between the first and the last pixel. */
static void blur_row(uint8_t *restrict to, const uint8_t *restrict above, const uint8_t *restrict here,
                     const uint8_t *restrict below, uint32_t count, uint32_t step) {
    for (uint32_t i = step; i < count - step; i++) {
        uint16_t left = (uint16_t)(above[i - step] + 2 * here[i - step] + below[i - step]);
        uint16_t middle = (uint16_t)(above[i] + 2 * here[i] + below[i]);
        uint16_t right = (uint16_t)(above[i + step] + 2 * here[i + step] + below[i + step]);

        to[i] = (uint8_t)((uint16_t)(left + 2 * middle + right + 8) >> 4);
    }
}

EXPORT("blur")
outcome *blur(uint8_t *file, uint32_t length) {
    picture in, out;

    if (!read_picture(&in, file, length)) {
        return return_error(NOT_AN_IMAGE);
    }

    outcome *result = new_picture(&out, in.width, in.height, in.channels);
    uint32_t row = in.width * in.channels;

    __builtin_memcpy(out.samples, in.samples, row * in.height);
    for (uint32_t y = 1; in.width > 2 && y + 1 < in.height; y++) {
        const uint8_t *here = in.samples + y * row;

        blur_row(out.samples + y * row, here - row, here, here + row, row, in.channels);
    }
    return result;
}

/* Compiled once for each number of channels, so that the copy of a pixel is no loop. */
static inline void turn(picture out, picture in, const uint32_t channels) {
    uint8_t *restrict to = out.samples;

    for (uint32_t y = 0; y < out.height; y++) {
        const uint8_t *from = in.samples + ((in.height - 1) * in.width + y) * channels;

        for (uint32_t x = 0; x < out.width; x++, from -= in.width * channels, to += channels) {
            for (uint32_t channel = 0; channel < channels; channel++) {
                to[channel] = from[channel];
            }
        }
    }
}

EXPORT("rotate")
outcome *rotate(uint8_t *file, uint32_t length) {
    picture in, out;

    if (!read_picture(&in, file, length)) {
        return return_error(NOT_AN_IMAGE);
    }

    outcome *result = new_picture(&out, in.height, in.width, in.channels);

    if (in.channels == 3) {
        turn(out, in, 3);
    } else {
        turn(out, in, 1);
    }
    return result;
}
