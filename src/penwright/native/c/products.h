// Products of a few rows of inputs with one panel of weights, for each type of weights.
//
// Every output is one sum over the inputs in their order, whatever the number of rows, threads or
// lanes: a text does not depend on what is written beside it.
#pragma once

#include "vectors.h"

// A product takes as many rows at once as the registers hold sums for.
enum { FLOAT_ROWS = LANES == 16 ? 12 : 6, INT_ROWS = LANES == 16 ? 8 : 4, MAX_ROWS = 12 };
enum { FEW_ROWS = 4 };  // so few wait for the memory that weights come from, which is asked early

#define UNROLL _Pragma("GCC unroll 16")
#define FOR(i, n) UNROLL for (int i = 0; i < (n); i++)

// The inputs of a product: floats, or int8 with a scale and a sum for each group. `stride` counts
// the values of a row.
typedef struct {
    float *value;
    int8_t *quant;
    float *scale;
    int32_t *sum;
    int stride;
} Input;

INLINE Input input_at(Input x, int row) {
    long at = (long)row * x.stride, group = at / GROUP;
    return (Input){x.value + at, x.quant + at, x.scale + group, x.sum + group, x.stride};
}

INLINE int32_t four_bytes(const int8_t *p) {
    int32_t bytes;
    memcpy(&bytes, p, 4);
    return bytes;
}

// The tiles: `rows` and `vectors` are constants where they are used, so the sums are registers.
// c[r][0 .. vectors * LANES) = x[r] . w, each input's weights `wide` apart.

INLINE void tile_f32(const int rows, const int vectors, Input x, const float *w, int inputs,
                     float *c) {
    vf sum[MAX_ROWS][4];
    FOR(r, rows) FOR(v, vectors) sum[r][v] = splat(0);
    for (int i = 0; i < inputs; i++, w += PANEL) {
        vf weight[4];
        FOR(v, vectors) weight[v] = load(w + v * LANES);
        FOR(r, rows) {
            vf value = splat(x.value[r * x.stride + i]);
            FOR(v, vectors) sum[r][v] += weight[v] * value;
        }
    }
    FOR(r, rows) FOR(v, vectors) store(c + r * PANEL + v * LANES, sum[r][v]);
}

INLINE void tile_bf16(const int rows, const int vectors, Input x, const uint16_t *w, int inputs,
                      float *c) {
    vf sum[MAX_ROWS][4];
    FOR(r, rows) FOR(v, vectors) sum[r][v] = splat(0);
    for (int i = 0; i < inputs; i += 2, w += 2 * PANEL) {
        if (rows <= FEW_ROWS) __builtin_prefetch(w + 32 * PANEL);
        vi pair[4];
        FOR(v, vectors) pair[v] = load_int(w + 2 * v * LANES);
        FOR(r, rows) {
            vf even = splat(x.value[r * x.stride + i]), odd = splat(x.value[r * x.stride + i + 1]);
            FOR(v, vectors) sum[r][v] += (vf)(pair[v] << 16) * even;
            FOR(v, vectors) sum[r][v] += (vf)(pair[v] & ~0xffff) * odd;
        }
    }
    FOR(r, rows) FOR(v, vectors) store(c + r * PANEL + v * LANES, sum[r][v]);
}

INLINE void tile_int8(const int rows, const int vectors, Input x, const uint8_t *w, int inputs,
                      const float *scale, float *c) {
    vf sum[MAX_ROWS][4];
    FOR(r, rows) FOR(v, vectors) sum[r][v] = splat(0);
    for (int group = 0; group < inputs / GROUP; group++) {
        vi dot[MAX_ROWS][4];
        FOR(r, rows) {
            vi first = splat_int(-OFFSET * x.sum[r * (x.stride / GROUP) + group]);
            FOR(v, vectors) dot[r][v] = first;
        }
        // The processor reads ahead by itself, but not across 4 KiB: ask for lines beyond.
        if (rows <= FEW_ROWS && LANES == 16)
            FOR(line, 4) __builtin_prefetch(w + 4096 + 64 * line);
        for (int i = 0; i < GROUP; i += 4, w += 4 * PANEL) {
            if (rows <= FEW_ROWS && LANES < 16) __builtin_prefetch(w + 64 * PANEL);
            vi weight[4];
            FOR(v, vectors) weight[v] = load_int(w + 4 * v * LANES);
            FOR(r, rows) {
                int32_t four = four_bytes(x.quant + r * x.stride + group * GROUP + i);
                FOR(v, vectors) dot[r][v] = dot_int8(dot[r][v], weight[v], four);
            }
        }
        FOR(r, rows) {
            vf factor = splat(x.scale[r * (x.stride / GROUP) + group]);
            FOR(v, vectors) sum[r][v] += from_int(dot[r][v]) * factor;
        }
    }
    FOR(r, rows) FOR(v, vectors)
        store(c + r * PANEL + v * LANES, sum[r][v] * load(scale + v * LANES));
}

