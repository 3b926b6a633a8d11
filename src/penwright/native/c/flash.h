// Causal attention within documents, forward and backward, for one head of one document at a time.
//
// Scores of QUERIES rows exist at once, in float32 and in the cache; the backward pass computes
// them again from the logarithm of each row's sum (Dao et al., "FlashAttention", 2022). Rows and
// columns are padded to a multiple of 32, so products need no remainders.
#pragma once

#include "rows.h"

enum { QUERY_ROWS = 32, TILE_ROWS = LANES == 16 ? 8 : 4, TILE_COLUMNS = 2 * LANES };

typedef struct {
    int documents, heads, width, narrow;  // width: of a head
    float scale;
    const int32_t *offsets;  // [documents + 1]: the first row of each
    const void *qkv;         // [rows, 3, heads, width], the bias not added yet
    const float *bias;
    void *mixed;             // [rows, heads, width]
    float *sums;             // [rows, heads]: log of the sum of exp(score)
    // Backward:
    const void *slope;       // of mixed
    void *qkv_slope;
    float *part;             // [documents, 3, heads, width]: sums of qkv_slope
    float *scratch;          // of each thread
    long scratch_size;
} AttendJob;

#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)

// c[TILE_ROWS][TILE_COLUMNS] = or += a . b, where a(r, k) = a[r * a_row + k * a_step].
INLINE void tile(const float *a, long a_row, long a_step, const float *b, long b_row, int depth,
                 float *c, long c_row, const int add) {
    vf sum[TILE_ROWS][2];
    EACH(r, TILE_ROWS) EACH(v, 2) sum[r][v] = add ? load(c + r * c_row + v * LANES) : splat(0);
    for (int k = 0; k < depth; k++) {
        vf first = load(b + k * b_row), second = load(b + k * b_row + LANES);
        EACH(r, TILE_ROWS) {
            vf value = splat(a[r * a_row + k * a_step]);
            sum[r][0] += value * first;
            sum[r][1] += value * second;
        }
    }
    EACH(r, TILE_ROWS) EACH(v, 2) store(c + r * c_row + v * LANES, sum[r][v]);
}

// c[rows][columns] = or += a . b; rows and columns are multiples of the tile's.
static void multiply_tiles(const float *a, long a_row, long a_step, const float *b, long b_row,
                           int rows, int depth, int columns, float *c, long c_row, int add) {
    for (int j = 0; j < columns; j += TILE_COLUMNS)
        for (int i = 0; i < rows; i += TILE_ROWS) {
            const float *from = a + i * a_row;
            if (add)
                tile(from, a_row, a_step, b + j, b_row, depth, c + i * c_row + j, c_row, 1);
            else
                tile(from, a_row, a_step, b + j, b_row, depth, c + i * c_row + j, c_row, 0);
        }
}

INLINE int pad(int n) { return (n + 31) / 32 * 32; }

// The distance of rows as long as a document: a power of two would crowd a few sets of the cache.
INLINE int stretch(int n) { return pad(n) + 16; }

// A head of a document: its rows, and where its scratch begins.
typedef struct {
    const AttendJob *job;
    int document, first, length, head, tall, wide;  // tall, wide: length and width, padded
    float *scratch;
} Head;

static Head head_of(const AttendJob *job, int item, int thread) {
    int document = item / job->heads, first = job->offsets[document];
    int length = job->offsets[document + 1] - first;
    float *scratch = job->scratch + thread * job->scratch_size;
    return (Head){job, document, first, length, item % job->heads, stretch(length), pad(job->width),
                  scratch};
}

static float *carve_floats(Head *h, int rows, int columns) {
    float *begin = h->scratch;
    h->scratch += (long)rows * columns;
    return begin;
}

