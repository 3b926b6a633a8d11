// The choice of a token, as sample/logits.py makes it: temperature, top-k, top-p, min-p, Gumbel
// noise. Nothing sorts the vocabulary: what cannot be chosen is left out first, top-k divides around
// pivots, as quickselect does, and top-p looks at the token that was drawn.
#pragma once

#include <stdlib.h>

#include "vectors.h"

enum { FEW = 16 };

typedef struct {
    int n;
    float *value;  // room for the whole vocabulary
    int32_t *id;
} Candidates;

INLINE uint32_t at_least(vf x, float border) {  // a bit for each lane
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(border), _CMP_GE_OQ);
#elif defined(__AVX2__)
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps((__m256)x, _mm256_set1_ps(border), _CMP_GE_OQ));
#else
    uint32_t bits = 0;
    for (int i = 0; i < LANES; i++) bits |= (uint32_t)(x[i] >= border) << i;
    return bits;
#endif
}

INLINE void swap(Candidates *c, int a, int b) {
    float value = c->value[a];
    int32_t id = c->id[a];
    c->value[a] = c->value[b], c->id[a] = c->id[b];
    c->value[b] = value, c->id[b] = id;
}

// Return the k-th largest value.
static float find_border(Candidates *c, int k) {
    int low = 0, high = c->n;
    for (;;) {
        float a = c->value[low], b = c->value[(low + high) / 2], d = c->value[high - 1];
        float pivot = a > b ? (b > d ? b : (a > d ? d : a)) : (a > d ? a : (b > d ? d : b));
        int larger = low, equal = low, end = high;  // [low, larger) > pivot, [larger, equal) = pivot
        while (equal < end) {
            if (c->value[equal] > pivot)
                swap(c, equal++, larger++);
            else if (c->value[equal] == pivot)
                equal++;
            else
                swap(c, equal, --end);
        }
        if (larger >= k)
            high = larger;
        else if (equal >= k)
            return pivot;
        else
            low = equal;
    }
}

static void keep_at_least(Candidates *c, double border) {
    int kept = 0;
    for (int i = 0; i < c->n; i++)
        if (c->value[i] >= border) swap(c, i, kept++);
    c->n = kept;
}

static void collect(Candidates *c, const float *x, int n, double border) {
    float floor = (float)border;
    if (floor > border) floor = nextafterf(floor, -INFINITY);
    c->n = 0;
    for (int i = 0; i < n; i += LANES)
        for (uint32_t bits = at_least(load(x + i), floor); bits; bits &= bits - 1) {
            int at = i + __builtin_ctz(bits);
            if (at >= n || x[at] < border) continue;
            c->value[c->n] = x[at];
            c->id[c->n++] = at;
        }
}

// Collect the k largest values, and those equal to the last of them.
static void collect_largest(Candidates *c, const float *x, int n, int k) {
    float border = -INFINITY;
    int full = 2 * k > 256 ? 2 * k : 256;
    c->n = 0;
    for (int i = 0; i < n; i += LANES) {
        for (uint32_t bits = at_least(load(x + i), border); bits; bits &= bits - 1) {
            int at = i + __builtin_ctz(bits);
            if (at >= n) continue;
            c->value[c->n] = x[at];
            c->id[c->n++] = at;
        }
        if (c->n >= full) {
            border = find_border(c, k);
            keep_at_least(c, border);
            if (2 * c->n > full) full = 2 * c->n;  // many are equal
        }
    }
    keep_at_least(c, find_border(c, k));
}

// Return the sum of exp(value - most) over the candidates above a border.
static double mass_above(Candidates *c, float border, float most) {
    vf sums = splat(0);
    for (int i = c->n; i % LANES; i++) c->value[i] = -INFINITY;
    for (int i = 0; i < c->n; i += LANES) {
        vf value = load(c->value + i);
        sums += choose(value > border, exponential(value - most), splat(0));
    }
    return sum_of(sums);
}

