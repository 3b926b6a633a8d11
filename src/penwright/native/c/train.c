// Kernels of a training step: what is not a matrix product, forward and backward. This file is
// compiled once for each instruction set, with VARIANT as the ending of its public names.
//
// Those that sum over rows or documents return OUT_OF_MEMORY when there is no room for it, else 0.
#include "flash.h"
#include "updates.h"

#define JOIN(name, variant) pw_##name##_##variant
#define EXPAND(name, variant) JOIN(name, variant)
#define PUBLIC(name) EXPAND(name, VARIANT)

// total = x + added + bias where there is something added; y = norm of that where there is a gain.
void PUBLIC(norm)(Pool *pool, int rows, int width, int narrow, const float *x, const void *added,
                  const float *bias, float *total, const float *gain, const float *shift,
                  float epsilon, void *y, float *stats) {
    NormJob job = {.rows = rows, .width = width, .narrow = narrow, .epsilon = epsilon, .x = x,
                   .added = added, .bias = bias, .total = total, .gain = gain, .shift = shift,
                   .y = y, .stats = stats};
    pool_run(pool, norm_block, &job, blocks_of(rows), 1);
}

// x_grad = grad + what flows through the norm. Writes a narrow copy of it and the norm's result
// where wanted, and sums over rows [3, width]: the gradients of gain and shift, and of x_grad.
int PUBLIC(norm_backward)(Pool *pool, int rows, int width, int narrow, const void *y_grad,
                          const float *x, const float *gain, const float *shift, float *stats,
                          const float *grad, float *x_grad, void *copy, void *y, float *sums) {
    int blocks = blocks_of(rows);
    NormJob job = {.rows = rows, .width = width, .narrow = narrow, .x = x, .gain = gain,
                   .shift = shift, .stats = stats, .y = y, .y_grad = y_grad, .grad = grad,
                   .x_grad = x_grad, .copy = copy};
    job.part = pool_scratch(pool, (size_t)blocks * 3 * (size_t)width * 4);
    if (!job.part) return OUT_OF_MEMORY;
    pool_run(pool, norm_block_backward, &job, blocks, 1);
    sum_blocks(pool, job.part, blocks, 3 * width, sums);
    return 0;
}

// y = GELU(x + bias)
void PUBLIC(gelu)(Pool *pool, int rows, int width, int narrow, int tanh, const void *x,
                  const float *bias, void *y) {
    GeluJob job = {rows, width, narrow, tanh, x, bias, y, NULL, NULL};
    pool_run(pool, gelu_block, &job, blocks_of(rows), 1);
}

// The gradient of y becomes that of x; also computes y again, and the gradient of the bias.
int PUBLIC(gelu_backward)(Pool *pool, int rows, int width, int narrow, int tanh, const void *x,
                          const float *bias, void *y, void *grad, float *bias_grad) {
    int blocks = blocks_of(rows);
    float *part = pool_scratch(pool, (size_t)blocks * (size_t)width * 4);
    if (!part) return OUT_OF_MEMORY;
    GeluJob job = {rows, width, narrow, tanh, x, bias, y, grad, part};
    pool_run(pool, gelu_block_backward, &job, blocks, 1);
    sum_blocks(pool, part, blocks, width, bias_grad);
    return 0;
}

// sums = sum over the rows of a gradient; `copy` is the gradient in bfloat16, where wanted.
int PUBLIC(sum_rows)(Pool *pool, int rows, int width, const float *grad, void *copy, float *sums) {
    int blocks = blocks_of(rows);
    float *part = pool_scratch(pool, (size_t)blocks * (size_t)width * 4);
    if (!part) return OUT_OF_MEMORY;
    GradientJob job = {rows, width, grad, copy, part};
    pool_run(pool, grad_block, &job, blocks, 1);
    sum_blocks(pool, part, blocks, width, sums);
    return 0;
}

// y = x - less, in bfloat16
void PUBLIC(narrow)(Pool *pool, int rows, int width, const float *x, const float *less, void *y) {
    NarrowJob job = {rows, width, x, less, y};
    pool_run(pool, narrow_block, &job, blocks_of(rows), 1);
}

