// The two ends of a training step: the loss over a vocabulary, and the update of the weights.
#pragma once

#include "rows.h"

enum { CHUNK = 1 << 15 };  // weights of an item

// ---- the loss -------------------------------------------------------------------------------

typedef struct {
    int width, narrow;
    void *logits;  // [rows, width]: become softmax - onehot(target), zero where target is negative
    const int64_t *targets;
    float *logp;  // [rows]: log of the target's probability, or zero
} LossJob;

INLINE void loss_row(const LossJob *job, int row, const int narrow) {
    int n = job->width;
    long target = job->targets[row];
    void *x = row_at(job->logits, row, n, narrow);
    job->logp[row] = 0;
    if (target < 0) {
        memset(x, 0, (size_t)n * (narrow ? 2 : 4));
        return;
    }
    // Four sums, so that an addition does not wait for the one before.
    int whole = n / (4 * LANES) * 4 * LANES;
    vf most = splat(-INFINITY), sum[4] = {splat(0), splat(0), splat(0), splat(0)};
    float peak = -INFINITY, total = 0;
    for (int i = 0; i < whole; i += LANES) most = largest(most, take(x, i, n, narrow));
    for (int i = whole; i < n; i++) {
        float value = narrow ? from_bf16(((uint16_t *)x)[i]) : ((float *)x)[i];
        peak = value > peak ? value : peak;
    }
    float other = max_of(most);
    peak = other > peak ? other : peak;
    for (int i = 0; i < whole; i += 4 * LANES)
        _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++)
            sum[j] += exponential(take(x, i + j * LANES, n, narrow) - peak);
    for (int i = whole; i < n; i += LANES) {
        vf e = exponential(take(x, i, n, narrow) - peak);
        for (int j = 0; j < LANES && i + j < n; j++) total += e[j];
    }
    total += sum_of(sum[0] + sum[1]) + sum_of(sum[2] + sum[3]);
    float wanted = narrow ? from_bf16(((uint16_t *)x)[target]) : ((float *)x)[target];
    float share = 1 / total, logp = wanted - peak - logf(total);
    for (int i = 0; i < n; i += LANES)
        put(x, i, n, narrow, exponential(take(x, i, n, narrow) - peak) * share);
    // 1 is subtracted before the result is rounded.
    if (narrow)
        ((uint16_t *)x)[target] = to_bf16(expm1f(logp));
    else
        ((float *)x)[target] = expm1f(logp);
    job->logp[row] = logp;
}

static void loss_item(void *data, int item, int thread) {
    (void)thread;
    const LossJob *job = data;
    if (job->narrow)
        loss_row(job, item, 1);
    else
        loss_row(job, item, 0);
}

// sum += x
typedef struct {
    float *sum;
    const void *x;
    long n;
    int narrow;
} AddJob;

static void add_item(void *data, int item, int thread) {
    (void)thread;
    const AddJob *job = data;
    long first = (long)item * CHUNK, last = first + CHUNK < job->n ? first + CHUNK : job->n;
    const uint16_t *half = job->x;
    const float *wide = job->x;
    if (job->narrow)
        for (long i = first; i < last; i++) job->sum[i] += from_bf16(half[i]);
    else
        for (long i = first; i < last; i++) job->sum[i] += wide[i];
}

// ---- weights --------------------------------------------------------------------------------

// A tensor that is trained; Python's Weights in native/kernels.py mirrors it.
typedef struct {
    float *weight;
    const void *gradient;  // narrow: bfloat16
    float *mean, *square;
    uint16_t *copy;  // in bfloat16, or NULL
    int64_t n;
    float decay;   // 1 - rate * weight decay
    int32_t narrow, first;  // first: its first item
    float rate, root;  // rate / (1 - beta1^t), sqrt(1 - beta2^t)
} Tensor;

typedef struct {
    const Tensor *tensors;
    int count;
    float share, beta1, beta2, epsilon;
    double *squares;  // [items]
} UpdateJob;

// Return the tensor of an item, and the range of its weights.
INLINE const Tensor *find_tensor(const UpdateJob *job, int item, long *first, long *last) {
    int low = 0, high = job->count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (job->tensors[middle].first <= item)
            low = middle;
        else
            high = middle - 1;
    }
    const Tensor *t = &job->tensors[low];
    *first = (long)(item - t->first) * CHUNK;
    *last = *first + CHUNK < t->n ? *first + CHUNK : t->n;
    return t;
}

static void square_item(void *data, int item, int thread) {
    (void)thread;
    const UpdateJob *job = data;
    long first, last;
    const Tensor *t = find_tensor(job, item, &first, &last);
    vf sum[4] = {splat(0), splat(0), splat(0), splat(0)};
    for (long i = first; i < last; i += 4 * LANES)
        for (int j = 0; j < 4; j++) {
            long at = i + j * LANES;
            if (at >= last) break;
            vf g = t->narrow ? take(t->gradient, at, last, 1) : take(t->gradient, at, last, 0);
            sum[j] += g * g;
        }
    job->squares[item] = (double)sum_of(sum[0] + sum[1]) + (double)sum_of(sum[2] + sum[3]);
}

// AdamW (Loshchilov and Hutter, 2019), in the order of torch's fused kernel.
INLINE void update_weights(const UpdateJob *job, const Tensor *t, long first, long last,
                           const int narrow, const int copy) {
    float *restrict weight = t->weight, *restrict mean = t->mean, *restrict square = t->square;
    const float *restrict wide = t->gradient;
    const uint16_t *restrict half = t->gradient;
    uint16_t *restrict copies = t->copy;
    float share = job->share, beta1 = job->beta1, beta2 = job->beta2, epsilon = job->epsilon;
    float decay = t->decay, rate = t->rate, root = t->root;
    for (long i = first; i < last; i++) {
        float g = (narrow ? from_bf16(half[i]) : wide[i]) * share;
        float m = mean[i] + (g - mean[i]) * (1 - beta1);
        float s = square[i] * beta2 + g * g * (1 - beta2);
        float w = weight[i] * decay - rate * m / (sqrtf(s) / root + epsilon);
        mean[i] = m;
        square[i] = s;
        weight[i] = w;
        if (copy) copies[i] = to_bf16(w);
    }
}

static void update_item(void *data, int item, int thread) {
    (void)thread;
    const UpdateJob *job = data;
    long first, last;
    const Tensor *t = find_tensor(job, item, &first, &last);
    if (t->narrow)
        t->copy ? update_weights(job, t, first, last, 1, 1)
                : update_weights(job, t, first, last, 1, 0);
    else
        t->copy ? update_weights(job, t, first, last, 0, 1)
                : update_weights(job, t, first, last, 0, 0);
}
