// Write a matrix of floats in the layout of its type.
#pragma once

#include "products.h"

typedef struct {
    const Matrix *m;
    const float *w;  // output o of input i is w[o * across + i * down]
    long across, down;
} Packing;

INLINE vf to_int4(vf x) {  // the nearest value of INT4_VALUES
    vf nearest = splat((float)INT4_VALUES[0]);
    for (int i = 0; i < 15; i++) {
        float low = (float)INT4_VALUES[i], high = (float)INT4_VALUES[i + 1];
        nearest += choose(x > (low + high) / 2, splat(high - low), splat(0));
    }
    return nearest;
}

INLINE vi index_int4(vf x) {  // its place in the table
    vi index = splat_int(0);
    for (int i = 0; i < 15; i++)
        index -= x > (float)(INT4_VALUES[i] + INT4_VALUES[i + 1]) / 2;  // true is -1
    return index;
}

// Quantise a group of a row to 4 bits: of some scales that put its largest value near an end of
// the table, take the one with the smallest squared error, after refitting it to its own rounding.
static uint16_t fit_int4(const float *x, int8_t *index) {
    float peak = 0;
    for (int i = 0; i < GROUP; i++)
        if (fabsf(x[i]) > fabsf(peak)) peak = x[i];
    float best = INFINITY, scale = 0;
    for (int step = 0; step < 8 && fabsf(peak) > 1e-30f; step++) {
        float end = (float)INT4_VALUES[step < 4 ? 0 : 15] * (0.84f + 0.08f * (float)(step % 4));
        vf up = splat(0), down = splat(0), error = splat(0);
        for (int i = 0; i < GROUP; i += LANES) {
            vf value = to_int4(load(x + i) * (end / peak));
            up += value * load(x + i);
            down += value * value;
        }
        float refitted = from_bf16(to_bf16(sum_of(up) / sum_of(down)));
        for (int i = 0; i < GROUP; i += LANES) {
            vf off = to_int4(load(x + i) * (1 / refitted)) * refitted - load(x + i);
            error += off * off;
        }
        if (sum_of(error) < best) best = sum_of(error), scale = refitted;
    }
    for (int i = 0; i < GROUP; i += LANES)
        store_bytes(index + i, index_int4(load(x + i) * (scale != 0 ? 1 / scale : 0)));
    return to_bf16(scale);
}

static void pack_int8(const Matrix *m, const float *row, int output, uint8_t *panel) {
    float peak = 0;
    for (int i = 0; i < m->inputs; i++) peak = fmaxf(peak, fabsf(row[i]));
    ((float *)m->scale)[output] = peak / 127;
    for (int i = 0; i < m->padded; i++) {
        float value = peak > 0 ? row[i] * (127 / peak) : 0;
        panel[(i / 4 * PANEL + output % PANEL) * 4 + i % 4] = (uint8_t)(lrintf(value) + 128);
    }
}

static void pack_int4(const Matrix *m, const float *row, int output, uint8_t *panel) {
    int at = output % PANEL;
    for (int group = 0; group < m->padded / GROUP; group++, panel += INT4_BYTES) {
        int8_t q[GROUP];
        ((uint16_t *)(panel + GROUP * PANEL / 2))[at] = fit_int4(row + group * GROUP, q);
        for (int i = 0; i < GROUP / 2; i++) {
            int low = i / 4 * 8 + i % 4;
            panel[(i / 4 * PANEL + at) * 4 + i % 4] = (uint8_t)(q[low] | q[low + 4] << 4);
        }
    }
}

static void pack_panel(void *job, int number, int thread) {
    (void)thread;
    const Packing *p = job;
    const Matrix *m = p->m;
    char *panel = (char *)m->data + number * panel_bytes(m);
    int first = number * PANEL, n = m->outputs - first < PANEL ? m->outputs - first : PANEL;
    float *rows = calloc((size_t)m->padded * PANEL, 4);  // [PANEL][padded]
    if (p->across < p->down) {
        for (int i = 0; i < m->inputs; i++)
            for (int at = 0; at < n; at++)
                rows[at * m->padded + i] = p->w[(first + at) * p->across + i * p->down];
    } else {
        for (int at = 0; at < n; at++)
            for (int i = 0; i < m->inputs; i++)
                rows[at * m->padded + i] = p->w[(first + at) * p->across + i * p->down];
    }
    for (int at = 0; at < PANEL; at++) {
        const float *row = rows + at * m->padded;
        switch (m->type) {
        case F32:
            for (int i = 0; i < m->padded; i++) ((float *)panel)[i * PANEL + at] = row[i];
            break;
        case BF16:
            for (int i = 0; i < m->padded; i++)
                ((uint16_t *)panel)[(i / 2 * PANEL + at) * 2 + i % 2] = to_bf16(row[i]);
            break;
        case INT8: pack_int8(m, row, first + at, (uint8_t *)panel); break;
        default: pack_int4(m, row, first + at, (uint8_t *)panel);
        }
    }
    free(rows);
}