// Copy part 0, 1 or 2 (queries, keys, values) with its bias, times `factor`; [tall][wide], or
// transposed [wide][tall].
static float *unpack(Head *h, int part, float factor, int transposed) {
    const AttendJob *job = h->job;
    int d = job->width, tall = h->tall, wide = h->wide;
    long row = 3L * job->heads * d, at = ((long)part * job->heads + h->head) * d;
    float *out = carve_floats(h, tall, wide);
    memset(out, 0, (size_t)tall * (size_t)wide * 4);
    for (int r = 0; r < h->length; r++) {
        const void *x = row_at(job->qkv, 1, (h->first + r) * row + at, job->narrow);
        for (int i = 0; i < d; i += LANES) {
            vf value = job->narrow ? take(x, i, d, 1) : take(x, i, d, 0);
            value = (value + take(job->bias + at, i, d, 0)) * factor;
            if (transposed)
                for (int j = 0; j < LANES && i + j < d; j++)
                    out[(long)(i + j) * tall + r] = value[j];
            else
                put(out + (long)r * wide, i, d, 0, value);
        }
    }
    return out;
}

INLINE void *mixed_row(const Head *h, const void *x, int r) {
    const AttendJob *job = h->job;
    return row_at(x, 1, ((long)(h->first + r) * job->heads + h->head) * job->width, job->narrow);
}

static void attend_head(void *data, int item, int thread) {
    const AttendJob *job = data;
    Head h = head_of(job, item, thread);
    int d = job->width, tall = h.tall, wide = h.wide;
    float *q = unpack(&h, 0, job->scale, 0), *kt = unpack(&h, 1, 1, 1), *v = unpack(&h, 2, 1, 0);
    float *score = carve_floats(&h, QUERY_ROWS, tall), *out = carve_floats(&h, QUERY_ROWS, wide);
    for (int begin = 0; begin < h.length; begin += QUERY_ROWS) {
        int rows = at_most(QUERY_ROWS, h.length - begin), columns = pad(begin + rows);
        multiply_tiles(q + (long)begin * wide, wide, 1, kt, tall, QUERY_ROWS, d, columns, score,
                       tall, 0);
        float scale[QUERY_ROWS];
        for (int r = 0; r < rows; r++) {
            float *s = score + (long)r * tall;
            int seen = begin + r + 1, i;
            for (i = seen; i < columns; i++) s[i] = -INFINITY;
            vf most = load(s), sum = splat(0);
            for (i = LANES; i < columns; i += LANES) most = largest(most, load(s + i));
            float peak = max_of(most);
            for (i = 0; i < columns; i += LANES) {
                vf e = exponential(load(s + i) - peak);
                store(s + i, e);
                sum += e;
            }
            for (i = seen; i < columns; i++) s[i] = 0;
            float total = sum_of(sum);
            scale[r] = 1 / total;
            job->sums[(long)(h.first + begin + r) * job->heads + h.head] = peak + logf(total);
        }
        multiply_tiles(score, tall, 1, v, wide, QUERY_ROWS, begin + rows, wide, out, wide, 0);
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < d; i += LANES) {
                vf value = load(out + (long)r * wide + i) * scale[r];
                void *mixed = mixed_row(&h, job->mixed, begin + r);
                if (job->narrow)
                    put(mixed, i, d, 1, value);
                else
                    put(mixed, i, d, 0, value);
            }
    }
}

// Write the slopes of part 0, 1 or 2 of rows from `begin` on, times `factor`, and add them up.
static void pack_slopes(const Head *h, int part, int begin, int rows, const float *x, float factor) {
    const AttendJob *job = h->job;
    int d = job->width, row_width = 3 * job->heads * d;
    long at = ((long)part * job->heads + h->head) * d;
    float *sum = job->part + (long)h->document * row_width + at;
    for (int r = 0; r < rows; r++) {
        long row = (long)(h->first + begin + r) * row_width;
        void *out = row_at(job->qkv_slope, 1, row + at, job->narrow);
        for (int i = 0; i < d; i += LANES) {
            vf value = load(x + (long)r * h->wide + i) * factor;
            add_to(sum, i, d, value);
            if (job->narrow)
                put(out, i, d, 1, value);
            else
                put(out, i, d, 0, value);
        }
    }
}