// y = x transposed
void PUBLIC(transpose)(Pool *pool, int rows, int width, long stride, const float *x, float *y) {
    TransposeJob job = {x, y, rows, width, stride};
    pool_run(pool, transpose_band, &job, (rows + SIDE - 1) / SIDE, 1);
}

static int longest(const int32_t *offsets, int documents) {
    int most = 0;
    for (int i = 0; i < documents; i++)
        most = offsets[i + 1] - offsets[i] > most ? offsets[i + 1] - offsets[i] : most;
    return most;
}

static int run_attend(Pool *pool, AttendJob *job, Work work, float *sums) {
    job->kind = !job->narrow ? FLOATS : has_dot_bf16() ? FAST_PAIRS : PAIRS;
    job->scratch_size = attend_scratch(longest(job->offsets, job->documents), job->width);
    long row = 3L * job->heads * job->width, parts = sums ? job->documents * row : 0;
    long floats = job->scratch_size * pool_threads(pool) + parts;
    job->scratch = pool_scratch(pool, (size_t)floats * 4);
    if (!job->scratch) return OUT_OF_MEMORY;
    job->part = (float *)job->scratch + job->scratch_size * pool_threads(pool);
    memset(job->part, 0, (size_t)parts * 4);
    pool_run(pool, work, job, job->documents * job->heads, 1);
    if (sums) sum_blocks(pool, job->part, job->documents, (int)row, sums);
    return 0;
}

int PUBLIC(attend)(Pool *pool, int documents, int heads, int width, int narrow, float scale,
                   const int32_t *offsets, const void *qkv, const float *bias, void *mixed,
                   float *sums) {
    AttendJob job = {documents, heads, width, narrow, scale, offsets, qkv, bias, mixed, sums,
                     NULL, NULL, NULL, NULL, 0, 0};
    return run_attend(pool, &job, attend_head, NULL);
}

int PUBLIC(attend_backward)(Pool *pool, int documents, int heads, int width, int narrow,
                            float scale, const int32_t *offsets, const void *qkv,
                            const float *bias, void *mixed, float *sums, const void *grad,
                            void *qkv_grad, float *bias_grad) {
    AttendJob job = {documents, heads, width, narrow, scale, offsets, qkv, bias, mixed, sums,
                     grad, qkv_grad, NULL, NULL, 0, 0};
    return run_attend(pool, &job, attend_head_backward, bias_grad);
}

// Logits become the gradients of the loss; logp is the log of each target's probability.
void PUBLIC(loss)(Pool *pool, int rows, int width, int narrow, void *logits,
                  const int64_t *targets, float *logp) {
    LossJob job = {width, narrow, logits, targets, logp};
    pool_run(pool, loss_item, &job, rows, 4);
}

// sum += x
void PUBLIC(accumulate)(Pool *pool, long n, int narrow, float *sum, const void *x) {
    AddJob job = {sum, x, n, narrow};
    pool_run(pool, add_item, &job, (int)((n + CHUNK - 1) / CHUNK), 1);
}

static int items_of(const Tensor *tensors, int count) {
    const Tensor *last = &tensors[count - 1];
    return last->first + (int)((last->n + CHUNK - 1) / CHUNK);
}

// Return the sum of squares of all gradients, negative without memory.
double PUBLIC(squares)(Pool *pool, const Tensor *tensors, int count) {
    int items = items_of(tensors, count);
    UpdateJob job = {.tensors = tensors, .count = count};
    job.squares = pool_scratch(pool, (size_t)items * sizeof(double));
    if (!job.squares) return OUT_OF_MEMORY;
    pool_run(pool, square_item, &job, items, 1);
    double sum = 0;
    for (int i = 0; i < items; i++) sum += job.squares[i];
    return sum;
}

// Take a step of AdamW with the gradients times `share`, and write the copies.
void PUBLIC(update)(Pool *pool, const Tensor *tensors, int count, float share, float beta1,
                    float beta2, float epsilon) {
    UpdateJob job = {tensors, count, share, beta1, beta2, epsilon, NULL};
    pool_run(pool, update_item, &job, items_of(tensors, count), 1);
}
