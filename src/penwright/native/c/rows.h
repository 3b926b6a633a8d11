// Operations on rows of a batch, forward and backward: layer norm with a residual, GELU, sums.
//
// A tensor that a product reads or writes is float32 or, when `narrow`, bfloat16; all else is
// float32. Sums over rows are taken in blocks of BLOCK rows, then over the blocks in their order,
// so that results do not depend on the number of threads.
#pragma once

#include "penwright.h"
#include "vectors.h"

enum { BLOCK = 32, STRIP = 512 };  // rows of a block; columns of an item that adds up blocks

INLINE int at_most(int n, int most) { return n < most ? n : most; }
INLINE int blocks_of(int rows) { return (rows + BLOCK - 1) / BLOCK; }

// Return x[i .. i + LANES), zero from x[n] on.
INLINE vf take(const void *x, long i, long n, const int narrow) {
    if (i + LANES <= n)
        return narrow ? load_bf16((const uint16_t *)x + i) : load((const float *)x + i);
    float some[LANES] = {0};
    for (int j = 0; j < n - i; j++)
        some[j] = narrow ? from_bf16(((const uint16_t *)x)[i + j]) : ((const float *)x)[i + j];
    return load(some);
}

INLINE void put(void *x, long i, long n, const int narrow, vf value) {
    if (i + LANES <= n) {
        if (narrow)
            store_bf16((uint16_t *)x + i, value);
        else
            store((float *)x + i, value);
        return;
    }
    for (int j = 0; j < n - i; j++) {
        if (narrow)
            ((uint16_t *)x)[i + j] = to_bf16(value[j]);
        else
            ((float *)x)[i + j] = value[j];
    }
}

INLINE void *row_at(const void *x, long row, long width, int narrow) {
    return (char *)x + row * width * (narrow ? 2 : 4);
}

// ---- sums over rows -------------------------------------------------------------------------

typedef struct {
    const float *part;  // [blocks][width]
    float *sum;
    int blocks, width;
} Blocks;

static void add_blocks(void *data, int item, int thread) {
    (void)thread;
    const Blocks *job = data;
    int first = item * STRIP, last = at_most(first + STRIP, job->width);
    for (int i = first; i < last; i += LANES) {
        vf sum = splat(0);
        for (int block = 0; block < job->blocks; block++)
            sum += take(job->part + (long)block * job->width, i, job->width, 0);
        put(job->sum, i, last, 0, sum);
    }
}

static void sum_blocks(Pool *pool, const float *part, int blocks, int width, float *sum) {
    Blocks job = {part, sum, blocks, width};
    pool_run(pool, add_blocks, &job, (width + STRIP - 1) / STRIP, 4);
}

INLINE void add_to(float *sum, long i, long n, vf value) {
    put(sum, i, n, 0, take(sum, i, n, 0) + value);
}

// ---- layer norm -----------------------------------------------------------------------------

typedef struct {
    int rows, width, narrow;
    float epsilon;
    const float *x;      // [rows, width]
    const void *added;   // [rows, width], narrow if so, with its bias: x + added + bias is normed
    const float *bias;
    float *total;        // where that sum goes; only with `added`
    const float *gain, *shift;  // or NULL: no norm
    void *y;             // the norm's result, or NULL
    float *stats;        // [rows][2]: mean, 1 / deviation
    // Backward:
    const void *y_grad;
    const float *grad;  // what flows past the norm, and is added
    float *x_grad;
    void *copy;          // a narrow copy of x_grad, or NULL
    float *part;         // [blocks][3 * width]: sums of the gradients of gain, shift and `added`
} NormJob;

