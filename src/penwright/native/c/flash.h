// Causal attention within documents, forward and backward, for one head of one document at a time.
//
// Scores of QUERY_ROWS rows exist at once, in float32 and in the cache; the backward pass computes
// them again from the logarithm of each row's sum (Dao et al., "FlashAttention", 2022). Rows and
// columns are padded to a multiple of 32, so products need no remainders. Products read words of 32
// bits: a float or, when `narrow`, two bfloat16 that are neighbours in the sum.
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
    const void *grad;        // of mixed
    void *qkv_grad;
    float *part;             // [documents, 3, heads, width]: sums of qkv_grad
    void *scratch;           // of each thread
    long scratch_size;       // in words
    int kind;
} AttendJob;

// Words of a product; fast ones are multiplied by one instruction.
enum { FLOATS, PAIRS, FAST_PAIRS };

#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)

INLINE vf add_product(vf sum, int32_t a, vi b, const int kind) {
    if (kind == FLOATS) return sum + (vf)splat_int(a) * (vf)b;
    if (kind == FAST_PAIRS) return dot_bf16(sum, splat_int(a), b);
    sum += (vf)(splat_int(a) << 16) * (vf)(b << 16);
    return sum + (vf)(splat_int(a) & -65536) * (vf)(b & -65536);
}

// c[TILE_ROWS][TILE_COLUMNS] = or += a . b, where a(r, k) = a[r * a_row + k * a_step].
INLINE void tile(const int32_t *a, long a_row, long a_step, const int32_t *b, long b_row, int depth,
                 float *c, long c_row, int add, const int kind) {
    vf sum[TILE_ROWS][2];
    EACH(r, TILE_ROWS) EACH(v, 2) sum[r][v] = add ? load(c + r * c_row + v * LANES) : splat(0);
    for (int k = 0; k < depth; k++) {
        vi first = load_int(b + k * b_row), second = load_int(b + k * b_row + LANES);
        EACH(r, TILE_ROWS) {
            int32_t word = a[r * a_row + k * a_step];
            sum[r][0] = add_product(sum[r][0], word, first, kind);
            sum[r][1] = add_product(sum[r][1], word, second, kind);
        }
    }
    EACH(r, TILE_ROWS) EACH(v, 2) store(c + r * c_row + v * LANES, sum[r][v]);
}

// c[rows][columns] = or += a . b, over `depth` words; rows and columns are multiples of the tile's.
static void multiply_tiles(int kind, const int32_t *a, long a_row, long a_step, const int32_t *b,
                           long b_row, int rows, int depth, int columns, float *c, long c_row,
                           int add) {
    for (int j = 0; j < columns; j += TILE_COLUMNS)
        for (int i = 0; i < rows; i += TILE_ROWS) {
            const int32_t *from = a + i * a_row;
            float *to = c + i * c_row + j;
            if (kind == FLOATS)
                tile(from, a_row, a_step, b + j, b_row, depth, to, c_row, add, FLOATS);
            else if (kind == FAST_PAIRS)
                tile(from, a_row, a_step, b + j, b_row, depth, to, c_row, add, FAST_PAIRS);
            else
                tile(from, a_row, a_step, b + j, b_row, depth, to, c_row, add, PAIRS);
        }
}

INLINE int pad(int n) { return (n + 31) / 32 * 32; }

// The distance of rows as long as a document: a power of two would crowd a few sets of the cache.
INLINE int stretch(int n) { return pad(n) + 16; }

// Return the words that n numbers take.
INLINE int words(int n, const int narrow) { return narrow ? (n + 1) / 2 : n; }

// A head of a document: its rows, and where its scratch begins.
typedef struct {
    const AttendJob *job;
    int document, first, length, head, tall, wide;  // tall, wide: length and width, padded
    int32_t *scratch;
} Head;