// With p = softmax(s): slope of s = p (slope of p - sum over keys of p slope of p), and the last
// sum is the dot product of what was mixed and its slope.
static void attend_head_backward(void *data, int item, int thread) {
    const AttendJob *job = data;
    Head h = head_of(job, item, thread);
    int d = job->width, tall = h.tall, wide = h.wide;
    float *q = unpack(&h, 0, job->scale, 0), *k = unpack(&h, 1, 1, 0), *kt = unpack(&h, 1, 1, 1);
    float *vt = unpack(&h, 2, 1, 1);
    float *k_slope = carve_floats(&h, tall, wide), *v_slope = carve_floats(&h, tall, wide);
    memset(k_slope, 0, (size_t)tall * (size_t)wide * 2 * 4);
    float *p = carve_floats(&h, QUERY_ROWS, tall), *ds = carve_floats(&h, QUERY_ROWS, tall);
    float *slope = carve_floats(&h, QUERY_ROWS, wide), *q_slope = carve_floats(&h, QUERY_ROWS, wide);
    for (int begin = 0; begin < h.length; begin += QUERY_ROWS) {
        int rows = at_most(QUERY_ROWS, h.length - begin), columns = pad(begin + rows);
        float dot[QUERY_ROWS];
        memset(slope, 0, (size_t)wide * QUERY_ROWS * 4);
        for (int r = 0; r < rows; r++) {
            const void *from = mixed_row(&h, job->slope, begin + r);
            const void *mixed = mixed_row(&h, job->mixed, begin + r);
            vf sum = splat(0);
            for (int i = 0; i < d; i += LANES) {
                vf value = job->narrow ? take(from, i, d, 1) : take(from, i, d, 0);
                sum += value * (job->narrow ? take(mixed, i, d, 1) : take(mixed, i, d, 0));
                put(slope + (long)r * wide, i, d, 0, value);
            }
            dot[r] = sum_of(sum);
        }
        const float *queries = q + (long)begin * wide;
        multiply_tiles(queries, wide, 1, kt, tall, QUERY_ROWS, d, columns, p, tall, 0);
        multiply_tiles(slope, wide, 1, vt, tall, QUERY_ROWS, d, columns, ds, tall, 0);
        for (int r = 0; r < QUERY_ROWS; r++) {
            float *p_row = p + (long)r * tall, *ds_row = ds + (long)r * tall;
            int seen = r < rows ? begin + r + 1 : 0, i;
            float sum = r < rows ? job->sums[(long)(h.first + begin + r) * job->heads + h.head] : 0;
            for (i = 0; i < seen; i += LANES) {
                vf e = exponential(load(p_row + i) - sum);
                store(p_row + i, e);
                store(ds_row + i, e * (load(ds_row + i) - dot[r]));
            }
            for (i = seen; i < columns; i++) p_row[i] = ds_row[i] = 0;
        }
        int seen = begin + rows;
        multiply_tiles(p, 1, tall, slope, wide, columns, rows, wide, v_slope, wide, 1);
        multiply_tiles(ds, 1, tall, queries, wide, columns, rows, wide, k_slope, wide, 1);
        multiply_tiles(ds, tall, 1, k, wide, QUERY_ROWS, seen, wide, q_slope, wide, 0);
        pack_slopes(&h, 0, begin, rows, q_slope, job->scale);
    }
    pack_slopes(&h, 1, 0, h.length, k_slope, 1);
    pack_slopes(&h, 2, 0, h.length, v_slope, 1);
}

// Return the floats that a thread needs for a document of this length, backward.
INLINE long attend_scratch(int length, int width) {
    long tall = stretch(length), wide = pad(width);
    return 6 * tall * wide + 2 * QUERY_ROWS * (tall + wide);
}