INLINE void norm_row(const NormJob *job, int row, const int narrow) {
    int n = job->width;
    const float *x = job->x + (long)row * n;
    if (job->added) {
        float *total = job->total + (long)row * n;
        const void *added = row_at(job->added, row, n, narrow);
        for (int i = 0; i < n; i += LANES)
            put(total, i, n, 0,
                take(x, i, n, 0) + take(added, i, n, narrow) + take(job->bias, i, n, 0));
        x = total;
    }
    if (!job->gain) return;
    vf sum = splat(0), square = splat(0);
    for (int i = 0; i < n; i += LANES) sum += take(x, i, n, 0);
    float mean = sum_of(sum) / (float)n;
    for (int i = 0; i < n; i += LANES) {
        vf d = take(x, i, n, 0) - mean;
        if (i + LANES > n)
            for (int j = n - i; j < LANES; j++) d[j] = 0;
        square += d * d;
    }
    float factor = 1 / sqrtf(sum_of(square) / (float)n + job->epsilon);
    void *y = row_at(job->y, row, n, narrow);
    for (int i = 0; i < n; i += LANES)
        put(y, i, n, narrow,
            (take(x, i, n, 0) - mean) * factor * take(job->gain, i, n, 0) +
                take(job->shift, i, n, 0));
    job->stats[2 * row] = mean;
    job->stats[2 * row + 1] = factor;
}

static void norm_block(void *data, int item, int thread) {
    (void)thread;
    const NormJob *job = data;
    int last = at_most((item + 1) * BLOCK, job->rows);
    for (int row = item * BLOCK; row < last; row++) {
        if (job->narrow)
            norm_row(job, row, 1);
        else
            norm_row(job, row, 0);
    }
}

// With h = (x - mean) factor and g = y_grad gain:
// x_grad = grad + factor (g - mean(g) - h mean(g h)).
INLINE void norm_row_backward(const NormJob *job, int row, float *part, const int narrow) {
    int n = job->width;
    const float *x = job->x + (long)row * n, *grad = job->grad + (long)row * n;
    const void *y_grad = row_at(job->y_grad, row, n, narrow);
    float mean = job->stats[2 * row], factor = job->stats[2 * row + 1];
    vf sum = splat(0), dot = splat(0);
    for (int i = 0; i < n; i += LANES) {
        vf dy = take(y_grad, i, n, narrow), h = (take(x, i, n, 0) - mean) * factor;
        vf gain = take(job->gain, i, n, 0), g = dy * gain;
        sum += g;
        dot += g * h;
        add_to(part, i, n, dy * h);
        add_to(part + n, i, n, dy);
        if (job->y)
            put(row_at(job->y, row, n, narrow), i, n, narrow,
                h * gain + take(job->shift, i, n, 0));
    }
    float mean_g = sum_of(sum) / (float)n, mean_gh = sum_of(dot) / (float)n;
    float *x_grad = job->x_grad + (long)row * n;
    for (int i = 0; i < n; i += LANES) {
        vf h = (take(x, i, n, 0) - mean) * factor;
        vf g = take(y_grad, i, n, narrow) * take(job->gain, i, n, 0);
        vf dx = take(grad, i, n, 0) + (g - mean_g - h * mean_gh) * factor;
        put(x_grad, i, n, 0, dx);
        add_to(part + 2 * n, i, n, dx);
        if (job->copy) put(row_at(job->copy, row, n, 1), i, n, 1, dx);
    }
}

static void norm_block_backward(void *data, int item, int thread) {
    (void)thread;
    const NormJob *job = data;
    int last = at_most((item + 1) * BLOCK, job->rows);
    long stride = 3L * job->width;
    float *part = job->part + item * stride;
    memset(part, 0, (size_t)stride * 4);
    for (int row = item * BLOCK; row < last; row++) {
        if (job->narrow)
            norm_row_backward(job, row, part, 1);
        else
            norm_row_backward(job, row, part, 0);
    }
}

// ---- GELU, and the gradient of a product ---------------------------------------------------

typedef struct {
    int rows, width, narrow, tanh;
    const void *x;      // what a product left, its bias not added yet
    const float *bias;
    void *y;            // GELU(x + bias)
    void *grad;         // backward, in place: of y, then of x
    float *part;        // [blocks][width]: sums of the gradient
} GeluJob;

INLINE void gelu_row(const GeluJob *job, int row, const int narrow, const int tanh) {
    int n = job->width;
    const void *x = row_at(job->x, row, n, narrow);
    void *y = row_at(job->y, row, n, narrow);
    for (int i = 0; i < n; i += LANES) {
        vf v = take(x, i, n, narrow) + take(job->bias, i, n, 0);
        put(y, i, n, narrow, tanh ? gelu_tanh(v) : gelu_erf(v));
    }
}