static Head head_of(const AttendJob *job, int item, int thread) {
    int document = item / job->heads, first = job->offsets[document];
    int length = job->offsets[document + 1] - first;
    int32_t *scratch = (int32_t *)job->scratch + thread * job->scratch_size;
    return (Head){job, document, first, length, item % job->heads, stretch(length), pad(job->width),
                  scratch};
}

static void *carve_words(Head *h, int rows, int columns) {
    int32_t *begin = h->scratch;
    h->scratch += (long)rows * columns;
    return begin;
}

// Have the row AHEAD rows after x brought into the cache: those of a head lie far apart, where the
// processor does not foresee them.
INLINE void prefetch_row(const void *x, long row, int width, const int narrow) {
    enum { AHEAD = 8, LINE = 64 };
    const char *next = row_at(x, AHEAD, row, narrow);
    for (int i = 0; i < width * (narrow ? 2 : 4); i += LINE) __builtin_prefetch(next + i);
}

// Copy part 0, 1 or 2 (queries, keys, values) with its bias, times `factor`: [tall][wide].
INLINE int32_t *unpack(Head *h, int part, float factor, const int narrow) {
    const AttendJob *job = h->job;
    int d = job->width, wide = h->wide;
    long row = 3L * job->heads * d, at = ((long)part * job->heads + h->head) * d;
    int32_t *out = carve_words(h, h->tall, words(wide, narrow));
    for (int r = 0; r < h->length; r++) {
        const void *x = row_at(job->qkv, 1, (h->first + r) * row + at, narrow);
        void *to = row_at(out, r, wide, narrow);
        prefetch_row(x, row, d, narrow);
        for (int i = 0; i < wide; i += LANES)
            put(to, i, wide, narrow,
                (take(x, i, d, narrow) + take(job->bias + at, i, d, 0)) * factor);
    }
    int32_t *end = out + (long)h->length * words(wide, narrow);
    memset(end, 0, (size_t)((char *)h->scratch - (char *)end));
    return out;
}

// Return x[tall][wide] transposed, so that sums are over its columns.
INLINE int32_t *transpose(Head *h, const int32_t *x, const int narrow) {
    int columns = words(h->wide, narrow), tall = h->tall;
    int32_t *out = carve_words(h, columns, tall);
    for (int r = 0; r < tall; r += LANES)
        for (int i = 0; i < columns; i++)
            EACH(j, LANES) out[(long)i * tall + r + j] = x[(long)(r + j) * columns + i];
    return out;
}

// Return x[rows][columns], whose rows are `stride` words apart, so that sums are over its rows.
INLINE int32_t *pair_rows(Head *h, int32_t *x, long stride, int rows, int columns,
                          const int narrow) {
    if (!narrow) return x;
    int32_t *out = carve_words(h, rows / 2, columns);
    for (int r = 0; r < rows; r += 2) {
        const void *even = x + r * stride, *odd = x + (r + 1) * stride;
        for (int i = 0; i < columns; i += LANES)
            store((float *)out + (long)r / 2 * columns + i,
                  (vf)((vu)take(even, i, columns, 1) >> 16 | (vu)take(odd, i, columns, 1)));
    }
    return out;
}

INLINE void *mixed_row(const Head *h, const void *x, int r, const int narrow) {
    const AttendJob *job = h->job;
    return row_at(x, 1, ((long)(h->first + r) * job->heads + h->head) * job->width, narrow);
}

// Return a mask of the first n lanes.
INLINE vi first_lanes(int n) {
    vi lane;
    EACH(j, LANES) lane[j] = j;
    return lane < splat_int(n);
}