static uint64_t mix(uint64_t state) {  // SplitMix64, as seeds.py
    uint64_t z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

// Return the place of the candidate with the largest sum of value and Gumbel noise, -log(-log u).
// Most cannot win, and need no logarithm: -log u >= 1 - u, and a winner has
// -log u < exp(value - best).
static int draw(const Candidates *c, const Choice *choice) {
    const uint64_t gamma = 0x9E3779B97F4A7C15u;
    uint64_t key = mix(choice->key + ((uint64_t)choice->step + 1) * gamma);
    double best = -INFINITY;
    int chosen = 0;
    for (int i = 0; i < c->n; i++) {
        uint64_t bits = mix(key + ((uint64_t)c->id[i] + 1) * gamma);
        double u = ((double)(bits >> 11) + 0.5) * 0x1p-53, ahead = best - c->value[i];
        if (ahead > 0 && (1 - u) * (1 + ahead) >= 1) continue;  // exp(-a) <= 1 / (1 + a)
        double score = c->value[i] - log(-log(u));
        if (score > best || (score == best && c->id[i] < c->id[chosen])) {
            best = score;
            chosen = i;
        }
    }
    return chosen;
}

// Draw from the nucleus, the tokens with a mass above them of less than `wanted`. A token's noise
// does not depend on the others, so a winner of all that is in the nucleus also wins there. If it is
// not in the nucleus, nothing as small is.
static int draw_from_nucleus(Candidates *c, const Choice *choice, double wanted, float most) {
    for (;;) {
        int drawn = draw(c, choice);
        float value = c->value[drawn];
        double above = mass_above(c, value, most);
        if (above < wanted || above == 0) return drawn;
        keep_at_least(c, nextafterf(value, INFINITY));
    }
}

// Return the next token for these logits, which are changed, or a negative number when there is
// none. `x` can be read up to a multiple of LANES.
static int choose_token(float *x, int n, const Choice *choice, Candidates *c) {
    vf mosts = splat(-INFINITY);
    vi strange = splat_int(0);
    int whole = n / LANES * LANES;
    for (int i = whole; i < n; i++)
        if (x[i] != x[i]) return NOT_NUMBERS;
    for (int i = n; i % LANES; i++) x[i] = -INFINITY;
    for (int i = 0; i < n; i += LANES) {
        vf value = load(x + i);
        strange |= value != value;
        mosts = largest(mosts, value);
    }
    for (int i = 0; i < LANES; i++)
        if (strange[i]) return NOT_NUMBERS;
    float most = max_of(mosts);
    if (most == INFINITY) return NOT_NUMBERS;
    if (most == -INFINITY) return ALL_RULED_OUT;
    if (choice->greedy) {
        int i = 0;
        while (x[i] != most) i++;
        return i;
    }
    float temperature = (float)choice->temperature;
    if (temperature != 1) {
        for (int i = 0; i < n; i += LANES) store(x + i, load(x + i) / temperature);
        most /= temperature;
    }
    double wanted = choice->top_p;
    if (choice->top_k) {
        collect_largest(c, x, n, choice->top_k < n ? choice->top_k : n);
        if (choice->top_p < 1) wanted *= mass_above(c, -INFINITY, most);
    } else if (choice->top_p >= 1) {
        collect(c, x, n, choice->min_p > 0 ? most + log(choice->min_p) - 1e-3 : -INFINITY);
    } else {
        vf sums = splat(0);
        for (int i = 0; i < n; i += LANES) sums += exponential(load(x + i) - most);
        double total = sum_of(sums);
        wanted *= total;
        for (double share = FEW;; share *= 8) {  // mostly the first few hold the mass that counts
            collect(c, x, n, most + log(total * (1 - choice->top_p) / share));
            if (mass_above(c, -INFINITY, most) > wanted + 1e-6 * total || share > 2 * n) break;
        }
    }
    if (choice->min_p > 0) keep_at_least(c, most + log(choice->min_p));
    return c->id[choice->top_p < 1 ? draw_from_nucleus(c, choice, wanted, most)
                                   : draw(c, choice)];
}