enum { INT4_BYTES = GROUP * PANEL / 2 + 2 * PANEL };  // of a group: the values and the scales

INLINE void tile_int4(const int rows, const int vectors, Input x, const uint8_t *w, int first,
                      int inputs, float *c) {
    vf sum[MAX_ROWS][4];
    FOR(r, rows) FOR(v, vectors) sum[r][v] = splat(0);
    for (int group = 0; group < inputs / GROUP; group++, w += INT4_BYTES) {
        vi dot[MAX_ROWS][4];
        FOR(r, rows) {
            vi start = splat_int(-OFFSET * x.sum[r * (x.stride / GROUP) + group]);
            FOR(v, vectors) dot[r][v] = start;
        }
        FOR(i, GROUP / 8) {
            if (rows <= FEW_ROWS) __builtin_prefetch(w + 64 * PANEL + i * 4 * PANEL);
            vi low[4], high[4];
            FOR(v, vectors) {
                vi both = load_int(w + 4 * (i * PANEL + first + v * LANES));
                low[v] = look_up(both & 0x0f0f0f0f);
                high[v] = look_up((both >> 4) & 0x0f0f0f0f);
            }
            FOR(r, rows) {
                const int8_t *quant = x.quant + r * x.stride + group * GROUP + i * 8;
                FOR(v, vectors) dot[r][v] = dot_int8(dot[r][v], low[v], four_bytes(quant));
                FOR(v, vectors) dot[r][v] = dot_int8(dot[r][v], high[v], four_bytes(quant + 4));
            }
        }
        const uint16_t *scales = (const uint16_t *)(w + GROUP * PANEL / 2) + first;
        vf scale[4];
        FOR(v, vectors) scale[v] = load_bf16(scales + v * LANES);
        FOR(r, rows) {
            vf factor = splat(x.scale[r * (x.stride / GROUP) + group]);
            FOR(v, vectors) sum[r][v] += from_int(dot[r][v]) * (scale[v] * factor);
        }
    }
    FOR(r, rows) FOR(v, vectors) store(c + r * PANEL + v * LANES, sum[r][v]);
}

// A few rows take a whole panel at once, so it is read from memory only once; more rows take two
// vectors at a time, so the sums stay in registers.
#define VECTORS(rows) ((rows) <= FEW_ROWS && LANES < 16 ? 4 : 2)
#define ROW_COUNTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

static void product_f32(int rows, Input x, const float *w, int inputs, float *c) {
#define CASE(R)                                                                         \
    case R:                                                                             \
        if (R <= FLOAT_ROWS)                                                            \
            for (int at = 0; at < PANEL; at += VECTORS(R) * LANES)                      \
                tile_f32(R, VECTORS(R), x, w + at, inputs, c + at);                     \
        break;
    switch (rows) { ROW_COUNTS(CASE) }
#undef CASE
}

static void product_bf16(int rows, Input x, const uint16_t *w, int inputs, float *c) {
#define CASE(R)                                                                         \
    case R:                                                                             \
        if (R <= FLOAT_ROWS)                                                            \
            for (int at = 0; at < PANEL; at += VECTORS(R) * LANES)                      \
                tile_bf16(R, VECTORS(R), x, w + 2 * at, inputs, c + at);                \
        break;
    switch (rows) { ROW_COUNTS(CASE) }
#undef CASE
}