INLINE void gelu_row_backward(const GeluJob *job, int row, float *part, const int narrow,
                              const int tanh) {
    int n = job->width;
    const void *x = row_at(job->x, row, n, narrow);
    void *y = row_at(job->y, row, n, narrow), *grad = row_at(job->grad, row, n, narrow);
    for (int i = 0; i < n; i += LANES) {
        vf v = take(x, i, n, narrow) + take(job->bias, i, n, 0);
        vf by;
        put(y, i, n, narrow, tanh ? gelu_tanh_derivative(v, &by) : gelu_erf_derivative(v, &by));
        vf dx = take(grad, i, n, narrow) * by;
        put(grad, i, n, narrow, dx);
        add_to(part, i, n, dx);
    }
}

static void gelu_block(void *data, int item, int thread) {
    (void)thread;
    const GeluJob *job = data;
    int last = at_most((item + 1) * BLOCK, job->rows);
    for (int row = item * BLOCK; row < last; row++) {
        if (job->tanh)
            job->narrow ? gelu_row(job, row, 1, 1) : gelu_row(job, row, 0, 1);
        else
            job->narrow ? gelu_row(job, row, 1, 0) : gelu_row(job, row, 0, 0);
    }
}

static void gelu_block_backward(void *data, int item, int thread) {
    (void)thread;
    const GeluJob *job = data;
    int last = at_most((item + 1) * BLOCK, job->rows);
    float *part = job->part + (long)item * job->width;
    memset(part, 0, (size_t)job->width * 4);
    for (int row = item * BLOCK; row < last; row++) {
        if (job->tanh)
            job->narrow ? gelu_row_backward(job, row, part, 1, 1)
                        : gelu_row_backward(job, row, part, 0, 1);
        else
            job->narrow ? gelu_row_backward(job, row, part, 1, 0)
                        : gelu_row_backward(job, row, part, 0, 0);
    }
}

// Add up the rows of a gradient, and narrow it.
typedef struct {
    int rows, width;
    const float *grad;
    uint16_t *copy;  // or NULL
    float *part;     // [blocks][width]
} GradientJob;

static void grad_block(void *data, int item, int thread) {
    (void)thread;
    const GradientJob *job = data;
    int last = at_most((item + 1) * BLOCK, job->rows), n = job->width;
    float *part = job->part + (long)item * n;
    memset(part, 0, (size_t)n * 4);
    for (int row = item * BLOCK; row < last; row++)
        for (int i = 0; i < n; i += LANES) {
            vf dx = take(job->grad + (long)row * n, i, n, 0);
            add_to(part, i, n, dx);
            if (job->copy) put(job->copy + (long)row * n, i, n, 1, dx);
        }
}

// y = x - less, in bfloat16.
typedef struct {
    int rows, width;
    const float *x, *less;
    uint16_t *y;
} NarrowJob;

static void narrow_block(void *data, int item, int thread) {
    (void)thread;
    const NarrowJob *job = data;
    int last = at_most((item + 1) * BLOCK, job->rows), n = job->width;
    for (long row = (long)item * BLOCK; row < last; row++)
        for (int i = 0; i < n; i += LANES)
            put(job->y + row * n, i, n, 1,
                take(job->x + row * n, i, n, 0) - take(job->less, i, n, 0));
}

// ---- transposing ----------------------------------------------------------------------------

enum { SIDE = 32 };

typedef struct {
    const float *x;  // [rows, width], `stride` apart
    float *y;        // [width, rows]
    int rows, width;
    long stride;
} TransposeJob;

// An item is a band of SIDE rows, read a square at a time.
static void transpose_band(void *data, int item, int thread) {
    (void)thread;
    const TransposeJob *job = data;
    int first = item * SIDE, rows = at_most(SIDE, job->rows - first);
    for (int left = 0; left < job->width; left += SIDE) {
        int columns = at_most(SIDE, job->width - left);
        float square[SIDE][SIDE];
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < columns; i++)
                square[i][r] = job->x[(first + r) * job->stride + left + i];
        for (int i = 0; i < columns; i++)
            memcpy(job->y + (long)(left + i) * job->rows + first, square[i], (size_t)rows * 4);
    }
}
