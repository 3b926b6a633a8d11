// Attention over the pages of the cache. Keys and values are float32 or bfloat16; in pairs of the
// summed dimension (two dimensions of a key, or two tokens' values), as BF16 weights are:
//
//   keys    [D / 2][PAGE][2] or [D][PAGE]      values  [PAGE / 2][D][2] or [PAGE][D]
//
// The second of an odd pair may be stale, but it is a number, and meets a factor of 0. Behind a
// head's keys lie its values, and behind those the next head's keys: while one is read, the next is
// asked for, `ahead` bytes further.
#pragma once

#include "products.h"

// c[r][block * c_block + ...] = or += x[r] . the `blocks` matrices at `from`, `wide` columns each.
INLINE void tile_cache(const int rows, const int blocks, const int vectors, const int narrow,
                       const float *x, long stride, const char *const *from, long wide, int inputs,
                       long ahead, float *c, long c_stride, long c_block, int add) {
    vf sum[MAX_ROWS][8];
    FOR(r, rows) FOR(b, blocks) FOR(v, vectors) {
        const float *before = c + r * c_stride + b * c_block + v * LANES;
        sum[r][b * vectors + v] = add ? load(before) : splat(0);
    }
    for (int i = 0; i < inputs; i += 2) {
        vf even[8], odd[8];
        FOR(b, blocks) FOR(v, vectors) {
            const char *at = from[b] + i * wide * (narrow ? 2 : 4);
            vi pair = load_int(at + 4 * v * LANES);
            __builtin_prefetch(at + 4 * v * LANES + ahead);
            if (!narrow) __builtin_prefetch(at + 4 * (wide + v * LANES) + ahead);
            even[b * vectors + v] = (vf)(narrow ? pair << 16 : pair);
            odd[b * vectors + v] =
                (vf)(narrow ? pair & ~0xffff : load_int(at + 4 * (wide + v * LANES)));
        }
        FOR(r, rows) {
            vf first = splat(x[r * stride + i]), second = splat(x[r * stride + i + 1]);
            FOR(v, blocks * vectors) sum[r][v] += even[v] * first;
            FOR(v, blocks * vectors) sum[r][v] += odd[v] * second;
        }
    }
    FOR(r, rows) FOR(b, blocks) FOR(v, vectors)
        store(c + r * c_stride + b * c_block + v * LANES, sum[r][b * vectors + v]);
}

// Vectors of sums that each row has at once. A sum waits for itself, so few rows need many.
#define SUMS(rows) ((rows) == 1 ? 8 : (rows) <= (LANES == 16 ? 4 : 2) ? 4 : 2)
#define PAGE_VECTORS (PAGE / LANES)
#define LEAST(a, b) ((a) < (b) ? (a) : (b))

// c[rows][n * PAGE] = the products of `rows` queries of `d` dimensions with the keys of n pages.
INLINE void score_pages(int narrow, int rows, const float *query, long stride,
                        const char *const *keys, int n, int d, long ahead, float *c,
                        long c_stride) {
    int page = 0;
    switch (rows) {
#define CASE(R)                                                                                \
    case R:                                                                                    \
        if (R <= FLOAT_ROWS) {                                                                 \
            enum { pages = SUMS(R) / PAGE_VECTORS, vectors = LEAST(SUMS(R), PAGE_VECTORS) };   \
            for (; pages > 1 && page + pages <= n; page += pages)                              \
                tile_cache(R, pages, vectors, narrow, query, stride, keys + page, PAGE, d,     \
                           ahead, c + page * PAGE, c_stride, PAGE, 0);                         \
            for (; page < n; page++)                                                           \
                for (int at = 0; at < PAGE; at += vectors * LANES) {                           \
                    const char *key = keys[page] + at * 4;                                     \
                    tile_cache(R, 1, vectors, narrow, query, stride, &key, PAGE, d, ahead,     \
                               c + page * PAGE + at, c_stride, 0, 0);                          \
                }                                                                              \
        }                                                                                      \
        break;
        ROW_COUNTS(CASE)
#undef CASE
    }
}

// c[rows][wide] = or += the values of n tokens of a page, weighted by x.
INLINE void mix_values(int narrow, int rows, const float *x, long stride, const char *values, int n,
                       long wide, long ahead, float *c, int add) {
    switch (rows) {
#define CASE(R)                                                                                \
    case R:                                                                                    \
        if (R <= FLOAT_ROWS) {                                                                 \
            enum { vectors = LEAST(SUMS(R), 4) };                                              \
            long at = 0;                                                                       \
            for (; at + vectors * LANES <= wide; at += vectors * LANES) {                      \
                const char *value = values + at * 4;                                           \
                tile_cache(R, 1, vectors, narrow, x, stride, &value, wide, n, ahead, c + at,   \
                           wide, 0, add);                                                      \
            }                                                                                  \
            for (; at < wide; at += 2 * LANES) {                                               \
                const char *value = values + at * 4;                                           \
                tile_cache(R, 1, 2, narrow, x, stride, &value, wide, n, ahead, c + at, wide, 0,\
                           add);                                                               \
            }                                                                                  \
        }                                                                                      \
        break;
        ROW_COUNTS(CASE)
#undef CASE
    }
}

// Write one token's key and value of a head at `place` of a page.
INLINE void write_token(int narrow, char *keys, char *values, int place, int d, long wide,
                        const float *key, const float *value) {
    if (narrow) {
        uint16_t *k = (uint16_t *)keys, *v = (uint16_t *)values;
        for (int j = 0; j < d; j++) k[(j / 2 * PAGE + place) * 2 + j % 2] = to_bf16(key[j]);
        for (int j = 0; j < d; j++)
            v[(place / 2 * wide + j) * 2 + place % 2] = to_bf16(value[j]);
    } else {
        for (int j = 0; j < d; j++) ((float *)keys)[j * PAGE + place] = key[j];
        memcpy((float *)values + place * wide, value, (size_t)d * 4);
    }
}

static void softmax(float *score, int n, float scale) {
    int whole = n / LANES * LANES, end = (n + LANES - 1) / LANES * LANES;
    vf mosts = splat(-INFINITY), sums = splat(0);
    float most = -INFINITY, sum = 0;
    for (int i = 0; i < whole; i += LANES) mosts = largest(mosts, load(score + i));
    for (int i = whole; i < n; i++) most = score[i] > most ? score[i] : most;
    float top = max_of(mosts) > most ? max_of(mosts) : most;
    for (int i = 0; i < end; i += LANES) store(score + i, exponential((load(score + i) - top) * scale));
    for (int i = 0; i < whole; i += LANES) sums += load(score + i);
    for (int i = whole; i < n; i++) sum += score[i];
    float factor = 1 / (sum_of(sums) + sum);
    for (int i = 0; i < end; i += LANES) store(score + i, load(score + i) * factor);
}