static void product_int8(int rows, Input x, const uint8_t *w, int inputs, const float *scale,
                         float *c) {
#define CASE(R)                                                                         \
    case R:                                                                             \
        if (R <= INT_ROWS)                                                              \
            for (int at = 0; at < PANEL; at += VECTORS(R) * LANES)                      \
                tile_int8(R, VECTORS(R), x, w + 4 * at, inputs, scale + at, c + at);    \
        break;
    switch (rows) { ROW_COUNTS(CASE) }
#undef CASE
}

static void product_int4(int rows, Input x, const uint8_t *w, int inputs, float *c) {
#define CASE(R)                                                                         \
    case R:                                                                             \
        if (R <= INT_ROWS)                                                              \
            for (int at = 0; at < PANEL; at += VECTORS(R) * LANES)                      \
                tile_int4(R, VECTORS(R), x, w, at, inputs, c + at);                     \
        break;
    switch (rows) { ROW_COUNTS(CASE) }
#undef CASE
}

INLINE int rows_at_once(int type) { return type == F32 || type == BF16 ? FLOAT_ROWS : INT_ROWS; }

// Return the bytes of one panel of a matrix.
INLINE long panel_bytes(const Matrix *m) {
    switch (m->type) {
    case F32: return (long)m->padded * PANEL * 4;
    case BF16: return (long)m->padded * PANEL * 2;
    case INT8: return (long)m->padded * PANEL;
    default: return (long)(m->padded / GROUP) * INT4_BYTES;
    }
}

// c[rows][PANEL] = x . panel `number` of the matrix, for up to `rows_at_once` rows.
static void product(const Matrix *m, int number, int rows, Input x, float *c) {
    const char *w = (const char *)m->data + number * panel_bytes(m);
    switch (m->type) {
    case F32: product_f32(rows, x, (const float *)w, m->inputs, c); break;
    case BF16: product_bf16(rows, x, (const uint16_t *)w, m->padded, c); break;
    case INT8:
        product_int8(rows, x, (const uint8_t *)w, m->padded, m->scale + number * PANEL, c);
        break;
    default: product_int4(rows, x, (const uint8_t *)w, m->padded, c);
    }
}

// Quantise one group: value = scale * quant, the largest magnitude is 127.
INLINE void quantise_group(const float *value, int8_t *quant, float *scale, int32_t *sum) {
    vf most = splat(0);
    for (int i = 0; i < GROUP; i += LANES) most = largest(most, magnitude(load(value + i)));
    float peak = max_of(most), factor = peak > 0 ? 127.0f / peak : 0;
    const float magic = 12582912.0f;  // rounds, see `exponential`
    vi total = splat_int(0);
    for (int i = 0; i < GROUP; i += LANES) {
        vi q = __builtin_convertvector((load(value + i) * factor + magic) - magic, vi);
        store_bytes(quant + i, q);
        total += q;
    }
    *sum = sum_of_ints(total);
    *scale = peak / 127.0f;
}

// x[0 .. width) = row `row` of a matrix, as an embedding.
static void read_row(const Matrix *m, int row, float *x) {
    const char *w = (const char *)m->data + row / PANEL * panel_bytes(m);
    int at = row % PANEL;
    for (int i = 0; i < m->inputs; i++) {
        uint32_t bits;
        switch (m->type) {
        case F32: x[i] = ((const float *)w)[i * PANEL + at]; break;
        case BF16:
            bits = (uint32_t)((const uint16_t *)w)[(i / 2 * PANEL + at) * 2 + i % 2] << 16;
            memcpy(x + i, &bits, 4);
            break;
        case INT8: {
            int value = ((const uint8_t *)w)[(i / 4 * PANEL + at) * 4 + i % 4] - 128;
            x[i] = m->scale[row] * (float)value;
            break;
        }
        default: {
            const uint8_t *group = (const uint8_t *)w + i / GROUP * INT4_BYTES;
            uint8_t both = group[(i % GROUP / 8 * PANEL + at) * 4 + i % 4];
            bits = (uint32_t)((const uint16_t *)(group + GROUP * PANEL / 2))[at] << 16;
            float scale;
            memcpy(&scale, &bits, 4);
            x[i] = scale * (float)INT4_VALUES[i % 8 < 4 ? both & 15 : both >> 4];
        }
        }
    }
}