INLINE void attend_one(const AttendJob *job, int item, int thread, const int narrow) {
    Head h = head_of(job, item, thread);
    int d = job->width, tall = h.tall, wide = h.wide, row = words(wide, narrow);
    int32_t *q = unpack(&h, 0, job->scale, narrow), *k = unpack(&h, 1, 1, narrow);
    int32_t *kt = transpose(&h, k, narrow), *v = unpack(&h, 2, 1, narrow);
    v = pair_rows(&h, v, row, tall, wide, narrow);
    float *score = carve_words(&h, QUERY_ROWS, tall), *out = carve_words(&h, QUERY_ROWS, wide);
    for (int begin = 0; begin < h.length; begin += QUERY_ROWS) {
        int rows = at_most(QUERY_ROWS, h.length - begin), columns = pad(begin + rows);
        multiply_tiles(job->kind, q + (long)begin * row, row, 1, kt, tall, QUERY_ROWS,
                       words(d, narrow), columns, score, tall, 0);
        float scale[QUERY_ROWS];
        for (int r = 0; r < rows; r++) {
            float *s = score + (long)r * tall;
            int seen = begin + r + 1;
            vf most = splat(-INFINITY), sum = splat(0);
            for (int i = 0; i < seen; i += LANES)
                most = largest(most, choose(first_lanes(seen - i), load(s + i), most));
            float peak = max_of(most);
            for (int i = 0; i < columns; i += LANES) {
                vf e = exponential(load(s + i) - peak);
                e = choose(first_lanes(seen - i), e, splat(0));
                put(s, i, columns, narrow, e);
                sum += e;
            }
            float total = sum_of(sum);
            scale[r] = 1 / total;
            job->sums[(long)(h.first + begin + r) * job->heads + h.head] = peak + logf(total);
        }
        multiply_tiles(job->kind, (int32_t *)score, tall, 1, v, wide, QUERY_ROWS,
                       words(begin + rows, narrow), wide, out, wide, 0);
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < d; i += LANES)
                put(mixed_row(&h, job->mixed, begin + r, narrow), i, d, narrow,
                    load(out + (long)r * wide + i) * scale[r]);
    }
}

static void attend_head(void *data, int item, int thread) {
    const AttendJob *job = data;
    job->narrow ? attend_one(job, item, thread, 1) : attend_one(job, item, thread, 0);
}

// Write the gradients of part 0, 1 or 2 of rows from `begin` on, times `factor`, and add them up.
INLINE void pack_grads(const Head *h, int part, int begin, int rows, const float *x, float factor,
                       const int narrow) {
    const AttendJob *job = h->job;
    int d = job->width;
    long row_width = 3L * job->heads * d;
    long at = ((long)part * job->heads + h->head) * d;
    float *sum = job->part + (long)h->document * row_width + at;
    for (int r = 0; r < rows; r++) {
        void *out = row_at(job->qkv_grad, 1, (h->first + begin + r) * row_width + at, narrow);
        prefetch_row(out, row_width, d, narrow);
        for (int i = 0; i < d; i += LANES) {
            vf value = load(x + (long)r * h->wide + i) * factor;
            add_to(sum, i, d, value);
            put(out, i, d, narrow, value);
        }
    }
}

// With p = softmax(s) and dp the gradient of p: the gradient of s is p (dp - sum over keys of p dp),
// and that sum is the dot product of what was mixed and its gradient.
INLINE void attend_one_backward(const AttendJob *job, int item, int thread, const int narrow) {
    Head h = head_of(job, item, thread);
    int tall = h.tall, wide = h.wide, row = words(wide, narrow), depth = words(job->width, narrow);
    int32_t *q = unpack(&h, 0, job->scale, narrow), *k = unpack(&h, 1, 1, narrow);
    int32_t *kt = transpose(&h, k, narrow), *vt = transpose(&h, unpack(&h, 2, 1, narrow), narrow);
    int32_t *q_pairs = pair_rows(&h, q, row, tall, wide, narrow);
    k = pair_rows(&h, k, row, tall, wide, narrow);
    float *k_grad = carve_words(&h, tall, wide), *v_grad = carve_words(&h, tall, wide);
    memset(k_grad, 0, (size_t)tall * (size_t)wide * 2 * 4);
    float *p = carve_words(&h, QUERY_ROWS, tall), *ds = carve_words(&h, QUERY_ROWS, tall);
    float *q_grad = carve_words(&h, QUERY_ROWS, wide);
    int32_t *grad = carve_words(&h, QUERY_ROWS, row);
    for (int begin = 0; begin < h.length; begin += QUERY_ROWS) {
        Head block = h;  // its scratch ends with the block
        int rows = at_most(QUERY_ROWS, h.length - begin), columns = pad(begin + rows);
        float dot[QUERY_ROWS] = {0};
        memset(grad, 0, (size_t)row * QUERY_ROWS * 4);
        for (int r = 0; r < rows; r++) {
            const void *from = mixed_row(&h, job->grad, begin + r, narrow);
            const void *mixed = mixed_row(&h, job->mixed, begin + r, narrow);
            prefetch_row(from, (long)job->heads * job->width, job->width, narrow);
            prefetch_row(mixed, (long)job->heads * job->width, job->width, narrow);
            vf sum = splat(0);
            for (int i = 0; i < wide; i += LANES) {
                vf value = take(from, i, job->width, narrow);
                sum += value * take(mixed, i, job->width, narrow);
                put(grad + (long)r * row, i, wide, narrow, value);
            }
            dot[r] = sum_of(sum);
        }
        multiply_tiles(job->kind, q + (long)begin * row, row, 1, kt, tall, QUERY_ROWS, depth,
                       columns, p, tall, 0);
        multiply_tiles(job->kind, grad, row, 1, vt, tall, QUERY_ROWS, depth, columns, ds, tall, 0);
        for (int r = 0; r < QUERY_ROWS; r++) {
            float *p_row = p + (long)r * tall, *ds_row = ds + (long)r * tall;
            int seen = r < rows ? begin + r + 1 : 0;
            float sum = r < rows ? job->sums[(long)(h.first + begin + r) * job->heads + h.head] : 0;
            for (int i = 0; i < columns; i += LANES) {
                vi mask = first_lanes(seen - i);
                vf e = exponential(load(p_row + i) - sum);
                vf s = e * (load(ds_row + i) - dot[r]);
                put(p_row, i, columns, narrow, choose(mask, e, splat(0)));
                put(ds_row, i, columns, narrow, choose(mask, s, splat(0)));
            }
        }
        int32_t *p_pairs = pair_rows(&block, (int32_t *)p, tall, QUERY_ROWS, columns, narrow);
        int32_t *ds_pairs = pair_rows(&block, (int32_t *)ds, tall, QUERY_ROWS, columns, narrow);
        int32_t *grads = pair_rows(&block, grad, row, QUERY_ROWS, wide, narrow);
        long step = narrow ? columns : tall;
        multiply_tiles(job->kind, p_pairs, 1, step, grads, wide, columns, words(rows, narrow),
                       wide, v_grad, wide, 1);
        multiply_tiles(job->kind, ds_pairs, 1, step, q_pairs + (long)words(begin, narrow) * wide,
                       wide, columns, words(rows, narrow), wide, k_grad, wide, 1);
        multiply_tiles(job->kind, (int32_t *)ds, tall, 1, k, wide, QUERY_ROWS,
                       words(begin + rows, narrow), wide, q_grad, wide, 0);
        pack_grads(&h, 0, begin, rows, q_grad, job->scale, narrow);
    }
    pack_grads(&h, 1, 0, h.length, k_grad, 1, narrow);
    pack_grads(&h, 2, 0, h.length, v_grad, 1, narrow);
}

static void attend_head_backward(void *data, int item, int thread) {
    const AttendJob *job = data;
    job->narrow ? attend_one_backward(job, item, thread, 1)
                : attend_one_backward(job, item, thread, 0);
}

// Return the words that a thread needs for a document of this length, backward.
INLINE long attend_scratch(int length, int width) {
    long tall = stretch(length), wide = pad(width);
    return 7 * tall * wide + QUERY_ROWS * (3 * tall + 2 * wide);
}
